"""The house style of the charts: one figure frame, one colour and marker per transport, labels instead of legends.

The rule it keeps: what a reader sees is what was measured. Intervals are drawn, a cell that is not ``ok`` is hollow,
the floor of the instrument is a grey band, a log axis has plain numbers. Colours are Okabe and Ito's (safe for the
colour-blind), dealt in the order of the transports in run.json. Figures are made without pyplot, so nothing here is
global.
"""

from __future__ import annotations

import itertools
import math
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullFormatter, NullLocator

from analysis.prose import Estimate

PAPER, INK, MUTED, GRID, BAND = "#ffffff", "#1b1f24", "#57606a", "#d8dee4", "#e4e8ec"
WIDTH_IN = 10.0
DASH = "_"  # the marker of a second statistic of the same cell
_COLOURS = ("#d55e00", "#e69f00", "#009e73", "#0072b2", "#cc79a7", "#56b4e9", "#6b5b2a", "#7a3fa0")
_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "h")
# Texts come out of run.json: a "$" in a label is a dollar sign, not the start of a formula.
_RC: Any = {
    "text.parse_math": False,
    "font.family": "DejaVu Sans",
    "font.size": 11,
    "figure.facecolor": PAPER,
    "savefig.facecolor": PAPER,
    "axes.facecolor": "none",
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.titlesize": 11.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlecolor": INK,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "text.color": INK,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "lines.linewidth": 1.8,
    "lines.markersize": 7.5,
    "svg.fonttype": "path",
    "figure.dpi": 120,
    "savefig.dpi": 120,
}


@dataclass(frozen=True, slots=True)
class Look:
    """How one transport, or one series of a sweep, is drawn."""

    colour: str
    marker: str

    def shade(self, step: int, of: int) -> Look:
        """The ``step``-th of ``of`` members of one family: from the full colour to a darker one, each its marker."""
        darker = np.asarray(to_rgb(self.colour)) * (1.0 - 0.55 * step / max(1, of - 1))
        return Look(
            to_hex((darker[0], darker[1], darker[2])), _MARKERS[(_MARKERS.index(self.marker) + step) % len(_MARKERS)]
        )


