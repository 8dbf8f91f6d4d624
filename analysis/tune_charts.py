"""The tuner's charts: freshness against cost, the interval swept, the hold swept, and what if things change.

The rule it keeps: a chart is read by somebody who has never seen one: its title says what was found, axes say what they
count and in which unit, what is asked is a line with its name, what is too late or too empty lies in grey, and the
choice is a ring with its name.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.patheffects import withStroke
from matplotlib.ticker import FuncFormatter

from analysis import pareto, style, tuner
from analysis.drawn import Drawn
from analysis.predict import Choice, seconds
from analysis.prose import listing
from analysis.regime import kind_of
from analysis.tune_text import NEVER, named, percent, rate
from analysis.tuner import Answer
from analysis.tuning import QUANTILE, best_interval_s

GOAL, GOOD, BAD = "#7a3fa0", "#0a6b3d", "#b3261e"
_HALO = [withStroke(linewidth=3, foreground=style.PAPER)]
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
        " line joins those that no other beats in both (the Pareto front)."
    )
    figure, axes = style.frame(title, subtitle, panels=len(PANELS), height_in=7.4, columns=2)
    looks = style.looks(tuner.FAMILIES.values())
    shown = [name for name in tuner.FAMILIES.values() if name in set(frame["family"])]
    marks = [
        Line2D([], [], color=looks[name].colour, marker=looks[name].marker, markersize=5, linewidth=1.2, label=name)
        for name in shown
    ]
    style.key(figure, [*marks, Line2D([], [], color=style.MUTED, alpha=0.35, linewidth=6, label="not to be beaten")])
    for axis, panel in zip(axes, PANELS, strict=True):
        _tradeoff_panel(answer, axis, panel, frame, looks)
    sentence = f"{len(frame)} settings; ours is {named(answer.best)}, p95 {seconds(answer.best.quantiles_s[QUANTILE])}."
    return Drawn(figure, title, sentence, frame)


def _tradeoff_panel(
    answer: Answer, axis: Axes, panel: Panel, frame: pd.DataFrame, looks: dict[str, style.Look]
) -> None:
    best = answer.best
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
        look = looks[str(name)]
        axis.plot(
            group["p95_s"], group["y"], marker=look.marker, color=look.colour, markersize=4, linewidth=1.2,
            linestyle="-" if str(name) in _SWEPT else "none", alpha=0.9,
        )  # fmt: skip
    y = {"cores": best.demand.cores.value, "down_bps": best.demand.down_bps.value}.get(panel.column)
    y = getattr(best, panel.column) if y is None else y
    y = max(y * panel.scale, lowest) if math.isfinite(y) and y else lowest
    ring(axis, best.quantiles_s[QUANTILE], y, f"our choice: {best.label}")
    axis.set_title(panel.heading)
    axis.set_xlabel(FRESHNESS)


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


def ring(panel: Axes, x: float, y: float, name: str) -> None:
    """Mark what is chosen, and name it on the side where there is room."""
    panel.plot(x, y, "o", markersize=13, markerfacecolor="none", color=style.INK, markeredgewidth=2, clip_on=False)
    across, up = (panel.transData + panel.transAxes.inverted()).transform((x, y))
    right, above = across < 0.55, up < 0.85
    panel.annotate(
        name, (x, y), xytext=(0, 13 if above else -13), textcoords="offset points", ha="left" if right else "right",
        va="bottom" if above else "top", size=9.5, weight="bold", path_effects=_HALO, annotation_clip=False, zorder=9,
    )  # fmt: skip


def tell(panel: Axes, at: float, text: str, colour: str, *, left: bool = False, low: bool = False) -> None:
    """Name an upright line, at its top or at its foot."""
    panel.annotate(
        text, (at, 0.03 if low else 0.985), xycoords=("data", "axes fraction"), xytext=(-4 if left else 4, 0),
        va="bottom" if low else "top", color=colour, textcoords="offset points", ha="right" if left else "left",
        size=9.5, path_effects=_HALO, zorder=8,
    )  # fmt: skip


def line(panel: Axes, at: float, text: str, *, left: bool = False) -> None:
    """A level line with its name at one end: what is asked."""
    panel.axhline(at, color=GOAL, linewidth=1.4, linestyle="--", zorder=2)
    panel.annotate(
        text, (0.01 if left else 0.99, at), xycoords=("axes fraction", "data"), xytext=(0, 3),
        textcoords="offset points", ha="left" if left else "right",
        va="bottom", size=9.5, color=GOAL, path_effects=_HALO, zorder=8,
    )  # fmt: skip


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


def _tradeoff_title(answer: Answer) -> str:
    best, fixed = answer.best, answer.polling
    fresh = seconds(best.quantiles_s[QUANTILE])
    if fixed is None or best is fixed:
        return f"{named(best)}: the cheapest way to have 95 % of updates within {fresh}"
    part = best.demand.cores.value / fixed.demand.cores.value
    compared = f"{part:.2g} times the server cores" if math.isfinite(part) else "unknown cores"
    return (
        f"{named(best)}: 95 % of updates within {fresh}, for {compared} that polling takes for"
        f" {seconds(fixed.quantiles_s[QUANTILE])}"
    )


def interval(answer: Answer) -> Drawn:
    """P95 and empty ratio against the interval, and the window of intervals that meets each goal, or the gap."""
    frame = pareto.intervals(answer)
    fixed = answer.polling
    assert fixed is not None  # noqa: S101  drawn where polling has costs
    bounds = best_interval_s(answer.asked.situation, answer.asked.goals)
    wanted = answer.asked.goals
    title = _interval_title(answer, *bounds)
    figure, (late, empty) = style.frame(
        title, "What every fixed poll interval would give. Both lines cannot be low at once: asking less often leaves"
        " updates waiting, asking more often finds nothing.", panels=2, height_in=4.1,
    )  # fmt: skip
    polled = style.looks(["polling"])["polling"].colour
    chosen_s = float(fixed.settings["polling.interval_s"])
    columns = (
        (late, "p95_s", "95 % of updates are there within, s", 1.0, fixed.quantiles_s[QUANTILE]),
        (empty, "empty_ratio", "Answers that bring nothing, %", 100.0, 100 * fixed.empty_ratio),
    )
    for panel, column, heading, scale, y in columns:
        style.log_x(panel, frame["interval_s"])
        panel.plot(frame["interval_s"], frame[column] * scale, color=polled, linewidth=2.4)
        if column == "p95_s":
            style.log_y(panel, frame["p95_s"])
        else:
            panel.set_ylim(0, 105)
        panel.set_title(heading)
        panel.set_xlabel("poll interval: every client asks every … s")
        _zones(panel, answer, *bounds)
        ring(panel, chosen_s, y, f"every {seconds(chosen_s)}")
    if (wanted_s := wanted.latency_s.get(QUANTILE)) is not None:
        line(late, wanted_s, f"asked: {seconds(wanted_s)}")
    if wanted.empty_ratio is not None:
        line(empty, 100 * wanted.empty_ratio, f"asked: at most {percent(wanted.empty_ratio)}")
    return Drawn(figure, title, f"{title}.", frame)


def _interval_title(answer: Answer, shortest_s: float, longest_s: float) -> str:
    wanted = answer.asked.goals
    both = bool(wanted.latency_s) and wanted.empty_ratio is not None
    shortest, longest = seconds(shortest_s), seconds(longest_s)
    if longest_s < answer.asked.situation.round_trip_s:
        return "No poll interval is fresh enough: it would be shorter than a round trip"
    if longest_s < shortest_s:
        return f"No fixed interval meets both: fresh up to {longest}, few empty answers from {shortest} on"
    if math.isinf(longest_s):
        return f"Few enough answers are empty from {shortest} on"
    if both:
        return f"Polling meets the goals with intervals from {shortest} to {longest}"
    return f"Polling is fresh enough with intervals up to {longest}: the longest asks least"


def _zones(panel: Axes, answer: Answer, shortest_s: float, longest_s: float) -> None:
    """Shade the intervals that meet every goal green, a gap between the goals red; name what lies on either side."""
    low, high = panel.get_xlim()
    fresh, empty = answer.asked.goals.latency_s, answer.asked.goals.empty_ratio is not None
    least, most = (min(max(at, low), high) for at in (shortest_s if empty else low, longest_s if fresh else high))
    if least <= most:
        panel.axvspan(least, most, color=GOOD, alpha=0.12, linewidth=0)
        panel.annotate(
            "meets what is asked", (math.sqrt(least * most), 0.04), xycoords=("data", "axes fraction"), ha="center",
            color=GOOD, size=9.5, path_effects=_HALO, zorder=8,
        )  # fmt: skip
        return
    panel.axvspan(most, least, color=BAD, alpha=0.12, linewidth=0)
    tell(panel, most, "fresh enough", GOOD, left=True)
    if not empty:
        return
    if least < high:
        tell(panel, least, "few enough empty", GOOD)
    if math.log(least / most) > 0.3 * math.log(high / low):
        tell(panel, most, "meets neither", BAD, low=True)
    else:
        tell(panel, most, "between them: neither", BAD, left=True, low=True)


def hold(answer: Answer) -> Drawn:
    """Empty answers and requests of long polling against its hold, with the proxy's time-out."""
    frame = pareto.holds(answer)
    one, given = answer.long_polling, answer.asked.situation
    assert one is not None  # noqa: S101  drawn where long polling has costs
    hold_s = float(one.settings["long_polling.hold_s"])
    left = "practically no answer" if one.empty_ratio < NEVER else f"{percent(one.empty_ratio)} of answers"
    title = (
        f"Long polling with a hold of {seconds(hold_s)} leaves {left} empty, with {rate(one.requests_hz)} requests/s"
    )
    subtitle = (
        "A long poll waits at the server until there is an update, or until the hold has passed and it is answered"
        " empty. A longer hold saves requests; updates are as fresh with any."
    )
    figure, axes = style.frame(title, subtitle, panels=2, height_in=3.9)
    colour = style.looks(["polling", "long_polling"])["long_polling"].colour
    columns = (
        ("empty_ratio", "Answers that bring nothing, %", 100.0, one.empty_ratio),
        ("requests_hz", "Requests per second, of all clients", 1.0, one.requests_hz),
    )
    for panel, (column, heading, scale, at) in zip(axes, columns, strict=True):
        style.log_x(panel, frame["hold_s"])
        panel.plot(frame["hold_s"], frame[column] * scale, color=colour, linewidth=2.4)
        panel.yaxis.set_major_formatter(FuncFormatter(style.plain_tick))
        # a busy feed leaves hardly an answer empty: what is asked for is on the axis all the same
        least = max(1.0, 130 * (answer.asked.goals.empty_ratio or 0.0)) if column == "empty_ratio" else 1e-6
        panel.set_ylim(0, max(float(frame[column].max()) * scale * 1.12, least))
        ring(panel, hold_s, at * scale, f"hold {seconds(hold_s)}")
        panel.set_title(heading)
        panel.set_xlabel("hold: a question waits at the server for up to … s")
        if given.proxy_s is not None and given.proxy_s < 1.4 * 120:
            panel.axvspan(given.proxy_s, panel.get_xlim()[1], color=style.BAND, alpha=0.7, linewidth=0, zorder=0)
            panel.axvline(given.proxy_s, color=BAD, linestyle="--", linewidth=1.2)
            tell(panel, given.proxy_s, f"a proxy cuts at {seconds(given.proxy_s)}", BAD, left=True)
    if (most := answer.asked.goals.empty_ratio) is not None:
        line(axes[0], 100 * most, f"asked: at most {percent(most)}", left=True)
    return Drawn(figure, title, f"{title}.", frame)


