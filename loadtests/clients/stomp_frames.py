"""STOMP frames from the client's side: what a server sends becomes frames, what we send becomes bytes. No I/O.

The rule: a MESSAGE whole in the view just read, with a content-length, ASCII values and its headers in the order of
the one before it, is recognised by one regular expression, and its body is a slice of that view. Everything else takes
the general path. Both find the same frames and refuse the same bytes. Source: STOMP 1.2 and its predecessors 1.1 and
1.0 ("Augmented BNF", "Value Encoding", "Heart-beating"); what differs between them is a row of ``_VERSIONS``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType

from loadtests.clients import ProtocolError

__all__ = ["SUBSCRIPTION", "VERSIONS", "Frame", "Frames", "encode"]

SUBSCRIPTION = "0"
MAX_HEAD_BYTES = 64 * 2**10
MAX_BODY_BYTES = 16 * 2**20

Frame = tuple[str, Mapping[str, str], memoryview | bytes]
"""Command, headers (empty for a MESSAGE from the lean path: they have been checked) and body."""


@dataclass(frozen=True, slots=True)
class _Version:
    """How one version of the protocol writes lines and values; ``escapes`` by the character behind the backslash."""

    blank_line: re.Pattern[bytes]
    carriage_return: bool  # may stand before a line feed
    escapes: Mapping[str, str]


_LF, _CRLF = re.compile(rb"\n\n"), re.compile(rb"\n\r?\n")
_UNESCAPE_1_1 = {"n": "\n", "c": ":", "\\": "\\"}
_VERSIONS = {
    # Before CONNECTED no version has been agreed; CONNECT and CONNECTED are never escaped (1.2, Value Encoding).
    "": _Version(_CRLF, carriage_return=True, escapes={}),
    "1.0": _Version(_LF, carriage_return=False, escapes={}),
    "1.1": _Version(_LF, carriage_return=False, escapes=_UNESCAPE_1_1),
    "1.2": _Version(_CRLF, carriage_return=True, escapes={**_UNESCAPE_1_1, "r": "\r"}),
}
VERSIONS = ("1.2", "1.1", "1.0")

# The server's frames, and the headers each of them must have (1.2, Frames and Headers).
_REQUIRED = {
    "CONNECTED": (),
    "MESSAGE": ("destination", "message-id", "subscription"),
    "RECEIPT": ("receipt-id",),
    "ERROR": (),
}


_CHECKED: Mapping[str, str] = MappingProxyType({})
_COMMAND_BYTES = 16  # more than the longest command and its EOL
_STEP_BYTES = 4096  # looked at together on the general path; what a frame leaves of it is looked at again
_Head = tuple[str, Mapping[str, str], int | None]  # command, headers, content-length
_Usual = tuple[Callable[[memoryview | bytes, int], re.Match[bytes] | None], int, int]


class Frames:
    """Turn the bytes of one connection, whichever way they were cut, into the frames of one subscription.

    ``destination`` is what every MESSAGE must name, ``versions`` what was offered. ``lean=False`` keeps the headers of
    every MESSAGE (for acknowledging). ``version`` is the agreed one, empty until CONNECTED; ``beats`` counts the EOLs
    between frames, for the caller to take and reset.
    """

    __slots__ = (
        "_destination",
        "_head",
        "_lean",
        "_rest",
        "_scanned",
        "_start",
        "_usual",
        "_versions",
        "beats",
        "version",
    )

    def __init__(self, destination: str, versions: tuple[str, ...] = VERSIONS, *, lean: bool = True) -> None:
        self._destination = destination.encode()
        self._versions = versions
        self._lean = lean
        self._usual: _Usual | None = None  # recognises a MESSAGE whose headers are ordered like the last one's
        self._rest = bytearray()  # the beginning of a frame that is not complete yet
        self._scanned = 0  # how much of it was searched in vain: a long frame in small reads stays linear
        self._head: _Head | None = None  # when it is complete
        self._start = 0  # of the body in ``_rest``
        self.version = ""
        self.beats = 0

    def feed(self, view: memoryview | bytes) -> list[Frame]:
        """Return the frames that ``view`` completes, in order.

        Raises ``ProtocolError`` at what a server must not send; nothing of that view is returned then.
        """
        frames: list[Frame] = []
        at, size = 0, len(view)
        while at < size:
            if self._usual and not self._rest:
                match, destination, length = self._usual
                while at < size:
                    found = match(view, at)
                    if found is None:
                        if view[at] != 0x0A:
                            break
                        at += 1
                        self.beats += 1
                        continue
                    named, digits = found.group(destination, length)
                    start = found.end()
                    end = start + int(digits)
                    if end >= size or view[end] or named != self._destination:
                        break  # not complete, or a mistake: the general path says which
                    frames.append(("MESSAGE", _CHECKED, view[start:end]))
                    at = end + 1
                else:
                    break
            piece = view[at : at + max(_STEP_BYTES, self._missing())]
            self._rest += piece
            at += len(piece)
            if end := self._frame_end():
                frames.append(self._frame(end))
                at -= len(self._rest) - end
                self._rest.clear()
        return frames

    def _missing(self) -> int:
        """Return how many bytes the frame in ``_rest`` is known to need still."""
        if self._head is None or self._head[2] is None:
            return 0
        return self._start + self._head[2] + 1 - len(self._rest)

    def _frame_end(self) -> int:
        """Return where the frame in ``_rest`` ends, behind its NUL; 0 when it is not complete."""
        if self._head is None and not self._find_head():
            return 0
        rest, length = self._rest, self._head[2] if self._head else None
        if length is not None:
            end = self._start + length
            if end >= len(rest):
                return 0
            if rest[end]:
                raise ProtocolError(f"byte 0x{rest[end]:02x} behind a body of {length}, expected NUL (content-length)")
            return end + 1
        end = rest.find(0, self._scanned)
        self._scanned = len(rest)
        if (self._scanned if end < 0 else end) - self._start > MAX_BODY_BYTES:
            raise ProtocolError(f"body of over {MAX_BODY_BYTES} bytes")
        return end + 1

    def _find_head(self) -> bool:
        """Read the head of the frame in ``_rest`` if its blank line is there."""
        self._skip_eols()
        rest = self._rest
        line_end = rest.find(b"\n", 0, _COMMAND_BYTES)
        if line_end >= 0 or len(rest) >= _COMMAND_BYTES:  # do not wait for a blank line that may never come
            self._check_command(bytes(rest[: line_end if line_end >= 0 else _COMMAND_BYTES]))
        blank = _VERSIONS[self.version].blank_line.search(rest, max(0, self._scanned - 2))
        if (blank.end() if blank else len(rest)) > MAX_HEAD_BYTES:
            raise ProtocolError(f"headers of over {MAX_HEAD_BYTES} bytes")
        if blank is None:
            self._scanned = len(rest)
            return False
        self._head = self._read_head(bytes(rest[: blank.start()]))
        self._start = self._scanned = blank.end()
        return True

    def _skip_eols(self) -> None:
        """Count and drop the EOLs in front of a frame; a lone CR is kept until its LF is there."""
        rest, at = self._rest, 0
        while at < len(rest):
            if rest[at] == 0x0D and _VERSIONS[self.version].carriage_return and at + 1 < len(rest):
                if rest[at + 1] != 0x0A:
                    raise ProtocolError(f"CR and 0x{rest[at + 1]:02x} between frames, expected CR LF (EOL)")
                at += 1
            if rest[at] != 0x0A:
                break
            at += 1
            self.beats += 1
        if at:
            del rest[:at]
            self._scanned = 0

    def _frame(self, end: int) -> Frame:
        """Return the complete frame in ``_rest`` and forget it."""
        assert self._head  # noqa: S101  _frame_end has found it
        command, headers, _ = self._head
        self._head, body = None, bytes(self._rest[self._start : end - 1])
        self._scanned = 0
        return command, headers, body

    def _check_command(self, line: bytes) -> str:
        """Return the command in a first line, if it may stand here."""
        if _VERSIONS[self.version].carriage_return:
            line = line.removesuffix(b"\r")
        command = line.decode("ascii", "replace")
        if command not in _REQUIRED:
            raise ProtocolError(f"command {command[:40]!r}, expected {', '.join(_REQUIRED)}")
        if command != "ERROR" and (command == "CONNECTED") == bool(self.version):
            raise ProtocolError(f"{command} {'after' if self.version else 'before'} CONNECTED")
        return command

    def _read_head(self, head: bytes) -> _Head:
        """Parse and check a command and its headers; agree on the version when it is CONNECTED."""
        command_line, *lines = head.split(b"\n")
        command = self._check_command(command_line)
        if _VERSIONS[self.version].carriage_return:
            lines = [line.removesuffix(b"\r") for line in lines]
        pairs = [_header(line, "" if command == "CONNECTED" else self.version) for line in lines]
        headers = dict(reversed(pairs))  # of a repeated header the first counts (1.2, Repeated Header Entries)
        for name in _REQUIRED[command]:
            if not headers.get(name):
                raise ProtocolError(f"{command} without {name}")
        if command == "CONNECTED":
            self._agree(headers.get("version", "1.0"))
        if command == "MESSAGE":
            self._check_message(headers)
            if self._lean:
                self._usual = _usual(tuple(name for name, _ in pairs))
        return command, headers, _content_length(headers)

    def _agree(self, version: str) -> None:
        if version not in self._versions:
            raise ProtocolError(f"version {version!r}, expected one of {', '.join(self._versions)}")
        self.version = version

    def _check_message(self, headers: Mapping[str, str]) -> None:
        if headers["subscription"] != SUBSCRIPTION:
            raise ProtocolError(f"MESSAGE for subscription {headers['subscription']!r}, expected {SUBSCRIPTION!r}")
        if headers["destination"].encode() != self._destination:
            raise ProtocolError(f"MESSAGE from {headers['destination']!r}, expected {self._destination.decode()!r}")


_SAFE_NAMES = re.compile(r"[A-Za-z0-9_.-]{1,64}").fullmatch
_ESCAPED_AS = {
    version: str.maketrans({char: f"\\{code}" for code, char in rules.escapes.items()})
    for version, rules in _VERSIONS.items()
}
_ESCAPED = re.compile(r"\\(.?)", re.DOTALL)
_DIGITS = re.compile(r"[0-9]{1,18}").fullmatch
# A value of the usual MESSAGE: printable ASCII, no colon, and of the escapes those that no version refuses. Possessive
# and bounded, so that a failing match is not tried in other ways, and no head outgrows MAX_HEAD_BYTES.
_PLAIN = r"[ -9;-\[\]-~]"
_SOME = rf"(?:{_PLAIN}{{1,127}}+|\\[cn\\]){{1,15}}+"
_USUAL_VALUES = {
    "subscription": re.escape(SUBSCRIPTION),
    "destination": rf"({_PLAIN}{{1,255}}+)",
    "message-id": _SOME,
    "content-length": r"([0-9]{1,7}+)",
}
_USUAL_VALUE = f"(?:{_SOME})?+"


@lru_cache(maxsize=64)
def _usual(names: tuple[str, ...]) -> _Usual | None:
    """Return what recognises a MESSAGE with these headers in this order; its groups for destination, content-length.

    None when they do not suit: too many, repeated, no content-length. All connections to one kind of server share it.
    """
    suits = len(names) <= 32 and len(set(names)) == len(names) and set(_USUAL_VALUES) <= set(names)
    if not suits or not all(map(_SAFE_NAMES, names)):
        return None
    lines = "".join(f"{re.escape(name)}:{_USUAL_VALUES.get(name, _USUAL_VALUE)}\n" for name in names)
    groups = (1, 2) if names.index("destination") < names.index("content-length") else (2, 1)
    return re.compile(f"MESSAGE\n{lines}\n".encode()).match, *groups


def _header(line: bytes, version: str) -> tuple[str, str]:
    """Return a header's name and value; ``ProtocolError`` when the line is none."""
    rules = _VERSIONS[version]
    if rules.carriage_return and b"\r" in line:
        raise ProtocolError(f"CR inside header {line[:80]!r} (Augmented BNF)")
    name, colon, value = line.partition(b":")
    if not colon or not name or (rules.escapes and b":" in value):
        raise ProtocolError(f"header {line[:80]!r}, expected name:value (Augmented BNF)")
    try:
        return _unescape(str(name, "utf-8"), rules.escapes), _unescape(str(value, "utf-8"), rules.escapes)
    except UnicodeDecodeError as error:
        raise ProtocolError(f"header {line[:80]!r}: {error.reason} at {error.start}, expected UTF-8") from error


def _unescape(text: str, escapes: Mapping[str, str]) -> str:
    if not escapes or "\\" not in text:
        return text

    def plain(found: re.Match[str]) -> str:
        if found[1] not in escapes:
            raise ProtocolError(f"undefined escape {found[0]!r} in {text[:80]!r} (Value Encoding)")
        return escapes[found[1]]

    return _ESCAPED.sub(plain, text)


def _content_length(headers: Mapping[str, str]) -> int | None:
    value = headers.get("content-length")
    if value is None:
        return None
    if not _DIGITS(value):
        raise ProtocolError(f"content-length {value[:40]!r}, expected a whole number")
    if int(value) > MAX_BODY_BYTES:
        raise ProtocolError(f"body of {value} bytes, expected at most {MAX_BODY_BYTES}")
    return int(value)


def encode(command: str, headers: Iterable[tuple[str, str]], version: str, body: bytes = b"") -> bytes:
    """Return a frame, its values escaped as ``version`` ("" before one is agreed) wants it."""
    table = _ESCAPED_AS[version]
    lines = [command, *(f"{name.translate(table)}:{value.translate(table)}" for name, value in headers)]
    return "\n".join(lines).encode() + b"\n\n" + body + b"\0"
