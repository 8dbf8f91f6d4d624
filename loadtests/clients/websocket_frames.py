"""WebSocket frames from the client's side: what a server sends becomes messages, what we send, frames. No I/O.

The rule: a plain, unfragmented text frame that lies whole in the view just read is handed on as a slice of that view;
everything else (control frames, fragments, deflate, frames cut by a read) is copied and takes the general path. Both
enforce the same clauses of RFC 6455 and RFC 7692 and name them; a frame is refused as soon as its header is read, and
what came whole before it is returned whichever way the bytes were cut.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2s
from itertools import count

from loadtests.clients import ProtocolError

__all__ = [
    "BINARY",
    "CLOSE",
    "PING",
    "PONG",
    "TEXT",
    "Deflate",
    "FrameError",
    "Message",
    "Messages",
    "encode",
    "masking_keys",
    "parse_close",
]

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
_NAMES = {CONTINUATION: "continuation", TEXT: "text", BINARY: "binary", CLOSE: "close", PING: "ping", PONG: "pong"}
_FIN, _RSV1, _RSV23, _MASKED = 0x80, 0x40, 0x30, 0x80
_PLAIN_TEXT = _FIN | TEXT

# The longer length fields: what the seven bits hold then, how they are packed, the least they may hold (5.2).
_LENGTHS = {126: (struct.Struct("!H"), 126), 127: (struct.Struct("!Q"), 65536)}

# RFC 6455 7.4 and IANA's registry: 1004, 1005, 1006 and 1015 never stand in a frame; 3000-4999 are open.
_CLOSE_CODES = frozenset({1000, 1001, 1002, 1003, *range(1007, 1015)})

_INVALID_DATA, _TOO_BIG = 1007, 1009
_TAIL = b"\0\0\xff\xff"  # every message's, which does not travel (RFC 7692 7.2.1)
_FINAL_BLOCKS = 32  # that one message may have; each costs a new stream

MAX_MESSAGE_BYTES = 16 * 2**20

Message = tuple[int, memoryview | bytes]
"""Opcode (TEXT, BINARY, CLOSE, PING or PONG) and payload; a view is valid as long as the one it was cut from."""


class FrameError(ProtocolError):
    """What a server must not send, and the close code that says so when it is not 1002 (RFC 6455 7.4.1)."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class Deflate:
    """What was agreed for the server's messages (RFC 7692 7.1): window bits (8-15), and whether each starts afresh."""

    window_bits: int = 15
    no_context_takeover: bool = False


class _Inflater:
    """Decompresses the messages of one connection (RFC 7692 7.2.2)."""

    __slots__ = ("_agreed", "_context")

    def __init__(self, agreed: Deflate) -> None:
        self._agreed = agreed
        self._context: zlib._Decompress | None = None  # kept between messages only when the context is taken over

    def inflate(self, payload: bytes, limit_bytes: int) -> bytes:
        """Return a message's plain payload; ``FrameError`` when it does not inflate or exceeds ``limit_bytes``."""
        window_bits = self._agreed.window_bits
        plain, pending = b"", payload + _TAIL
        for _ in range(_FINAL_BLOCKS):
            stream = self._context or zlib.decompressobj(-window_bits)
            try:
                plain += stream.decompress(pending, limit_bytes - len(plain) + 1)
            except zlib.error as error:
                what = f"compressed message of {len(payload)} bytes: {error} (RFC 7692 7.2.2)"
                raise FrameError(what, _INVALID_DATA) from error
            if len(plain) > limit_bytes:
                raise FrameError(f"message of {len(payload)} bytes inflates to over {limit_bytes} bytes", _TOO_BIG)
            if not stream.eof:
                break
            # A final block ends zlib's stream, but neither the message nor the window (RFC 7692 7.2.3.4).
            pending = stream.unused_data
            self._context = zlib.decompressobj(-window_bits, zdict=plain[-(1 << window_bits) :])
        else:
            raise FrameError(f"over {_FINAL_BLOCKS} final DEFLATE blocks in a message", _INVALID_DATA)
        self._context = None if self._agreed.no_context_takeover else stream
        return plain


def single(view: memoryview) -> memoryview | None:
    """Return the payload when ``view`` is one whole plain text frame and nothing else, as it nearly always is.

    The short cut past ``Messages.feed``, for when that is idle. It does not look whether the payload is UTF-8: whoever
    finds no intact event in it asks ``feed``.
    """
    size = len(view)
    if size < 4 or view[0] != _PLAIN_TEXT:
        return None
    length = view[1]
    if length == 126:
        return view[4:] if size == (view[2] << 8 | view[3]) + 4 > 129 else None
    return view[2:] if size == length + 2 < 128 else None


