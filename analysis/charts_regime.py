"""The regime map as a picture: where to poll, and where to push, by event rate and tolerated staleness.

The rule it keeps: a colour is a recommendation only where the measured costs can tell; where they cannot, a point is
grey and hatched, whichever is cheaper by a little. Well-known applications stand on the map as points, so that a reader
finds his own.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.patheffects import withStroke
from matplotlib.ticker import FixedLocator, FuncFormatter, NullFormatter

from analysis import style
from analysis.drawn import Drawn
from analysis.prose import listing, number
from analysis.regime import KINDS, Mask, Regimes
from analysis.tuning import Situation

_COLOURS = ("#d55e00", "#e69f00", "#0072b2")  # as the transports have them: polling, long polling, WebSocket
_WORDS = ("POLL\nclients ask at an interval", "LONG POLL\na question waits", "PUSH\nthe server tells at once")
_KEYS = ("poll", "long poll", "push (SSE, WebSocket)")
UNSURE = "EITHER\nthe costs cannot tell"
_HALO = [withStroke(linewidth=3.5, foreground=style.PAPER)]
# Ticks: events per second of one client, and seconds of staleness; each is ten times the one before.
_RATES = ((1e-3, "0.001\n1 in 17 min"), (1e-2, "0.01"), (0.1, "0.1\n1 in 10 s"), (1.0, "1"), (10.0, "10"),
          (100.0, "100"))  # fmt: skip
_DELAYS = ((0.1, "0.1 s"), (1.0, "1 s"), (10.0, "10 s"), (100.0, "100 s"))


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
    Example("dashboard", 5.0, 10.0),
    Example("deploy notice", 0.0015, 20.0),
    Example("weather", 0.0017, 200.0),
)


def regime_map(maps: Sequence[tuple[str, Regimes]], examples: Sequence[Example] = EXAMPLES) -> Drawn:
    """Draw one map a panel, each under its heading; ``maps`` share their axes."""
    title, sentence = _words(maps)
    subtitle = (
        "Find your application: how often one client gets an event (to the right: more often), and how late it may come"
        " (upwards: later). The colour is the cheapest way that is fresh enough; both axes are logarithmic."
    )
    figure, panels = style.frame(
        title, subtitle, panels=len(maps), height_in=5.6, notes=_notes(maps, applications=len(examples) > 1)
    )
    style.key(figure, _marks(maps))
    for axes, (heading, regimes) in zip(panels, maps, strict=True):
        _panel(axes, heading, regimes, examples)
    panels[0].set_ylabel("how late 95 % of the events may come, at most")
    return Drawn(figure, title, sentence, table(maps))


def _notes(maps: Sequence[tuple[str, Regimes]], *, applications: bool) -> list[str]:
    """What the map is for: its prices, what is nowhere on it, and where the costs are from."""
    first = maps[0][1]
    core, gib, gb = first.prices
    said = (
        f"Cheapest at these prices, in any currency: a core-hour {core:g}, a GiB-hour of memory {gib:g}, a GB sent"
        f" {gb:g}. Grey: the 95 % intervals of the measured costs overlap."
        f"{' Dots: typical applications.' if applications else ''}"
    )
    kinds = {KINDS[kind] for _, m in maps for kind in np.unique(m.best) if kind >= 0}
    if "long polling" not in kinds:
        said += " Long polling is nowhere the cheapest."
    if any((m.best < 0).any() for _, m in maps):
        said += " White: nothing is fresh enough."
    if flat := [flat_s(m) for _, m in maps if math.isfinite(flat_s(m))]:
        said += (
            f" Where the border is flat (near {_span(flat)} s) events are so rare that only waiting costs: a connection"
            " kept open by heartbeats costs as much as asking that often."
        )
    given = first.situation
    return [
        said,
        (
            f"For {given.clients:,.0f} clients, {given.payload_bytes} B an event, round trip {1e3 * given.rtt_s:g} ms;"
            " costs grow in proportion, so other numbers of clients have the same borders."
            f" {first.source[0].upper()}{first.source[1:]}."
        ),
    ]


def _marks(maps: Sequence[tuple[str, Regimes]]) -> list[Artist]:
    """The key: every colour that is on the map, the grey, and the line."""
    shown = [kind for kind in range(len(KINDS)) if any(((m.best == kind) & m.sure).any() for _, m in maps)]
    marks: list[Artist] = [Patch(color=_COLOURS[kind], alpha=0.5, linewidth=0, label=_KEYS[kind]) for kind in shown]
    if not all(m.sure.all() for _, m in maps):
        with mpl.rc_context({"hatch.linewidth": 0.6}):
            grey = Patch(facecolor=style.BAND, edgecolor=style.MUTED, hatch="////", linewidth=0)
        grey.set_label("either: the measured costs cannot tell")
        marks.append(grey)
    return [*marks, Line2D([], [], color=style.INK, linewidth=1.4, label="both cost the same, as measured")]


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
    picture = np.where(regimes.sure[..., None], 1 - (1 - colours[regimes.best + 1]) * 0.5, to_rgb(style.BAND))
    axes.pcolormesh(x, y, picture, shading="nearest", rasterized=True)
    with mpl.rc_context({"hatch.linewidth": 0.6, "hatch.color": style.MUTED}):
        axes.contourf(x, y, (~regimes.sure).astype(float), levels=[0.5, 1.5], colors="none", hatches=["////"])
    for kind in range(len(KINDS)):
        inside = (regimes.best == kind).astype(float)
        if 0 < inside.mean() < 1:
            axes.contour(x, y, inside, levels=[0.5], colors=[style.INK], linewidths=1.4)
    axes.set_xscale("log")
    axes.set_yscale("log")
    _ticks(axes, x, y)
    axes.grid(visible=False)
    axes.set_xlabel("events per second that one client gets, on average")
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
    """Write a region's name, and what it means, inside it: where both have room, or the name alone, or neither."""
    free = np.ones(regimes.best.shape, bool)
    for one in examples:
        _take(free, _place(regimes, one.rate_hz, one.staleness_s), (0.36, 0.07), _leftwards(regimes, one))
    areas = [((regimes.best == kind) & regimes.sure, word, _COLOURS[kind]) for kind, word in enumerate(_WORDS)]
    for inside, word, colour in (*areas, (~regimes.sure, UNSURE, style.MUTED)):
        name, _, gloss = word.partition("\n")
        large, size = (16, 9.5) if colour != style.MUTED else (11.5, 9)
        for wide, high, said in ((0.46, 0.1, gloss), (0.013 * large, 0.06, "")):
            if (spot := _roomiest(inside & free, wide, high)) is None:
                continue
            at = _value(regimes, spot)
            common: dict[str, Any] = {"ha": "center", "color": style.readable(colour), "path_effects": _HALO}
            va = "bottom" if said else "center"
            axes.annotate(name, at, va=va, size=large, weight="bold", zorder=8, **common)
            axes.annotate(said, at, (0, -2), textcoords="offset points", va="top", size=size, zorder=8, **common)
            break


