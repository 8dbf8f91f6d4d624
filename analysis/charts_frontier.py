"""The README's chart, what freshness costs: every transport and the poll-interval sweep, latency over bytes per event.

The rule it keeps: points stand on one axis only where they may. What a pull transport moves for an event depends on
the event rate, so pull points come from cells at the sweep's own rate; what a push transport moves does not
(heartbeats aside), so a push point may be from another rate, and the chart then says so.
"""

from __future__ import annotations

import math

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patheffects import withStroke

from analysis import style
from analysis.charts_latency import NOTHING, NOTHING_TITLE, left_out
from analysis.frames import (
    Drawn,
    Frames,
    Row,
    conditions,
    has,
    known,
    not_ok,
    ok,
    real,
    rows,
    setting,
    side_by_side,
    tidy,
    values,
    varied,
)
from analysis.prose import Estimate, listing, number, plain, size, times
from analysis.style import Tag

_SWEPT = "polling.interval_s"
_NEEDED = ("delivery_ms_mean", "bytes_up_per_event", "bytes_down_per_event")


def frontier(frames: Frames, cells: pd.DataFrame) -> Drawn | None:
    """Mean (point) to p95 (bar) of delivery latency against bytes per event, both logarithmic; drawn once a run."""
    usable = known(cells, *_NEEDED)
    sweep = _sweep(usable)
    points = _points(frames, usable, sweep)
    if points["transport"].nunique() + (len(sweep) > 0) < 2:
        return None
    shown = pd.concat([sweep, points])
    title, sentence = _words(frames, sweep, points)
    subtitle = (
        f"Point: mean delivery latency, bar: up to p95. Bytes: TCP payload, both ways. {_rates(frames, sweep, points)}"
    )
    figure, (axes,) = style.frame(title, subtitle, height_in=5.2, notes=not_ok(frames, shown))
    _draw(frames, axes, sweep, points)
    metrics = [*_NEEDED, "delivery_ms_p95", "requests_per_event", "empty_ratio"]
    table = tidy(shown, [*varied(cells), "feed.rate_hz"], metrics)
    return Drawn(figure, title, sentence + left_out(frames, shown, cells.iloc[:0]), table)


def _bytes(row: Row) -> float:
    return real(row["bytes_up_per_event"]) + real(row["bytes_down_per_event"])


def _sweep(usable: pd.DataFrame) -> pd.DataFrame:
    """The cells of the experiment that sweeps the poll interval most finely; none when there is no such experiment."""
    swept = [group for _, group in usable.groupby("experiment", sort=False) if len(values(group, _SWEPT)) > 1]
    best = max(swept, key=lambda group: len(values(group, _SWEPT)), default=usable.iloc[:0])
    return known(best, _SWEPT).sort_values(_SWEPT) if len(best) else best


def _points(frames: Frames, usable: pd.DataFrame, sweep: pd.DataFrame) -> pd.DataFrame:
    """One cell for each transport not swept: at the sweep's rate (pull: only there), else side by side."""
    rest = usable[~usable["transport"].isin(set(sweep["transport"]))]
    rates = values(sweep, "feed.rate_hz")
    if not rates:
        return max(
            (side_by_side(frames, group, _NEEDED[0]) for _, group in rest.groupby("experiment", sort=False)),
            key=len,
            default=rest,
        )
    chosen = []
    home = rest[rest["experiment"] == sweep["experiment"].iloc[0]]
    for name, found in rest.groupby("transport", sort=False):
        beside = home[home["transport"] == name]  # measured beside the sweep, under the same load: nothing is fairer
        group = beside if len(beside) else found
        same = group[group["feed.rate_hz"] == rates[0]]
        if len(same):
            chosen.append(
                same.sort_values(
                    ["status", "delivery_ms_mean"], key=lambda c: c.ne("ok") if c.name == "status" else c
                ).head(1)
            )
        elif name not in frames.pulls:
            chosen.append(side_by_side(frames, group, _NEEDED[0]).head(1))
    return pd.concat(chosen) if chosen else rest.iloc[:0]