class Messages:
    """Turn what a server sends after the handshake into messages, whichever way it was cut.

    ``limit_bytes`` bounds a message, compressed as well as plain. ``broken`` is the server's mistake, from then on
    nothing is read; nor is anything behind its close frame, which means nothing (RFC 6455 1.4).
    """

    __slots__ = ("_closed", "_deflated", "_fragments", "_inflater", "_kind", "_limit", "_need", "_rest", "broken")

    def __init__(self, deflate: Deflate | None = None, limit_bytes: int = MAX_MESSAGE_BYTES) -> None:
        self._inflater = _Inflater(deflate) if deflate else None
        self._limit = limit_bytes
        self._rest = bytearray()  # the beginning of a frame that is not complete yet
        self._need = 2  # bytes of it to gather before looking again: its header, then its end
        self._fragments = bytearray()  # the payload of a fragmented message so far
        self._kind = CONTINUATION  # that message's opcode; CONTINUATION when there is none
        self._deflated = False
        self._closed = False  # whether there is nothing more to read
        self.broken: ProtocolError | None = None

    @property
    def idle(self) -> bool:
        """Whether the next byte begins a message."""
        return not (self._rest or self._kind or self._closed)

    def feed(self, view: memoryview) -> list[Message]:
        """Return the messages that ``view`` completes, in order; what a server must not send ends in ``broken``."""
        messages: list[Message] = []
        try:
            self._feed(view, messages)
        except ProtocolError as error:
            self.broken, self._closed = error, True
            self._rest.clear()
            self._fragments.clear()
        return messages

    def _feed(self, view: memoryview, messages: list[Message]) -> None:
        at, size, limit = 0, len(view), self._limit
        while not self._closed:
            if not self._rest and self._kind == CONTINUATION:
                while size - at >= 4 and view[at] == _PLAIN_TEXT:
                    length = view[at + 1]
                    start = at + 2
                    if length == 126:
                        length = view[at + 2] << 8 | view[at + 3]
                        start = at + 4
                        if length < 126:
                            break  # a mistake: the general path says which
                    elif length > 126:
                        break  # 64-bit length, or masked
                    end = start + length
                    if end > size or length > limit:
                        break
                    payload = view[start:end]
                    try:
                        str(payload, "utf-8")
                    except UnicodeDecodeError as error:
                        raise _not_utf8(payload, error) from error
                    messages.append((TEXT, payload))
                    at = end
            if at == size:
                return
            piece = view[at : at + self._need - len(self._rest)]
            self._rest += piece
            at += len(piece)
            if len(self._rest) == self._need:
                self._look(messages)

    def _look(self, messages: list[Message]) -> None:
        """Read the header in ``_rest``, or take the complete frame out of it."""
        rest = self._rest
        if self._need == 2:
            self._check_start(rest[0], rest[1])
        start = 2 + (_LENGTHS[rest[1]][0].size if rest[1] in _LENGTHS else 0)
        if len(rest) < start:
            self._need = start
            return
        end = start + self._length()
        if len(rest) < end:
            self._need = end
            return
        message = self._frame(rest[0], bytes(rest[start:]))
        if message:
            messages.append(message)
        rest.clear()
        self._need = 2

    def _check_start(self, first: int, second: int) -> None:
        """Refuse the first two bytes of a frame that cannot stand here."""
        self._check_first(first)
        if second & _MASKED:
            raise ProtocolError("masked frame from the server (RFC 6455 5.1)")
        if first & 0x8 and second > 125:
            raise ProtocolError(f"{_NAMES[first & 0xF]} frame of over 125 bytes (RFC 6455 5.5)")

    def _length(self) -> int:
        """Return the payload length that the complete header in ``_rest`` holds, checked."""
        first, length = self._rest[0], self._rest[1]
        if length in _LENGTHS:
            field, least = _LENGTHS[length]
            (length,) = field.unpack_from(self._rest, 2)
            if length < least:
                raise ProtocolError(f"length {length} in {field.size} bytes, expected the shortest form (RFC 6455 5.2)")
            if length >> 63:
                raise ProtocolError(f"length {length} has its most significant bit set (RFC 6455 5.2)")
        size = length if first & 0x8 else len(self._fragments) + length
        if size > self._limit:
            raise FrameError(f"message of at least {size} bytes, expected at most {self._limit}", _TOO_BIG)
        return length

    def _check_first(self, first: int) -> None:
        """Refuse a first byte that cannot stand here: reserved bits and opcodes, fragments out of order."""
        opcode, final = first & 0xF, first & _FIN
        if opcode not in _NAMES:
            raise ProtocolError(f"reserved opcode 0x{opcode:x} (RFC 6455 5.2)")
        name = _NAMES[opcode]
        if first & _RSV23 or (first & _RSV1 and (self._inflater is None or opcode not in (TEXT, BINARY))):
            raise ProtocolError(f"reserved bits 0x{first & 0x70:02x} in a {name} frame (RFC 6455 5.2, RFC 7692 6)")
        if opcode & 0x8:
            if not final:
                raise ProtocolError(f"fragmented {name} frame (RFC 6455 5.5)")
        elif opcode == CONTINUATION and self._kind == CONTINUATION:
            raise ProtocolError("continuation frame without a message to continue (RFC 6455 5.4)")
        elif CONTINUATION not in (opcode, self._kind):
            raise ProtocolError(f"{name} frame inside a fragmented {_NAMES[self._kind]} message (RFC 6455 5.4)")

    def _frame(self, first: int, payload: bytes) -> Message | None:
        """Return the message that this frame completes, if it does."""
        opcode = first & 0xF
        if opcode & 0x8:
            self._closed = opcode == CLOSE
            return opcode, payload
        if opcode != CONTINUATION:
            self._kind = opcode
            self._deflated = bool(first & _RSV1)
        if not first & _FIN:
            self._fragments += payload
            return None
        if self._fragments:
            payload = bytes(self._fragments) + payload
            self._fragments.clear()
        kind, self._kind = self._kind, CONTINUATION
        if self._deflated and self._inflater:
            payload = self._inflater.inflate(payload, self._limit)
        if kind == TEXT:
            try:
                str(payload, "utf-8")
            except UnicodeDecodeError as error:
                raise _not_utf8(payload, error) from error
        return kind, payload


