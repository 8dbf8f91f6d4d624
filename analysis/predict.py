"""What one setting gives and asks: freshness, empty answers, requests, and the demand on the servers.

A ``Situation`` is the traffic and the network, ``Goals`` how late is too late and how many empty answers are too many.
Closed forms where they hold (Poisson events, METHODOLOGY), the events themselves or the simulator elsewhere. The rule
it keeps: a goal that is not met is said so (``Choice.misses``); nothing is rounded towards the wish.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from analysis import models, realised, simulate, traffic, varying
from analysis.costs import Cost
from analysis.demand import PRICES, Demand, Load, Prices, demand
from analysis.policies import Backoff, FixedDelay, FixedRate, Jittered, Policy
from analysis.realised import Schedule

Floats = npt.NDArray[np.float64]

SAFE_HEARTBEAT_S = 15.0
PROXY_SHARE = 0.8  # of a proxy's time-out that a hold or a silence may take
KEPT_S = 60.0  # a poller that pauses longer opens a new connection each time: servers and proxies close idle ones
QUANTILE = 0.95
TOLERANCE = 1e-3  # of a goal: what no measurement could tell
LANES, EVENTS, STEPS = 500, 100_000, 1000  # simulated where no closed form holds


class _Same:
    """A schedule as a key: equal to itself alone."""

    def __init__(self, schedule: Schedule) -> None:
        self.schedule = schedule

    def __hash__(self) -> int:
        return id(self.schedule.due_s)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and other.schedule is self.schedule


@lru_cache(maxsize=16)
def _thinned(key: _Same, pause_s: float, questions: float) -> Schedule:
    """The same object for the same question, so that what is computed from it is not computed twice."""
    due_s, topic, topics, start_s, end_s = key.schedule
    lanes = min(topics, 400)
    length_s = min(end_s - start_s, questions / lanes * pause_s)
    if lanes == topics and length_s == end_s - start_s:
        return key.schedule
    number = np.full(topics, -1)
    number[np.linspace(0, topics - 1, lanes).round().astype(np.int64)] = np.arange(lanes)
    spare_s = end_s - start_s - length_s
    begin_s = start_s + spare_s * (np.arange(lanes) * 0.618034 % 1)  # the golden ratio spreads them evenly
    lane = number[topic]
    moved_s = due_s - begin_s[lane]
    kept = (lane >= 0) & (moved_s >= -length_s) & (moved_s < length_s)
    return Schedule(moved_s[kept], lane[kept], lanes, 0.0, length_s)


@dataclass(frozen=True, slots=True)
class Situation:
    """What is given. ``rate_hz`` is of each client; ``trace`` replaces Poisson events by others of that rate.

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

    def faster(self, factor: float) -> Situation:
        """The same traffic with everything ``factor`` times as often; a trace is played that much faster."""
        if self.trace is None:
            return replace(self, rate_hz=self.rate_hz * factor)
        due_s, topic, topics, start_s, end_s = self.trace
        trace = Schedule(due_s / factor, topic, topics, start_s / factor, end_s / factor)
        return replace(self, rate_hz=self.rate_hz * factor, trace=trace)

    def thinned(self, pause_s: float, questions: float) -> Situation:
        """Cut a trace down to about so many questions at one each ``pause_s``: fewer lanes, and a stretch of each.

        The stretches begin at places spread over the lanes, and keep a run-in as long as themselves where there is one.
        """
        if self.trace is None:
            return self
        return replace(self, trace=_thinned(_Same(self.trace), pause_s, questions))

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
    """Predict a polling policy: by a closed form, by drawn round trips where they vary, or by the simulator."""
    found = _form(situation, policy)(situation, goals, policy)
    kept = policy.longest_s <= KEPT_S
    load = Load(found.requests_hz, situation.rate_hz, 1.0 if kept else 0.0, 0.0 if kept else found.requests_hz)
    return _choice(situation, goals, cost, found, load, prices=prices, settings=_settings(policy))


