"""When a subscriber publishes: a schedule laid around a client that knows how (``Publish`` in, ``Published`` out).

The rules
1. Latency counts from when a publish was due, however late it went out, and what was due and never went out is a row
   too: a sender that is held up cannot hide it (no coordinated omission).
2. The client inside is asked only while its connection can publish: one that listens on it too, from ``subscribed``
   until it is lost; one that does nothing else, once its last publish has been answered.
3. The topic is this subscriber's own, so the next seq is known, and the data carries its checksum. After a loss of what
   may or may not have arrived, the subscription's replay tells which (``_Count``).
4. A client has one timer (``loadtests.clients``, rule 3): the client's own alarm and the next publish share it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from loadtests.clients import (
    Begin,
    Client,
    Close,
    Command,
    Connect,
    Emit,
    Eof,
    Failed,
    Input,
    Mark,
    Publication,
    Publish,
    Published,
    Send,
    Stop,
    Subscriber,
    Timer,
    Wake,
)
from loadtests.clients.event import SEQ
from loadtests.clients.offered import dues, texts, write

__all__ = ["Plan", "publishing"]

_REPLAY_NS = 250_000_000  # what a replay may take to come, once a lost subscription stands again
_FAILED = -1


@dataclass(frozen=True, slots=True)
class Plan:
    """What to publish and how: ``alone`` on a connection that does nothing else, else on the subscription's own.

    ``receipt`` asks for an acknowledgement where there is a choice; alone, there always is one.
    """

    schedule: str
    rate_hz: float
    payload_bytes: int
    alone: bool
    receipt: bool = False


def publishing(client: Client, subscriber: Subscriber, plan: Plan, begin: Begin | None = None) -> Client:
    """Run ``client`` and have it publish by ``plan``, from ``Begin`` on (an input, or ``begin`` at once)."""
    publisher = _Publisher(subscriber, plan)
    if begin:
        publisher.begin(begin)
    command = next(client)
    at_ns = 0
    while True:
        if type(command) is Emit:
            publisher.seen(command)
            event = yield command
        else:
            event = yield publisher.passed(command, at_ns)
        at_ns = event.at_ns
        inner = publisher.taken(event)
        rest = publisher.rest(at_ns) if type(inner) is Stop else ()
        try:
            command = client.send(inner) if inner is not None else None
        except StopIteration:
            if rest:
                yield *rest, Wake(1)
            return
        if rest:
            command = (*rest, *(command if type(command) is tuple else (command,)))


@dataclass(slots=True)
class _Pending:
    """A publish that is under way; ``sent_ns`` 0: not yet on the wire."""

    number: int
    due_ns: int
    sent_ns: int = 0
    size: int = 0


@dataclass(slots=True)
class _Count:
    """Which seq is next, and which the subscription has shown (``newest``)."""

    next: int
    newest: int
    known_ns: int = 0  # from when on a replay has shown what has arrived of a lost connection's

    def stands(self, at_ns: int) -> None:
        """The subscription stands; what was sent and not seen may have arrived, or not: its replay is on the way."""
        if self.next != self.newest + 1:
            self.known_ns = at_ns + _REPLAY_NS

    def take(self) -> int:
        """Return the next seq; after a loss it follows from what was seen."""
        if self.known_ns:
            self.next, self.known_ns = self.newest + 1, 0
        self.next += 1
        return self.next - 1


class _Publisher:
    """The schedule, what is under way, and the one timer that the schedule shares with the client inside."""

    def __init__(self, subscriber: Subscriber, plan: Plan) -> None:
        self._index, self._topic = subscriber.index, subscriber.topic
        self._plan = plan
        after = subscriber.after or 0
        self._count = _Count(after + 1, after)
        self._texts = texts(plan.payload_bytes, subscriber.seed)
        self._offsets: Iterator[int] = dues(plan.schedule, plan.rate_hz, subscriber.seed, subscriber.index)
        self._epoch_ns = self._stop_ns = self._due_ns = 0  # a due of 0: nothing more is due
        self._open = plan.alone
        self._under_way: dict[int, _Pending] = {}
        self._sending: _Pending | None = None
        self._alarm_ns = 0  # the client's
        self._armed_ns = 0  # the driver's

    # what the driver says ---------------------------------------------------------------------------------------

    def begin(self, begin: Begin) -> None:
        """Start the schedule."""
        self._epoch_ns, self._stop_ns = begin.epoch_ns, begin.stop_ns
        self._next_due()

    def taken(self, event: Input) -> Input | None:
        """Return the input that the client gets for this one; None when it was for the schedule alone."""
        if type(event) is Timer:
            self._armed_ns = 0
            if 0 < self._alarm_ns <= event.at_ns:
                self._alarm_ns = 0
                return event
            return self._publish(event.at_ns) if 0 < self._wanted_ns() <= event.at_ns else None
        if type(event) is Begin:
            self.begin(event)
            return None
        if type(event) is Eof or type(event) is Failed:
            self._open = self._plan.alone  # the client closes it now, which is when it is lost
        return event

    def rest(self, at_ns: int) -> tuple[Command, ...]:
        """Return the rows of what is not over when all ends: unanswered, or due and never sent (rule 1)."""
        rows = [self._failed(pending) for pending in self._under_way.values()]
        while 0 < self._due_ns <= at_ns:
            rows.append(self._failed(_Pending(0, self._due_ns)))
            self._next_due()
        self._under_way.clear()
        self._due_ns = 0
        return tuple(rows)

    # what the client says -----------------------------------------------------------------------------------------

    def seen(self, rows: Emit) -> None:
        """Note which seq the subscription has shown."""
        if rows and not self._plan.alone:
            self._count.newest = max(self._count.newest, rows[-1][SEQ])

    def passed(self, command: Command | tuple[Command, ...], at_ns: int) -> tuple[Command, ...]:
        """Return what the driver is to do for this command, with the timer set to whatever comes next."""
        out: list[Command] = []
        several = command if isinstance(command, tuple) else (command,)
        for one in several:
            match one:
                case None:
                    continue
                case Wake():
                    self._alarm_ns = one.at_ns
                    continue
                case Published():
                    out += self._answered(one)
                    continue
                case Emit():
                    self.seen(one)
                case Mark(phase="subscribed"):
                    self._open = True
                    self._count.stands(one.at_ns)
                case Close() | Connect():
                    out += self._lost()
            out.append(one)
            if isinstance(one, Send) and self._sending:
                out += self._sent(one, at_ns)
        due_ns = self._wanted_ns()
        wanted = min(due_ns, self._alarm_ns) if due_ns and self._alarm_ns else due_ns or self._alarm_ns
        if wanted != self._armed_ns:
            self._armed_ns = wanted
            out.append(Wake(wanted))
        return tuple(out)

    # a publish --------------------------------------------------------------------------------------------------

    def _wanted_ns(self) -> int:
        """When the next publish can go; 0 while none can."""
        if not self._due_ns or not self._open or (self._plan.alone and self._under_way):
            return 0
        return max(self._due_ns, self._count.known_ns)

    def _publish(self, at_ns: int) -> Publish:
        number = self._count.take()
        self._sending = self._under_way[number] = _Pending(number, self._due_ns)
        self._next_due()
        data = write(self._topic, number, self._texts[number % len(self._texts)])
        return Publish(at_ns, number, data, self._plan.receipt)

    def _next_due(self) -> None:
        due_ns = self._epoch_ns + next(self._offsets)
        self._due_ns = due_ns if due_ns < self._stop_ns else 0

    def _sent(self, send: Send, at_ns: int) -> list[Command]:
        """Note that it is on the wire; where nothing answers, that is all there will be to know."""
        pending, self._sending = self._sending, None
        assert pending is not None  # noqa: S101  the caller has looked
        pending.sent_ns, pending.size = at_ns, len(send.data)
        if self._plan.alone or self._plan.receipt:
            return []
        del self._under_way[pending.number]
        return [self._row(pending, pending.number, Published(pending.number, 0))]

    def _answered(self, published: Published) -> list[Command]:
        pending = self._under_way.pop(published.number, None)
        self._sending = None
        if pending is None:
            return []  # it was given up before
        accepted = published.status == 0 or 200 <= published.status < 300
        seq = published.seq or published.number if accepted else 0
        if self._plan.alone:  # one at a time: what failed has not taken its seq
            self._count.next = seq + 1 if accepted else published.number
        return [self._row(pending, seq, published)]

    def _lost(self) -> list[Command]:
        """Give up what is under way on the subscription's connection; alone, the client says what has become of it."""
        if self._plan.alone:
            return []
        self._open, self._sending = False, None
        rows = [self._failed(pending) for pending in self._under_way.values()]
        self._under_way.clear()
        return rows

    def _failed(self, pending: _Pending) -> Command:
        return self._row(pending, 0, Published(pending.number, 0, _FAILED))

    def _row(self, pending: _Pending, seq: int, said: Published) -> Command:
        """Write it down; ``seq`` 0: it was not taken, or nobody knows."""
        acknowledged_ns = said.at_ns if seq else 0
        return Publication((
            self._index, seq, pending.due_ns, pending.sent_ns, acknowledged_ns, said.status, pending.size, said.size
        ))  # fmt: skip
