r"""Server-Sent Events: one HTTP answer that does not end (WHATWG HTML, section 9.2).

On the wire the body is UTF-8 lines. ``id: 17`` and ``data: {…}`` and an empty line make an event; ``retry: 1000``
tells the browser how many ms to wait before it reconnects; a line that starts with a colon is a comment, here a
heartbeat after some silence, so that proxies do not hang up. A browser that reconnects sends ``Last-Event-ID: 17``
and its *old* address: the header therefore overrides ``?after=``. Over HTTP/1.1 each piece is a chunk (RFC 9112,
section 7.1) and the end is the last chunk; HTTP/1.0 gets the bare lines until the connection closes.
"""

from __future__ import annotations

import asyncio

from servers.feed import Event, GoneError, Topic
from servers.outlet import Outlet
from servers.responses import CLOSE, CLOSED, NO_STORE, Written, stream_head
from servers.site import Query, Request, Site, whole_number

NAMES = ("sse",)

RETRY_MS = 1000
_HEADERS = b"Content-Type: text/event-stream\r\n" + NO_STORE
_CHUNKED = b"Transfer-Encoding: chunked\r\n"
_LAST_CHUNK = b"0\r\n\r\n"
_RETRY = b"retry: %d\n\n" % RETRY_MS
_HEARTBEAT = b":\n\n"


def lines(event: Event) -> bytes:
    """Return an event as lines; its JSON has no line break in it, so one ``data`` field is enough."""
    return b"id: %d\ndata: %b\n\n" % (event.seq, event.json)


def chunk(data: bytes) -> bytes:
    """Return ``data`` as one chunk."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def chunk_of(event: Event) -> bytes:
    """Return an event as one chunk."""
    return chunk(lines(event))


class Stream:
    """One open answer."""

    __slots__ = ("_chunked", "beat_ns", "ended", "outlet", "topic")

    def __init__(self, site: Site, transport: asyncio.WriteTransport, topic: Topic, *, chunked: bool) -> None:
        self.outlet = Outlet(site, transport)
        self.topic = topic
        self.beat_ns = site.feed.clock()
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._chunked = chunked

    def beat(self, now_ns: int) -> None:
        """Send a comment."""
        self.beat_ns = now_ns
        self.outlet.write(chunk(_HEARTBEAT) if self._chunked else _HEARTBEAT)

    def end(self) -> None:
        """Send what ends the body, and let the handler return."""
        if not self.ended.done():
            if self._chunked:
                self.outlet.write(_LAST_CHUNK)
            self.ended.set_result(None)


class Sse:
    """The handler, and the streams that are live."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._streams: set[Stream] = set()
        self._silence_ns = round(site.limits.heartbeat_s * 1e9)

    async def stream(self, request: Request, name: str, query: Query) -> Written:
        """Send events until the client leaves or the server ends."""
        site = self._site
        topic = site.feed.topic(name)
        resumed = request.headers.getall("Last-Event-ID", ())
        after = whole_number({"Last-Event-ID": ", ".join(resumed)}, "Last-Event-ID") if resumed else None
        if after is None:
            after = whole_number(query, "after")
        if after is not None:
            topic.since(after, limit=0)  # a cursor outside the log is refused while a 410 can still be said
        site.met("sse", request)
        chunked = request.version >= (1, 1)
        head = stream_head(b"" if chunked else CLOSE, _HEADERS + _CHUNKED * chunked)
        if request.method == "HEAD":
            return site.send(request, head)
        if request.transport is None:
            return CLOSED
        stream = Stream(site, request.transport, topic, chunked=chunked)
        stream.outlet.write(head + (chunk(_RETRY) if chunked else _RETRY))
        await self._feed(stream, after, chunked=chunked)
        return CLOSED

    async def _feed(self, stream: Stream, after: int | None, *, chunked: bool) -> None:
        """Replay, then stay live; a client that leaves cancels this (aiohttp's handler_cancellation)."""
        form = "sse" if chunked else "sse, HTTP/1.0"
        try:
            cancel = await stream.outlet.follow(stream.topic, after, form, chunk_of if chunked else lines)
        except GoneError:  # it read more slowly than the log moved on
            stream.outlet.drop("overtaken")
            return
        self._streams.add(stream)
        try:
            await stream.ended
        finally:
            cancel()
            self._streams.discard(stream)

    def sweep(self) -> None:
        """Send a heartbeat where nothing has been said for ``heartbeat_s``."""
        now_ns = self._site.feed.clock()
        for stream in self._streams:
            if now_ns - max(stream.topic.last_ns, stream.beat_ns) >= self._silence_ns:
                stream.beat(now_ns)

    async def close(self) -> None:
        """End every stream in good order."""
        for stream in tuple(self._streams):
            stream.end()


def mount(site: Site, _name: str) -> None:
    """Add ``/sse/{topic}``."""
    handler = Sse(site)
    site.route(("GET", "HEAD"), "/sse/{topic}", handler.stream)
    site.every(site.limits.heartbeat_s / 10, handler.sweep)
    site.on_close(handler.close)
