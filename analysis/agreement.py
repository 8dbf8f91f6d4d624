"""Theory beside measurement: do polling and long polling behave as the closed forms say, and how sure is that.

The rule it keeps: theory is the closed form's reasoning on the schedule that was realised (``analysis.realised``), and
beside it the plain closed form, which averages over all schedules. Where there is no such reasoning (policies that
adapt, one event an answer, the latest state) theory is the simulator's (``analysis.replay``), held to the same bar:
3 % of a latency, 0.01 of a ratio. Of the latest state two ratios are those of Bozdag, Mesbah & van Deursen (2009):
unique events among those received, and among those published.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from analysis import findings, forms, models, realised, replay
from analysis.findings import LATENCY_TOLERANCE, Delta, Finding, Groups, Key
from analysis.load import Cell, Run
from analysis.measured import Measured
from analysis.metrics import BY_NAME
from analysis.realised import Schedule
from analysis.uncertainty import estimate

# Options under which the closed reasoning holds: an answer carries everything pending, at an even pace.
PLAIN: tuple[tuple[str, Any], ...] = (
    ("polling.mode", "cursor"),
    ("polling.limit", 0),
    ("long_polling.limit", 0),
)


def agreement(run: Run, groups: Groups, replayed: Mapping[Key, Iterable[Finding]]) -> pd.DataFrame:
    """The table for every cell a model speaks of, in columns ``findings.COLUMNS``; latencies in ms.

    ``groups`` are the measured repeats of each cell that ``replay.speaks_of`` names, by ``(experiment, cell)``;
    ``replayed`` what the simulator found of them.
    """
    found = {}
    for key, repeats in groups.items():
        cell = repeats[0].cell
        if cell.role != "measure" or not all(len(one.latency.values) for one in repeats):
            continue
        if plain(cell):
            model = next(model for name, model in MODELS.items() if name in cell.settings)
            plan = findings.schedule_of(repeats, groups)
            found[key] = [*model(repeats, plan, findings.delta_of(run, cell, groups))] if plan is not None else []
        else:
            found[key] = [*_simulated(replayed.get(key, ()))]
    return findings.table(groups, found)


def plain(cell: Cell) -> bool:
    """Whether closed reasoning on the realised schedule speaks of this cell."""
    settings = cell.settings
    even = settings.get("polling.policy", "fixed_rate") in replay.PERIODS
    return even and all(settings.get(key, plain) == plain for key, plain in PLAIN)


def _simulated(found: Iterable[Finding]) -> Iterator[Finding]:
    """The simulator's findings, held to this table's bar."""
    found = list(found)
    of_a_state = any(one.quantity == "unique_published" for one in found)
    for one in found:
        if of_a_state and one.quantity == "empty_ratio":
            # what was received is unique when it is new: 304 says that it is not
            sides = {name: 1 - getattr(one, name) for name in ("theory", "closed_form", "measured")}
            yield replace(one, quantity="unique_received", **sides)
        else:
            yield replace(one, within=LATENCY_TOLERANCE)


def polling(repeats: list[Measured], plan: Schedule, delta: Delta | None) -> Iterable[Finding]:
    """Mean and p95 of delta + U(0, P), and the empty ratio of the realised schedule."""
    settings = repeats[0].cell.settings
    interval = float(settings["polling.interval_s"])
    period_of = replay.PERIODS[str(settings.get("polling.policy", "fixed_rate"))]
    period = float(period_of(interval, delta.round_trip_s if delta else 0.0))
    if delta:
        about, up, up_error_ms = _sent_up(repeats)
        transit_s = delta.mean_s + up
        for name, theory_s in (
            (f"{about}_ms_mean", models.polling_mean_s(period, transit_s)),
            (f"{about}_ms_p95", models.polling_quantile_s(0.95, period, transit_s)),
        ):
            found = estimate(BY_NAME[name], repeats)
            theory = float(theory_s) * 1e3
            error = float(np.linalg.norm((found.error, delta.mean_error_ms, up_error_ms)))
            yield Finding(name, "ms", theory, theory, found.value, error)
    expected = realised.Expected(realised.polling_answers(plan, period), np.empty(0), np.empty(0, np.int64))
    yield findings.empty(repeats, expected, float(forms.polling(settings, period, 0.0).empty_ratio))


def _sent_up(repeats: list[Measured]) -> tuple[str, float, float]:
    """The latency to predict, and what comes before the server has the event: its mean in s, its error in ms.

    Where subscribers publish, the way up is measured by itself, by the server's stamp, and the echo waits for a poll.
    """
    if not repeats[0].cell.publishes_upstream:
        return "delivery", 0.0, 0.0
    found = estimate(BY_NAME["upstream_ms_mean"], repeats)
    return "echo", found.value / 1e3, found.error


def long_polling(repeats: list[Measured], plan: Schedule, delta: Delta | None) -> Iterable[Finding]:
    """Mean, p95 and empty ratio of the cycles that the realised schedule makes."""
    settings = repeats[0].cell.settings
    gap = float(settings.get("long_polling.gap_s", 0))
    gap += delta.round_trip_s + delta.turnaround_s if delta else 0.0
    cycles = realised.long_polling(plan, float(settings["long_polling.hold_s"]), gap)
    closed = replay.closed_forms(settings, delta)
    if delta:
        for find, value in ((findings.mean, closed.mean_s), (findings.p95, closed.p95_s)):
            yield find(repeats, cycles, plan.topics, delta, float(value) * 1e3, within=LATENCY_TOLERANCE)
    yield findings.empty(repeats, cycles, float(closed.empty_ratio))


Model = Callable[[list[Measured], Schedule, Delta | None], Iterable[Finding]]
# Which model speaks of a cell: known by the setting it sweeps, not by the transport's name.
MODELS: Mapping[str, Model] = {
    "polling.interval_s": polling,
    "long_polling.hold_s": long_polling,
}
