"""The tuner's charts: freshness against cost, the interval swept, the hold swept, and what if things change.

The rule it keeps: a chart is read by somebody who has never seen one: its title says what was found, axes say what they
count and in which unit, what is asked is a line with its name, what is too late or too empty lies in grey, and the
choice is a ring with its name.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patches import Patch
from matplotlib.patheffects import withStroke
from matplotlib.ticker import FuncFormatter

from analysis import pareto, style, tuner
from analysis.costs import Estimate
from analysis.drawn import Drawn
from analysis.pareto import Scenario
from analysis.predict import PROXY_SHARE, Choice, seconds
from analysis.prose import listing
from analysis.regime import kind_of
from analysis.tune_text import NEVER, named, percent, rate
from analysis.tuner import Answer
from analysis.tuning import LONGEST_HOLD_S, QUANTILE, SAFE_HOLD_S, best_interval_s

GOAL, GOOD, BAD = "#7a3fa0", "#0a6b3d", "#b3261e"
# One colour, one meaning on all of the page: polling in every form is vermilion, long polling gold, push blue.
COLOURS = {"polling": "#d55e00", "long polling": "#e69f00", "push": "#0072b2"}
HALO = [withStroke(linewidth=3, foreground=style.PAPER)]


def ring(panel: Axes, x: float, y: float, name: str = "") -> None:
    """Mark what is chosen, and name it on the side where there is room; without a name others name it."""
    panel.plot(x, y, "o", markersize=13, markerfacecolor="none", color=style.INK, markeredgewidth=2, clip_on=False)
    if not name:
        return
    across, up = (panel.transData + panel.transAxes.inverted()).transform((x, y))
    right, above = across < 0.55, up < 0.85
    panel.annotate(
        name, (x, y), xytext=(0, 13 if above else -13), textcoords="offset points", ha="left" if right else "right",
        va="bottom" if above else "top", size=9.5, weight="bold", path_effects=HALO, annotation_clip=False, zorder=9,
    )  # fmt: skip


def tell(panel: Axes, at: float, text: str, colour: str, *, left: bool = False, low: bool = False) -> None:
    """Name an upright line, at its top or at its foot."""
    panel.annotate(
        text, (at, 0.03 if low else 0.985), xycoords=("data", "axes fraction"), xytext=(-4 if left else 4, 0),
        va="bottom" if low else "top", color=colour, textcoords="offset points", ha="right" if left else "left",
        size=9.5, path_effects=HALO, zorder=8,
    )  # fmt: skip


def line(panel: Axes, at: float, text: str, *, across: float = 0.99) -> None:
    """A level line with its name, which ends ``across`` (0 … 1): what is asked."""
    panel.axhline(at, color=GOAL, linewidth=1.4, linestyle="--", zorder=2)
    panel.annotate(
        text, (across, at), xycoords=("axes fraction", "data"), xytext=(0, 3), textcoords="offset points",
        ha="right", va="bottom", size=9.5, color=GOAL, path_effects=HALO, zorder=8,
    )  # fmt: skip


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
    polled = COLOURS["polling"]
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
        ring(panel, chosen_s, y, f"{'every' if fixed.meets else 'nearest: every'} {seconds(chosen_s)}")
    if (wanted_s := wanted.latency_s.get(QUANTILE)) is not None:
        line(late, wanted_s, f"asked: {seconds(wanted_s)}", across=0.22)
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
            color=GOOD, size=9.5, path_effects=HALO, zorder=8,
        )  # fmt: skip
        return
    panel.axvspan(most, least, color=BAD, alpha=0.12, linewidth=0)
    gap = "\n" if math.log(most / low) < 0.42 * math.log(high / low) else " "  # near the edge there is little room
    tell(panel, most, f"fresh enough{gap}up to {seconds(longest_s)}", GOOD, left=True)
    if not empty:
        return
    if least < high:
        tell(panel, least, f"few empty from {seconds(shortest_s)}", GOOD)
    panel.annotate(
        f"{seconds(longest_s)} to {seconds(shortest_s)}: neither", (math.sqrt(least * most), 0.85),
        xycoords=("data", "axes fraction"), ha="center", va="center", color=BAD,
        size=9.5, path_effects=HALO, zorder=8,
    )  # fmt: skip


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
        " empty. A longer hold saves requests, until something between cuts the silent connection. "
        f"{_why_hold(answer, hold_s)}"
    )
    figure, axes = style.frame(title, subtitle, panels=2, height_in=3.9)
    colour = COLOURS["long polling"]
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
            panel.axvline(given.proxy_s, color=style.MUTED, linestyle=":", linewidth=1.8)
            tell(panel, given.proxy_s, f"the proxy cuts at {seconds(given.proxy_s)}", style.MUTED, left=True)
    if (most := answer.asked.goals.empty_ratio) is not None:
        line(axes[0], 100 * most, f"asked: at most {percent(most)}", across=0.75)
    return Drawn(figure, title, f"{title}.", frame)


def _why_hold(answer: Answer, hold_s: float) -> str:
    """Where the hold comes from."""
    proxy_s = answer.asked.situation.proxy_s
    if math.isclose(hold_s, SAFE_HOLD_S):
        return f"{seconds(SAFE_HOLD_S)} is what RFC 6202, section 5.5, calls safe."
    if proxy_s is not None and math.isclose(hold_s, PROXY_SHARE * proxy_s):
        return f"{seconds(hold_s)} is {PROXY_SHARE:.0%} of what the proxy allows."
    return f"{seconds(hold_s)} is what the share of empty answers asks for, at most {seconds(LONGEST_HOLD_S)}."


def sensitivity(answer: Answer) -> Drawn:
    """What if: the poll interval to set, its empty answers, and the price of polling and of the choice."""
    cases = pareto.scenarios(answer)
    title = _what_if_title(answer, cases)
    figure, axes = style.frame(
        title, "One thing is changed at a time, the rest stays as it is. Purple marks: what is asked. Thin lines: what"
        " the measured costs allow.", panels=3, height_in=4.2,
    )  # fmt: skip
    kinds = [kind_of(case.best) for case in cases]
    taken = [Patch(color=COLOURS[kind], label=f"{kind}, where we would choose it") for kind in dict.fromkeys(kinds)
             if kind != "polling"]  # fmt: skip
    style.key(figure, [Patch(color=COLOURS["polling"], label="polling at a fixed interval"), *taken])
    setting = [float(case.polling.settings["polling.interval_s"]) for case in cases]
    empty = [100 * case.polling.empty_ratio for case in cases]
    thousands = [case.clients / 1000 for case in cases]
    polled = [case.polling.demand.hourly.times(1 / many) for case, many in zip(cases, thousands, strict=True)]
    chosen = [case.best.demand.hourly.times(1 / many) for case, many in zip(cases, thousands, strict=True)]
    ours = [COLOURS["polling"]] * len(cases)
    _bars(axes[0], setting, ours)
    _bars(axes[1], empty, ours)
    _bars(axes[2], [one.value for one in polled], ours, 0.18, ranges=polled)
    _bars(axes[2], [one.value for one in chosen], [COLOURS[kind] for kind in kinds], -0.18, ranges=chosen,
          names=[case.best.label for case in cases])  # fmt: skip
    headings = ("Poll interval to set, s", "Of its answers\nbring nothing, %", "Price an hour,\nper 1,000 clients")
    prices = [one.high if math.isfinite(one.high) else one.value for one in (*polled, *chosen)]
    for panel, heading, values in zip(axes, headings, (setting, empty, prices), strict=True):
        panel.set_title(heading)
        panel.set_yticks([-place for place in range(len(cases))], [""] * len(cases))
        panel.grid(visible=False, axis="y")
        panel.set_ylim(0.55 - len(cases), 0.45)
        most = max((value for value in values if math.isfinite(value)), default=1.0)
        most = max(most, 1.0) if panel is axes[1] else most
        panel.set_xlim(0, (1.9 if panel is axes[2] else 1.35) * (most or 1.0))
    axes[0].set_yticklabels([case.name for case in cases])
    if (most_empty := answer.asked.goals.empty_ratio) is not None:
        low, high = axes[1].get_xlim()
        axes[1].set_xlim(low, max(high, 130 * most_empty))
        for place in range(len(cases)):
            axes[1].plot([100 * most_empty] * 2, [-place - 0.36, -place + 0.36], color=GOAL, linewidth=2.5)
    return Drawn(figure, title, f"{title}.", _what_if_table(answer, cases))


def _what_if_title(answer: Answer, cases: Sequence[Scenario]) -> str:
    """The choice of today, what it cannot be told from, and what becomes of it."""
    kinds = [(case.name, kind_of(case.best)) for case in cases]
    others: dict[str, list[str]] = {}
    for name, kind in kinds:
        if kind != kinds[0][1]:
            others.setdefault(kind, []).append(f"when {name}")
    other = listing(f"{kind} {listing(when, 'or')}" for kind, when in others.items())
    changes = f"it becomes {other}" if other else "none of these changes it"
    rivals = listing((one.label for one in answer.rivals), "or")
    tie = f" (or {rivals}: the costs cannot tell)" if rivals else ""
    return f"Today's choice is {named(cases[0].best)}{tie}; {changes}"


def _what_if_table(answer: Answer, cases: Sequence[Scenario]) -> pd.DataFrame:
    """The cases, a row each."""
    goal: str | float = next(iter(answer.asked.goals.latency_s), QUANTILE)
    return pd.DataFrame(
        {
            "what_if": case.name, "interval_s": float(case.polling.settings["polling.interval_s"]),
            "empty_ratio": case.polling.empty_ratio, "latency_today_s": case.old_interval.latency_s(goal),
            "asked_s": case.goals.latency_s.get(goal, math.nan), "empty_ratio_today": case.old_interval.empty_ratio,
            "polling_cores": case.polling.demand.cores.value, "polling_hourly": case.polling.demand.hourly.value,
            "choice": named(case.best), "choice_cores": case.best.demand.cores.value,
            "choice_hourly": case.best.demand.hourly.value,
        }
        for case in cases
    )  # fmt: skip


NEXT_TO_NOTHING = 1e-6  # a bar of a share of answers that nobody will ever see


def _bars(
    panel: Axes, values: Sequence[float], colours: Sequence[str], shift: float = 0.0, *,
    names: Sequence[str] = (), ranges: Sequence[Estimate] = (),
) -> None:  # fmt: skip
    """A bar for each case, from the top down, with its figure, perhaps its interval and its name."""
    places = [shift - place for place in range(len(values))]
    panel.barh(places, values, color=list(colours), height=0.34 if shift else 0.55, alpha=0.85)
    for i, (place, value) in enumerate(zip(places, values, strict=True)):
        end = value
        if ranges and math.isfinite(ranges[i].low) and math.isfinite(ranges[i].high):
            panel.plot(ranges[i][1:], [place, place], color=style.INK, linewidth=1.2)
            end = max(value, ranges[i].high)
        said = f"{value:.3g}" if not value < NEXT_TO_NOTHING else "0"
        text = f"{said}, {names[i]}" if names else said
        panel.annotate(
            text, (end, place), xytext=(4, 0), textcoords="offset points", va="center", size=9, path_effects=HALO
        )


def choices_table(found: tuple[Choice, ...]) -> pd.DataFrame:
    """All choices, a row each."""
    return pd.DataFrame([tuner.row(one) for one in found])
