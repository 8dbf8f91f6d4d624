"""A STOMP server in a process of its own, a hundred subscribers that must not notice anything, and one hostile peer."""

import base64
import json
import os
import re
import selectors
import socket
import struct
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psutil

PATIENCE_S = 20
BYSTANDERS = 100

SUBSCRIBE_T0 = b"CONNECT\naccept-version:1.2\nhost:h\n\n\0SUBSCRIBE\nid:0\ndestination:/topic/t0\nafter:0\n\n\0"
_SEQ = re.compile(rb"\nmessage-id:t0-([0-9]+)\n")


class Bystanders:
    """Subscribers of t0 on TCP connections of their own, read by one thread."""

    def __init__(self, address: tuple[str, int]) -> None:
        self._selector = selectors.DefaultSelector()
        self._seqs: dict[socket.socket, list[int]] = {}
        self._rests: dict[socket.socket, bytes] = {}
        for _ in range(BYSTANDERS):
            sock = socket.create_connection(address)
            sock.sendall(SUBSCRIBE_T0)
            self._seqs[sock], self._rests[sock] = [], b""
            self._selector.register(sock, selectors.EVENT_READ)
        self._open = True
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        while self._open:
            for key, _ in self._selector.select(0.05):
                sock = key.fileobj
                data = sock.recv(1 << 16)
                if not data:
                    self._selector.unregister(sock)
                    continue
                *frames, self._rests[sock] = (self._rests[sock] + data).split(b"\0")
                self._seqs[sock] += [int(found[1]) for found in map(_SEQ.search, frames) if found]

    def check(self, published: int) -> None:
        """Every one of them has every event up to ``published`` once and in order, or gets it soon."""
        deadline = time.monotonic() + PATIENCE_S
        while any(seqs[-1:] < [published] for seqs in self._seqs.values()) and time.monotonic() < deadline:
            time.sleep(0.01)
        for seqs in self._seqs.values():
            assert seqs[:published] == list(range(1, published + 1))

    def close(self) -> None:
        self._open = False
        self._thread.join()
        for sock in self._seqs:
            sock.close()


class Stage:
    """The server's process, and what it says of itself."""

    def __init__(self, ready: dict[str, object], process: subprocess.Popen[str]) -> None:
        self.http = str(ready["http"])
        host, port = str(ready["tcp"]).rsplit(":", 1)
        self.tcp = (host, int(port))
        host, port = self.http.removeprefix("http://").rsplit(":", 1)
        self.web = (host, int(port))
        self._process = psutil.Process(process.pid)

    def get(self, path: str) -> dict[str, object]:
        with urllib.request.urlopen(self.http + path, timeout=PATIENCE_S) as answer:
            return json.load(answer)

    def start_feed(self) -> None:
        now_ns = self.get("/clock")["now_ns"]
        body = json.dumps({"epoch_ns": now_ns}).encode()
        urllib.request.urlopen(urllib.request.Request(f"{self.http}/feed", body, method="PUT")).close()

    def published(self) -> int:
        return self.get("/stats")["published"]["t0"]

    def drops(self) -> dict[str, int]:
        return self.get("/stats")["drops"]

    def open_now(self, name: str) -> int:
        return self.get("/stats")["connections"][name]["open"]

    def memory(self) -> int:
        """Bytes in memory."""
        return self._process.memory_info().rss


@contextmanager
def stage(*argv: str) -> Iterator[Stage]:
    """A running server with a feed of 100 events a second on t0."""
    command = [sys.executable, "-m", "servers", "stomp_tcp", "stomp_websocket", "--port", "0", "--control"]
    command += ["--rate", "100", "--schedule", "constant", *argv]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield Stage(json.loads(process.stdout.readline()), process)
        finally:
            process.terminate()
            assert process.wait(PATIENCE_S) == 0


@contextmanager
def watched(*argv: str, growth_bytes: int) -> Iterator[Stage]:
    """The same with its bystanders, who are asked in the end; the server may not grow by more than ``growth_bytes``."""
    with stage(*argv) as running:
        bystanders = Bystanders(running.tcp)
        try:
            running.start_feed()
            bystanders.check(10)
            before = running.memory()
            yield running
            bystanders.check(running.published())
            assert running.open_now("stomp_tcp") >= BYSTANDERS
            assert running.memory() - before < growth_bytes
        finally:
            bystanders.close()


class Tcp:
    """The hostile peer on a plain TCP connection."""

    name = "stomp_tcp"

    def __init__(self, where: Stage) -> None:
        self.sock = socket.create_connection(where.tcp, timeout=PATIENCE_S)

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

    def __init__(self, where: Stage, subprotocol: str = "v12.stomp") -> None:
        self.sock = socket.create_connection(where.web, timeout=PATIENCE_S)
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
