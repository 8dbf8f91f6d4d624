"""Events, and the feed that publishes them when they are due, keeps a bounded log, and hands them to subscribers.

The rules
1. ``due_ns = epoch_ns + offset``; ``sent_ns`` is read when the event is handed out. A late event is published late,
   never left out: seq has no holes (source: the wire contract, ``servers.__doc__``).
2. An event is encoded once per wire form and written many times. Subscribers of a topic are grouped by ``form``: the
   form's ``encode`` runs once an event, then ``write`` for each subscriber (websockets calls this a broadcast).
3. What a subscriber missed is asked for with ``since`` and what comes next with ``subscribe``. Nothing is published
   between the two as long as nothing is awaited between them, so there is neither gap nor repeat.
4. No I/O and no loop here: the clock and the alarm are handed in, and ``wake`` does what is due. Everything runs in
   one thread.
"""

from __future__ import annotations

import re
import time
from collections import deque
from collections.abc import Callable, Collection, Hashable, Iterator
from dataclasses import dataclass
from heapq import heapify, heappop, heapreplace
from typing import NamedTuple

from servers.payload import Payload, Stamp, event_head, plain_event
from servers.schedule import Schedule

TOPIC = re.compile(r"[A-Za-z0-9_.-]{1,64}")

# A wake costs as much as two or three sends (measured). Up to a thousand of them a second each event gets a wake of
# its own; beyond that, events share one and are at most a millisecond late. A burst of twenty wakes is free, so that
# Poisson's short gaps at a low rate do not count as a high one (the generic cell rate algorithm, ITU-T I.371).
WAKE_GAP_NS = 1_000_000
WAKE_BURST_NS = 20 * WAKE_GAP_NS

# What one wake takes on of a schedule that lies behind: a server that catches up still hears its clients in between.
ROUND_NS = 50_000_000


class FeedError(Exception):
    """What a feed refuses; the message says what was asked and what would be right."""


class UnknownTopicError(FeedError):
    """No such topic: neither scheduled nor published to yet."""


class BadTopicError(FeedError):
    """Not a topic's name."""


class ScheduledTopicError(FeedError):
    """A scheduled topic takes no publications."""


class TopicLimitError(FeedError):
    """As many published topics as this server keeps."""


class StartedError(FeedError):
    """The schedule has begun and cannot be moved."""


class GoneError(FeedError):
    """The cursor ``after`` lies outside the log, which holds ``oldest`` … ``newest`` (0: nothing yet)."""

    def __init__(self, topic: str, after: int, oldest: int, newest: int) -> None:
        super().__init__(
            f"after={after} on {topic}, expected {oldest - 1} to {newest}: the log holds {oldest} to {newest}"
        )
        self.after = after
        self.oldest = oldest
        self.newest = newest


Headers = tuple[tuple[str, str], ...]


class Event(NamedTuple):
    """One published event; ``json`` is its whole JSON in UTF-8, encoded once. Times in ns, monotonic.

    ``headers`` are the publisher's own, of a protocol that has such (STOMP's SEND): names and values, unescaped.
    """

    topic: str
    seq: int
    due_ns: int
    sent_ns: int
    json: bytes
    headers: Headers = ()


Encode = Callable[[Event], bytes]
Write = Callable[[bytes], object]
Cancel = Callable[[], None]


class _Form:
    """The subscribers of one topic that want the same bytes."""

    __slots__ = ("encode", "writes")

    def __init__(self, encode: Encode) -> None:
        self.encode = encode
        self.writes: dict[object, Write] = {}


