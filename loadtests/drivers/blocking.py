"""The driver over a plain blocking socket: one client at a time, for tests, ``verify``, ``floor`` and a first look.

It performs the commands in order, then waits with ``select`` for bytes or for the client's timer, whichever comes
first. The rule: a client is told here what the event-loop driver would tell it, but for the size of the pieces, which
``read_bytes`` chooses: 1 drives a client byte by byte.
"""

from __future__ import annotations

import select
import socket
import ssl
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Protocol

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
from loadtests.drivers.reasons import presentable
from loadtests.records import Connection

__all__ = ["Outcome", "Recorder", "Rows", "run"]

_SOCKET_TIMEOUT_S = 10.0
_FAREWELL_NS = 1_000_000_000

now_ns = time.monotonic_ns


class Recorder(Protocol):
    """Where rows go: ``Rows`` below, or ``loadtests.records.Spools``."""

    @property
    def deliver(self) -> Callable[[Any], None]:
        """Take one delivery row."""

    @property
    def answer(self) -> Callable[[Any], None]:
        """Take one response row."""

    @property
    def publish(self) -> Callable[[Any], None]:
        """Take one publish row."""

    def connection(self, row: Connection) -> None:
        """Take one connection row."""


@dataclass(frozen=True, slots=True)
class Rows:
    """A recorder that keeps the rows in lists, in the order in which they came."""

    deliveries: list[tuple[int, ...]] = field(default_factory=list)
    responses: list[tuple[int, ...]] = field(default_factory=list)
    publishes: list[tuple[int, ...]] = field(default_factory=list)
    connections: list[Connection] = field(default_factory=list)

    @property
    def deliver(self) -> Callable[[Any], None]:
        """Take one delivery row."""
        return self.deliveries.append

    @property
    def answer(self) -> Callable[[Any], None]:
        """Take one response row."""
        return self.responses.append

    @property
    def publish(self) -> Callable[[Any], None]:
        """Take one publish row."""
        return self.publishes.append

    def connection(self, row: Connection) -> None:
        """Take one connection row."""
        self.connections.append(row)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended: whether ``until`` held, and what went wrong on the way."""

    met: bool
    failures: tuple[str, ...]


def run(
    client: Client,
    recorder: Recorder,
    *,
    until: Callable[[], bool],
    timeout_s: float,
    subscriber: int = 0,
    read_bytes: int | Callable[[], int] = 256 * 1024,
    context: ssl.SSLContext | None = None,
) -> Outcome:
    """Run a client until ``until()`` holds, asked behind its every command, or ``timeout_s`` have passed; then stop it.

    ``read_bytes`` is the most one read may bring, or a function that says so for each read; ``context`` is what TLS is
    spoken with. The client's own mistakes are raised; the peer's are among the failures.
    """
    driver = _Driver(recorder, subscriber, read_bytes, context)
    deadline_ns = now_ns() + round(timeout_s * 1e9)
    stopping = False
    try:
        command = next(client)
        while True:
            driver.perform(command)
            event = None if until() and not stopping else driver.wait(deadline_ns)
            if event is None and stopping:
                break
            if event is None:
                stopping = True
                event = Stop(now_ns())
                deadline_ns = event.at_ns + _FAREWELL_NS
            command = client.send(event)
    except StopIteration:
        pass
    except ProtocolError as error:
        driver.failures.append(presentable(f"protocol error: {error}"))
    finally:
        driver.disconnect("stopped")
        client.close()
    return Outcome(until(), tuple(driver.failures))


class _Driver:
    """The connection, the timer and the row of one client."""

    def __init__(
        self,
        recorder: Recorder,
        subscriber: int,
        read_bytes: int | Callable[[], int],
        context: ssl.SSLContext | None,
    ) -> None:
        self.failures: list[str] = []
        self._recorder = recorder
        self._subscriber = subscriber
        self._attempt = -1
        self._context = context
        self._read_bytes = read_bytes
        self._buffer = bytearray(256 * 1024 if callable(read_bytes) else read_bytes)
        self._data = Data(memoryview(self._buffer), 0)
        self._socket: socket.socket | None = None
        self._row: Connection | None = None
        self._alarm_ns = 0
        self._goal: Connect | None = None
        self._deadline = Deadline(0)
        self._silence_ns = 0  # how long nothing may come; 0: for ever
        self._heard_ns = 0
        self._next: Input | None = None  # what a command was answered by at once

    def perform(self, command: Command | tuple[Command, ...]) -> None:
        """Do what the client asks for."""
        for one in command if type(command) is tuple else (command,):
            if one is not None:
                _PERFORM[type(one)](self, one)

    def wait(self, deadline_ns: int) -> Input | None:
        """Return what happens next; None at the deadline, or when nothing can happen any more."""
        answered, self._next = self._next, None
        if answered is not None:
            return answered
        while True:
            at_ns = now_ns()
            if self._alarm_ns and self._alarm_ns <= at_ns:
                self._alarm_ns = 0
                return Timer(at_ns)
            if overdue := self._overdue(at_ns):
                return self._broken(overdue)
            if at_ns >= deadline_ns or (self._socket is None and not self._alarm_ns):
                return None
            # What TLS has decrypted already makes no socket readable.
            left = isinstance(self._socket, ssl.SSLSocket) and self._socket.pending() > 0
            pause_s = 0.0 if left else (self._next_ns(deadline_ns) - at_ns) / 1e9
            readable, _, _ = select.select([self._socket] if self._socket else [], [], [], pause_s)
            if self._socket and (readable or left) and (event := self._receive(self._socket)):
                return event

    def _overdue(self, at_ns: int) -> str:
        """Say whose time is up, the client's or the silent peer's; empty when nobody's is."""
        if 0 < self._deadline.at_ns <= at_ns:
            return self._deadline.why
        if self._silence_ns and at_ns >= self._heard_ns + self._silence_ns:
            return f"silent for {self._silence_ns / 1e9:g} s"
        return ""

    def _next_ns(self, deadline_ns: int) -> int:
        """When there is something to do even if nothing comes."""
        silent_ns = self._heard_ns + self._silence_ns if self._silence_ns else 0
        return min(at_ns or deadline_ns for at_ns in (deadline_ns, self._alarm_ns, self._deadline.at_ns, silent_ns))

    def _allow(self, from_ns: int, seconds: float, what: str) -> None:
        self._deadline = Deadline(
            from_ns + round(seconds * 1e9) if seconds else 0, f"{what} timeout after {seconds:g} s"
        )

    def _receive(self, connection: socket.socket) -> Input | None:
        most = self._read_bytes() if callable(self._read_bytes) else self._read_bytes
        try:
            count = connection.recv_into(self._buffer, most)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return None  # TLS's own: a session ticket, half a record
        except OSError as error:
            return self._broken(tls.explain(error))
        at_ns = now_ns()
        if not count:
            self.disconnect("ended by the peer")
            return Eof(at_ns)
        self._data.view, self._data.at_ns = memoryview(self._buffer)[:count], at_ns
        self._heard_ns = at_ns
        return self._data

    def _broken(self, error: str) -> Failed:
        self.failures.append(presentable(error))
        self.disconnect(error)
        return Failed(error, now_ns())

    def disconnect(self, why: str) -> None:
        """Close the connection, if there is one, and write its row."""
        row, self._row = self._row, None
        if row is None:
            return
        if self._socket is not None:
            if isinstance(self._socket, ssl.SSLSocket):
                _say_goodbye(self._socket)
            if counts := tcp_info.read(self._socket):
                row.bytes_up, row.bytes_down, row.segments_up, row.segments_down = counts
            self._socket.close()
            self._socket = None
        self._deadline, self._silence_ns = Deadline(0), 0
        row.closed_ns, row.why = now_ns(), presentable(why)
        self._recorder.connection(row)

    # what each command does -------------------------------------------------------------------------------------

    def connect(self, command: Connect) -> None:
        """Open a connection: the next input is ``Connected`` or ``Failed``."""
        address: Address = command.address
        self.disconnect("replaced")
        self._attempt += 1
        self._goal = command
        self._row = Connection(subscriber=self._subscriber, attempt=self._attempt, started_ns=now_ns())
        try:
            self._socket = socket.create_connection((address.host, address.port), command.connect_s or None)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except TimeoutError:
            self._next = self._broken(f"connect timeout after {command.connect_s:g} s")
            return
        except (OSError, ValueError) as error:  # a label of over 63 characters is the latter
            self._next = self._broken(str(error))
            return
        at_ns = self._row.tcp_ns = now_ns()
        self._allow(at_ns, command.handshake_s, "handshake")
        if address.tls:
            self._shake_hands(command, self._row)
        else:
            self._socket.settimeout(_SOCKET_TIMEOUT_S)
            self._next = Connected(at_ns, at_ns)

    def _shake_hands(self, command: Connect, row: Connection) -> None:
        """Go over to TLS."""
        plain, patience_s = self._socket, command.handshake_s or command.connect_s
        assert plain is not None  # noqa: S101  connect has just opened it
        self._context = self._context or tls.context()
        try:
            plain.settimeout(patience_s or None)
            self._socket = secure = self._context.wrap_socket(
                plain, server_hostname=command.address.host, suppress_ragged_eofs=False, do_handshake_on_connect=False
            )
            secure.do_handshake()
        except TimeoutError:
            self._next = self._broken(f"TLS handshake timeout after {patience_s:g} s")
            return
        except (OSError, ValueError) as error:
            said = tls.explain(error) if isinstance(error, OSError) else error
            self._next = self._broken(f"TLS handshake: {said}")
            return
        secure.settimeout(0)  # but to send: a session ticket makes it readable, and brings nothing
        row.tls_ns = now_ns()
        self._next = Connected(row.tls_ns, row.tcp_ns or row.tls_ns, row.tls_ns)

    def send(self, command: Send) -> None:
        """Send all; a closed connection takes nothing and says nothing."""
        if self._socket is None:
            return
        try:
            if isinstance(self._socket, ssl.SSLSocket):
                self._socket.settimeout(_SOCKET_TIMEOUT_S)
            self._socket.sendall(command.data)
            if isinstance(self._socket, ssl.SSLSocket):
                self._socket.settimeout(0)
        except OSError as error:
            self._next = self._broken(tls.explain(error))

    def wake(self, command: Wake) -> None:
        """Set the timer, or cancel it."""
        self._alarm_ns = command.at_ns

    def deadline(self, command: Deadline) -> None:
        """Set by when the client must have heard, or cancel it."""
        if self._row is not None:
            self._deadline = command

    def emit(self, rows: Emit) -> None:
        """Record deliveries."""
        for row in rows:
            self._recorder.deliver(row)

    def answer(self, command: Answer) -> None:
        """Record a response."""
        self._recorder.answer(command.row)

    def publication(self, command: Publication) -> None:
        """Record a publish."""
        self._recorder.publish(command.row)

    def mark(self, command: Mark) -> None:
        """Note the end of a phase."""
        row = self._row
        if row is None:
            return
        if command.phase == "upgraded":
            row.upgraded_ns = command.at_ns
            row.extensions, row.subprotocol = command.extensions, command.subprotocol
            return
        row.subscribed_ns = command.at_ns
        self._deadline, self._heard_ns = Deadline(0), now_ns()
        self._silence_ns = round(self._goal.silence_s * 1e9) if self._goal else 0
        if self._socket is not None and (counts := tcp_info.read(self._socket)):
            row.bytes_up_subscribed, row.bytes_down_subscribed = counts[:2]

    def beat(self, command: Beat) -> None:
        """Count heartbeats."""
        if self._row is not None:
            self._row.heartbeats += command.count

    def shut(self, command: Close) -> None:
        """Close, and count a failure if it is one."""
        if command.failed:
            self.failures.append(presentable(command.why))
        self.disconnect(command.why)


def _say_goodbye(connection: ssl.SSLSocket) -> None:
    """Send close_notify (RFC 8446 6.1); nobody waits for the peer's."""
    connection.settimeout(0)
    with suppress(OSError):  # SSLError is one
        connection.unwrap()


_PERFORM: dict[type, Callable[[_Driver, Any], None]] = {
    Answer: _Driver.answer,
    Beat: _Driver.beat,
    Close: _Driver.shut,
    Connect: _Driver.connect,
    Deadline: _Driver.deadline,
    Emit: _Driver.emit,
    Mark: _Driver.mark,
    Publication: _Driver.publication,
    Send: _Driver.send,
    Wake: _Driver.wake,
}
