"""WebSocket: an HTTP request that turns into a stream of messages both ways (RFC 6455, RFC 7692).

``GET /ws/{topic}`` with ``Upgrade: websocket`` is answered 101, and HTTP is over. From then on each event is one
text message: two to ten bytes of head and its JSON, the same bytes for every subscriber who agreed on the same
compression. A text message from the client is published to the topic. Pings find out who has left without saying so;
a close frame, answered by a close frame, ends it. What the 410 of the other transports says is a close with 4410
here, for a browser shows its script the close code of a WebSocket and never the status of a refused upgrade.
"""

from __future__ import annotations

import argparse
from functools import partial

from servers import upgrade
from servers.feed import Event, FeedError, GoneError, Topic
from servers.responses import CLOSED, Written
from servers.site import Query, Request, Site, whole_number
from servers.subscription import Subscription
from servers.websocket_connection import Connection
from servers.websocket_frames import POLICY, UNSUPPORTED, Message

NAMES = ("websocket",)

GONE = 4410  # 4000-4999 are private (section 7.4.2); the contract's 410
SWEEPS = 30  # per heartbeat, so that a thousand pings do not go out in one burst


class WebSocket:
    """The handler."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._upgrader = upgrade.Upgrader(site)

    async def stream(self, request: Request, name: str, query: Query) -> Written:
        """Upgrade, then send events until one side closes."""
        topic = self._site.feed.topic(name)
        after = whole_number(query, "after")
        accepted = self._upgrader.check(request)
        self._site.met("websocket", request)
        begin = partial(self._begin, topic, after)
        limits = self._site.limits  # a message is the data of an event, so both bound it
        await self._upgrader.run(request, accepted, min(limits.message_bytes, limits.publish_bytes), begin)
        return CLOSED

    def _begin(self, topic: Topic, after: int | None, connection: Connection) -> None:
        def overtaken(error: GoneError) -> None:
            self._site.counters.drops["overtaken"] += 1
            _gone(connection, error)

        def encode(event: Event) -> bytes:
            return connection.frame(event.json)

        connection.on_message = partial(self._publish, connection, topic)
        try:
            form = ("websocket", connection.form)
            subscription = Subscription(connection.outlet, topic, after, form, encode, overtaken=overtaken)
        except GoneError as error:
            _gone(connection, error)
        else:
            connection.on_closing = subscription.end

    def _publish(self, connection: Connection, topic: Topic, message: Message) -> None:
        """Publish what the client sent."""
        if not message.text:
            connection.close(UNSUPPORTED, "binary message, expected text", "unsupported_data")
            return
        try:
            self._site.feed.publish(topic.name, message.data.decode())
        except FeedError as error:
            connection.close(POLICY, str(error), "policy_violation")

    def sweep(self) -> None:
        """Ping the silent, cut off the dead."""
        now_ns = self._site.feed.clock()
        for connection in tuple(self._upgrader.connections):
            connection.sweep(now_ns)

    async def close(self) -> None:
        """Say goodbye to everybody."""
        await self._upgrader.close()


def _gone(connection: Connection, error: GoneError) -> None:
    connection.close(GONE, f"oldest={error.oldest} newest={error.newest}")


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the transport's own flags."""
    upgrade.arguments(parser)


def mount(site: Site, _name: str) -> None:
    """Add ``/ws/{topic}``."""
    handler = WebSocket(site)
    site.route(("GET",), "/ws/{topic}", handler.stream, guarded=True)
    site.every(min(site.limits.heartbeat_s / SWEEPS, site.limits.request_s / 8), handler.sweep)
    site.on_close(handler.close)
