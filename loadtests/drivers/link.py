"""One client in the event loop: its connection, its commands performed, its inputs given (rules in ``eventloop``)."""

from __future__ import annotations

import errno
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from loadtests import tcp_info, tls
from loadtests.clients import (
    Answer,
    Beat,
    Client,
    Close,
    Command,
    Connect,
    Connected,
    Deadline,
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
from loadtests.drivers.reasons import count, presentable
from loadtests.drivers.secure import READ_AWAITS_WRITE, WRITE_AWAITS_READ, Secure
from loadtests.records import Connection

if TYPE_CHECKING:
    from loadtests.drivers.eventloop import EventLoop

__all__ = ["Link"]

_TCP = 6
_NODELAY = 1
_SOL_SOCKET, _SO_ERROR = 1, 4
_READ, _WRITE = 1, 2
_FAREWELL_NS = 1_000_000_000
_GRACE_NS = 1_000_000_000
_PEEK = 2
_UNSENT_BYTES = 32 * 2**20  # that may wait for a peer who does not read: one who sends pings for ever, for instance
_UNSENT = f"over {_UNSENT_BYTES >> 20} MiB unsent, the peer does not read"

now_ns = time.monotonic_ns


class Link:
    """One client, its connection and its timer."""

    __slots__ = (
        "_alarm",
        "_attempt",
        "_connecting",
        "_goal",
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
        "_why",
        "_writer",
        "deadline_ns",
        "ended",
        "purpose",
        "silence_ms",
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
        self._goal: Connect | None = None
        self.deadline_ns = 0
        self._why = ""  # what has happened once the deadline has passed
        self.silence_ms = 0  # how long the peer may say nothing; 0: for ever

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
        """Count a failure."""
        count(self._loop.failures, presentable(reason, self._loop.secrets))

    def unreachable(self, error: str, at_ns: int) -> None:
        """There is no such address."""
        if not self.ended and self._row is not None:
            self._broken(error, at_ns)

    def overdue(self, at_ns: int) -> None:
        """The deadline has passed: unless it is we who are late, and what was awaited lies there unread."""
        if not self._unread() or at_ns > self.deadline_ns + _GRACE_NS:
            self._broken(self._why, at_ns)

    def insist(self, at_ns: int) -> None:
        """Fail a connection that has said nothing for too long."""
        silent = self._socket and tcp_info.silent_ms(self._socket)
        if silent and silent >= self.silence_ms and not self._unread():
            self._broken(f"silent for {self.silence_ms / 1e3:g} s", at_ns)

    def _unread(self) -> bool:
        try:
            return self._socket is not None and bool(self._socket.recv(1, _PEEK))
        except OSError:  # nothing has come, or there is no connection yet
            return False

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
        self.deadline_ns = 0
        self.silence_ms = round(self._goal.silence_s * 1e3) if self._goal else 0
        if not self._subscribed:  # however many attempts it took
            self._subscribed = True
            self._loop.subscribed += 1
        if counts := self.counts():
            row.bytes_up_subscribed, row.bytes_down_subscribed = counts[:2]

    def _beat(self, beat: Beat) -> None:
        if self._row is not None:
            self._row.heartbeats += beat.count

    def _deadline(self, deadline: Deadline) -> None:
        if self._row is not None:
            self.deadline_ns, self._why = deadline.at_ns, deadline.why

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
        self._goal = connect
        self._row = Connection(
            subscriber=self.subscriber, attempt=self._attempt, purpose=self.purpose, started_ns=now_ns()
        )
        self._loop.connect(self, connect.address)

    # the connection -------------------------------------------------------------------------------------------

    def open(self) -> None:
        """Start connecting (our turn has come)."""
        goal = self._goal
        assert goal is not None  # noqa: S101  set by _connect, the only way here
        if self.ended or self._row is None:
            self._loop.connected()
            return
        family, sockaddr = self._loop.addresses[goal.address.host, goal.address.port]
        self._connecting = True
        self._row.started_ns = now_ns()
        self._allow(self._row.started_ns, goal.connect_s, "connect")
        try:
            self._socket = opened = self._loop.socket(family, 1)
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

    def _allow(self, from_ns: int, seconds: float, what: str) -> None:
        self.deadline_ns = from_ns + round(seconds * 1e9) if seconds else 0
        self._why = f"{what} timeout after {seconds:g} s"

    def _opened(self) -> None:
        at_ns = now_ns()
        self._writer.stop()
        if code := self._socket.getsockopt(_SOL_SOCKET, _SO_ERROR):
            self._broken(errno.errorcode.get(code, str(code)), at_ns)
            return
        if self._row is not None:
            self._row.tcp_ns = at_ns
        self._reader = self._loop.loop.io(self._socket.fileno(), _READ)
        goal = self._goal
        assert goal is not None  # noqa: S101  as in open
        if goal.address.tls:
            self._allow(at_ns, goal.handshake_s or goal.connect_s, "TLS handshake")
            self._begin_tls(goal.address.host)
            return
        self._allow(at_ns, goal.handshake_s, "handshake")
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
        if self._goal is not None and not self._goal.handshake_s:
            self.deadline_ns = 0
        self._why = self._why.removeprefix("TLS ")  # what is left of it is for what follows
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
            return self._lose(_UNSENT) if len(self._queue) > _UNSENT_BYTES else None
        try:
            sent = self._transmit(send.data)
        except BlockingIOError:
            sent = 0
        except OSError as error:
            return self._lose(tls.explain(error))
        if sent < len(send.data):
            self._queue += memoryview(send.data)[sent:]
            self._await_writable()
        return None

    def _lose(self, why: str) -> Failed:
        self._disconnect(why)
        self.fail(why)
        return Failed(why, now_ns())

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
        self.deadline_ns = self.silence_ms = 0
        self._queue.clear()
        self._settled()
        row.closed_ns, row.why = now_ns(), presentable(why, self._loop.secrets)
        self._loop.spools.connection(row)


_PERFORM: dict[type, Callable[[Link, Any], Input | None]] = {
    Answer: Link._answer,  # noqa: SLF001  the table is part of the class, below it because it names its methods
    Beat: Link._beat,  # noqa: SLF001
    Close: Link._close,  # noqa: SLF001
    Connect: Link._connect,  # noqa: SLF001
    Deadline: Link._deadline,  # noqa: SLF001
    Emit: Link._emit,  # noqa: SLF001
    Mark: Link._mark,  # noqa: SLF001
    Publication: Link._publication,  # noqa: SLF001
    Send: Link._write,  # noqa: SLF001
    Wake: Link._wake,  # noqa: SLF001
}
