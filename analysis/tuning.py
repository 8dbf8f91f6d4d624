"""From "what is my traffic" to the settings: what meets the goals at the least cost, and what cannot be had.

Each transport gets its best ``Choice`` (``analysis.predict``), found by the closed forms turned round where they hold,
by search elsewhere. The rule it keeps: a goal that cannot be met is not quietly left out: the choice then is the
nearest thing that can be had, and says what it misses.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from analysis import models, varying
from analysis.costs import Cost, Costs
from analysis.demand import PRICES, Prices
from analysis.policies import Backoff, FixedRate, Learning, Policy
from analysis.predict import (
    KEPT_S,
    PROXY_SHARE,
    QUANTILE,
    TOLERANCE,
    Choice,
    Goals,
    Situation,
    heartbeat_s,
    long_polling,
    name_of,
    polling,
    polling_empty_ratio,
    push,
    seconds,
)

__all__ = [
    "PRICES", "QUANTILE", "Choice", "Goals", "Prices", "Situation", "adaptive", "best_hold_s", "best_interval_s",
    "cheapest", "choices", "chosen", "cycle_s", "fixed_interval", "heartbeat_s", "long_polling", "name_of", "nearest",
    "polling", "push", "rivals", "seconds", "short_of",
]  # fmt: skip

SAFE_HOLD_S = 30.0  # RFC 6202, section 5.5
LONGEST_HOLD_S = 120.0
CLOSE = 1e-5  # of an interval: near enough
SHORTEST_S = 1e-3  # nobody polls more often
LONGEST_S = 86_400.0
WORTHWHILE = 0.95  # of the fixed interval's requests: an adaptive policy that saves less is not worth its trouble
SEARCHED, JUDGED = 2e4, 3e5  # questions simulated for a candidate, and for the one that is taken
SEEN = 0.01  # events wanted for each of them: where they are rarer more is simulated, up to ten times


# Polling ------------------------------------------------------------------------------------------------------


def best_interval_s(situation: Situation, goals: Goals) -> tuple[float, float]:
    """The shortest and the longest interval the goals allow (s); none when the first is beyond the second.

    Freshness bounds it from above, (l - delta)/q; empty answers bound it from below, -ln(epsilon)/lambda. Round trips
    that vary make the tail longer, which is taken off.
    """
    longest = math.inf
    for goal, wanted_s in goals.latency_s.items():
        longest = min(longest, (wanted_s - situation.delta_s) / _slope(goal))
    if situation.rtt_spread and math.isfinite(longest):
        longest = _longest_varying_s(situation, goals, longest)
    shortest = situation.round_trip_s
    if goals.empty_ratio:
        shortest = max(shortest, interval_for_empty_ratio_s(situation, goals.empty_ratio))
    return shortest, longest


def _slope(goal: str | float) -> float:
    """How much later this goal's latency is for each second that the interval is longer."""
    return {"mean": 0.5, "max": 1.0}.get(goal, 0.0) if isinstance(goal, str) else goal


def _longest_varying_s(situation: Situation, goals: Goals, longest_s: float) -> float:
    """Correct the longest interval for what the drawn round trips add; below a round trip when nothing helps."""
    quantiles = tuple(goal for goal in goals.latency_s if isinstance(goal, float))
    least_s = max(situation.round_trip_s, SHORTEST_S)
    for _ in range(8):
        tried_s = max(longest_s, least_s)
        found = varying.polling(FixedRate(tried_s), situation.network, quantiles)
        ends = {"mean": found.mean_s, "max": found.max_s}
        excess_s = max(
            ((ends[goal] if isinstance(goal, str) else found.quantiles_s[goal]) - wanted_s) / _slope(goal)
            for goal, wanted_s in goals.latency_s.items()
        )
        longest_s = tried_s - excess_s
        if abs(excess_s) < CLOSE * tried_s or (excess_s > 0 and tried_s == least_s):
            break
    return longest_s


def interval_for_empty_ratio_s(situation: Situation, empty_ratio: float) -> float:
    """The shortest interval with so few empty answers; on a trace found by bisection, infinite when a day is not."""
    if situation.trace is None:
        return float(models.interval_for_empty_ratio_s(empty_ratio, situation.rate_hz))
    if polling_empty_ratio(situation, LONGEST_S) > empty_ratio:
        return math.inf
    low, high = math.log(SHORTEST_S), math.log(LONGEST_S)
    for _ in range(40):
        middle = (low + high) / 2
        fits = polling_empty_ratio(situation, math.exp(middle)) <= empty_ratio
        low, high = (low, middle) if fits else (middle, high)
    return math.exp(high)


def fixed_interval(situation: Situation, goals: Goals, cost: Cost, prices: Prices) -> Choice:
    """The fixed interval that meets the goals at the least cost: the longest that is fresh enough.

    Or the longest that keeps its connection, where a new one each time costs more than asking more often saves.
    """
    shortest_s, longest_s = best_interval_s(situation, goals)
    if math.isinf(longest_s):  # nothing is asked of freshness: as many empty answers as are allowed, or the mean gap
        longest_s = min(shortest_s, LONGEST_S) if goals.empty_ratio else 1 / situation.rate_hz
    interval_s = max(longest_s, situation.round_trip_s, SHORTEST_S)
    found = [
        polling(situation, goals, cost, FixedRate(at_s), prices)
        for at_s in dict.fromkeys((interval_s, min(interval_s, KEPT_S)))
    ]
    return cheapest(found)


