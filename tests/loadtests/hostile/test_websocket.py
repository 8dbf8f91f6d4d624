"""Hostile servers against the WebSocket client: before the 101, behind it, and with permessage-deflate agreed."""

import base64
import hashlib
import re
import struct
import time
import tracemalloc
import zlib
from functools import partial

from loadtests.clients import ProtocolError, websocket
from loadtests.clients.websocket_frames import MAX_MESSAGE_BYTES, Deflate, Messages
from tests.loadtests.by_hand import event
from tests.loadtests.hostile.http_table import CUT, TOO_LATE
from tests.loadtests.hostile.rig import Entry, Wire, run
from tests.loadtests.hostile.stomp_table import GONE

ACCEPT = b"<accept>"  # in an answer: what the key asks for
OK = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: <accept>\r\n"
)
DEFLATE = b"Sec-WebSocket-Extensions: permessage-deflate"
END = b"\r\n"
UPGRADE, PROTOCOL = 0, "protocol error: .*"
TOO_BIG = "protocol error: message of at least"


def without(field: bytes) -> bytes:
    return re.sub(field + rb": [^\r]*\r\n", b"", OK) + END


ANSWERS = (
    Entry("silence", b"", TOO_LATE),
    Entry("the end", b"", CUT, "end"),
    Entry("a reset", b"", GONE, "reset"),
    Entry("half a head, then silence", OK[:40], TOO_LATE),
    Entry("half a head, then the end", OK[:40], CUT, "end"),
    Entry("a 200", b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n", r"answered HTTP/1.1 200 OK \(text/html\)"),
    Entry("a 404", b"HTTP/1.1 404 Not Found\r\n\r\n", "answered HTTP/1.1 404 Not Found"),
    Entry("a 426", b"HTTP/1.1 426 Upgrade Required\r\n\r\n", "answered HTTP/1.1 426"),
    Entry("a 503", b"HTTP/1.1 503 No\r\nRetry-After: -1\r\n\r\n", "answered HTTP/1.1 503 No"),
    Entry("a circle", b"HTTP/1.1 302 Found\r\nLocation: /ws/t0\r\n\r\n", "in a circle"),
    Entry("HTTP/1.0", OK.replace(b"1.1", b"1.0") + END, "answered HTTP/1.0 101|" + PROTOCOL),
    Entry("no HTTP", b"SSH-2.0-OpenSSH_9.6\r\n\r\n", "answered SSH-2.0"),
    Entry("a wrong accept", OK.replace(ACCEPT, b"dGhlIHNhbXBsZSBub25jZQ==") + END, PROTOCOL + "upgrade: .*Accept"),
    Entry("an empty accept", OK.replace(ACCEPT, b"") + END, PROTOCOL + "upgrade: .*Accept"),
    Entry("no accept", without(b"Sec-WebSocket-Accept"), PROTOCOL + "upgrade: .*Accept"),
    Entry("two accepts", OK + b"Sec-WebSocket-Accept: x\r\n\r\n", PROTOCOL + "upgrade: .*Accept"),
    Entry("no Upgrade", without(b"Upgrade"), PROTOCOL + "upgrade: .*Upgrade"),
    Entry("another upgrade", OK.replace(b"websocket", b"h2c") + END, PROTOCOL + "upgrade: .*Upgrade"),
    Entry("no Connection", without(b"Connection"), PROTOCOL + "upgrade: .*Connection"),
    Entry("Connection: close", OK.replace(b"Connection: Upgrade", b"Connection: close") + END, PROTOCOL + "upgrade"),
    Entry("another extension", OK + b"Sec-WebSocket-Extensions: x-none\r\n\r\n", PROTOCOL + "upgrade: .*x-none"),
    Entry("an extension twice", OK + DEFLATE + b", permessage-deflate\r\n\r\n", PROTOCOL + "upgrade"),
    Entry("a window of 2^16", OK + DEFLATE + b"; server_max_window_bits=16\r\n\r\n", PROTOCOL + "upgrade"),
    Entry("a window of 2^7", OK + DEFLATE + b"; server_max_window_bits=7\r\n\r\n", PROTOCOL + "upgrade"),
    Entry("a window in words", OK + DEFLATE + b"; server_max_window_bits=large\r\n\r\n", PROTOCOL + "upgrade"),
    Entry("a window without a value", OK + DEFLATE + b"; server_max_window_bits\r\n\r\n", PROTOCOL + "upgrade"),
    Entry("a window nobody lets it bound", OK + DEFLATE + b"; client_max_window_bits=9\r\n\r\n", PROTOCOL + "upgrade"),
    Entry("a parameter nobody knows", OK + DEFLATE + b"; x=1\r\n\r\n", PROTOCOL + "upgrade"),
    Entry("a parameter twice", OK + DEFLATE + b"; server_no_context_takeover" * 2 + END * 2, PROTOCOL + "upgrade"),
    Entry("a subprotocol nobody offered", OK + b"Sec-WebSocket-Protocol: chat\r\n\r\n", PROTOCOL + "subprotocol"),
    Entry("a folded field", OK + b"X: a\r\n b\r\n\r\n", PROTOCOL + "upgrade"),
    Entry("a field without a name", OK + b": a\r\n\r\n", PROTOCOL + "upgrade"),
    Entry("a field of 20 KB", OK + b"X: " + b"y" * 20_000 + END * 2, PROTOCOL + "upgrade"),
    Entry("an endless head", (OK, b"X: y\r\n" * 99), "over 64 KiB", "endless"),
    Entry("an endless field", (OK + b"X: ", b"y" * 9999), "over 64 KiB", "endless"),
    Entry("a head without end", OK, TOO_LATE),
)  # fmt: skip


def frame(first: int, payload: bytes) -> bytes:
    size = len(payload)
    if size < 126:
        return bytes((first, size)) + payload
    return (
        struct.pack("!BB", first, 126 if size < 1 << 16 else 127)
        + struct.pack("!H" if size < 1 << 16 else "!Q", size)
        + payload
    )


def text(payload: bytes) -> bytes:
    return frame(0x81, payload)


ONE = text(event(1))

FRAMES = tuple(
    Entry(f"frames: {name}", says, counted, then, corrupted, stage=1)
    for name, says, counted, then, corrupted in (
        ("silence", b"", "silent for 1 s", "hold", 0),
        ("the end", b"", GONE, "end", 0),
        ("a reset", b"", GONE, "reset", 0),
        ("half a head, then silence", ONE[:1], "silent for 1 s", "hold", 0),
        ("half a frame, then silence", ONE[:-9], "silent for 1 s", "hold", 0),
        ("half a frame, then the end", ONE[:-9], GONE, "end", 0),
        ("masked", b"\x81\x85abcd" + b"Hello", PROTOCOL + "masked", "hold", 0),
        ("RSV1", b"\xc1\x01x", PROTOCOL + "reserved bits 0x40", "hold", 0),
        ("RSV2", b"\xa1\x01x", PROTOCOL + "reserved bits 0x20", "hold", 0),
        ("RSV3", b"\x91\x01x", PROTOCOL + "reserved bits 0x10", "hold", 0),
        ("opcode 3", b"\x83\x00", PROTOCOL + "reserved opcode 0x3", "hold", 0),
        ("opcode 15", b"\x8f\x00", PROTOCOL + "reserved opcode 0xf", "hold", 0),
        ("a ping in pieces", b"\x09\x00", PROTOCOL + "fragmented ping", "hold", 0),
        ("a ping of 126 bytes", frame(0x89, bytes(126)), PROTOCOL + "ping frame of over 125", "hold", 0),
        ("a continuation of nothing", frame(0x80, b"x"), PROTOCOL + "without a message to continue", "hold", 0),
        ("a message within a message", frame(0x01, b"x") + ONE, PROTOCOL + "inside a fragmented", "hold", 0),
        ("125 in two bytes", b"\x81\x7e\x00\x7d" + bytes(125), PROTOCOL + "length 125 in 2 bytes", "hold", 0),
        ("126 in eight bytes", b"\x81\x7f" + struct.pack("!Q", 126), PROTOCOL + "length 126 in 8 bytes", "hold", 0),
        ("2^63", b"\x81\x7f" + struct.pack("!Q", 1 << 63), PROTOCOL + "most significant bit", "hold", 0),
        ("2^40", b"\x81\x7f" + struct.pack("!Q", 1 << 40), TOO_BIG, "hold", 0),
        ("not UTF-8", text(b"\xff"), PROTOCOL + "text message of 1 bytes: invalid start byte", "hold", 0),
        ("half a character", frame(0x01, b"\xce") + frame(0x80, b""), PROTOCOL + "unexpected end of data", "hold", 0),
        ("an endless message", (frame(0x01, b""), frame(0x00, b"x" * 65536)), TOO_BIG, "endless", 0),
        ("an endless frame", (b"\x81\x7f" + struct.pack("!Q", 1 << 30), b"x" * 65536), TOO_BIG, "endless", 0),
        ("pings, and does not read", (frame(0x89, b"x" * 125) * 500,), "unsent, the peer does not read", "endless", 0),
        ("a close of one byte", frame(0x88, b"x"), PROTOCOL + "close frame of 1 byte", "hold", 0),
        ("close 1005", frame(0x88, b"\x03\xed"), PROTOCOL + "close code N", "hold", 0),
        ("close 5000", frame(0x88, b"\x13\x88"), PROTOCOL + "close code N", "hold", 0),
        ("close 1011", frame(0x88, b"\x03\xf3oops"), "close N oops", "hold", 0),
        ("a reason that is not UTF-8", frame(0x88, b"\x03\xe8\xff"), PROTOCOL + "close reason", "hold", 0),
        ("a reason of control characters", frame(0x88, b"\x03\xf3\x1b[2J\n"), "close N", "hold", 0),
        ("junk behind the close", frame(0x88, b"\x03\xf3") + b"\xff" * 999, "close N", "hold", 0),
        ("HTTP", b"HTTP/1.1 400 Bad Request\r\n\r\n", PROTOCOL, "hold", 0),
        ("events before a mistake", ONE + text(event(2)) + b"\xff\xff", PROTOCOL + "reserved", "hold", 0),
        ("no JSON", text(b"oops"), "", "hold", 1),
        ("another topic's event", text(event(1, "t9")), "", "hold", 1),
        ("a flipped byte", text(event(1).replace(b"12", b"13")), "", "hold", 1),
        ("empty messages", text(b"") * 99, "", "hold", 99),
        ("nested deep", text(b"[" * 200_000), "", "hold", 1),
        ("a binary mess", frame(0x82, bytes(range(256))), "", "hold", 1),
        ("seqs that go back", text(event(3)) + ONE + text(event(2)), "", "hold", 0),
        ("the same event again and again", ONE * 2000, "", "hold", 0),
    )
)  # fmt: skip


def deflated(size: int) -> bytes:
    stream = zlib.compressobj(wbits=-15)
    return (stream.compress(bytes(size)) + stream.flush(zlib.Z_SYNC_FLUSH))[:-4]


BOMB = deflated(1 << 28)  # 256 MiB of zeros in 256 KiB

DEFLATED = tuple(
    Entry(f"deflate: {name}", says, PROTOCOL + counted, stage=2)
    for name, says, counted in (
        ("no deflate", frame(0xC1, b"\xff\xff\xff"), "compressed message of 3 bytes"),
        ("a window too far", frame(0xC1, bytes.fromhex("f200110000")), "compressed message of 5 bytes"),
        ("RSV1 on a continuation", frame(0x41, b"") + frame(0xC0, b""), "reserved bits 0x40 in a continuation"),
        ("RSV1 on a ping", frame(0xC9, b""), "reserved bits 0x40 in a ping"),
        ("RSV1 on a close", frame(0xC8, b"\x03\xe8"), "reserved bits 0x40 in a close"),
        ("text that is not UTF-8", frame(0xC1, b"\xfa\x0f\x00"), "text message of 1 bytes"),
        ("a bomb", frame(0xC1, BOMB), "inflates to over"),
        ("a bomb in pieces", frame(0x41, BOMB[:999]) + frame(0x80, BOMB[999:]), "inflates to over"),
        ("a bomb of final blocks", frame(0xC1, b"\x03\x00" * 10_000), "over 32 final DEFLATE blocks"),
    )
)


def serve(wire: Wire, entry: Entry | None) -> None:
    """Answer the upgrade up to the entry's stage, then what it says; or well, with the events the cursor asks for."""
    request = wire.hear(b"\r\n\r\n")
    key = re.search(rb"Sec-WebSocket-Key: (\S+)", request)[1]
    accept = base64.b64encode(hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())
    if entry and entry.stage == UPGRADE:
        wire.play(entry, lambda data: data.replace(ACCEPT, accept))
        return
    agreed = DEFLATE + END if entry and entry.stage == 2 else b""
    wire.say((OK + agreed + END).replace(ACCEPT, accept))
    if entry:
        if "does not read" in entry.name:
            wire.connection.settimeout(60)
        wire.play(entry)
        return
    for seq in range(int(re.search(rb"after=(\d+)", request)[1]) + 1, 4):
        wire.say(text(event(seq)))
    while True:
        time.sleep(0.3)
        wire.say(b"\x89\x00")


def test_hostile_servers():
    options = websocket.Options(compression=True)
    run((*ANSWERS, *FRAMES, *DEFLATED), partial(websocket.client, options=options), "/ws/t0", serve)


def test_a_bomb_takes_no_more_memory_than_a_message_may():
    tracemalloc.start()
    try:
        messages = Messages(Deflate())
        assert messages.feed(memoryview(frame(0xC1, BOMB))) == []
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert isinstance(messages.broken, ProtocolError)
    assert most < 3 * MAX_MESSAGE_BYTES
