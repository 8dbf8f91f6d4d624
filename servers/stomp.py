"""STOMP: a message broker's protocol of text frames, over WebSocket and over TCP (STOMP 1.2, and 1.1 and 1.0).

A frame is a command, headers, an empty line, a body and a NUL. The client says CONNECT, is answered CONNECTED, and says
``SUBSCRIBE`` with ``destination:/topic/t0``; from then on each event comes as a MESSAGE frame. The conversation
(``servers.stomp_session``) is the same on both carriers. Over WebSocket every frame sent is a text message of its own,
and what is received, text or binary, may be cut anywhere. Over TCP frames follow each other, and so they end by their
NUL alone. After an ERROR a WebSocket is closed with the code of ``CLOSE_CODES``; a TCP connection is half closed and
lingers, so that no reset overtakes the last frame ("Connection Lingering").
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
from servers.stomp_frames import ProtocolError
from servers.stomp_session import Carrier, Session, error_frame
from servers.websocket_connection import CLOSE_NS, Connection
from servers.websocket_frames import NORMAL, POLICY, PROTOCOL_ERROR, TOO_BIG, TRY_AGAIN

NAMES = ("stomp_websocket", "stomp_tcp")

SUBPROTOCOLS = ("v12.stomp", "v11.stomp", "v10.stomp")  # best first
SWEEPS = 30  # per heartbeat; and ten in what else is timed

# RFC 6455, section 7.4.1, by the reason of an ERROR; any other is a protocol error.
CLOSE_CODES = {
    "": NORMAL,
    "body_too_big": TOO_BIG,
    "header_too_big": TOO_BIG,
    "unauthorized": POLICY,
    "handshake_timeout": POLICY,
    "request_timeout": POLICY,
    "too_many_subscriptions": POLICY,
    "too_many_transactions": POLICY,
    "too_many_topics": TRY_AGAIN,
    "overtaken": TRY_AGAIN,
}


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
        await self._upgrader.run(request, accepted, self._site.limits.message_bytes, self._begin)
        return CLOSED

    def _begin(self, connection: Connection) -> None:
        def hang_up(reason: str) -> None:
            connection.close(CLOSE_CODES.get(reason, PROTOCOL_ERROR), reason)

        carrier = Carrier(
            connection.outlet, connection.form, connection.frame, hang_up, connection.hold, connection.go_on
        )
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
        self._session: Session | None = None  # none for a connection too many
        self._deadline_ns = 0  # of closing; 0 while open
        self._counted = False  # why it is closing

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin, or refuse a connection too many."""
        transport = cast("asyncio.Transport", transport)
        self._outlet = Outlet(self._site, transport)
        if not self._site.admit():
            most = self._site.limits.connections
            self._outlet.write(error_frame(ProtocolError(f"more than {most} connections; try again later")))
            transport.close()  # it must not linger
            return
        pauses = transport.pause_reading, transport.resume_reading
        self._session = Session(self._site, Carrier(self._outlet, "tcp", bytes, self._hang_up, *pauses))
        self._open_now.add(self)
        self._site.counters.opened("stomp_tcp")

    def data_received(self, data: bytes) -> None:
        """Take bytes."""
        if self._session is not None:
            self._session.receive(data)

    def connection_lost(self, _exc: Exception | None) -> None:
        """End."""
        self.lost.set_result(None)
        if self._session is not None:
            self._session.end()
            self._open_now.discard(self)
            self._site.counters.closed("stomp_tcp")
            self._site.depart()

    def _hang_up(self, reason: str) -> None:
        """End our half; ``sweep`` bounds how long the other one takes."""
        self._counted = bool(reason)
        self._deadline_ns = self._site.feed.clock() + CLOSE_NS
        self._outlet.finish()

    def sweep(self, now_ns: int) -> None:
        """Send a heart-beat, or cut off the dead."""
        if self._session is not None:
            self._session.sweep(now_ns)
        if self._deadline_ns and now_ns >= self._deadline_ns:
            if self._counted:
                self.abort()
            else:
                self._outlet.drop("close_timeout")

    def close(self) -> None:
        """Flush what is queued and close. A shutdown is no mistake, so there is no ERROR."""
        if self._session is not None:
            self._session.end()
        if not self._deadline_ns:
            self._hang_up("")

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


def _sweep_s(site: Site) -> float:
    """How often to look after the connections."""
    limits = site.limits
    return min(limits.heartbeat_s / SWEEPS, limits.handshake_s / 10, limits.request_s / 10)


def _mount_websocket(site: Site) -> None:
    handler = OverWebSocket(site)
    site.route(("GET",), "/stomp", handler.converse, guarded=True)
    site.every(_sweep_s(site), handler.sweep)
    site.on_close(handler.close)


def _mount_tcp(site: Site) -> None:
    listener = TcpListener(site)
    site.listen(listener.accept)
    site.every(_sweep_s(site), listener.sweep)
    site.on_close(listener.close)


_MOUNT: dict[str, Callable[[Site], None]] = {"stomp_websocket": _mount_websocket, "stomp_tcp": _mount_tcp}


def mount(site: Site, name: str) -> None:
    """Add ``/stomp``, or the TCP port."""
    _MOUNT[name](site)
