"""The charts of the worked notebooks: what a reader's own numbers make of asking and of being held.

The rule it keeps: every figure is drawn from an ``Answer``, and so from the reader's numbers; a title says what they
come to. The tuner's own charts (``analysis.tune_charts``) stand beside these.
"""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from matplotlib.ticker import FuncFormatter

from analysis import models, pareto, simulate, style, traffic, units
from analysis.drawn import Drawn
from analysis.predict import Choice, Situation, seconds
from analysis.tune_charts import BAD, GOAL, ring, tell
from analysis.tune_text import named, percent, rate
from analysis.tuner import FAMILIES, Answer, family
from analysis.tuning import QUANTILE, cycle_s

CYCLES, LANES, EVENTS = 100, 200, 4e4  # long polls, clients and events simulated for a hold behind a proxy


# Polling ------------------------------------------------------------------------------------------------------


def waiting(answer: Answer) -> Drawn:
    """How long updates wait under a fixed interval, half of it and twice: delta + U(0, P), three straight lines."""
    one, delta_s = _polling(answer), answer.asked.situation.delta_s
    period_s = _period_s(answer)
    goal_s = answer.asked.goals.latency_s.get(QUANTILE, math.nan)
    title = (
        f"Asking every {seconds(_interval_s(one))}: 95 % of updates within {seconds(one.quantiles_s[QUANTILE])},"
        f" half within {seconds(float(models.polling_quantile_s(0.5, period_s, delta_s)))}"
    )
    subtitle = "An event falls anywhere between two questions: all waits up to the interval are as likely."
    figure, (axes,) = style.frame(title, subtitle, height_in=3.7)
    looks = style.looks(["polling", "half", "twice"])
    tags = []
    for name, factor in (("polling", 1.0), ("half", 0.5), ("twice", 2.0)):
        at_s = float(models.fixed_rate_period_s(factor * _interval_s(one), answer.asked.situation.round_trip_s))
        width = 2.8 if factor == 1 else 1.8
        axes.plot([0, delta_s, delta_s + at_s], [0, 0, 100], color=looks[name].colour, linewidth=width)
        tags.append(style.Tag(delta_s + 0.7 * at_s, 70.0, f"every {seconds(at_s)}", looks[name].colour))
    axes.set_xlim(0, (delta_s + 2 * period_s) * 1.02)
    axes.set_ylim(0, 104)
    for tag in tags:
        axes.annotate(
            tag.text, (tag.x, tag.y), (7, -4), textcoords="offset points", color=style.readable(tag.colour),
            weight="bold", size=10, va="top",
        )  # fmt: skip
    axes.axhline(95, color=GOAL, linestyle="--", linewidth=1.2)
    if math.isfinite(goal_s) and goal_s < axes.get_xlim()[1]:
        axes.axvline(goal_s, color=GOAL, linestyle="--", linewidth=1.2)
        axes.annotate("your goal", (goal_s, 3), (4, 0), textcoords="offset points", color=GOAL, size=9.5, va="bottom")
    axes.set_xlabel("time from the event to its receipt, s")
    axes.set_ylabel("updates that have arrived, %")
    shares = np.array([0.05, 0.25, 0.5, 0.75, QUANTILE, 0.99, 1.0])
    table = pd.DataFrame({"share": shares, "within_s": models.polling_quantile_s(shares, period_s, delta_s)})
    bound = (
        f"The longest interval that is fresh enough: ({seconds(goal_s)} - {seconds(delta_s)}) / {QUANTILE:g} ="
        f" {seconds((goal_s - delta_s) / QUANTILE)}."
        if goal_s > delta_s
        else f"One transit alone takes {seconds(delta_s)}: no interval is fresh enough."
    )
    return Drawn(figure, title, bound, table)


