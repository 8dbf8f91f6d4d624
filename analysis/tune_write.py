"""The answer as an experiment that runs it for real, and as predictions for that run: ``tuned.toml``, ``tuned.json``.

A live run is short and on loopback, so time is scaled: with scale s every interval, hold and gap is 1/s as long and the
events are s times as frequent, which leaves empty ratios and requests per event as they are and divides every latency
by s. The round trip becomes a long poll's ``gap_s``. The rule it keeps: predictions are for exactly what the file runs,
by the same models, with no transit at all: that of loopback is measured and added when they are compared. With a grid,
settings around the recommended ones are run too, and ``[tuned]`` says which those are (``analysis.proof`` reads it).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from analysis.errors import BadRunError
from analysis.policies import POLICIES, Policy
from analysis.predict import PROXY_SHARE, Choice, Goals, Situation, long_polling, polling, push
from analysis.realised import Schedule
from analysis.tune_options import Asked
from analysis.tuner import Answer, adapts
from analysis.tuning import LONGEST_HOLD_S, QUANTILE, SAFE_HOLD_S

PAUSE_S, GAP_S = 0.5, 0.5  # what a live run's interval, and its gap between events, are brought down to
RATE_MOST_HZ = 50.0  # of one subscriber
TRACE_S = 40.0
LOOPBACK_S = 1e-3  # a live round trip shorter than this is loopback's own: no gap is added to it
SHARED_MOST = 100  # subscribers of one topic: the last of them waits for the fan-out to all

AROUND: Mapping[str, tuple[float, ...]] = {
    "polling.interval_s": (0.8, 0.9, 0.95, 0.975, 1.0, 1.025, 1.05, 1.1, 1.25),
    "long_polling.hold_s": (0.5, 0.8, 1.0, 1.25, 2.0),
}
"""The grid, as shares of what is recommended: fine where the goal is crossed. A hold's cost has no such edge."""
EVENTS_MATTER = 7.0  # a hold with more events in it never runs out (e^-7 is 0.1 %): any longer one does the same


@dataclass(frozen=True, slots=True)
class Size:
    """How much is measured: events or requests a second of everybody, how many subscribers, how many s.

    A window is as long as ``events`` deliveries take, within ``window_s``. An interval is no shorter than ``pause_s``:
    below it loopback and Python are no longer nothing.
    """

    total_hz: float
    subscribers: tuple[int, int]
    window_s: tuple[float, float]
    events: int
    pause_s: float


ALONE = Size(2500.0, (20, 300), (12.0, 12.0), 0, 0.1)
GRID = Size(2000.0, (20, 1000), (5.0, 10.0), 5000, 0.2)  # many cells: each no longer than a p95 to 1 % needs


@dataclass(frozen=True, slots=True)
class Live:
    """The live run: its scale, subscribers, window, events (a trace in live seconds, or Poisson), and its cells."""

    scale: float
    subscribers: int
    warmup_s: float
    measure_s: float
    situation: Situation
    gap_s: float
    cells: tuple[Choice, ...]
    grid: bool = False


