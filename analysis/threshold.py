"""Pimentel & Nickerson's threshold in the simulator: from which one-way delay on long polling is late.

A sensor speaks every tau; a long poll is answered with the datum and is back at the server one round trip later. While
that is shorter than tau every datum meets a held request and takes one transit, as a push does. From a one-way delay of
tau/2 on the next datum is there first, and waits. The rule this module keeps: the threshold is found, not computed:
bisected over simulated delays. Source: Pimentel & Nickerson, Communicating and Displaying Real-Time Data with
WebSocket, IEEE Internet Computing 16(4), 2012: 4 Hz, so 125 ms.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from analysis import simulate, traffic
from analysis.realised import Schedule

RATE_HZ = 4.0
HOLD_S = 30.0
SPREAD = 0.03  # of the delays of a curve: 3 %
_LANES, _LENGTH_S, _RUN_IN_S = 64, 10.0, 20.0
_LATE = 0.01  # a mean that is by this share of it above one transit has left it

Feed = Callable[..., Schedule]


class Crossing(NamedTuple):
    """A one-way delay in s, and the bounds between which the simulator has it."""

    delay_s: float
    low_s: float
    high_s: float


def mean_s(delay_s: float, feed: Feed = traffic.constant, spread: float = 0.0) -> float:
    """Mean delivery latency of long polling at a one-way delay, simulated; ``spread`` as Network has it."""
    rng = np.random.default_rng(7)
    schedule = feed(RATE_HZ, _LANES, _LENGTH_S, rng, run_in_s=_RUN_IN_S)
    network = simulate.Network(2 * delay_s, spread)
    return float(simulate.long_poll(schedule, HOLD_S, network, rng, run_in_s=_RUN_IN_S).latency_s.mean())


@functools.cache
def curve(delays_s: tuple[float, ...], feed: Feed = traffic.constant) -> tuple[float, ...]:
    """``mean_s`` at each delay, which varies by a few percent: without that, two regular things would lock."""
    return tuple(mean_s(delay_s, feed, SPREAD) for delay_s in delays_s)


@functools.cache
def threshold() -> Crossing:
    """Where the mean leaves one transit, by bisection to a tenth of a ms."""
    low_s, high_s = 0.0, 1 / RATE_HZ
    while high_s - low_s > 1e-4:
        middle_s = (low_s + high_s) / 2
        late = mean_s(middle_s) > middle_s * (1 + _LATE)
        low_s, high_s = (low_s, middle_s) if late else (middle_s, high_s)
    return Crossing((low_s + high_s) / 2, low_s, high_s)
