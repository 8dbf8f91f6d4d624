"""Theory beside measurement: do polling and long polling behave as the closed forms say, and how sure is that.

The rule it keeps (METHODOLOGY rule 5): a prediction is made for the schedule that was realised, out of settings and of
delta from elsewhere (the reference cell of the experiment, or the floor), never fitted from the cell it predicts. Its
difference from the measurement is taken topic by topic, so the schedule's luck cancels; the half-width is three
standard errors, clustered by topic over repeats, delta's own included. An agreement counts only when the half-width is
within the tolerance: 3 % of a latency, 0.01 of a ratio.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import pandas as pd

from analysis import models, realised, simulate, statistic
from analysis.load import Cell, Run
from analysis.measured import TOPICS, Measured, first_receipts
from analysis.metrics import BY_NAME
from analysis.policies import POLICIES, Backoff, Jittered, Policy
from analysis.realised import Floats, Ints, Schedule
from analysis.statistic import Pooled
from analysis.uncertainty import deviation, estimate

LATENCY_TOLERANCE = 0.03
RATIO_TOLERANCE = 0.01
ERRORS = 3.0  # standard errors in a half-width

COLUMNS = (
    "experiment", "cell", "transport", "quantity", "unit", "theory", "closed_form", "measured", "half_width", "z",
    "tolerance", "verdict",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Delta:
    """One transit from elsewhere: samples in ms, ascending; errors of mean and p95; the client's turnaround in s."""

    samples_ms: Floats
    mean_error_ms: float
    p95_error_ms: float
    turnaround_s: float

    @property
    def mean_s(self) -> float:
        """Mean one-way transit, in s."""
        return float(self.samples_ms.mean()) / 1e3

    @property
    def round_trip_s(self) -> float:
        """RTT + service: two one-way transits (both ends are alike on one machine)."""
        return 2 * self.mean_s


@dataclass(frozen=True, slots=True)
class Finding:
    """One quantity: predicted for the realised schedule, by the plain closed form, measured; the difference's error."""

    quantity: str
    unit: str
    theory: float
    closed_form: float
    measured: float
    error: float

    @property
    def tolerance(self) -> float:
        """How far theory and measurement may be apart."""
        return LATENCY_TOLERANCE * abs(self.theory) if self.unit else RATIO_TOLERANCE

    @property
    def verdict(self) -> str:
        """``agrees``, ``differs``, or ``too noisy`` when the half-width is beyond the tolerance (or unknown)."""
        if not ERRORS * self.error <= self.tolerance:
            return "too noisy"
        return "agrees" if abs(self.measured - self.theory) <= self.tolerance else "differs"


def agreement(run: Run, groups: Mapping[tuple[str, str], list[Measured]]) -> pd.DataFrame:
    """The table for every cell a model speaks of, in columns ``COLUMNS``; latencies in ms.

    ``groups`` are the measured repeats of each cell that ``speaks_of`` names, by ``(experiment, cell)``.
    """
    rows = []
    for (experiment, name), repeats in groups.items():
        cell = repeats[0].cell
        if cell.role != "measure" or not all(len(one.latency.values) for one in repeats):
            continue
        model = next(model for key, model in MODELS.items() if key in cell.settings)
        references = [m for group in groups.values() for m in group if _is_reference(m.cell, cell)]
        for finding in model(repeats, _delta(run, cell, references)):
            half = ERRORS * finding.error
            z = (finding.measured - finding.theory) / finding.error if finding.error else np.nan
            rows.append((
                experiment, name, cell.transport, finding.quantity, finding.unit, finding.theory, finding.closed_form,
                finding.measured, half, z, finding.tolerance, finding.verdict,
            ))  # fmt: skip
    return pd.DataFrame(rows, columns=list(COLUMNS))


def speaks_of(cell: Cell) -> bool:
    """Whether a model speaks of this cell, or needs it: independent events, a topic each, plain options."""
    settings = cell.settings
    return (
        any(key in settings for key in MODELS)
        and settings.get("feed.schedule") in {"poisson", "bursty"}
        and float(settings.get("feed.rate_hz", 0)) > 0
        and cell.topics == cell.subscribers >= TOPICS
        and all(settings.get(key, plain) == plain for key, plain in PLAIN)
    )


