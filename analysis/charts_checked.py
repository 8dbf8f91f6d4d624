"""The checks of the worked notebooks: the formulas and the costs that an answer rests on, beside what was measured.

The rule it keeps: points are a run's cells with their intervals, hollow where a cell is not ``ok``; formulas take
nothing from the cells they are drawn through (one transit is the reference cell's or the floor's). A reader's own
setting is a ring on the same axes, for the forms depend on a product alone: of rate and interval, or of rate and hold.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from analysis import models, style
from analysis.costs import Costs
from analysis.drawn import Drawn
from analysis.findings import LATENCY_TOLERANCE
from analysis.frames import Frames, Row, cell_name, from_server, known, ok, plain_text, real, rows
from analysis.load import Cell
from analysis.prose import Estimate, number
from analysis.replay import speaks_of
from analysis.results import Results
from analysis.tune_charts import ring

LEAST_MS = 1.0  # latencies below belong to the instrument
STATISTICS = ("delivery_ms_mean", "delivery_ms_p95")


@dataclass(frozen=True, slots=True)
class Predicted:
    """What the forms say of a cell: ``expected`` events within a question's period, mean and p95 in ms."""

    expected: float
    latency_ms: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Point:
    """A cell beside its prediction."""

    name: str
    good: bool
    predicted: Predicted
    row: Row

    def ratios(self) -> Iterator[tuple[str, Estimate]]:
        """Measured over predicted, of each latency that is more than the instrument's own."""
        for column, theory in self.predicted.latency_ms.items():
            if theory >= LEAST_MS:
                yield column, Estimate.of(self.row, column).scaled(1 / theory)


def _of_polling(settings: Mapping[str, Any], delta_s: float) -> Predicted:
    period = float(models.fixed_rate_period_s(float(settings["polling.interval_s"]), 2 * delta_s))
    mean, p95 = models.polling_mean_s(period, delta_s), models.polling_quantile_s(0.95, period, delta_s)
    return Predicted(
        float(settings["feed.rate_hz"]) * period,
        dict(zip(STATISTICS, (1e3 * float(mean), 1e3 * float(p95)), strict=True)),
    )


def _of_long_polling(settings: Mapping[str, Any], delta_s: float) -> Predicted:
    rate, hold = float(settings["feed.rate_hz"]), float(settings["long_polling.hold_s"])
    gap = float(settings.get("long_polling.gap_s", 0.0)) + 2 * delta_s
    mean = float(models.long_polling_mean_s(rate, hold, gap, delta_s))
    p95 = float(models.long_polling_quantile_s(0.95, rate, hold, gap, delta_s))
    return Predicted(rate * (gap + hold), dict(zip(STATISTICS, (1e3 * mean, 1e3 * p95), strict=True)))


# By transport: what predicts it, and the product its empty answers depend on, in words.
FORMS: Mapping[str, tuple[Callable[[Mapping[str, Any], float], Predicted], str]] = {
    "polling": (_of_polling, "events expected within an interval"),
    "long_polling": (_of_long_polling, "events expected within a hold and the gap behind it"),
}


def points(results: Results, transport: str) -> list[Point]:
    """The cells of a run that the forms of polling or long polling speak of, beside what they say."""
    predict, _ = FORMS[transport]
    frames = Frames.read(results)
    by_key = {(row["experiment"], row["cell"]): row for row in rows(frames.cells)}
    found: dict[tuple[str, str], Point] = {}
    for cell in results.run.cells:
        row = by_key.get((cell.experiment, cell.cell))
        if row is None or cell.transport != transport or not (_plain(cell) and speaks_of(cell)):
            continue
        if math.isfinite(Estimate.of(row, "empty_ratio").value):
            delta_s = _delta_s(frames, cell)
            found[cell.experiment, cell.cell] = Point(
                cell_name(frames, row), ok(row), predict(cell.settings, delta_s), row
            )
    return list(found.values())


def _plain(cell: Cell) -> bool:
    """Poisson events, and a fixed interval."""
    return (
        cell.settings.get("feed.schedule") == "poisson"
        and cell.settings.get("polling.policy", "fixed_rate") == "fixed_rate"
    )


def _delta_s(frames: Frames, cell: Cell) -> float:
    """One transit: the reference cell's mean, else the floor's median, else nothing (loopback)."""
    beside = frames.references
    of = beside[(beside["experiment"] == cell.experiment) & (beside["transport"] == cell.transport)]
    known_ms = [value for value in map(real, of["delivery_ms_mean"]) if math.isfinite(value)]
    floor_ms = frames.floor_ms([cell.transport])
    ms = known_ms[0] if known_ms else floor_ms
    return ms / 1e3 if math.isfinite(ms) else 0.0


