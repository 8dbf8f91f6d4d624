"""Two sockets a connection, and when what came out of one goes into the other.

Rule: bytes keep their order and are late by what was asked for and some tens of microseconds. asyncio's clock is as
good as its selector's time-out: epoll takes whole milliseconds, ``select`` microseconds, so the loop runs on that (and
holds a thousand sockets at most, which is enough here).
"""

from __future__ import annotations

import asyncio
import re
import selectors
from collections import deque
from dataclasses import dataclass, field

from tests.relay.faults import Ledger, Meddler, Odds
from tests.relay.framings import Wire

_HELD_S = 0.15  # how long an event waits for a neighbour to be swapped with: less than a cell's drain
_EPOCH = re.compile(rb'PUT /feed .*"epoch_ns": *([0-9]+)', re.DOTALL)
_ASKED_BYTES = 4096


def new_loop() -> asyncio.AbstractEventLoop:
    """Return a loop whose timers are good to some tens of microseconds."""
    return asyncio.SelectorEventLoop(selectors.SelectSelector())


@dataclass(slots=True)
class Plan:
    """What is asked. Times in s on the loop's (monotonic) clock; the stall counts from the feed's epoch."""

    odds: Odds
    ledger: Ledger
    delay_s: float = 0.0
    stall_s: float = 0.0
    stall_at_s: float = 0.0
    connections: int = 0
    late_s: list[float] = field(default_factory=list)
    _stall: tuple[float, float] = (0.0, 0.0)

    def meddler(self) -> Meddler:
        """Return the one of the next connection."""
        self.connections += 1
        return Meddler(self.odds, self.ledger, self.connections)

    def set_epoch(self, epoch_ns: int) -> None:
        """Learn when the feed begins: the runner's PUT /feed has passed."""
        if self.stall_s and not self._stall[1]:
            begin = epoch_ns / 1e9 + self.stall_at_s
            self._stall = (begin, begin + self.stall_s)
            self.ledger.note("stall", from_ns=round(begin * 1e9), to_ns=round((begin + self.stall_s) * 1e9))

    def due(self, now: float, *, down: bool) -> float:
        """Return when bytes that came ``now`` go on; ``down`` is server to client, the way that is delayed."""
        begin, end = self._stall
        return (end if begin <= now < end else now) + (self.delay_s if down else 0.0)


class End(asyncio.Protocol):
    """One end of a relayed connection: what it reads is written to the other end when it is due (None: the end)."""

    def __init__(self, plan: Plan, wire: Wire | None) -> None:
        self._plan = plan
        self._wire = wire  # of the server's end: the client's bytes pass as they are
        self._loop = asyncio.get_running_loop()
        self._queue: deque[tuple[float, bytes | None]] = deque()
        self._asked = b""
        self.transport: asyncio.Transport | None = None
        self.other: End | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        """Pass on what has come."""
        if self._wire is None:
            self._look_for_epoch(data)
            self._post(data)
            return
        for piece in self._wire.feed(data):
            self._post(piece)
        if (held := self._wire.meddler.held) is not None:
            self._loop.call_later(_HELD_S, self._release, held)

    def connection_lost(self, _error: Exception | None) -> None:
        """Close the other end, behind all that is still on its way to it."""
        self._post(None)

    def _release(self, held: object) -> None:
        if self._wire is not None and self._wire.meddler.held is held:
            for event in self._wire.meddler.release():
                self._post(event.raw)

    def _post(self, data: bytes | None) -> None:
        now = self._loop.time()
        due = self._plan.due(now, down=self._wire is not None)
        if due <= now and not self._queue:
            self._write(data)
            return
        self._queue.append((due, data))
        if len(self._queue) == 1:
            self._loop.call_at(due, self._flush)

    def _flush(self) -> None:
        now, pieces, last = self._loop.time(), [], False
        while self._queue and now >= self._queue[0][0]:
            due, data = self._queue.popleft()
            self._plan.late_s.append(now - due)
            if data is None:
                last = True
            else:
                pieces.append(data)
        if pieces:
            self._write(b"".join(pieces))  # one write, or the end of a stall would take its time
        if last:
            self._write(None)
        if self._queue:
            self._loop.call_at(self._queue[0][0], self._flush)

    def _write(self, data: bytes | None) -> None:
        there = self.other.transport if self.other else None
        if there is None or there.is_closing():
            return
        if data is None:
            there.close()
        else:
            there.write(data)

    def _look_for_epoch(self, data: bytes) -> None:
        if len(self._asked) < _ASKED_BYTES:
            self._asked += data
            if found := _EPOCH.match(self._asked):
                self._plan.set_epoch(int(found[1]))


class Accepted(End):
    """The client's end: it opens the server's, and reads nothing until that stands."""

    def __init__(self, plan: Plan, server: tuple[str, int], *, bare_stomp: bool) -> None:
        super().__init__(plan, None)
        self._server = server
        self._bare_stomp = bare_stomp

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Connect on."""
        super().connection_made(transport)
        if self.transport:
            # Not at once: asyncio of older 3.11 begins to read after this call, paused or not.
            self._loop.call_soon(self.transport.pause_reading)
        self._opening = self._loop.create_task(self._open())

    async def _open(self) -> None:
        assert self.transport is not None
        wire = Wire(self._plan.meddler(), bare_stomp=self._bare_stomp)
        try:
            _, self.other = await self._loop.create_connection(lambda: End(self._plan, wire), *self._server)
        except OSError:
            self.transport.abort()
            return
        self.other.other = self
        if self.transport.is_closing():
            self._post(None)
        else:
            self.transport.resume_reading()


async def listen(plan: Plan, server: str, *, bare_stomp: bool = False) -> str:
    """Relay connections to ``HOST:PORT``; returns the address to connect to."""
    host, _, port = server.rpartition(":")
    where = (host, int(port))
    loop = asyncio.get_running_loop()
    listener = await loop.create_server(lambda: Accepted(plan, where, bare_stomp=bare_stomp), host, 0, backlog=1024)
    return "{}:{}".format(*listener.sockets[0].getsockname()[:2])
