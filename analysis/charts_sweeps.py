"""Charts of the pull transports' own knob: latency and empty answers against the poll interval, and against the hold.

The rule it keeps: a model's curve takes nothing from the cells it is drawn through. Its rate is the feed's, its
transit and round trip come from the floor or from a reference cell (METHODOLOGY, "What the numbers must agree with").
What the points say about the model is the agreement table's verdict, not the eye's.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes

from analysis import forms, replay, style
from analysis.charts_latency import NOTHING, NOTHING_TITLE, left_out
from analysis.frames import (
    Drawn,
    Frames,
    Row,
    cell_settings,
    conditions,
    known,
    not_ok,
    ok,
    real,
    rows,
    series,
    setting,
    tidy,
    values,
    varied,
)
from analysis.prose import Estimate, listing, number
from analysis.style import Look, Tag

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Curve:
    """A model over the swept setting: mean and p95 latency in ms, and the empty ratio; arrays like ``x``."""

    x: Floats
    mean_ms: Floats
    p95_ms: Floats
    empty: Floats


@dataclass(frozen=True, slots=True)
class Sweep:
    """What two sweeps differ in: the setting on the x axis, its name, the model, and how a point is told."""

    x: str
    label: str
    formula: str
    empty_formula: str
    model: Callable[[Frames, Row, Floats], Curve]
    law: str
    noun: str


def poll_interval(frames: Frames, cells: pd.DataFrame) -> Drawn | None:
    """Delivery latency and empty-response ratio against the poll interval, with δ + P/2, δ + 0.95 P and e^(-λP).

    Pollers of the latest state have a chart of their own (``charts_state``): what they do not see is never late.
    """
    return _draw(frames, cells[[not forms.is_latest(row) for row in rows(cells)]], _POLLING)


def hold_timeout(frames: Frames, cells: pd.DataFrame) -> Drawn | None:
    """The same against the hold, a curve for each gap: δ + G²/(2C), δ + max(0, G - C/20) and e^(-λ(G+H))."""
    return _draw(frames, cells, _HOLD)


def _polling_curve(frames: Frames, row: Row, x: Floats) -> Curve:
    round_trip_s, policy = _round_trip_s(frames, row), row.get("polling.policy")
    period_of = replay.PERIODS.get(policy if isinstance(policy, str) else "fixed_rate")
    if period_of is None:  # it adapts: no form over the interval alone
        return _curve(x, forms.NONE)
    return _curve(x, forms.polling(row, np.asarray(period_of(x, round_trip_s)), round_trip_s / 2))


def _curve(x: Floats, found: forms.Forms) -> Curve:
    """The forms as a curve; what no form speaks of, and what grows without bounds, is NaN and not drawn."""
    mean_s, p95_s, empty = (
        np.broadcast_to(np.where(np.isfinite(one), one, np.nan), x.shape)
        for one in (found.mean_s, found.p95_s, found.empty_ratio)
    )
    return Curve(x, mean_s * 1e3, p95_s * 1e3, empty)


def _hold_curve(frames: Frames, row: Row, x: Floats) -> Curve:
    """δ is what a long poll that is always held takes (the reference cell), G that round trip and the gap."""
    round_trip_s, delta_s = _round_trip_s(frames, row), _delta_s(frames, row)
    gap_s = round_trip_s + max(0.0, _number(row.get("long_polling.gap_s"), 0.0))
    return _curve(x, forms.long_polling(row, x, gap_s, delta_s))


def _number(value: Any, otherwise: float) -> float:
    found = real(value)
    return found if math.isfinite(found) else otherwise


def _round_trip_s(frames: Frames, row: Row) -> float:
    """The answer's round trip on the floor; without a floor 0, which on loopback is below what a chart shows."""
    return _number(frames.floor.get(str(row["transport"]), {}).get("round_trip_ms_p50"), 0.0) / 1e3


def _delta_s(frames: Frames, row: Row) -> float:
    """One transit: the mean of the experiment's reference cell, else half a round trip."""
    held = known(frames.references, "delivery_ms_mean")
    held = held[(held["experiment"] == row["experiment"]) & (held["transport"] == row["transport"])]
    return float(held["delivery_ms_mean"].mean()) / 1e3 if len(held) else _round_trip_s(frames, row) / 2


_POLLING = Sweep(
    "polling.interval_s",
    "poll interval, s",
    "δ + P/2",
    "e^(-λP)",
    _polling_curve,
    "Half the poll interval",
    "an interval",
)
_HOLD = Sweep(
    "long_polling.hold_s",
    "hold time-out, s",
    "δ + G²/2C",
    "e^(-λ(G+H))",
    _hold_curve,
    "The gap sets the latency, the hold sets the empty answers",
    "a hold",
)