def adaptive(situation: Situation, goals: Goals, cost: Cost, prices: Prices, fixed: Choice) -> Choice | None:
    """The adaptive policy that meets the goals with the fewest requests; None when none beats the fixed interval.

    Each candidate is simulated on a part of the trace; the best are judged on more of it until one holds.
    """
    interval_s = float(fixed.settings["polling.interval_s"])
    more = min(10.0, max(1.0, SEEN / (situation.rate_hz * interval_s)))
    part, whole = (situation.thinned(interval_s, more * questions) for questions in (SEARCHED, JUDGED))
    tried = [(policy, polling(part, goals, cost, policy, prices)) for policy in _candidates(interval_s)]
    fit = [pair for pair in tried if all(_close(pair[1], goal, s) for goal, s in goals.latency_s.items())]
    for policy, _ in sorted(fit, key=lambda pair: pair[1].requests_hz)[:8]:
        best = polling(whole, goals, cost, policy, prices)
        if best.requests_hz > WORTHWHILE * fixed.requests_hz:
            return None
        if all(best.latency_s(goal) <= wanted_s * (1 + TOLERANCE) for goal, wanted_s in goals.latency_s.items()):
            return best  # what is empty is another goal, and said apart
    return None


def _close(choice: Choice, goal: str | float, wanted_s: float) -> bool:
    return choice.latency_s(goal) <= 1.01 * wanted_s


def _candidates(interval_s: float) -> Iterator[Policy]:
    for longest in (1.5, 2.5, 5.0, 10.0):
        for first in (0.4, 0.7, 0.9):
            yield Backoff(first * interval_s, 1.5, longest * interval_s)
            yield Backoff(first * interval_s, 1.02, longest * interval_s)  # awake for as long as a burst pauses
            for expected, memory in ((1.0, 1.0), (3.0, 0.5), (3.0, 3.0)):
                yield Learning(expected, memory * interval_s, first * interval_s, longest * interval_s)


# Long polling -------------------------------------------------------------------------------------------------


def best_hold_s(situation: Situation, goals: Goals) -> float:
    """The hold: 30 s, what the proxy takes, or what the empty ratio needs if that is longer and still passes."""
    most_s = math.inf if situation.proxy_s is None else PROXY_SHARE * situation.proxy_s
    hold_s = min(SAFE_HOLD_S, most_s)
    if goals.empty_ratio:
        rate_hz = situation.rate_hz
        wanted_s = float(models.hold_for_empty_ratio_s(goals.empty_ratio, rate_hz, situation.round_trip_s))
        if wanted_s > hold_s:
            # RFC 6202, section 5.5: 120 s has worked; beyond it nobody has looked
            hold_s = min(wanted_s, most_s, LONGEST_HOLD_S)
    return hold_s


def cycle_s(situation: Situation) -> float:
    """About how long a long poll takes with the usual hold: for how much to simulate."""
    return situation.round_trip_s + min(1 / situation.rate_hz, SAFE_HOLD_S)


def best_hold(situation: Situation, goals: Goals, cost: Cost, prices: Prices) -> Choice:
    """Long polling with its hold; on a trace, whose silences are longer than Poisson's, longer ones are tried too."""
    found = long_polling(situation, goals, cost, best_hold_s(situation, goals), prices)
    if situation.trace is None or goals.empty_ratio is None:
        return found
    most_s = LONGEST_HOLD_S if situation.proxy_s is None else min(LONGEST_HOLD_S, PROXY_SHARE * situation.proxy_s)
    hold_s = float(found.settings["long_polling.hold_s"])
    while found.empty_ratio > goals.empty_ratio and hold_s < most_s:
        hold_s = min(1.5 * hold_s, most_s)
        found = long_polling(situation, goals, cost, hold_s, prices)
    return found


# All of them --------------------------------------------------------------------------------------------------


def choices(
    situation: Situation, goals: Goals, costs: Costs, prices: Prices = PRICES, *, adapt: bool = True
) -> list[Choice]:
    """Return the best choice of every transport that has costs; adaptive polling only where it pays, and ``adapt``."""
    found: list[Choice] = []
    for name, cost in costs.by_transport.items():
        if not cost.pulls:
            found.append(push(situation, goals, cost, prices))
        elif name == "polling":
            found.append(fixed := fixed_interval(situation, goals, cost, prices))
            if adapt and situation.trace is not None and (better := adaptive(situation, goals, cost, prices, fixed)):
                found.append(better)
        else:
            found.append(best_hold(situation.thinned(cycle_s(situation), JUDGED), goals, cost, prices))
    return found


def cheapest(found: Sequence[Choice]) -> Choice:
    """Return the choice to take: of those that meet the goals the least price, else that with the fewest misses.

    The order of the transports decides a tie: the simplest is named first.
    """
    return min(found, key=lambda one: (len(one.misses), one.demand.hourly.value))


def chosen(found: Sequence[Choice], goals: Goals) -> Choice:
    """Return the cheapest that meets every goal, else the nearest."""
    fit = [one for one in found if one.meets]
    return cheapest(fit) if fit else nearest(found, goals)


def nearest(found: Sequence[Choice], goals: Goals) -> Choice:
    """Return the choice that comes nearest to goals that none meets; among those equally near, the cheapest."""
    return min(found, key=lambda one: (round(short_of(one, goals), 3), one.demand.hourly.value))


def short_of(choice: Choice, goals: Goals) -> float:
    """How many times its worst goal the choice is: 1 or less meets all of them."""
    parts = [choice.latency_s(goal) / wanted_s for goal, wanted_s in goals.latency_s.items()]
    if goals.empty_ratio and math.isfinite(choice.empty_ratio):
        parts.append(choice.empty_ratio / goals.empty_ratio)
    return max(parts, default=0.0)


def rivals(found: Sequence[Choice], best: Choice) -> list[Choice]:
    """Return the choices that the measured costs cannot tell from the best: their price intervals overlap."""
    return [
        one
        for one in found
        if one is not best and len(one.misses) == len(best.misses) and one.demand.hourly.low <= best.demand.hourly.high
    ]
