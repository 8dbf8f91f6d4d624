"""Two charts about asking: what a poller of the latest state sees, and how far away a long poller may be.

The rules they keep: points are the agreement table's, with its half-widths; curves are the closed forms of the feed's
own rate. The second chart is the simulator's alone, and says so. Sources: Bozdag, Mesbah & van Deursen, Performance
testing of data delivery techniques for AJAX applications, 2009; Pimentel & Nickerson 2012 (``analysis.threshold``).
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from analysis import forms, style, threshold, traffic
from analysis.charts_latency import NOTHING, NOTHING_TITLE
from analysis.charts_sweeps import agreement_of
from analysis.frames import Drawn, Frames, Row, conditions, not_ok, ok, real, rows
from analysis.prose import Estimate, number, plain
from analysis.style import Look, Tag

# Quantity of the agreement table: how it is called, its colour and marker.
_RATIOS: Mapping[str, tuple[str, Look]] = {
    "unique_published": ("events seen / published", Look("#0072b2", "o")),
    "unique_received": ("answers with news / answers", Look("#d55e00", "s")),
    "in_step": ("time in which it shows the newest", Look("#009e73", "D")),
}
_ORDER = ("constant", "poisson")
_HEADS = {"constant": "a tick each {} s", "poisson": "random events, {} s apart in the mean"}


def latest_state(frames: Frames, cells: pd.DataFrame) -> Drawn | None:
    """Bozdag's two ratios and the time in step against the poll interval, over the publish interval."""
    shown = cells[[forms.is_latest(row) for row in rows(cells)]]
    found = agreement_of(frames, shown)
    found = found[found["quantity"].isin(_RATIOS)] if len(found) else found
    if found.empty or shown["polling.interval_s"].nunique() < 2:
        return None
    points = found.merge(shown[["experiment", "cell", "status", "feed.schedule", "feed.rate_hz", "polling.interval_s"]])
    schedules = [name for name in _ORDER if (points["feed.schedule"] == name).any()]
    title, sentence = _words(points)
    subtitle = f"Lines: closed forms. Points: measured, three standard errors. {conditions(shown)}"
    figure, panels = style.frame(title, subtitle, len(schedules), 4.4, not_ok(frames, shown))
    for axes, schedule in zip(panels, schedules, strict=True):
        _panel(axes, schedule, points[points["feed.schedule"] == schedule])
    panels[0].set_ylabel("share")
    return Drawn(figure, title, sentence, points)


def _panel(axes: Axes, schedule: str, points: pd.DataFrame) -> None:
    rate_hz = float(points["feed.rate_hz"].iloc[0])
    axes.set_title(_HEADS[schedule].format(plain(1 / rate_hz)))
    low, high = float(points["polling.interval_s"].min()), float(points["polling.interval_s"].max())
    x = np.geomspace(low, high, 200)
    settings = {"feed.schedule": schedule, "feed.rate_hz": rate_hz, "polling.mode": "latest"}
    closed = forms.polling(settings, x, 0.0)
    curves = closed._asdict() | {"unique_received": 1 - closed.empty_ratio}
    style.log_x(axes, [], style.thinned(sorted(points["polling.interval_s"].unique()), 0.1))
    axes.set_ylim(0, 1.05)
    axes.set_xlabel("poll interval, s")
    axes.axvline(1 / rate_hz, color=style.MUTED, linewidth=1, linestyle=(0, (2, 3)), zorder=1)
    axes.annotate(
        "publish interval", (1 / rate_hz, 0.02), (5, 0), textcoords="offset points", size=9, color=style.MUTED,
        rotation=90, va="bottom",
    )  # fmt: skip
    tags = []
    for quantity, (words, look) in _RATIOS.items():
        curve = np.broadcast_to(curves[quantity], x.shape)
        axes.plot(x, curve, color=look.colour, zorder=2)
        for row in rows(points[points["quantity"] == quantity]):
            style.dot(axes, float(row["polling.interval_s"]), _estimate(row), look, ok=ok(row))
        tags.append(Tag(high, float(curve[-1]), words.replace(" / ", "\n/ ").replace(" it ", "\nit "), look.colour))
    style.tag_right(axes, tags, 3.6, 9)


