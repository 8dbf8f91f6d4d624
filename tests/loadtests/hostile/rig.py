"""A server that misbehaves once and then behaves: what the tables of this folder play against our clients.

An entry is what the first connection gets; every later one is served as it should be, with the events 1, 2 and 3. The
client runs in the event-loop driver, as in a load process, all entries of a table at once, and must come through: it
has counted what was done to it, as a failure that is named or as a corrupted event, has taken no more bytes than it
allows, has raised nothing, has come back, and has got every event.
"""

import contextlib
import re
import socket
import struct
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import gevent

from loadtests.clients import Address, Backoff, Client, Patience, Subscriber
from loadtests.drivers.eventloop import EventLoop

WANTED = {1, 2, 3}
PATIENCE = Patience(connect_s=20, handshake_s=20, response_s=20, silence_s=20)
IMPATIENCE = Patience(connect_s=20, handshake_s=1, response_s=1, silence_s=1)  # where time is what has to run out
BACKOFF = Backoff(first_s=0.02, max_s=0.1)
MOST_BYTES = 80 << 20  # that a client may take from a server that never ends: 64 MiB, and what lies in buffers
ALL_S = 60.0  # for a whole table; a busy machine is no failure


@dataclass(frozen=True)
class Entry:
    """One hostile server.

    ``says`` is sent piece by piece; then the connection is held (until the client leaves), ended, reset, or the last
    piece is repeated for ever (``endless``). ``counted`` is a regular expression for a failure, empty when there need
    be none; ``corrupted`` how many deliveries are corrupted at least. ``stage`` is how far the connection gets before.
    """

    name: str
    says: bytes | Sequence[bytes]
    counted: str = ""
    then: str = "hold"
    corrupted: int = 0
    stage: int = 0


class Wire:
    """A server's side of one connection."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.sent = 0
        self._read = b""

    def say(self, data: bytes) -> None:
        """Send all."""
        self.connection.sendall(data)
        self.sent += len(data)

    def hear(self, end: bytes) -> bytes:
        """Return what the client says up to and with ``end``; EOFError when it leaves."""
        while end not in self._read:
            piece = self.connection.recv(1 << 16)
            if not piece:
                raise EOFError
            self._read += piece
        heard, _, self._read = self._read.partition(end)
        return heard + end

    def take(self, size: int) -> bytes:
        """Return the next so many bytes; EOFError when the client leaves."""
        while len(self._read) < size:
            piece = self.connection.recv(1 << 16)
            if not piece:
                raise EOFError
            self._read += piece
        taken, self._read = self._read[:size], self._read[size:]
        return taken

    def play(self, entry: Entry, wrap: Callable[[bytes], bytes] = lambda data: data) -> None:
        """Do what the entry says."""
        pieces = [entry.says] if isinstance(entry.says, bytes) else entry.says
        for piece in pieces:
            self.say(wrap(piece))
        if entry.then == "endless":
            while True:
                self.say(wrap(pieces[-1]))
        elif entry.then == "hold":
            while self.connection.recv(1 << 16):
                pass
        elif entry.then == "reset":
            time.sleep(0.05)  # what was said is read first
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


Serve = Callable[[Wire, Entry | None], None]
"""Serves one connection: up to the entry's stage and then the entry itself, or well (None)."""


class Rows:
    """What a client had written down."""

    def __init__(self) -> None:
        self.deliveries: list[tuple[int, ...]] = []
        self.responses: list[tuple[int, ...]] = []
        self.publishes: list[tuple[int, ...]] = []
        self.connections: list[object] = []
        self.deliver = self.deliveries.append
        self.answer = self.responses.append
        self.publish = self.publishes.append
        self.connection = self.connections.append


@dataclass
class Case:
    """One entry under way."""

    entry: Entry
    serve: Serve
    rows: Rows
    loop: EventLoop
    sent: int = 0

    def listen(self, listener: socket.socket) -> None:
        """Serve one connection after the other, the first badly."""
        todo: list[Entry | None] = [self.entry]
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                connection.settimeout(10)
                wire = Wire(connection)
                with connection, contextlib.suppress(OSError, EOFError):
                    self.serve(wire, todo.pop() if todo else None)
                self.sent = max(self.sent, wire.sent)

    def wrong(self) -> str:
        """What is not as it must be; empty when all is well."""
        entry, failures = self.entry, dict(self.loop.failures)
        seqs = [row[3] for row in self.rows.deliveries]
        if not set(seqs) >= WANTED:
            return f"{entry.name}: it has not come back: {seqs}, {failures}"
        if entry.counted and not any(re.search(entry.counted, reason) for reason in failures):
            return f"{entry.name}: expected {entry.counted!r} among {failures}"
        if seqs.count(0) < entry.corrupted:
            return f"{entry.name}: {seqs.count(0)} corrupted, expected {entry.corrupted}: {failures}"
        if self.sent > MOST_BYTES:
            return f"{entry.name}: it has taken {self.sent} bytes"
        return ""


def run(table: Sequence[Entry], make: Callable[[Subscriber], Client], path: str, serve: Serve) -> None:
    """Play a table against clients made by ``make``; AssertionError says what went wrong."""
    assert len({entry.name for entry in table}) == len(table) >= 25
    raised: list[object] = []
    hub = gevent.get_hub()
    before = hub.handle_error
    hub.handle_error = lambda _context, kind, value, _traceback: raised.append((kind, value))
    cases, listeners = [], []
    try:
        for number, entry in enumerate(table):
            listener = socket.create_server(("127.0.0.1", 0))
            rows = Rows()
            case = Case(entry, serve, rows, EventLoop(rows))
            threading.Thread(target=case.listen, args=(listener,), daemon=True).start()
            runs_out = not entry.counted or re.search("timeout|silent", entry.counted)
            patience = IMPATIENCE if runs_out else PATIENCE
            who = Subscriber(number, "t0", 0, Address(*listener.getsockname()), path, patience=patience)
            case.loop.start(make(replace(who, backoff=BACKOFF)), number)
            cases.append(case)
            listeners.append(listener)
        deadline = time.monotonic() + ALL_S
        while any(case.wrong() for case in cases) and time.monotonic() < deadline:
            gevent.sleep(0.02)
    finally:
        for case in cases:
            for link in list(case.loop.links):
                link.stop()
        for listener in listeners:
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()
        hub.handle_error = before
    wrong = [case.wrong() for case in cases if case.wrong()]
    assert not raised, raised
    assert not wrong, "\n".join(wrong)
