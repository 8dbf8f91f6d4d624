"""The tuner's proof as two pictures: every workload's grid on one axis, each setting as a share of the recommended one.

The rule it keeps: dots are measured, lines are the closed forms, which take nothing from the dots; what is too late, or
not safe, lies on grey. Where all workloads fall on one curve, that is the finding.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from analysis import style
from analysis.charts import Chart, Picture
from analysis.charts_latency import NOTHING
from analysis.frames import Drawn
from analysis.proof import EXPECTED, HOLDS, Claim, Point
from analysis.proof_page import asked
from analysis.prose import Estimate, listing
from analysis.style import Look, Tag

_MARKS = "os^Dv"  # by goal among the workloads of one rate
_FAN = 0.02  # how wide the dots of all workloads at one setting lie side by side


@dataclass(frozen=True, slots=True)
class _Curve:
    """A claim that has a grid, and how it is drawn: ``aside`` by a hair, so that none hides another."""

    claim: Claim
    look: Look
    aside: float


def draw(found: Sequence[Claim]) -> Iterator[Picture]:
    """The picture of the intervals and that of the holds, as far as there are grids of them."""
    for transport, (chart, picture) in _PICTURES.items():
        own = [one for one in found if one.knob.transport == transport]
        if curves := _curves([one for one in own if one.drawable]):
            with style.house():
                drawn = picture(own, curves)
                style.settle(drawn.figure)
            yield Picture(chart, "", drawn)


def _curves(found: Sequence[Claim]) -> list[_Curve]:
    """One colour an event rate, from light to dark; one marker a goal."""
    rates = sorted({one.question.rate_hz for one in found})
    shades = mpl.colormaps["viridis_r"](np.linspace(0.12, 1.0, max(2, len(rates))))
    curves: list[_Curve] = []
    for one in found:
        rate = one.question.rate_hz
        place = sum(curve.claim.question.rate_hz == rate for curve in curves)
        look = Look(to_hex(shades[rates.index(rate)]), _MARKS[place % len(_MARKS)])
        curves.append(_Curve(one, look, _FAN * (len(curves) - (len(found) - 1) / 2) / len(found)))
    return curves


# Intervals ------------------------------------------------------------------------------------------------------


def _intervals(found: Sequence[Claim], curves: Sequence[_Curve]) -> Drawn:
    """Left: how late, of what was asked. Right: what it costs, of what the recommended interval costs."""
    title, sentence = _interval_words(found)
    subtitle = (
        f"{_count(curves)}, each measured on a grid around the one recommended. Dots: measured, with 95 %"
        " intervals; lines: closed forms."
    )
    figure, (fresh, dear) = style.frame(title, subtitle, panels=2, height_in=4.9, notes=_notes(curves))
    shares = [point.share for curve in curves for point in curve.claim.points]
    for axes in (fresh, dear):
        axes.set_xlim(min(shares) - 0.03, max(shares) + 0.03)
        axes.set_xlabel("poll interval / recommended interval")
        axes.axvline(1.0, color=style.INK, linewidth=1.2, linestyle=(0, (4, 3)), zorder=1)
    late = [_relative(curve.claim, point).value for curve in curves for point in curve.claim.points]
    top = min(2.0, max([1.1, *(value for value in late if math.isfinite(value))]))  # a machine that stood still is off
    fresh.set_title("95 % of the events within …, of what was asked")
    fresh.set_ylim(min(shares) - 0.05, top + 0.06)
    fresh.axhspan(1.0, top + 0.06, color=style.BAND, zorder=0, linewidth=0)
    _say(fresh, "later than asked", 0.02)
    dear.set_title("cost, of that at the recommended interval")
    dear.axvspan(1.0, max(shares) + 0.03, color=style.BAND, zorder=0, linewidth=0)
    _say(dear, "later than asked", 0.98)
    for curve in curves:
        _interval_curve(fresh, dear, curve)
    fresh.yaxis.set_major_formatter(_PERCENT)
    dear.yaxis.set_major_formatter(_PERCENT)
    _key(fresh, curves)
    _costs(dear, curves)
    return Drawn(figure, title, sentence, table([curve.claim for curve in curves]))


def _interval_curve(fresh: Axes, dear: Axes, curve: _Curve) -> None:
    claim, look = curve.claim, curve.look
    x = np.linspace(claim.points[0].share, claim.points[-1].share, 40)
    model = [EXPECTED[claim.knob.transport](claim.question, share * claim.recommended_s) for share in x]
    fresh.plot(x, [one.p95_s / claim.question.p95_s for one in model], color=look.colour, linewidth=1, zorder=2)
    dear.plot(x, [one.requests_hz / claim.expected.requests_hz for one in model], color=look.colour, linewidth=1)
    slope, intercept, _ = claim.line
    price = intercept + slope * np.array([one.requests_hz for one in model])
    at_the_recommended = intercept + slope * claim.expected.requests_hz
    dear.plot(x, price / at_the_recommended, color=look.colour, linewidth=1, linestyle=(0, (3, 2)), zorder=2)
    for point in claim.points:
        if point.p95_s.known:
            at = point.share + curve.aside
            style.dot(fresh, at, _relative(claim, point), look, ok=point.counts)
            style.dot(dear, at, Estimate(_requests(claim, point)), look, ok=point.counts)


def _relative(claim: Claim, point: Point) -> Estimate:
    return point.p95_s.scaled(1 / claim.question.p95_s)


def _requests(claim: Claim, point: Point) -> float:
    base = claim.point.requests_hz if claim.point and claim.point.requests_hz > 0 else claim.expected.requests_hz
    return point.requests_hz / base


def _interval_words(found: Sequence[Claim]) -> tuple[str, str]:
    proven = sum(one.verdict == HOLDS for one in found)
    sound = [one for one in found if one.point and one.point.counts]
    sentence = f"{NOTHING} No recommended interval was measured soundly."
    if sound:
        worst = max(abs(_relative(one, one.point).value - 1) for one in sound if one.point)
        most = max((one.requests_over for one in sound if math.isfinite(one.requests_over)), default=0.0)
        fewer = f"more than {100 * most:.1f} % fewer" if most > 0 else "fewer"
        sentence = (
            f"At the recommended interval the measured p95 is within {100 * worst:.1f} % of the goal, and no other that"
            f" may meet the goal needs {fewer} requests. To the right of it events come too late; to the left each per"
            " cent fresher costs a per cent of requests."
        )
    if proven == len(found):
        return f"The recommended interval is the longest that is fresh enough, in {_all(proven)} workloads", sentence
    failed = "; ".join(f"{asked(one)}: {one.verdict}" for one in found if one.verdict != HOLDS)
    title = f"The recommended interval is where it should be in {proven} of {len(found)} workloads"
    return title, f"{sentence} What does not hold: {failed}."


# Holds ----------------------------------------------------------------------------------------------------------


def _holds(found: Sequence[Claim], curves: Sequence[_Curve]) -> Drawn:
    """What a hold costs, of what the recommended one costs; beyond the longest safe one it would be cheaper."""
    title, sentence = _hold_words(found)
    subtitle = (
        f"{_count(curves)} in which a hold can run out. Dots: measured; lines: closed forms. Every hold is as fresh as"
        " any other: it buys requests alone."
    )
    figure, (axes,) = style.frame(title, subtitle, height_in=4.7, notes=_notes(curves))
    shares = sorted({round(point.share, 4) for curve in curves for point in curve.claim.points})
    axes.set_xscale("log")
    axes.set_xlim(shares[0] / 1.06, shares[-1] * 1.06)
    axes.xaxis.set_major_locator(FixedLocator(shares))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(style.plain_tick))
    axes.set_xlabel("hold / recommended hold")
    axes.set_ylabel("requests, of those with the recommended hold")
    axes.axvline(1.0, color=style.INK, linewidth=1.2, linestyle=(0, (4, 3)), zorder=1)
    safe = min(curve.claim.most_s / curve.claim.recommended_s for curve in curves)
    if safe < shares[-1]:
        axes.axvspan(safe, shares[-1] * 1.06, color=style.BAND, zorder=0, linewidth=0)
        _say(axes, "longer than is safe", 0.98)
    for curve in curves:
        claim, look = curve.claim, curve.look
        x = np.geomspace(claim.points[0].share, claim.points[-1].share, 60)
        model = [EXPECTED[claim.knob.transport](claim.question, share * claim.recommended_s).requests_hz for share in x]
        axes.plot(x, np.array(model) / claim.expected.requests_hz, color=look.colour, linewidth=1.2, zorder=2)
        for point in claim.points:
            style.dot(axes, point.share, Estimate(_requests(claim, point)), look, ok=point.counts)
    axes.yaxis.set_major_formatter(_PERCENT)
    axes.set_ylim(0, axes.get_ylim()[1])
    style.tag_right(axes, [_hold_tag(curve) for curve in curves], height_in=4.0)
    return Drawn(figure, title, sentence, table([curve.claim for curve in curves]))


def _hold_tag(curve: _Curve) -> Tag:
    claim = curve.claim
    last = claim.points[-1]
    return Tag(
        last.share, _requests(claim, last),
        f"{claim.question.rate_hz:g}/s, {claim.recommended_s:.3g} s", curve.look.colour,
    )  # fmt: skip


def _hold_words(found: Sequence[Claim]) -> tuple[str, str]:
    proven = sum(one.verdict == HOLDS for one in found)
    saved = {f"{asked(one)} (hold {one.recommended_s:.3g} s)": one.longer_saves for one in found}
    known = {name: share for name, share in saved.items() if math.isfinite(share)}
    sentence = (
        f"The recommended hold is the longest that is safe, and the cheapest of those, in {proven} of {len(found)}."
    )
    if known:
        most = max(known, key=lambda name: known[name])
        sentence += (
            f" Twice as long, were it safe, would save {100 * known[most]:.0f} % of the requests at {most},"
            f" {100 * min(known.values()):.1f} % where it matters least."
        )
    where = _all(proven) if proven == len(found) else f"{proven} of {len(found)}"
    return f"The recommended hold is the cheapest that is safe, in {where} workloads", sentence


# Both -----------------------------------------------------------------------------------------------------------


_PERCENT = FuncFormatter(lambda value, _position: f"{100 * value:.0f} %")


def _costs(axes: Axes, curves: Sequence[_Curve]) -> None:
    """Tell the two costs apart, where both were measured."""
    said = ["dots and line: requests"]
    if any(math.isfinite(curve.claim.line[0]) for curve in curves):
        said.append("dashed: server CPU\nand bytes sent")
    axes.annotate("\n".join(said), (0.03, 0.04), xycoords="axes fraction", color=style.MUTED, linespacing=1.35)


def _all(count: int) -> str:
    return f"all {count}" if count > 1 else f"{count} of {count}"


def _count(curves: Sequence[_Curve]) -> str:
    return f"{len(curves)} workloads" if len(curves) > 1 else f"One workload, {asked(curves[0].claim)}"


def _say(axes: Axes, text: str, x: float) -> None:
    """Name what lies on grey."""
    side = "left" if x < 0.5 else "right"
    axes.annotate(
        text, (x, 0.97), xycoords="axes fraction", va="top", ha=side, color=style.MUTED, weight="bold"
    )  # fmt: skip


def _key(axes: Axes, curves: Sequence[_Curve]) -> None:
    """Name the colours: an event rate each, with its goals."""
    goals: dict[float, list[_Curve]] = {}
    for curve in curves:
        goals.setdefault(curve.claim.question.rate_hz, []).append(curve)
    for line, (rate, group) in enumerate(reversed(goals.items())):
        wanted = listing((f"{curve.claim.question.p95_s:g} s" for curve in group), "and")
        axes.annotate(
            f"{rate:g}/s, within {wanted}", (0.98, 0.03 + 0.052 * line), xycoords="axes fraction", ha="right",
            color=style.readable(group[0].look.colour), size=9.5, weight="bold",
        )  # fmt: skip


def _notes(curves: Sequence[_Curve]) -> list[str]:
    """What was scaled, and which points are hollow."""
    scales = [curve.claim.question.scale for curve in curves]
    span = f"{min(scales):.3g}" if max(scales) < 1.01 * min(scales) else f"{min(scales):.3g} to {max(scales):.3g}"
    notes = [f"Measured live with time scaled down {span} times, events as much more often; all in the asker's time."]
    hollow = [
        f"{asked(curve.claim)} at {point.share:.4g}: {point.status}"
        for curve in curves
        for point in curve.claim.points
        if not point.counts
    ]
    more = f" and {len(hollow) - 3} more" if len(hollow) > 3 else ""
    return [*notes, *([f"hollow: {'; '.join(hollow[:3])}{more}"] if hollow else [])]


def table(found: Sequence[Claim]) -> pd.DataFrame:
    """Every point of every grid, predicted beside measured, in the asker's time."""
    return pd.DataFrame([_row(claim, point) for claim in found for point in claim.points])


