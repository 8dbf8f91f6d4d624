"""The charts that compare transports on a reader's own numbers: who is fresh, who cheap, what flips.

The rule it keeps: every figure is drawn from an ``Answer``; what misses a goal is pale, and where the measured costs
cannot tell, that is drawn too.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patches import Patch
from matplotlib.ticker import NullLocator

from analysis import charts_regime, style, units
from analysis.charts_regime import regime_map
from analysis.demand import Prices, priced
from analysis.drawn import Drawn
from analysis.flips import FURTHEST, NONE, Flip
from analysis.predict import Choice, seconds
from analysis.prose import listing
from analysis.regime import BROWSERS, KINDS, kind_of, regimes
from analysis.tune_charts import GOAL, tell
from analysis.tune_text import flipping as flipping_text
from analysis.tune_text import named
from analysis.tuner import Answer, adapts, row
from analysis.tuning import QUANTILE

# Greys and teal: the colours of polling, long polling and push mean these and nothing else.
PARTS = (("cores", "core_hour", "#16505c"), ("memory", "gib_hour", "#8a939c"), ("bytes sent", "gb_sent", "#8fc1c4"))
MAP_RATES, MAP_STALENESS = 41, 31  # points of the map: enough for a border that one reads by eye


def freshness(answer: Answer) -> Drawn:
    """Mean, p95 and longest latency of each transport with its best setting, beside the goal."""
    found = answer.found[::-1]
    goal_s = answer.asked.goals.latency_s.get(QUANTILE, math.nan)
    fresh = [one for one in answer.found if not one.quantiles_s[QUANTILE] > goal_s * 1.001]
    if len(fresh) == len(found):
        title = f"Everyone can be fresh enough: p95 at most {seconds(goal_s)}"
    else:
        title = f"{len(fresh)} of {len(found)} are fresh enough: p95 at most {seconds(goal_s)}"
    figure, (axes,) = style.frame(title, "Mean (bar), p95 (dot) and longest wait (line), predicted.", height_in=3.6)
    looks = style.looks(dict.fromkeys(one.label for one in answer.found))
    style.log_x(axes, [value for one in found for value in (one.mean_s, one.max_s)] + [goal_s])
    for place, one in enumerate(found):
        colour = looks[one.label].colour if not adapts(one) else style.MUTED
        axes.barh(place, one.mean_s, color=colour, alpha=0.35, height=0.5)
        axes.plot([one.mean_s, one.max_s], [place, place], color=colour, linewidth=1.6)
        axes.plot(one.quantiles_s[QUANTILE], place, "o", color=colour)
    axes.axvline(goal_s, color=GOAL, linestyle="--", linewidth=1.4)
    tell(axes, goal_s, "your goal", GOAL, left=True)
    _label_rows(axes, found)
    axes.set_xlabel("delivery latency, s")
    table = pd.DataFrame([row(one) for one in answer.found])
    best = min(answer.found, key=lambda one: (one.quantiles_s[QUANTILE], one.mean_s))
    sentence = f"The freshest is {named(best)}, p95 {seconds(best.quantiles_s[QUANTILE])}."
    return Drawn(figure, title, sentence, table)


def paying(answer: Answer) -> Drawn:
    """What each transport costs an hour, in cores, memory and bytes sent, with the interval the measurements allow."""
    found = answer.found[::-1]
    best = answer.best
    title = f"{'Cheapest of what meets your goals' if best.meets else 'Nearest to your goals'}: {named(best)}"
    if answer.rivals:
        title += f", or {listing((named(one) for one in answer.rivals), 'or')} (the costs cannot tell)"
    core, gib, gb = answer.asked.prices
    subtitle = (
        f"All clients for an hour, in the currency of these prices: a core-hour {core:g}, a GiB-hour of memory {gib:g},"
        f" a GB sent {gb:g}. Line: what the costs' 95 % intervals allow. Pale: misses a goal."
    )
    figure, (axes,) = style.frame(title, subtitle, height_in=3.6)
    for place, one in enumerate(found):
        left = 0.0
        for word, field, colour in PARTS:
            only = Prices(0, 0, 0)._replace(**{field: getattr(answer.asked.prices, field)})
            part = priced(one.demand, only).hourly.value
            label = word if place == 0 else None
            axes.barh(place, part, left=left, color=colour, height=0.55, alpha=0.85 if one.meets else 0.25, label=label)
            left += part
        hourly = one.demand.hourly
        axes.plot([hourly.low, hourly.high], [place, place], "|-", color=style.INK, linewidth=1.6, markersize=9)
        axes.annotate(
            units.ranged(hourly), (max(hourly.value, hourly.high), place), (6, 0), textcoords="offset points",
            va="center", size=9.5, weight="bold" if one is best else "normal",
        )  # fmt: skip
    axes.set_xlim(0, 1.5 * max(max(one.demand.hourly.high, one.demand.hourly.value) for one in found))
    _label_rows(axes, found)
    handles = [Patch(color=colour, label=word) for word, _, colour in PARTS]
    style.key(figure, handles)
    axes.set_xlabel("price an hour, in the currency of your prices")
    table = pd.DataFrame([row(one) for one in answer.found])
    rivals = listing(named(one) for one in answer.rivals)
    apart = f" The measured costs cannot tell it from {rivals}." if rivals else ""
    return Drawn(figure, title, f"{named(best)} costs {units.ranged(best.demand.hourly)} an hour.{apart}", table)


def _label_rows(axes: Axes, found: Sequence[Choice]) -> None:
    axes.set_yticks(range(len(found)), [_short(one) for one in found])
    axes.tick_params(axis="y", labelcolor=style.INK, length=0)
    axes.grid(visible=False, axis="y")
    axes.yaxis.set_minor_locator(NullLocator())


def _short(one: Choice) -> str:
    """A choice as a row's label."""
    return f"{one.label}\n{one.settings['polling.policy']}" if adapts(one) else named(one).replace(", ", "\n", 1)


