"""Everything that could be set, beside what is chosen: the Pareto front, sweeps of one setting, and other situations.

The rule it keeps: every row is a prediction by the same functions as the answer; a table of all of them goes with the
page. On a trace adaptive policies are simulated on a part of it; on Poisson events they have closed forms.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from analysis.policies import Backoff, FixedRate, Jittered, Learning, Policy
from analysis.predict import PROXY_SHARE, Choice, Goals, Situation, long_polling, polling
from analysis.tuner import Answer, row
from analysis.tuning import (
    LONGEST_HOLD_S,
    LONGEST_S,
    best_hold,
    best_interval_s,
    choices,
    chosen,
    cycle_s,
    fixed_interval,
)

COSTS = ("requests_hz", "empty_ratio", "cores", "down_bps")
QUESTIONS = 1e4  # simulated for each adaptive policy on a trace


def candidates(answer: Answer) -> pd.DataFrame:
    """A row for every setting tried: family, setting, freshness, costs, and whether it is on the front of each."""
    frame = pd.DataFrame([row(one) for one in [*_tried(answer), *answer.found]])
    for column in COSTS:
        frame[f"front_{column}"] = front(frame["p95_s"].to_numpy(), frame[column].fillna(0.0).to_numpy())
    return frame.drop_duplicates().sort_values(["family", "p95_s"], ignore_index=True)


def front(late: np.ndarray, cost: np.ndarray) -> np.ndarray:
    """Whether no other point is as fresh and as cheap, and better in one of the two."""
    order = np.lexsort((cost, late))
    best = np.minimum.accumulate(cost[order])
    on = np.empty(len(late), bool)
    on[order] = cost[order] <= np.append(np.inf, best[:-1]) * (1 - 1e-12)
    if len(on):
        on[order[0]] = True
    return on


def _tried(answer: Answer) -> Iterator[Choice]:
    asked = answer.asked
    fixed = answer.polling
    if fixed is not None:
        cost = asked.costs.by_transport["polling"]
        part = asked.situation.thinned(_interval_s(fixed), QUESTIONS)
        for policy in _policies(_interval_s(fixed), simulated=part.trace is not None or bool(part.rtt_spread)):
            on = asked.situation if isinstance(policy, FixedRate) else part
            if policy.longest_s >= asked.situation.round_trip_s:
                yield polling(on, asked.goals, cost, policy, asked.prices)
    if answer.long_polling is not None:
        cost = asked.costs.by_transport["long_polling"]
        part = asked.situation.thinned(cycle_s(asked.situation), QUESTIONS)
        for hold_s in holds_s(asked.situation):
            yield long_polling(part, asked.goals, cost, hold_s, asked.prices)


def _interval_s(one: Choice) -> float:
    return float(one.settings["polling.interval_s"])


def _policies(interval_s: float, *, simulated: bool) -> Iterator[Policy]:
    """Settings round the recommended interval: many where a closed form answers, few where all is simulated."""
    for factor in np.geomspace(1 / 10, 10, 31):
        yield FixedRate(float(factor) * interval_s)
    for factor in np.geomspace(1 / 10, 10, 5 if simulated else 15):
        scaled = float(factor) * interval_s
        yield Jittered(scaled, 0.5)
        yield Backoff(0.5 * scaled, 1.5, 4 * scaled)
        yield Backoff(0.8 * scaled, 1.5, 1.6 * scaled)
        if simulated:
            yield Learning(1.0, scaled, 0.5 * scaled, 5 * scaled)


def holds_s(situation: Situation) -> list[float]:
    """Holds from a second to what has worked (RFC 6202: 120 s)."""
    return [float(hold) for hold in np.geomspace(1.0, LONGEST_HOLD_S, 8 if situation.trace is not None else 25)]


def intervals(answer: Answer) -> pd.DataFrame:
    """The interval sweep: what every fixed interval gives."""
    fixed = answer.polling
    assert fixed is not None  # noqa: S101  asked where polling has costs
    asked = answer.asked
    given = asked.situation
    cost = asked.costs.by_transport["polling"]
    middle_s = max(_interval_s(fixed), given.round_trip_s)
    shortest_s, _ = best_interval_s(given, asked.goals)
    most_s = max(middle_s * 12, 8 * shortest_s if shortest_s < LONGEST_S else 0.0)  # what both goals need is in sight
    swept = np.geomspace(max(given.round_trip_s, middle_s / 12), most_s, 60)
    found = [polling(given, asked.goals, cost, FixedRate(float(at)), asked.prices) for at in swept]
    return pd.DataFrame([{"interval_s": at, **row(one)} for at, one in zip(swept, found, strict=True)])


def holds(answer: Answer) -> pd.DataFrame:
    """The hold sweep: what every hold gives, and whether the proxy lets it live."""
    asked = answer.asked
    cost = asked.costs.by_transport["long_polling"]
    part = asked.situation.thinned(cycle_s(asked.situation), QUESTIONS)
    most_s = math.inf if asked.situation.proxy_s is None else PROXY_SHARE * asked.situation.proxy_s
    return pd.DataFrame(
        {"hold_s": at, "safe": at <= most_s, **row(long_polling(part, asked.goals, cost, at, asked.prices))}
        for at in holds_s(asked.situation)
    )


# Other situations ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Scenario:
    """What if: the choices then, and what the interval of today would give."""

    name: str
    goals: Goals
    best: Choice
    polling: Choice
    old_interval: Choice
    clients: float


def scenarios(answer: Answer) -> list[Scenario]:
    """Now; the rate twice and half; three times the round trip; ten times the clients; half the delay."""
    asked = answer.asked
    now, goals = asked.situation, asked.goals
    halved = Goals({goal: wanted_s / 2 for goal, wanted_s in goals.latency_s.items()}, goals.empty_ratio)
    cases = [
        ("as it is now", now, goals), ("events come twice as often", now.faster(2), goals),
        ("events come half as often", now.faster(0.5), goals),
        ("round trips take 3 times as long", replace(now, rtt_s=3 * now.rtt_s), goals),
        ("there are 10 times the clients", replace(now, clients=10 * now.clients), goals),
    ]  # fmt: skip
    if goals.latency_s:
        cases.append(("updates must come twice as soon", now, halved))
    return [_scenario(answer, *case) for case in cases]


def _scenario(answer: Answer, name: str, situation: Situation, goals: Goals) -> Scenario:
    asked = answer.asked
    cost = asked.costs.by_transport["polling"]
    part = situation.thinned(cycle_s(situation), QUESTIONS)
    others: Sequence[Choice] = choices(part, goals, asked.costs, asked.prices, adapt=False)
    fixed = fixed_interval(situation, goals, cost, asked.prices)
    best = chosen([fixed, *(one for one in others if one.transport != "polling")], goals)
    today = answer.polling
    assert today is not None  # noqa: S101  asked where polling has costs
    old = polling(situation, goals, cost, FixedRate(_interval_s(today)), asked.prices)
    return Scenario(name, goals, best, fixed, old, situation.clients)


__all__ = ["Scenario", "best_hold", "candidates", "front", "holds", "intervals", "scenarios"]