def _estimate(row: Row) -> Estimate:
    value, half = real(row["measured"]), real(row["half_width"])
    return Estimate(value, value - half, value + half)


def _words(points: pd.DataFrame) -> tuple[str, str]:
    good = points[points["status"] == "ok"]
    if good.empty:
        return NOTHING_TITLE, NOTHING
    title = "Only at the publisher's own interval is nothing missed and nothing asked in vain"
    told = []
    for schedule in _ORDER:
        of = good[good["feed.schedule"] == schedule]
        if of.empty:
            continue
        ends = (of["polling.interval_s"].min(), of["polling.interval_s"].max())
        said = [_told(of[of["polling.interval_s"] == at], float(at)) for at in ends]
        told.append(f"{_HEADS[schedule].format(plain(1 / float(of['feed.rate_hz'].iloc[0])))}: {'; '.join(said)}")
    counts = good["verdict"].value_counts()
    judged = ", ".join(f"{count} {verdict}" for verdict, count in counts.items())
    return title, f"With {'. With '.join(told)}. Theory and measurement: {judged}."


def _told(at: pd.DataFrame, interval_s: float) -> str:
    by_name = {row["quantity"]: real(row["measured"]) for row in rows(at)}
    seen, news = by_name.get("unique_published", math.nan), by_name.get("unique_received", math.nan)
    return f"polled every {plain(interval_s)} s, {seen:.0%} of the events are seen and {news:.0%} of answers bring news"


# How far away -------------------------------------------------------------------------------------------------

_DELAYS_MS = np.array([10, 40, 80, 110, 120, 130, 140, 160, 180, 200, 225, 250])
_FEEDS = (("4 readings a second, evenly", traffic.constant, "#d55e00"),
          ("4 events a second, at random", traffic.poisson, "#e69f00"))  # fmt: skip


def distance(frames: Frames, _cells: pd.DataFrame) -> Drawn | None:
    """Mean latency of long polling over the one-way delay, simulated: Pimentel & Nickerson's threshold."""
    if frames.replayed.empty:
        return None
    found = threshold.threshold()
    limit = number(1e3 * found.delay_s)
    title = f"Up to {limit} ms one way, half the data interval, long polling is as fast as push"
    subtitle = (
        "Simulated: 4 events a second, hold 30 s, delays vary by 3 %. The threshold is Pimentel & Nickerson's (2012)."
    )
    figure, (axes,) = style.frame(title, subtitle, 1, 4.4)
    table = pd.DataFrame({"one_way_ms": _DELAYS_MS, "push_ms": _DELAYS_MS})
    axes.axvline(125, color=style.MUTED, linewidth=1, linestyle=(0, (2, 3)), zorder=1)
    axes.annotate("half the data interval", (125, 15), (6, 0), textcoords="offset points", size=9, color=style.MUTED)
    axes.plot(_DELAYS_MS, _DELAYS_MS, color="#0072b2", zorder=2)
    tags = [Tag(float(_DELAYS_MS[-1]), float(_DELAYS_MS[-1]), "push: one transit", "#0072b2")]
    for words, feed, colour in _FEEDS:
        mean_ms = 1e3 * np.array(threshold.curve(tuple(_DELAYS_MS / 1e3), feed))
        table[f"long_polling_{feed.__name__}_ms"] = mean_ms
        axes.plot(_DELAYS_MS, mean_ms, color=colour, zorder=3)
        tags.append(Tag(float(_DELAYS_MS[-1]), float(mean_ms[-1]), f"long polling,\n{words}", colour))
    axes.set_xlim(0, 255)
    axes.set_ylim(0, 560)
    axes.set_xlabel("one-way delay, ms")
    axes.set_ylabel("mean delivery latency, ms")
    style.tag_right(axes, tags, 3.8, 9.5)
    at = table[table["one_way_ms"] == 200].iloc[0]
    sentence = (
        "While an answer and the next request take less than the 250 ms between two readings, every reading meets a"
        f" held request; at 200 ms one way they do not, and the mean is {number(at['long_polling_constant_ms'])} ms"
        f" ({number(at['long_polling_poisson_ms'])} ms for random events, which have no threshold)."
    )
    return Drawn(figure, title, sentence, table)