def mapped(answer: Answer) -> Drawn:
    """The regime map of the reader's clients, network and prices, with the reader on it."""
    given, wanted_s = answer.asked.situation, answer.asked.goals.latency_s.get(QUANTILE, 1.0)
    rates = np.geomspace(min(1e-3, given.rate_hz / 3), max(100.0, given.rate_hz * 3), MAP_RATES)
    staleness = np.geomspace(min(0.05, wanted_s / 3), max(300.0, wanted_s * 3), MAP_STALENESS)
    found = regimes(given, answer.asked.costs, prices=answer.asked.prices, rate_hz=rates, staleness_s=staleness)
    return regime_map(
        [("your clients, network and prices", found)], [charts_regime.Example("you", given.rate_hz, wanted_s)]
    )


# What would change it -----------------------------------------------------------------------------------------

# Of each flip's axis: its name with its unit, and in words that it grew or shrank.
AXES = {
    "rate": ("events/s of a client", "{} times as many events", "{} times fewer events"),
    "staleness": ("tolerated delay, s", "a delay {} times as long", "a delay {} times shorter"),
    "core_hour": ("a core-hour", "cores {} times as dear", "cores {} times cheaper"),
    "gib_hour": ("a GiB-hour", "memory {} times as dear", "memory {} times cheaper"),
    "gb_sent": ("a GB sent", "traffic {} times as dear", "traffic {} times cheaper"),
}


