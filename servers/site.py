"""What a transport is given: the feed, limits, counters, routes, and the hooks that close it.

The rule: a transport knows its site and nothing else, neither another transport nor the application. Its module has
``NAMES`` (the transports it serves) and ``mount(site, name)``, called once per name on the running loop; if it has
settings of its own, ``arguments(parser)`` declares them and ``site.options`` holds them. ``mount`` adds routes
(``route``), perhaps the listener of the TCP port (``listen``), and says how its connections end (``on_close``).
"""

from __future__ import annotations

import argparse
import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from aiohttp import web

from servers.feed import Feed
from servers.responses import CLOSED, KEPT, Problem, Written, answer_bytes, bad_parameter, connection_line

Request = web.BaseRequest
Query = Mapping[str, str]
Handler = Callable[[Request, str, Query], Awaitable[web.StreamResponse]]

MAX_SEQ = (1 << 63) - 1
SPARE_CONNECTIONS = 64  # past the limit, to tell so many at a time why they are refused


@dataclass(frozen=True, slots=True)
class Limits:
    """What one client may ask of the server; reported by ``/health``."""

    hold_max_s: float = 60.0  # a long poll is held no longer
    heartbeat_s: float = 15.0  # silence on a push connection before a sign of life
    poll_events: int = 1000  # events in one answer
    connections: int = 15_000  # open at once, on all ports together
    subscriptions: int = 1000  # of one STOMP connection
    header_bytes: int = 16_384  # of a request line or a header line, HTTP's or STOMP's
    headers: int = 100  # header lines of one request or STOMP frame
    message_bytes: int = 1 << 20  # of one WebSocket message from a client
    publish_bytes: int = 1 << 16  # data of one published event, and so the body of a POST and of a STOMP frame
    queue_bytes: int = 1 << 20  # unsent bytes of one connection, past which it is dropped
    handshake_s: float = 10.0  # from the TCP connection to the first whole request or CONNECT, TLS included
    request_s: float = 10.0  # from a later request's first byte to its last
    idle_s: float = 3630.0  # an HTTP connection may wait for its next request


@dataclass(slots=True)
class Counters:
    """What ``/stats`` reports beside the feed."""

    bytes_written: int = 0
    open: Counter[str] = field(default_factory=Counter)
    total: Counter[str] = field(default_factory=Counter)
    drops: Counter[str] = field(default_factory=Counter)

    def opened(self, name: str) -> None:
        """Count a connection of transport ``name``."""
        self.open[name] += 1
        self.total[name] += 1

    def closed(self, name: str) -> None:
        """Count its end."""
        self.open[name] -= 1


class Site:
    """One server, as its transports see it."""

    def __init__(self, feed: Feed, limits: Limits, options: argparse.Namespace) -> None:
        self.feed = feed
        self.limits = limits
        self.options = options
        self.counters = Counters()
        self.connections = 0  # open on all ports
        self.handshakes = 0  # of TLS, still going on
        self.routes: dict[str, dict[str, Handler]] = {}
        self.guarded: set[str] = set()
        self.tcp: Callable[[], asyncio.Protocol] | None = None
        self.closing: list[Callable[[], Awaitable[None]]] = []
        self.timers: dict[Callable[[], None], asyncio.TimerHandle] = {}
        self._met: set[asyncio.Task[None]] = set()

    def route(self, methods: tuple[str, ...], path: str, handler: Handler, *, guarded: bool = False) -> None:
        """Let ``await handler(request, topic, query)`` answer ``methods`` at ``path``: ``/name`` or ``/name/{topic}``.

        The handler returns what ``answer`` returned, or ``CLOSED`` when it wrote by itself and the connection is used
        up. It may raise Problem or FeedError until it has written something. ``guarded`` says that the path upgrades
        or changes state: browsers are let in by their Origin (``servers.access``) before the handler runs.
        """
        self.routes.setdefault(path, {}).update(dict.fromkeys(methods, handler))
        if guarded:
            self.guarded.add(path)

    def admit(self) -> bool:
        """Count a connection that has come, on whatever port; False, and counted, when there is no room for it.

        For ``connection_made`` of a protocol of one's own: whoever was admitted calls ``depart`` in
        ``connection_lost``, whoever was not is told so as its protocol can, and closed.
        """
        if self.connections >= self.limits.connections:
            self.counters.drops["too_many_connections"] += 1
            return False
        self.connections += 1
        return True

    def depart(self) -> None:
        """Count the end of a connection that was admitted."""
        self.connections -= 1

    def begin_handshake(self) -> bool:
        """Count a connection that shakes hands for TLS; False when not even a refusal has room."""
        if self.connections + self.handshakes >= self.limits.connections + SPARE_CONNECTIONS:
            self.counters.drops["too_many_connections"] += 1
            return False
        self.handshakes += 1
        return True

    def end_handshake(self) -> None:
        """Count the end of a handshake: what has come of it asks to be admitted."""
        self.handshakes -= 1

    def listen(self, protocol: Callable[[], asyncio.Protocol]) -> None:
        """Ask for a listener on the TCP port (``--tcp-port``); READY prints its address as ``tcp``."""
        self.tcp = protocol

    def on_close(self, hook: Callable[[], Awaitable[None]]) -> None:
        """Have ``await hook()`` say the protocol's goodbye to every client when the server ends (0.8 s)."""
        self.closing.append(hook)

    def every(self, interval_s: float, function: Callable[[], None]) -> None:
        """Call ``function`` every ``interval_s`` until the server ends: one sweep instead of a timer per connection."""
        loop = asyncio.get_running_loop()

        def run() -> None:
            function()
            self.timers[function] = loop.call_later(interval_s, run)

        self.timers[function] = loop.call_later(interval_s, run)

    def met(self, name: str, request: Request) -> None:
        """Count the request's connection for transport ``name``, once, and its end when it comes."""
        task = request.task  # aiohttp runs one task per connection
        if task in self._met:
            return
        self._met.add(task)
        self.counters.opened(name)

        def closed(task: asyncio.Task[None]) -> None:
            self._met.discard(task)
            self.counters.closed(name)

        task.add_done_callback(closed)

    def send(self, request: Request, data: bytes) -> Written:
        """Write a complete answer; returns what the handler shall return. A client that has left is no error."""
        transport = request.transport
        if transport is not None:
            transport.write(data)
            self.counters.bytes_written += len(data)
        return KEPT if request.keep_alive else CLOSED

    def answer(self, request: Request, status: int, headers: bytes = b"", body: bytes = b"") -> Written:
        """Answer with header lines (each ending in CRLF) and a body; HEAD gets everything but the body."""
        data = answer_bytes(status, connection_line(request), headers, body)
        if request.method == "HEAD":
            data = data[: data.index(b"\r\n\r\n") + 4]
        return self.send(request, data)


def whole_number(query: Query, name: str, least: int = 0) -> int | None:
    """Return a parameter that counts something, None when it is absent; raises the 400 that names it."""
    value = query.get(name)
    if value is None:
        return None
    if value.isascii() and value.isdigit() and len(value) <= 19 and least <= int(value) <= MAX_SEQ:
        return int(value)
    raise bad_parameter(name, value, f"a whole number of at least {least}")


__all__ = [
    "MAX_SEQ", "Counters", "Handler", "Limits", "Problem", "Query", "Request", "Site", "whole_number",
]  # fmt: skip