def _take(free: Mask, at: tuple[float, float], size: tuple[float, float], leftwards: bool) -> None:
    """Mark the place of an example's dot and name as taken."""
    rows, columns = free.shape
    (across, up), (wide, high) = at, size
    left, right = (across - wide, across + 0.04) if leftwards else (across - 0.04, across + wide)
    ends = (np.clip([left, right], 0, 1) * columns).astype(int), (np.clip([up - high, up + high], 0, 1) * rows)
    free[int(ends[1][0]) : int(ends[1][1]) + 1, ends[0][0] : ends[0][1] + 1] = False


def _place(regimes: Regimes, rate_hz: float, staleness_s: float) -> tuple[float, float]:
    """Where a point lies in the panel, 0 … 1 both ways."""
    x, y = regimes.rate_hz, regimes.staleness_s
    return (math.log(rate_hz / x[0]) / math.log(x[-1] / x[0]), math.log(staleness_s / y[0]) / math.log(y[-1] / y[0]))


def _leftwards(regimes: Regimes, one: Example) -> bool:
    """Whether there is more room for its name to the left."""
    return _place(regimes, one.rate_hz, one.staleness_s)[0] > 0.75


def _value(regimes: Regimes, place: tuple[float, float]) -> tuple[float, float]:
    x, y = regimes.rate_hz, regimes.staleness_s
    return float(x[0] * (x[-1] / x[0]) ** place[0]), float(y[0] * (y[-1] / y[0]) ** place[1])


