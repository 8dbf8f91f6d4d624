"""One HTTP connection within its limits: whether it comes in, how long it may take, and how it is refused.

aiohttp reads the requests and runs their handlers; this adds what it leaves open. The rules
1. A connection there is no room for is told 503 and closed; it costs no task and no parser.
2. A request has to arrive: the first within ``handshake_s`` of the connection, a later one within ``request_s`` of
   its first byte, else 408 (RFC 9110, section 15.5.9), however slowly its bytes drip. An answer has to be taken: a
   client that reads none of it for ``request_s`` is cut off, and until it has read, it gets no other.
3. What is not HTTP is answered once, by a problem with the right status, and is counted and not logged.
4. No timer per request: the few connections that owe us something are in ``Watch``, and one sweep looks at them.
5. After a refusal the connection is half closed and read to its end, for a moment: closed with bytes unread it would
   be reset, and the reset would overtake the refusal (RFC 9112, section 9.6).
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable
from typing import Any, cast

from aiohttp import web
from aiohttp.base_protocol import BaseProtocol
from aiohttp.http_exceptions import HttpProcessingError, LineTooLong
from aiohttp.streams import EMPTY_PAYLOAD, StreamReader
from aiohttp.web_protocol import RequestHandler

from servers.responses import CLOSE, PROBLEM, Problem, Written, answer_bytes
from servers.site import SPARE_CONNECTIONS, Request, Site

PARTING_NS = 2 * 10**9  # for a client that was refused to read so and to close
RETRY_S = 1

logger = logging.getLogger("servers")

# What aiohttp's parser complains of, by the first of these that is found in its message; the reason is our count's.
_METHOD = r"Invalid method[^\n]*\n\n  b'[\w!#$%&*+.^`|~-]+ [^ ]+ HTTP/1\.[01]'"
_MISTAKES = (
    (re.compile(r"Too many headers"), 431, "too_many_headers", "fewer header fields"),
    (re.compile(r"Invalid HTTP version"), 505, "malformed_http", "HTTP/1.1"),
    (re.compile(_METHOD), 501, "malformed_http", "a method of RFC 9110"),
    (re.compile(r""), 400, "malformed_http", "HTTP/1.1"),
)


def _problem_of(error: HttpProcessingError, header_bytes: int) -> Problem:
    """Return the answer to what is not HTTP, or too much of it."""
    if isinstance(error, LineTooLong):
        if error.args[1] > header_bytes:  # see ``HttpServer``: the request line's own limit
            return Problem(414, f"expected at most {header_bytes} bytes of request line", reason="target_too_long")
        return Problem(431, f"expected at most {header_bytes} bytes of header line", reason="header_too_big")
    message = str(error.message)
    status, reason, expected = next(row[1:] for row in _MISTAKES if row[0].search(message))
    complaint = message.partition("\n")[0].strip(" .:")[:200]
    return Problem(status, f"{complaint}, expected {expected}", reason=reason)


class Watch:
    """The connections that owe us something, and since when (ns of the feed's clock)."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._handshake_ns = round(site.limits.handshake_s * 1e9)
        self._request_ns = round(site.limits.request_s * 1e9)
        self.clock = site.feed.clock
        self.first: dict[HttpConnection, int] = {}  # a first request
        self.pieces: dict[HttpConnection, int] = {}  # the rest of a request
        self.stuck: dict[HttpConnection, tuple[int, int]] = {}  # to read; and how many bytes were left
        self.parting: dict[HttpConnection, int] = {}  # to close
        interval_s = min(1.0, site.limits.handshake_s / 8, site.limits.request_s / 8)
        site.every(interval_s, self.sweep)
        site.on_close(self.close)

    def forget(self, connection: HttpConnection) -> None:
        """Expect nothing of a connection any more."""
        self.first.pop(connection, None)
        self.pieces.pop(connection, None)
        self.stuck.pop(connection, None)
        self.parting.pop(connection, None)

    def sweep(self) -> None:
        """Refuse or cut off those whose time is over."""
        now_ns = self.clock()
        for late in [one for one, since_ns in self.first.items() if now_ns - since_ns >= self._handshake_ns]:
            late.too_slow("handshake_timeout")
        for one, since_ns in tuple(self.pieces.items()):
            if one.busy:  # an answer comes first; the next request has time until then
                self.pieces[one] = now_ns
            elif now_ns - since_ns >= self._request_ns:
                one.too_slow("request_timeout")
        for one, (since_ns, size) in tuple(self.stuck.items()):
            left = one.unread()
            if left < size or not one.waiting:
                self.stuck[one] = now_ns, left
            elif now_ns - since_ns >= self._request_ns:
                one.drop("slow_consumer")
        for one in [one for one, since_ns in self.parting.items() if now_ns - since_ns >= PARTING_NS]:
            one.cut()

    async def close(self) -> None:
        """Let go of those that were refused: aiohttp no longer knows them."""
        for one in tuple(self.parting):
            one.cut()


class _Refused(Written):
    """What a handler returns when the connection is parted already."""

    async def prepare(self, _request: Request) -> None:
        """Wait for nobody."""


REFUSED = _Refused(keep_alive=False)
_receive = RequestHandler.data_received  # ``super()`` would be looked up for every request


class HttpConnection(RequestHandler):
    """aiohttp's connection, watched."""

    __slots__ = ("_admitted", "_body", "_owing", "_site", "_watch", "_wire")

    def __init__(self, server: HttpServer, site: Site, watch: Watch, **settings: Any) -> None:
        super().__init__(server, **settings)
        self._site = site
        self._watch = watch
        self._admitted = False
        self._owing = True  # it is in ``first`` or in ``pieces``
        self._body: StreamReader | None = None  # of the newest request, while it is not whole
        self._wire: asyncio.Transport | None = None  # as ``transport``, which aiohttp forgets when it closes

    @property
    def busy(self) -> bool:
        """Whether a request is being answered."""
        return self._waiter is None

    @property
    def waiting(self) -> bool:
        """Whether it is the client's turn to read: an answer is written, or was the last one."""
        return self._drain_waiter is not None or self._wire is None or self._wire.is_closing()

    def unread(self) -> int:
        """Return how many bytes the client has yet to read."""
        return self._wire.get_write_buffer_size() if self._wire is not None else 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Let it in, or say that there is no room."""
        self._wire = cast("asyncio.Transport", transport)
        self._wire.set_write_buffer_limits(1, 0)  # one answer at a time: see rule 2
        self._admitted = self._site.admit()
        if self._admitted:
            self._watch.first[self] = self._watch.clock()
            super().connection_made(transport)
        else:
            BaseProtocol.connection_made(self, transport)
            self._manager = None  # so aiohttp does nothing for it any more
            detail = f"{self._site.limits.connections} connections are open, expected fewer"
            self.refuse(Problem(503, detail, headers=b"Retry-After: %d\r\n" % RETRY_S))

    def connection_lost(self, exc: BaseException | None) -> None:
        """Count its end."""
        self._watch.forget(self)
        self._wire = None
        if self._admitted:
            self._admitted = False
            self._site.depart()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take bytes; note what is missing of a request."""
        before = self._request_count
        _receive(self, data)
        if self._request_count == before:
            if data:  # aiohttp calls us with none to go on after a pause
                self._piece()
        else:
            if self._owing:
                self._owing = False
                self._watch.first.pop(self, None)
                self._watch.pieces.pop(self, None)
            if self._body is not None:  # it can only have been ended by a mistake: aiohttp tells nobody else
                if not self._body.is_eof():
                    self._body.set_exception(web.RequestPayloadError("malformed body"))
                self._body = None
            body = self._messages[-1][1]
            if body is not EMPTY_PAYLOAD:
                self._body = None if body.is_eof() else body
            elif data[-4:] != b"\r\n\r\n" and len(data) >= 4:  # something of the next request came with it
                self._piece()

    def _piece(self) -> None:
        """Note that a request has begun and is not whole; the rest of a body is the handler's to wait for."""
        if self._body is not None:
            if self._body.is_eof():
                self._body = None
        elif not (self._owing or self._upgraded or self._force_close or self._close):
            self._owing = True
            self._watch.pieces[self] = self._watch.clock()

    def pause_writing(self) -> None:
        """Note that the client has not read all."""
        super().pause_writing()
        self._watch.stuck[self] = self._watch.clock(), self.unread()

    def resume_writing(self) -> None:
        """Note that it has."""
        self._watch.stuck.pop(self, None)
        super().resume_writing()

    def too_slow(self, reason: str) -> None:
        """Say 408, and part."""
        self.refuse(Problem(408, "expected a whole request by now", reason=reason))

    def refuse(self, problem: Problem) -> None:
        """Answer out of turn, for there is no request to answer, and part."""
        if problem.reason:
            self._site.counters.drops[problem.reason] += 1
        if self._wire is not None:
            data = answer_bytes(problem.status, CLOSE, PROBLEM + problem.headers, problem.body())
            self._wire.write(data)
            self._site.counters.bytes_written += len(data)
        self.part()

    def part(self) -> None:
        """End our half; what still comes is thrown away until the client ends its own, or has had time enough."""
        watch, wire = self._watch, self._wire
        watch.forget(self)
        if wire is None:
            return
        try:
            if len(watch.parting) >= SPARE_CONNECTIONS:
                wire.abort()  # what the kernel has taken still goes out
            else:
                watch.parting[self] = watch.clock()
                wire.write_eof() if wire.can_write_eof() else wire.close()
        except OSError:  # it has left before we could
            wire.abort()
        self.transport = None  # what comes from now on is thrown away, and aiohttp does not close before its time
        self.force_close()

    def cut(self) -> None:
        """Close at once."""
        if self._wire is not None:
            self._wire.abort()

    def drop(self, reason: str) -> None:
        """Close at once, and count why."""
        self._site.counters.drops[reason] += 1
        self.cut()

    def _process_keepalive(self) -> None:
        """Close a connection that has been idle for ``idle_s``, and count it."""
        closed = self._force_close
        super()._process_keepalive()
        if self._force_close and not closed:
            self._site.counters.drops["idle_timeout"] += 1
            if self.unread():
                self.cut()  # it would wait for ever

    def handle_error(
        self, _request: Request, _status: int = 500, exc: BaseException | None = None, _message: str | None = None
    ) -> web.StreamResponse:
        """Answer what aiohttp could not read, and our own mistakes; only the latter are logged."""
        if isinstance(exc, HttpProcessingError):
            self.refuse(_problem_of(exc, self._site.limits.header_bytes))
        else:
            logger.error("answering failed", exc_info=exc)
            self.refuse(Problem(500, "a mistake of the server's"))
        return REFUSED


class HttpServer(web.Server):
    """Makes the connections of the HTTP port."""

    def __init__(self, handler: Callable[[Request], Awaitable[web.StreamResponse]], site: Site) -> None:
        limits = site.limits
        super().__init__(
            handler,
            handler_cancellation=True,
            access_log=None,
            logger=logger,
            keepalive_timeout=limits.idle_s,
            lingering_time=limits.request_s,
            max_line_size=limits.header_bytes + 1,  # one more, so that its error can be told from a header line's
            max_field_size=limits.header_bytes,
            max_headers=limits.headers,
            auto_decompress=False,
        )
        self._site = site
        self._watch = Watch(site)

    def __call__(self) -> HttpConnection:
        """Make the protocol of a new connection."""
        return HttpConnection(self, self._site, self._watch, loop=self._loop, **self._kwargs)