def long_polling(situation: Situation, goals: Goals, cost: Cost, hold_s: float, prices: Prices = PRICES) -> Choice:
    """Predict long polling with this hold."""
    gap = situation.round_trip_s
    rate, delta = situation.rate_hz, situation.delta_s
    if situation.trace is not None:
        found = _long_polled(
            _Same(situation.trace), hold_s, situation.network, situation.seed, tuple(_quantiles(goals))
        )
    elif situation.rtt_spread:
        drawn = varying.long_polling(rate, hold_s, situation.network, tuple(_quantiles(goals)))
        unheard = np.exp(-rate * drawn.gaps_s)  # the odds that nothing comes in a gap
        cycle_s = float((drawn.gaps_s + unheard * -np.expm1(-rate * hold_s) / rate).mean())
        empty_ratio = float(unheard.mean()) * math.exp(-rate * hold_s)
        found = _Found(drawn.mean_s, drawn.quantiles_s, drawn.max_s, empty_ratio, 1 / cycle_s)
    else:
        found = _Found(
            float(models.long_polling_mean_s(rate, hold_s, gap, delta)),
            {q: float(models.long_polling_quantile_s(q, rate, hold_s, gap, delta)) for q in _quantiles(goals)},
            delta + gap,
            float(models.long_polling_empty_ratio(rate, hold_s, gap)),
            1 / float(models.long_polling_cycle_s(rate, hold_s, gap)),
        )
    load = Load(found.requests_hz, situation.rate_hz)
    return _choice(situation, goals, cost, found, load, prices=prices, settings={"long_polling.hold_s": hold_s})


def push(situation: Situation, goals: Goals, cost: Cost, prices: Prices = PRICES) -> Choice:
    """Predict a push transport: one transit."""
    delta = situation.delta_s
    found = _Found(delta, dict.fromkeys(_quantiles(goals), delta), delta, math.nan, 0.0)
    if situation.rtt_spread:
        drawn = varying.push(situation.network, tuple(_quantiles(goals)))
        found = _Found(drawn.mean_s, drawn.quantiles_s, drawn.max_s, math.nan, 0.0)
    beat_s = heartbeat_s(situation)
    load = Load(0.0, situation.rate_hz, heartbeat_s=beat_s)
    return _choice(situation, goals, cost, found, load, prices=prices, settings={"server.heartbeat_s": beat_s})


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


def polling_empty_ratio(situation: Situation, period_s: float | Floats) -> float:
    """The empty ratio of a period, or of a mixture of these: e^(-rate P) of Poisson events, else by the trace's own."""
    if situation.trace is None:
        return float(np.mean(models.polling_empty_ratio(situation.rate_hz, period_s)))
    return float(_quiet(_Same(situation.trace)).ratio(period_s).mean())


@lru_cache(maxsize=8)
def _quiet(key: _Same) -> realised.Quiet:
    return realised.Quiet(key.schedule)


def _varying(situation: Situation, goals: Goals, policy: Policy) -> _Found:
    drawn = varying.polling(policy, situation.network, tuple(_quantiles(goals)))
    empty_ratio = polling_empty_ratio(situation, drawn.gaps_s)
    return _Found(drawn.mean_s, drawn.quantiles_s, drawn.max_s, empty_ratio, 1 / float(drawn.gaps_s.mean()))


def _fixed(situation: Situation, goals: Goals, policy: Policy) -> _Found:
    """A random phase sees any schedule alike, so the latency's form holds on a trace too."""
    period = float(models.fixed_rate_period_s(policy.longest_s, situation.round_trip_s))
    delta = situation.delta_s
    return _Found(
        float(models.polling_mean_s(period, delta)),
        {q: float(models.polling_quantile_s(q, period, delta)) for q in _quantiles(goals)},
        delta + period,
        polling_empty_ratio(situation, period),
        1 / period,
    )


def _jittered(situation: Situation, goals: Goals, policy: Policy) -> _Found:
    assert isinstance(policy, Jittered)  # noqa: S101  its row in CLOSED
    interval, jitter, delta = policy.interval_s, policy.jitter, situation.delta_s
    return _Found(
        float(models.jittered_polling_mean_s(interval, jitter, delta)),
        {q: models.jittered_polling_quantile_s(q, interval, jitter, delta) for q in _quantiles(goals)},
        delta + policy.longest_s,
        _jittered_empty_ratio(situation, interval, jitter),
        1 / interval,
    )


def _jittered_empty_ratio(situation: Situation, interval_s: float, jitter: float) -> float:
    if situation.trace is None:
        return float(models.jittered_polling_empty_ratio(situation.rate_hz, interval_s, jitter))
    return polling_empty_ratio(situation, interval_s * np.linspace(1 - jitter, 1 + jitter, 101))


