"""Hostile clients of WebSocket: before the 101 they are told a status, behind it a close code (RFC 6455, 7.4.1)."""

import struct
import subprocess
import sys
import zlib
from collections.abc import Sequence

from tests.servers.hostile import http, rig
from tests.servers.hostile.http import drip, request
from tests.servers.hostile.rig import Crowd, Entry, Listener, status
from tests.servers.test_websocket_frames import masked

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
FIELDS = {
    b"Upgrade": b"websocket",
    b"Connection": b"Upgrade",
    b"Sec-WebSocket-Key": b"dGhlIHNhbXBsZSBub25jZQ==",
    b"Sec-WebSocket-Version": b"13",
}
DEFLATE = b"Sec-WebSocket-Extensions: permessage-deflate"
SWITCHED = rb"HTTP/1\.1 101 [^\0]*?\r\n\r\n"


def shake(
    target: bytes = b"/ws/t0", *more: bytes, method: bytes = b"GET", version: bytes = b"HTTP/1.1", **changed: bytes
):
    """A handshake with some fields changed (by the end of their names; empty leaves one out), and some more."""
    fields = {name: changed.get(name.rpartition(b"-")[2].decode(), value) for name, value in FIELDS.items()}
    lines = [b"%b: %b" % (name, value) for name, value in fields.items() if value]
    return request(target, *lines, *more, method=method, version=version)


def closed(code: int) -> bytes:
    """The expression for events, pings and pongs, then a close frame with this code, and nothing behind it."""
    return SWITCHED + rb".*\x88[\x02-\x7d]" + re_bytes(code.to_bytes(2, "big")) + rb"[ -~]*\Z"


def re_bytes(data: bytes) -> bytes:
    return b"".join(b"\\x%02x" % byte for byte in data)


def no(name: str, sends: bytes, code: int = 400) -> Entry:
    """A handshake that is refused."""
    return Entry(name, sends, status(code), "RFC 6455, 4.2", closes=False, counted="bad_handshake")


COUNTED = {1000: "", 1002: "protocol_error", 1007: "invalid_data", 1008: "request_timeout", 1009: "message_too_big"}


def wrong(
    name: str, frames: bytes | Sequence[bytes | float], code: int, clause: str, hello: bytes = shake(), **more
) -> Entry:
    """What is wrong behind a good handshake."""
    pieces = (frames,) if isinstance(frames, bytes) else frames
    return Entry(name, (hello, *pieces), closed(code), clause, counted=more.pop("counted", COUNTED[code]), **more)


def length(form: int, value: int) -> bytes:
    """The head of a masked binary frame with its length in 2 or 8 bytes, and a little payload."""
    return bytes((0x82, 0x80 | form)) + struct.pack("!H" if form == 126 else "!Q", value) + bytes(20)


def close(payload: bytes) -> bytes:
    return masked(CLOSE, payload)


def deflated(data: bytes, finals: int = 0) -> bytes:
    stream = zlib.compressobj(wbits=-12)
    return b"\x03\x00" * finals + (stream.compress(data) + stream.flush(zlib.Z_SYNC_FLUSH))[:-4]


PACKED = shake(b"/ws/t0", DEFLATE)
BOMB = deflated(bytes(1 << 26))  # 64 MiB of zeros in 64 KiB
OWN = request(b"/publish/own", b"Content-Length: 1", method=b"POST") + b"x" + shake(b"/ws/own")
TINY = masked(TEXT, b"x")

