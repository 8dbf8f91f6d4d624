"""Charts of freshness: the latency of the transports side by side, under more subscribers, and against what it costs.

The rule it keeps: only ``ok`` cells are compared in words, and two transports whose intervals touch are never ranked.
Percentiles come from all samples of a cell (METHODOLOGY rule 6), and only as far out as 20/(1-q) samples carry (rule
8).
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from analysis import style
from analysis.frames import (
    Drawn,
    Frames,
    Row,
    conditions,
    known,
    not_ok,
    ok,
    over_tls,
    plain_text,
    rows,
    side_by_side,
    tidy,
    values,
    varied,
)
from analysis.prose import Estimate, listing, number, plain, times
from analysis.style import Tag

NOTHING_TITLE = "No valid cell: nothing can be concluded"
NOTHING = f"{NOTHING_TITLE} from this chart."
_MARKED = (("delivery_ms_p50", 0.5), ("delivery_ms_p95", 0.95), ("delivery_ms_p99", 0.99), ("delivery_ms_p999", 0.999))
Floats = npt.NDArray[np.float64]


def percentiles(frames: Frames, cells: pd.DataFrame) -> Drawn | None:
    """Delivery latency of every transport as a percentile curve on a log axis, at equal settings."""
    chosen = side_by_side(frames, cells, "delivery_ms_p50")
    if chosen.empty:
        return None
    title, beneath = _title(frames, chosen, "delivery_ms_p50", "at the median")
    figure, (axes,) = style.frame(title, beneath, height_in=5.0, notes=not_ok(frames, chosen))
    curves = {row["transport"]: _curve(frames, row) for row in rows(chosen)}
    floor_ms = frames.floor_ms(list(curves))
    style.log_y(axes, [y for _, ys in curves.values() for y in ys], floor_ms if math.isfinite(floor_ms) else None)
    _nines(axes, max(float(x.max()) for x, _ in curves.values()))
    style.tag_right(axes, [_percentile_curve(frames, axes, row, curves[row["transport"]]) for row in rows(chosen)], 4.3)
    style.floor_band(axes, floor_ms)
    axes.set_ylabel("delivery latency, ms (received - due)")
    axes.set_xlabel("share of deliveries that came at least this soon")
    table = tidy(chosen, varied(cells), [*(name for name, _ in _MARKED), "delivery_ms_mean"])
    return Drawn(figure, title, _ranking(frames, chosen) + left_out(frames, chosen, cells), table)


def _percentile_curve(frames: Frames, axes: Axes, row: Row, curve: tuple[Floats, Floats]) -> Tag:
    """Draw one transport's curve and its marked percentiles; dashed and hollow when the cell is not ``ok``."""
    name, look, (x, y) = row["transport"], frames.looks[row["transport"]], curve
    axes.plot(x, y, color=look.colour, linestyle="-" if ok(row) else (0, (4, 3)), zorder=3)
    for column, q in _MARKED:
        style.dot(axes, 1 / (1 - q), Estimate.of(row, column), look, ok=ok(row))
    return Tag(float(x[-1]), float(y[-1]), frames.labels[name], look.colour)


def _curve(frames: Frames, row: Row) -> tuple[Floats, Floats]:
    """(1/(1-q), latency in ms) of a cell: from its samples, or from its row where no samples are kept."""
    sample = frames.latencies(row["experiment"], row["cell"])
    if sample.size < 40:
        points = [(1 / (1 - q), Estimate.of(row, name).value) for name, q in _MARKED if Estimate.of(row, name).known]
        return np.array([x for x, _ in points]), np.array([y for _, y in points])
    last = min(3.0, math.log10(sample.size / 20))
    q = 1 - 10.0 ** -np.linspace(0, last, 160)
    return 1 / (1 - q), np.quantile(sample, q)


def _nines(axes: Axes, last: float) -> None:
    """An x axis on which 50, 90, 99 and 99.9 % stand apart: q at log(1/(1-q))."""
    axes.set_xscale("log")
    axes.set_xlim(1, last * 1.07)
    axes.xaxis.set_major_locator(FixedLocator([x for x in (1.0, 2.0, 10.0, 20.0, 100.0, 1000.0) if x <= last * 1.001]))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _position: f"{100 - 100 / x:.4g} %"))