def _draw(frames: Frames, cells: pd.DataFrame, sweep: Sweep) -> Drawn | None:
    shown = known(cells, sweep.x, "delivery_ms_mean")
    if not any(len(values(group, sweep.x)) > 1 for _, group in series(shown, sweep.x)):
        return None  # no curve: an experiment of policies has a chart of its own
    verdicts = agreement_of(frames, shown[shown["status"] == "ok"])
    beneath = (
        "Lines: the model, from the feed's rate and a transit measured elsewhere. Points: measured, 95 % intervals."
    )
    title = _title(shown, sweep, verdicts)
    figure, panels = style.frame(title, f"{beneath} {conditions(shown)}", 2, 4.7, not_ok(frames, shown))
    _panels(frames, shown, sweep, panels)
    metrics = [
        "delivery_ms_mean",
        "delivery_ms_p95",
        "delivery_ms_p99",
        "empty_ratio",
        "requests_per_event",
        "age_s_mean",
    ]
    sentence = _sentence(shown, sweep, verdicts) + left_out(frames, shown, cells)
    return Drawn(figure, title, sentence, tidy(shown, varied(shown), metrics))


def _panels(frames: Frames, shown: pd.DataFrame, sweep: Sweep, panels: Sequence[Axes]) -> None:
    """Left the latency on a log axis over its floor, right the empty ratio; the model's curves through the points."""
    left, right = panels
    curves = _series(frames, shown, sweep)
    for axes, name in ((left, "delivery latency, ms"), (right, "empty responses / responses")):
        axes.set_title(name)
        axes.set_xlabel(sweep.label)
        style.log_x(axes, [], style.thinned([float(x) for x in values(shown, sweep.x) if float(x) > 0], 0.1))
    latencies: list[Any] = [
        shown["delivery_ms_mean"],
        shown.get("delivery_ms_p95", []),
        *(ms for _, _, curve, _ in curves for ms in (curve.mean_ms, curve.p95_ms)),
    ]
    floor_ms = frames.floor_ms(list(dict.fromkeys(shown["transport"])))
    style.log_y(left, np.concatenate(latencies), floor_ms * 0.8 if math.isfinite(floor_ms) else None)
    right.set_ylim(-0.03, 1.03)
    for _, group, curve, look in curves:
        _latency_series(left, group, curve, look, sweep.x)
        _empty_series(right, group, curve, look, sweep.x)
    style.floor_band(left, floor_ms)
    style.tag_right(left, [tag for one in curves for tag in _latency_tags(*one, sweep)], 3.9, 9)
    style.tag_right(right, [_empty_tag(*one, sweep) for one in curves], 3.9, 9)


def _series(frames: Frames, shown: pd.DataFrame, sweep: Sweep) -> list[tuple[str, pd.DataFrame, Curve, Look]]:
    """(label, rows, model, look) of every curve of the sweep."""
    groups = list(series(shown, sweep.x))
    found = []
    for step, (label, group) in enumerate(groups):
        row = rows(group)[0]
        low, high = max(float(group[sweep.x].min()), 1e-4), float(group[sweep.x].max())
        look = frames.looks[row["transport"]].shade(step, len(groups))
        found.append((label, group, sweep.model(frames, row, np.geomspace(low, high, 80)), look))
    return found


def _latency_series(axes: Axes, group: pd.DataFrame, curve: Curve, look: Look, x: str) -> None:
    axes.plot(curve.x, curve.mean_ms, color=look.colour, zorder=2)
    axes.plot(curve.x, curve.p95_ms, color=look.colour, linestyle=(0, (5, 2)), linewidth=1.3, zorder=2)
    for row in rows(group):
        style.dot(axes, float(row[x]), Estimate.of(row, "delivery_ms_mean"), look, ok=ok(row))
        style.dot(axes, float(row[x]), Estimate.of(row, "delivery_ms_p95"), Look(look.colour, style.DASH), ok=ok(row))


def _empty_series(axes: Axes, group: pd.DataFrame, curve: Curve, look: Look, x: str) -> None:
    axes.plot(curve.x, curve.empty, color=look.colour, zorder=2)
    for row in rows(group):
        style.dot(axes, float(row[x]), Estimate.of(row, "empty_ratio"), look, ok=ok(row))


