"""Was the tuner right? Recommended settings that were run for real, amid a grid of others, as claims that hold or not.

An experiment with a table ``[tuned]`` (run.json has it) was written by the tuner: it says what was asked and what was
recommended, in the asker's time, and by which scale its own seconds are shorter. A claim is one transport's setting.
The rules it keeps:

1. A goal is met when the measured interval reaches it: the lower end of the p95 is at or below the goal. The intervals
   are 95 % for all claims of a run together (Bonferroni), or of twelve right settings one would be wrong by chance in
   every fourth run. A p95 known no better than to 3 % of the goal claims nothing (METHODOLOGY rule 5), nor does a cell
   that is not ``ok`` (rule 8).
2. The setting's cost, measured, is at most 5 % above that of the cheapest setting of the grid that may meet the goal
   too and is safe. The same lenient end decides about the rivals, which makes it harder for the recommended one.
3. Two costs are looked at: requests, which are counted, and the price of server CPU and of bytes sent. CPU alone
   repeats to some per cent; a straight line in requests through the grid takes that out, as ``analysis.costs`` does.
4. The transit of loopback (the run's floor) stands in for the asker's: the one is taken off, the other is put on.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any, Self

import numpy as np
from scipy import stats

from analysis import models
from analysis.demand import HEADER_BYTES, PRICES
from analysis.errors import BadRunError
from analysis.load import Cell
from analysis.prose import Estimate
from analysis.results import Results

TOLERANCE = 0.05  # how much dearer than the best of the grid a recommended setting may be
SHARP = 0.03  # of the goal: a p95 with a wider interval (half of it) claims nothing
SAME = 1e-4  # settings are written with six digits
HOLDS, MEETS = "holds", "meets the goal"
ALONE = f"{MEETS}; no grid beside it"


@dataclass(frozen=True, slots=True)
class Question:
    """What the tuner was asked, in the asker's time: a table ``[tuned]`` without what it recommends."""

    rate_hz: float
    p95_s: float
    scale: float = 1.0
    transit_s: float = 0.0
    round_trip_s: float = 0.0

    @classmethod
    def of(cls, table: Mapping[str, Any], where: str) -> Self:
        """Read a table of run.json. Raises BadRunError."""
        known = {one.name: table[one.name] for one in fields(cls) if one.name in table}
        try:
            found = cls(**{name: float(value) for name, value in known.items()})
        except (TypeError, ValueError):
            found = None
        if found is None or not all(value > 0 for value in (found.rate_hz, found.p95_s, found.scale)):
            raise BadRunError(f"{where}: tuned = {dict(table)}, expected numbers: rate_hz, p95_s and scale above 0")
        return found


@dataclass(frozen=True, slots=True)
class Expected:
    """What the closed forms say of a setting, in the asker's time: p95, empty ratio, requests/s of one client."""

    p95_s: float
    empty_ratio: float
    requests_hz: float


@dataclass(frozen=True, slots=True)
class Point:
    """One setting of the grid as measured, in the asker's time.

    ``share`` is of the recommended setting; ``requests_hz`` and ``hourly`` (CPU and bytes at the tuner's prices) are of
    one client; ``safe``: no longer than the longest hold that is.
    """

    cell: str
    setting_s: float
    share: float
    safe: bool
    status: str
    p95_s: Estimate
    empty_ratio: Estimate
    requests_hz: float
    hourly: float

    @property
    def counts(self) -> bool:
        """Whether anything may be concluded from it."""
        return self.status == "ok" and self.p95_s.known and self.requests_hz > 0

    def meets(self, goal_s: float) -> bool:
        """Whether its interval reaches the goal; without an interval, whether its value does."""
        return (self.p95_s.low if math.isfinite(self.p95_s.low) else self.p95_s.value) <= goal_s


@dataclass(frozen=True, slots=True)
class Knob:
    """A setting that is tuned: of which transport, its dotted key, its name in ``[tuned]``, in words, and its model."""

    transport: str
    key: str
    recommended: str
    word: str


KNOBS = (
    Knob("polling", "polling.interval_s", "interval_s", "interval"),
    Knob("long_polling", "long_polling.hold_s", "hold_s", "hold"),
)


