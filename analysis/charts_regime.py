"""The regime map as a picture: where to poll, and where to push, by event rate and tolerated staleness.

The rule it keeps: a colour is a recommendation only where the measured costs can tell; where they cannot it is pale and
hatched, and says so on the spot. Well-known applications stand on the map as points, so that a reader finds his own.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.patheffects import withStroke
from matplotlib.ticker import FixedLocator, FuncFormatter, NullFormatter

from analysis import style
from analysis.drawn import Drawn
from analysis.prose import number
from analysis.regime import KINDS, Mask, Regimes
from analysis.tuning import Situation

_COLOURS = ("#d55e00", "#e69f00", "#0072b2")  # as the transports have them: polling, long polling, WebSocket
_WORDS = (
    "POLL\nclients ask at an interval",
    "LONG POLL\na question waits for its answer",
    "PUSH\nthe server tells at once (SSE, WebSocket)",
)
UNSURE = "too close to call"
_HALO = [withStroke(linewidth=3.5, foreground=style.PAPER)]
# Ticks as people say them: events per second of one client, and seconds of staleness.
_RATES = ((1e-3, "4 an\nhour"), (1e-2, "36 an\nhour"), (0.1, "6 a\nminute"), (1.0, "1 a\nsecond"),
          (10.0, "10 a\nsecond"), (100.0, "100 a\nsecond"))  # fmt: skip
_DELAYS = ((0.1, "0.1 s"), (1.0, "1 s"), (10.0, "10 s"), (60.0, "1 min"), (300.0, "5 min"))


@dataclass(frozen=True, slots=True)
class Example:
    """An application: events per second and client, and how late (p95, s) is too late."""

    name: str
    rate_hz: float
    staleness_s: float


EXAMPLES = (
    Example("price ticker", 10.0, 0.25),
    Example("chat room", 0.2, 0.5),
    Example("order status", 0.003, 5.0),
    Example("dashboard", 1.0, 10.0),
    Example("deploy notice", 0.0015, 60.0),
    Example("weather", 0.0017, 250.0),
)


def regime_map(maps: Sequence[tuple[str, Regimes]], examples: Sequence[Example] = EXAMPLES) -> Drawn:
    """Draw one map a panel, each under its heading; ``maps`` share their axes."""
    first = maps[0][1]
    title, sentence = _words(maps)
    subtitle = (
        "Find your application: how often one client gets an event (to the right: more often), and how late it may come"
        " (upwards: later). The colour is the cheapest way that is fresh enough, by measured server cores, memory and"
        " bytes."
    )
    notes = [
        (
            "Black line: both cost the same. Hatched: the measured costs are not precise enough to say which side is"
            " cheaper (their 95 % intervals overlap). Dots: typical applications. White: nothing is fresh"
            " enough."
        ),
        (
            f"For {first.situation.clients:,.0f} clients, {first.situation.payload_bytes} B an event, round trip"
            f" {1e3 * first.situation.rtt_s:g} ms; costs grow in proportion, so other numbers of clients have the same"
            f" borders. {first.source[0].upper()}{first.source[1:]}."
        ),
    ]
    figure, panels = style.frame(title, subtitle, panels=len(maps), height_in=5.6, notes=notes)
    for axes, (heading, regimes) in zip(panels, maps, strict=True):
        _panel(axes, heading, regimes, examples)
    panels[0].set_ylabel("how late 95 % of the events may come, at most")
    return Drawn(figure, title, sentence, table(maps))


def table(maps: Sequence[tuple[str, Regimes]]) -> pd.DataFrame:
    """Every point of the maps: what is best there, whether that is sure, and how much dearer the next kind is."""
    rows = [
        (heading, rate, wanted, KINDS[m.best[i, j]] if m.best[i, j] >= 0 else "none", m.sure[i, j], m.dearer[i, j])
        for heading, m in maps
        for i, wanted in enumerate(m.staleness_s)
        for j, rate in enumerate(m.rate_hz)
    ]
    return pd.DataFrame(rows, columns=["map", "rate_hz", "p95_s", "best", "sure", "next_kind_costs_times"])


def _panel(axes: Axes, heading: str, regimes: Regimes, examples: Sequence[Example]) -> None:
    x, y = regimes.rate_hz, regimes.staleness_s
    axes.set_title(heading)
    colours = np.array([(1.0, 1.0, 1.0), *(to_rgb(colour) for colour in _COLOURS)])
    picture = 1 - (1 - colours[regimes.best + 1]) * np.where(regimes.sure, 0.5, 0.2)[..., None]
    axes.pcolormesh(x, y, picture, shading="nearest", rasterized=True)
    with mpl.rc_context({"hatch.linewidth": 0.6, "hatch.color": style.MUTED}):
        axes.contourf(x, y, (~regimes.sure).astype(float), levels=[0.5, 1.5], colors="none", hatches=["////"])
    for kind in range(len(KINDS)):
        inside = (regimes.best == kind).astype(float)
        if 0 < inside.mean() < 1:
            axes.contour(x, y, inside, levels=[0.5], colors=[style.INK], linewidths=1.8)
    axes.set_xscale("log")
    axes.set_yscale("log")
    _ticks(axes, x, y)
    axes.grid(visible=False)
    axes.set_xlabel("how often one client gets an event, on average")
    shown = [one for one in examples if x[0] <= one.rate_hz <= x[-1] and y[0] <= one.staleness_s <= y[-1]]
    for one in shown:
        _example(axes, one, right=_leftwards(regimes, one))
    _name_regions(axes, regimes, shown)


def _ticks(axes: Axes, x: np.ndarray, y: np.ndarray) -> None:
    for axis, ticks, values in ((axes.xaxis, _RATES, x), (axes.yaxis, _DELAYS, y)):
        named = {at: text for at, text in ticks if values[0] <= at * 1.001 and at <= values[-1] * 1.001}
        axis.set_major_locator(FixedLocator(list(named)))
        axis.set_major_formatter(FuncFormatter(lambda value, _position, named=named: named.get(value, "")))
        axis.set_minor_formatter(NullFormatter())
    axes.set_xlim(x[0], x[-1])
    axes.set_ylim(y[0], y[-1])


def _example(axes: Axes, one: Example, *, right: bool) -> None:
    axes.plot(one.rate_hz, one.staleness_s, "o", color=style.INK, markersize=5, path_effects=_HALO)
    axes.annotate(
        one.name, (one.rate_hz, one.staleness_s), (-7 if right else 7, 0), textcoords="offset points",
        ha="right" if right else "left", va="center", size=9.5, path_effects=_HALO,
    )  # fmt: skip


def _name_regions(axes: Axes, regimes: Regimes, examples: Sequence[Example]) -> None:
    """Write each region's name, and where nothing can be told, on the spot where there is most room for it."""
    taken = [place for one in examples for place in _covered(regimes, one)]
    for kind, word in enumerate(_WORDS):
        inside = regimes.best == kind
        if inside.mean() < 0.03:
            continue
        sure = inside & regimes.sure
        spot = _roomiest(sure if sure.mean() > 0.05 else inside, taken)
        taken.append(spot)
        name, _, gloss = word.partition("\n")
        at = _value(regimes, spot)
        common: dict[str, Any] = {
            "ha": "center",
            "color": style.readable(_COLOURS[kind]),
            "path_effects": _HALO,
            "zorder": 8,
        }
        axes.annotate(name, at, va="bottom", size=16, weight="bold", **common)
        axes.annotate(gloss, at, (0, -2), textcoords="offset points", va="top", size=9, **common)
    if (~regimes.sure).mean() > 0.03:
        axes.annotate(
            UNSURE, _value(regimes, _roomiest(~regimes.sure, taken)), ha="center", va="center", size=10.5,
            style="italic", color=style.INK, path_effects=_HALO, zorder=8,
        )  # fmt: skip