def asking(answer: Answer) -> Drawn:
    """What an interval asks of the servers: requests per second and busy cores, falling as it grows."""
    frame, one = pareto.intervals(answer), _polling(answer)
    title = (
        f"Every {seconds(_interval_s(one))} from {units.short(answer.asked.situation.clients)} clients:"
        f" {rate(one.requests_hz)} requests/s, {units.ranged(one.demand.cores)} cores"
    )
    figure, axes = style.frame(title, "The ring is the interval above; shaded: what the costs' 95 % intervals allow.",
                               panels=2, height_in=3.6)  # fmt: skip
    colour = style.looks(["polling"])["polling"].colour
    shown = (("requests_hz", "requests per second", one.requests_hz), ("cores", "server cores", one.demand.cores.value))
    for panel, (column, heading, at) in zip(axes, shown, strict=True):
        style.log_x(panel, frame["interval_s"])
        style.log_y(panel, frame[column])
        panel.plot(frame["interval_s"], frame[column], color=colour, linewidth=2.4)
        ring(panel, _interval_s(one), at, f"{rate(at)}")
        panel.set_title(heading)
        panel.set_xlabel("poll interval, s")
    axes[1].fill_between(frame["interval_s"], frame["cores_low"], frame["cores_high"], color=colour, alpha=0.18, lw=0)
    sooner_s = _interval_s(one) / 4
    sentence = f"Half the interval is twice the requests, and brings an update {seconds(sooner_s)} sooner on average."
    return Drawn(figure, title, sentence, frame)


def cleverer(answer: Answer) -> Drawn:
    """Every polling policy that was tried: requests against p95; what lies below the fixed intervals is cleverer."""
    frame = pareto.candidates(answer)
    frame = frame[frame["transport"] == "polling"].reset_index(drop=True)
    fixed, adaptive = _polling(answer), answer.adaptive
    if adaptive is None:
        title = "No cleverer poller that was tried asks clearly less at the same p95"
        sentence = (
            f"{len(frame)} settings were tried; at {rate(fixed.requests_hz)} requests/s {named(fixed)} is as good"
            " as any of them, and simpler."
        )
    else:
        fewer = percent(1 - adaptive.requests_hz / fixed.requests_hz)
        title = f"A cleverer poller asks {fewer} less at the same p95"
        sentence = f"{named(adaptive)}: {rate(adaptive.requests_hz)} instead of {rate(fixed.requests_hz)} requests/s."
    figure, (axes,) = style.frame(
        title, "Each point is a setting; the rings are the best of their kind.", height_in=3.9
    )
    style.log_x(axes, frame["p95_s"])
    style.log_y(axes, frame["requests_hz"])
    families = [name for name in FAMILIES.values() if (frame["family"] == name).any()]
    for name, look in style.looks(families).items():
        own = frame[frame["family"] == name].sort_values("p95_s")
        line = "-" if name == families[0] else "none"
        axes.plot(
            own["p95_s"], own["requests_hz"], look.marker, color=look.colour, markersize=5, linestyle=line, label=name
        )
    for one in filter(None, (fixed, adaptive)):
        ring(axes, one.quantiles_s[QUANTILE], one.requests_hz, family(one).removeprefix("poll, "))
    if (goal_s := answer.asked.goals.latency_s.get(QUANTILE)) is not None:
        axes.axvline(goal_s, color=GOAL, linestyle="--", linewidth=1.2)
        tell(axes, goal_s, "your goal", GOAL)
    axes.legend(loc="lower left", fontsize=9)
    axes.set_xlabel("95 % of updates within, s")
    axes.set_ylabel("requests per second")
    return Drawn(figure, title, sentence, frame)


def _polling(answer: Answer) -> Choice:
    assert answer.polling is not None  # noqa: S101  costs that are complete have polling
    return answer.polling


def _interval_s(one: Choice) -> float:
    return float(one.settings["polling.interval_s"])


def _period_s(answer: Answer) -> float:
    return float(models.fixed_rate_period_s(_interval_s(_polling(answer)), answer.asked.situation.round_trip_s))


# Long polling -------------------------------------------------------------------------------------------------