# Options under which the forms hold: an answer carries everything pending, over a connection that stands.
PLAIN: tuple[tuple[str, Any], ...] = (
    ("polling.mode", "cursor"),
    ("polling.limit", 0),
    ("polling.keep_alive", True),
    ("long_polling.keep_alive", True),
)


def _is_reference(cell: Cell, of: Cell) -> bool:
    return cell.role == "reference" and (cell.experiment, cell.transport) == (of.experiment, of.transport)


def _delta(run: Run, cell: Cell, references: list[Measured]) -> Delta | None:
    """From the experiment's reference cells, else, for a poll, from the floor: half a round trip, its error unknown.

    A long poll's transit is a push under the experiment's own load, which no floor shows.
    """
    if references:
        pooled = statistic.pool(references, lambda m: m.latency)
        mean, p95 = (estimate(BY_NAME[name], references) for name in ("delivery_ms_mean", "delivery_ms_p95"))
        if len(pooled.ascending):
            return Delta(pooled.ascending, mean.error, p95.error, _turnaround_s(references))
    if "long_polling.hold_s" in cell.settings:
        return None
    round_trip_ms = run.floor.get(cell.transport, {}).get("round_trip_ms_p50")
    return None if round_trip_ms is None else Delta(np.array([round_trip_ms / 2]), 0.0, 0.0, 0.0)


def _turnaround_s(references: list[Measured]) -> float:
    """g: from an answer to the same subscriber's next request, the median; the reference has no gap of its own."""
    found = []
    for one in references:
        rows = one.cell.responses().sort_values(["subscriber", "started_ns"])
        same = rows["subscriber"].to_numpy()[1:] == rows["subscriber"].to_numpy()[:-1]
        found.append((rows["started_ns"].to_numpy()[1:] - rows["finished_ns"].to_numpy()[:-1])[same])
    turns = np.concatenate(found)
    return float(np.median(turns)) / 1e9 if len(turns) else 0.0


def _schedule(repeats: list[Measured]) -> Schedule:
    """The events of the whole feed as they were received: what a topic's subscriber was owed and when."""
    due, topic = [], []
    for i, one in enumerate(repeats):
        rows = first_receipts(one.cell.deliveries())[0].sort_values(["topic", "due_ns"])
        due.append((rows["due_ns"].to_numpy() - _epoch_ns(one)) / 1e9)
        topic.append(rows["topic"].to_numpy() + i * one.cell.topics)
    first, topics = repeats[0], repeats[0].cell.topics
    window = first.cell.window
    start, end = (
        (0.0, 0.0) if window is None else ((at - window.epoch_ns) / 1e9 for at in (window.from_ns, window.to_ns))
    )
    return Schedule(np.concatenate(due), np.concatenate(topic), topics * len(repeats), start, end)


def _if_poisson(settings: Mapping[str, Any], closed: float) -> float:
    """A closed form that speaks of Poisson events alone; NaN for others."""
    return closed if settings.get("feed.schedule") == "poisson" else np.nan


def _epoch_ns(one: Measured) -> int:
    return one.cell.window.epoch_ns if one.cell.window else 0


def polling(repeats: list[Measured], delta: Delta | None) -> Iterable[Finding]:
    """Mean and p95 of delta + U(0, P), and the empty ratio of the realised schedule."""
    settings = repeats[0].cell.settings
    if settings.get("polling.policy", "fixed_rate") not in PERIODS:
        yield from _adaptive(repeats, delta)
        return
    plan = _schedule(repeats)
    rate, interval = float(settings["feed.rate_hz"]), float(settings["polling.interval_s"])
    period_of = PERIODS[str(settings.get("polling.policy", "fixed_rate"))]
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
    answers = realised.polling_answers(plan, period)
    yield _empty(repeats, answers, _if_poisson(settings, float(models.polling_empty_ratio(rate, period))))


def _sent_up(repeats: list[Measured]) -> tuple[str, float, float]:
    """The latency to predict, and what comes before the server has the event: its mean in s, its error in ms.

    Where subscribers publish, the way up is measured by itself, by the server's stamp, and the echo waits for a poll.
    """
    if not repeats[0].cell.publishes_upstream:
        return "delivery", 0.0, 0.0
    found = estimate(BY_NAME["upstream_ms_mean"], repeats)
    return "echo", found.value / 1e3, found.error


