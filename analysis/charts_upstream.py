"""The chart of the upstream direction: how soon each way to publish is taken, acknowledged, heard back; at what cost.

The rule it keeps: all moments count from when the publish was due, on one axis; what a way has not (an acknowledgement)
is not drawn. A way is named by the settings that choose it, never by its transport.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from analysis import style
from analysis.charts_cost import Panel, bars
from analysis.charts_latency import NOTHING, NOTHING_TITLE, left_out
from analysis.frames import Drawn, Frames, Row, conditions, known, not_ok, ok, real, rows, tidy, varied
from analysis.prose import Estimate, listing, number, plain, size

__all__ = ["upstream", "way"]


@dataclass(frozen=True, slots=True)
class Moment:
    """A point of a row: its column, its marker and the marker's size; ``drawn`` is what stands for it in words."""

    column: str
    marker: str
    size: float
    drawn: str


MOMENTS = (
    Moment("upstream_ms_p50", "d", 5.5, "\N{BLACK DIAMOND} taken"),
    Moment("acknowledged_ms_p50", "s", 5.0, "\N{BLACK SQUARE} acknowledged"),
    Moment("echo_ms_p50", "o", 8.0, "\N{BLACK CIRCLE} heard back"),
    Moment("echo_ms_p95", "|", 10.0, "| its p95"),
)
_SAID = ("echo_ms_p50", "echo_ms_p95")  # written beside their points


def _us(value: float) -> str:
    return f"{number(value)} µs"


_COSTS = (
    Panel("bytes per publish", (("bytes_up_per_publish", "up"), ("bytes_down_per_publish", "down")), size),
    Panel("server CPU per publish", (("server_cpu_us_per_publish", ""),), _us, "server_cpu_us_per_publish"),
)
_METRICS = (
    "echo_ms_mean", "echo_ms_p50", "echo_ms_p95", "echo_ms_p99", "upstream_ms_p50", "upstream_ms_p95",
    "acknowledged_ms_p50", "acknowledged_ms_p99", "publish_bytes", "answer_bytes", "bytes_up_per_publish",
    "bytes_down_per_publish", "server_cpu_us_per_publish", "load_cpu_us_per_publish",
)  # fmt: skip


def way(row: Row) -> str:
    """How a row's subscribers publish: ``POST``, ``POST, new connection``, ``SEND``, ``SEND, RECEIPT``, ``frame``."""
    keep_alive, receipt = row.get("upstream.keep_alive"), row.get("upstream.receipt")
    if isinstance(receipt, bool | np.bool_):
        return "SEND, RECEIPT" if receipt else "SEND"
    if isinstance(keep_alive, bool | np.bool_):
        return "POST" if keep_alive else "POST, new connection"
    return "POST" if Estimate.of(row, "acknowledged_ms_p50").known else "frame"


def upstream(frames: Frames, cells: pd.DataFrame) -> Drawn | None:
    """Every way to publish: latencies on a log axis, bytes and the server's CPU beside them."""
    chosen = _ordered(frames, known(cells, "echo_ms_p50"))
    if chosen.empty:
        return None
    title, sentence = _words(frames, chosen)
    beneath = f"Each subscriber publishes to a topic of its own and listens to it. {conditions(chosen)}."
    figure, drawn = style.frame(title, beneath, 3, 1.3 + 0.42 * len(chosen), not_ok(frames, chosen))
    if grid := drawn[0].get_gridspec():
        grid.set_width_ratios((1.55, 1, 1))
    _latencies(frames, chosen, drawn[0])
    for panel, axes in zip(_COSTS, drawn[1:], strict=True):
        bars(frames, chosen, panel, axes)
        axes.set_yticks(range(len(chosen)), [""] * len(chosen))
    drawn[0].set_yticks(range(len(chosen)), [f"{frames.labels[row['transport']]}\n{way(row)}" for row in rows(chosen)])
    drawn[0].tick_params(axis="y", length=0, labelsize=9)
    return Drawn(figure, title, sentence + left_out(frames, chosen, cells), tidy(chosen, varied(cells), list(_METRICS)))


def _ordered(frames: Frames, cells: pd.DataFrame) -> pd.DataFrame:
    """By transport in the order of the run, then by way."""
    order = {name: place for place, name in enumerate(frames.labels)}
    keyed = cells.assign(_place=cells["transport"].map(order), _way=[way(row) for row in rows(cells)])
    return keyed.sort_values(["_place", "_way"]).drop(columns=["_place", "_way"]).reset_index(drop=True)


