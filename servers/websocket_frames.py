"""RFC 6455 frames, server side: bytes <-> messages, without I/O.

The rule: nothing malformed gets past ``Decoder``, and it is noticed at the first byte that proves it. A text message
is checked as UTF-8 while its fragments arrive, a length is refused before its payload is buffered, and a compressed
message is inflated only as far as the limit allows. What the peer did wrong is a ``ProtocolError`` with the close
code that says so; everything else is an event. Sections in the comments are RFC 6455's unless they name RFC 7692.
"""

from __future__ import annotations

import codecs
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
OPCODES = frozenset({CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG})

# Section 7.4.1 and the IANA registry. 1004 is reserved; 1005, 1006 and 1015 never travel.
NORMAL, GOING_AWAY, PROTOCOL_ERROR, UNSUPPORTED, INVALID_DATA = 1000, 1001, 1002, 1003, 1007
POLICY, TOO_BIG, INTERNAL_ERROR, TRY_AGAIN = 1008, 1009, 1011, 1013
CLOSE_CODES = frozenset({*range(1000, 1004), *range(1007, 1015), *range(3000, 5000)})

CONTROL_BYTES = 125  # section 5.5: a control frame's longest payload


class ProtocolError(Exception):
    """The peer broke the protocol: the close code to answer, and what was read against what was expected."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"{code}: {reason}")
        self.code = code
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Message:
    """A whole data message. ``data`` of a text message is valid UTF-8."""

    data: bytes
    text: bool


@dataclass(frozen=True, slots=True)
class Ping:
    """A ping; its payload is owed back in a pong (section 5.5.2)."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Pong:
    """A pong, asked for or not (section 5.5.3)."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Close:
    """The peer's close; ``code`` is None when the frame had no payload (section 5.5.1)."""

    code: int | None
    reason: str


Event = Message | Ping | Pong | Close


class Inflater(Protocol):
    """What ``Decoder`` asks of permessage-deflate (``servers.websocket_deflate``)."""

    def inflate(self, data: bytes, limit: int, *, last: bool) -> bytes:
        """Inflate a piece of a message to at most ``limit`` + 1 bytes; ``last`` ends the message."""


