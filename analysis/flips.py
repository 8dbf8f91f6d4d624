"""Where the choice flips: how far one thing must change before another kind of transport is the one to take.

Event rate, tolerated staleness and each price are changed alone, by up to a factor of 1000 both ways, and the first
change of kind is found by bisection with the tuner's own functions. The rule it keeps: a border is no sharper than the
costs behind it: each flip has the range in which their intervals overlap, and the choice cannot be told.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from analysis.costs import Costs
from analysis.demand import Prices, priced
from analysis.predict import Choice, Goals, Situation, judged
from analysis.regime import kind_of
from analysis.tuning import cheapest, choices, cycle_s, fixed_interval

NONE = "none"
FURTHEST = 1000.0
STEPS_PER_DECADE = 3
NARROW = 0.001  # decades: as far as a border is followed
QUESTIONS = 3e3  # simulated for each point of a trace


@dataclass(frozen=True, slots=True)
class Axis:
    """What is changed: its name, its value now, and what is chosen from when it is ``factor`` times that."""

    name: str
    now: float
    found: Callable[[float], Sequence[Choice]]


@dataclass(frozen=True, slots=True)
class Flip:
    """Beyond ``value`` (``factor`` times the present) kind ``to`` is chosen, ``none`` when nothing meets the goals.

    Between ``low`` and ``high`` (values, low < high) the measured costs cannot tell; ``high`` or ``low`` is infinite or
    0 when they never can on that side.
    """

    axis: str
    value: float
    factor: float
    to: str
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class _State:
    kind: str
    sure: bool


def flips(
    situation: Situation, goals: Goals, costs: Costs, prices: Prices, present: Sequence[Choice] = ()
) -> list[Flip]:
    """Return all flips, the nearest first; ``present`` are the choices of today where they are known already."""
    found = [flip for axis in axes(situation, goals, costs, prices, present) for flip in _both_ways(axis)]
    return sorted(found, key=lambda flip: abs(math.log(flip.factor)))


def axes(
    situation: Situation, goals: Goals, costs: Costs, prices: Prices, present: Sequence[Choice] = ()
) -> Iterator[Axis]:
    """What can be changed: the event rate, the tolerated staleness where one was asked, and each price above 0."""

    def at_rate(factor: float) -> list[Choice]:
        faster = situation.faster(factor)
        return choices(faster.thinned(cycle_s(faster), QUESTIONS), goals, costs, prices, adapt=False)

    present = present or choices(situation, goals, costs, prices, adapt=False)

    def at_staleness(factor: float) -> list[Choice]:
        other = Goals({goal: factor * wanted_s for goal, wanted_s in goals.latency_s.items()}, goals.empty_ratio)
        return [
            fixed_interval(situation, other, costs.by_transport["polling"], prices)
            if one.transport == "polling"
            else judged(one, other)
            for one in present
        ]

    def at_price(name: str) -> Callable[[float], list[Choice]]:
        def found(factor: float) -> list[Choice]:
            changed = prices._replace(**{name: factor * getattr(prices, name)})
            return [replace(one, demand=priced(one.demand, changed)) for one in present]

        return found

    yield Axis("rate", situation.rate_hz, at_rate)
    if goals.latency_s:
        yield Axis("staleness", next(iter(goals.latency_s.values())), at_staleness)
    for name in Prices._fields:
        if getattr(prices, name):
            yield Axis(name, getattr(prices, name), at_price(name))


def _both_ways(axis: Axis) -> Iterator[Flip]:
    for direction in (-1, 1):
        steps = np.arange(0, round(STEPS_PER_DECADE * math.log10(FURTHEST)) + 1)
        states: dict[float, _State] = {}

        def at(log: float, states: dict[float, _State] = states) -> _State:
            if log not in states:
                states[log] = _state(axis.found(10**log))
            return states[log]

        logs = [float(direction * step / STEPS_PER_DECADE) for step in steps]
        before = at(0.0)
        beyond = next((i for i, log in enumerate(logs) if at(log).kind != before.kind), None)
        if beyond is None:
            continue
        flip = _border(at, logs[beyond - 1], logs[beyond], _same_kind(before))
        after = at(logs[beyond])
        near = 0.0 if not before.sure else _border(at, 0.0, flip, lambda state: state.sure)
        certain = next((log for log in logs[beyond:] if at(log) == _State(after.kind, sure=True)), None)
        far = math.inf * direction
        if certain is not None:
            far = _border(at, certain, flip, _State(after.kind, sure=True).__eq__)
        low, high = (axis.now * 10**log for log in sorted((near, far)))
        yield Flip(axis.name, axis.now * 10**flip, 10**flip, after.kind, low, high)


def _border(at: Callable[[float], _State], inside: float, outside: float, holds: Callable[[_State], bool]) -> float:
    """Bisect between a place where ``holds`` and one where it does not."""
    while abs(inside - outside) > NARROW:
        middle = (inside + outside) / 2
        inside, outside = (middle, outside) if holds(at(middle)) else (inside, middle)
    return (inside + outside) / 2


def _same_kind(state: _State) -> Callable[[_State], bool]:
    return lambda other: other.kind == state.kind


def _state(found: Sequence[Choice]) -> _State:
    """The kind that is chosen, and whether the costs of every other kind lie above its own for sure."""
    fit = [one for one in found if one.meets]
    if not fit:
        return _State(NONE, sure=True)
    best = cheapest(fit)
    kind = kind_of(best)
    others = (one.demand.hourly.low for one in fit if kind_of(one) != kind)
    return _State(kind, all(low > best.demand.hourly.high for low in others))
