"""What every page is made of: where its template comes from, a chart as a part of it, and tables as values.

The rule it keeps: a page fetches nothing. Charts are inline and bare, without an address of another place in them;
everything that came out of a run is escaped, for labels and reasons are somebody else's words.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import jinja2
from markupsafe import Markup, escape

from analysis import style
from analysis.drawn import Drawn

# What matplotlib writes around and into an SVG that a page does not need, addresses of namespaces among it.
_NOT_NEEDED = re.compile(
    r"<\?xml.*?\?>|<!DOCTYPE.*?>|<!--.*?-->|<metadata>.*?</metadata>|\sxmlns(?::\w+)?=\"[^\"]*\"", re.DOTALL
)
# Colours that turn with the page's light or dark scheme.
_SCHEME = {style.PAPER: "paper", style.INK: "ink", style.MUTED: "muted", style.GRID: "grid", style.BAND: "band"}


@dataclass(frozen=True, slots=True)
class Entry:
    """One cell of a table: text, what follows in small print, and a class (``best``, ``bad``, ``name`` or nothing)."""

    text: str
    small: str = ""
    kind: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """A table: heads (with the unit or the source beneath), and rows of entries."""

    heads: tuple[tuple[str, str], ...]
    rows: tuple[tuple[Entry, ...], ...]


def inline(svg: str, drawn: Drawn) -> Markup:
    """An SVG as a part of a page: bare, as wide as its column, in the colours of the page, with its sentence aloud."""
    bare = _NOT_NEEDED.sub("", svg).strip()
    bare = re.sub(r'(<svg[^>]*?)\swidth="[^"]*"', r"\1", bare, count=1)
    bare = re.sub(r'(<svg[^>]*?)\sheight="[^"]*"', r"\1", bare, count=1)
    for colour, name in _SCHEME.items():
        bare = bare.replace(colour, f"var(--{name}, {colour})")
    label = escape(f"{drawn.title}. {drawn.sentence}")
    return Markup(bare.replace("<svg", f'<svg role="img" aria-label="{label}"', 1))  # noqa: S704 - matplotlib's own, labels are paths


def environment() -> jinja2.Environment:
    """Where templates come from; everything in them is escaped, and nothing may be missing."""
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
