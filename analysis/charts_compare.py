"""The chart of a comparison: a forest of ratios, what is real in colour, what does not matter as a grey band.

The rule it keeps: the picture decides as the table does. A filled point with its 95 % interval outside the band is
real; a hollow one could not be told. Where nothing is real, the figures nearest to it are drawn, so that a reader sees
how far from it they are.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from analysis import style
from analysis.compare import BETTER, SAME, UNKNOWN, WORSE, Comparison, Figure
from analysis.frames import Drawn, cell_settings
from analysis.metrics import BY_NAME
from analysis.prose import listing, number

SHOWN = 24  # more rows than this cannot be read on a slide
_COLOURS = {WORSE: "#d55e00", BETTER: "#009e73", SAME: style.MUTED, UNKNOWN: style.MUTED}
_TICKS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 0.8, 0.9, 1.0, 1.1, 1.25, 1.5, 2, 3, 5, 10, 20, 50, 100)
_REACH = math.log(1.35)  # how far beyond the points an interval is drawn before it ends in an arrow


def forest(comparison: Comparison) -> Drawn:
    """The real differences (or, without any, the figures nearest to one), grouped by cell."""
    chosen = _chosen(comparison)
    title = headline(comparison)
    beneath = "B over A with 95 % intervals, on a log scale. Grey: what does not matter. Hollow: cannot be told."
    rows = _rows(comparison, chosen)
    names = f"A: {comparison.a.folder.name} · B: {comparison.b.folder.name}"
    figure, (axes,) = style.frame(title, beneath, height_in=max(1.8, 0.9 + 0.27 * len(rows)), notes=[names])
    _draw(axes, rows)
    real = len(comparison.of(WORSE, BETTER))
    left = f" {real - len(chosen)} more are in the table." if real > len(chosen) else ""
    return Drawn(figure, title, f"{counts(comparison)}.{left}", comparison.table)


def headline(comparison: Comparison) -> str:
    """What the comparison comes to, for the head of a slide."""
    found = {word: comparison.of(word) for word in (WORSE, BETTER)}
    if not any(found.values()):
        same, unknown = len(comparison.of(SAME)), len(comparison.of(UNKNOWN))
        if not same:
            return "Nothing can be told from these repeats"
        rest = f", {unknown} cannot be told" if unknown else ""
        return f"No difference found that matters: {same} of {len(comparison.figures)} figures are the same{rest}"
    said = []
    for word, figures in found.items():
        if figures:
            most = max(figures, key=_strength)
            by = f" (most: {BY_NAME[most.metric].label}, {times(most)})" if math.isfinite(most.ratio) else ""
            said.append(f"{len(figures)} {'figure is' if len(figures) == 1 else 'figures are'} {word}{by}")
    return "; ".join(said)


def counts(comparison: Comparison) -> str:
    """``3 worse, 1 better, 88 same and 52 that cannot be told, of 144 figures in 6 cells``."""
    words = {WORSE: "worse", BETTER: "better", SAME: "same", UNKNOWN: "that cannot be told"}
    said = [f"{len(found)} {says}" for word, says in words.items() if (found := comparison.of(word))]
    cells = len({(one.experiment, one.cell) for one in comparison.figures})
    return f"{listing(said)}, of {len(comparison.figures)} figures in {cells} cell{'s' * (cells != 1)}"


def times(figure: Figure) -> str:
    """``+25 %``, or from twice as much on ``3.1 times``."""
    if figure.ratio >= 2:
        return f"{number(figure.ratio)} times"
    sign = "+" if figure.ratio >= 1 else "\N{MINUS SIGN}"
    return f"{sign}{number(abs(100 * (figure.ratio - 1)))} %"


def _strength(figure: Figure) -> float:
    return abs(math.log(figure.ratio)) if figure.ratio > 0 else math.inf


def _chosen(comparison: Comparison) -> list[Figure]:
    drawable = [one for one in comparison.figures if one.ratio > 0 and math.isfinite(one.ratio_high)]
    real = [one for one in drawable if one.verdict in (WORSE, BETTER)]
    if real:
        return sorted(real, key=_strength, reverse=True)[:SHOWN]
    return sorted(drawable, key=lambda one: one.p * 1e3 - _strength(one) / math.log(one.margin))[: SHOWN // 2]


Row = Figure | str  # a figure, or the head of its group


def _rows(comparison: Comparison, chosen: Sequence[Figure]) -> list[Row]:
    """The chosen figures in the table's order, each cell's beneath its name."""
    wanted = set(map(id, chosen))
    many = len({one.experiment for one in chosen}) > 1
    rows: list[Row] = []
    head = ""
    for one in comparison.figures:
        if id(one) in wanted:
            name = cell_name(comparison, one, with_experiment=many)
            rows += [name] if name != head else []
            rows.append(one)
            head = name
    return rows


def cell_name(comparison: Comparison, figure: Figure, *, with_experiment: bool) -> str:
    """``Fan-out: Server-Sent Events, subscribers 100``."""
    row = {"experiment": figure.experiment, "transport": figure.transport, "cell": figure.cell}
    about = comparison.b.experiments.get(figure.experiment, {})
    title = f"{about.get('title') or figure.experiment}: " if with_experiment else ""
    return title + ", ".join(filter(None, (comparison.b.label(figure.transport), cell_settings(row))))


def _draw(axes: Axes, rows: Sequence[Row]) -> None:
    figures = [one for one in rows if isinstance(one, Figure)]
    points = [value for one in figures for value in (one.ratio, one.margin, 1 / one.margin)] or [0.9, 1.1]
    low, high = math.log(min(points)) - _REACH, math.log(max(points)) + _REACH
    axes.set_xlim(low, high)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    for place, row in enumerate(rows):
        if isinstance(row, str):
            axes.annotate(row, (0, place), (-235, 0), xycoords=("axes fraction", "data"), textcoords="offset points",
                          va="center", weight="bold", size=10, annotation_clip=False)  # fmt: skip
        else:
            _row(axes, place, row, low, high)
    axes.axvline(0, color=style.INK, linewidth=1, zorder=1)
    labels = ["" if isinstance(row, str) else BY_NAME[row.metric].label for row in rows]
    axes.set_yticks(range(len(rows)), labels, size=10, color=style.INK)
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=False, axis="y")
    _ticks(axes, low, high)


def _row(axes: Axes, place: int, one: Figure, low: float, high: float) -> None:
    """One figure: its margin, its interval (with an arrow where it goes on), its point and its numbers."""
    margin, colour, real = math.log(one.margin), _COLOURS[one.verdict], one.verdict in (WORSE, BETTER)
    axes.barh(place, 2 * margin, 1.0, -margin, color=style.BAND, zorder=0)
    ends = [min(max(math.log(value) if value > 0 else low, low), high) for value in (one.ratio_low, one.ratio_high)]
    axes.hlines(place, ends[0], ends[1], color=colour, linewidth=2, zorder=3)
    for end, edge, arrow in zip(ends, (low, high), "<>", strict=True):
        if end == edge:
            axes.plot(end, place, marker=arrow, color=colour, markersize=6, clip_on=False, zorder=3)
    face = colour if real else style.PAPER
    axes.plot(math.log(one.ratio), place, "o", color=colour, markerfacecolor=face, markersize=8, zorder=4)
    unit = f" {unit}" if (unit := BY_NAME[one.metric].unit.replace("us", "µs")) else ""
    said = f"{times(one)}   {number(one.a)} → {number(one.b)}{unit}"
    axes.annotate(said, (1, place), (8, 0), xycoords=("axes fraction", "data"), textcoords="offset points",
                  va="center", size=10, color=style.readable(colour), weight="bold" if real else "normal",
                  annotation_clip=False)  # fmt: skip


def _ticks(axes: Axes, low: float, high: float) -> None:
    """Ratios that people say, those that do not touch."""
    kept = [1.0]
    for tick in sorted((t for t in _TICKS if low <= math.log(t) <= high), key=lambda t: abs(math.log(t))):
        if all(abs(math.log(tick / other)) >= 0.09 * (high - low) for other in kept):
            kept.append(tick)
    axes.xaxis.set_major_locator(FixedLocator([math.log(tick) for tick in kept]))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _position: f"{math.exp(value):.3g}"))
    axes.set_xlabel("B / A")
