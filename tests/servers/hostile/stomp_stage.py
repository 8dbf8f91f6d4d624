"""One hostile STOMP peer at a time, on either carrier, before a server that a hundred subscribers watch (`rig`)."""

import base64
import os
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from tests.servers.hostile.rig import SUBSCRIBERS, Crowd, Listener, Server, server, until

PATIENCE_S = 20

SUBSCRIBE_T0 = b"CONNECT\naccept-version:1.2\nhost:h\n\n\0SUBSCRIBE\nid:0\ndestination:/topic/t0\nafter:0\n\n\0"


def drops(where: Server) -> dict[str, int]:
    return where.ask("/stats")["drops"]


def open_now(where: Server) -> int:
    return where.ask("/stats")["connections"]["stomp_tcp"]["open"]


@contextmanager
def watched(*argv: str, growth_bytes: int) -> Iterator[Server]:
    """A running server whose subscribers are asked in the end; it may not grow by more than ``growth_bytes``."""
    with server("stomp_tcp", "stomp_websocket", "--rate", "100", *argv) as running:
        crowd = Crowd(running.ports["tcp"], [Listener(SUBSCRIBE_T0) for _ in range(SUBSCRIBERS)], running.process.pid)
        crowd.start()
        try:
            until(lambda: all(one.seqs for one in crowd.subscribers), "every subscriber to have an event")
            yield running
            newest = running.ask("/stats")["published"]["t0"]
            until(lambda: all(one.seqs[-1] >= newest for one in crowd.subscribers), "the last event to have arrived")
        finally:
            crowd.end()
        assert crowd.lost == []
        for one in crowd.subscribers:
            assert one.seqs == list(range(1, len(one.seqs) + 1))
        assert crowd.most_bytes - crowd.least_bytes < growth_bytes


class Tcp:
    """The hostile peer on a plain TCP connection."""

    name = "stomp_tcp"

    def __init__(self, where: Server) -> None:
        self.sock = socket.create_connection(where.ports["tcp"], timeout=PATIENCE_S)

    def send(self, data: bytes) -> None:
        with suppress(ConnectionError):  # it may have been told already that enough is enough
            self.sock.sendall(data)

    def end(self) -> tuple[bytes, int | None]:
        """All that the server says until it ends, and the close code: TCP has none."""
        data = b""
        with suppress(ConnectionResetError):
            while piece := self.sock.recv(1 << 16):
                data += piece
        self.sock.close()
        return data, None


def masked(opcode: int, payload: bytes, *, fin: bool = True, mask: bool = True) -> bytes:
    """One frame as a client sends it (RFC 6455, section 5.2), with a key of zeros."""
    size, bit = len(payload), 0x80 if mask else 0
    if size < 126:
        head = bytes((fin << 7 | opcode, bit | size))
    elif size < 1 << 16:
        head = struct.pack("!BBH", fin << 7 | opcode, bit | 126, size)
    else:
        head = struct.pack("!BBQ", fin << 7 | opcode, bit | 127, size)
    return head + bytes(4 if mask else 0) + payload


class Web(Tcp):
    """The hostile peer on a WebSocket: what it sends is one text message, binary when it is no UTF-8."""

    name = "stomp_websocket"

    def __init__(self, where: Server, subprotocol: str = "v12.stomp") -> None:
        self.sock = socket.create_connection(where.ports["http"], timeout=PATIENCE_S)
        key = base64.b64encode(os.urandom(16)).decode()
        lines = ["GET /stomp HTTP/1.1", "Host: localhost", "Upgrade: websocket", "Connection: Upgrade"]
        lines += [f"Sec-WebSocket-Key: {key}", "Sec-WebSocket-Version: 13"]
        lines += [f"Sec-WebSocket-Protocol: {subprotocol}"] if subprotocol else []
        self.sock.sendall("\r\n".join([*lines, "", ""]).encode())
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += self.sock.recv(1)
        self.status = int(head.split()[1])

    def send(self, data: bytes) -> None:
        try:
            data.decode()
        except UnicodeDecodeError:
            self.raw(masked(2, data))
        else:
            self.raw(masked(1, data))

    def raw(self, data: bytes) -> None:
        super().send(data)

    def end(self) -> tuple[bytes, int | None]:
        """The text of all messages, and the code of the close frame; then the closing handshake is completed."""
        self._data, text = b"", b""
        with suppress(EOFError, ConnectionResetError):
            while True:
                first, second = self._take(2)
                size = second & 0x7F
                if size > 125:
                    size = int.from_bytes(self._take(2 if size == 126 else 8), "big")
                payload = self._take(size)
                if first & 0xF == 8:
                    self.raw(masked(8, payload))
                    self.sock.close()
                    return text, int.from_bytes(payload[:2], "big")
                text += payload
        self.sock.close()
        return text, None

    def _take(self, size: int) -> bytes:
        while len(self._data) < size:
            piece = self.sock.recv(1 << 16)
            if not piece:
                raise EOFError
            self._data += piece
        taken, self._data = self._data[:size], self._data[size:]
        return taken