def _latency_tags(label: str, group: pd.DataFrame, curve: Curve, look: Look, sweep: Sweep) -> list[Tag]:
    """``mean`` and ``p95`` at the ends of the curves; where they coincide one label serves both.

    Without a floor and a reference cell the model may say 0, which a log axis does not have: the points are named then.
    """
    x, mean, p95 = float(curve.x[-1]), float(curve.mean_ms[-1]), float(curve.p95_ms[-1])
    lead = f"{label}: " if label else ""
    if not mean > 0:
        return [Tag(x, float(group["delivery_ms_mean"].iloc[-1]), f"{lead}mean", look.colour)]
    if not math.isfinite(p95):
        return [Tag(x, mean, f"{lead}mean", look.colour)]
    if p95 < mean * 1.15:
        return [Tag(x, mean, f"{lead}mean, p95", look.colour)]
    row = rows(group)[0]
    formula = "" if label or forms.limit_of(row) else f"\n{sweep.formula}"
    return [Tag(x, p95, f"{lead}p95", look.colour), Tag(x, mean, f"{lead}mean{formula}", look.colour)]


def _empty_tag(label: str, group: pd.DataFrame, curve: Curve, look: Look, sweep: Sweep) -> Tag:
    at = _number(float(curve.empty[-1]), float(group["empty_ratio"].iloc[-1]))
    return Tag(float(curve.x[-1]), at, label or sweep.empty_formula, look.colour)


def agreement_of(frames: Frames, shown: pd.DataFrame) -> pd.DataFrame:
    """The agreement table's rows for these cells."""
    if frames.agreement.empty:
        return frames.agreement
    cells = set(zip(shown["experiment"], shown["cell"], strict=True))
    keys = zip(frames.agreement["experiment"], frames.agreement["cell"], strict=True)
    return frames.agreement[[key in cells for key in keys]]


def tally(verdicts: pd.DataFrame) -> Mapping[str, int]:
    """How many comparisons ended with which verdict."""
    return {} if verdicts.empty else {str(k): int(v) for k, v in verdicts["verdict"].value_counts().items()}


def _judgement(verdicts: pd.DataFrame) -> str:
    """What the agreement table says of the model, in words: ``but the model misses 2 of 18 comparisons``."""
    counts = tally(verdicts)
    total, differ, agree = sum(counts.values()), counts.get("differs", 0), counts.get("agrees", 0)
    if not total:
        return "not compared with the model"
    if differ:
        return f"but the model misses {differ} of {total} {'comparison' if total == 1 else 'comparisons'}"
    if agree == total:
        return f"as the model says in {'the one comparison' if total == 1 else f'all {total} comparisons'}"
    if not agree:
        return "but the window is too short to hold the model to it"
    return f"as the model says in {agree} of {total} comparisons, the rest too noisy to tell"


def _title(shown: pd.DataFrame, sweep: Sweep, verdicts: pd.DataFrame) -> str:
    if not (shown["status"] == "ok").any():
        return NOTHING_TITLE
    return f"{_law(shown, sweep)}, {_judgement(verdicts)}"


def _law(shown: pd.DataFrame, sweep: Sweep) -> str:
    """What the sweep shows; of one event an answer it is another story."""
    if any(forms.limit_of(row) for row in rows(shown)):
        return "One event an answer makes a queue"
    return sweep.law


def _sentence(shown: pd.DataFrame, sweep: Sweep, verdicts: pd.DataFrame) -> str:
    """The law, the verdict, and one or two points with their intervals: at about 1 s, for each curve."""
    good = shown[shown["status"] == "ok"]
    if good.empty:
        return NOTHING
    told = []
    for label, group in series(good, sweep.x):
        row = min(rows(group), key=lambda row: abs(math.log(max(float(row[sweep.x]), 1e-9))))
        where = f"at {sweep.noun} of {setting(sweep.x, row[sweep.x])}{f' and {label}' if label else ''}"
        empty = Estimate.of(row, "empty_ratio")
        share = f", and {empty.percent()} of answers are empty" if empty.known else ""
        told.append(f"{where} the mean is {Estimate.of(row, 'delivery_ms_mean').text('ms')}{share}")
    head = f"{_law(shown, sweep)}, {_judgement(verdicts)}: {'; '.join(told)}."
    return head + _misses(verdicts, sweep)


def _misses(verdicts: pd.DataFrame, sweep: Sweep, limit: int = 3) -> str:
    """Which comparisons differ, worst first."""
    if verdicts.empty:
        return ""
    bad = sorted(rows(verdicts[verdicts["verdict"] == "differs"]), key=lambda row: -abs(real(row["z"])))
    told = [
        f"{row['quantity']} {number(real(row['measured']))} against {number(real(row['theory']))} "
        f"({cell_settings(row) or sweep.x})"
        for row in bad[:limit]
    ]
    return f" It misses {listing(told)}{f' and {len(bad) - limit} more' if len(bad) > limit else ''}." if bad else ""