class Topic:
    """A topic's newest seq, its bounded log and its subscribers. Made by Feed."""

    __slots__ = ("_forms", "_head", "_log", "_round", "last_ns", "name", "newest", "scheduled")

    def __init__(self, name: str, log_events: int, *, scheduled: bool) -> None:
        self.name = name
        self.scheduled = scheduled
        self.newest = 0  # seq of the newest event, 0 before the first
        self.last_ns = 0  # its sent_ns: since when a live subscriber has heard nothing
        self._head = event_head(name)
        self._log: deque[Event] = deque(maxlen=log_events)
        self._forms: dict[Hashable, _Form] = {}
        self._round: tuple[tuple[Encode, tuple[Write, ...]], ...] | None = None  # _forms, flat; None: changed since

    @property
    def oldest(self) -> int:
        """Seq of the oldest event still held; before the first event 1, the one that would be."""
        return self.newest - len(self._log) + 1

    def latest(self) -> Event | None:
        """Return the newest event, None before the first."""
        return self._log[-1] if self._log else None

    def since(self, after: int, limit: int | None = None) -> list[Event]:
        """Return the events past ``after`` in order, at most ``limit`` of them; empty when there is nothing new.

        Raises GoneError when ``after`` is beyond the newest event or behind the oldest held.
        """
        log, pending = self._log, self.newest - after
        if not 0 <= pending <= len(log):
            raise GoneError(self.name, after, self.oldest, self.newest)
        first = len(log) - pending
        last = len(log) if limit is None else min(len(log), first + limit)
        return [log[index] for index in range(first, last)]  # quick near a deque's ends, and pollers want the newest

    def subscribe(self, form: Hashable, encode: Encode, write: Write) -> Cancel:
        """Hand every event from now on to ``write``, as the bytes ``encode`` makes of it; returns what ends that.

        ``form`` names the wire form, e.g. ``"sse"`` or ``("websocket", "deflate", 15)``: subscribers of a topic that
        give an equal form share one call of ``encode`` per event (the first one's). A form that depends on a
        connection's state is named by an object of that connection. ``write`` must not raise or block; it may cancel
        this or another subscription or subscribe anew (which takes effect with the next event). Cancelling twice does
        nothing.
        """
        group = self._forms.get(form)
        if group is None:
            group = self._forms[form] = _Form(encode)
        token = object()
        group.writes[token] = write
        self._round = None

        def cancel() -> None:
            group.writes.pop(token, None)
            self._round = None
            if not group.writes and self._forms.get(form) is group:
                del self._forms[form]

        return cancel

    def publish_json(self, due_ns: int, sent_ns: int, json: bytes, headers: Headers = ()) -> Event:
        """Log the next event and hand it to everybody. For Feed, which knows what is due."""
        self.newest = seq = self.newest + 1
        self.last_ns = sent_ns
        event = Event(self.name, seq, due_ns, sent_ns, json, headers)
        self._log.append(event)
        if self._round is None:
            self._round = tuple((form.encode, tuple(form.writes.values())) for form in self._forms.values())
        for encode, writes in self._round:
            data = encode(event)
            for write in writes:
                write(data)
        return event

    def publish(self, now_ns: int, data: str, headers: Headers = ()) -> Event:
        """Publish ``data`` as it is, due and sent now."""
        json = plain_event(self._head, self.newest + 1, now_ns, now_ns, data)
        return self.publish_json(now_ns, now_ns, json, headers)


@dataclass(frozen=True, slots=True)
class FeedSettings:
    """What the feed consists of; reported by ``/health``."""

    schedule: Schedule
    topics: int = 1
    payload: str = "text"
    payload_bytes: int = 256
    log_events: int = 1000
    published_topics: int = 1000


