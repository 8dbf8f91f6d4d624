"""The closed forms where round trips vary: the expectation over drawn ones, without simulating a single event.

A poller that does not look at its answers asks at moments that know nothing of the events. So an event lies anywhere in
the gap between two questions' arrivals at the server, in a gap of length g with odds in proportion to g, and is late by
the rest of the gap and its answer's way back: a mixture of uniform laws, one for each gap that was drawn. A long poll's
gap is from an answer leaving to the next question's arrival; what comes in between waits for its rest, what comes later
is answered at once. The rule it keeps: draws begin with the same seed, so that settings are compared on the same luck;
with a spread of 0 the results are METHODOLOGY's closed forms (tests). Times in s.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from analysis.policies import Policy
from analysis.simulate import Network

Floats = npt.NDArray[np.float64]

CLIENTS, STEPS, RUN_IN = 1000, 21, 8  # whose questions are drawn, how many of each, and how many before those
DRAWS = CLIENTS * (STEPS - 1)
SEED = 1
POINT_S = 1e-7  # as wide as a law is that has no width


@dataclass(frozen=True, slots=True)
class Latencies:
    """A mixture: ``weight`` of the events are late by ``least_s`` at least and up to ``width_s`` more, uniformly."""

    least_s: Floats
    width_s: Floats
    weight: Floats

    @property
    def mean_s(self) -> float:
        """Their mean."""
        return float(np.average(self.least_s + self.width_s / 2, weights=self.weight))

    @property
    def max_s(self) -> float:
        """The longest that was drawn; a law with a tail has no longest."""
        return float((self.least_s + self.width_s).max())

    def quantiles_s(self, quantiles: Sequence[float]) -> dict[float, float]:
        """The latencies that so large shares of the events stay within.

        The share within x grows with a slope that changes where a uniform law begins and where it ends: put in order,
        the changes give it whole.
        """
        width_s = np.maximum(self.width_s, POINT_S)
        steep = self.weight / width_s
        at_s = np.concatenate([self.least_s, self.least_s + width_s])
        order = np.argsort(at_s)
        at_s, slope = at_s[order], np.cumsum(np.concatenate([steep, -steep])[order])
        share = np.append(0.0, np.cumsum(slope[:-1] * np.diff(at_s)))
        found = np.interp(np.asarray(quantiles) * share[-1], share, at_s)
        return {q: float(value) for q, value in zip(quantiles, found, strict=True)}


@dataclass(frozen=True, slots=True)
class Asking:
    """What a way of asking gives: latencies at the wanted quantiles, and the gaps between questions, as drawn."""

    mean_s: float
    quantiles_s: dict[float, float]
    max_s: float
    gaps_s: Floats


@lru_cache(maxsize=256)
def polling(policy: Policy, network: Network, quantiles: tuple[float, ...]) -> Asking:
    """Poll by a policy that does not look at its answers (fixed rate, fixed delay, jittered), on any events."""
    rng = np.random.default_rng(SEED)
    nothing = np.zeros(CLIENTS, np.int64)
    pace = policy.start(CLIENTS, 0.0, rng)
    sent_s = pace.first_s()
    arrivals, backs = [], []
    for _ in range(RUN_IN + STEPS):
        arrival_s = sent_s + network.way_s(CLIENTS, rng) + network.before_s
        back_s = network.after_s + network.way_s(CLIENTS, rng)
        arrivals.append(arrival_s)
        backs.append(back_s)
        sent_s = pace.next_s(sent_s, arrival_s + back_s, nothing)
    gaps_s = np.diff(np.array(arrivals[RUN_IN:]), axis=0).ravel()
    return _told(Latencies(np.array(backs[RUN_IN + 1 :]).ravel(), gaps_s, gaps_s), quantiles, gaps_s)


@lru_cache(maxsize=256)
def long_polling(rate_hz: float, hold_s: float, network: Network, quantiles: tuple[float, ...]) -> Asking:
    """Long poll on Poisson events; ``gaps_s`` are the times in which no question is at the server."""
    rng = np.random.default_rng(SEED)
    ways_s = [network.way_s(DRAWS, rng) for _ in range(3)]
    gaps_s = network.after_s + ways_s[0] + ways_s[1] + network.before_s
    back_s = network.after_s + ways_s[2]
    met_held = float(np.exp(-rate_hz * gaps_s).mean()) * -np.expm1(-rate_hz * hold_s)  # events a cycle
    latencies = Latencies(
        np.concatenate([back_s, back_s]),
        np.concatenate([gaps_s, np.zeros(DRAWS)]),
        np.concatenate([rate_hz * gaps_s, np.full(DRAWS, met_held)]),
    )
    return _told(latencies, quantiles, gaps_s)


@lru_cache(maxsize=256)
def push(network: Network, quantiles: tuple[float, ...]) -> Asking:
    """Push: one way back, drawn."""
    back_s = network.after_s + network.way_s(DRAWS, np.random.default_rng(SEED))
    none = np.zeros(DRAWS)
    return _told(Latencies(back_s, none, np.ones(DRAWS)), quantiles, none)


def _told(found: Latencies, quantiles: tuple[float, ...], gaps_s: Floats) -> Asking:
    return Asking(found.mean_s, found.quantiles_s(quantiles), found.max_s, gaps_s)