def write(answer: Answer, path: Path, *, grid: bool = False) -> tuple[Path, Path]:
    """Write the experiment and, beside it, the predictions (and a trace's events). Raises BadRunError."""
    live = plan(answer, grid=grid)
    beside = path.with_suffix(".json")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if live.situation.trace is not None:
            times_s = live.situation.trace.due_s[live.situation.trace.topic == 0] + live.warmup_s
            path.with_suffix(".csv").write_text("".join(f"{at:.6f}\n" for at in times_s), encoding="utf-8")
        path.write_text("\n".join(toml(answer, live, path)) + "\n", encoding="utf-8")
        beside.write_text(json.dumps(predictions(live), indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise BadRunError(f"--write {path}: cannot be written ({error.strerror})") from None
    return path, beside


def refuse_grid(asked: Asked, path: Path | None) -> None:
    """Refuse a grid that nothing could judge, in one line. Raises BadRunError."""
    if path is None:
        raise BadRunError("--grid: expected --write TOML with it: the file the grid goes into")
    if not _judged(asked):
        raise BadRunError(
            "--grid: expected --rate and --p95 alone, no --rtt-spread: by these the grid around the answer is judged"
        )


def _judged(asked: Asked) -> bool:
    """Whether a live run can say that the answer is right: one goal, a p95, and models that are closed forms."""
    return set(asked.goals.latency_s) == {QUANTILE} and asked.trace is None and not asked.situation.rtt_spread


def plan(answer: Answer, *, grid: bool = False) -> Live:
    """Decide on the scale and the size of the run, and predict its cells."""
    given, size = answer.asked.situation, GRID if grid else ALONE
    pauses = [float(one.settings["polling.interval_s"]) for one in answer.found if "polling.interval_s" in one.settings]
    longest_s = max([1.0, *(_longest_s(one) for one in answer.found)])
    pause_s = min(pauses, default=PAUSE_S)
    scale = max(1.0, min(max(pause_s / PAUSE_S, 1 / given.rate_hz / GAP_S), pause_s / size.pause_s))
    scale = min(scale, RATE_MOST_HZ / given.rate_hz)
    rate_hz = given.rate_hz * scale
    each_hz = max(rate_hz, scale / pause_s)
    subscribers = int(np.clip(size.total_hz / each_hz, *size.subscribers))
    subscribers = min(subscribers, SHARED_MOST) if answer.asked.shared else subscribers
    warmup_s = 1.0 + longest_s / scale
    gap_s = given.rtt_s / scale if given.rtt_s / scale >= LOOPBACK_S else 0.0
    situation = Situation(rate_hz, subscribers, 0.0, payload_bytes=max(64, given.payload_bytes), seed=given.seed)
    measure_s = float(np.clip(size.events / (rate_hz * subscribers), *size.window_s))
    if answer.asked.trace is not None:
        times_s = _excerpt_s(answer, scale, warmup_s)
        measure_s = min(TRACE_S, float(times_s[-1]) - warmup_s)
        inside = int((times_s >= warmup_s).sum())
        situation = replace(
            situation, rate_hz=inside / measure_s, trace=_together(times_s - warmup_s, subscribers, measure_s)
        )
    live = Live(scale, subscribers, warmup_s, measure_s, situation, gap_s, (), grid)
    return replace(live, cells=tuple(_cell(answer, live, one) for one in answer.found))


def _longest_s(one: Choice) -> float:
    pauses = (one.settings.get(f"polling.{name}", 0.0) for name in ("interval_s", "longest_s"))
    return max(float(pause) for pause in pauses)


def _excerpt_s(answer: Answer, scale: float, warmup_s: float) -> np.ndarray[Any, np.dtype[np.float64]]:
    """The busiest stretch of the busiest client, in live seconds from 0: as long as is played."""
    trace = answer.asked.trace
    assert trace is not None  # noqa: S101  asked of traces only
    busiest = int(np.bincount(trace.client).argmax())
    times_s = trace.times_s[trace.client == busiest] / scale
    length_s = min(warmup_s + TRACE_S, float(times_s[-1] - times_s[0]))
    within = np.searchsorted(times_s, times_s + length_s, side="right") - np.arange(len(times_s))
    first = int(within.argmax())
    taken = times_s[first : first + int(within[first])]
    return np.asarray(taken - taken[0], np.float64)


def _together(due_s: np.ndarray[Any, np.dtype[np.float64]], subscribers: int, measure_s: float) -> Schedule:
    """Every topic plays the same trace: the subscribers' phases alone differ."""
    topic = np.repeat(np.arange(subscribers), len(due_s))
    return Schedule(np.tile(due_s, subscribers), topic, subscribers, 0.0, measure_s)


def _cell(answer: Answer, live: Live, one: Choice) -> Choice:
    """The choice as it is run live, with what is predicted for it."""
    cost, goals = answer.asked.costs.by_transport[one.transport], Goals({QUANTILE: 1.0})
    if one.transport == "polling":
        return polling(live.situation, goals, cost, _policy(one, live.scale))
    if one.transport == "long_polling":
        # A round trip of the gap's length has the same gap; its half on the way down is not there live.
        hold_s = float(one.settings["long_polling.hold_s"]) / live.scale
        found = long_polling(replace(live.situation, rtt_s=live.gap_s), goals, cost, hold_s)
        down_s = live.gap_s / 2
        quantiles = {q: value - down_s for q, value in found.quantiles_s.items()}
        settings = {**found.settings, "long_polling.gap_s": live.gap_s}
        return replace(found, mean_s=found.mean_s - down_s, quantiles_s=quantiles, settings=settings)
    return replace(push(live.situation, goals, cost), settings={})


def _policy(one: Choice, scale: float) -> Policy:
    numbers = {key.removeprefix("polling."): value for key, value in one.settings.items()}
    kind = POLICIES[str(numbers.pop("policy"))]
    return kind(**{name: float(value) / (scale if name.endswith("_s") else 1) for name, value in numbers.items()})


def predictions(live: Live) -> dict[str, Any]:
    """The sidecar: by cell what is expected of it, in live seconds."""
    return {
        "scale": live.scale,
        "subscribers": live.subscribers,
        "cells": [
            {
                "transport": one.transport,
                "settings": {key: _short(value) for key, value in one.settings.items()},
                "mean_s": one.mean_s,
                "p95_s": one.quantiles_s[QUANTILE],
                "empty_ratio": one.empty_ratio if np.isfinite(one.empty_ratio) else None,
                "requests_hz": one.requests_hz or None,
            }
            for one in live.cells
        ],
    }


def _short(value: float | str) -> float | str:
    return value if isinstance(value, str) else float(f"{value:.6g}")


def toml(answer: Answer, live: Live, path: Path) -> Iterator[str]:
    """The experiment's lines."""
    given = answer.asked.situation
    yield "# Do the recommended settings give what was predicted for them, and what would the others have given?"
    yield ""
    yield f"# Written by: python -m analysis tune. {given.rate_hz:.6g} events/s a client, round trip {given.rtt_s:g} s."
    yield f"# Time is scaled by {live.scale:.6g}: seconds are divided by it, rates multiplied."
    yield f"title      = {json.dumps(title(answer))}"
    yield f"transports = {json.dumps(list(dict.fromkeys(one.transport for one in live.cells)))}"
    yield "repeats    = 1"
    yield f"seed       = {given.seed}"
    yield "reference  = false"
    yield f"tls        = {json.dumps(answer.asked.tls)}"
    yield "\n[feed]"
    if live.situation.trace is None:
        yield f'schedule      = "poisson"\nrate_hz       = {live.situation.rate_hz:.6g}'
    else:
        yield f'schedule      = "trace"\ntrace         = {json.dumps(path.with_suffix(".csv").name)}'
    yield f"topics        = {1 if answer.asked.shared else json.dumps('per_subscriber')}"
    yield f"payload_bytes = {live.situation.payload_bytes}"
    yield f"\n[load]\nsubscribers = {live.subscribers}"
    yield f"warmup_s    = {live.warmup_s:.6g}\nmeasure_s   = {live.measure_s:.6g}"
    yield from _sections((one for one in live.cells if not adapts(one)), around=_around(live))
    for one in live.cells:
        if adapts(one):
            yield '\n[[also]]\ntransports = ["polling"]'
            yield from _sections([one], "also.")
    if _judged(answer.asked):
        yield "\n[tuned]"
        yield from (f"{name} = {_short(value)}" for name, value in _tuned(answer, live).items())


def title(answer: Answer) -> str:
    """What the experiment is called."""
    if not _judged(answer.asked):
        return "Tuned"
    rate_hz, wanted_s = answer.asked.situation.rate_hz, answer.asked.goals.latency_s[QUANTILE]
    return f"Tuned for {rate_hz:g} events/s, p95 {wanted_s:g} s"


def _around(live: Live) -> Mapping[str, tuple[float, ...]]:
    """The grid by setting; none around a hold that never runs out."""
    if not live.grid:
        return {}
    held_s = [float(one.settings["long_polling.hold_s"]) for one in live.cells if one.transport == "long_polling"]
    matters = any(hold_s * live.situation.rate_hz < EVENTS_MATTER for hold_s in held_s)
    return {key: shares for key, shares in AROUND.items() if matters or key != "long_polling.hold_s"}


def _sections(
    cells: Iterable[Choice], prefix: str = "", around: Mapping[str, tuple[float, ...]] | None = None
) -> Iterator[str]:
    for one in cells:
        if one.settings:
            yield f"\n[{prefix}{one.transport}]"
            for key, value in one.settings.items():
                shares = (around or {}).get(key)
                grid = [_short(share * float(value)) for share in shares] if shares else _short(value)
                yield f"{key.partition('.')[2]} = {json.dumps(grid)}"


def _tuned(answer: Answer, live: Live) -> dict[str, float]:
    """The question, and what was recommended, in the asker's time."""
    given, goals = answer.asked.situation, answer.asked.goals
    found = {
        "rate_hz": given.rate_hz, "p95_s": goals.latency_s[QUANTILE], "scale": live.scale,
        "transit_s": given.delta_s, "round_trip_s": given.round_trip_s,
    }  # fmt: skip
    if answer.polling:
        found["interval_s"] = float(answer.polling.settings["polling.interval_s"])
    if answer.long_polling:
        found["hold_s"] = float(answer.long_polling.settings["long_polling.hold_s"])
        found["hold_most_s"] = hold_most_s(given, goals)
    return found


def hold_most_s(situation: Situation, goals: Goals) -> float:
    """The longest hold that is safe: by RFC 6202 (5.5) 30 s, 120 s where answers must be fuller, or the proxy's."""
    most_s = LONGEST_HOLD_S if goals.empty_ratio else SAFE_HOLD_S
    return most_s if situation.proxy_s is None else min(most_s, PROXY_SHARE * situation.proxy_s)
