"""What a model expects beside what was measured, quantity by quantity, with the error of the difference.

The rule it keeps (METHODOLOGY rule 5): a prediction is made for the schedule that was realised, out of settings and of
delta from elsewhere (the reference cell of the experiment, or the floor), never fitted from the cell it predicts. Its
difference from the measurement is taken topic by topic, so the schedule's luck cancels; the half-width is three
standard errors, clustered by topic over repeats, delta's own included. An agreement counts only when the half-width is
within the tolerance.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis import statistic
from analysis.load import Cell, Run
from analysis.measured import Measured, first_receipts
from analysis.metrics import BY_NAME
from analysis.realised import Expected, Floats, Ints, Schedule
from analysis.statistic import Pooled
from analysis.uncertainty import deviation, estimate

LATENCY_TOLERANCE = 0.03
RATIO_TOLERANCE = 0.01
ERRORS = 3.0  # standard errors in a half-width

COLUMNS = (
    "experiment", "cell", "transport", "quantity", "unit", "theory", "closed_form", "measured", "half_width", "z",
    "tolerance", "verdict",
)  # fmt: skip

Key = tuple[str, str]  # experiment, cell
Groups = Mapping[Key, list[Measured]]


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
    """One quantity: predicted for the realised schedule, by the plain closed form, measured; the difference's error.

    ``within``: how far a latency may be from theory, as a share of it.
    """

    quantity: str
    unit: str
    theory: float
    closed_form: float
    measured: float
    error: float
    within: float = LATENCY_TOLERANCE

    @property
    def tolerance(self) -> float:
        """How far theory and measurement may be apart."""
        return self.within * abs(self.theory) if self.unit else RATIO_TOLERANCE

    @property
    def verdict(self) -> str:
        """``agrees``, ``differs``, or ``too noisy`` when the half-width is beyond the tolerance (or unknown).

        What is apart by more than both together differs, however noisy.
        """
        half, apart = ERRORS * self.error, abs(self.measured - self.theory)
        if not half <= self.tolerance:
            return "differs" if apart > half + self.tolerance else "too noisy"
        return "agrees" if apart <= self.tolerance else "differs"


def table(groups: Groups, found: Mapping[Key, Iterable[Finding]]) -> pd.DataFrame:
    """The findings of each cell as rows in columns ``COLUMNS``; latencies in ms."""
    rows = []
    for (experiment, name), findings in found.items():
        transport = groups[experiment, name][0].cell.transport
        for one in findings:
            z = (one.measured - one.theory) / one.error if one.error else np.nan
            rows.append((
                experiment, name, transport, one.quantity, one.unit, one.theory, one.closed_form, one.measured,
                ERRORS * one.error, z, one.tolerance, one.verdict,
            ))  # fmt: skip
    return pd.DataFrame(rows, columns=list(COLUMNS))


# What is taken from elsewhere ---------------------------------------------------------------------------------


def delta_of(run: Run, cell: Cell, groups: Groups) -> Delta | None:
    """From the experiment's reference cells, else, for a poll, from the floor: half a round trip, its error unknown.

    A long poll's transit is a push under the experiment's own load, which no floor shows.
    """
    references = [m for group in groups.values() for m in group if _is_reference(m.cell, cell)]
    if references:
        pooled = statistic.pool(references, lambda m: m.latency)
        mean, p95 = (estimate(BY_NAME[name], references) for name in ("delivery_ms_mean", "delivery_ms_p95"))
        if len(pooled.ascending):
            return Delta(pooled.ascending, mean.error, p95.error, _turnaround_s(references))
    if "long_polling.hold_s" in cell.settings:
        return None
    round_trip_ms = run.floor.get(cell.transport, {}).get("round_trip_ms_p50")
    return None if round_trip_ms is None else Delta(np.array([round_trip_ms / 2]), 0.0, 0.0, 0.0)


def _is_reference(cell: Cell, of: Cell) -> bool:
    return cell.role == "reference" and (cell.experiment, cell.transport) == (of.experiment, of.transport)


def _turnaround_s(references: list[Measured]) -> float:
    """g: from an answer to the same subscriber's next request, the median; the reference has no gap of its own."""
    found = []
    for one in references:
        rows = one.cell.responses().sort_values(["subscriber", "started_ns"])
        same = rows["subscriber"].to_numpy()[1:] == rows["subscriber"].to_numpy()[:-1]
        found.append((rows["started_ns"].to_numpy()[1:] - rows["finished_ns"].to_numpy()[:-1])[same])
    turns = np.concatenate(found)
    return float(np.median(turns)) / 1e9 if len(turns) else 0.0


