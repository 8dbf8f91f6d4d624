"""The driver that runs thousands of clients on gevent's event loop, in the load process.

A watcher per socket and one receive buffer for all of them, instead of a greenlet that blocks per socket: a callback
costs a third of a greenlet switch, and ten thousand subscribers share 256 KiB.

Rules
1. A callback on the hub must never block: addresses are resolved beforehand, in a greenlet (``resolve``); nothing is
   logged and no Locust event is fired from here.
2. ``received_ns`` is taken right behind the ``recv`` that brought the bytes.
3. The hot path is ``recv_into`` -> client -> rows into the spool, in ``Link._readable``; all else may be slower.
4. With a thousand subscribers a delivery costs what is no longer in the processor's caches: the hot path touches few
   objects of a link, and everything else it needs belongs to all of them.
"""

from __future__ import annotations

import errno
import random
import re
import ssl
import time
from collections import Counter, deque
from collections.abc import Callable
from typing import Any

from gevent import get_hub, monkey

from loadtests import tcp_info, tls
from loadtests.clients import (
    Address,
    Answer,
    Beat,
    Client,
    Close,
    Command,
    Connect,
    Connected,
    Data,
    Emit,
    Eof,
    Failed,
    Input,
    Mark,
    ProtocolError,
    Publication,
    Send,
    Stop,
    Timer,
    Wake,
)
from loadtests.drivers.secure import READ_AWAITS_WRITE, WRITE_AWAITS_READ, Secure
from loadtests.drivers.timers import Timers
from loadtests.records import Connection, Spools

# Locust has patched the modules; a callback wants the kernel's own socket.
_socket = monkey.get_original("socket", "socket")
_getaddrinfo = monkey.get_original("socket", "getaddrinfo")
_TCP = 6
_NODELAY = 1
_SOL_SOCKET, _SO_ERROR = 1, 4
_READ, _WRITE = 1, 2
_RECEIVE_BYTES = 256 * 1024
_CONNECTS_IN_FLIGHT = 128
_FAREWELL_NS = 1_000_000_000
_PROBE_NS = 20_000_000

_LONG_NUMBER = re.compile(r"(?<!RFC )\d{4,}")

now_ns = time.monotonic_ns


class EventLoop:
    """Everything the clients of one load process share.

    ``connects_hz`` paces connecting (0: as fast as it goes); TLS is spoken with ``context``. ``failures`` counts what
    went wrong by reason; ``totals`` are the bytes and segments of ended connections; ``late_ns`` gathers how late the
    loop came to a descriptor that was ready, between the two moments of ``watch``.
    """

    def __init__(self, spools: Spools, connects_hz: float = 0.0, context: ssl.SSLContext | None = None) -> None:
        self.spools = spools
        self.context = context
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
        self._addresses: dict[tuple[str, int], tuple[int, Any]] = {}
        self._waiting: deque[Link] = deque()
        self._connecting = 0
        self._interval_ns = round(1e9 / connects_hz) if connects_hz else 0
        self._turn_ns = 0
        self._paused = False

    def resolve(self, address: Address) -> None:
        """Look the name up, once; call it from a greenlet, before a client asks to connect there."""
        key = (address.host, address.port)
        if key not in self._addresses:
            family, _, _, _, sockaddr = _getaddrinfo(*key, type=1)[0]  # SOCK_STREAM
            self._addresses[key] = (family, sockaddr)

    def start(self, client: Client, subscriber: int, purpose: str = "") -> Link:
        """Run a client from its first command on; ``purpose`` stands in the rows of its connections."""
        link = Link(self, client, subscriber, purpose)
        self.links.add(link)
        link.advance(None)
        return link

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

    def connect(self, link: Link) -> None:
        """Connect a link when its turn comes; what is to be published has no turn to wait for."""
        if link.purpose:
            self._connecting += 1
            link.open()
            return
        self._waiting.append(link)
        self._next()

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

    def address(self, address: Address) -> tuple[int, Any]:
        """Return what ``resolve`` found; numeric addresses need no looking up."""
        self.resolve(address)
        return self._addresses[address.host, address.port]