def holding(answer: Answer) -> Drawn:
    """Latency against the hold: flat, for a held request is answered at once."""
    given = answer.asked.situation
    frame, delta_s = pareto.holds(answer), given.delta_s
    frame["max_s"] = delta_s + given.round_trip_s  # a bound: few events of a trace fall into a gap
    short, long = frame.iloc[0], frame.iloc[-1]
    title = (
        f"A hold of {seconds(short['hold_s'])} or of {seconds(long['hold_s'])}: the mean is"
        f" {_ms(short['mean_s'])} or {_ms(long['mean_s'])}"
    )
    subtitle = "Only an event that falls between an answer and the next question waits; the hold makes no event wait."
    figure, (axes,) = style.frame(title, subtitle, height_in=3.5)
    looks = style.looks(["polling", "long_polling", "p95", "max"])
    style.log_x(axes, frame["hold_s"])
    tags = []
    for column, name, word in (
        ("mean_s", "long_polling", "mean"),
        ("p95_s", "p95", "p95"),
        ("max_s", "max", "longest"),
    ):
        look = looks[name]
        axes.plot(frame["hold_s"], 1e3 * frame[column], color=look.colour, linewidth=2.4)
        tags.append(style.Tag(float(long["hold_s"]), 1e3 * float(long[column]), word, look.colour))
    axes.set_ylim(0, max(1.25e3 * float(frame["max_s"].max()), 1e-3))
    axes.axhline(1e3 * delta_s, color=style.MUTED, linestyle=":", linewidth=1.2)
    axes.annotate(
        "one transit", (frame["hold_s"].iloc[0], 1e3 * delta_s), (0, -4), textcoords="offset points",
        color=style.MUTED, size=9.5, va="top",
    )  # fmt: skip
    style.tag_right(axes, tags, 2.6)
    axes.set_xlabel("hold, s")
    axes.set_ylabel("delivery latency, ms")
    sentence = f"One transit is {_ms(delta_s)}; the longest wait is {_ms(float(frame['max_s'].max()))}."
    return Drawn(figure, title, sentence, frame)


def cutting(answer: Answer) -> Drawn | None:
    """What a proxy does to holds longer than it likes: requests cut, and events that wait; None without a proxy."""
    given = answer.asked.situation
    if given.proxy_s is None:
        return None
    proxy = simulate.Proxy(given.proxy_s)
    frame = pd.DataFrame(_behind(given, proxy, hold_s) for hold_s in proxy.timeout_s * np.geomspace(1 / 8, 4, 16))
    beyond = frame[frame["hold_s"] > proxy.timeout_s]
    cut, longest_s = float(beyond["cut"].max()), float(beyond["longest_s"].max())
    hold_s = float(_long_polling(answer).settings["long_polling.hold_s"])
    if cut < 5e-4:
        title = f"At your rate hardly a request gets {seconds(proxy.timeout_s)} old: the proxy has nothing to cut"
    else:
        title = f"Hold longer than {seconds(proxy.timeout_s)}, and the proxy cuts {percent(cut)} of the requests"
    subtitle = f"Simulated on your events; whoever is cut asks again after {seconds(proxy.retry_s)}."
    figure, axes = style.frame(title, subtitle, panels=2, height_in=3.5)
    colour = style.looks(["polling", "long_polling"])["long_polling"].colour
    columns = (("cut", "requests that are cut, %", 100.0), ("longest_s", "an update may wait, s", 1.0))
    for panel, (column, heading, scale) in zip(axes, columns, strict=True):
        style.log_x(panel, frame["hold_s"])
        panel.plot(frame["hold_s"], scale * frame[column], color=colour, linewidth=2.4)
        panel.set_ylim(0, max(1.2 * scale * float(frame[column].max()), 1.0 if column == "cut" else 1e-3))
        panel.axvline(proxy.timeout_s, color=BAD, linestyle="--", linewidth=1.2)
        tell(panel, proxy.timeout_s, "the proxy cuts", BAD)
        panel.axvline(hold_s, color=style.INK, linewidth=1.2)
        tell(panel, hold_s, "our hold", style.INK, left=True)
        panel.yaxis.set_major_formatter(FuncFormatter(style.plain_tick))
        panel.set_title(heading)
        panel.set_xlabel("hold, s")
    late = f", and an update that comes just then waits up to {seconds(longest_s)}" if cut >= 5e-4 else ""
    return Drawn(figure, title, f"{title}{late}. The hold of {seconds(hold_s)} stays below.", frame)