def _backoff(situation: Situation, goals: Goals, policy: Policy) -> _Found:
    assert isinstance(policy, Backoff)  # noqa: S101  its row in CLOSED
    numbers = (getattr(policy, one.name) for one in fields(policy))
    first, factor, longest = (float(number) for number in numbers)
    rate, delta = situation.rate_hz, situation.delta_s
    found = models.backoff_polling(rate, first, factor, longest, delta)
    quantiles = {
        q: models.backoff_polling_quantile_s(q, rate, first, factor, longest, delta_s=delta) for q in _quantiles(goals)
    }
    return _Found(found.mean_s, quantiles, delta + longest, found.empty_ratio, found.requests_per_event * rate)


BLIND = (FixedRate, FixedDelay, Jittered)  # policies that do not look at their answers
CLOSED: dict[type[Policy], Callable[[Situation, Goals, Policy], _Found]] = {
    FixedRate: _fixed,
    Jittered: _jittered,
    Backoff: _backoff,
}
"""Policies with a closed form, for pauses no shorter than the round trip."""


def _form(situation: Situation, policy: Policy) -> Callable[[Situation, Goals, Policy], _Found]:
    """What predicts this policy here: a policy that does not look at its answers needs no simulator on any events."""
    blind = isinstance(policy, BLIND)
    if situation.rtt_spread:
        return _varying if blind else _simulated
    return CLOSED.get(type(policy), _simulated) if blind or situation.trace is None else _simulated


def _simulated(situation: Situation, goals: Goals, policy: Policy) -> _Found:
    schedule, run_in_s = _schedule(situation, max(policy.longest_s, situation.round_trip_s))
    outcome = simulate.pull(schedule, policy, situation.network, situation.rng(), run_in_s=run_in_s)
    return _found(_quantiles(goals), outcome)


def _found(quantiles: Sequence[float], outcome: simulate.Outcome) -> _Found:
    waits = np.sort(outcome.latency_s)
    some = len(waits) > 0
    return _Found(
        float(waits.mean()) if some else math.nan,
        {q: float(np.quantile(waits, q)) if some else math.nan for q in quantiles},
        float(waits[-1]) if some else math.nan,
        outcome.empty / outcome.responses if outcome.responses else math.nan,
        outcome.requests_hz,
    )


def _schedule(situation: Situation, pause_s: float) -> tuple[Schedule, float]:
    """The events to simulate for a question each ``pause_s`` at the most, and the run-in they have."""
    if situation.trace is not None:
        return situation.trace, _run_in_s(situation.trace)
    # Rare events are no reason to simulate a million questions that find nothing.
    length_s = min(EVENTS / LANES / situation.rate_hz, STEPS * pause_s)
    run_in_s = min(5 / situation.rate_hz, STEPS / 10 * pause_s)
    return traffic.poisson(situation.rate_hz, LANES, length_s, situation.rng(), run_in_s=run_in_s), run_in_s


def _run_in_s(trace: Schedule) -> float:
    return max(0.0, trace.start_s - float(trace.due_s.min(initial=0.0)))


@lru_cache(maxsize=64)
def _long_polled(
    key: _Same, hold_s: float, network: simulate.Network, seed: int, quantiles: tuple[float, ...]
) -> _Found:
    """Simulate a hold on a trace, once: sweeps, what-ifs and flips come back to the same ones."""
    trace = key.schedule
    rng = np.random.default_rng(seed)
    return _found(quantiles, simulate.long_poll(trace, hold_s, network, rng, run_in_s=_run_in_s(trace)))


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
    return judged(choice, goals)


def judged(choice: Choice, goals: Goals) -> Choice:
    """The same choice held against these goals, which ask for no quantile that it has not."""
    return replace(choice, misses=tuple(_misses(goals, choice)))


def _misses(goals: Goals, choice: Choice) -> Iterator[str]:
    for goal, wanted_s in goals.latency_s.items():
        reached_s = choice.latency_s(goal)
        if not reached_s <= wanted_s * (1 + TOLERANCE):
            yield f"{name_of(goal)} {seconds(reached_s)}, at most {seconds(wanted_s)} was asked"
    most = goals.empty_ratio
    if most is not None and choice.empty_ratio > most * (1 + TOLERANCE):
        yield f"{choice.empty_ratio:.0%} of answers empty, at most {most:.0%} was asked"


def seconds(value_s: float) -> str:
    """Write a time with three digits at most: 0.03 s, 2.07 s, 41 s."""
    return f"{value_s:.3g} s" if value_s < 100 else f"{value_s:,.0f} s"
