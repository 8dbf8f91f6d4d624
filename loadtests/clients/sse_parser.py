"""Event streams, bytes to events, incrementally: WHATWG HTML 9.2.6, "Interpreting an event stream".

The rule: one general parser that follows the standard line by line, and a short cut for what servers nearly always send
(``id`` and ``data``, a line each, ended by LF). The short cut is tried between events only, and leaves to the general
parser whatever has another form; both give the same. Nothing is decoded here: no delimiter is part of a longer UTF-8
sequence, and what is not UTF-8 shows when the data are.
"""

from __future__ import annotations

from loadtests.clients import ProtocolError

__all__ = ["EventStream"]

_EVENT_BYTES = 16 * 2**20
_BOM = b"\xef\xbb\xbf"

Dispatched = tuple[bytes, bytes, bytes]


class EventStream:
    """``feed`` returns the events that bytes complete, each as type, data and last event ID.

    ``comments`` counts comment lines, until its reader sets it back; ``retry_ms`` is the reconnection time; ``last_id``
    is what a reconnection sends as Last-Event-ID. The last two are what the next stream is made with: as in browsers,
    they stay until a field replaces them. What is unfinished when the stream ends is never dispatched.
    """

    def __init__(self, last_id: bytes, retry_ms: int) -> None:
        self.last_id = last_id
        self.retry_ms = retry_ms
        self.comments = 0
        self._id = last_id
        self._type = b""
        self._data: list[bytes] = []
        self._data_bytes = 0
        self._line = bytearray()  # begun, not ended
        self._first = True  # line of the stream: it may begin with a BOM
        self._after_cr = False  # a LF would belong to the CR before it
        self._between = False  # events, and lines: nothing is begun

    def feed(self, chunk: bytes) -> list[Dispatched]:
        """Take bytes, return events. Raises ProtocolError for an event of over 16 MiB."""
        if self._between and (events := _usual(chunk)):
            self._id = self.last_id = events[-1][2]
            return events
        return self._general(chunk)

    def _general(self, chunk: bytes) -> list[Dispatched]:
        if not chunk:
            return []
        if self._after_cr:
            chunk = chunk.removeprefix(b"\n")
            self._after_cr = False
        events: list[Dispatched] = []
        for line in chunk.splitlines(keepends=True):  # of bytes: at CRLF, LF and CR, nowhere else
            text = line.rstrip(b"\r\n")
            if len(text) < len(line):
                self._ended(text, events)
            else:
                self._line += line
        self._after_cr = chunk.endswith(b"\r")
        self._between = not (self._line or self._data or self._type or self._after_cr or self._first)
        if len(self._line) + self._data_bytes > _EVENT_BYTES:
            raise ProtocolError(f"an event of over {_EVENT_BYTES >> 20} MiB in the event stream")
        return events

    def _ended(self, text: bytes, events: list[Dispatched]) -> None:
        """Take the end of a line."""
        if self._line:
            text = bytes(self._line + text)
            self._line.clear()
        if self._first:  # "one leading U+FEFF BYTE ORDER MARK character must be ignored if any are present"
            self._first = False
            text = text.removeprefix(_BOM)
        if not text:
            self._dispatch(events)
        elif text[0] == 0x3A:  # a colon: "Ignore the line"
            self.comments += 1
        else:
            self._field(text)

    def _field(self, text: bytes) -> None:
        """Process a field; one whose name is none of these is ignored."""
        name, _, value = text.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"data":
            self._data.append(value)
            self._data_bytes += len(value) + 1
        elif name == b"event":
            self._type = value
        elif name == b"id" and b"\0" not in value:
            self._id = value
        elif name == b"retry" and value.isdigit():  # ASCII digits only
            digits = value.lstrip(b"0")
            self.retry_ms = int(digits or b"0") if len(digits) < 12 else 10**12  # in effect: never

    def _dispatch(self, events: list[Dispatched]) -> None:
        """Dispatch the event, if it has data. The last event ID is set in any case, and comes first."""
        self.last_id = self._id
        if self._data:
            events.append((self._type or b"message", b"\n".join(self._data), self.last_id))
            self._data.clear()
            self._data_bytes = 0
        self._type = b""


def _usual(chunk: bytes) -> list[Dispatched] | None:
    """Return the events when the chunk is whole ones of the usual form, else None (a find that fails gives -1)."""
    if chunk.find(b"\r") >= 0:
        return None
    events = []
    start, length = 0, len(chunk)
    while start < length:
        middle = chunk.find(b"\n", start)
        end = chunk.find(b"\n", middle + 7)
        usual = chunk[start : start + 4] == b"id: " and chunk[middle + 1 : middle + 7] == b"data: "
        if not usual or chunk[end + 1 : end + 2] != b"\n" or chunk.find(b"\0", start, middle) >= 0:
            return None
        events.append((b"message", chunk[middle + 7 : end], chunk[start + 4 : middle]))
        start = end + 2
    return events
