"""When a client asks next: every polling policy as arithmetic on thousands of clients at once.

A policy is what a user sets (frozen); ``start`` gives its pace, the state of ``n`` clients as arrays. The rule it
keeps: a pace knows what a client knows, when it asked, when it was answered and with how many events, and nothing
else. The load generator runs the same policies client by client (``polling.policy``). POLICIES is the table: adding a
policy is adding a class and its row. Times in s.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Protocol

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]


class Pace(Protocol):
    """The state of ``n`` clients under one policy."""

    def first_s(self) -> Floats:
        """When each asks first: at a random phase, so that clients do not march in step."""

    def next_s(self, sent_s: Floats, received_s: Floats, events: Ints) -> Floats:
        """When each asks next, at ``received_s`` at the earliest, given its last question and what it brought."""

    def keep(self, going: Mask) -> None:
        """Forget the clients that are not ``going``."""


class Policy(Protocol):
    """What a user sets."""

    name: ClassVar[str]

    def __hash__(self) -> int:
        """As a value, as the frozen dataclasses are."""

    def start(self, n: int, begin_s: float, rng: np.random.Generator) -> Pace:
        """Begin ``n`` clients at ``begin_s``."""

    @property
    def longest_s(self) -> float:
        """The longest pause from question to question, which bounds the latency."""


@dataclass(frozen=True, slots=True)
class FixedRate:
    """A question every ``interval_s``, on a grid of one's own; while an answer takes longer, as fast as they come."""

    name: ClassVar[str] = "fixed_rate"
    interval_s: float

    @property
    def longest_s(self) -> float:
        """The interval."""
        return self.interval_s

    def start(self, n: int, begin_s: float, rng: np.random.Generator) -> Pace:
        """Begin at uniformly random phases."""
        return _Grid(self.interval_s, begin_s + rng.random(n) * self.interval_s)