def forms(results: Results, transport: str, expected: float, empty_ratio: float) -> Drawn | None:
    """Draw the formulas beside a run's cells, and the reader's setting; None when no form speaks of a cell of it."""
    found = points(results, transport)
    if not found:
        return None
    _, product = FORMS[transport]
    ratios = [abs(ratio.value - 1) for one in found if one.good for _, ratio in one.ratios()]
    empties = [abs(float(one.row["empty_ratio"]) - math.exp(-one.predicted.expected)) for one in found if one.good]
    worst, points_off = max(ratios, default=math.nan), 100 * max(empties, default=math.nan)
    title = (
        f"Measured: latencies at most {100 * worst:.2g} % from the formula, empty answers {points_off:.2g} points"
        if ratios
        else f"Measured: empty answers at most {points_off:.2g} points from the formula"
    )
    subtitle = (
        f"{len(found)} cells of {results.run.folder.name}, 95 % intervals; line: the formula, ring: your setting."
    )
    figure, (late, empty) = style.frame(title, subtitle, panels=2, height_in=3.8)
    mean, p95 = style.looks(STATISTICS).values()
    swept = [one.predicted.expected for one in found] + [expected]
    late.axhspan(1 - LATENCY_TOLERANCE, 1 + LATENCY_TOLERANCE, color=style.BAND, linewidth=0)
    late.axhline(1.0, color=style.INK, linewidth=1.4)
    for one in found:
        for column, ratio in one.ratios():
            style.dot(late, one.predicted.expected, ratio, mean if column == STATISTICS[0] else p95, ok=one.good)
        style.dot(empty, one.predicted.expected, Estimate.of(one.row, "empty_ratio").scaled(100), mean, ok=one.good)
    x = np.geomspace(min(swept) / 2, max(swept) * 2, 200)
    empty.plot(x, 100 * np.exp(-x), color=style.INK, linewidth=1.4, zorder=1)
    ring(empty, min(max(expected, float(x[0])), float(x[-1])), 100 * empty_ratio, "you")
    for panel in (late, empty):
        style.log_x(panel, swept)
        panel.set_xlabel(product)
    late.set_ylim(min(0.9, 1 - 1.3 * worst) if ratios else 0.9, max(1.1, 1 + 1.3 * worst) if ratios else 1.1)
    late.plot([], [], mean.marker, color=mean.colour, label="mean")
    late.plot([], [], p95.marker, color=p95.colour, label="p95")
    late.legend(loc="upper right", fontsize=9, ncols=2)
    late.set_title("latency: measured / formula")
    empty.set_title("empty answers, %")
    empty.set_ylim(-4, 104)
    table = pd.DataFrame(
        {"cell": one.name, "expected": one.predicted.expected, "empty_ratio": one.row["empty_ratio"],
         "empty_formula": math.exp(-one.predicted.expected), **{name: ratio.value for name, ratio in one.ratios()}}
        for one in found
    )  # fmt: skip
    yours = f"At yours {number(expected)} events are expected, and {100 * empty_ratio:.3g} % of the answers empty."
    return Drawn(figure, title, f"{title}, in {len(found)} cells. {yours}", table)


def costs(results: Results, priced_by: Costs) -> Drawn | None:
    """The server's CPU per event of who asks, as measured, against the line in requests per event; None without any."""
    frames = Frames.read(results)
    busy = known(from_server(plain_text(frames.cells)), "server_cpu_us_per_delivery")
    if "feed.topics" in busy:
        busy = busy[(busy["feed.topics"] == "per_subscriber") & (busy["delivery_ms_p50"].notna())]
    if "polling.mode" in busy:
        busy = busy[busy["polling.mode"] != "latest"]  # nor are costs learned from what skips events
    shown = [(row, predicted) for row in rows(busy) if math.isfinite(predicted := _line_us(priced_by, row))]
    if not shown:
        return None
    off = sorted(abs(float(row["server_cpu_us_per_delivery"]) / us - 1) for row, us in shown if ok(row) and us)
    middle, worst = (100 * np.array([np.median(off), off[-1]])) if off else (math.nan, math.nan)
    title = f"One line per transport gives the measured CPU of {len(shown)} cells within {float(middle):.2g} % (median)"
    subtitle = "Server CPU of an event: (us of a request) x (requests per event) + (us of an event)."
    figure, (axes,) = style.frame(title, subtitle, height_in=4.2)
    both = [value for row, us in shown for value in (us, float(row["server_cpu_us_per_delivery"]))]
    style.log_x(axes, both)
    style.log_y(axes, both)
    ends = [min(both) / 2, max(both) * 2]
    axes.plot(ends, ends, color=style.INK, linewidth=1.2, zorder=1)
    for row, us in shown:
        style.dot(axes, us, Estimate.of(row, "server_cpu_us_per_delivery"), frames.looks[row["transport"]], ok=ok(row))
    for name in dict.fromkeys(row["transport"] for row, _ in shown):
        look = frames.looks[name]
        axes.plot([], [], look.marker, color=look.colour, label=frames.labels[name])
    axes.legend(loc="upper left", fontsize=9)
    axes.set_xlabel("by the line, us per event")
    axes.set_ylabel("measured, us per event")
    table = pd.DataFrame(
        {"cell": cell_name(frames, row), "line_us": us, "measured_us": row["server_cpu_us_per_delivery"]}
        for row, us in shown
    )
    sentence = f"{title}, {float(worst):.2g} % at worst; the lines were drawn through these cells."
    return Drawn(figure, title, sentence, table)


def _line_us(priced_by: Costs, row: Row) -> float:
    """What the costs say of a cell, in us per event."""
    cost = priced_by.by_transport.get(str(row["transport"]))
    if cost is None or not cost.pulls:  # push has no line: its cost is the mean of its cells
        return math.nan
    return cost.cpu_us_per_request.value * real(row.get("requests_per_event")) + cost.cpu_us_per_event.value