def _not_utf8(payload: memoryview | bytes, error: UnicodeDecodeError) -> FrameError:
    what = f"text message of {len(payload)} bytes: {error.reason} at {error.start} (RFC 6455 8.1)"
    return FrameError(what, _INVALID_DATA)


def parse_close(payload: bytes | memoryview) -> tuple[int, str]:
    """Return the code and reason of a close frame's payload; (1005, "") when it has none (RFC 6455 7.1.5)."""
    if not payload:
        return 1005, ""
    if len(payload) == 1:
        raise ProtocolError("close frame of 1 byte, expected none or a code of 2 (RFC 6455 5.5.1)")
    code = payload[0] << 8 | payload[1]
    if code not in _CLOSE_CODES and not 3000 <= code < 5000:
        raise ProtocolError(f"close code {code}, expected 1000-1003, 1007-1014 or 3000-4999 (RFC 6455 7.4)")
    try:
        return code, str(payload[2:], "utf-8")
    except UnicodeDecodeError as error:
        what = f"close reason: {error.reason} at {error.start} (RFC 6455 5.5.1)"
        raise FrameError(what, _INVALID_DATA) from error


def masking_keys(seed: int) -> Iterator[bytes]:
    """Yield masking keys: unpredictable on the wire (RFC 6455 5.3), the same for the same seed, and small to hold."""
    key = seed.to_bytes(16, "big", signed=True)
    for number in count():
        yield blake2s(number.to_bytes(8, "big"), digest_size=4, key=key).digest()


def encode(opcode: int, payload: bytes, masking_key: bytes) -> bytes:
    """Return one final, masked, uncompressed frame (RFC 6455 5.2; RFC 7692 6 lets any message go uncompressed)."""
    size = len(payload)
    if size < 126:
        header = bytes((_FIN | opcode, _MASKED | size))
    else:
        code = 126 if size < 65536 else 127
        header = bytes((_FIN | opcode, _MASKED | code)) + _LENGTHS[code][0].pack(size)
    # One exclusive-or of two long integers instead of a loop over bytes.
    mask = int.from_bytes((masking_key * (size // 4 + 1))[:size], "big")
    return header + masking_key + (int.from_bytes(payload, "big") ^ mask).to_bytes(size, "big")