@dataclass(frozen=True, slots=True)
class Claim:
    """A recommended setting, what was expected of it, and the grid around it by ascending setting."""

    experiment: str
    label: str
    knob: Knob
    question: Question
    recommended_s: float
    most_s: float
    expected: Expected
    points: tuple[Point, ...]

    @property
    def point(self) -> Point | None:
        """The recommended setting as measured."""
        return next((one for one in self.points if abs(one.share - 1) <= SAME), None)

    @property
    def drawable(self) -> bool:
        """Whether there is a grid of which something was measured, soundly or not."""
        return len(self.points) > 1 and any(one.p95_s.known for one in self.points)

    @property
    def best(self) -> Point | None:
        """The setting with the fewest requests among those that are safe and may meet the goal."""
        fit = [one for one in self.points if one.counts and one.safe and one.meets(self.question.p95_s)]
        return min(fit, key=lambda one: one.requests_hz, default=None)

    @property
    def requests_over(self) -> float:
        """By what share the requests are more than the best one's; NaN where nothing is to be compared."""
        if self.point is None or self.best is None or not self.point.counts:
            return math.nan
        return self.point.requests_hz / self.best.requests_hz - 1

    @property
    def price_over(self) -> float:
        """The same of the price, read off the line; NaN where CPU or bytes were not measured."""
        if self.point is None or self.best is None or not self.point.counts:
            return math.nan
        slope, intercept, _ = self.line
        mine, theirs = (intercept + slope * one.requests_hz for one in (self.point, self.best))
        return mine / theirs - 1 if theirs > 0 else math.nan

    @property
    def line(self) -> tuple[float, float, float]:
        """The price of an hour as a straight line in requests/s: slope, intercept, and how far cells lie off it."""
        known = [(one.requests_hz, one.hourly) for one in self.points if one.counts and math.isfinite(one.hourly)]
        if len(known) < 3:
            return math.nan, math.nan, math.nan
        x, y = np.array(known).T
        slope, intercept = (float(one) for one in np.polyfit(x, y, 1))
        off = (y - intercept - slope * x) / y.mean()
        return slope, intercept, float(np.sqrt((off**2).sum() / max(1, len(x) - 2)))

    @property
    def longer_saves(self) -> float:
        """What share of the requests the longest setting measured saves, safe and in time or not; NaN if none."""
        longer = [one for one in self.points if one.counts and one.share > 1 + SAME]
        if not longer or self.point is None or not self.point.counts:
            return math.nan
        return 1 - longer[-1].requests_hz / self.point.requests_hz

    @property
    def holds(self) -> bool:
        """Whether the claim stands, as far as the run can tell."""
        return self.verdict in {HOLDS, ALONE}

    @property
    def verdict(self) -> str:
        """``holds``, or in a few words why not."""
        one, goal_s = self.point, self.question.p95_s
        if one is None:
            return "not measured"
        if one.status != "ok":
            return one.status.partition(";")[0]
        if not one.counts:
            return "not measured"
        if self.recommended_s > self.most_s * (1 + SAME):
            return f"longer than the {self.most_s:.3g} s that are safe"
        if not one.p95_s.half <= SHARP * goal_s:
            return "too noisy"
        if not one.meets(goal_s):
            return f"misses the goal: p95 {100 * (one.p95_s.value / goal_s - 1):+.1f} %"
        if len(self.points) == 1:
            return ALONE
        if gap := self._untested:
            return gap
        for what, over in (("requests", self.requests_over), ("price", self.price_over)):
            if over > TOLERANCE:
                assert self.best is not None  # noqa: S101  a point that meets the goal is among them
                return f"dear: {what} {100 * over:+.1f} % against {self.best.setting_s:.4g} s"
        return HOLDS

    @property
    def _untested(self) -> str:
        """Why the grid cannot say that the setting is the best: nothing longer, or shorter, is next to it."""
        sound = [one.share for one in self.points if one.counts and one.safe]
        if not any(share > 1 + SAME for share in sound) and self.recommended_s < self.most_s * (1 - SAME):
            return "no longer setting was measured"
        return "" if any(share < 1 - SAME for share in sound) else "no shorter setting was measured"


@dataclass(frozen=True, slots=True)
class _Of:
    """What a point belongs to; ``wider`` is by how much intervals are, for there are several claims."""

    question: Question
    knob: Knob
    recommended_s: float
    most_s: float
    wider: float


def claims(results: Results) -> tuple[Claim, ...]:
    """Every recommended setting of the run, by event rate and goal. Raises BadRunError."""
    asked = list(_asked(results))
    wider = float(stats.norm.ppf(1 - 0.025 / max(1, len(asked))) / stats.norm.ppf(0.975))
    found = [_claim(results, *one, wider=wider) for one in asked]
    return tuple(sorted(found, key=lambda one: (KNOBS.index(one.knob), one.question.rate_hz, one.question.p95_s)))