def _draw(frames: Frames, axes: Axes, sweep: pd.DataFrame, points: pd.DataFrame) -> None:
    shown = rows(pd.concat([sweep, points]))
    style.log_x(axes, [_bytes(row) for row in shown])
    floor_ms = frames.floor_ms([str(row["transport"]) for row in shown])
    highs = [real(row.get(name)) for row in shown for name in ("delivery_ms_mean", "delivery_ms_p95")]
    style.log_y(axes, highs, floor_ms * 0.7 if math.isfinite(floor_ms) else None)
    style.floor_band(axes, floor_ms)
    axes.set_xlabel("bytes on the wire for each event (less is cheaper)")
    axes.set_ylabel("delivery latency, ms (less is fresher)")
    if len(sweep):
        look = frames.looks[rows(sweep)[0]["transport"]]
        axes.plot([_bytes(row) for row in rows(sweep)], sweep["delivery_ms_mean"], color=look.colour, zorder=2)
    for row in shown:
        look, x = frames.looks[row["transport"]], _bytes(row)
        mean_ms, p95_ms = (real(row.get(name)) for name in ("delivery_ms_mean", "delivery_ms_p95"))
        axes.vlines(x, mean_ms, p95_ms, color=look.colour, alpha=0.55, linewidth=3)
        style.dot(axes, x, Estimate.of(row, "delivery_ms_mean"), look, ok=ok(row))
    for row in rows(sweep):
        _name_interval(frames, axes, row)
    tags = [_tag(frames, row) for row in rows(points)]
    if len(sweep):
        last = rows(sweep)[0]
        tags.append(
            Tag(
                _bytes(last),
                real(last["delivery_ms_mean"]),
                f"{frames.labels[last['transport']]}, by interval",
                frames.looks[last["transport"]].colour,
            )
        )
    style.tag_right(axes, tags, height_in=4.5)


def _name_interval(frames: Frames, axes: Axes, row: Row) -> None:
    axes.annotate(
        setting(_SWEPT, row[_SWEPT]),
        (_bytes(row), real(row["delivery_ms_mean"])),
        (-9, -3),
        textcoords="offset points",
        ha="right",
        va="top",
        size=9.5,
        color=style.readable(frames.looks[row["transport"]].colour),
        path_effects=[withStroke(linewidth=2.5, foreground=style.PAPER)],
    )


def _tag(frames: Frames, row: Row) -> Tag:
    return Tag(
        _bytes(row),
        real(row["delivery_ms_mean"]),
        frames.labels[row["transport"]],
        frames.looks[row["transport"]].colour,
    )


def _rates(frames: Frames, sweep: pd.DataFrame, points: pd.DataFrame) -> str:
    """At which event rates the points were measured; one phrase when there is one rate."""
    rates = values(pd.concat([sweep, points]), "feed.rate_hz")
    if len(rates) < 2 or sweep.empty:
        return conditions(pd.concat([sweep, points]))
    base = values(sweep, "feed.rate_hz")[0]
    apart = [row for row in rows(points) if row["feed.rate_hz"] != base]
    others = listing(dict.fromkeys(f"{plain(row['feed.rate_hz'])}/s" for row in apart))
    names = listing(frames.labels[row["transport"]] for row in apart)
    return f"Polling at {plain(base)}/s; {names} at {others} (what is pushed for an event does not depend on the rate)."


def _words(frames: Frames, sweep: pd.DataFrame, points: pd.DataFrame) -> tuple[str, str]:
    """The headline and the sentence: the freshest, and the shortest and longest poll interval beside it."""
    good, polled = [row for row in rows(points) if ok(row)], [row for row in rows(sweep) if ok(row)]
    if not good or (len(sweep) and not polled):
        return NOTHING_TITLE, NOTHING
    best = min(good, key=lambda row: real(row["delivery_ms_mean"]))
    mean, name = Estimate.of(best, "delivery_ms_mean"), frames.labels[best["transport"]]
    fresh = f"{name} delivers in {mean.text('ms')} on average for {size(_bytes(best))} an event"
    if not polled:
        dear = max(good, key=_bytes)
        more = f"; {frames.labels[dear['transport']]} moves {size(_bytes(dear))}" if dear is not best else ""
        return f"{name} is the freshest: {number(mean.value)} ms for {size(_bytes(best))} an event", f"{fresh}{more}."
    tight, wide = (choose(polled, key=lambda row: real(row[_SWEPT])) for choose in (min, max))
    said = [_polled(row, best) for row in ([tight] if tight is wide else [tight, wide])]
    return _headline(frames, name, tight, best), f"{fresh}. {frames.labels[tight['transport']]} {listing(said)}."


def _polled(row: Row, best: Row) -> str:
    ratio = _bytes(row) / _bytes(best) if _bytes(best) > 0 else math.nan
    mean = Estimate.of(row, "delivery_ms_mean").text("ms")
    return f"each {setting(_SWEPT, row[_SWEPT])} takes {mean} and {size(_bytes(row))} ({times(ratio)} the bytes)"


def _headline(frames: Frames, name: str, tight: Row, best: Row) -> str:
    late, ratio = real(tight["delivery_ms_mean"]) / real(best["delivery_ms_mean"]), _bytes(tight) / _bytes(best)
    lead = (
        f"{frames.labels[tight['transport']]} each {setting(_SWEPT, tight[_SWEPT])}"
        if has(pd.DataFrame([tight]), _SWEPT)
        else frames.labels[tight["transport"]]
    )
    if ratio > 1 and late > 1:
        return f"{lead} moves {times(ratio)} the bytes of {name} and still delivers {times(late)} as late"
    return f"{lead} delivers {times(late)} as late as {name} for {times(ratio)} its bytes"
