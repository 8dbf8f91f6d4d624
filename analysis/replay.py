"""The simulator beside live runs: the cell's own settings, the events that really came, one transit from elsewhere.

The rule it keeps: the simulator is told what the client was told and what was published, and nothing of what was
measured; both are compared topic by topic (``analysis.findings``). It speaks of every pull cell whose topics are
independent: any policy, one event an answer, the latest state, a hold and a gap. 5 % is the bar for latencies, 0.01 for
ratios. Starting points in the cycle are averaged over, as many as the work allows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from analysis import findings, forms, models, realised, simulate, statistic
from analysis.findings import Delta, Finding, Groups, Key
from analysis.forms import Forms
from analysis.load import Cell, Run
from analysis.measured import TOPICS, Floats, Measured, first_receipts
from analysis.policies import POLICIES, FixedRate, Policy
from analysis.realised import Expected, Schedule

TOLERANCE = 0.05
SCHEDULES = {"poisson", "bursty", "constant"}
WORK = 400_000  # questions to simulate for a cell, about: a third of a second
_LEAST_PAUSE_S = 0.01  # who asks more often than this measures the machine, not a policy

PERIODS = {"fixed_rate": models.fixed_rate_period_s, "fixed_delay": models.fixed_delay_period_s}


@dataclass(frozen=True, slots=True)
class Replayed:
    """What the simulator expects of a cell; ``in_step_s`` by topic, and the events owed to each in the window."""

    expected: Expected
    phases: int
    in_step_s: Floats
    owed: Floats


def speaks_of(cell: Cell) -> bool:
    """Whether the simulator speaks of this cell, or needs it: events for each client of its own, a kept connection."""
    settings = cell.settings
    pulls = [name for name in ("polling", "long_polling") if f"{name}.{_KEY[name]}" in settings]
    return (
        bool(pulls)
        and settings.get("feed.schedule") in SCHEDULES
        and float(settings.get("feed.rate_hz", 0)) > 0
        and cell.topics == cell.subscribers >= TOPICS
        and all(settings.get(f"{name}.keep_alive", True) for name in pulls)
    )


_KEY = {"polling": "interval_s", "long_polling": "hold_s"}  # the setting that shows which client it is


def replay(run: Run, groups: Groups) -> dict[Key, tuple[Finding, ...]]:
    """Every measured cell of ``groups`` beside its simulation: mean and p95 latency, empty ratio; more of a state."""
    found = {}
    for key, repeats in groups.items():
        cell = repeats[0].cell
        measured = cell.role == "measure" and all(len(one.latency.values) for one in repeats)
        if not measured or _pause_s(cell.settings) < _LEAST_PAUSE_S:
            continue
        plan = findings.schedule_of(repeats, groups)
        if plan is not None:
            delta = findings.delta_of(run, cell, groups)
            found[key] = tuple(_findings(repeats, plan, delta))
    return found


def _findings(repeats: list[Measured], plan: Schedule, delta: Delta | None) -> Iterator[Finding]:
    settings = repeats[0].cell.settings
    replayed = simulated(settings, plan, delta)
    closed = closed_forms(settings, delta)
    expected, topics = replayed.expected, plan.topics
    if delta:
        yield findings.mean(repeats, expected, topics, delta, 1e3 * float(closed.mean_s), within=TOLERANCE)
        yield findings.p95(repeats, expected, topics, delta, 1e3 * float(closed.p95_s), within=TOLERANCE)
    yield findings.empty(repeats, expected, float(closed.empty_ratio))
    if forms.is_latest(settings):
        yield from _of_a_state(repeats, plan, replayed, closed, delta)


def simulated(settings: Mapping[str, Any], plan: Schedule, delta: Delta | None) -> Replayed:
    """The cell as the simulator has it; the clients begin with the feed, as they do in a run."""
    steps = plan.end_s / _pause_s(settings) + 1
    phases = int(np.clip(WORK / (plan.topics * steps), 1, realised.PHASES))
    lanes = _every(plan, phases)
    network = simulate.Network(delta.round_trip_s if delta else 0.0)
    rng = np.random.default_rng(1)
    limit = forms.limit_of(settings)
    if "long_polling.hold_s" in settings:
        outcome = simulate.long_poll(
            lanes, float(settings["long_polling.hold_s"]), network, rng, run_in_s=plan.start_s,
            gap_s=_gap_s(settings) + (delta.turnaround_s if delta else 0.0), limit=limit,
        )  # fmt: skip
    else:
        latest = forms.is_latest(settings)
        outcome = simulate.pull(
            lanes, policy_of(settings), network, rng, run_in_s=plan.start_s, limit=limit, latest=latest
        )
    counts = (*outcome.answers, outcome.in_step_s)
    responses, empty, in_step_s = (one.reshape(plan.topics, -1).sum(axis=1) / phases for one in counts)
    wait_s = (outcome.latency_s - network.delta_s).clip(0)
    inside = (plan.due_s >= plan.start_s) & (plan.due_s < plan.end_s)
    owed = np.bincount(plan.topic[inside], minlength=plan.topics).astype(np.float64)
    expected = Expected(realised.Answers(responses, empty), wait_s, outcome.lane // phases)
    return Replayed(expected, phases, in_step_s, owed)


def closed_forms(settings: Mapping[str, Any], delta: Delta | None) -> Forms:
    """What the closed forms say of the cell, the schedule's luck left out; NaN where none speaks."""
    delta_s, round_trip_s = (delta.mean_s, delta.round_trip_s) if delta else (0.0, 0.0)
    if "long_polling.hold_s" in settings:
        gap_s = _gap_s(settings) + round_trip_s + (delta.turnaround_s if delta else 0.0)
        found = forms.long_polling(settings, float(settings["long_polling.hold_s"]), gap_s, delta_s)
        if delta and found.p95_s == delta_s:  # nobody waits: the quantile is the transit's own
            found = found._replace(p95_s=statistic.quantile(delta.samples_ms, 0.95) / 1e3)
        return found
    name = str(settings.get("polling.policy", "fixed_rate"))
    if name in PERIODS:
        return forms.polling(settings, PERIODS[name](float(settings["polling.interval_s"]), round_trip_s), delta_s)
    plain = settings.get("feed.schedule") == "poisson" and not forms.is_latest(settings)
    if plain and not forms.limit_of(settings):
        return forms.policy(policy_of(settings), float(settings["feed.rate_hz"]), delta_s)
    return forms.NONE


