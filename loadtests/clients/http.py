"""The little HTTP/1.1 a subscriber needs: one GET at a time, and its response, incrementally (RFC 9110, RFC 9112).

The parser is ``httptools`` (llhttp), which leaves four things to its user, done here: interim responses (1xx) are
completed like final ones, the end of the connection is never told, sizes are not limited, and bytes that nobody asked
for are parsed as the next response. The rule: what the server does wrong is a ``ProtocolError``, and a poll pays for no
callback that its client has no use for.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Generator

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from loadtests.clients import Command, Data, Eof, Input, ProtocolError, Subscriber
from loadtests.clients.lifetime import data_or_leave

__all__ = ["Response", "exchange", "field_of", "get"]

_HEAD_BYTES = 64 * 2**10
_RESPONSE_BYTES = 64 * 2**20
_HEAD_END = b"\r\n\r\n"
# What else than the end of the connection says where a body ends (RFC 9112 6.3).
_DELIMITER = re.compile(rb"\r\n(?:content-length|transfer-encoding)[ \t]*:", re.IGNORECASE)
_INTERIM = re.compile(rb"HTTP/1\.[0-9] 1")
_BEGIN = re.compile(rb"[^\r\n]")  # blank lines before a response are let pass by the parser
_FOLDED = re.compile(rb"\r\n[ \t]+")  # a field line that goes on (obs-fold, RFC 9112 5.2)


def get(subscriber: Subscriber, *fields: str, keep_alive: bool = True) -> Callable[..., bytes]:
    """Return ``request(query="", *more_fields)``, which writes a GET for the subscriber's path.

    ``keep_alive`` False asks the server to close the connection behind its response (RFC 9112 9.6).
    """
    mark = "&" if "?" in subscriber.path else "?"
    close = () if keep_alive else ("Connection: close",)
    bearer = (f"Authorization: Bearer {subscriber.token}",) if subscriber.token else ()
    lines = (f"Host: {subscriber.address}", "User-Agent: pushbench", *bearer, *close, *fields)
    fixed = "".join(f"{line}\r\n" for line in lines)

    def request(query: str = "", *more_fields: str) -> bytes:
        target = f"{subscriber.path}{mark}{query}" if query else subscriber.path
        more = "".join(f"{line}\r\n" for line in more_fields)
        return f"GET {target} HTTP/1.1\r\n{fixed}{more}\r\n".encode()

    return request


class Response:
    """The responses on one connection, one after the other.

    ``feed`` takes bytes and says whether they complete the response; ``status``, ``body`` and ``keep_alive`` (whether
    the connection serves another request, RFC 9112 9.3) then hold until bytes of the next one come; ``field`` reads a
    header field, until the client's next yield. ``received_bytes`` are the response's, interim ones included. A body
    without end is taken piece by piece with ``take``.
    """

    def __init__(self) -> None:
        self.status = 0
        self.headed = False
        self.complete = False
        self.keep_alive = True
        self.received_bytes = 0
        self._pieces: list[bytes] = []
        self._junk = False
        self._start = b""  # of a response that did not come whole, until its head has
        self._piece: bytes | memoryview = b""  # what came last
        self._head: bytes | None = None  # the head of one that did not come whole
        self._delimited = False
        self.on_body = self._pieces.append
        self._parser = HttpResponseParser(self)
        self._parse: Callable[[bytes | memoryview], None] = self._parser.feed_data

    # what httptools calls -----------------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        """A response begins; behind a complete one, nobody asked for it."""
        self._junk = self.complete

    def on_headers_complete(self) -> None:
        """The head is whole; an interim one (RFC 9110 15.2) says nothing yet."""
        self.status = self._parser.get_status_code()
        self.headed = self.status >= 200

    def on_message_complete(self) -> None:
        """The response is whole; behind an interim one the final one is still to come."""
        if self.headed:
            self.complete = True
            self.keep_alive = self._parser.should_keep_alive()

    # what the client calls ----------------------------------------------------------------------------------------

    def feed(self, data: bytes | memoryview) -> bool:
        """Take bytes from the wire; whether the response is complete now.

        Called behind a complete response, it begins the next one. Raises ProtocolError for what is not HTTP/1.1, for
        more than was asked for, and for a head of over 64 KiB or a response of over 64 MiB.
        """
        if self.complete:
            self._next()
        self._piece = data
        self.received_bytes += len(data)
        try:
            self._parse(data)
        except HttpParserError as error:
            raise ProtocolError(f"no HTTP/1.1 response: {error}") from error
        except HttpParserUpgrade as error:
            raise ProtocolError("status 101 without a request to upgrade (RFC 9110 7.8)") from error
        if self._junk:
            raise ProtocolError(f"bytes behind the response with status {self.status}, none were asked for")
        if not self.complete or self.received_bytes > _HEAD_BYTES:
            self._limit(data)
        return self.complete

    def _next(self) -> None:
        self.headed = self.complete = self._delimited = False
        self.received_bytes = 0
        self._pieces.clear()
        self._start, self._head = b"", None

    def _limit(self, data: bytes | memoryview) -> None:
        """Limit what is gathered, and note whether the head says where the body ends, which ``eof`` must know."""
        if self.received_bytes > _RESPONSE_BYTES:
            raise ProtocolError(f"a response of over {_RESPONSE_BYTES >> 20} MiB")
        if self._head is not None:
            return
        self._start += data
        begin, end = _final_head(self._start) if self.headed else (0, len(self._start))
        if end > _HEAD_BYTES:
            raise ProtocolError(f"a response's head of over {_HEAD_BYTES >> 10} KiB")
        if self.headed:
            self._head, self._start = self._start[begin:end], b""
            self._delimited = _DELIMITER.search(self._head) is not None

    def eof(self) -> bool:
        """The connection has ended: whether that completes the response (RFC 9112 6.3, rule 8).

        False says that none had begun; one that is cut short is a ProtocolError (RFC 9112 8).
        """
        if self.complete or not self.received_bytes:
            return False
        if not self.headed or self._delimited:
            raise ProtocolError(f"the connection ended within a response, {self.received_bytes} bytes into it")
        self.complete, self.keep_alive = True, False
        return True

    @property
    def body(self) -> bytes:
        """What has come of the body."""
        return self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)

    def take(self) -> bytes:
        """Return what has come of the body since the last call; what is taken no longer counts towards the limit."""
        pieces = self._pieces
        body = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        pieces.clear()
        self.received_bytes = 1  # not 0: a response has begun
        return body

    def field(self, name: bytes) -> bytes:
        """Return a header field by its lower-case name, repeated lines joined (RFC 9110 5.3); b"" when it is absent."""
        if self._head is None:  # the response has come in one read, or its head has in the last
            start = self._start + self._piece[:_HEAD_BYTES]
            begin, end = _final_head(start)
            return field_of(start[begin:end], name)
        return field_of(self._head, name)


def field_of(head: bytes, name: bytes) -> bytes:
    """Return a field of a head, start line included, by its lower-case name; b"" when it is absent."""
    lines = _FOLDED.sub(b" ", head).split(b"\r\n")
    pairs = (line.partition(b":") for line in lines[1:])
    return b", ".join(value.strip() for key, _, value in pairs if key.strip().lower() == name)


def _final_head(start: bytes) -> tuple[int, int]:
    """Return where, in a response's first bytes, the head of the final one begins and ends, behind the interim ones."""
    begin = 0
    while True:
        found = _BEGIN.search(start, begin)
        begin = found.start() if found else len(start)
        end = start.find(_HEAD_END, begin)
        if end < 0:
            return begin, len(start)
        if not _INTERIM.match(start, begin):
            return begin, end
        begin = end + len(_HEAD_END)


def exchange(
    response: Response, commands: Command | tuple[Command, ...]
) -> Generator[Command | tuple[Command, ...], Input, int]:
    """Perform the commands, of which the last sends a request, and return when its response was complete (ns)."""
    event = yield commands
    while True:
        if type(event) is Data:
            if response.feed(event.view):
                return event.at_ns
        elif type(event) is Eof and response.eof():
            return event.at_ns
        else:
            data_or_leave(event)
        event = yield None