def sensitivity(answer: Answer) -> Drawn:
    """What if: the interval to set, the delay with today's interval, the cores of polling and of the choice."""
    cases = pareto.scenarios(answer)
    goal: str | float = next(iter(answer.asked.goals.latency_s), QUANTILE)
    kinds = [(case.name, kind_of(case.best)) for case in cases]
    others: dict[str, list[str]] = {}
    for name, kind in kinds:
        if kind != kinds[0][1]:
            others.setdefault(kind, []).append(f"when {name}")
    other = listing(f"{kind} {listing(when, 'or')}" for kind, when in others.items())
    changes = f"it becomes {other}" if other else "none of these changes it"
    title = f"Today's choice is {named(cases[0].best)}; {changes}"
    figure, axes = style.frame(
        title, "One thing is changed at a time, the rest stays as it is. Purple marks: what is asked then.", panels=3,
        height_in=3.9,
    )  # fmt: skip
    polled, taken = (style.looks(("polling", "", "choice"))[name].colour for name in ("polling", "choice"))
    style.key(
        figure,
        [
            Patch(color=polled, label="polling at a fixed interval"),
            Patch(color=taken, label="what we would choose then"),
        ],
    )
    setting = [float(case.polling.settings["polling.interval_s"]) for case in cases]
    today = [case.old_interval.latency_s(goal) for case in cases]
    cores = {"polling": [case.polling.demand.cores.value for case in cases],
             "choice": [case.best.demand.cores.value for case in cases]}  # fmt: skip
    wanted = [case.goals.latency_s.get(goal, math.nan) for case in cases]
    _bars(axes[0], setting, polled)
    _bars(axes[1], today, polled)
    _bars(axes[2], cores["polling"], polled, 0.18)
    _bars(axes[2], cores["choice"], taken, -0.18, names=[case.best.label for case in cases])
    late = (
        f"{100 * goal:g} % come within"
        if isinstance(goal, float)
        else {"mean": "they come, on average, in"}.get(goal, "all come within")
    )
    headings = ("Poll interval to set, s", f"With today's interval,\n{late}, s", "Server cores kept busy")
    for panel, heading, values in zip(
        axes, headings, (setting, [*today, *wanted], [*cores["polling"], *cores["choice"]]), strict=True
    ):
        panel.set_title(heading)
        panel.set_yticks([-place for place in range(len(cases))], [""] * len(cases))
        panel.grid(visible=False, axis="y")
        panel.set_xlim(
            0,
            (1.75 if panel is axes[2] else 1.35)
            * max((value for value in values if math.isfinite(value)), default=1.0),
        )
    axes[0].set_yticklabels([case.name for case in cases])
    for place, wanted_s in enumerate(wanted):
        axes[1].plot([wanted_s, wanted_s], [-place - 0.36, -place + 0.36], color=GOAL, linewidth=2.5)
    columns = (
        ("what_if", [case.name for case in cases]), ("interval_s", setting), ("latency_today_s", today),
        ("asked_s", wanted), ("empty_ratio_today", [case.old_interval.empty_ratio for case in cases]),
        ("polling_cores", cores["polling"]), ("choice", [named(case.best) for case in cases]),
        ("choice_cores", cores["choice"]),
    )  # fmt: skip
    return Drawn(figure, title, f"{title}.", pd.DataFrame(dict(columns)))


def _bars(panel: Axes, values: Sequence[float], colour: str, shift: float = 0.0, *, names: Sequence[str] = ()) -> None:
    """A bar for each case, from the top down, with its figure and perhaps its name."""
    places = [shift - place for place in range(len(values))]
    panel.barh(places, values, color=colour, height=0.34 if shift else 0.55, alpha=0.85)
    for i, (place, value) in enumerate(zip(places, values, strict=True)):
        text = f"{value:.3g}, {names[i]}" if names else f"{value:.3g}"
        panel.annotate(
            text, (value, place), xytext=(4, 0), textcoords="offset points", va="center", size=9, path_effects=_HALO
        )


def choices_table(found: tuple[Choice, ...]) -> pd.DataFrame:
    """All choices, a row each."""
    return pd.DataFrame([tuner.row(one) for one in found])