def policy_of(settings: Mapping[str, Any]) -> Policy:
    """The policy that the cell's client followed."""
    kind: Any = POLICIES[str(settings.get("polling.policy", FixedRate.name))]
    chosen: Policy = kind(**{one.name: float(settings[f"polling.{one.name}"]) for one in fields(kind)})
    return chosen


def _gap_s(settings: Mapping[str, Any]) -> float:
    return float(settings.get("long_polling.gap_s", 0))


def _pause_s(settings: Mapping[str, Any]) -> float:
    """The time from question to question, about: how much there is to simulate."""
    if "long_polling.hold_s" in settings:
        return min(float(settings["long_polling.hold_s"]) + _gap_s(settings), 1 / float(settings["feed.rate_hz"]))
    return float(settings["polling.interval_s"])


def _every(plan: Schedule, times: int) -> Schedule:
    """Give every topic ``times`` clients, one lane each."""
    bounds = np.searchsorted(plan.topic, np.arange(plan.topics + 1))
    sizes = np.repeat(np.diff(bounds), times)
    first = np.repeat(bounds[:-1], times)
    event = np.arange(sizes.sum()) + np.repeat(first - (np.cumsum(sizes) - sizes), sizes)
    lane = np.repeat(np.arange(plan.topics * times), sizes)
    return plan._replace(due_s=plan.due_s[event], topic=lane, topics=plan.topics * times)


# Of a state that is overwritten -------------------------------------------------------------------------------


def _of_a_state(
    repeats: list[Measured], plan: Schedule, replayed: Replayed, closed: Forms, delta: Delta | None
) -> Iterator[Finding]:
    """The share of events that were seen at all, and the share of time in which the newest was shown."""
    topics = plan.topics
    pooled = statistic.pool(repeats, lambda m: m.latency)
    seen, expected = (
        np.bincount(cluster, minlength=topics).astype(np.float64)
        for cluster in (pooled.cluster, replayed.expected.topic)
    )
    over, under = (seen, replayed.owed), (expected / replayed.phases, replayed.owed)
    yield findings.ratio("unique_published", over, under, repeats, float(closed.unique_published))
    if delta:
        length_s = np.full(topics, plan.end_s - plan.start_s)
        shown = (_in_step_s(repeats, plan), length_s)
        yield findings.ratio("in_step", shown, (replayed.in_step_s, length_s), repeats, float(closed.in_step))


def _in_step_s(repeats: list[Measured], plan: Schedule) -> Floats:
    """For how long of the window each topic's subscriber held the newest event: from receipt to the next one due."""
    span = 2 * (float(np.abs(plan.due_s).max(initial=0.0)) + plan.end_s + 1)
    flat = plan.topic * span + plan.due_s
    following = np.append(plan.due_s[1:], np.inf)
    following[np.append(plan.topic[1:] != plan.topic[:-1], [True])] = np.inf
    shown = np.zeros(plan.topics)
    for i, one in enumerate(repeats):
        rows = first_receipts(one.cell.deliveries())[0]
        epoch_ns = one.cell.window.epoch_ns if one.cell.window else 0
        due_s, received_s = ((rows[name].to_numpy() - epoch_ns) / 1e9 for name in ("due_ns", "received_ns"))
        topic = rows["topic"].to_numpy() + i * one.cell.topics
        event = np.searchsorted(flat, topic * span + due_s + 1e-6, side="right") - 1  # ticks are filled in to the ns
        length_s = np.minimum(following[event], plan.end_s) - np.maximum(received_s, plan.start_s)
        shown += np.bincount(topic, weights=length_s.clip(0), minlength=plan.topics)
    return shown