def _title(frames: Frames, chosen: pd.DataFrame, column: str, where: str) -> tuple[str, str]:
    """The chart's headline, from its ``ok`` rows, and the line beneath it."""
    good = sorted(rows(chosen[chosen["status"] == "ok"]), key=lambda row: float(row[column]))
    beneath = f"Delivery latency at equal settings. {conditions(chosen)}. Points carry 95 % intervals."
    if not good:
        return NOTHING_TITLE, beneath
    fast, slow = good[0], good[-1]
    first, last = Estimate.of(fast, column), Estimate.of(slow, column)
    if len(good) == 1:
        return f"{frames.labels[fast['transport']]} delivers in {number(first.value)} ms {where}", beneath
    level = [frames.labels[row["transport"]] for row in good if not Estimate.of(row, column).separated_from(first)]
    who = listing(level) if len(level) <= 2 else f"{len(level)} of {len(good)} transports"
    lead = f"{who} {'delivers' if len(level) == 1 else 'deliver'} in {number(first.value)} ms {where}"
    if len(level) == len(good) or not first.value > 0:
        return f"{lead}: no difference can be shown", beneath
    label = frames.labels[slow["transport"]]
    return (
        f"{lead}; {label} needs {number(last.value)} ms, {times(last.value / first.value)} as long",
        beneath,
    )


def _ranking(frames: Frames, chosen: pd.DataFrame) -> str:
    """Medians with intervals, what cannot be told apart, the tail, and what was left out."""
    good = sorted(rows(chosen[chosen["status"] == "ok"]), key=lambda row: float(row["delivery_ms_p50"]))
    if not good:
        return NOTHING
    medians = [f"{frames.labels[row['transport']]} {Estimate.of(row, 'delivery_ms_p50').text('ms')}" for row in good]
    said = f"Median delivery latency: {listing(medians)}."
    best = Estimate.of(good[0], "delivery_ms_p50")
    level = [
        frames.labels[row["transport"]]
        for row in good[1:]
        if not Estimate.of(row, "delivery_ms_p50").separated_from(best)
    ]
    if level:
        said += f" {listing(level)} cannot be told from {frames.labels[good[0]['transport']]} at this precision."
    tails = [row for row in good if Estimate.of(row, "delivery_ms_p99").known]
    if tails:
        worst = max(tails, key=lambda row: float(row["delivery_ms_p99"]))
        label, tail = frames.labels[worst["transport"]], Estimate.of(worst, "delivery_ms_p99").text("ms")
        said += f" The longest tail is that of {label}: p99 {tail}."
    return said


def left_out(frames: Frames, shown: pd.DataFrame, cells: pd.DataFrame) -> str:
    """The closing words about cells nothing was concluded from: hollow in ``shown``, empty in ``cells``."""
    gone = cells[cells["status"].str.startswith(("failed", "skipped"))]
    hollow = shown[(shown["status"] != "ok") & ~shown["status"].str.startswith(("failed", "skipped"))]
    said = ((hollow, "Not concluded from: {}, drawn hollow."), (gone, "Failed or skipped: {}."))
    return "".join(f" {words.format(_counted(frames, bad))}" for bad, words in said if len(bad))


def _counted(frames: Frames, bad: pd.DataFrame) -> str:
    names = listing(frames.labels[name] for name in dict.fromkeys(bad["transport"]))
    return f"{len(bad)} {'cell' if len(bad) == 1 else 'cells'} of {names}"


def crowd(frames: Frames, cells: pd.DataFrame) -> Drawn | None:
    """Delivery latency and the server's CPU per delivery against the number of subscribers, both axes logarithmic."""
    shown = known(cells, "load.subscribers", "delivery_ms_p50")
    if len(values(shown, "load.subscribers")) < 2:
        return None
    plainly = plain_text(shown)
    title, beneath = _crowd_title(frames, plainly), f"{conditions(plainly)}. Medians with 95 % intervals."
    secured = listing(dict.fromkeys(filter(None, map(over_tls, rows(shown)))))
    notes = [f"darker, with a marker of its own: over {secured}"] if len(plainly) < len(shown) else []
    figure, panels = style.frame(title, beneath, 2, 4.6, [*notes, *not_ok(frames, shown)])
    for axes, column, label in zip(
        panels, _CROWD, ("median delivery latency, ms", "server CPU per delivery, µs"), strict=True
    ):
        _crowd_panel(frames, known(shown, column), axes, column, label)
    table = tidy(shown, varied(shown), [*_CROWD, "delivery_ms_p99", "load_cpu_us_per_delivery"])
    said = _crowd_sentence(frames, plainly) + _over_tls(frames, shown)
    return Drawn(figure, title, said + left_out(frames, shown, cells), table)


