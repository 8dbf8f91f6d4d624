"""Hostile brokers against the STOMP client, over TCP and over WebSocket."""

import base64
import hashlib
import re
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from loadtests.clients import stomp
from tests.loadtests.hostile.http_table import CUT
from tests.loadtests.hostile.rig import Entry, Wire, run
from tests.loadtests.hostile.stomp_table import CONNECT, CONNECTED, GONE, RECEIPT, SUBSCRIBED, TOO_LATE, message

SWITCH = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: %b\r\nSec-WebSocket-Protocol: v12.stomp\r\n\r\n"
)
# What the upgrade is answered with: before all the rest, which is then at stages 1 and 2.
UPGRADE = (
    Entry("upgrade: silence", b"", TOO_LATE),
    Entry("upgrade: the end", b"", CUT, "end"),
    Entry("upgrade: a reset", b"", GONE, "reset"),
    Entry("upgrade: half a head, then a reset", SWITCH[:40], GONE, "reset"),
    Entry("upgrade: a 200",
          b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n", r"answered HTTP/1.1 200 OK \(text/html\)"),
    Entry("upgrade: a 404", b"HTTP/1.1 404 Not Found\r\n\r\n", "answered HTTP/1.1 404 Not Found"),
    Entry("upgrade: a 503", b"HTTP/1.1 503 No\r\nRetry-After: x\r\n\r\n", "answered HTTP/1.1 503 No"),
    Entry("upgrade: a 401", b"HTTP/1.1 401 No\r\n\r\n", "answered HTTP/1.1 401 No"),
    Entry("upgrade: a circle", b"HTTP/1.1 302 Found\r\nLocation: /stomp\r\n\r\n", "in a circle"),
    Entry("upgrade: a wrong accept", SWITCH % b"x", "protocol error: upgrade: .*Accept"),
    Entry("upgrade: no subprotocol's name", SWITCH.replace(b"v12.stomp", b"chat") % b"x", "protocol error: upgrade"),
    Entry("upgrade: an extension nobody offered",
          SWITCH[:-2] % b"x" + b"Sec-WebSocket-Extensions: x\r\n\r\n", "upgrade"),
    Entry("upgrade: an endless head", (b"HTTP/1.1 101 OK\r\n", b"X: y\r\n" * 99), "over 64 KiB", "endless"),
    Entry("upgrade: endless interim answers", (b"HTTP/1.1 100 Continue\r\n\r\n" * 99,), TOO_LATE, "endless"),
    Entry("upgrade: no HTTP", b"SSH-2.0-OpenSSH_9.6\r\n\r\n", "answered SSH-2.0-OpenSSH_9.6"),
    Entry("upgrade: two accepts", SWITCH[:-2] % b"x" + b"Sec-WebSocket-Accept: y\r\n\r\n", "protocol error: upgrade"),
)  # fmt: skip


def framed(data: bytes) -> bytes:
    """One message from a server: binary, because what a broker sends badly need not be UTF-8."""
    if len(data) < 126:
        return b"\x82%c%b" % (len(data), data)
    if len(data) < 1 << 16:
        return b"\x82\x7e%b%b" % (len(data).to_bytes(2, "big"), data)
    return b"\x82\x7f%b%b" % (len(data).to_bytes(8, "big"), data)


def broker(hear: Callable[[bytes], bytes], say: Callable[[bytes], None], stage: int) -> None:
    """Converse up to a stage: CONNECT heard; subscribed; or for good, with every event (a stage beyond)."""
    hear(b"CONNECT\n")
    hear(b"\0")
    if stage == 0:
        return
    say(CONNECTED)
    after = int(re.search(rb"after:(\d+)", hear(b"\0"))[1])
    say(RECEIPT)
    if stage == 1:
        return
    for seq in range(after + 1, 4):
        say(message(seq))
    while True:
        time.sleep(0.3)
        say(b"\n")


def serve_tcp(wire: Wire, entry: Entry | None) -> None:
    """Bytes are bytes."""
    broker(wire.hear, wire.say, entry.stage if entry else 9)
    if entry:
        wire.play(entry)


def serve_websocket(wire: Wire, entry: Entry | None) -> None:
    """A piece is a message; what the client says is unmasked as it comes."""
    request = wire.hear(b"\r\n\r\n")
    if entry and entry.stage == 0:
        wire.play(entry)
        return
    key = re.search(rb"Sec-WebSocket-Key: (\S+)", request)[1]
    wire.say(SWITCH % base64.b64encode(hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()))
    said = bytearray()

    def hear(end: bytes) -> bytes:
        while end not in said:
            said.extend(unmasked(wire))
        heard, _, rest = bytes(said).partition(end)
        said[:] = rest
        return heard + end

    broker(hear, lambda data: wire.say(framed(data)), entry.stage - 1 if entry else 9)
    if entry:
        wire.play(entry, framed)


def unmasked(wire: Wire) -> bytes:
    """The next message of the client's."""
    head = wire.take(2)
    length = head[1] & 0x7F
    if length == 126:
        length = int.from_bytes(wire.take(2), "big")
    key, data = wire.take(4), wire.take(length)
    if head[0] & 15 == 8:
        raise EOFError
    return bytes(byte ^ key[at % 4] for at, byte in enumerate(data))


def test_over_tcp():
    run((*CONNECT, *SUBSCRIBED), partial(stomp.client, options=stomp.Options()), "", serve_tcp)


def test_over_websocket():
    later = [replace(entry, stage=entry.stage + 1) for entry in (*CONNECT, *SUBSCRIBED)]
    run((*UPGRADE, *later), partial(stomp.client, options=stomp.Options()), "/stomp", serve_websocket)