# The schedule that was realised -------------------------------------------------------------------------------


def schedule_of(repeats: list[Measured], groups: Groups) -> Schedule | None:
    """The events of the whole feed: what a topic's subscriber was owed and when; None when nobody saw all of them.

    A poller of the latest state did not: ticks are filled in, any other schedule is taken from all cells of the same
    feed (same seed, same offsets: METHODOLOGY rule 5), of which one must have seen everything that was due.
    """
    cell = repeats[0].cell
    alike = [repeats]
    if _latest(cell) and cell.settings["feed.schedule"] != "constant":
        alike = [group for group in groups.values() if _same_feed(group[0].cell, cell) and len(group) == len(repeats)]
        if not any(not _latest(m.cell) and m.faults.lost == 0 for group in alike for m in group):
            return None
    due, topic = [], []
    for i in range(len(repeats)):
        due_s, of_topic = _union([_due(group[i]) for group in alike])
        due.append(due_s)
        topic.append(of_topic + i * cell.topics)
    start, end = (
        (0.0, 0.0)
        if cell.window is None
        else ((at - cell.window.epoch_ns) / 1e9 for at in (cell.window.from_ns, cell.window.to_ns))
    )
    return Schedule(np.concatenate(due), np.concatenate(topic), cell.topics * len(repeats), start, end)


def _latest(cell: Cell) -> bool:
    return cell.settings.get("polling.mode") == "latest"


def _same_feed(a: Cell, b: Cell) -> bool:
    """Whether two cells were fed the same events, each topic to a subscriber of its own."""
    feed = [name for name in (*a.settings, *b.settings) if name.startswith("feed.")]
    alike = all(a.settings.get(name) == b.settings.get(name) for name in feed)
    return alike and a.experiment == b.experiment and a.topics == b.topics


def _due(one: Measured) -> tuple[Floats, Ints]:
    """Due times (s, since the epoch) and topics of what a cell received; of ticks, also of those it did not see."""
    rows = first_receipts(one.cell.deliveries())[0].sort_values(["topic", "due_ns"])
    epoch_ns = one.cell.window.epoch_ns if one.cell.window else 0
    if not _latest(one.cell) or one.cell.settings["feed.schedule"] != "constant":
        return (rows["due_ns"].to_numpy() - epoch_ns) / 1e9, rows["topic"].to_numpy()
    last = rows.groupby("topic").agg(due_ns=("due_ns", "max"), seq=("seq", "max"))
    count = last["seq"].to_numpy()
    back = np.repeat(np.cumsum(count), count) - 1 - np.arange(count.sum())  # ticks before the topic's last
    due_s = np.repeat((last["due_ns"].to_numpy() - epoch_ns) / 1e9, count)
    return due_s - back / float(one.cell.settings["feed.rate_hz"]), np.repeat(last.index.to_numpy(), count)


def _union(seen: list[tuple[Floats, Ints]]) -> tuple[Floats, Ints]:
    """Every event once, by topic and time."""
    if len(seen) == 1:
        return seen[0]
    due_s, topic = (np.concatenate(parts) for parts in zip(*seen, strict=True))
    order = np.lexsort((due_s, topic))
    due_s, topic = due_s[order], topic[order]
    fresh = np.append([True], (np.diff(due_s) > 1e-6) | (np.diff(topic) > 0))
    return due_s[fresh], topic[fresh]


# One quantity, topic by topic ---------------------------------------------------------------------------------