def flipping(answer: Answer) -> Drawn:
    """How far each thing must change before another kind of transport is chosen, and where the costs cannot tell."""
    now = kind_of(answer.best) if answer.best.meets else NONE
    nearest = min(answer.flips, key=lambda one: abs(math.log(one.factor)), default=None)
    title = f"Nothing here changes the choice, up to {FURTHEST:g} times more or less"
    if nearest is not None:
        by = f"{max(nearest.factor, 1 / nearest.factor):.3g}"
        _, more, less = AXES[nearest.axis]
        title = f"The nearest thing that changes the choice: {(more if nearest.factor > 1 else less).format(by)}"
    subtitle = (
        "One thing changed alone, from a thousandth to a thousand times; hatched: the measured costs cannot tell."
    )
    figure, (axes,) = style.frame(title, subtitle, height_in=3.4)
    looks = style.looks(BROWSERS)
    colours = {
        kind: looks[name].colour for kind, name in zip(KINDS, ("polling", "long_polling", "websocket"), strict=True)
    }
    colours[NONE] = style.BAND
    values = _now(answer)
    for place, name in enumerate(reversed(values)):
        here = sorted((one for one in answer.flips if one.axis == name), key=lambda one: one.factor)
        for low, high, kind in _stretches(here, now):
            axes.barh(place, high - low, left=low, color=colours[kind], alpha=0.6, height=0.6, linewidth=0)
        for one in here:
            low = max(one.low / values[name], 1 / FURTHEST)
            high = min(one.high / values[name], FURTHEST)
            axes.barh(place, high - low, left=low, color="none", edgecolor=style.MUTED, hatch="////", height=0.6, lw=0)
            axes.annotate(
                f"{one.value:.3g}", (one.factor, place), (0, 15), textcoords="offset points", ha="center", size=9,
                va="center",
            )  # fmt: skip
            axes.plot([one.factor, one.factor], [place - 0.3, place + 0.3], color=style.INK, linewidth=1.6)
    axes.set_xscale("log")
    axes.set_xlim(1 / FURTHEST, FURTHEST)
    style.log_x(axes, [1 / FURTHEST, FURTHEST], ticks=[0.001, 0.01, 0.1, 1, 10, 100, 1000])
    axes.axvline(1.0, color=style.INK, linewidth=1.2)
    axes.set_yticks(range(len(values)), [f"{AXES[name][0]}: now {values[name]:.3g}" for name in reversed(values)])
    axes.tick_params(axis="y", labelcolor=style.INK, length=0)
    axes.grid(visible=False, axis="y")
    axes.set_xlabel("times what it is now")
    used = {kind for name in values for _, _, kind in _stretches([f for f in answer.flips if f.axis == name], now)}
    handles = [Patch(color=colours[kind], alpha=0.6, label=_WORDS.get(kind, kind)) for kind in colours if kind in used]
    figure.legend(handles=handles, loc="outside lower center", ncols=4, fontsize=9.5, frameon=False)
    table = pd.DataFrame([{"axis": f.axis, "value": f.value, "factor": f.factor, "to": f.to} for f in answer.flips])
    return Drawn(figure, title, flipping_text(answer), table)


_WORDS = {NONE: "nothing meets the goals", "push": "push: SSE, WebSocket, STOMP"}


def _now(answer: Answer) -> dict[str, float]:
    """What the choice hangs on, by the names of the flips, with today's values."""
    asked = answer.asked
    now = {"rate": asked.situation.rate_hz, "staleness": next(iter(asked.goals.latency_s.values()), 0.0)}
    return {name: value for name, value in (now | asked.prices._asdict()).items() if value}


def _stretches(here: Sequence[Flip], now: str) -> Iterator[tuple[float, float, str]]:
    """The kinds chosen along one axis, as (from, to, kind) in factors of today's value."""
    below = max((one for one in here if one.factor < 1), key=lambda one: one.factor, default=None)
    above = min((one for one in here if one.factor > 1), key=lambda one: one.factor, default=None)
    low, high = (1 / FURTHEST if below is None else below.factor), (FURTHEST if above is None else above.factor)
    if below is not None:
        yield 1 / FURTHEST, low, below.to
    yield low, high, now
    if above is not None:
        yield high, FURTHEST, above.to