def _row(claim: Claim, point: Point) -> dict[str, Any]:
    model = EXPECTED[claim.knob.transport](claim.question, point.setting_s)
    return {
        "experiment": claim.experiment, "cell": point.cell, "transport": claim.knob.transport, "status": point.status,
        "rate_hz": claim.question.rate_hz, "goal_p95_s": claim.question.p95_s, "scale": claim.question.scale,
        "setting": claim.knob.word, "recommended_s": claim.recommended_s, "setting_s": point.setting_s,
        "share": point.share, "safe": point.safe, "in_time": point.counts and point.meets(claim.question.p95_s),
        "p95_s": point.p95_s.value, "p95_s_low": point.p95_s.low, "p95_s_high": point.p95_s.high,
        "p95_s_predicted": model.p95_s, "empty_ratio": point.empty_ratio.value,
        "empty_ratio_low": point.empty_ratio.low, "empty_ratio_high": point.empty_ratio.high,
        "empty_ratio_predicted": model.empty_ratio, "requests_hz": point.requests_hz,
        "requests_hz_predicted": model.requests_hz, "hourly": point.hourly, "verdict": claim.verdict,
    }  # fmt: skip


def _nothing(*_given: Any) -> None:
    """These are drawn from claims, not from the frames of a run."""


_PICTURES = {
    "polling": (
        Chart("tuned_interval", "Is the recommended interval where it should be?", (), _nothing), _intervals,
    ),
    "long_polling": (Chart("tuned_hold", "Is the recommended hold where it should be?", (), _nothing), _holds),
}  # fmt: skip
CHARTS = tuple(chart for chart, _ in _PICTURES.values())
