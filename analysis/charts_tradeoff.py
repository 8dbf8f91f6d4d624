"""The chart of freshness against cost: every setting that could be chosen, what is asked, and the choice.

The rule it keeps: a headline says only what the measured costs can tell; each push transport has its name at its point.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter

from analysis import pareto, style, tuner
from analysis.drawn import Drawn
from analysis.predict import Choice, seconds
from analysis.regime import kind_of
from analysis.tune_charts import COLOURS, GOAL, HALO, line, ring, tell
from analysis.tune_text import named, percent
from analysis.tuner import Answer
from analysis.tuning import QUANTILE

LOOKS = {
    tuner.FAMILIES["fixed_rate"]: style.Look(COLOURS["polling"], "o"),
    tuner.FAMILIES["jittered"]: style.Look("#8f3f00", "s"),
    tuner.FAMILIES["backoff"]: style.Look("#f0a070", "^"),
    tuner.FAMILIES["learning"]: style.Look("#5c2800", "D"),
    tuner.FAMILIES["long_polling"]: style.Look(COLOURS["long polling"], "v"),
    tuner.FAMILIES["push"]: style.Look(COLOURS["push"], "P"),
}
FRESHNESS = "95 % of updates are there within … s"


@dataclass(frozen=True, slots=True)
class Panel:
    """One cost against freshness: a column of the candidates, its heading, its scale, and what 0 is called."""

    column: str
    heading: str
    scale: float = 1.0
    nothing: str = "none"


PANELS = (
    Panel("requests_hz", "Requests per second, of all clients"),
    Panel("empty_ratio", "Answers that bring nothing, %", 100.0),
    Panel("cores", "Server cores kept busy"),
    Panel("down_bps", "Bandwidth out of the servers, Mbit/s", 1e-6),
)


def tradeoff(answer: Answer) -> Drawn:
    """Every policy and transport: p95 against requests, empty answers, cores and bytes, with the front of each."""
    frame = pareto.candidates(answer)
    title = _tradeoff_title(answer)
    subtitle = (
        "Every point is a setting that could be chosen: the further left, the fresher; the lower, the cheaper. The grey"
        " line joins those that no other beats in both (the Pareto front). Shaded: not what was asked. Upright bars:"
        " 95 % intervals of the cores."
    )
    figure, axes = style.frame(title, subtitle, panels=len(PANELS), height_in=7.4, columns=2)
    shown = [name for name in tuner.FAMILIES.values() if name in set(frame["family"])]
    marks = [
        Line2D([], [], color=LOOKS[name].colour, marker=LOOKS[name].marker, markersize=5, linewidth=1.2, label=name)
        for name in shown
    ]
    style.key(figure, [*marks, Line2D([], [], color=style.MUTED, alpha=0.35, linewidth=6, label="front")])
    for axis, panel in zip(axes, PANELS, strict=True):
        _tradeoff_panel(answer, axis, panel, frame)
    sentence = f"{len(frame)} settings; ours is {named(answer.best)}, p95 {seconds(answer.best.quantiles_s[QUANTILE])}."
    return Drawn(figure, title, sentence, frame)


def _tradeoff_panel(answer: Answer, axis: Axes, panel: Panel, frame: pd.DataFrame) -> None:
    shown = frame.assign(y=frame[panel.column].fillna(0.0) * panel.scale)
    style.log_x(axis, shown["p95_s"])
    lowest = 0.0
    if panel.column == "empty_ratio":
        axis.set_ylim(-6, 106)
    else:
        style.log_y(axis, shown["y"])
        lowest = _nothing(axis, float(shown["y"].min()), panel)
    shown["y"] = shown["y"].clip(lower=lowest)
    _too_much(axis, answer, panel.column)
    on = shown[shown[f"front_{panel.column}"]].sort_values("p95_s")
    axis.step(
        on["p95_s"], on["y"], where="post", color=style.MUTED, alpha=0.35, linewidth=6, zorder=1,
        marker="o" if len(on) == 1 else "", markersize=11, markeredgewidth=0,
    )  # fmt: skip
    for name, group in shown.sort_values(["p95_s", "requests_hz"]).groupby("family"):
        look = LOOKS[str(name)]
        axis.plot(
            group["p95_s"], group["y"], marker=look.marker, color=look.colour, markersize=4, linewidth=1.2,
            linestyle="-" if str(name) in _SWEPT else "none", alpha=0.9,
        )  # fmt: skip
    if panel.column == "cores":
        _core_intervals(axis, answer)
    _name_points(axis, answer, panel, lowest)
    axis.set_title(panel.heading)
    axis.set_xlabel(FRESHNESS)


_SPREAD = ("cores", "down_bps")  # where push transports differ


def _cost_of(one: Choice, panel: Panel, lowest: float) -> float:
    """Where a choice lies in a panel."""
    y = {"cores": one.demand.cores.value, "down_bps": one.demand.down_bps.value}.get(panel.column)
    y = getattr(one, panel.column) if y is None else y
    return max(y * panel.scale, lowest) if math.isfinite(y) and y else lowest


def _core_intervals(axis: Axes, answer: Answer) -> None:
    """What the measured costs allow, of the choice and of the pull transports; a little apart where these touch."""
    for one in (answer.best, *(one for one in answer.found if one not in answer.pushes and one is not answer.best)):
        low, high = one.demand.cores.low, one.demand.cores.high
        if math.isfinite(low) and math.isfinite(high):
            aside = 0.9 if one is answer.long_polling else 1.0
            axis.vlines(
                one.quantiles_s[QUANTILE] * aside, max(low, axis.get_ylim()[0]), high, linewidth=1.8, zorder=3,
                color=COLOURS[kind_of(one)],
            )  # fmt: skip


def _name_points(axis: Axes, answer: Answer, panel: Panel, lowest: float) -> None:
    """Ring the choice; name it, and the push transports: each where they differ, else all at once."""
    best, pushes = answer.best, answer.pushes
    x, y = best.quantiles_s[QUANTILE], _cost_of(best, panel, lowest)
    apart = panel.column in _SPREAD
    all_here = f"push: all {len(pushes)} lie here" if len(pushes) > 1 and not apart else ""
    if best not in pushes:
        ring(axis, x, y, "" if apart else f"our choice: {best.label}")
        if all_here:
            at = (pushes[0].quantiles_s[QUANTILE], _cost_of(pushes[0], panel, lowest))
            _beside(axis, at, all_here, COLOURS["push"])
    else:
        ring(axis, x, y)
        if not apart:
            _beside(axis, (x, y), f"our choice: {best.label}" + (f"\n({all_here})" if all_here else ""), style.INK)
    if apart:
        _name_pushes(axis, answer, panel, lowest)


def _beside(axis: Axes, at: tuple[float, float], text: str, colour: str) -> None:
    axis.annotate(
        text, at, (14, 0), textcoords="offset points", va="center", size=9.5, color=colour,
        weight="bold" if colour == style.INK else "normal", path_effects=HALO, zorder=9,
    )  # fmt: skip


def _apart(places: Sequence[tuple[float, float]]) -> list[float]:
    """Heights of names, those of the points that lie above each other kept apart; the choice may lie elsewhere."""
    left = [i for i, (x, _) in enumerate(places) if x - min(across for across, _ in places) < 0.4]
    heights = [y - 0.2 for _, y in places]
    for i, up in zip(left, style.spread([places[i][1] for i in left], 0.066, 0.02), strict=True):
        heights[i] = up
    return heights


def _name_pushes(axis: Axes, answer: Answer, panel: Panel, lowest: float) -> None:
    """Every push transport, and the choice, by name, level with its point or a little off where they would touch."""
    ways = answer.pushes if answer.best in answer.pushes else [*answer.pushes, answer.best]
    shown = [one for one in ways if math.isfinite(_cost_of(one, panel, lowest))]
    to_axes = axis.transData + axis.transAxes.inverted()
    found = to_axes.transform([(one.quantiles_s[QUANTILE], _cost_of(one, panel, lowest)) for one in shown] or [(0, 0)])
    places = [(float(x), float(y)) for x, y in found][: len(shown)]
    for one, (x, y), up in zip(shown, places, _apart(places), strict=True):
        chosen, leftmost = one is answer.best, x < 0.6
        axis.annotate(
            f"{one.label}{': our choice' if chosen else ''}", (x, y), (x + (0.07 if leftmost else -0.02), up),
            xycoords="axes fraction", textcoords="axes fraction", va="center", ha="left" if leftmost else "right",
            size=9, color=style.INK if chosen else COLOURS["push"], weight="bold" if chosen else "normal",
            path_effects=HALO, zorder=9, annotation_clip=False,
            arrowprops={"arrowstyle": "-", "color": COLOURS["push"], "lw": 0.8, "shrinkA": 0, "shrinkB": 3},
        )  # fmt: skip


def _nothing(axis: Axes, least: float, panel: Panel) -> float:
    """Where a log axis has what is 0: on a line of its own beneath the rest, named as such; returned."""
    low, high = axis.get_ylim()
    if least > 0:
        return low
    axis.set_ylim(low / 2.5, high)
    axis.yaxis.set_major_formatter(FuncFormatter(lambda y, _: "" if y < low else style.plain_tick(y)))
    axis.annotate(
        panel.nothing, (0, low / 1.7), xycoords=("axes fraction", "data"), xytext=(-8, 0), textcoords="offset points",
        ha="right", va="center", color=style.MUTED,
    )  # fmt: skip
    return low / 1.7


_SWEPT = {tuner.FAMILIES["fixed_rate"], tuner.FAMILIES["jittered"], tuner.FAMILIES["long_polling"]}


def _too_much(panel: Axes, answer: Answer, column: str) -> None:
    """Grey out what is later, or emptier, than was asked."""
    wanted = answer.asked.goals
    if (late := wanted.latency_s.get(QUANTILE)) is not None:
        panel.axvspan(late, panel.get_xlim()[1], color=style.BAND, alpha=0.7, linewidth=0, zorder=0)
        panel.axvline(late, color=GOAL, linewidth=1.4, linestyle="--", zorder=2)
        tell(panel, late, f"asked: {seconds(late)}", GOAL, left=True)
        tell(panel, late, "too late", style.MUTED)
    if column == "empty_ratio" and wanted.empty_ratio is not None:
        panel.axhspan(100 * wanted.empty_ratio, 106, color=style.BAND, alpha=0.7, linewidth=0, zorder=0)
        line(panel, 100 * wanted.empty_ratio, f"asked: at most {percent(wanted.empty_ratio)}")
        panel.annotate(
            "too many empty", (0.01, 93), xycoords=("axes fraction", "data"), va="center", size=9.5,
            color=style.MUTED, path_effects=HALO, zorder=8,
        )  # fmt: skip


def _tradeoff_title(answer: Answer) -> str:
    best, fixed = answer.best, answer.polling
    fresh = seconds(best.quantiles_s[QUANTILE])
    if fixed is None or best is fixed:
        return f"{named(best)}: the cheapest way to have 95 % of updates within {fresh}"
    polled = seconds(fixed.quantiles_s[QUANTILE])
    ours, theirs = best.demand.cores, fixed.demand.cores
    if not (math.isfinite(ours.value) and math.isfinite(theirs.value)):
        compared = "the server cores of both are not measured"
    elif ours.high < theirs.low:
        compared = f"clearly fewer server cores than polling takes for {polled}"
    elif ours.low > theirs.high:
        compared = f"clearly more server cores than polling takes for {polled}"
    else:
        compared = f"polling takes {polled}, and the measured costs cannot tell their server cores apart"
    return f"{named(best)}: 95 % of updates within {fresh}; {compared}"
