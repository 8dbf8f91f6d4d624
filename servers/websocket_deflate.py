"""permessage-deflate, server side: negotiation and the two streams, without I/O (RFC 7692, section 7).

The rule: an offer is taken whole or declined whole. One with an unknown parameter, a repeated one or a bad value is
passed over and the client's next one is tried; none acceptable means no compression, not a refusal. Frames
compressed without context takeover depend on nothing but the agreed window, so one of them serves every subscriber
that agreed on the same.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial

from servers.websocket_frames import INVALID_DATA, ProtocolError

NAME = "permessage-deflate"
TAIL = b"\x00\x00\xff\xff"  # section 7.2.1: a sync flush ends in it, and it does not travel
EMPTY = b"\x00"  # section 7.2.3.6: an empty message
FINAL_BLOCKS = 32  # streams that one message may end; each costs a new one, so thousands would be an attack
WINDOW_BITS = 15  # what both sides may use when nothing is agreed

Parameters = list[tuple[str, str | None]]


@dataclass(frozen=True, slots=True)
class Settings:
    """How the server compresses. Levels and bits are zlib's; ``min_bytes`` is the smallest payload worth compressing.

    ``window_bits`` (9-15) bounds the server's window, ``client_window_bits`` (8-15) asks clients that can to bound
    theirs.
    """

    level: int = 6
    memory_level: int = 5
    window_bits: int = 12
    client_window_bits: int = 12
    no_context_takeover: bool = False
    min_bytes: int = 64


@dataclass(frozen=True, slots=True)
class Agreement:
    """What was negotiated, and ``answer``, the value of the response's ``Sec-WebSocket-Extensions``."""

    answer: str
    server_window_bits: int
    client_window_bits: int
    server_no_context_takeover: bool
    client_no_context_takeover: bool


def _flag(value: str | None) -> int | None:
    """A parameter without a value (sections 7.1.1.1, 7.1.1.2)."""
    return 1 if value is None else None


def _bits(value: str | None) -> int | None:
    """A decimal integer from 8 to 15 without leading zeros (section 7.1.2)."""
    return int(value) if value is not None and re.fullmatch(r"[89]|1[0-5]", value) else None


def _bits_or_none(value: str | None) -> int | None:
    """As ``_bits``; without a value it only says that the client can (section 7.1.2.2)."""
    return WINDOW_BITS if value is None else _bits(value)


PARAMETERS: dict[str, Callable[[str | None], int | None]] = {
    "server_no_context_takeover": _flag,
    "client_no_context_takeover": _flag,
    "server_max_window_bits": _bits,
    "client_max_window_bits": _bits_or_none,
}


def _read_offer(parameters: Parameters) -> dict[str, int] | None:
    """Read one offer's parameters; None when section 7.1 has it declined."""
    offer: dict[str, int] = {}
    for name, text in parameters:
        read = PARAMETERS.get(name)
        value = None if read is None or name in offer else read(text)
        if value is None:
            return None
        offer[name] = value
    return offer


def _accept(offer: dict[str, int], settings: Settings) -> Agreement | None:
    """Answer one well-formed offer (sections 7.1.1, 7.1.2); None when it asks for what zlib cannot do."""
    server_bits = min(offer.get("server_max_window_bits", WINDOW_BITS), settings.window_bits)
    if server_bits < 9:  # zlib has no raw deflate with a window of 256 bytes; a larger one would break the promise
        return None
    # A client that does not say it can bound its window must not be told to (section 7.1.2.2).
    can_bound = "client_max_window_bits" in offer
    client_bits = min(offer["client_max_window_bits"], settings.client_window_bits) if can_bound else WINDOW_BITS
    server_reset = "server_no_context_takeover" in offer or settings.no_context_takeover
    client_reset = "client_no_context_takeover" in offer or settings.no_context_takeover
    answer = [NAME]
    if server_reset:
        answer.append("server_no_context_takeover")
    if client_reset:
        answer.append("client_no_context_takeover")
    if "server_max_window_bits" in offer or server_bits < WINDOW_BITS:
        answer.append(f"server_max_window_bits={server_bits}")
    if can_bound and client_bits < WINDOW_BITS:
        answer.append(f"client_max_window_bits={client_bits}")
    return Agreement("; ".join(answer), server_bits, client_bits, server_reset, client_reset)


def negotiate(offers: Iterable[tuple[str, Parameters]], settings: Settings | None) -> Agreement | None:
    """Take the first offer of permessage-deflate that can be taken; None without one, or when compression is off."""
    if settings is None:
        return None
    for name, parameters in offers:
        offer = _read_offer(parameters) if name == NAME else None
        agreement = None if offer is None else _accept(offer, settings)
        if agreement is not None:
            return agreement
    return None


class Deflater:
    """Compresses messages; keeps its window between them unless ``no_context_takeover`` (section 7.2.1)."""

    __slots__ = ("_keep", "_make", "_stream")

    def __init__(self, settings: Settings, window_bits: int, *, no_context_takeover: bool) -> None:
        self._make = partial(zlib.compressobj, settings.level, zlib.DEFLATED, -window_bits, settings.memory_level)
        self._keep = not no_context_takeover
        self._stream: zlib._Compress | None = None

    def deflate(self, data: bytes) -> bytes:
        """Compress one message."""
        stream = self._stream or self._make()
        if self._keep:
            self._stream = stream
        # A flush with nothing new to flush gives nothing, where section 7.2.3.6 wants one byte.
        return (stream.compress(data) + stream.flush(zlib.Z_SYNC_FLUSH)).removesuffix(TAIL) or EMPTY


class InflateStream:
    """Inflates messages, piece by piece and never further than it is told (section 7.2.2)."""

    __slots__ = ("_bits", "_finals", "_keep", "_stream", "_window")

    def __init__(self, window_bits: int, *, no_context_takeover: bool) -> None:
        self._bits = window_bits
        self._keep = not no_context_takeover
        self._finals = 0  # of the message so far
        self._window = b""  # what a new stream has to know
        self._stream: zlib._Decompress | None = None

    def inflate(self, data: bytes, limit: int, *, last: bool) -> bytes:
        """Inflate a piece of a message to at most ``limit`` + 1 bytes, of which the last says that there is more.

        ``last`` ends the message. Raises ProtocolError when it is no deflate.
        """
        pending = data + TAIL if last else data
        out, size = b"", 1 << self._bits
        while True:
            stream = self._stream = self._stream or zlib.decompressobj(-self._bits)
            try:
                out += stream.decompress(pending, limit - len(out) + 1)
            except zlib.error as error:
                raise ProtocolError(INVALID_DATA, f"message is not raw deflate: {error}") from error
            if len(out) > limit or not stream.eof:
                break
            # A block with BFINAL ends zlib's stream but not the message (section 7.2.3.4).
            self._finals += 1
            if self._finals > FINAL_BLOCKS:
                raise ProtocolError(INVALID_DATA, f"more than {FINAL_BLOCKS} deflate streams in a message")
            pending = stream.unused_data
            self._stream = zlib.decompressobj(-self._bits, zdict=(self._window + out)[-size:])
        self._window = (self._window + out)[-size:]
        if last:
            self._finals = 0
            if not self._keep:
                self._stream, self._window = None, b""
        return out