def _adaptive(repeats: list[Measured], delta: Delta | None) -> Iterable[Finding]:
    """Mean, p95 and empty ratio as the simulator has them for the realised schedule, phases averaged out.

    The clients begin with the feed, as they do in a run. The closed form stands beside it where there is one.
    """
    settings, plan = repeats[0].cell.settings, _schedule(repeats)
    policy_of = POLICIES[str(settings["polling.policy"])]
    policy = policy_of(**{one.name: float(settings[f"polling.{one.name}"]) for one in fields(policy_of)})  # type: ignore[arg-type]
    lanes = _every(plan, realised.PHASES)
    outcome = simulate.pull(lanes, policy, simulate.Network(), np.random.default_rng(1), run_in_s=plan.start_s)
    by_topic = (counts.reshape(plan.topics, -1).sum(axis=1) / realised.PHASES for counts in outcome.answers)
    cycles = realised.LongPolling(realised.Answers(*by_topic), outcome.latency_s, outcome.lane // realised.PHASES)
    closed = _closed(policy, float(settings["feed.rate_hz"]), delta.mean_s if delta else 0.0)
    mean_s, p95_s, empty = (_if_poisson(settings, one) for one in closed)
    if delta:
        yield _mean(repeats, cycles, plan.topics, delta, mean_s * 1e3)
        yield _p95(repeats, cycles, plan.topics, delta, p95_s * 1e3)
    yield _empty(repeats, cycles.answers, empty)


def _every(plan: Schedule, times: int) -> Schedule:
    """Give every topic ``times`` clients, one lane each."""
    bounds = np.searchsorted(plan.topic, np.arange(plan.topics + 1))
    sizes = np.repeat(np.diff(bounds), times)
    first = np.repeat(bounds[:-1], times)
    event = np.arange(sizes.sum()) + np.repeat(first - (np.cumsum(sizes) - sizes), sizes)
    lane = np.repeat(np.arange(plan.topics * times), sizes)
    return plan._replace(due_s=plan.due_s[event], topic=lane, topics=plan.topics * times)


def _closed(policy: Policy, rate_hz: float, delta_s: float) -> tuple[float, float, float]:
    """Mean, p95 (s) and empty ratio by the closed form for Poisson events; NaN where there is none."""
    match policy:
        case Jittered(interval_s=interval_s, jitter=jitter) if jitter:
            return (
                float(models.jittered_polling_mean_s(interval_s, jitter, delta_s)),
                models.jittered_polling_quantile_s(0.95, interval_s, jitter, delta_s),
                float(models.jittered_polling_empty_ratio(rate_hz, interval_s, jitter)),
            )
        case Backoff(interval_s=first_s, factor=factor, longest_s=longest_s):
            found = models.backoff_polling(rate_hz, first_s, factor, longest_s, delta_s)
            p95_s = models.backoff_polling_quantile_s(0.95, rate_hz, first_s, factor, longest_s, delta_s=delta_s)
            return found.mean_s, p95_s, found.empty_ratio
    return np.nan, np.nan, np.nan


def long_polling(repeats: list[Measured], delta: Delta | None) -> Iterable[Finding]:
    """Mean, p95 and empty ratio of the cycles that the realised schedule makes."""
    settings, plan = repeats[0].cell.settings, _schedule(repeats)
    rate, hold = float(settings["feed.rate_hz"]), float(settings["long_polling.hold_s"])
    gap = float(settings.get("long_polling.gap_s", 0))
    gap += delta.round_trip_s + delta.turnaround_s if delta else 0.0
    cycles = realised.long_polling(plan, hold, gap)
    if delta:
        closed = float(models.long_polling_mean_s(rate, hold, gap, delta.mean_s)) * 1e3
        yield _mean(repeats, cycles, plan.topics, delta, _if_poisson(settings, closed))
        closed = float(models.long_polling_quantile_s(0.95, rate, hold, gap, 0.0)) * 1e3
        closed += statistic.quantile(delta.samples_ms, 0.95) if closed == 0 else delta.mean_s * 1e3
        yield _p95(repeats, cycles, plan.topics, delta, _if_poisson(settings, closed))
    empty = float(models.long_polling_empty_ratio(rate, hold, gap))
    yield _empty(repeats, cycles.answers, _if_poisson(settings, empty))


def _residual(over: Floats, under: Floats) -> Floats:
    """A - R B by cluster, R = sum A / sum B: what a cluster adds to the ratio's error."""
    total = under.sum()
    return over - (over.sum() / total if total else np.nan) * under


def _empty(repeats: list[Measured], expected: realised.Answers, closed: float) -> Finding:
    over = np.concatenate([one.empty for one in repeats])
    under = np.concatenate([one.responses for one in repeats])
    repeat = np.repeat(np.arange(len(repeats)), [len(one.responses) for one in repeats])
    base = float(under.sum())
    # Both ratios see the same schedule: what they have in common by topic leaves the difference's error.
    share = base / expected.responses.sum()
    error = deviation(
        _residual(over, under) - share * _residual(expected.empty, expected.responses), repeat, base
    ).error
    theory = float(expected.empty.sum() / expected.responses.sum())
    return Finding("empty_ratio", "", theory, closed, float(over.sum() / base) if base else np.nan, error)


def _mean(repeats: list[Measured], cycles: realised.LongPolling, topics: int, delta: Delta, closed: float) -> Finding:
    pooled = statistic.pool(repeats, lambda m: m.latency)
    over, under = _sums(pooled.cluster, pooled.ascending, topics)
    waited, events = _sums(cycles.topic, cycles.wait_s * 1e3, topics)
    expected = _residual(waited, events) * (under.sum() / events.sum())
    error = deviation(_residual(over, under) - expected, pooled.repeat, float(under.sum())).error
    theory = delta.mean_s * 1e3 + float(cycles.wait_s.mean()) * 1e3
    return Finding(
        "delivery_ms_mean",
        "ms",
        theory,
        closed,
        float(pooled.ascending.mean()),
        float(np.hypot(error, delta.mean_error_ms)),
    )


def _p95(repeats: list[Measured], cycles: realised.LongPolling, topics: int, delta: Delta, closed: float) -> Finding:
    """Latency is a transit plus a wait (0 for a held request): theory is the quantile of that mixture."""
    pooled = statistic.pool(repeats, lambda m: m.latency)
    wait_ms = cycles.wait_s * 1e3

    def below(at_ms: float) -> Floats:
        return np.searchsorted(delta.samples_ms, at_ms - wait_ms, side="right") / len(delta.samples_ms)

    shortest, longest = float(delta.samples_ms[0]), float(wait_ms.max() + delta.samples_ms[-1])
    theory = _crossing(lambda at: float(below(at).mean()), 0.95, shortest, longest)
    under_theory, events = _sums(cycles.topic, below(theory), topics)
    measured = _share_below(pooled, theory, topics)
    count = np.bincount(pooled.cluster, minlength=topics).astype(np.float64)
    expected = _residual(under_theory, events) * (count.sum() / events.sum())
    n = len(pooled.ascending)
    error = deviation(_residual(measured, count) - expected, pooled.repeat, float(n)).error
    # Theory's quantile is a point of its distribution, so the measured one is too (no interpolation). Both come from
    # the same few events, so the one may fall on an event and the other on its neighbour: a share of 1/n more.
    share = float(np.hypot(error, 1 / n))
    value = float(np.quantile(pooled.ascending, 0.95, method="inverted_cdf"))
    low, high = (statistic.quantile(pooled.ascending, 0.95 + way * share) for way in (-1, 1))
    error = float(np.hypot((high - low) / 2, delta.p95_error_ms))
    return Finding("delivery_ms_p95", "ms", theory, closed, value, error)


def _sums(cluster: Ints, values: Floats, topics: int) -> tuple[Floats, Floats]:
    sums = np.bincount(cluster, weights=values, minlength=topics).astype(np.float64)
    return sums, np.bincount(cluster, minlength=topics).astype(np.float64)


def _share_below(pooled: Pooled, at: float, topics: int) -> Floats:
    under = np.searchsorted(pooled.ascending, at, side="right")
    return np.bincount(pooled.cluster[:under], minlength=topics).astype(np.float64)


def _crossing(share: Callable[[float], float], q: float, low: float, high: float) -> float:
    """Where an ascending share reaches q, by bisection."""
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if share(middle) < q else (low, middle)
    return high


PERIODS: Mapping[str, Callable[[Any, Any], Any]] = {
    "fixed_rate": models.fixed_rate_period_s,
    "fixed_delay": models.fixed_delay_period_s,
}
# Which model speaks of a cell: known by the setting it sweeps, not by the transport's name.
MODELS: Mapping[str, Callable[[list[Measured], Delta | None], Iterable[Finding]]] = {
    "polling.interval_s": polling,
    "long_polling.hold_s": long_polling,
}
