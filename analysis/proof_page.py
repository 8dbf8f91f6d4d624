"""The proof of the tuner as text and as the report's section "Tuned settings": a row for each recommended setting.

The rule it keeps: predicted stands beside measured, an interval beside every measured figure that has one, all in the
asker's time; what does not hold says why in its own row.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace

from analysis.frames import Frames
from analysis.pages import Entry, Table
from analysis.proof import ALONE, HOLDS, SHARP, TOLERANCE, Claim, Point
from analysis.prose import Estimate, listing, number

_HEADS = (
    ("asked", "events/s of a client; p95"), ("recommended", "time scaled down by"),
    ("p95", "measured ± 95 %; predicted"), ("meets the goal", "lower end of its interval"),
    ("empty answers", "measured ± 95 %; predicted, %"), ("requests/s", "of a client, measured; predicted"),
    ("requests over the best", "of the grid, in time and safe"), ("CPU and bytes over it", "cells lie off the line by"),
    ("the longest measured saves", "of the requests"), ("verdict", ""),
)  # fmt: skip


def table(found: Sequence[Claim]) -> Table:
    """The rows of the report."""
    return Table(_HEADS, tuple(_row(one) for one in found))


def _row(claim: Claim) -> tuple[Entry, ...]:
    point, goal_s = claim.point, claim.question.p95_s
    head = (
        Entry(asked(claim), kind="name"),
        _entry(f"{claim.knob.word} {seconds(claim.recommended_s)}", f"{claim.question.scale:.4g}"),
    )
    verdict = Entry(claim.verdict, kind="good" if claim.holds else "bad text")
    if point is None or not point.p95_s.known:
        return (*head, *[Entry("")] * (len(_HEADS) - len(head) - 1), verdict)
    meets, low_s = point.meets(goal_s), point.p95_s.low
    return (
        *head,
        _entry(seconds(point.p95_s.value), _small(point.p95_s, claim.expected.p95_s)),
        _entry("yes" if meets else "no", seconds(low_s) if math.isfinite(low_s) else "", "good" if meets else "bad"),
        _entry(_percent(point.empty_ratio), _small(point.empty_ratio.scaled(100), 100 * claim.expected.empty_ratio)),
        _entry(number(point.requests_hz), number(claim.expected.requests_hz)),
        _entry(_over(claim.requests_over), _best(claim)),
        _entry(_over(claim.price_over), _scatter(claim)),
        _entry(_over(claim.longer_saves), _longest(claim)),
        verdict,
    )


def _entry(text: str, small: str, kind: str = "") -> Entry:
    """A figure, which does not break."""
    return Entry(text.replace(" ", "\N{NO-BREAK SPACE}"), small.replace(" ", "\N{NO-BREAK SPACE}"), kind)


def asked(claim: Claim) -> str:
    """``0.5/s, p95 2 s``."""
    return f"{claim.question.rate_hz:g}/s, p95 {claim.question.p95_s:g} s"


def seconds(value_s: float) -> str:
    """Write a time as it is set: 2.07 s, 31.6 s, 0.21 s."""
    return f"{value_s:.4g} s"


def _percent(ratio: Estimate) -> str:
    return f"{100 * ratio.value:.1f} %" if ratio.known else ""


def _small(measured: Estimate, predicted: float) -> str:
    half = f"±{measured.half:.2g}; " if math.isfinite(measured.half) else ""
    return f"{half}{number(predicted)}"


def _over(share: float) -> str:
    return f"{100 * share + 0.0:+.1f} %".replace("-", "\N{MINUS SIGN}") if math.isfinite(share) else ""


def _best(claim: Claim) -> str:
    return "itself" if claim.best is claim.point else f"than {seconds(claim.best.setting_s)}" if claim.best else ""


def _scatter(claim: Claim) -> str:
    off = claim.line[2]
    return f"±{100 * off:.1f} %" if math.isfinite(off) else ""


def _longest(claim: Claim) -> str:
    if not math.isfinite(claim.longer_saves):
        return ""
    longest = [one for one in claim.points if one.counts][-1]
    late = "" if longest.meets(claim.question.p95_s) else ", too late"
    return f"{seconds(longest.setting_s)}{late or ('' if longest.safe else ', not safe')}"


def headline(found: Sequence[Claim]) -> str:
    """How many claims hold, in a sentence."""
    if not found:
        return "No setting that the tuner recommends was run"
    proven, alone = (sum(one.verdict == verdict for one in found) for verdict in (HOLDS, ALONE))
    said = [f"{proven} of {len(found)} recommended settings hold"] if proven or not alone else []
    said += [f"{alone} of {len(found)} meet the goal, with no grid beside them"] if alone else []
    return listing(said)


def meaning() -> str:
    """What the table says, for someone who was not told."""
    return (
        "Each row is a question put to the tuner, and its answer run for real amid a grid of other settings. Time was "
        "scaled down: one second of the run stands for the seconds given, events come as much more often, and every "
        "figure is scaled back. A setting holds when its measured p95 meets the goal within its interval (95 % for "
        f"all rows together, no wider than ±{100 * SHARP:g} % of the goal), and when no setting of the grid that may"
        f" meet it too, and is safe, needs {100 * TOLERANCE:g} % fewer requests or costs as much less in server CPU and"
        " bytes sent."
    )


def lines(found: Sequence[Claim]) -> Iterator[str]:
    """The same as text for a terminal."""
    width = max([5, *(len(asked(one)) for one in found)])
    yield (
        f"  {'asked':<{width}}  {'scale':>6}  {'setting':<18}{'p95 s':>10}{'±':>8}{'predicted':>11}"
        f"{'requests':>10}{'price':>8}  verdict"
    )
    for one in found:
        setting = f"{one.knob.word} {seconds(one.recommended_s)}"
        yield (
            f"  {asked(one):<{width}}  {one.question.scale:>6.4g}  {setting:<18}{_p95(one.point)}"
            f"{one.expected.p95_s:>11.4g}{_over(one.requests_over):>10}{_over(one.price_over):>8}  {one.verdict}"
        )


def _p95(point: Point | None) -> str:
    if point is None or not point.p95_s.known:
        return f"{'':>18}"
    half = f"{point.p95_s.half:.2g}" if math.isfinite(point.p95_s.half) else ""
    return f"{point.p95_s.value:>10.4g}{half:>8}"


def swept(found: Sequence[Claim]) -> frozenset[str]:
    """The experiments whose grids the section shows: they need no charts of their own."""
    return frozenset(one.experiment for one in found if one.drawable)


def others(frames: Frames, found: Sequence[Claim]) -> Frames:
    """The run without them."""
    return replace(frames, cells=frames.cells[~frames.cells["experiment"].isin(swept(found))])
