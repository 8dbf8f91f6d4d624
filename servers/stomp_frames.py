"""STOMP frames, server side: bytes <-> ``Frame``, without I/O and with the standard library alone.

The rule: a frame means exactly one thing or is a ``ProtocolError``, at the byte that proves it. ``content-length`` is
believed and then checked for the NUL that has to follow, the first of repeated headers wins, escapes follow the
negotiated version, and every limit is checked before the bytes it bounds are kept. Source: STOMP 1.2
(stomp.github.io), "STOMP Frames", and its 1.1 and 1.0 forebears.

Two liberties, because clients take them and nothing becomes ambiguous: a line may end in CR LF in every version
(1.2's rule), and a value may hold a bare colon (the first one ends the name).
"""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass, field

V10, V11, V12 = "1.0", "1.1", "1.2"
VERSIONS = (V12, V11, V10)  # best first

# "CONNECT and CONNECTED frames do not escape the carriage return, line feed or colon octets in order to remain backward
# compatible with STOMP 1.0"; STOMP is handled "in the same manner as a CONNECT frame".
UNESCAPED = frozenset({"CONNECT", "STOMP", "CONNECTED"})
# "Only the SEND, MESSAGE, and ERROR frames MAY have a body"; 1.0: "The body of the SUBSCRIBE command is ignored". What
# an unknown command may have is not known; it is read, so that the command can be named.
_BODILESS = UNESCAPED | {
    "SUBSCRIBE", "UNSUBSCRIBE", "ACK", "NACK", "BEGIN", "COMMIT", "ABORT", "DISCONNECT", "RECEIPT",
}  # fmt: skip
BODILESS: Mapping[str, frozenset[str]] = {V12: _BODILESS, V11: _BODILESS, V10: _BODILESS - {"SUBSCRIBE"}}

# What stands for what on the wire. 1.0 has no escapes: a line feed would end the header, so it is sent as a space.
ESCAPES: Mapping[str, Mapping[str, str]] = {
    V12: {"\\": "\\\\", "\r": "\\r", "\n": "\\n", ":": "\\c"},
    V11: {"\\": "\\\\", "\n": "\\n", ":": "\\c"},
    V10: {"\r": " ", "\n": " "},
}
_ESCAPE = {version: str.maketrans(dict(table)) for version, table in ESCAPES.items()}
_UNESCAPE = {version: {written: read for read, written in ESCAPES[version].items()} for version in (V12, V11)}
_LF_OR_NUL = re.compile(rb"[\n\0]")
_SEQUENCE = re.compile(r"\\.?", re.DOTALL)
# Letters alone: HTTP's request line, a TLS hello and binary garbage are refused where they begin, not at their NUL.
_COMMAND = re.compile(r"[A-Za-z]{1,32}")
_COMMAND_BYTES = 64


class ProtocolError(Exception):
    """The peer's mistake: the ERROR frame's ``message``, further ``headers`` for it, and the ``receipt`` asked for.

    ``reason`` is what it is counted as in ``/stats``.
    """

    def __init__(
        self,
        message: str,
        headers: Mapping[str, str] | None = None,
        receipt: str | None = None,
        *,
        reason: str = "protocol_error",
    ) -> None:
        super().__init__(message)
        self.message = message
        self.headers = dict(headers or {})
        self.receipt = receipt
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame; header names and values unescaped, of repeated headers the first."""

    command: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a peer may send: headers per frame, bytes per line (command or header), bytes per body ("Size Limits")."""

    headers: int = 64
    line_bytes: int = 8192
    body_bytes: int = 1 << 20


def escape(text: str, version: str) -> str:
    """Escape a header's name or value as ``version`` has it."""
    return text.translate(_ESCAPE[version])


def unescape(text: str, version: str) -> str:
    """Undo ``escape``; ProtocolError on an escape that the version does not define ("a fatal protocol error")."""
    table = _UNESCAPE.get(version)
    if table is None or "\\" not in text:
        return text

    def read(match: re.Match[str]) -> str:
        if match[0] not in table:
            raise ProtocolError(f"undefined escape {match[0]!r} in a header; STOMP {version} has {' '.join(table)}")
        return table[match[0]]

    return _SEQUENCE.sub(read, text)


def encode(frame: Frame, version: str = V12) -> bytes:
    """Encode one frame, its NUL included. Headers are written as they are: ``content-length`` is the caller's."""
    version = V10 if frame.command in UNESCAPED else version
    lines = [frame.command]
    lines += [f"{escape(name, version)}:{escape(value, version)}" for name, value in frame.headers.items()]
    return "\n".join([*lines, "", ""]).encode() + frame.body + b"\0"


