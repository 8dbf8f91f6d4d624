"""From "what is my traffic" to the settings: what meets the goals at the least cost, and what cannot be had.

A ``Situation`` is the traffic and the network, ``Goals`` how late is too late and how many empty answers are too many.
Each transport gets its best ``Choice``: closed forms where they hold (Poisson events, METHODOLOGY), the simulator
elsewhere. The rule it keeps: a goal that is not met is said so, with the nearest thing that can be had; nothing is
rounded towards the wish.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, replace

import numpy as np

from analysis import models, simulate, traffic
from analysis.costs import Cost, Costs
from analysis.demand import PRICES, Demand, Load, Prices, demand
from analysis.policies import Backoff, FixedRate, Learning, Policy
from analysis.realised import Schedule

SAFE_HOLD_S = 30.0  # RFC 6202, section 5.5
SAFE_HEARTBEAT_S = 15.0
PROXY_SHARE = 0.8  # of a proxy's time-out that a hold or a silence may take
KEPT_S = 60.0  # a poller that pauses longer opens a new connection each time: servers and proxies close idle ones
LONGEST_HOLD_S = 120.0
QUANTILE = 0.95
TOLERANCE = 1e-3  # of a goal: what no measurement could tell
WORTHWHILE = 0.95  # of the fixed interval's requests: an adaptive policy that saves less is not worth its trouble
LANES, EVENTS = 500, 100_000  # simulated where no closed form holds


@dataclass(frozen=True, slots=True)
class Situation:
    """What is given. ``rate_hz`` is of each client; ``trace`` replaces Poisson events of that rate.

    ``rtt_s`` is the round trip, ``service_s`` what the server takes behind its snapshot; ``proxy_s`` the time-out of
    whatever stands between (None: nothing does).
    """

    rate_hz: float
    clients: float = 1000
    rtt_s: float = 0.06
    rtt_spread: float = 0.0
    service_s: float = 0.0
    payload_bytes: int = 256
    proxy_s: float | None = None
    trace: Schedule | None = None
    seed: int = 1

    @property
    def network(self) -> simulate.Network:
        """The network as the simulator has it."""
        return simulate.Network(self.rtt_s, self.rtt_spread, after_s=self.service_s)

    @property
    def delta_s(self) -> float:
        """One transit, service included."""
        return self.network.delta_s

    @property
    def round_trip_s(self) -> float:
        """Round trip and service: the shortest period of a poller that waits for its answers."""
        return self.rtt_s + self.service_s

    def rng(self) -> np.random.Generator:
        """A generator that begins the same for every candidate, so that they are compared on the same luck."""
        return np.random.default_rng(self.seed)


@dataclass(frozen=True, slots=True)
class Goals:
    """What is asked: latencies in s by ``mean``, ``max`` or a quantile (0.95), and the empty ratio at most."""

    latency_s: Mapping[str | float, float] = field(default_factory=dict)
    empty_ratio: float | None = None


@dataclass(frozen=True, slots=True)
class Choice:
    """One transport with its settings (dotted keys of an experiment), what it gives, and what it asks.

    ``misses`` are sentences, one for every goal that it does not meet. Latencies in s; ``empty_ratio`` NaN for push.
    """

    transport: str
    label: str
    settings: Mapping[str, float | str]
    mean_s: float
    quantiles_s: Mapping[float, float]
    max_s: float
    empty_ratio: float
    requests_hz: float
    demand: Demand
    misses: tuple[str, ...] = ()

    @property
    def meets(self) -> bool:
        """Whether every goal is met."""
        return not self.misses

    def latency_s(self, goal: str | float) -> float:
        """The latency a goal speaks of."""
        if goal == "mean":
            return self.mean_s
        return self.max_s if goal == "max" else self.quantiles_s[float(goal)]


def name_of(goal: str | float) -> str:
    """For people: mean, max, p95."""
    return goal if isinstance(goal, str) else f"p{100 * goal:g}"


# One policy, evaluated ----------------------------------------------------------------------------------------


def polling(situation: Situation, goals: Goals, cost: Cost, policy: Policy, prices: Prices = PRICES) -> Choice:
    """Predict a polling policy; closed forms for fixed intervals on Poisson events, else the simulator."""
    exact = isinstance(policy, FixedRate) and situation.trace is None and not situation.rtt_spread
    found = _fixed(situation, goals, policy.longest_s) if exact else _simulated(situation, goals, policy)
    kept = policy.longest_s <= KEPT_S
    load = Load(found.requests_hz, _rate_hz(situation), 1.0 if kept else 0.0, 0.0 if kept else found.requests_hz)
    return _choice(situation, goals, cost, found, load, prices=prices, settings=_settings(policy))


def long_polling(situation: Situation, goals: Goals, cost: Cost, hold_s: float, prices: Prices = PRICES) -> Choice:
    """Predict long polling with this hold."""
    gap = situation.round_trip_s
    if situation.trace is None and not situation.rtt_spread:
        rate, delta = situation.rate_hz, situation.delta_s
        found = _Found(
            float(models.long_polling_mean_s(rate, hold_s, gap, delta)),
            {q: float(models.long_polling_quantile_s(q, rate, hold_s, gap, delta)) for q in _quantiles(goals)},
            delta + gap,
            float(models.long_polling_empty_ratio(rate, hold_s, gap)),
            1 / float(models.long_polling_cycle_s(rate, hold_s, gap)),
        )
    else:
        schedule, run_in_s = _schedule(situation)
        outcome = simulate.long_poll(schedule, hold_s, situation.network, situation.rng(), run_in_s=run_in_s)
        found = _found(goals, outcome)
    load = Load(found.requests_hz, _rate_hz(situation))
    return _choice(situation, goals, cost, found, load, prices=prices, settings={"long_polling.hold_s": hold_s})


def push(situation: Situation, goals: Goals, cost: Cost, prices: Prices = PRICES) -> Choice:
    """Predict a push transport: one transit."""
    delta = situation.delta_s
    found = _Found(delta, dict.fromkeys(_quantiles(goals), delta), delta, math.nan, 0.0)
    if situation.rtt_spread:
        schedule, _ = _schedule(situation)
        found = _found(goals, simulate.push(schedule, situation.network, situation.rng()))
    load = Load(0.0, _rate_hz(situation))
    beat = {"server.heartbeat_s": heartbeat_s(situation)}
    return _choice(situation, goals, cost, found, load, prices=prices, settings=beat)


def heartbeat_s(situation: Situation) -> float:
    """The silence a push connection may keep: what is common, or what the proxy between still takes."""
    return SAFE_HEARTBEAT_S if situation.proxy_s is None else min(SAFE_HEARTBEAT_S, PROXY_SHARE * situation.proxy_s)


@dataclass(frozen=True, slots=True)
class _Found:
    mean_s: float
    quantiles_s: Mapping[float, float]
    max_s: float
    empty_ratio: float
    requests_hz: float


def _quantiles(goals: Goals) -> list[float]:
    return sorted({QUANTILE, *(goal for goal in goals.latency_s if not isinstance(goal, str))})


def _fixed(situation: Situation, goals: Goals, interval_s: float) -> _Found:
    period = float(models.fixed_rate_period_s(interval_s, situation.round_trip_s))
    delta = situation.delta_s
    return _Found(
        float(models.polling_mean_s(period, delta)),
        {q: float(models.polling_quantile_s(q, period, delta)) for q in _quantiles(goals)},
        delta + period,
        float(models.polling_empty_ratio(situation.rate_hz, period)),
        1 / period,
    )


def _simulated(situation: Situation, goals: Goals, policy: Policy) -> _Found:
    schedule, run_in_s = _schedule(situation)
    return _found(goals, simulate.pull(schedule, policy, situation.network, situation.rng(), run_in_s=run_in_s))


def _found(goals: Goals, outcome: simulate.Outcome) -> _Found:
    waits = np.sort(outcome.latency_s)
    some = len(waits) > 0
    return _Found(
        float(waits.mean()) if some else math.nan,
        {q: float(np.quantile(waits, q)) if some else math.nan for q in _quantiles(goals)},
        float(waits[-1]) if some else math.nan,
        outcome.empty / outcome.responses if outcome.responses else math.nan,
        outcome.requests_hz,
    )


def _rate_hz(situation: Situation) -> float:
    if situation.trace is None:
        return situation.rate_hz
    trace = situation.trace
    inside = (trace.due_s >= trace.start_s) & (trace.due_s < trace.end_s)
    return float(inside.sum()) / (trace.topics * (trace.end_s - trace.start_s))


def _schedule(situation: Situation) -> tuple[Schedule, float]:
    """The events to simulate, and the run-in they have."""
    if situation.trace is not None:
        first = float(situation.trace.due_s.min(initial=0.0))
        return situation.trace, max(0.0, situation.trace.start_s - first)
    run_in_s = 5 / situation.rate_hz
    length_s = EVENTS / LANES / situation.rate_hz
    return traffic.poisson(situation.rate_hz, LANES, length_s, situation.rng(), run_in_s=run_in_s), run_in_s


def _settings(policy: Policy) -> dict[str, float | str]:
    """A policy as an experiment has it: ``polling.policy`` and its numbers."""
    numbers = {f"polling.{field.name}": getattr(policy, field.name) for field in fields(policy)}  # type: ignore[arg-type]
    return {"polling.policy": policy.name, **numbers}


def _choice(
    situation: Situation, goals: Goals, cost: Cost, found: _Found, load: Load, *, prices: Prices,
    settings: Mapping[str, float | str],
) -> Choice:  # fmt: skip
    asked = demand(cost, load, situation.clients, payload_bytes=situation.payload_bytes, prices=prices)
    choice = Choice(
        cost.transport, cost.label, settings, found.mean_s, found.quantiles_s, found.max_s, found.empty_ratio,
        found.requests_hz * situation.clients, asked,
    )  # fmt: skip
    return replace(choice, misses=tuple(_misses(goals, choice)))


def _misses(goals: Goals, choice: Choice) -> Iterator[str]:
    for goal, wanted_s in goals.latency_s.items():
        reached_s = choice.latency_s(goal)
        if not reached_s <= wanted_s * (1 + TOLERANCE):
            yield f"{name_of(goal)} {seconds(reached_s)}, at most {seconds(wanted_s)} was asked"
    most = goals.empty_ratio
    if most is not None and choice.empty_ratio > most * (1 + TOLERANCE):
        yield f"{choice.empty_ratio:.0%} of answers empty, at most {most:.0%} was asked"


# The best of a transport --------------------------------------------------------------------------------------


def best_interval_s(situation: Situation, goals: Goals) -> tuple[float, float]:
    """The shortest and the longest interval the goals allow (s); none when the first is beyond the second.

    Freshness bounds it from above, (l - delta)/q; empty answers bound it from below, -ln(epsilon)/lambda.
    """
    longest = math.inf
    for goal, wanted_s in goals.latency_s.items():
        room_s = wanted_s - situation.delta_s
        longest = min(longest, room_s * 2 if goal == "mean" else room_s if goal == "max" else room_s / float(goal))
    shortest = situation.round_trip_s
    if goals.empty_ratio:
        wait_s = float(models.interval_for_empty_ratio_s(goals.empty_ratio, _rate_hz(situation)))
        shortest = max(shortest, wait_s)
    return shortest, longest


def fixed_interval(situation: Situation, goals: Goals, cost: Cost, prices: Prices) -> Choice:
    """The fixed interval that meets the goals at the least cost: the longest that is fresh enough.

    On a trace the closed form of the latency still holds (a random phase sees any schedule alike); only what is empty
    has to be simulated.
    """
    shortest_s, longest_s = best_interval_s(situation, goals)
    if math.isinf(longest_s):  # nothing is asked of freshness: as many empty answers as are allowed, or the mean gap
        longest_s = shortest_s if goals.empty_ratio else 1 / _rate_hz(situation)
    return polling(situation, goals, cost, FixedRate(max(longest_s, situation.round_trip_s, 1e-3)), prices)


def adaptive(situation: Situation, goals: Goals, cost: Cost, prices: Prices, fixed: Choice) -> Choice | None:
    """The adaptive policy that meets the goals with the fewest requests; None when none beats the fixed interval.

    Searched on a coarse grid round the fixed interval, then on a finer one round the best (each point is simulated).
    """
    interval_s = float(fixed.settings["polling.interval_s"])
    best: Choice | None = None
    for policy in _candidates(interval_s):
        tried = polling(situation, goals, cost, policy, prices)
        if tried.meets and (best is None or tried.requests_hz < best.requests_hz):
            best = tried
    if best is None or best.requests_hz > WORTHWHILE * fixed.requests_hz:
        return None
    return best


def _candidates(interval_s: float) -> Iterator[Policy]:
    for longest in (1.5, 2.0, 3.0, 5.0, 8.0, 12.0):
        for first in (0.4, 0.7, 0.85, 0.95):
            for factor in (1.25, 2.0):
                yield Backoff(first * interval_s, factor, longest * interval_s)
            for expected, memory in ((1.0, 1.0), (3.0, 0.5), (3.0, 3.0)):
                yield Learning(expected, memory * interval_s, first * interval_s, longest * interval_s)


def best_hold_s(situation: Situation, goals: Goals) -> float:
    """The hold: 30 s, what the proxy takes, or what the empty ratio needs if that is longer and still passes."""
    most_s = math.inf if situation.proxy_s is None else PROXY_SHARE * situation.proxy_s
    hold_s = min(SAFE_HOLD_S, most_s)
    if goals.empty_ratio:
        wanted_s = float(models.hold_for_empty_ratio_s(goals.empty_ratio, _rate_hz(situation), situation.round_trip_s))
        if wanted_s > hold_s:
            # RFC 6202, section 5.5: 120 s has worked; beyond it nobody has looked
            hold_s = min(wanted_s, most_s, LONGEST_HOLD_S)
    return hold_s


def choices(situation: Situation, goals: Goals, costs: Costs, prices: Prices = PRICES) -> list[Choice]:
    """Return the best choice of every transport that has costs; adaptive polling only where it pays."""
    found: list[Choice] = []
    for name, cost in costs.by_transport.items():
        if not cost.pulls:
            found.append(push(situation, goals, cost, prices))
        elif name == "polling":
            found.append(fixed := fixed_interval(situation, goals, cost, prices))
            if situation.trace is not None and (better := adaptive(situation, goals, cost, prices, fixed)):
                found.append(better)
        else:
            found.append(long_polling(situation, goals, cost, best_hold_s(situation, goals), prices))
    return found


def cheapest(found: list[Choice]) -> Choice:
    """Return the choice to take: of those that meet the goals the least price, else that with the fewest misses.

    The order of the transports decides a tie: the simplest is named first.
    """
    return min(found, key=lambda one: (len(one.misses), one.demand.hourly.value))


def rivals(found: list[Choice], best: Choice) -> list[Choice]:
    """Return the choices that the measured costs cannot tell from the best: their price intervals overlap."""
    return [
        one
        for one in found
        if one is not best and len(one.misses) == len(best.misses) and one.demand.hourly.low <= best.demand.hourly.high
    ]


def seconds(value_s: float) -> str:
    """Write a time with three digits at most: 0.03 s, 2.07 s, 41 s."""
    return f"{value_s:.3g} s" if value_s < 100 else f"{value_s:,.0f} s"