_CROWD = ("delivery_ms_p50", "server_cpu_us_per_delivery")


def _crowd_panel(frames: Frames, shown: pd.DataFrame, axes: Axes, column: str, label: str) -> None:
    axes.set_title(label)
    axes.set_xlabel("subscribers")
    if shown.empty:
        axes.text(0.5, 0.5, "not measured", transform=axes.transAxes, ha="center", color=style.MUTED)
        return
    floor_ms = frames.floor_ms(list(dict.fromkeys(shown["transport"]))) if column.startswith("delivery") else math.nan
    style.log_x(axes, [], [float(x) for x in values(shown, "load.subscribers")])
    style.log_y(axes, [*shown[column]], floor_ms if math.isfinite(floor_ms) else None)
    tags = []
    plainly = plain_text(shown)
    for row in rows(shown.drop(plainly.index)):
        look = frames.looks[row["transport"]].shade(1, 2)
        style.dot(axes, float(row["load.subscribers"]), Estimate.of(row, column), look, ok=ok(row))
    for name, group in plainly.sort_values("load.subscribers").groupby("transport", sort=False):
        look = frames.looks[str(name)]
        axes.plot(group["load.subscribers"], group[column], color=look.colour, zorder=2)
        for row in rows(group):
            style.dot(axes, float(row["load.subscribers"]), Estimate.of(row, column), look, ok=ok(row))
        last = rows(group)[-1]
        tags.append(Tag(float(last["load.subscribers"]), float(last[column]), frames.labels[str(name)], look.colour))
    style.floor_band(axes, floor_ms)
    style.tag_right(axes, tags, height_in=3.7, size=9)


def _crowd_title(frames: Frames, shown: pd.DataFrame) -> str:
    good = shown[shown["status"] == "ok"]
    if good.empty:
        return NOTHING_TITLE
    most = good["load.subscribers"].max()
    there = sorted(rows(good[good["load.subscribers"] == most]), key=lambda row: float(row["delivery_ms_p50"]))
    ends = [f"{number(float(row['delivery_ms_p50']))} ms ({frames.labels[row['transport']]})" for row in there]
    where = f"At {plain(int(most))} subscribers the median"
    return f"{where} is {ends[0]}" if len(ends) == 1 else f"{where} runs from {ends[0]} to {ends[-1]}"


def _crowd_sentence(frames: Frames, shown: pd.DataFrame) -> str:
    """For each transport: median latency with the fewest and the most subscribers that are ``ok``."""
    good = shown[shown["status"] == "ok"].sort_values("load.subscribers")
    said = [_grown(frames, rows(group)[0], rows(group)[-1]) for _, group in good.groupby("transport", sort=False)]
    return f"Median delivery latency by number of subscribers. {'; '.join(said)}." if said else NOTHING


def _over_tls(frames: Frames, shown: pd.DataFrame) -> str:
    """For each cell over TLS that has its like without: the median of both."""
    plainly = {(row["transport"], row["load.subscribers"]): row for row in rows(plain_text(shown)) if not over_tls(row)}
    said = []
    for row in rows(shown):
        like = plainly.get((row["transport"], row["load.subscribers"]))
        if over_tls(row) and like and ok(row) and ok(like):
            there, here = (Estimate.of(one, _CROWD[0]).text("ms") for one in (row, like))
            said.append(f"{frames.labels[row['transport']]} over {over_tls(row)} {there} instead of {here}")
    return f" With as many subscribers, {'; '.join(said)}." if said else ""


def _grown(frames: Frames, few: Row, many: Row) -> str:
    """``WebSocket: 0.31 ms with 10, 5.3 ms (±0.1) with 1,000, at 8.0 µs of server CPU a delivery``."""
    points = [few, many] if few["load.subscribers"] != many["load.subscribers"] else [many]
    with_n = [f"{Estimate.of(row, _CROWD[0]).text('ms')} with {plain(row['load.subscribers'])}" for row in points]
    cpu = Estimate.of(many, _CROWD[1])
    spent = f", at {cpu.text('µs')} of server CPU a delivery" if cpu.known else ""
    return f"{frames.labels[many['transport']]}: {', '.join(with_n)}{spent}"