def ratio(
    quantity: str,
    measured: tuple[Floats, Floats],
    expected: tuple[Floats, Floats],
    repeats: list[Measured],
    closed: float,
) -> Finding:
    """A ratio of two sums by topic, measured and expected.

    Both see the same schedule: what they have in common by topic leaves the difference's error.
    """
    over, under = measured
    repeat = np.repeat(np.arange(len(repeats)), len(over) // len(repeats))
    base = float(under.sum())
    share = base / expected[1].sum()
    error = deviation(_residual(over, under) - share * _residual(*expected), repeat, base).error
    theory = float(expected[0].sum() / expected[1].sum())
    return Finding(quantity, "", theory, closed, float(over.sum() / base) if base else np.nan, error)


def empty(repeats: list[Measured], expected: Expected, closed: float) -> Finding:
    """The empty-response ratio."""
    over = np.concatenate([one.empty for one in repeats])
    under = np.concatenate([one.responses for one in repeats])
    answers = expected.answers
    return ratio("empty_ratio", (over, under), (answers.empty, answers.responses), repeats, closed)


def mean(
    repeats: list[Measured], expected: Expected, topics: int, delta: Delta, closed: float, *, within: float
) -> Finding:
    """Mean delivery latency: a transit and the mean wait."""
    pooled = statistic.pool(repeats, lambda m: m.latency)
    over, under = sums(pooled.cluster, pooled.ascending, topics)
    waited, events = sums(expected.topic, expected.wait_s * 1e3, topics)
    owed = _residual(waited, events) * (under.sum() / events.sum())
    error = deviation(_residual(over, under) - owed, pooled.repeat, float(under.sum())).error
    theory = delta.mean_s * 1e3 + float(expected.wait_s.mean()) * 1e3
    value = float(pooled.ascending.mean())
    error = float(np.hypot(error, delta.mean_error_ms))
    return Finding("delivery_ms_mean", "ms", theory, closed, value, error, within)


def p95(
    repeats: list[Measured], expected: Expected, topics: int, delta: Delta, closed: float, *, within: float
) -> Finding:
    """Latency is a transit plus a wait (0 for a held request): theory is the quantile of that mixture."""
    pooled = statistic.pool(repeats, lambda m: m.latency)
    wait_ms = expected.wait_s * 1e3

    def below(at_ms: float) -> Floats:
        return np.searchsorted(delta.samples_ms, at_ms - wait_ms, side="right") / len(delta.samples_ms)

    waited = float(np.quantile(wait_ms, 0.95, method="inverted_cdf"))
    shortest, longest = waited + float(delta.samples_ms[0]), waited + float(delta.samples_ms[-1])
    theory = _crossing(lambda at: float(below(at).mean()), 0.95, shortest, longest)
    under_theory, events = sums(expected.topic, below(theory), topics)
    measured = _share_below(pooled, theory, topics)
    count = np.bincount(pooled.cluster, minlength=topics).astype(np.float64)
    owed = _residual(under_theory, events) * (count.sum() / events.sum())
    n = len(pooled.ascending)
    error = deviation(_residual(measured, count) - owed, pooled.repeat, float(n)).error
    # Theory's quantile is a point of its distribution, so the measured one is too (no interpolation). Both come from
    # the same few events, so the one may fall on an event and the other on its neighbour: a share of 1/n more.
    share = float(np.hypot(error, 1 / n))
    value = float(np.quantile(pooled.ascending, 0.95, method="inverted_cdf"))
    low, high = (statistic.quantile(pooled.ascending, 0.95 + way * share) for way in (-1, 1))
    error = float(np.hypot((high - low) / 2, delta.p95_error_ms))
    return Finding("delivery_ms_p95", "ms", theory, closed, value, error, within)


def sums(cluster: Ints, values: Floats, topics: int) -> tuple[Floats, Floats]:
    """The sum of ``values`` and their number, by topic."""
    added = np.bincount(cluster, weights=values, minlength=topics).astype(np.float64)
    return added, np.bincount(cluster, minlength=topics).astype(np.float64)


def _residual(over: Floats, under: Floats) -> Floats:
    """A - R B by cluster, R = sum A / sum B: what a cluster adds to the ratio's error."""
    total = under.sum()
    return over - (over.sum() / total if total else np.nan) * under


def _share_below(pooled: Pooled, at: float, topics: int) -> Floats:
    under = np.searchsorted(pooled.ascending, at, side="right")
    return np.bincount(pooled.cluster[:under], minlength=topics).astype(np.float64)


def _crossing(share: Callable[[float], float], q: float, low: float, high: float) -> float:
    """Where an ascending share reaches q, by bisection, to a millionth."""
    while high - low > 1e-6 * abs(high):
        middle = (low + high) / 2
        low, high = (middle, high) if share(middle) < q else (low, middle)
    return high