def _behind(given: Situation, proxy: simulate.Proxy, hold_s: float) -> dict[str, float]:
    """One hold behind a proxy, simulated."""
    cycle = cycle_s(given)
    if given.trace is None:
        length_s = min(CYCLES * cycle, EVENTS / LANES / given.rate_hz)
        schedule = traffic.poisson(given.rate_hz, LANES, length_s, given.rng(), run_in_s=length_s / 10)
    else:
        thin = given.thinned(cycle, CYCLES * LANES).trace
        assert thin is not None  # noqa: S101  a trace stays one
        schedule = thin
    outcome = simulate.long_poll(schedule, hold_s, given.network, given.rng(), proxy=proxy)
    asked = outcome.responses + outcome.cut
    # an event that comes while nobody asks waits for the next question: bounds, for few fall into the gap
    gap_s = given.round_trip_s + (proxy.retry_s if hold_s > proxy.timeout_s else 0.0)
    return {"hold_s": hold_s, "cut": outcome.cut / asked if asked else 0.0, "longest_s": given.delta_s + gap_s}


def crossing(answer: Answer) -> Drawn:
    """Requests of one client against the event rate: polling's do not care, long polling's grow with it."""
    given, hold_s = answer.asked.situation, float(_long_polling(answer).settings["long_polling.hold_s"])
    period_s, gap_s = _period_s(answer), given.round_trip_s
    rates = given.rate_hz * np.geomspace(1e-3, 1e3, 121)
    held = 1 / np.asarray(models.long_polling_cycle_s(rates, hold_s, gap_s))
    more = np.flatnonzero(held > 1 / period_s)
    if len(more) and more[0]:
        border = float(rates[more[0]])
        title = f"From {rate(border)} events/s on, long polling asks more often than polling every {seconds(period_s)}"
    elif len(more):
        title = f"Long polling asks more often than polling every {seconds(period_s)}, at any of these rates"
    else:
        title = f"Long polling asks less often than polling every {seconds(period_s)}, at any of these rates"
    figure, (axes,) = style.frame(title, "Requests per second of one client; the rings are your rate.", height_in=3.6)
    looks = style.looks(["polling", "long_polling"])
    style.log_x(axes, rates)
    style.log_y(axes, [*held, 1 / period_s])
    axes.plot(rates, np.full(len(rates), 1 / period_s), color=looks["polling"].colour, linewidth=2.4)
    axes.plot(rates, held, color=looks["long_polling"].colour, linewidth=2.4)
    own = _long_polling(answer).requests_hz / given.clients
    ring(axes, given.rate_hz, 1 / period_s, "you, polling")
    ring(axes, given.rate_hz, own, "you, held")
    end = float(rates[-1])
    style.tag_right(axes, [
        style.Tag(end, 1 / period_s, f"poll, every\n{seconds(period_s)}", looks["polling"].colour),
        style.Tag(end, float(held[-1]), f"long poll,\nhold {seconds(hold_s)}", looks["long_polling"].colour),
    ], 2.7)  # fmt: skip
    axes.set_xlabel("events per second and client")
    axes.set_ylabel("requests per second and client")
    sentence = (
        f"At {rate(given.rate_hz)} events/s a client asks {rate(own)} times a second when it is held,"
        f" {rate(1 / period_s)} times when it polls."
    )
    return Drawn(figure, title, sentence, pd.DataFrame({"rate_hz": rates, "held_hz": held, "polled_hz": 1 / period_s}))


def _long_polling(answer: Answer) -> Choice:
    assert answer.long_polling is not None  # noqa: S101  costs that are complete have long polling
    return answer.long_polling


def _ms(value_s: float) -> str:
    return f"{1e3 * value_s:.3g} ms"