class Link:
    """One client, its connection and its timer."""

    __slots__ = (
        "_address",
        "_alarm",
        "_attempt",
        "_connecting",
        "_loop",
        "_queue",
        "_reader",
        "_receive",
        "_row",
        "_secure",
        "_send",
        "_socket",
        "_subscribed",
        "_transmit",
        "_writer",
        "ended",
        "purpose",
        "subscriber",
    )  # fmt: skip

    def __init__(self, loop: EventLoop, client: Client, subscriber: int, purpose: str = "") -> None:
        self._loop = loop
        self._send: Callable[[Any], Any] = client.send
        self.subscriber = subscriber
        self.purpose = purpose
        self.ended = False
        self._socket: Any = None
        self._reader: Any = None
        self._receive: Any = None
        self._transmit: Any = None
        self._secure: Secure | None = None
        self._writer: Any = None
        self._queue = bytearray()
        self._row: Connection | None = None
        self._attempt = -1
        self._subscribed = False
        self._alarm = 0
        self._connecting = False
        self._address: Address | None = None

    # the client's turn ------------------------------------------------------------------------------------------

    def advance(self, event: Input | None) -> None:
        """Give the client an input (None starts it) and perform what it answers, until it waits."""
        try:
            while True:
                command = self._send(event)
                event = self._perform(command)
                if event is None:
                    return
        except StopIteration:
            self._finish("stopped")
        except ProtocolError as error:
            self.fail(f"protocol error: {error}")
            self._finish(str(error))

    def stop(self) -> None:
        """Ask the client to say goodbye; it is cut off a second later."""
        if not self.ended:
            self._loop.timers.at(now_ns() + _FAREWELL_NS, lambda _: self._finish("stopped"))
            self.advance(Stop(now_ns()))

    def fail(self, reason: str) -> None:
        """Count a failure. Long numbers (cursors, times) are left out, so that like counts with like."""
        self._loop.failures[_LONG_NUMBER.sub("N", reason)] += 1

    def _finish(self, why: str) -> None:
        if not self.ended:
            self.ended = True
            self._disconnect(why)
            self._loop.links.discard(self)

    def _perform(self, command: Command | tuple[Command, ...]) -> Input | None:
        """Perform a command; return the input that answers it at once, if there is one."""
        if type(command) is tuple:
            for one in command:
                if (answer := self._perform(one)) is not None:
                    return answer
        elif command is not None:
            return _PERFORM[type(command)](self, command)
        return None

    # what each command does ----------------------------------------------------------------------------------

    def _emit(self, rows: Emit) -> None:
        deliver = self._loop.spools.deliver
        for row in rows:
            deliver(row)

    def _answer(self, answer: Answer) -> None:
        self._loop.spools.answer(answer.row)

    def _publication(self, publication: Publication) -> None:
        self._loop.spools.publish(publication.row)

    def _mark(self, mark: Mark) -> None:
        row = self._row
        if row is None:
            return
        if mark.phase == "upgraded":
            row.upgraded_ns = mark.at_ns
            row.extensions, row.subprotocol = mark.extensions, mark.subprotocol
            return
        row.subscribed_ns = mark.at_ns
        if not self._subscribed:  # however many attempts it took
            self._subscribed = True
            self._loop.subscribed += 1
        if counts := self.counts():
            row.bytes_up_subscribed, row.bytes_down_subscribed = counts[:2]

    def _beat(self, beat: Beat) -> None:
        if self._row is not None:
            self._row.heartbeats += beat.count

    def _wake(self, wake: Wake) -> None:
        self._alarm = ticket = wake.at_ns
        if ticket:
            self._loop.timers.at(ticket, lambda at: self._rang(ticket, at))

    def _rang(self, ticket: int, at_ns: int) -> None:
        if self._alarm == ticket and not self.ended:
            self._alarm = 0
            self.advance(Timer(at_ns))

    def _close(self, close: Close) -> None:
        if close.failed:
            self.fail(close.why)
        self._disconnect(close.why)

    def _connect(self, connect: Connect) -> None:
        self._disconnect("replaced")
        self._attempt += 1
        self._address = connect.address
        self._row = Connection(
            subscriber=self.subscriber, attempt=self._attempt, purpose=self.purpose, started_ns=now_ns()
        )
        self._loop.connect(self)

    # the connection -------------------------------------------------------------------------------------------

    def open(self) -> None:
        """Start connecting (our turn has come)."""
        assert self._address is not None  # noqa: S101  set by _connect, the only way here
        if self.ended or self._row is None:
            self._loop.connected()
            return
        family, sockaddr = self._loop.address(self._address)
        self._connecting = True
        self._row.started_ns = now_ns()
        try:
            self._socket = opened = _socket(family, 1)
            opened.setblocking(False)
            opened.setsockopt(_TCP, _NODELAY, 1)
            code = opened.connect_ex(sockaddr)
        except OSError as error:
            reason = str(error)
            self._loop.timers.at(0, lambda at: self._broken(reason, at))
            return
        if code not in (0, errno.EINPROGRESS):
            self._loop.timers.at(0, lambda at: self._broken(errno.errorcode.get(code, str(code)), at))
            return
        self._writer = self._loop.loop.io(opened.fileno(), _WRITE)
        self._writer.start(self._opened)

    def _opened(self) -> None:
        at_ns = now_ns()
        self._writer.stop()
        if code := self._socket.getsockopt(_SOL_SOCKET, _SO_ERROR):
            self._broken(errno.errorcode.get(code, str(code)), at_ns)
            return
        if self._row is not None:
            self._row.tcp_ns = at_ns
        self._reader = self._loop.loop.io(self._socket.fileno(), _READ)
        if self._address is not None and self._address.tls:
            self._begin_tls(self._address.host)
            return
        self._receive, self._transmit = self._socket.recv_into, self._socket.send
        self._established(self._readable, Connected(at_ns, at_ns))

    def _settled(self) -> None:
        if self._connecting:
            self._connecting = False
            self._loop.connected()

    def _established(self, read: Callable[[], None], connected: Connected) -> None:
        """Have ``read`` called whenever there is something to read, and tell the client."""
        self._settled()
        self._reader.start(read)
        self.advance(connected)

    # TLS: the same, but for how bytes are read and written ---------------------------------------------------------

    def _begin_tls(self, host: str) -> None:
        if self._loop.context is None:
            self._loop.context = tls.context()
        try:
            self._secure = Secure(self._loop.context, self._socket, host)
        except (OSError, ValueError) as error:  # no name that could stand in a certificate
            self._broken(f"TLS handshake: {error}", now_ns())
            return
        self._shake_hands()

    def _shake_hands(self) -> None:
        """Take the handshake as far as it goes."""
        secure = self._secure
        assert secure is not None  # noqa: S101  the watchers that call this are closed with it
        try:
            wanted = secure.handshake()
        except OSError as error:
            self._broken(f"TLS handshake: {tls.explain(error)}", now_ns())
            return
        self._reader.stop()
        self._writer.stop()
        if wanted:
            (self._reader if wanted == _READ else self._writer).start(self._shake_hands)
            return
        at_ns = now_ns()
        self._receive, self._transmit = secure.receive, secure.send
        tcp_ns = at_ns
        if self._row is not None:
            tcp_ns, self._row.tls_ns = self._row.tcp_ns or at_ns, at_ns
        self._established(self._secure_readable, Connected(at_ns, tcp_ns, at_ns))

    def _secure_readable(self) -> None:
        self._readable()
        if self._secure is not None and self._secure.crossed:
            self._cross()

    def _cross(self) -> None:
        """TLS has to read before it can write, or to write before it can read (a key update, a renegotiation)."""
        secure = self._secure
        if secure is not None and secure.crossed & WRITE_AWAITS_READ:
            self._writable()  # something was read: perhaps what it waits for
        if secure is not None and secure is self._secure and secure.crossed & READ_AWAITS_WRITE:
            self._writer.start(self._secure_writable)

    def _secure_writable(self) -> None:
        """Read what had to write first, then send what waits."""
        secure = self._secure
        if secure is not None and secure.crossed & READ_AWAITS_WRITE:
            secure.crossed &= ~READ_AWAITS_WRITE
            self._writer.stop()
            self._secure_readable()
        if self._queue:
            self._writable()

    def _readable(self) -> None:
        """The hot path (rules 3 and 4)."""
        loop = self._loop
        data = loop.data
        try:
            size = self._receive(loop.buffer)
        except BlockingIOError:
            return
        except OSError as error:
            self._broken(tls.explain(error), now_ns())
            return
        data.at_ns = now_ns()
        if not size:
            self._ended(data.at_ns)
            return
        data.view = loop.view[:size]
        try:
            command = self._send(data)
        except StopIteration:
            self._finish("stopped")
            return
        except ProtocolError as error:
            self.fail(f"protocol error: {error}")
            self._finish(str(error))
            return
        if type(command) is Emit:
            deliver = loop.deliver
            for row in command:
                deliver(row)
        elif command is not None:
            event = self._perform(command)
            if event is not None:
                self.advance(event)

    def _ended(self, at_ns: int) -> None:
        self._disconnect("ended by the peer")
        self.advance(Eof(at_ns))

    def _broken(self, error: str, at_ns: int) -> None:
        self._disconnect(error)
        self.fail(error)
        self.advance(Failed(error, at_ns))

    def _write(self, send: Send) -> Input | None:
        if self._socket is None:
            return None  # a closed connection takes nothing and says nothing (rule 3)
        if self._queue:
            self._queue += send.data
            return None
        try:
            sent = self._transmit(send.data)
        except BlockingIOError:
            sent = 0
        except OSError as error:
            why = tls.explain(error)
            self._disconnect(why)
            self.fail(why)
            return Failed(why, now_ns())
        if sent < len(send.data):
            self._queue += memoryview(send.data)[sent:]
            self._await_writable()
        return None

    def _await_writable(self) -> None:
        if self._secure is None:
            self._writer.start(self._writable)
        elif self._secure.crossed & WRITE_AWAITS_READ:
            self._writer.stop()  # what comes in will have it tried again
        else:
            self._writer.start(self._secure_writable)

    def _writable(self) -> None:
        try:
            del self._queue[: self._transmit(self._queue)]
        except BlockingIOError:
            self._await_writable()
            return
        except OSError as error:
            self._broken(tls.explain(error), now_ns())
            return
        if not self._queue:
            self._writer.stop()

    def counts(self) -> tuple[int, int, int, int] | None:
        """Bytes and segments up and down of the open connection, by the kernel; None where it does not say."""
        return None if self._socket is None else tcp_info.read(self._socket)

    def _disconnect(self, why: str) -> None:
        row, self._row = self._row, None
        if row is None:
            return
        if self._secure is not None:
            self._secure.close()
        if self._socket is not None:
            if counts := self.counts():
                row.bytes_up, row.bytes_down, row.segments_up, row.segments_down = counts
                self._loop.totals = [a + b for a, b in zip(self._loop.totals, counts, strict=True)]
            for watcher in (self._reader, self._writer):
                if watcher is not None:
                    watcher.close()
            self._socket.close()
        self._socket = self._receive = self._transmit = self._secure = self._reader = self._writer = None
        self._queue.clear()
        self._settled()
        row.closed_ns, row.why = now_ns(), why
        self._loop.spools.connection(row)


_PERFORM: dict[type, Callable[[Link, Any], Input | None]] = {
    Answer: Link._answer,  # noqa: SLF001  the table is part of the class, below it because it names its methods
    Beat: Link._beat,  # noqa: SLF001
    Close: Link._close,  # noqa: SLF001
    Connect: Link._connect,  # noqa: SLF001
    Emit: Link._emit,  # noqa: SLF001
    Mark: Link._mark,  # noqa: SLF001
    Publication: Link._publication,  # noqa: SLF001
    Send: Link._write,  # noqa: SLF001
    Wake: Link._wake,  # noqa: SLF001
}
