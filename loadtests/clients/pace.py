"""When a poller asks next: every policy as a function of what it knows, when it asked, was answered, and with how much.

The rule: a pace looks at no clock and at no event, only at its own questions and at how many events each answer
brought; its random choices are the subscriber's own, so that a run repeats. The policies are those of the simulator
(``analysis.policies``), which shares no code with this one: that both agree is measured.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["PACES", "Due", "Pacing"]

Due = Callable[[int, int, int], int]
"""``due(sent_ns, at_ns, new)``: when to ask again, after an answer at ``at_ns`` with ``new`` events to a question of
``sent_ns``; what has passed means at once."""


@dataclass(frozen=True, slots=True)
class Pacing:
    """What the policies are set by; times in ns. A policy reads what it needs."""

    interval_ns: int
    jitter: float = 0.0
    factor: float = 2.0
    longest_ns: int = 0
    expected: float = 1.0
    memory_ns: int = 0


def fixed_rate(pacing: Pacing, rng: random.Random) -> Due:
    """Keep to a grid of one's own. When an answer took longer, the point missed last is made up for, at once."""
    interval_ns = pacing.interval_ns
    phase_ns = round(rng.random() * interval_ns)
    due_ns: int | None = None

    def due(_sent_ns: int, at_ns: int, _new: int) -> int:
        nonlocal due_ns
        if not interval_ns:
            return at_ns
        if due_ns is None:
            due_ns = at_ns + phase_ns
        elif due_ns <= at_ns:  # else a reconnection has asked between two points
            due_ns += interval_ns
            due_ns += max(0, at_ns - due_ns) // interval_ns * interval_ns
        return due_ns

    return due


def fixed_delay(pacing: Pacing, rng: random.Random) -> Due:
    """Pause one interval behind every answer, but for the first, which a random phase follows."""
    pause_ns = round(rng.random() * pacing.interval_ns)

    def due(_sent_ns: int, at_ns: int, _new: int) -> int:
        nonlocal pause_ns
        due_ns, pause_ns = at_ns + pause_ns, pacing.interval_ns
        return due_ns

    return due


def jittered(pacing: Pacing, rng: random.Random) -> Due:
    """Pause the interval (1 ± jitter), uniform, from question to question."""
    draw, interval_ns, jitter = rng.random, pacing.interval_ns, pacing.jitter

    def due(sent_ns: int, at_ns: int, _new: int) -> int:
        return max(at_ns, sent_ns + round(interval_ns * (1 + jitter * (2 * draw() - 1))))

    return _phased(due, round(draw() * interval_ns))


def backoff(pacing: Pacing, rng: random.Random) -> Due:
    """Pause the interval behind an event, ``factor`` times longer after every empty answer, ``longest_ns`` at most."""
    pause_ns = pacing.interval_ns

    def due(sent_ns: int, at_ns: int, new: int) -> int:
        nonlocal pause_ns
        pause_ns = pacing.interval_ns if new else min(round(pause_ns * pacing.factor), pacing.longest_ns)
        return max(at_ns, sent_ns + pause_ns)

    return _phased(due, round(rng.random() * pacing.interval_ns))


def learning(pacing: Pacing, rng: random.Random) -> Due:
    """Ask when ``expected`` events are likely to be pending, between the interval and ``longest_ns``.

    Events seen are forgotten with the time constant ``memory_ns``; the rate is what is left of them over it (a
    discounted gamma estimate: West & Harrison, Bayesian Forecasting and Dynamic Models, 1997, chapter 10).
    """
    wanted = pacing.expected * pacing.memory_ns
    seen = wanted / max(1, pacing.interval_ns)
    asked_ns: int | None = None

    def due(sent_ns: int, at_ns: int, new: int) -> int:
        nonlocal seen, asked_ns
        if asked_ns is not None:
            seen *= math.exp((asked_ns - sent_ns) / pacing.memory_ns)
        seen += new
        asked_ns = sent_ns
        pause_ns = wanted / max(seen, wanted / pacing.longest_ns)
        return max(at_ns, sent_ns + round(max(pause_ns, pacing.interval_ns)))

    return _phased(due, round(rng.random() * pacing.interval_ns))


def _phased(due: Due, phase_ns: int) -> Due:
    """Let the first pause be a random phase: what is asked on connecting is no part of the policy."""
    first = True

    def phased(sent_ns: int, at_ns: int, new: int) -> int:
        nonlocal first
        if first:
            first = False
            return at_ns + phase_ns
        return due(sent_ns, at_ns, new)

    return phased


PACES: dict[str, Callable[[Pacing, random.Random], Due]] = {
    "fixed_rate": fixed_rate,
    "fixed_delay": fixed_delay,
    "jittered": jittered,
    "backoff": backoff,
    "learning": learning,
}