class _Grid:
    def __init__(self, interval_s: float, phase_s: Floats) -> None:
        self._interval_s = interval_s
        self._due_s = phase_s

    def first_s(self) -> Floats:
        return self._due_s

    def next_s(self, sent_s: Floats, received_s: Floats, events: Ints) -> Floats:  # noqa: ARG002
        # The point that was missed last is made up for at once; those before it are left out.
        self._due_s = self._due_s + self._interval_s
        self._due_s = self._due_s + np.maximum(0, (received_s - self._due_s) // self._interval_s) * self._interval_s
        return np.maximum(self._due_s, received_s)

    def keep(self, going: Mask) -> None:
        self._due_s = self._due_s[going]


@dataclass(frozen=True, slots=True)
class FixedDelay:
    """A pause of ``interval_s`` behind every answer."""

    name: ClassVar[str] = "fixed_delay"
    interval_s: float

    @property
    def longest_s(self) -> float:
        """The pause; what an answer takes comes on top."""
        return self.interval_s

    def start(self, n: int, begin_s: float, rng: np.random.Generator) -> Pace:
        """Begin at uniformly random phases."""
        return _Delay(self.interval_s, begin_s + rng.random(n) * self.interval_s)


class _Delay:
    def __init__(self, interval_s: float, phase_s: Floats) -> None:
        self._interval_s = interval_s
        self._phase_s = phase_s

    def first_s(self) -> Floats:
        return self._phase_s

    def next_s(self, sent_s: Floats, received_s: Floats, events: Ints) -> Floats:  # noqa: ARG002
        return received_s + self._interval_s

    def keep(self, going: Mask) -> None:
        """Nothing is kept by client."""


@dataclass(frozen=True, slots=True)
class Jittered:
    """A pause of ``interval_s`` (1 ± ``jitter``), uniform, from question to question: nobody locks onto anybody."""

    name: ClassVar[str] = "jittered"
    interval_s: float
    jitter: float = 0.5

    @property
    def longest_s(self) -> float:
        """The longest pause that may be drawn."""
        return self.interval_s * (1 + self.jitter)

    def start(self, n: int, begin_s: float, rng: np.random.Generator) -> Pace:
        """Begin at uniformly random phases."""
        return _Jitter(self, n, begin_s, rng)


class _Jitter:
    def __init__(self, policy: Jittered, n: int, begin_s: float, rng: np.random.Generator) -> None:
        self._policy = policy
        self._rng = rng
        self._n = n
        self._begin_s = begin_s

    def first_s(self) -> Floats:
        return self._begin_s + self._rng.random(self._n) * self._policy.interval_s

    def next_s(self, sent_s: Floats, received_s: Floats, events: Ints) -> Floats:  # noqa: ARG002
        factor = 1 + self._policy.jitter * (2 * self._rng.random(self._n) - 1)
        return np.maximum(sent_s + self._policy.interval_s * factor, received_s)

    def keep(self, going: Mask) -> None:
        self._n = int(going.sum())


@dataclass(frozen=True, slots=True)
class Backoff:
    """``interval_s`` behind an event, ``factor`` times longer after every empty answer, ``longest_s`` at most."""

    name: ClassVar[str] = "backoff"
    interval_s: float
    factor: float
    longest_s: float

    def start(self, n: int, begin_s: float, rng: np.random.Generator) -> Pace:
        """Begin with the shortest pause, at uniformly random phases."""
        return _Backoff(self, begin_s + rng.random(n) * self.interval_s)


class _Backoff:
    def __init__(self, policy: Backoff, phase_s: Floats) -> None:
        self._policy = policy
        self._phase_s = phase_s
        self._pause_s = np.full(len(phase_s), policy.interval_s)

    def first_s(self) -> Floats:
        return self._phase_s

    def next_s(self, sent_s: Floats, received_s: Floats, events: Ints) -> Floats:
        policy = self._policy
        longer = np.minimum(self._pause_s * policy.factor, policy.longest_s)
        self._pause_s = np.where(events > 0, policy.interval_s, longer)
        due_s: Floats = np.maximum(sent_s + self._pause_s, received_s)
        return due_s

    def keep(self, going: Mask) -> None:
        self._pause_s = self._pause_s[going]


@dataclass(frozen=True, slots=True)
class Learning:
    """Ask when ``expected`` events are likely to be pending, between ``interval_s`` and ``longest_s``.

    The rate is learned: what was seen is forgotten with the time constant ``memory_s`` (a gamma estimate of a Poisson
    rate, discounted: West & Harrison, Bayesian Forecasting and Dynamic Models, 1997, chapter 10). A steady flow is
    polled with an empty ratio near e^-expected, a burst as fast as it deserves, a silence ever more seldom.
    """

    name: ClassVar[str] = "learning"
    expected: float
    memory_s: float
    interval_s: float
    longest_s: float

    def start(self, n: int, begin_s: float, rng: np.random.Generator) -> Pace:
        """Begin as if the rate were the highest that ``interval_s`` serves, at uniformly random phases."""
        return _Learning(self, begin_s + rng.random(n) * self.interval_s)


class _Learning:
    def __init__(self, policy: Learning, phase_s: Floats) -> None:
        self._policy = policy
        self._phase_s = phase_s
        self._asked_s = phase_s
        # events within about one memory: rate = seen / memory
        self._seen = np.full(len(phase_s), policy.expected * policy.memory_s / policy.interval_s)

    def first_s(self) -> Floats:
        return self._phase_s

    def next_s(self, sent_s: Floats, received_s: Floats, events: Ints) -> Floats:
        policy = self._policy
        self._seen = self._seen * np.exp((self._asked_s - sent_s) / policy.memory_s) + events
        self._asked_s = sent_s
        # a rate that has been forgotten altogether asks for the longest pause
        least = policy.expected * policy.memory_s / policy.longest_s
        pause_s = policy.expected * policy.memory_s / np.maximum(self._seen, least)
        due_s: Floats = np.maximum(sent_s + np.maximum(pause_s, policy.interval_s), received_s)
        return due_s

    def keep(self, going: Mask) -> None:
        self._seen, self._asked_s = self._seen[going], self._asked_s[going]


POLICIES: dict[str, type[Policy]] = {row.name: row for row in (FixedRate, FixedDelay, Jittered, Backoff, Learning)}
