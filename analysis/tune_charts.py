"""The tuner's charts: freshness against cost, the interval swept, the hold swept, and what if things change.

The rule it keeps: titles say what was found, goals are lines, the choice is a ring with its name, and what cannot be
had is a gap one can see.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patheffects import withStroke
from matplotlib.ticker import FuncFormatter

from analysis import pareto, style
from analysis.frames import Drawn
from analysis.pareto import FAMILIES
from analysis.predict import Choice, name_of, seconds
from analysis.regime import kind_of
from analysis.tune_text import NEVER, named, percent, rate
from analysis.tuner import Answer
from analysis.tuning import QUANTILE, best_interval_s

GOAL, GOOD, BAD = "#7a3fa0", "#0a6b3d", "#b3261e"
_HALO = [withStroke(linewidth=3, foreground=style.PAPER)]
_PANELS = (("requests_hz", "requests/s (push: none)"), ("empty_ratio", "empty answers, %"), ("cores", "server cores"))


def tradeoff(answer: Answer) -> Drawn:
    """Every policy and transport: p95 against requests, empty answers and cores, with the front of each."""
    frame = pareto.candidates(answer)
    best = answer.best
    title = _tradeoff_title(answer)
    subtitle = "Each point is a setting; the grey line joins those that nothing beats in both. The ring is our choice."
    figure, axes = style.frame(title, subtitle, panels=3, height_in=4.3)
    looks = style.looks(FAMILIES.values())
    for panel, (column, heading) in zip(axes, _PANELS, strict=True):
        scale = 100.0 if column == "empty_ratio" else 1.0
        shown = frame.assign(y=frame[column].fillna(0.0) * scale)
        style.log_x(panel, shown["p95_s"])
        if column == "empty_ratio":
            panel.set_ylim(-4, 104)
            lowest = 0.0
        else:
            style.log_y(panel, shown["y"])
            lowest = panel.get_ylim()[0] * 1.15
        shown["y"] = shown["y"].clip(lower=lowest)
        for name, group in shown.groupby("family"):
            look = looks[str(name)]
            marks: dict[str, Any] = {"color": look.colour, "markersize": 4.5, "alpha": 0.8, "label": name}
            panel.plot(group["p95_s"], group["y"], look.marker, **marks)
        on = shown[shown[f"front_{column}"]].sort_values("p95_s")
        panel.step(on["p95_s"], on["y"], where="post", color=style.MUTED, linewidth=1, zorder=1)
        _goal_lines(panel, answer, column)
        y = getattr(best, column) if column != "cores" else best.demand.cores.value
        y = lowest if not (math.isfinite(y) and y) else max(y * scale, lowest)
        at = best.quantiles_s[QUANTILE]
        ring(panel, at, y, 14)
        panel.annotate(
            best.label, (at, y), xytext=(0, 13), textcoords="offset points", ha="left", size=9, weight="bold",
            path_effects=_HALO, annotation_clip=False,
        )  # fmt: skip
        panel.set_title(heading)
        panel.set_xlabel("p95, s")
    axes[0].legend(loc="best", fontsize=8.5, frameon=True, facecolor=style.PAPER, edgecolor=style.GRID)
    sentence = f"{len(frame)} settings; ours is {named(best)}, p95 {seconds(best.quantiles_s[QUANTILE])}."
    return Drawn(figure, title, sentence, frame)


def ring(panel: Axes, x: float, y: float, size: float = 12) -> None:
    """Mark what is chosen."""
    panel.plot(x, y, "o", markersize=size, markerfacecolor="none", color=style.INK, markeredgewidth=2, clip_on=False)


def tell(panel: Axes, at: float, text: str, colour: str, *, left: bool = False) -> None:
    """Name an upright line, at its top."""
    panel.annotate(
        text, (at, 0.985), xycoords=("data", "axes fraction"), xytext=(-4 if left else 4, 0), va="top", color=colour,
        textcoords="offset points", ha="right" if left else "left", size=9.5, path_effects=_HALO,
    )  # fmt: skip


def _tradeoff_title(answer: Answer) -> str:
    best, fixed = answer.best, answer.polling
    fresh = seconds(best.quantiles_s[QUANTILE])
    if fixed is None or best is fixed:
        return f"{named(best)} is the cheapest way to p95 {fresh}"
    part = best.demand.cores.value / fixed.demand.cores.value
    compared = f"{part:.2g} times the cores" if math.isfinite(part) else "unknown cores"
    return f"{named(best)}: p95 {fresh} for {compared} of polling at {seconds(fixed.quantiles_s[QUANTILE])}"


def _goal_lines(panel: Axes, answer: Answer, column: str) -> None:
    wanted = answer.asked.goals
    if (late := wanted.latency_s.get(QUANTILE)) is not None:
        panel.axvline(late, color=GOAL, linewidth=1.2, linestyle="--", zorder=1)
        tell(panel, late, "goal", GOAL)
    if column == "empty_ratio" and wanted.empty_ratio is not None:
        panel.axhline(100 * wanted.empty_ratio, color=GOAL, linewidth=1.2, linestyle="--", zorder=1)


def interval(answer: Answer) -> Drawn:
    """P95 and empty ratio against the interval, and the window of intervals that meets each goal, or the gap."""
    frame = pareto.intervals(answer)
    shortest_s, longest_s = best_interval_s(answer.asked.situation, answer.asked.goals)
    wanted = answer.asked.goals
    both = bool(wanted.latency_s) and wanted.empty_ratio is not None
    gap = longest_s < shortest_s
    shortest, longest = seconds(shortest_s), seconds(longest_s)
    if gap and both and longest_s > 0:
        title = f"No fixed interval meets both: fresh up to {longest}, few empty answers from {shortest} on"
    elif gap:
        title = "No poll interval is fresh enough: it would be shorter than a round trip"
    elif math.isinf(longest_s):
        title = f"Few enough answers are empty from {shortest} on"
    else:
        title = f"Polling meets the goal{'s' if both else ''} with intervals from {shortest} to {longest}"
    figure, (late, empty) = style.frame(
        title, "Predicted for a fixed poll interval; dashed: the goals.", panels=2, height_in=3.9
    )
    least, most = float(frame["interval_s"].min()), float(frame["interval_s"].max())
    low, high = (min(max(end, least), most) for end in sorted((shortest_s, longest_s)))
    colour, word = (
        (BAD, "meets neither" if both else "too late") if gap else (GOOD, "meets it all" if both else "meets it")
    )
    polled = style.looks(["polling"])["polling"].colour
    columns = ((late, "p95_s", "95 % of updates within, s", 1.0), (empty, "empty_ratio", "empty answers, %", 100.0))
    for panel, column, heading, scale in columns:
        style.log_x(panel, frame["interval_s"])
        panel.plot(frame["interval_s"], frame[column] * scale, color=polled, linewidth=2.4)
        panel.set_title(heading)
        panel.set_xlabel("poll interval, s")
        panel.axvspan(low, high, color=colour, alpha=0.12, linewidth=0)
        tell(panel, high, word, colour)
    if (wanted_s := wanted.latency_s.get(QUANTILE)) is not None:
        late.axhline(wanted_s, color=GOAL, linestyle="--", linewidth=1.2)
    if wanted.empty_ratio is not None:
        empty.axhline(100 * wanted.empty_ratio, color=GOAL, linestyle="--", linewidth=1.2)
    style.log_y(late, frame["p95_s"])
    empty.set_ylim(0, 100)
    return Drawn(figure, title, f"{title}.", frame)


def hold(answer: Answer) -> Drawn:
    """Empty answers and requests of long polling against its hold, with the proxy's time-out."""
    frame = pareto.holds(answer)
    one, given = answer.long_polling, answer.asked.situation
    assert one is not None  # noqa: S101  drawn where long polling has costs
    hold_s = float(one.settings["long_polling.hold_s"])
    left = "practically no answer" if one.empty_ratio < NEVER else f"{percent(one.empty_ratio)} of answers"
    title = f"A hold of {seconds(hold_s)} leaves {left} empty, with {rate(one.requests_hz)} requests/s"
    subtitle = "Predicted for long polling; the ring is the recommended hold."
    figure, axes = style.frame(title, subtitle, panels=2, height_in=3.9)
    colour = style.looks(["polling", "long_polling"])["long_polling"].colour
    columns = (
        ("empty_ratio", "empty answers, %", 100.0, one.empty_ratio),
        ("requests_hz", "requests per second", 1.0, one.requests_hz),
    )
    for panel, (column, heading, scale, at) in zip(axes, columns, strict=True):
        style.log_x(panel, frame["hold_s"])
        panel.plot(frame["hold_s"], frame[column] * scale, color=colour, linewidth=2.4)
        ring(panel, hold_s, at * scale)
        panel.yaxis.set_major_formatter(FuncFormatter(style.plain_tick))
        panel.set_ylim(0, max(float(frame[column].max()) * scale * 1.12, 1e-6))
        panel.set_title(heading)
        panel.set_xlabel("hold, s")
        if given.proxy_s is not None and given.proxy_s < 1.4 * 120:
            panel.axvline(given.proxy_s, color=BAD, linestyle="--", linewidth=1.2)
            tell(panel, given.proxy_s, "the proxy cuts", BAD, left=True)
    if answer.asked.goals.empty_ratio is not None:
        axes[0].axhline(100 * answer.asked.goals.empty_ratio, color=GOAL, linestyle="--", linewidth=1.2)
    return Drawn(figure, title, f"{title}.", frame)


