"""A comparison for people: lines on the terminal, ``compare.csv``, ``compare.html`` and its chart as SVG and PNG.

The rule it keeps: on the terminal only what is real, then how much of the rest is the same and how much could not be
told, and why; every figure stands in the CSV and on the page. The page fetches nothing, as the report's.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from analysis import drawn, pages, style
from analysis.charts_compare import cell_name, counts, forest, headline, times
from analysis.compare import BETTER, SAME, UNKNOWN, WORSE, Comparison, Figure
from analysis.load import Run
from analysis.metrics import BY_NAME
from analysis.pages import Entry, Table
from analysis.prose import number

NAME = "compare"
_KINDS = {WORSE: "bad", BETTER: "good"}


def lines(comparison: Comparison) -> Iterator[str]:
    """What is printed; the last line is the verdict."""
    for name, run in (("A", comparison.a), ("B", comparison.b)):
        yield f"{name}: {said(run)}"
    for note in comparison.notes:
        yield f"mind: {note}"
    real = comparison.of(WORSE, BETTER)
    if real:
        yield ""
        yield from _columns([("", "A", "B", "B / A", "95 % interval", ""), *(_line(comparison, one) for one in real)])
    yield ""
    for why, count in reasons(comparison):
        yield f"cannot tell: {count} figure{'s' * (count != 1)}: {why}"
    yield f"verdict: {comparison.verdict.upper()}: {counts(comparison)}"


def reasons(comparison: Comparison) -> list[tuple[str, int]]:
    """Why figures cannot be told, and how many for each reason; proposals of repeats are taken together."""
    found = comparison.of(UNKNOWN)
    more = sorted(one.needs for one in found if one.why.startswith("needs about"))
    told = Counter(one.why for one in found if not one.why.startswith("needs about"))
    if more:
        span = f"{more[0]}" if more[0] == more[-1] else f"{more[0]} to {more[-1]}"
        told[f"needs about {span} repeats a side"] = len(more)
    return told.most_common()


def said(run: Run) -> str:
    """A run in a line: its folder, when, and which revision."""
    git = run.meta.get("git") or {}
    revision = str(git.get("revision") or "unknown")[:10] + ("+" if git.get("dirty") else "")
    return f"{run.folder.name} ({run.meta.get('started')}, revision {revision})"


def write(comparison: Comparison, folder: Path) -> Path:
    """Write ``compare.csv``, ``compare.html``, ``compare.svg`` and ``compare.png``; the page's path."""
    folder.mkdir(parents=True, exist_ok=True)
    comparison.table.to_csv(folder / "compare.csv", index=False, float_format="%.9g")
    with style.house():
        forest_plot = forest(comparison)
        style.settle(forest_plot.figure)
    svg = drawn.svg(NAME, forest_plot)
    (folder / "compare.svg").write_text(svg, encoding="utf-8")
    drawn.png(NAME, forest_plot, folder / "compare.png")
    page = folder / "compare.html"
    context = {
        "title": headline(comparison),
        "verdict": (_KINDS.get(comparison.verdict, "good"), f"{comparison.verdict}: {counts(comparison)}"),
        "runs": [("A", said(comparison.a)), ("B", said(comparison.b))],
        "notes": comparison.notes,
        "svg": pages.inline(svg, forest_plot),
        "sentence": forest_plot.sentence,
        "table": _table(comparison),
        "reasons": reasons(comparison),
    }
    page.write_text(pages.environment().get_template("compare.html.j2").render(context), encoding="utf-8")
    return page


def _name(comparison: Comparison, one: Figure) -> str:
    many = len({figure.experiment for figure in comparison.figures}) > 1
    label = BY_NAME[one.metric].label if one.metric in BY_NAME else one.metric
    return f"{cell_name(comparison, one, with_experiment=many)}: {label}"


def _amount(one: Figure, value: float) -> str:
    unit = BY_NAME[one.metric].unit if one.metric in BY_NAME else ""
    return f"{number(value)} {unit}".strip() if math.isfinite(value) else ""


def _interval(one: Figure) -> str:
    ends = (one.ratio_low, one.ratio_high) if math.isfinite(one.ratio) else (one.difference_low, one.difference_high)
    return f"{number(ends[0])} to {number(ends[1])}" if math.isfinite(ends[0]) else ""


def _effect(one: Figure) -> str:
    return times(one) if math.isfinite(one.ratio) else ""


def _line(comparison: Comparison, one: Figure) -> tuple[str, ...]:
    verdict = f"{one.verdict}: {one.why}" if one.why else one.verdict
    return (_name(comparison, one), _amount(one, one.a), _amount(one, one.b), _effect(one), _interval(one), verdict)


def _columns(rows: list[tuple[str, ...]]) -> Iterator[str]:
    """Rows in columns: the first and the last to the left, figures to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for first, *figures, last in rows:
        middle = "".join(f"  {text:>{width}}" for text, width in zip(figures, widths[1:-1], strict=True))
        yield f"  {first:<{widths[0]}}{middle}  {last}".rstrip()


def _table(comparison: Comparison) -> Table:
    heads = ("", "A", "B", "B / A", "95 % interval", "does not matter", "repeats", "")
    body = []
    for one in sorted(comparison.figures, key=lambda one: (WORSE, BETTER, UNKNOWN, SAME).index(one.verdict)):
        margin = f"within {number(one.margin)}" if math.isfinite(one.margin) else ""
        repeats = f"{one.repeats_a}, {one.repeats_b}" + (" paired" if one.paired else "")
        texts = (_amount(one, one.a), _amount(one, one.b), _effect(one), _interval(one), margin, repeats)
        verdict = Entry(one.verdict, one.why, _KINDS.get(one.verdict, ""))
        body.append((Entry(_name(comparison, one), kind="name"), *map(Entry, texts), verdict))
    return Table(tuple((head, "") for head in heads), tuple(body))