def looks(names: Iterable[str]) -> dict[str, Look]:
    """One fixed colour and marker per name, dealt in order; past eight, colour and marker part company."""
    pairs = zip(itertools.cycle(_COLOURS), (_MARKERS[(i + i // 8) % 8] for i in itertools.count()), strict=False)
    return {name: Look(*pair) for name, pair in zip(names, pairs, strict=False)}


@contextmanager
def house(salt: str = "pushbench") -> Iterator[None]:
    """The house style's rcParams; ``salt`` makes the identifiers inside an SVG its own, and the same each time."""
    with mpl.rc_context({**_RC, "svg.hashsalt": salt}):
        yield


def frame(
    title: str,
    subtitle: str,
    panels: int = 1,
    height_in: float = 4.6,
    notes: Sequence[str] = (),
    *,
    columns: int = 0,
) -> tuple[Figure, list[Axes]]:
    """A figure: its sentence on top, what is shown beneath it, ``panels`` axes, notes at the foot.

    They stand side by side, or ``columns`` in a row.
    """
    head = textwrap.wrap(title, 82) or [""]
    sub = textwrap.wrap(subtitle, 138)
    foot = [line for note in notes for line in textwrap.wrap(note, 150)]
    top_in, foot_in = 0.14 + 0.27 * len(head) + 0.2 * len(sub), 0.05 + 0.185 * len(foot)
    total_in = height_in + top_in + foot_in
    rect = (0.006, foot_in / total_in, 0.988, height_in / total_in)
    layout = ConstrainedLayoutEngine(rect=rect, w_pad=0.1, h_pad=0.08, wspace=0.03)
    figure = Figure(figsize=(WIDTH_IN, total_in), layout=layout)
    FigureCanvasAgg(figure)
    figure.text(0.012, 1 - 0.1 / total_in, "\n".join(head), size=14, weight="bold", va="top", linespacing=1.25)
    figure.text(
        0.012,
        1 - (0.12 + 0.27 * len(head)) / total_in,
        "\n".join(sub),
        size=10,
        color=MUTED,
        va="top",
        linespacing=1.25,
    )
    if foot:
        figure.text(0.012, 0.07 / total_in, "\n".join(foot), size=9, color=MUTED, va="bottom", linespacing=1.3)
    columns = columns or panels
    return figure, [figure.add_subplot(-(-panels // columns), columns, i + 1) for i in range(panels)]


def key(figure: Figure, marks: Sequence[Artist]) -> None:
    """Explain the marks in a line of their own between subtitle and panels, which make room for it."""
    engine = figure.get_layout_engine()
    assert isinstance(engine, ConstrainedLayoutEngine)  # noqa: S101  what ``frame`` gave it
    left, bottom, width, height = engine.get()["rect"]
    strip = 0.27 / figure.get_figheight()
    engine.set(rect=(left, bottom, width, height - strip))
    legend = figure.legend(
        handles=list(marks), loc="upper left", bbox_to_anchor=(left, bottom + height), ncols=len(marks), frameon=False,
        fontsize=9.5, handletextpad=0.4, columnspacing=1.6, borderaxespad=0.0,
    )  # fmt: skip
    legend.set_in_layout(False)


def settle(figure: Figure) -> None:
    """Lay a figure out once and for all: otherwise each saving lays it out anew, a hair differently.

    The solver's last digits are not the same in every run, and a clip path is named after them: they are rounded away.
    """
    engine = figure.get_layout_engine()
    assert engine is not None  # noqa: S101  what ``frame`` gave it
    engine.execute(figure)  # without drawing
    figure.set_layout_engine("none")
    for axes in figure.axes:
        left, bottom, width, height = (round(edge, 5) for edge in axes.get_position().bounds)
        axes.set_position((left, bottom, width, height))


def plain_tick(value: float, _position: object = None) -> str:
    """A tick as people write it: 0.1, 1, 10, 1,000; never 10^0."""
    text = f"{value:,.6g}"
    return f"{value:.9f}".rstrip("0") if "e-" in text else text


def _label_log(axis: Axis, low: float, high: float) -> None:
    wide = math.log10(high / low) > 2.2
    subs = (1.0,) if wide else (1.0, 2.0, 5.0)
    axis.set_major_locator(LogLocator(subs=subs, numticks=12))
    # eight ticks between decades take longer to lay out than all the rest of a chart
    axis.set_minor_locator(LogLocator(subs=(2.0, 5.0), numticks=12) if wide else NullLocator())
    axis.set_major_formatter(FuncFormatter(plain_tick))
    axis.set_minor_formatter(NullFormatter())


def log_y(axes: Axes, values: Iterable[float], bottom: float | None = None) -> None:
    """A log y axis around ``values`` (the positive ones), with plain numbers; at least one decade is shown."""
    low, high = _span(values)
    low = low if bottom is None else min(low, bottom)
    axes.set_yscale("log")
    axes.set_ylim(low / 1.6, high * 1.6)
    _label_log(axes.yaxis, *axes.get_ylim())


def log_x(axes: Axes, values: Iterable[float], ticks: Sequence[float] | None = None) -> None:
    """A log x axis around ``values``; with ``ticks``, exactly these are named, less those that would touch."""
    low, high = _span(values) if ticks is None else (min(ticks), max(ticks))
    axes.set_xscale("log")
    margin = (high / low) ** 0.06 if high > low else 2.0
    axes.set_xlim(low / margin, high * margin)
    if ticks is None:
        _label_log(axes.xaxis, low, high)
        return
    axes.xaxis.set_major_locator(FixedLocator(thinned(ticks)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(plain_tick))


def thinned(ticks: Sequence[float], share: float = 0.055) -> list[float]:
    """Those of the positive ``ticks`` that lie at least ``share`` of the log axis apart; the last one always stays."""
    ordered = sorted(set(ticks), reverse=True)
    width = math.log(ordered[0] / ordered[-1]) or 1.0
    kept = ordered[:1]
    for tick in ordered[1:]:
        if math.log(kept[-1] / tick) >= share * width:
            kept.append(tick)
    return kept[::-1]


def _span(values: Iterable[float]) -> tuple[float, float]:
    positive = [value for value in values if value > 0 and math.isfinite(value)]
    low, high = (min(positive), max(positive)) if positive else (1.0, 10.0)
    stretch = max(1.0, math.sqrt(10.0 / (high / low)))
    return low / stretch, high * stretch


def spread(wanted: Sequence[float], gap: float, low: float = 0.0, high: float = 1.0) -> list[float]:
    """Positions nearest to ``wanted`` (any order), at least ``gap`` apart and, where they fit, within ``low``…``high``.

    Neighbours that touch form a block, centred on the mean of what its members wanted (pool adjacent violators).
    """
    order = sorted(range(len(wanted)), key=lambda i: wanted[i])
    blocks: list[list[float]] = []  # [sum of offsets wanted, members]
    for rank, index in enumerate(order):
        blocks.append([wanted[index] - rank * gap, 1.0])
        while len(blocks) > 1 and blocks[-2][0] / blocks[-2][1] >= blocks[-1][0] / blocks[-1][1]:
            total, count = blocks.pop()
            blocks[-1][0] += total
            blocks[-1][1] += count
    top = max(low, high - (len(wanted) - 1) * gap)
    offsets = [min(max(total / count, low), top) for total, count in blocks for _ in range(int(count))]
    placed = [0.0] * len(wanted)
    for rank, index in enumerate(order):
        placed[index] = offsets[rank] + rank * gap
    return placed


@dataclass(frozen=True, slots=True)
class Tag:
    """A label to stand at the right of the axes, tied by a thin line to the point (x, y) in data units."""

    x: float
    y: float
    text: str
    colour: str


def tag_right(axes: Axes, tags: Sequence[Tag], height_in: float = 3.9, size: float = 10.0) -> None:
    """Labels at the right edge, level with their points, moved apart where they would touch. Set the limits first."""
    tags = [tag for tag in tags if math.isfinite(tag.y) and (tag.y > 0 or axes.get_yscale() != "log")]
    to_axes = axes.transData + axes.transAxes.inverted()
    wanted = [float(to_axes.transform((tag.x, tag.y))[1]) for tag in tags]
    lines = max((tag.text.count("\n") + 1 for tag in tags), default=1)
    for tag, y in zip(tags, spread(wanted, lines * size * 1.38 / 72 / height_in), strict=True):
        axes.annotate(
            tag.text,
            xy=(tag.x, tag.y),
            xytext=(1.035, y),
            textcoords="axes fraction",
            va="center",
            size=size,
            weight="bold",
            color=readable(tag.colour),
            annotation_clip=False,
            arrowprops={
                "arrowstyle": "-",
                "color": tag.colour,
                "lw": 0.8,
                "alpha": 0.7,
                "relpos": (0, 0.5),
                "shrinkA": 1,
                "shrinkB": 5,
            },
        )


def readable(colour: str) -> str:
    """A colour for text: darkened until its luminance leaves it legible on paper."""
    rgb = np.asarray(to_rgb(colour))
    while float(rgb @ (0.2126, 0.7152, 0.0722)) > 0.42:
        rgb = rgb * 0.9
    return to_hex((rgb[0], rgb[1], rgb[2]))


REACH = 2.5


def dot(axes: Axes, x: float, estimate: Estimate, look: Look, ok: bool = True) -> None:
    """One measured point with its interval; hollow when its cell is not ``ok``.

    An interval that goes on beyond ``REACH`` times the value (two repeats have no better one) ends in an arrow there.
    """
    if not estimate.known:
        return
    if math.isfinite(estimate.half):
        low, high = max(estimate.low, estimate.value / REACH), min(estimate.high, estimate.value * REACH)
        axes.vlines(x, low, high, color=look.colour, linewidth=1.5, alpha=0.75, zorder=3)
        for end, drawn, arrow in ((estimate.low, low, "v"), (estimate.high, high, "^")):
            if end != drawn:
                axes.plot(x, drawn, marker=arrow, color=look.colour, markersize=4, alpha=0.75, zorder=3)
    axes.plot(
        x,
        estimate.value,
        marker=look.marker,
        color=look.colour,
        markerfacecolor=look.colour if ok else PAPER,
        markeredgecolor=PAPER if ok and look.marker != DASH else look.colour,
        markeredgewidth=0.9 if ok and look.marker != DASH else 1.8,
        linestyle="none",
        zorder=4,
    )


def floor_band(axes: Axes, floor_ms: float) -> None:
    """Everything below ``floor_ms`` belongs to the instrument (METHODOLOGY rule 9). Call when limits are set."""
    if not (math.isfinite(floor_ms) and floor_ms > axes.get_ylim()[0]):
        return
    axes.axhspan(axes.get_ylim()[0], floor_ms, color=BAND, zorder=0, linewidth=0)
    axes.annotate(
        f"floor of the instrument: {floor_ms:.2g} ms",
        (0.008, floor_ms),
        xycoords=("axes fraction", "data"),
        xytext=(0, -4),
        textcoords="offset points",
        va="top",
        size=9,
        color=MUTED,
    )
