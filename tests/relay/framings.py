"""Where an event begins and ends: HTTP answers, SSE blocks in chunks, WebSocket frames, STOMP frames.

Each framing is a generator that reads what a server sends as if it were all there, and waits (``yield``) where it is
not. It reads as much of each protocol as our servers speak: bodies have a Content-Length or are chunked, lines of SSE
and STOMP end in LF, an event is one unfragmented, uncompressed WebSocket message. What it does not know passes as it
is; a fault that is asked for and never happens shows in the ledger.
"""

from __future__ import annotations

import json
import re
from collections.abc import Generator

from tests.relay.faults import Event, Meddler

Story = Generator[None, None, None]
Reading = Generator[None, None, bytes]

_LENGTH = re.compile(rb"(?i)\r\ncontent-length: *([0-9]+)")
_STOMP_LENGTH = re.compile(rb"\ncontent-length:([0-9]+)")
_EVENTS = b'{"events": ['


class Wire:
    """The bytes of one connection, server to client: ``feed`` takes what was read and returns what is to be written."""

    def __init__(self, meddler: Meddler, *, bare_stomp: bool) -> None:
        self.meddler = meddler
        self._unread = bytearray()
        self._out: list[bytes] = []
        self._story = stomp(self) if bare_stomp else http(self)
        next(self._story)

    def feed(self, data: bytes) -> list[bytes]:
        """Take bytes; return the pieces that go out, in order."""
        self._unread += data
        next(self._story)
        out, self._out = self._out, []
        return out

    def until(self, end: bytes) -> Reading:
        """Read up to and with ``end``."""
        while (at := self._unread.find(end)) < 0:
            yield
        return self._cut(at + len(end))

    def take(self, size: int) -> Reading:
        """Read ``size`` bytes."""
        while len(self._unread) < size:
            yield
        return self._cut(size)

    def send(self, *pieces: bytes) -> None:
        """Pass bytes on."""
        self._out.append(b"".join(pieces))

    def send_event(self, before: bytes, event: bytes, after: bytes) -> None:
        """Pass an event on, if it gets past the meddler."""
        self._out += [one.raw for one in self.meddler.pass_on(Event(before, event, after))]

    def _cut(self, size: int) -> bytes:
        data = bytes(self._unread[:size])
        del self._unread[:size]
        return data


def http(wire: Wire) -> Story:
    """Answers one after the other, until one does not end (RFC 9112, section 6)."""
    while True:
        head = yield from wire.until(b"\r\n\r\n")
        status, fields = int(head[9:12]), head.lower()
        if status == 101:
            wire.send(head)
            yield from websocket(wire, carries_stomp=b".stomp\r\n" in fields)
        elif b"transfer-encoding: chunked" in fields:
            wire.send(head)
            yield from sse(wire)
        elif status in (204, 304):
            wire.send(head)
        else:
            length = _LENGTH.search(head)
            body = yield from wire.take(int(length[1]) if length else 0)
            wire.send(*_answer(wire.meddler, head, body))


def sse(wire: Wire) -> Story:
    """Blocks that end in an empty line, in chunks of any size (WHATWG HTML 9.2; RFC 9112, section 7.1)."""
    text = b""
    while size := int((yield from wire.until(b"\r\n")), 16):
        text += (yield from wire.take(size + 2))[:-2]
        *blocks, text = text.split(b"\n\n")
        for block in blocks:
            chunk = b"%x\r\n" % (len(block) + 2)
            before, field, data = block.partition(b"\ndata: ")
            if field:
                wire.send_event(chunk + before + field, data, b"\n\n\r\n")
            else:
                wire.send(chunk, block, b"\n\n\r\n")
    wire.send(b"0\r\n", (yield from wire.until(b"\r\n")))


def websocket(wire: Wire, *, carries_stomp: bool) -> Story:
    """Frames (RFC 6455, section 5.2); a server's are not masked."""
    while True:
        head = yield from wire.take(2)
        size = head[1]
        if size > 125:
            longer = yield from wire.take(2 if size == 126 else 8)
            head, size = head + longer, int.from_bytes(longer)
        payload = yield from wire.take(size)
        if head[0] != 0x81:  # not a whole, plain text message
            wire.send(head, payload)
        elif not carries_stomp:
            wire.send_event(head, payload, b"")
        elif payload.startswith(b"MESSAGE\n") and payload.endswith(b"\0"):
            start = payload.index(b"\n\n") + 2
            wire.send_event(head + payload[:start], payload[start:-1], b"\0")
        else:
            wire.send(head, payload)


def stomp(wire: Wire) -> Story:
    """Frames over bare TCP, heart-beats between them (STOMP 1.2, Augmented BNF)."""
    while True:
        first = yield from wire.take(1)
        if first == b"\n":
            wire.send(first)
            continue
        head = first + (yield from wire.until(b"\n\n"))
        length = _STOMP_LENGTH.search(head)
        body = yield from wire.take(int(length[1]) + 1) if length else wire.until(b"\0")
        if head.startswith(b"MESSAGE\n"):
            wire.send_event(head, body[:-1], b"\0")
        else:
            wire.send(head, body)


def _answer(meddler: Meddler, head: bytes, body: bytes) -> tuple[bytes, bytes]:
    """Return a complete answer; a poll's with other events in it, and the length that makes. ``last`` stays."""
    if not body.startswith(_EVENTS):
        return head, body
    events, rest = _split(body)
    body = _EVENTS + b", ".join(event.json for event in meddler.pass_on_body(events)) + rest
    return _LENGTH.sub(b"\r\nContent-Length: %d" % len(body), head), body


def _split(body: bytes) -> tuple[list[Event], bytes]:
    """Cut a poll's body into its events and what follows them."""
    text = body.decode()
    decoder = json.JSONDecoder()
    at = len(_EVENTS)
    events = []
    while text[at] != "]":
        _, end = decoder.raw_decode(text, at)
        events.append(Event(b"", text[at:end].encode(), b""))
        at = end + len(", ") if text[end] == "," else end
    return events, text[at:].encode()
