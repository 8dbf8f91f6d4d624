"""A chart that has been drawn, and how it is kept: as SVG and PNG, with the table behind it.

The rule it keeps: the same bytes for the same input. A file's identifiers come out of its own name, so that two charts
in one page do not collide, and there is no date in it. Knows no run: what draws stands above (``charts``, the tuner).
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from analysis import style


@dataclass(frozen=True, slots=True)
class Drawn:
    """A chart: its figure, the headline on it, the sentence it says, and the rows behind it."""

    figure: Figure
    title: str
    sentence: str
    table: pd.DataFrame


_SVG = {"Date": None, "Creator": "pushbench"}


def svg(name: str, drawn: Drawn) -> str:
    """The chart as SVG; ``name`` makes its identifiers its own."""
    target, dpi = io.BytesIO(), drawn.figure.dpi
    with style.house(name):
        # straight to the canvas: savefig draws everything twice, to lay out anew what is settled
        FigureCanvasSVG(drawn.figure).print_svg(target, metadata=_SVG)  # type: ignore[no-untyped-call]
    drawn.figure.dpi = dpi  # an SVG counts in points
    return target.getvalue().decode()


def png(name: str, drawn: Drawn, path: Path) -> None:
    """Write the chart as PNG."""
    with style.house(name):
        FigureCanvasAgg(drawn.figure).print_png(path, metadata={"Software": "pushbench"})  # type: ignore[no-untyped-call]


def save(name: str, drawn: Drawn, folder: Path) -> str:
    """Write ``charts/NAME.svg``, ``charts/NAME.png`` and ``tables/NAME.csv`` in ``folder``; returns the SVG."""
    (folder / "charts").mkdir(parents=True, exist_ok=True)
    (folder / "tables").mkdir(parents=True, exist_ok=True)
    text = svg(name, drawn)
    (folder / "charts" / f"{name}.svg").write_text(text, encoding="utf-8")
    png(name, drawn, folder / "charts" / f"{name}.png")
    drawn.table.to_csv(folder / "tables" / f"{name}.csv", index=False, float_format="%.9g")
    return text