def mask_bytes(data: bytes, key: bytes) -> bytes:
    """XOR ``data`` with the four bytes of ``key``, repeated (section 5.3), as one big-integer operation."""
    size = len(data)
    keys = (key * (size // 4 + 1))[:size]
    return (int.from_bytes(data, "little") ^ int.from_bytes(keys, "little")).to_bytes(size, "little")


def encode(opcode: int, payload: bytes, *, fin: bool = True, rsv1: bool = False) -> bytes:
    """Encode one server frame: unmasked (section 5.1), in the shortest form of its length (section 5.2)."""
    first = fin << 7 | rsv1 << 6 | opcode
    size = len(payload)
    if size < 126:
        return bytes((first, size)) + payload
    if size < 1 << 16:
        return struct.pack("!BBH", first, 126, size) + payload
    return struct.pack("!BBQ", first, 127, size) + payload


def encode_close(code: int | None, reason: str = "") -> bytes:
    """Encode a close frame; a reason too long for a control frame is cut between characters. No code, no payload."""
    if code is None:
        return encode(CLOSE, b"")
    room = reason.encode()[: CONTROL_BYTES - 2].decode(errors="ignore").encode()
    return encode(CLOSE, code.to_bytes(2, "big") + room)


def parse_close(payload: bytes) -> Close:
    """Read a close frame's payload (sections 5.5.1, 7.4); ProtocolError when no endpoint may send it."""
    if not payload:
        return Close(None, "")
    if len(payload) == 1:
        raise ProtocolError(PROTOCOL_ERROR, "close payload of 1 byte; a code takes 2 (5.5.1)")
    code = int.from_bytes(payload[:2], "big")
    if code not in CLOSE_CODES:
        raise ProtocolError(PROTOCOL_ERROR, f"close code {code} must not be sent (7.4)")
    try:
        return Close(code, payload[2:].decode())
    except UnicodeDecodeError as error:
        raise ProtocolError(INVALID_DATA, "close reason is not UTF-8 (5.5.1)") from error


@dataclass(frozen=True, slots=True)
class Head:
    """One frame's head: ``size`` bytes on the wire, ``length`` bytes of payload behind it."""

    fin: bool
    rsv1: bool
    opcode: int
    length: int
    key: bytes
    size: int

    @property
    def control(self) -> bool:
        """Opcodes from 8 on are control frames (section 5.5)."""
        return self.opcode >= CLOSE


def parse_head(buffer: bytearray) -> Head | None:
    """Read a client's frame head from the start of ``buffer``; None while it is incomplete (section 5.2)."""
    if len(buffer) < 2:
        return None
    first, second = buffer[0], buffer[1]
    opcode, length = first & 0x0F, second & 0x7F
    if first & 0x30:
        raise ProtocolError(PROTOCOL_ERROR, "RSV2 or RSV3 is set; no extension that uses it was agreed (5.2)")
    if opcode not in OPCODES:
        raise ProtocolError(PROTOCOL_ERROR, f"opcode {opcode:#x} is reserved (5.2)")
    if not second & 0x80:
        raise ProtocolError(PROTOCOL_ERROR, "frame is not masked; a client masks every frame (5.1)")
    if opcode >= CLOSE and (length > CONTROL_BYTES or not first & 0x80):
        raise ProtocolError(PROTOCOL_ERROR, "control frame is fragmented or longer than 125 bytes (5.5)")
    extra = {126: 2, 127: 8}.get(length, 0)
    size = 2 + extra + 4
    if len(buffer) < size:
        return None
    if extra:
        form, length = length, int.from_bytes(buffer[2 : 2 + extra], "big")
        if length < (126 if form == 126 else 1 << 16) or length >> 63:
            raise ProtocolError(PROTOCOL_ERROR, f"length {length} is not in its shortest form, or has bit 63 set (5.2)")
    return Head(bool(first & 0x80), bool(first & 0x40), opcode, length, bytes(buffer[size - 4 : size]), size)


class Decoder:
    """Turns a client's bytes into events, however they are cut.

    ``max_bytes`` bounds one message (inflated). A ``feed`` that is not exhausted is continued by the next. After a
    Close, and after a ProtocolError, whatever follows is discarded (section 1.4: data behind a close frame means
    nothing).
    """

    __slots__ = ("_buffer", "_done", "_head", "_inflater", "_left", "_max", "_message", "_opcode", "_packed", "_utf8")

    def __init__(self, max_bytes: int, inflater: Inflater | None = None) -> None:
        self._max = max_bytes
        self._inflater = inflater
        self._buffer = bytearray()
        self._head: Head | None = None  # of the frame whose payload is being read
        self._left = 0  # bytes of it still to come
        self._opcode = CONTINUATION  # of the message being read; CONTINUATION between messages
        self._packed = False
        self._message = bytearray()
        self._utf8: codecs.IncrementalDecoder | None = None
        self._done = False

    @property
    def in_message(self) -> bool:
        """Whether a data message has begun and not ended."""
        return self._opcode != CONTINUATION

    @property
    def pending(self) -> bool:
        """Whether a message or a frame has begun and not ended."""
        return bool(self._buffer) or self._opcode != CONTINUATION or self._head is not None

    def feed(self, data: bytes) -> Iterator[Event | None]:
        """Take bytes; yield what they complete, None for a piece of a message that completes nothing.

        Raises ProtocolError behind the last good event.
        """
        if self._done:
            return
        self._buffer += data
        try:
            while (head := self._head or self._next_head()) is not None:
                if len(self._buffer) < (head.length if head.control else min(self._left, 1)):
                    return
                event = self._control(head) if head.control else self._payload(head)
                if isinstance(event, Close):
                    self._end()
                yield event
                if self._done:
                    return
        except ProtocolError:
            self._end()
            raise

    def _end(self) -> None:
        self._done = True
        self._opcode, self._head = CONTINUATION, None
        self._buffer.clear()
        self._message.clear()

    def _next_head(self) -> Head | None:
        head = parse_head(self._buffer)
        if head is not None:
            self._check(head)
            del self._buffer[: head.size]
            self._head, self._left = head, head.length
        return head

    def _take(self, size: int) -> bytes:
        piece = bytes(self._buffer[:size])
        del self._buffer[:size]
        return piece

    def _check(self, head: Head) -> None:
        """Check a head against the message it belongs to (sections 5.2, 5.4; RFC 7692, 6)."""
        if head.rsv1 and (self._inflater is None or head.opcode not in (TEXT, BINARY)):
            raise ProtocolError(PROTOCOL_ERROR, "RSV1 is set where no compressed message can begin (RFC 7692, 6)")
        if head.control:
            return
        if head.opcode == CONTINUATION:
            if self._opcode == CONTINUATION:
                raise ProtocolError(PROTOCOL_ERROR, "continuation frame without a message to continue (5.4)")
        elif self._opcode != CONTINUATION:
            raise ProtocolError(PROTOCOL_ERROR, "new data frame inside a fragmented message (5.4)")
        else:
            self._opcode, self._packed = head.opcode, head.rsv1
            self._utf8 = codecs.getincrementaldecoder("utf-8")() if head.opcode == TEXT else None
        # A compressed payload is inflated as it arrives and bounded there; its own length says nothing.
        if not self._packed and len(self._message) + head.length > self._max:
            raise self._too_big()

    def _payload(self, head: Head) -> Event | None:
        """Take what is here of a data frame's payload, and finish the message if that was all of it."""
        offset = head.length - self._left & 3
        piece = self._take(self._left)
        self._left -= len(piece)
        whole = not self._left
        last = whole and head.fin
        data = mask_bytes(piece, head.key[offset:] + head.key[:offset])
        room = self._max - len(self._message)
        if self._packed and self._inflater is not None:
            data = self._inflater.inflate(data, room, last=last)
        too_big = len(data) > room
        if self._utf8 is not None:
            try:
                self._utf8.decode(data[:room] if too_big else data, last and not too_big)
            except UnicodeDecodeError as error:
                raise ProtocolError(INVALID_DATA, f"text is not UTF-8: {error.reason} (8.1)") from error
        if too_big:
            raise self._too_big()
        self._message += data
        if whole:
            self._head = None
        return self._finish() if last else None

    def _control(self, head: Head) -> Ping | Pong | Close:
        self._head = None
        payload = mask_bytes(self._take(head.length), head.key)
        if head.opcode == PING:
            return Ping(payload)
        return Pong(payload) if head.opcode == PONG else parse_close(payload)

    def _finish(self) -> Message:
        message = Message(bytes(self._message), text=self._opcode == TEXT)
        self._message.clear()
        self._opcode = CONTINUATION
        self._utf8 = None
        return message

    def _too_big(self) -> ProtocolError:
        return ProtocolError(TOO_BIG, f"message of more than {self._max} bytes")