def parse_header(line: str, command: str, version: str) -> tuple[str, str]:
    """Read one header line; ProtocolError when it is none."""
    name, colon, value = line.partition(":")
    if not name or not colon:
        raise ProtocolError(f"header {line[:64]!r} is not of the form name:value")
    if command in UNESCAPED:
        return name, value
    if version == V10:
        return name, value.strip(" ")  # its examples have "destination: /queue/a"; from 1.1 on nobody trims
    if version == V12 and "\r" in line:
        raise ProtocolError(f"carriage return inside header {line[:64]!r}, expected it as \\r (Augmented BNF)")
    return unescape(name, version), unescape(value, version)


def parse_length(headers: Mapping[str, str], limit: int) -> int | None:
    """Read ``content-length``; None when there is none, ProtocolError when it is no number or too large."""
    text = headers.get("content-length")
    if text is None:
        return None
    # Bounded before int(): a number of a thousand digits is not worth converting.
    if not re.fullmatch(r"[0-9]{1,18}", text):
        raise ProtocolError(f"content-length is {text[:32]!r}, expected a number of bytes")
    if int(text) > limit:
        raise ProtocolError(f"content-length is {text}, the limit is {limit}", reason="body_too_big")
    return int(text)


class Decoder:
    """Turns a peer's bytes into frames, however they are cut.

    ``version`` may be set between frames: what follows CONNECT is read by what CONNECT agreed on, even out of the
    same ``feed``. EOLs between frames are heart-beats and give nothing. Exhaust each ``feed`` before the next; after a
    ProtocolError the decoder is spent.
    """

    __slots__ = ("_buffer", "_frames", "_inside", "_limits", "version")

    def __init__(self, limits: Limits | None = None, version: str = V12) -> None:
        self.version = version
        self._limits = limits or Limits()
        self._buffer = bytearray()
        self._inside = False  # a frame whose command has been read
        self._frames = self._read()

    @property
    def partial(self) -> bool:
        """Whether a frame has begun that has not ended."""
        return self._inside or bool(self._buffer)

    def feed(self, data: bytes) -> Iterator[Frame]:
        """Take bytes; yield the frames they complete. Raises ProtocolError behind the last good frame."""
        self._buffer += data
        while (frame := next(self._frames, None)) is not None:
            yield frame

    # The parser: a generator that gives None when it needs more bytes than there are.

    def _read(self) -> Iterator[Frame | None]:
        while True:
            command = yield from self._line(_COMMAND_BYTES, "command")
            if not command:
                continue  # a heart-beat, or an EOL behind the last frame's NUL
            if not _COMMAND.fullmatch(command):
                raise ProtocolError(f"command {command[:32]!r}, expected letters alone, like SEND")
            self._inside = True
            headers: dict[str, str] = {}
            try:
                body = yield from self._rest(command, headers)
            except ProtocolError as error:
                error.receipt = headers.get("receipt")
                raise
            self._inside = False
            yield Frame(command, headers, body)

    def _rest(self, command: str, headers: dict[str, str]) -> Generator[None, None, bytes]:
        limits, version = self._limits, self.version
        count = 0
        while line := (yield from self._line(limits.line_bytes, "header")):
            count += 1
            if count > limits.headers:
                raise ProtocolError(f"more than {limits.headers} headers in one frame", reason="header_too_big")
            name, value = parse_header(line, command, version)
            headers.setdefault(name, value)  # "only the first header entry SHOULD be used as the value"
        bodiless = command in BODILESS[version]
        length = parse_length(headers, 0 if bodiless else limits.body_bytes)
        return (yield from self._body(command, 0 if bodiless else length))

    def _line(self, limit: int, what: str) -> Generator[None, None, str]:
        scanned = 0
        while (end := _find(_LF_OR_NUL, self._buffer, scanned)) < 0 and len(self._buffer) <= limit:
            scanned = len(self._buffer)
            yield
        if not 0 <= end <= limit:
            raise ProtocolError(f"{what} of more than {limit} bytes", reason="header_too_big")
        if not self._buffer[end]:
            raise ProtocolError(f"NUL where a {what} was expected")
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 1]
        try:
            return line.removesuffix(b"\r").decode()
        except UnicodeDecodeError as error:
            raise ProtocolError(f"{what} is not UTF-8") from error

    def _body(self, command: str, length: int | None) -> Generator[None, None, bytes]:
        limit = self._limits.body_bytes
        if length is None:
            scanned = 0
            while (end := self._buffer.find(0, scanned)) < 0 and len(self._buffer) <= limit:
                scanned = len(self._buffer)
                yield
            if not 0 <= end <= limit:
                raise ProtocolError(f"body of more than {limit} bytes", reason="body_too_big")
        else:
            end = length
            while len(self._buffer) <= end:
                yield
            if self._buffer[end]:
                raise ProtocolError(f"no NUL behind {command} and its {length} bytes of body")
        body = bytes(self._buffer[:end])
        del self._buffer[: end + 1]
        return body


def _find(pattern: re.Pattern[bytes], buffer: bytearray, start: int) -> int:
    """As ``bytearray.find``, for a pattern; the match must be gone before the buffer can shrink."""
    match = pattern.search(buffer, start)
    return -1 if match is None else match.start()
