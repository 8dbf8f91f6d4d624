"""The chart of polling policies side by side: how late they are, how often they ask, how often for nothing.

The rule it keeps: a policy that asks less is not better when it is later. So the headline compares requests with the
fixed interval's, and says both latencies.
"""

from __future__ import annotations

import pandas as pd

from analysis import pace_words, style
from analysis.charts_cost import Panel, bars
from analysis.charts_latency import NOTHING, NOTHING_TITLE, left_out
from analysis.frames import Drawn, Frames, Row, cell_settings, conditions, known, not_ok, ok, rows, tidy, values, varied
from analysis.prose import Estimate, listing, number

_PANELS = (
    Panel("p95 latency, ms", (("delivery_ms_p95", ""),), number, "delivery_ms_p95"),
    Panel("requests per event", (("requests_per_event", ""),), number, "requests_per_event"),
    Panel("empty answers", (("empty_ratio", ""),), lambda share: f"{100 * share:.0f} %", "empty_ratio", 100.0),
    Panel("server µs per event", (("server_cpu_us_per_delivery", ""),), number, "server_cpu_us_per_delivery"),
)
_METRICS = ("delivery_ms_mean", *(panel.total for panel in _PANELS))


def policies(frames: Frames, cells: pd.DataFrame) -> Drawn | None:
    """Every policy of an experiment that runs several, a row each; None where there is but one."""
    chosen = known(cells, pace_words.POLICY, "delivery_ms_p95")
    if len(values(chosen, pace_words.POLICY)) < 2:
        return None
    title, sentence = _words(chosen)
    beneath = f"When a client asks next, by policy: measured side by side, with 95 % intervals. {conditions(chosen)}."
    figure, drawn = style.frame(title, beneath, len(_PANELS), 1.1 + 0.5 * len(chosen), not_ok(frames, chosen))
    for panel, axes in zip(_PANELS, drawn, strict=True):
        bars(frames, chosen, panel, axes)
        axes.set_yticks(range(len(chosen)), [""] * len(chosen))
    names = [cell_settings(row).replace(", ", "\n", 1) for row in rows(chosen)]
    drawn[0].set_yticks(range(len(chosen)), names)
    drawn[0].tick_params(axis="y", length=0, labelsize=9)
    return Drawn(figure, title, sentence + left_out(frames, chosen, cells), tidy(chosen, varied(cells), list(_METRICS)))


def _words(chosen: pd.DataFrame) -> tuple[str, str]:
    """The headline and the sentence, from the ``ok`` rows."""
    good = [row for row in rows(chosen) if ok(row)]
    if not good:
        return NOTHING_TITLE, NOTHING
    each = (
        f"{cell_settings(row)} asks {Estimate.of(row, 'requests_per_event').text()} times for each event, of which"
        f" {Estimate.of(row, 'empty_ratio').percent()} for nothing, and 95 % of events are there within"
        f" {Estimate.of(row, 'delivery_ms_p95').text('ms')}"
        for row in good
    )
    said = listing(each, ";")
    fixed = [row for row in good if row[pace_words.POLICY] == "fixed_rate"]
    adaptive = [row for row in good if row[pace_words.POLICY] != "fixed_rate"]
    if not fixed or not adaptive:
        return "How often each policy asks, and how late it is", f"{said}."
    least = min(adaptive, key=_requests)
    beside = min(fixed, key=lambda row: abs(float(row["delivery_ms_p95"]) - float(least["delivery_ms_p95"])))
    share = _requests(least) / _requests(beside)
    late, fixed_late = (number(float(row["delivery_ms_p95"])) for row in (least, beside))
    compared = f"{100 * (1 - share):.0f} % less" if share <= 1 else f"{100 * (share - 1):.0f} % more"
    policy = pace_words.name(str(least[pace_words.POLICY])).capitalize()
    title = f"{policy} polling asks {compared} often than a fixed interval: p95 {late} instead of {fixed_late} ms"
    return title, f"{said}."


def _requests(row: Row) -> float:
    return float(row["requests_per_event"])