TABLE = (
    *http.entries(b"/ws/t0"),
    # the handshake
    no("no Upgrade", shake(Upgrade=b""), 426),
    no("another upgrade", shake(Upgrade=b"h2c"), 426),
    no("no Connection", shake(Connection=b"")),
    no("Connection: close", shake(Connection=b"close")),
    no("no key", shake(Key=b"")),
    no("a short key", shake(Key=b"c2hvcnQ=")),
    no("a key that is no base64", shake(Key=b"!" * 22 + b"==")),
    no("two keys", shake(b"/ws/t0", b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==")),
    no("no version", shake(Version=b""), 426),
    no("version 8", shake(Version=b"8"), 426),
    no("version 13 twice", shake(b"/ws/t0", b"Sec-WebSocket-Version: 13"), 426),
    no("extensions that are no list", shake(b"/ws/t0", b"Sec-WebSocket-Extensions: a; =;")),
    no("quotes that do not end", shake(b"/ws/t0", b'Sec-WebSocket-Extensions: a; b="')),
    no("a subprotocol of two words", shake(b"/ws/t0", b"Sec-WebSocket-Protocol: a b")),
    Entry("a body behind it", shake(b"/ws/t0", b"Content-Length: 5") + b"hello", rb"HTTP/1\.1 400 ", "RFC 6455, 4.1",
          closes=False, counted="bad_handshake"),
    Entry("a body in chunks", shake(b"/ws/t0", b"Transfer-Encoding: chunked") + b"5\r\nhello\r\n0\r\n\r\n",
          rb"HTTP/1\.1 400 ", "RFC 6455, 4.1", closes=False, counted="bad_handshake"),
    Entry("HTTP/1.0", shake(version=b"HTTP/1.0"), rb"HTTP/1\.1 400 ", "RFC 6455, 4.1", counted="bad_handshake"),
    Entry("POST", shake(method=b"POST"), status(405), "RFC 6455, 4.1", closes=False),
    Entry("another's page", shake(b"/ws/t0", b"Origin: https://evil.example"), status(403), "RFC 6455, 10.2",
          closes=False, counted="bad_origin"),
    Entry("another's sandbox", shake(b"/ws/t0", b"Origin: null"), status(403), "RFC 6455, 10.2", closes=False,
          counted="bad_origin"),
    Entry("another's page at STOMP", shake(b"/stomp", b"Origin: https://evil.example", b"Sec-WebSocket-Protocol: v12.stomp"),
          status(403), "RFC 6455, 10.2", closes=False, counted="bad_origin"),
    Entry("our own page", shake(b"/ws/t0", b"Origin: http://localhost") + close(b""), SWITCHED, "RFC 6455, 10.2"),
    Entry("an unknown topic", shake(b"/ws/nothing"), status(404), "contract", closes=False),
    Entry("a bad cursor", shake(b"/ws/t0?after=-1"), status(400), "contract", closes=False),
    Entry("a cursor beyond the newest", shake(b"/ws/t0?after=999999"), SWITCHED + rb"\x88.\x11\x3aoldest=", "contract",
          closes=False),
    Entry("an unknown extension is passed over", shake(b"/ws/t0", b"Sec-WebSocket-Extensions: x-none; a=1") + close(b""),
          rb"(?!.*Sec-WebSocket-Extensions)" + SWITCHED, "RFC 6455, 9.1"),
    Entry("a bad offer is passed over", shake(b"/ws/t0", DEFLATE + b"; server_max_window_bits=99") + close(b""),
          rb"(?!.*Sec-WebSocket-Extensions)" + SWITCHED, "RFC 7692, 7.1"),
    # frames
    wrong("not masked", b"\x81\x01x", 1002, "5.1"),
    *(wrong(f"RSV{bit}", masked(TEXT, b"x", rsv=1 << 3 - bit), 1002, "5.2") for bit in (1, 2, 3)),
    *(wrong(f"opcode {opcode:#x}", masked(opcode, b"x"), 1002, "5.2") for opcode in (3, 7, 0xB, 0xF)),
    wrong("a ping in pieces", masked(PING, b"x", fin=False), 1002, "5.5"),
    wrong("a ping of 126 bytes", masked(PING, bytes(126)), 1002, "5.5"),
    wrong("a close of 126 bytes", close(b"\x03\xe8" + b"x" * 124), 1002, "5.5"),
    wrong("a continuation of nothing", masked(CONTINUATION, b"x"), 1002, "5.4"),
    wrong("a message within a message", masked(TEXT, b"x", fin=False) + TINY, 1002, "5.4"),
    wrong("125 in two bytes", length(126, 125), 1002, "5.2"),
    wrong("65535 in eight bytes", length(127, 65535), 1002, "5.2"),
    wrong("2^63", length(127, 1 << 63), 1002, "5.2"),
    wrong("2^63 - 1", length(127, (1 << 63) - 1), 1009, "7.4.1"),
    wrong("a byte too many", length(126, 1025), 1009, "7.4.1"),
    wrong("a byte too many, in pieces", masked(BINARY, bytes(1000), fin=False) + masked(CONTINUATION, bytes(25)), 1009, "7.4.1"),
    wrong("a megabyte behind a mistake", b"\x81\x01x" + bytes(1 << 20), 1002, "7.1.7"),
    # text
    wrong("not UTF-8", masked(TEXT, b"good\xff"), 1007, "8.1"),
    wrong("half a character", masked(TEXT, b"\xce"), 1007, "8.1"),
    wrong("a surrogate", masked(TEXT, b"\xed\xa0\x80"), 1007, "8.1"),
    wrong("bad in the second piece", masked(TEXT, b"\xce", fin=False) + masked(CONTINUATION, b"x", fin=False), 1007, "8.1"),
    wrong("bad in half a frame", masked(TEXT, b"\xf4\x90" + b"x" * 100)[:10], 1007, "8.1: as soon as it is seen"),
    # closing
    wrong("a close of one byte", close(b"\x03"), 1002, "5.5.1"),
    *(wrong(f"close {code}", close(code.to_bytes(2, "big")), 1002, "7.4") for code in (0, 999, 1004, 1005, 1006, 1015, 2999, 5000)),
    wrong("a reason that is not UTF-8", close(b"\x03\xe8\xff"), 1007, "5.5.1"),
    wrong("a message behind the close", close(b"\x03\xe8") + TINY + b"\xff" * 1000, 1000, "1.4"),
    # what this topic does not take
    wrong("a message to a scheduled topic", TINY, 1008, "contract", counted="policy_violation"),
    Entry("binary", (shake(), masked(BINARY, b"x")), closed(1003), "7.4.1", counted="unsupported_data"),
    # time
    wrong("half a frame, then silence", TINY[:-1], 1008, "slowloris"),
    wrong("half a head of a frame, then silence", TINY[:1], 1008, "slowloris"),
    wrong("a frame, a byte each 0.1 s", drip(masked(TEXT, b"x" * 100)), 1008, "slowloris"),
    wrong("empty pieces for ever", (masked(TEXT, b"", fin=False), *[masked(CONTINUATION, b"", fin=False), 0.1] * 20), 1008, "slowloris"),
    wrong("pings within a message", (masked(TEXT, b"", fin=False), *[masked(PING, b""), 0.1] * 20), 1008, "slowloris"),
    # floods
    wrong("100,000 empty pieces", masked(TEXT, b"", fin=False) + masked(CONTINUATION, b"", fin=False) * 100_000, 1008, "5.4"),
    wrong("10,000 pings", masked(PING, b"x") * 10_000 + close(b"\x03\xe8"), 1000, "5.5.2"),
    wrong("10,000 pongs", masked(PONG, b"x") * 10_000 + close(b"\x03\xe8"), 1000, "5.5.3"),
    Entry("2,000 tiny messages", (OWN, TINY * 2_000, close(b"\x03\xe8")), rb"HTTP/1\.1 202 .*" + closed(1000), "contract"),
    Entry("pings, and does not read", (shake(), *[masked(PING, bytes(125)) * 1000] * 100), SWITCHED, "backpressure",
          reads=False, counted="slow_consumer"),
    # permessage-deflate
    wrong("RSV1 within a message", masked(TEXT, b"", fin=False, rsv=4) + masked(CONTINUATION, b"", rsv=4), 1002, "RFC 7692, 6", PACKED),
    wrong("RSV1 on a ping", masked(PING, b"", rsv=4), 1002, "RFC 7692, 6", PACKED),
    wrong("no deflate", masked(TEXT, b"\xff\xff\xff", rsv=4), 1007, "RFC 7692, 7.2.2", PACKED),
    wrong("deflated bytes that are no text", masked(TEXT, deflated(b"\xff"), rsv=4), 1007, "8.1", PACKED),
    wrong("a bomb", masked(TEXT, BOMB, rsv=4), 1009, "RFC 7692, 8", PACKED),
    wrong("a bomb in pieces", masked(TEXT, BOMB[:999], fin=False, rsv=4) + masked(CONTINUATION, BOMB[999:]), 1009, "RFC 7692, 8", PACKED),
    wrong("10,000 final blocks", masked(TEXT, deflated(b"x", 10_000), rsv=4), 1007, "RFC 7692, 7.2.3.4", PACKED),
)  # fmt: skip


class Subscriber(Listener):
    """Answers the server's pings."""

    _last = b""

    def receive(self, data: bytes) -> bytes:
        super().receive(data)
        pinged = b"\x89\x00" in self._last + data  # never in an event: it has no NUL
        self._last = data[-1:]
        return masked(PONG, b"") if pinged else b""


def test_hostile_clients_of_websocket():
    rig.run(TABLE, ["websocket", "stomp_websocket"], lambda: Subscriber(shake(b"/ws/t0?after=0")))


HALF = """
import socket, sys
host, port, count, half = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), bytes.fromhex(sys.argv[4])
peers = []
for _ in range(count):
    peers.append(socket.create_connection((host, port)))
    peers[-1].sendall(half)
print("there", flush=True)
print(sum(b"".join(iter(lambda: peer.recv(4096), b"")).startswith(b"HTTP/1.1 408 ") for peer in peers))
"""
MANY = 10_000


def test_ten_thousand_half_handshakes():
    with rig.server("websocket", "--handshake", "5", "--idle", "60", "--connections", "15000") as under:
        subscribers = [Subscriber(shake(b"/ws/t0?after=0")) for _ in range(rig.SUBSCRIBERS)]
        crowd = Crowd(under.ports["http"], subscribers, under.process.pid)
        crowd.start()
        command = [sys.executable, "-c", HALF, *map(str, under.ports["http"]), str(MANY), shake()[:-9].hex()]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as peers:
            assert peers.stdout.readline() == "there\n"
            assert int(peers.stdout.readline()) == MANY
        stats = under.ask("/stats")
        newest = stats["published"]["t0"]
        rig.until(lambda: all(one.seqs[-1] >= newest for one in subscribers), "the last event to have arrived")
        crowd.end()
        assert stats["drops"] == {"handshake_timeout": MANY}
        assert crowd.lost == []
        assert all(one.seqs == list(range(1, len(one.seqs) + 1)) for one in subscribers)
        assert crowd.most_bytes - crowd.least_bytes < 2 * rig.GROWTH_BYTES  # 10,000 connections have theirs
