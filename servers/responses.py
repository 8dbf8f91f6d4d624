"""HTTP answers as bytes: complete, built in one go, written straight to the transport.

The rule: an answer's bytes are what RFC 9110 and 9112 ask for whoever asks: ``Date`` (9110 6.6.1), no body and no
``Content-Length`` on 204 (8.6), none of the body to HEAD (9.3.2), ``Connection: close`` or, for HTTP/1.0,
``keep-alive`` (9112 9.3). aiohttp parses requests and keeps connections;
handlers write bytes and return ``Written`` to say so, and all who wait for the same event can be given the same ones.
Refusals are problems as in RFC 9457.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from email.utils import formatdate
from http import HTTPStatus
from itertools import accumulate

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter

from servers.feed import Event

JSON = b"Content-Type: application/json\r\n"
NO_STORE = b"Cache-Control: no-store\r\n"
PROBLEM = b"Content-Type: application/problem+json\r\n" + NO_STORE
_STATUS_LINES = {status.value: b"HTTP/1.1 %d %b\r\n" % (status, status.phrase.encode()) for status in HTTPStatus}
_NO_BODY = (204, 304)

CLOSE = b"Connection: close\r\n"
_KEEP_ALIVE = b"Connection: keep-alive\r\n"


class Problem(Exception):  # noqa: N818 - RFC 9457 calls it a problem
    """A refusal: HTTP status, a sentence, further members of the problem and header fields.

    ``reason`` is the short word under which ``/stats`` counts it; most refusals are not counted. ``ends`` says that the
    connection cannot take another request, for what is left of this one cannot be told from it.
    """

    def __init__(
        self, status: int, detail: str, *, headers: bytes = b"", reason: str = "", ends: bool = False, **members: object
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = headers
        self.reason = reason
        self.ends = ends
        self.members = members

    def body(self) -> bytes:
        """Return the problem as JSON (RFC 9457, section 3.1)."""
        title = HTTPStatus(self.status).phrase
        head = {"type": "about:blank", "title": title, "status": self.status, "detail": self.detail}
        # What a client sent need not be UTF-8, and then is lone surrogates here.
        return json.dumps(head | self.members, ensure_ascii=False).encode(errors="replace")


def bad_parameter(name: str, value: str, expected: str) -> Problem:
    """Return the 400 that names the parameter, its value and what was expected."""
    value = value[:200]
    return Problem(400, f"{name}={value}, expected {expected}", parameter=name, value=value, expected=expected)


class Written(web.StreamResponse):
    """What a handler returns when its answer is on the wire already; shared, for it holds nothing.

    It still waits for a client that sends requests and does not read the answers.
    """

    def __init__(self, *, keep_alive: bool) -> None:
        super().__init__()
        self._reusable = keep_alive

    @property
    def keep_alive(self) -> bool:
        """Whether the connection takes another request."""
        return self._reusable

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        """Write nothing; wait while the transport's buffer is over its limit."""
        if request.protocol.writing_paused:
            await request.writer.drain()
        return None

    async def write_eof(self, data: bytes = b"") -> None:
        """Write nothing."""


KEPT = Written(keep_alive=True)
CLOSED = Written(keep_alive=False)

_date = (0, b"")


def date_line() -> bytes:
    """Return the Date field; formatted once a second."""
    global _date  # noqa: PLW0603 - a cache of one
    now_s = int(time.time())
    if _date[0] != now_s:
        _date = (now_s, b"Date: %b\r\n" % formatdate(now_s, usegmt=True).encode())
    return _date[1]


def connection_line(request: web.BaseRequest) -> bytes:
    """Return the Connection field this request's answer needs, mostly none (RFC 9112, section 9.3)."""
    if not request.keep_alive:
        return CLOSE
    return b"" if request.version >= (1, 1) else _KEEP_ALIVE


def answer_bytes(status: int, connection: bytes, headers: bytes, body: bytes) -> bytes:
    """Return a complete answer."""
    if status in _NO_BODY:
        return b"".join((_STATUS_LINES[status], date_line(), connection, headers, b"\r\n"))
    length = b"Content-Length: %d\r\n\r\n" % len(body)
    return b"".join((_STATUS_LINES[status], date_line(), connection, headers, length, body))


def stream_head(connection: bytes, headers: bytes) -> bytes:
    """Return the head of a 200 whose body follows in pieces."""
    return b"".join((_STATUS_LINES[200], date_line(), connection, headers, b"\r\n"))


def events_body(events: Sequence[Event], most_bytes: int = sys.maxsize) -> bytes:
    """Return ``{"events": […], "last": SEQ}`` for one event or more: the first of them that fit, one at least."""
    body = b'{"events": [%b], "last": %d}' % (b", ".join([event.json for event in events]), events[-1].seq)
    if len(body) <= most_bytes or len(events) == 1:
        return body
    sizes = accumulate((len(event.json) + 2 for event in events), initial=40)  # what is around them
    fit = sum(size <= most_bytes for size in sizes) - 1
    return events_body(events[: max(1, fit)])