class Feed:
    """All topics, and the schedule that fills the first of them.

    ``clock`` gives ns; ``arm(at_ns)`` asks for a call of ``wake`` at that moment (0: none wanted) and is set by
    whoever owns the timer. Waiting until ``start`` is called.
    """

    def __init__(self, settings: FeedSettings, clock: Callable[[], int] = time.monotonic_ns) -> None:
        self.settings = settings
        self.clock = clock
        self.arm: Callable[[int], None] = lambda _at_ns: None
        self.epoch_ns: int | None = None
        self.stop_ns: int | None = None
        names = [f"t{index}" for index in range(settings.topics)]
        self.topics = {name: Topic(name, settings.log_events, scheduled=True) for name in names}
        payload = Payload(settings.payload, settings.payload_bytes, settings.schedule.seed)
        self._stamps = {name: payload.stamp(name) for name in names}
        self._due: list[
            tuple[int, int, Topic, Stamp, Iterator[int]]
        ] = []  # a heap; the second is unique, a tie ends there
        self._paced_ns = 0

    @property
    def state(self) -> str:
        """``waiting`` (for an epoch, or for it to come), ``running`` or ``stopped``."""
        now_ns = self.clock()
        if self.epoch_ns is None or now_ns < self.epoch_ns:
            return "waiting"
        return "stopped" if self.stop_ns is not None and now_ns >= self.stop_ns else "running"

    def start(self, epoch_ns: int, stop_ns: int | None = None) -> None:
        """Let the schedule begin at ``epoch_ns``; what is due at or after ``stop_ns`` is never published.

        An epoch in the past publishes in the next wakes what is due by now: with the seed and the epoch of an earlier
        server the log is the same. Raises StartedError once the epoch has passed.
        """
        if self.state != "waiting":
            raise StartedError(f"the schedule is {self.state} since {self.epoch_ns}, expected one start per server")
        self.epoch_ns, self.stop_ns = epoch_ns, stop_ns
        self._due = []
        for index, (name, stamp) in enumerate(self._stamps.items()):
            offsets = self.settings.schedule.offsets(name)
            due_ns = epoch_ns + next(offsets)
            if stop_ns is None or due_ns < stop_ns:
                self._due.append((due_ns, index, self.topics[name], stamp, offsets))
        heapify(self._due)
        self.arm(self._due[0][0] if self._due else 0)

    def behind(self, at_ns: int) -> bool:
        """Whether events that are due by ``at_ns`` are not published yet."""
        return bool(self._due) and self._due[0][0] <= at_ns

    def catch_up(self) -> None:
        """Publish all that is due, without a pause: before anybody can connect there is nobody to hear."""
        now_ns = self.clock()
        while self.behind(now_ns):
            self.wake()

    def wake(self) -> None:
        """Publish all that is due by now, then arm for what comes next.

        Due *by now* is decided once, and is no more than 50 ms of the schedule: a server that is overloaded, or has
        to catch up with an epoch in the past, returns to its loop between rounds, and is late, not deaf.
        """
        due, clock, epoch_ns, stop_ns = self._due, self.clock, self.epoch_ns or 0, self.stop_ns
        now_ns = clock()
        until_ns = min(now_ns, due[0][0] + ROUND_NS) if due else now_ns
        while due and due[0][0] <= until_ns:
            due_ns, index, topic, stamp, offsets = due[0]
            sent_ns = clock()
            topic.publish_json(due_ns, sent_ns, stamp(topic.newest + 1, due_ns, sent_ns))
            next_ns = epoch_ns + next(offsets)  # after the event is out: it is what people wait for
            if stop_ns is None or next_ns < stop_ns:
                heapreplace(due, (next_ns, index, topic, stamp, offsets))
            else:
                heappop(due)
        if not due:
            self.arm(0)
            return
        self._paced_ns = max(self._paced_ns, now_ns) + WAKE_GAP_NS
        self.arm(max(due[0][0], self._paced_ns - WAKE_BURST_NS))

    def topic(self, name: str) -> Topic:
        """Return the topic of that name; raises UnknownTopicError."""
        topic = self.topics.get(name)
        if topic is None:
            raise UnknownTopicError(
                f"topic {name[:64]!r}, expected t0 to t{self.settings.topics - 1}, or one that was published to"
            )
        return topic

    def publish(self, name: str, data: str, headers: Headers = ()) -> Event:
        """Publish ``data`` to a published topic, which comes to exist with its first event.

        Raises BadTopicError, ScheduledTopicError or TopicLimitError.
        """
        topic = self.topics.get(name)
        if topic is None or topic.scheduled:
            self.check((name,))
            topic = self.topics[name] = Topic(name, self.settings.log_events, scheduled=False)
        return topic.publish(self.clock(), data, headers)

    def check(self, names: Collection[str]) -> None:
        """Raise what publishing to all of ``names`` would raise, see ``publish``."""
        most, count = self.settings.published_topics, len(self.topics) - self.settings.topics
        for name in dict.fromkeys(names):
            topic = self.topics.get(name)
            if topic is None:
                if not TOPIC.fullmatch(name):
                    raise BadTopicError(f"topic {name[:64]!r}, expected {TOPIC.pattern}")
                count += 1
                if count > most:
                    raise TopicLimitError(f"topic {name} would be published topic {most + 1}, expected at most {most}")
            elif topic.scheduled:
                raise ScheduledTopicError(
                    f"topic {name} is filled by the schedule, expected a topic of your own to publish to"
                )
