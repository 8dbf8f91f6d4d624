"""The driver that runs thousands of clients on gevent's event loop, in the load process.

A watcher per socket and one receive buffer for all of them, instead of a greenlet that blocks per socket: a callback
costs a third of a greenlet switch, and ten thousand subscribers share 256 KiB.

Rules
1. A callback on the hub must never block: names are looked up in gevent's threads; nothing is logged and no Locust
   event is fired from here.
2. ``received_ns`` is taken right behind the ``recv`` that brought the bytes.
3. The hot path is ``recv_into`` -> client -> rows into the spool, in ``link.Link._readable``; all else may be slower.
4. With a thousand subscribers a delivery costs what is no longer in the processor's caches: the hot path touches few
   objects of a link, and everything else it needs belongs to all of them.
5. A deadline is two attributes of a link, looked at by one sweep for all, four times a second: no timer for each, and
   nothing in the hot path. How long a stream has been silent is the kernel's to say.
"""

from __future__ import annotations

import random
import socket
import ssl
import time
from collections import Counter, deque
from collections.abc import Sequence
from typing import Any

import gevent
from gevent import get_hub, monkey

from loadtests.clients import Address, Client, Data
from loadtests.drivers.link import Link
from loadtests.drivers.timers import Timers
from loadtests.records import Spools

_RECEIVE_BYTES = 256 * 1024
_CONNECTS_IN_FLIGHT = 128
_PROBE_NS = 20_000_000
_LOOK_NS = 250_000_000

now_ns = time.monotonic_ns


class EventLoop:
    """Everything the clients of one load process share.

    ``connects_hz`` paces connecting (0: as fast as it goes); TLS is spoken with ``context``; ``secrets`` are never
    shown, though a peer repeat them. ``failures`` counts what went wrong by reason; ``totals`` are the bytes and
    segments of ended connections; ``late_ns`` gathers how late the loop came to a descriptor that was ready, between
    the two moments of ``watch``.
    """

    def __init__(
        self,
        spools: Spools,
        connects_hz: float = 0.0,
        context: ssl.SSLContext | None = None,
        secrets: Sequence[str] = (),
    ) -> None:
        self.spools = spools
        self.context = context
        self.secrets = secrets
        self.loop = get_hub().loop
        self.timers = Timers(self.loop)
        self.buffer = bytearray(_RECEIVE_BYTES)
        self.view = memoryview(self.buffer)
        self.data = Data(self.view, 0)
        self.deliver = spools.deliver
        self.links: set[Link] = set()
        self.subscribed = 0
        self.failures: Counter[str] = Counter()
        self.totals = [0, 0, 0, 0]
        self.window: list[list[int]] = []
        self.late_ns: list[int] = []
        self._window_ns = (0, 0)
        # Locust has patched the module; a callback wants the kernel's own socket.
        self.socket = monkey.get_original("socket", "socket")
        self.addresses: dict[tuple[str, int], tuple[int, Any]] = {}
        self._asked: dict[tuple[str, int], list[Link]] = {}
        self._waiting: deque[Link] = deque()
        self._connecting = 0
        self._interval_ns = round(1e9 / connects_hz) if connects_hz else 0
        self._turn_ns = 0
        self._paused = False
        self._sweeping = False

    def start(self, client: Client, subscriber: int, purpose: str = "") -> Link:
        """Run a client from its first command on; ``purpose`` stands in the rows of its connections."""
        if not self._sweeping:
            self._sweeping = True
            self.timers.at(now_ns() + _LOOK_NS, self._sweep)
        link = Link(self, client, subscriber, purpose)
        self.links.add(link)
        link.advance(None)
        return link

    def _sweep(self, at_ns: int) -> None:
        """Fail the links whose time is up; the last to leave ends the sweeping."""
        for link in [link for link in self.links if 0 < link.deadline_ns <= at_ns]:
            link.overdue(at_ns)
        for link in [link for link in self.links if link.silence_ms]:
            link.insist(at_ns)
        self._sweeping = bool(self.links)
        if self._sweeping:
            self.timers.at(at_ns + _LOOK_NS, self._sweep)

    def watch(self, from_ns: int, to_ns: int) -> None:
        """Count bytes and segments, and probe the loop's lateness, between two moments."""
        self._window_ns = (from_ns, to_ns)
        self.timers.at(from_ns, lambda _: self.window.append(self.count()))
        self.timers.at(to_ns, lambda _: self.window.append(self.count()))
        due = from_ns + random.randrange(_PROBE_NS)
        self.timers.at(due, lambda at: self._probe(due, at))

    def _probe(self, due_ns: int, at_ns: int) -> None:
        self.late_ns.append(at_ns - due_ns)
        due = at_ns + random.randrange(2 * _PROBE_NS)  # random, so that it cannot lock onto the feed
        if due < self._window_ns[1]:
            self.timers.at(due, lambda at: self._probe(due, at))

    def count(self) -> list[int]:
        """Bytes up, bytes down, segments up, segments down of all connections so far."""
        sums = list(self.totals)
        for link in self.links:
            for i, value in enumerate(link.counts() or ()):
                sums[i] += value
        return sums

    # connecting: one by one at a pace, and at most so many at once, because a server's backlog is finite ---------

    def connect(self, link: Link, address: Address) -> None:
        """Connect a link when its turn comes, and the address is known."""
        key = (address.host, address.port)
        if key not in self.addresses:
            self._resolve(key, link)
        else:
            self._admit(link)

    def _admit(self, link: Link) -> None:
        if link.purpose:  # what is to be published has no turn to wait for
            self._connecting += 1
            link.open()
            return
        self._waiting.append(link)
        self._next()

    def _resolve(self, key: tuple[str, int], link: Link) -> None:
        """Look a name up, once for all who wait for it; what is an address already needs no looking up."""
        if key in self._asked:
            self._asked[key].append(link)
            return
        self._asked[key] = [link]
        try:
            found = monkey.get_original("socket", "getaddrinfo")(
                *key, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST
            )
        except (socket.gaierror, ValueError):  # a label of over 63 characters is the latter
            gevent.spawn(self._look_up, key)
        else:
            self._resolved(key, found, "", now_ns())

    def _look_up(self, key: tuple[str, int]) -> None:
        try:
            found = get_hub().resolver.getaddrinfo(*key, type=socket.SOCK_STREAM)
        except (OSError, ValueError) as error:
            self._resolved(key, [], f"{key[0][:80]}: {getattr(error, 'strerror', None) or error}", now_ns())
        else:
            self._resolved(key, found, "", now_ns())

    def _resolved(self, key: tuple[str, int], found: list[Any], error: str, at_ns: int) -> None:
        links = self._asked.pop(key)
        if error:
            for link in links:
                link.unreachable(error, at_ns)
            return
        family, _, _, _, sockaddr = found[0]
        self.addresses[key] = (family, sockaddr)
        for link in links:
            self._admit(link)

    def connected(self) -> None:
        """One connect has ended, well or badly."""
        self._connecting -= 1
        self._next()

    def _next(self) -> None:
        while self._waiting and self._connecting < _CONNECTS_IN_FLIGHT and not self._paused:
            now = now_ns()
            if now < self._turn_ns:
                self._paused = True
                self.timers.at(self._turn_ns, self._resume)
                return
            self._turn_ns = now + self._interval_ns
            self._connecting += 1
            self._waiting.popleft().open()

    def _resume(self, _: int) -> None:
        self._paused = False
        self._next()
