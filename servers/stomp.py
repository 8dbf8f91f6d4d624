"""STOMP: a message broker's protocol of text frames, over WebSocket and over TCP (STOMP 1.2, and 1.1 and 1.0).

A frame is a command, headers, an empty line, a body and a NUL. The client says CONNECT, is answered CONNECTED, and says
``SUBSCRIBE`` with ``destination:/topic/t0``; from then on each event comes as a MESSAGE frame. The conversation
(``servers.stomp_session``) is the same on both carriers. Over WebSocket every frame sent is a text message of its own,
and what is received may be cut anywhere. Over TCP frames follow each other, and so they end by their NUL alone.
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Callable
from typing import cast

from servers import upgrade
from servers.outlet import Outlet
from servers.responses import CLOSED, Written
from servers.site import Query, Request, Site
from servers.stomp_session import Carrier, Session
from servers.websocket_connection import CLOSE_NS, Connection

NAMES = ("stomp_websocket", "stomp_tcp")

SUBPROTOCOLS = ("v12.stomp", "v11.stomp", "v10.stomp")  # best first
MESSAGE_BYTES = 1 << 20  # of a WebSocket message; it may hold any number of frames
SWEEPS = 30  # per heartbeat


class OverWebSocket:
    """STOMP over WebSocket: the handler of ``/stomp``."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._upgrader = upgrade.Upgrader(site, SUBPROTOCOLS, required=True)
        self._sessions: dict[Connection, Session] = {}

    async def converse(self, request: Request, _topic: str, _query: Query) -> Written:
        """Upgrade, then talk until one side closes."""
        accepted = self._upgrader.check(request)
        self._site.met("stomp_websocket", request)
        await self._upgrader.run(request, accepted, MESSAGE_BYTES, self._begin)
        return CLOSED

    def _begin(self, connection: Connection) -> None:
        carrier = Carrier(connection.outlet, connection.form, connection.frame, connection.close)
        session = self._sessions[connection] = Session(self._site, carrier)
        connection.on_message = lambda message: session.receive(message.data)
        connection.on_closing = session.end
        connection.lost.add_done_callback(lambda _: self._sessions.pop(connection))

    def sweep(self) -> None:
        """Send heart-beats, cut off the dead; a peer that promised heart-beats needs no pings."""
        now_ns = self._site.feed.clock()
        for connection, session in tuple(self._sessions.items()):
            session.sweep(now_ns)
            connection.sweep(now_ns, pings=not session.expects_beats)

    async def close(self) -> None:
        """Close every WebSocket; a shutdown is no mistake, so there is no ERROR."""
        await self._upgrader.close()


class OverTcp(asyncio.Protocol):
    """STOMP over a TCP connection of its own. ``open_now`` is the set of those that stand."""

    def __init__(self, site: Site, open_now: set[OverTcp]) -> None:
        self.lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._site = site
        self._open_now = open_now
        self._deadline_ns = 0  # of closing; 0 while open

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._outlet = Outlet(self._site, cast("asyncio.Transport", transport))
        self._session = Session(self._site, Carrier(self._outlet, "tcp", bytes, self._hang_up))
        self._open_now.add(self)
        self._site.counters.opened("stomp_tcp")

    def data_received(self, data: bytes) -> None:
        """Take bytes."""
        self._session.receive(data)

    def connection_lost(self, _exc: Exception | None) -> None:
        """End."""
        self._session.end()
        self._open_now.discard(self)
        self._site.counters.closed("stomp_tcp")
        self.lost.set_result(None)

    def _hang_up(self) -> None:
        """End our half, so that no reset overtakes the last frame ("connection lingering"); ``sweep`` bounds it."""
        self._deadline_ns = self._site.feed.clock() + CLOSE_NS
        transport = self._outlet.transport
        if transport.can_write_eof():
            transport.write_eof()
        else:
            transport.close()

    def sweep(self, now_ns: int) -> None:
        """Send a heart-beat, or cut off the dead."""
        self._session.sweep(now_ns)
        if self._deadline_ns and now_ns >= self._deadline_ns:
            self._outlet.drop("close_timeout")

    def close(self) -> None:
        """Flush what is queued and close. A shutdown is no mistake, so there is no ERROR."""
        self._session.end()
        if not self._deadline_ns:
            self._hang_up()

    def abort(self) -> None:
        """Close at once."""
        self._outlet.transport.abort()


class TcpListener:
    """The TCP connections of one site."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._open: set[OverTcp] = set()

    def accept(self) -> OverTcp:
        """Make the protocol of a new connection."""
        return OverTcp(self._site, self._open)

    def sweep(self) -> None:
        """Look after every connection."""
        now_ns = self._site.feed.clock()
        for connection in tuple(self._open):
            connection.sweep(now_ns)

    async def close(self) -> None:
        """Close every connection and wait for the peers to do the same; the site bounds how long."""
        connections = tuple(self._open)
        for connection in connections:
            connection.close()
        try:
            if connections:
                await asyncio.wait([connection.lost for connection in connections])
        finally:
            for connection in tuple(self._open):
                connection.abort()


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags of STOMP over WebSocket."""
    upgrade.arguments(parser)


def _mount_websocket(site: Site) -> None:
    handler = OverWebSocket(site)
    site.route(("GET",), "/stomp", handler.converse, guarded=True)
    site.every(site.limits.heartbeat_s / SWEEPS, handler.sweep)
    site.on_close(handler.close)


def _mount_tcp(site: Site) -> None:
    listener = TcpListener(site)
    site.listen(listener.accept)
    site.every(site.limits.heartbeat_s / SWEEPS, listener.sweep)
    site.on_close(listener.close)


_MOUNT: dict[str, Callable[[Site], None]] = {"stomp_websocket": _mount_websocket, "stomp_tcp": _mount_tcp}


def mount(site: Site, name: str) -> None:
    """Add ``/stomp``, or the TCP port."""
    _MOUNT[name](site)