def _place(regimes: Regimes, rate_hz: float, staleness_s: float) -> tuple[float, float]:
    """Where a point lies in the panel, 0 … 1 both ways."""
    x, y = regimes.rate_hz, regimes.staleness_s
    return (math.log(rate_hz / x[0]) / math.log(x[-1] / x[0]), math.log(staleness_s / y[0]) / math.log(y[-1] / y[0]))


def _covered(regimes: Regimes, one: Example) -> list[tuple[float, float]]:
    """What an example takes: its point, and its name to the left or right."""
    across, up = _place(regimes, one.rate_hz, one.staleness_s)
    side = -0.11 if _leftwards(regimes, one) else 0.11
    return [(across, up), (across + side, up), (across + 2 * side, up)]


def _leftwards(regimes: Regimes, one: Example) -> bool:
    """Whether there is more room for its name to the left."""
    return _place(regimes, one.rate_hz, one.staleness_s)[0] > 0.6


def _value(regimes: Regimes, place: tuple[float, float]) -> tuple[float, float]:
    x, y = regimes.rate_hz, regimes.staleness_s
    return float(x[0] * (x[-1] / x[0]) ** place[0]), float(y[0] * (y[-1] / y[0]) ** place[1])


def _roomiest(inside: Mask, taken: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """The place of ``inside`` that is farthest from its border, the panel's, and what is taken; labels are wide."""
    rows, columns = inside.shape
    up, across = np.mgrid[0:rows, 0:columns]
    # a label is some four times as wide as high: room to its sides counts a quarter
    at = np.stack([across / (columns - 1) / 4, up / (rows - 1)], axis=-1)
    middle = inside & (abs(across / (columns - 1) - 0.5) < 0.32)
    inside = middle if middle.any() else inside
    here, there = at[inside], at[~inside][::3]
    room = np.minimum(here[:, 0], 0.25 - here[:, 0])
    room = np.minimum(room, np.minimum(here[:, 1], 1 - here[:, 1]))
    for x, y in taken:
        room = np.minimum(room, np.hypot(here[:, 0] - x / 4, here[:, 1] - y))
    for part in np.array_split(there, max(1, len(there) // 200)) if len(there) else ():
        room = np.minimum(room, np.hypot(*(here[:, None, :] - part[None]).transpose(2, 0, 1)).min(axis=1))
    best = here[int(room.argmax())]
    return float(best[0] * 4), float(best[1])


def _words(maps: Sequence[tuple[str, Regimes]]) -> tuple[str, str]:
    """The headline: polling pays where several events fall into the time that one may wait."""
    said, borders = [], []
    for heading, m in maps:
        crossing = border_events(m)
        if np.isfinite(crossing):
            borders.append(crossing)
            said.append(f"{heading}: polling is cheaper from about {number(crossing)} events a tolerated delay on")
        else:
            said.append(f"{heading}: no border between polling and push on this map")
    if not borders:
        return "One kind of transport is cheapest all over this map", "; ".join(said) + "."
    low, high = (f"{float(f'{end:.1g}'):g}" for end in (min(borders), max(borders)))
    span = low if low == high else f"{low} to {high}"
    return f"Poll when {span} events or more fit into the delay you tolerate, else push", "; ".join(said) + "."


def border_events(regimes: Regimes) -> float:
    """Rate x staleness along the border of polling and push: its median over the rows that cross it, else NaN."""
    poll, push = KINDS.index("polling"), KINDS.index("push")
    found = []
    for i, wanted_s in enumerate(regimes.staleness_s):
        row = regimes.best[i]
        # from left to right the last change of push into polling
        changes = np.flatnonzero((row[:-1] == push) & (row[1:] == poll))
        if len(changes):
            rate = float(np.sqrt(regimes.rate_hz[changes[-1]] * regimes.rate_hz[changes[-1] + 1]))
            found.append(rate * wanted_s)
    return float(np.median(found)) if found else float("nan")


__all__ = ["EXAMPLES", "Example", "Situation", "border_events", "regime_map", "table"]
