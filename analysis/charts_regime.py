"""The regime map as a picture: where to poll, and where to push, by event rate and tolerated staleness.

The rule it keeps: a colour is a recommendation only where the measured costs can tell; where they cannot it is pale and
hatched. Well-known applications stand on the map as points, so that a reader finds his own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.patches import Patch
from matplotlib.patheffects import withStroke

from analysis import style
from analysis.frames import Drawn
from analysis.prose import number
from analysis.regime import KINDS, Regimes
from analysis.tuning import Situation

_COLOURS = ("#d55e00", "#e69f00", "#0072b2")  # as the transports have them: polling, long polling, WebSocket
_WORDS = ("poll", "long poll", "push: SSE, WebSocket")


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
        f"Cheapest kind of transport whose p95 stays within the staleness; {first.situation.clients:,.0f} clients,"
        f" round trip {1e3 * first.situation.rtt_s:g} ms, {first.situation.payload_bytes} B an event."
    )
    notes = [f"{first.source[0].upper()}{first.source[1:]}.", "Hatched: the intervals of the measured costs overlap."]
    figure, panels = style.frame(title, subtitle, panels=len(maps), height_in=5.4, notes=notes)
    for axes, (heading, regimes) in zip(panels, maps, strict=True):
        _panel(axes, heading, regimes, examples)
    panels[0].set_ylabel("tolerated staleness: 95 % of events within … s")
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
    picture = 1 - (1 - colours[regimes.best + 1]) * np.where(regimes.sure, 0.55, 0.22)[..., None]
    axes.pcolormesh(x, y, picture, shading="nearest", rasterized=True)
    with mpl.rc_context({"hatch.linewidth": 0.6, "hatch.color": style.MUTED}):
        axes.contourf(x, y, (~regimes.sure).astype(float), levels=[0.5, 1.5], colors="none", hatches=["////"])
    for kind in range(len(KINDS)):
        inside = (regimes.best == kind).astype(float)
        if 0 < inside.mean() < 1:
            axes.contour(x, y, inside, levels=[0.5], colors=[style.INK], linewidths=1.6)
    style.log_x(axes, [float(x[0]), float(x[-1])])
    style.log_y(axes, [float(y[0]), float(y[-1])])
    axes.set_xlim(x[0], x[-1])
    axes.set_ylim(y[0], y[-1])
    axes.grid(visible=False)
    axes.set_xlabel("events per second and client")
    _name_regions(axes, regimes)
    halo = [withStroke(linewidth=3, foreground=style.PAPER)]
    for one in examples:
        if x[0] <= one.rate_hz <= x[-1] and y[0] <= one.staleness_s <= y[-1]:
            axes.plot(one.rate_hz, one.staleness_s, "o", color=style.INK, markersize=5, path_effects=halo)
            right = one.rate_hz > np.sqrt(x[0] * x[-1]) * 3
            axes.annotate(
                one.name, (one.rate_hz, one.staleness_s), (-7 if right else 7, 0), textcoords="offset points",
                ha="right" if right else "left", va="center", size=9.5, path_effects=halo,
            )  # fmt: skip


def _name_regions(axes: Axes, regimes: Regimes) -> None:
    """Write each region's name where it is widest: at the middle of its points, in log units."""
    for kind, word in enumerate(_WORDS):
        i, j = np.nonzero(regimes.best == kind)
        if len(i) < 0.03 * regimes.best.size:
            continue
        at = (np.exp(np.log(regimes.rate_hz[j]).mean()), np.exp(np.log(regimes.staleness_s[i]).mean()))
        axes.annotate(
            word, at, ha="center", va="center", size=15, weight="bold", color=style.readable(_COLOURS[kind]),
            path_effects=[withStroke(linewidth=4, foreground=style.PAPER)],
        )  # fmt: skip


def legend() -> list[Patch]:
    """Patches for a legend, where a page wants one."""
    return [Patch(color=colour, label=word) for colour, word in zip(_COLOURS, _WORDS, strict=True)]


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
    low, high = min(borders), max(borders)
    span = number(low) if high < 1.15 * low else f"{number(low)} to {number(high)}"
    return f"Poll when {span} events fit into the delay you tolerate; push when fewer do", "; ".join(said) + "."


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


__all__ = ["EXAMPLES", "Example", "Situation", "border_events", "legend", "regime_map", "table"]
