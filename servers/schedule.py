"""When events are due: pure functions of seed, topic and seq, known before the first one is sent.

The rule: ``offset(seed, topic, seq)`` depends on nothing else (no clock, no other topic, no earlier call), so every
transport of an experiment gets the same events at the same offsets, and a restarted server plays the same feed.
Offsets are int ns after the epoch and never decrease. Every topic draws from a generator of its own, seeded with
``seed/topic``: arrivals are independent, and even a constant rate starts each topic at a phase of its own, lest all
of them tick at once (source: METHODOLOGY rules 4 and 5).
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain, count, islice
from pathlib import Path

SECOND_NS = 1_000_000_000
_BLOCK = 32


class TraceError(ValueError):
    """A trace file cannot be played; the message names file, line, what was read and what was expected."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """Which pattern at which rate; ``kind`` is a key of SCHEDULES.

    ``rate_hz`` is the mean events per second of each topic. ``on_s`` and ``off_s`` are the mean lengths of a burst
    and of the silence behind it. ``trace_ns`` are the times of a trace; its rate is its own.
    """

    kind: str
    rate_hz: float
    seed: int = 1
    on_s: float = 1.0
    off_s: float = 4.0
    trace_ns: tuple[int, ...] = ()

    def offsets(self, topic: str) -> Iterator[int]:
        """Yield the offsets of seq 1, 2, 3 … in ns after the epoch; it never ends."""
        return chain.from_iterable(_blocks(SCHEDULES[self.kind](self, random.Random(f"{self.seed}/{topic}"))))

    def offset(self, topic: str, seq: int) -> int:
        """Offset of one event (``seq`` from 1) in ns after the epoch; the iterator's value, found by walking to it."""
        return next(islice(self.offsets(topic), seq - 1, None))


def _blocks(offsets: Iterator[int]) -> Iterator[list[int]]:
    """Draw ahead: with a thousand topics in turn, every generator's state would be cold when its turn comes."""
    while True:
        yield list(islice(offsets, _BLOCK))


def constant(schedule: Schedule, rng: random.Random) -> Iterator[int]:
    """Every ``1 / rate_hz``, from a seeded phase within the first period."""
    period_ns = SECOND_NS / schedule.rate_hz
    phase_ns = rng.random() * period_ns
    # multiplied, not added up: a sum of rounded periods drifts
    return (int(phase_ns + index * period_ns) for index in count())


def poisson(schedule: Schedule, rng: random.Random) -> Iterator[int]:
    """Independent exponential gaps of mean ``1 / rate_hz``."""
    mean_ns = SECOND_NS / schedule.rate_hz
    draw, log = rng.random, math.log
    at_ns = 0.0
    while True:
        at_ns -= log(1.0 - draw()) * mean_ns  # 1 - draw() is in (0, 1]: the logarithm exists
        yield int(at_ns)


def bursty(schedule: Schedule, rng: random.Random) -> Iterator[int]:
    """On/off (interrupted Poisson): exponential bursts and silences, ``rate_hz`` in the mean.

    A Poisson process runs on the time that is spent on; the silences are then slipped in where the bursts end. The
    first state is drawn with the long-run odds, so the process is stationary from its first event.
    """
    share_on = schedule.on_s / (schedule.on_s + schedule.off_s)
    gaps = poisson(Schedule("poisson", schedule.rate_hz / share_on), rng)
    starts_on = rng.random() < share_on
    silent_ns = 0.0 if starts_on else rng.expovariate(1.0) * schedule.off_s * SECOND_NS
    burst_ends_ns = rng.expovariate(1.0) * schedule.on_s * SECOND_NS
    for busy_ns in gaps:
        while busy_ns > burst_ends_ns:
            silent_ns += rng.expovariate(1.0) * schedule.off_s * SECOND_NS
            burst_ends_ns += rng.expovariate(1.0) * schedule.on_s * SECOND_NS
        yield int(busy_ns + silent_ns)


def trace(schedule: Schedule, _rng: random.Random) -> Iterator[int]:
    """Play the recorded times, the same for every topic, over and over.

    A round is as long as its last time plus the mean gap, so that the seam looks like any other gap.
    """
    period_ns = trace_period_ns(schedule.trace_ns)
    return (lap * period_ns + at_ns for lap in count() for at_ns in schedule.trace_ns)


SCHEDULES: dict[str, Callable[[Schedule, random.Random], Iterator[int]]] = {
    "constant": constant,
    "poisson": poisson,
    "bursty": bursty,
    "trace": trace,
}


def trace_period_ns(trace_ns: tuple[int, ...]) -> int:
    """Return the length of one round of a trace: its last time plus its mean gap."""
    return trace_ns[-1] + max(1, (trace_ns[-1] - trace_ns[0]) // (len(trace_ns) - 1))


def trace_rate_hz(trace_ns: tuple[int, ...]) -> float:
    """Return the mean rate of a trace that is played over and over."""
    return len(trace_ns) * SECOND_NS / trace_period_ns(trace_ns)


def read_trace(path: Path) -> tuple[int, ...]:
    """Read a trace: CSV whose first column is seconds after the epoch, ascending; one heading line is allowed.

    Returns the times in ns, two or more. Raises TraceError for anything else, OSError when there is no such file.
    """
    times_ns: list[int] = []
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, start=1):
            row = line.strip().split(",")
            if row == [""]:
                continue
            try:
                at_s = float(row[0])
            except ValueError:
                if number == 1:
                    continue
                at_s = math.nan
            least_s = times_ns[-1] / SECOND_NS if times_ns else 0.0
            if not (math.isfinite(at_s) and at_s >= least_s):
                raise TraceError(
                    f"{path}, line {number}: {row[0]!r}, expected seconds, at least {least_s:g} (ascending)"
                )
            times_ns.append(round(at_s * SECOND_NS))
    if len(times_ns) < 2 or times_ns[-1] == times_ns[0]:
        raise TraceError(f"{path}: {len(times_ns)} times, expected two or more that differ")
    return tuple(times_ns)
