"""The way out of one push connection: a bounded queue of bytes, and the switch from replay to live.

The rules
1. What a client does not read waits in the transport's buffer, at most ``queue_bytes``. Past that the connection is
   aborted and counted as ``slow_consumer``: one slow reader must cost the others neither memory nor time (source: the
   broadcast essay of websockets).
2. Replay never overruns that queue: it waits for the client, piece by piece, and goes live in the very step in which
   nothing is missing any more.
"""

from __future__ import annotations

import asyncio
from collections.abc import Hashable

from servers.feed import Cancel, Encode, Event, Topic, Write
from servers.site import Site

REPLAY_EVENTS = 100  # written at once while catching up
_PATIENCE_S = 0.005  # between two looks at a queue that is full


def _discard(_data: bytes) -> None:
    """Take what is written to a connection that was dropped a moment ago."""


class Outlet:
    """Writes to one connection's transport. ``write`` is what a transport hands to ``Topic.subscribe``."""

    __slots__ = ("_counters", "_limit", "_queued", "_send", "transport")

    def __init__(self, site: Site, transport: asyncio.WriteTransport) -> None:
        self.transport = transport
        self._counters = site.counters
        self._limit = site.limits.queue_bytes
        self._send: Write = transport.write
        self._queued = transport.get_write_buffer_size

    def write(self, data: bytes) -> None:
        """Write, count, and drop the connection when it does not keep up. Never raises, never blocks."""
        self._send(data)
        self._counters.bytes_written += len(data)
        if self._queued() > self._limit:
            self.drop("slow_consumer")

    def drop(self, reason: str) -> None:
        """Abort the connection, throwing away what is queued, and count why."""
        if self._send is not _discard:
            self._send = _discard
            self._counters.drops[reason] += 1
            self.transport.abort()

    def finish(self) -> None:
        """Send what is queued and end our half; the connection ends when the peer ends its own, or is dropped.

        Closing with bytes unread resets a connection, and the reset may overtake what was written last.
        """
        if not self.transport.can_write_eof():
            self.transport.close()  # TLS has no halves: asyncio waits for the peer's close_notify instead
            return
        try:
            self.transport.write_eof()
        except OSError:  # it has left without our having noticed
            self.transport.abort()

    async def follow(self, topic: Topic, after: int | None, form: Hashable, encode: Encode) -> Cancel:
        """Replay what lies past ``after`` (None: nothing), then subscribe; returns what ends the subscription.

        Raises GoneError at once when the cursor lies outside the log, and later when the log overtakes a client that
        reads too slowly.
        """
        while after is not None and (events := topic.since(after, REPLAY_EVENTS)):
            after = self._replay(events, encode)
            while self._queued() > self._limit // 2:  # noqa: ASYNC110 - not every transport can tell of a drain
                await asyncio.sleep(_PATIENCE_S)
        return topic.subscribe(form, encode, self.write)

    def _replay(self, events: list[Event], encode: Encode) -> int:
        """Write as many of ``events`` as a quarter of the queue takes, one at least; return the last one's seq."""
        size = 0
        pieces = []
        for event in events:
            pieces.append(encode(event))
            size += len(pieces[-1])
            if size > self._limit // 4:
                break
        self.write(b"".join(pieces))
        return events[len(pieces) - 1].seq