def _latencies(frames: Frames, chosen: pd.DataFrame, axes: Axes) -> None:
    shown: list[float] = []
    for place, row in enumerate(rows(chosen)):
        look = frames.looks[row["transport"]]
        found = [(moment, Estimate.of(row, moment.column)) for moment in MOMENTS]
        found = [(moment, one) for moment, one in found if one.known and one.value > 0]
        axes.hlines(
            place, min(one.value for _, one in found), max(one.value for _, one in found),
            color=look.colour, linewidth=1.2, alpha=0.45, zorder=2,
        )  # fmt: skip
        last = max(one.value for _, one in found)
        for moment, one in found:
            if moment.column in _SAID and math.isfinite(one.half):
                low, high = max(one.low, one.value / style.REACH), min(one.high, one.value * style.REACH)
                axes.hlines(place, low, high, color=look.colour, linewidth=3.2)
                last = max(last, high)
            axes.plot(
                one.value, place, marker=moment.marker, markersize=moment.size, color=look.colour, linestyle="none",
                markerfacecolor=look.colour if ok(row) else style.PAPER, markeredgewidth=1.6, zorder=4,
            )  # fmt: skip
        words = ", ".join(number(one.value) for moment, one in found if moment.column in _SAID)
        axes.annotate(words, (last, place), (9, 0), textcoords="offset points", va="center", size=9.5)
        shown += [last, *(one.value for _, one in found)]
    axes.set_xscale("log")
    axes.set_xlim(min(shown) / 1.6, max(shown) * (max(shown) / min(shown)) ** 0.35 * 1.5)  # room for the words
    axes.set_ylim(len(chosen) - 0.45, -0.55)
    axes.xaxis.set_major_locator(LogLocator(numticks=9))
    axes.xaxis.set_major_formatter(FuncFormatter(style.plain_tick))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_title("ms from when it was due, medians")
    axes.set_xlabel("  ".join(moment.drawn for moment in MOMENTS), size=9.5)
    axes.grid(visible=False, axis="y")


def _named(frames: Frames, row: Row) -> str:
    return f"{frames.labels[row['transport']]} ({way(row)})"


def _words(frames: Frames, chosen: pd.DataFrame) -> tuple[str, str]:
    """The headline and the sentence, from the ``ok`` rows."""
    good = [row for row in rows(chosen) if ok(row)]
    if not good:
        return NOTHING_TITLE, NOTHING
    said = [_echo(frames, good)]
    sized = [row for row in good if Estimate.of(row, "publish_bytes").known]
    lean, fat = (_extreme(pick, sized, "publish_bytes") for pick in (min, max)) if sized else (None, None)
    title = said[0]
    if lean and fat:
        payload = real(lean.get("feed.payload_bytes"))
        of = f"{plain(payload)} B" if math.isfinite(payload) else "an event"
        title = f"To publish {of} takes {size(real(lean['publish_bytes']))} by {_named(frames, lean)}"
        if fat is not lean:
            title += f", {size(real(fat['publish_bytes']))} by {_named(frames, fat)}"
        soon = _extreme(min, good, "echo_ms_p50")
        title += f"; it is heard back after {number(real(soon['echo_ms_p50']))} ms at best"
    acknowledged = [row for row in good if Estimate.of(row, "acknowledged_ms_p50").known]
    if acknowledged:
        said.append(f"Acknowledged at the median: {_each(frames, acknowledged, 'acknowledged_ms_p50', 'ms')}.")
    if costly := [row for row in good if Estimate.of(row, "server_cpu_us_per_publish").known]:
        said.append(f"Server CPU for each: {_each(frames, costly, 'server_cpu_us_per_publish', 'µs')}.")
    return title, " ".join(said)


def _extreme(pick: Callable[..., Row], found: Sequence[Row], column: str) -> Row:
    return pick(found, key=lambda row: real(row[column]))


def _echo(frames: Frames, good: Sequence[Row]) -> str:
    return f"Heard back at the median: {_each(frames, good, 'echo_ms_p50', 'ms')}."


def _each(frames: Frames, found: Sequence[Row], column: str, unit: str) -> str:
    ascending = sorted(found, key=lambda row: real(row[column]))
    return listing(f"{_named(frames, row)} {Estimate.of(row, column).text(unit)}" for row in ascending)