def sensitivity(answer: Answer) -> Drawn:
    """What if: the interval to set, the delay with today's interval, the cores of polling and of the choice."""
    cases = pareto.scenarios(answer)
    goal: str | float = next(iter(answer.asked.goals.latency_s), QUANTILE)
    kinds = [(case.name, kind_of(case.best)) for case in cases]
    other = [f"{name} ({kind})" for name, kind in kinds if kind != kinds[0][1]]
    changes = f"it changes with {' and with '.join(other)}" if other else "none of these changes it"
    title = f"The choice today is {named(cases[0].best)}: {changes}"
    figure, axes = style.frame(title, "One thing changed at a time; upright: what is asked.", panels=3, height_in=3.7)
    looks = style.looks(["polling", "choice"])
    setting = [float(case.polling.settings["polling.interval_s"]) for case in cases]
    today = [case.old_interval.latency_s(goal) for case in cases]
    polled = [case.polling.demand.cores.value for case in cases]
    taken = [case.best.demand.cores.value for case in cases]
    wanted = [case.goals.latency_s.get(goal, math.nan) for case in cases]
    _bars(axes[0], setting, looks["polling"].colour)
    _bars(axes[1], today, looks["polling"].colour)
    _bars(axes[2], polled, looks["polling"].colour, 0.18, label="polling")
    names = [case.best.label for case in cases]
    _bars(axes[2], taken, looks["choice"].colour, -0.18, label="our choice then", names=names)
    headings = ("poll interval to set, s", f"{name_of(goal)} with today's interval, s", "server cores")
    for panel, heading, values in zip(axes, headings, (setting, [*today, *wanted], [*polled, *taken]), strict=True):
        panel.set_title(heading)
        panel.set_yticks([-place for place in range(len(cases))], [""] * len(cases))
        panel.grid(visible=False, axis="y")
        panel.set_xlim(0, 1.3 * max((value for value in values if math.isfinite(value)), default=1.0))
    axes[0].set_yticklabels([case.name for case in cases])
    for place, wanted_s in enumerate(wanted):
        axes[1].plot([wanted_s, wanted_s], [-place - 0.36, -place + 0.36], color=GOAL, linewidth=2)
    axes[2].legend(loc="lower right", fontsize=8.5, frameon=True, facecolor=style.PAPER, edgecolor=style.GRID)
    columns = (
        ("what_if", [case.name for case in cases]), ("interval_s", setting), ("latency_today_s", today),
        ("asked_s", wanted), ("empty_ratio_today", [case.old_interval.empty_ratio for case in cases]),
        ("polling_cores", polled), ("choice", [named(case.best) for case in cases]), ("choice_cores", taken),
    )  # fmt: skip
    return Drawn(figure, title, f"{title}.", pd.DataFrame(dict(columns)))


def _bars(
    panel: Axes, values: Sequence[float], colour: str, shift: float = 0.0, *, label: str = "",
    names: Sequence[str] = (),
) -> None:  # fmt: skip
    """A bar for each case, from the top down, with its figure and perhaps its name."""
    places = [shift - place for place in range(len(values))]
    panel.barh(places, values, color=colour, height=0.34 if shift else 0.55, alpha=0.85, label=label or None)
    for i, (place, value) in enumerate(zip(places, values, strict=True)):
        text = f"{value:.3g}, {names[i]}" if names else f"{value:.3g}"
        panel.annotate(
            text, (value, place), xytext=(4, 0), textcoords="offset points", va="center", size=9, path_effects=_HALO
        )


def choices_table(found: tuple[Choice, ...]) -> pd.DataFrame:
    """All choices, a row each."""
    return pd.DataFrame([pareto.row(one) for one in found])