def _asked(results: Results) -> Iterator[tuple[str, Question, Knob, Mapping[str, Any]]]:
    """Every recommendation there is: its experiment, what was asked, the setting, and the table it stands in."""
    for name, about in results.run.experiments.items():
        table = about.get("tuned")
        if isinstance(table, Mapping) and table:
            question = Question.of(table, f"{results.run.folder}: {name}")
            yield from ((name, question, knob, table) for knob in KNOBS if _number(table.get(knob.recommended)) > 0)


def _claim(
    results: Results, name: str, question: Question, knob: Knob, table: Mapping[str, Any], *, wider: float
) -> Claim:
    recommended_s = _number(table[knob.recommended])
    most_s = _number(table.get(f"{knob.recommended.removesuffix('_s')}_most_s"))
    most_s = most_s if most_s > 0 else math.inf
    cells = {one.cell: one for one in results.run.cells if one.experiment == name and _turns(one, knob)}
    rows = results.cells[(results.cells["experiment"] == name) & (results.cells["role"] == "measure")]
    points = [
        _point(results, cells[row["cell"]], row, _Of(question, knob, recommended_s, most_s, wider))
        for row in rows.to_dict("records")
        if row["cell"] in cells
    ]
    points.sort(key=lambda one: one.setting_s)
    expected = EXPECTED[knob.transport](question, recommended_s)
    label = results.run.label(knob.transport)
    return Claim(name, label, knob, question, recommended_s, most_s, expected, tuple(points))


def _turns(cell: Cell, knob: Knob) -> bool:
    """Whether the cell is one of the knob's: of its transport, and no policy that turns it by itself."""
    fixed = cell.settings.get("polling.policy", "fixed_rate") == "fixed_rate"
    return cell.transport == knob.transport and fixed and knob.key in cell.settings


def _point(results: Results, cell: Cell, row: Mapping[Any, Any], of: _Of) -> Point:
    scale = of.question.scale
    setting_s = _number(cell.settings[of.knob.key]) * scale
    floor_s = _number(results.run.floor.get(cell.transport, {}).get("transit_ms_p50")) / 1e3
    ours_s = floor_s if math.isfinite(floor_s) else 0.0
    p95 = _widened(Estimate.of(row, "delivery_ms_p95").scaled(scale / 1e3), of.wider)
    shift_s = of.question.transit_s - scale * ours_s
    window_s = _number(row["repeats"]) * _number(cell.settings.get("load.measure_s"))
    clients = cell.subscribers * window_s * scale
    return Point(
        cell=cell.cell, setting_s=setting_s, share=setting_s / of.recommended_s,
        safe=setting_s <= of.most_s * (1 + SAME),
        status=str(row["status"]),
        p95_s=Estimate(p95.value + shift_s, p95.low + shift_s, p95.high + shift_s),
        empty_ratio=_widened(Estimate.of(row, "empty_ratio"), of.wider),
        requests_hz=_number(row["responses"]) / clients if clients else math.nan,
        hourly=_hourly(row) / clients if clients else math.nan,
    )  # fmt: skip


def _widened(one: Estimate, by: float) -> Estimate:
    return Estimate(one.value, one.value - by * (one.value - one.low), one.value + by * (one.high - one.value))


def _hourly(row: Mapping[Any, Any]) -> float:
    """The price of an hour times the window's length in s: server CPU, and bytes sent with their headers."""
    each = _number(row["requests_per_event"])
    received = _number(row["responses"]) / each if each else math.nan  # as the metrics below divide by it
    sent = _number(row["bytes_down_per_event"]) + HEADER_BYTES / 2 * _number(row["segments_per_event"])
    cpu_s = _number(row["server_cpu_us_per_delivery"]) / 1e6
    return received * (cpu_s * PRICES.core_hour + sent * 3600 / 1e9 * PRICES.gb_sent)


def _number(value: Any) -> float:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else math.nan


def _polled(question: Question, interval_s: float) -> Expected:
    period_s = float(models.fixed_rate_period_s(interval_s, question.round_trip_s))
    p95_s = float(models.polling_quantile_s(0.95, period_s, question.transit_s))
    return Expected(p95_s, float(models.polling_empty_ratio(question.rate_hz, period_s)), 1 / period_s)


def _held(question: Question, hold_s: float) -> Expected:
    rate, gap = question.rate_hz, question.round_trip_s
    return Expected(
        float(models.long_polling_quantile_s(0.95, rate, hold_s, gap, question.transit_s)),
        float(models.long_polling_empty_ratio(rate, hold_s, gap)),
        1 / float(models.long_polling_cycle_s(rate, hold_s, gap)),
    )


EXPECTED = {"polling": _polled, "long_polling": _held}
"""The model of each knob, by its transport."""