def _roomiest(inside: Mask, wide: float, high: float) -> tuple[float, float] | None:
    """The middle of the places (0 … 1 both ways) where the largest box of this shape lies all inside, or None."""
    rows, columns = inside.shape
    sums = np.pad(np.cumsum(np.cumsum(inside, axis=0), axis=1), ((1, 0), (1, 0)))
    for factor in (2.5, 2.0, 1.6, 1.3, 1.0):
        tall, broad = math.ceil(factor * high * rows), math.ceil(factor * wide * columns)
        if tall > rows or broad > columns:
            continue
        filled = sums[tall:, broad:] - sums[:-tall, broad:] - sums[tall:, :-broad] + sums[:-tall, :-broad]
        if len(spots := np.argwhere(filled == tall * broad)):
            row, column = spots[np.hypot(*(spots - spots.mean(axis=0)).T).argmin()]
            return float((column + broad / 2) / columns), float((row + tall / 2) / rows)
    return None


def _words(maps: Sequence[tuple[str, Regimes]]) -> tuple[str, str]:
    """The headline: polling pays where several events fall into the time that one may wait, or where that is long."""
    said, borders, late = [], {}, []
    for heading, m in maps:
        words = []
        if math.isfinite(crossing := border_events(m)):
            borders[heading] = crossing
            words.append(f"from about {number(crossing)} events a tolerated delay on")
        if math.isfinite(at := flat_s(m)):
            late.append(at)
            words.append(f"for rare events from {at:.2g} s on")
        found = f"polling is cheaper {', and '.join(words)}" if words else "one kind of transport is cheapest all over"
        said.append(f"{heading}: {found}")
    flat = f"you can wait {_span(late)} s" if late else ""
    many = f"about {_span([*borders.values()])} events or more fit into the delay you tolerate" if borders else ""
    if not flat and not many:
        title = "One kind of transport is cheapest all over this map"
    elif many and flat and len(borders) < len(maps):
        title = f"Poll when {flat} or, where {listing(borders)}, {many}, else push"
    else:
        title = f"Poll when {', or '.join(filter(None, (flat, many)))}, else push"
    return title, "; ".join(said) + "."


def _span(values: Sequence[float]) -> str:
    """The least and the most of them, to one digit; one where they are the same."""
    low, high = (f"{float(f'{end:.1g}'):g}" for end in (min(values), max(values)))
    return low if low == high else f"{low} to {high}"


def flat_s(regimes: Regimes) -> float:
    """The delay from which polling is cheaper however rare events are, s; NaN where rarer ones always want longer.

    What then counts is what waiting costs: an open connection and its heartbeats, or a poll now and again.
    """
    rarest = np.flatnonzero(regimes.best[:, 0] == KINDS.index("polling"))
    if not len(rarest) or rarest[0] == 0 or regimes.best[rarest[0] - 1, 0] != KINDS.index("push"):
        return float("nan")
    at = float(np.sqrt(regimes.staleness_s[rarest[0] - 1] * regimes.staleness_s[rarest[0]]))
    return float("nan") if at * regimes.rate_hz[0] >= border_events(regimes) / 2 else at


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


__all__ = ["EXAMPLES", "Example", "Situation", "border_events", "flat_s", "regime_map", "table"]
