"""When events happen, as arrays: Poisson, constant, bursty, with a daily rhythm, or recorded; a lane for every client.

The rule it keeps: a schedule is data, so that a model, the simulator and a live run can be given the same one. A single
long recording is cut into lanes of equal length, each with a run-in of what came before it, so that thousands of
stretches are simulated at once. Times in s, rates in events per second of each lane.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from analysis.realised import Schedule

Floats = npt.NDArray[np.float64]


def poisson(
    rate_hz: float, lanes: int, length_s: float, rng: np.random.Generator, *, run_in_s: float = 0.0
) -> Schedule:
    """Independent exponential gaps of mean 1/rate, from ``-run_in_s`` to ``length_s``."""
    span_s = run_in_s + length_s
    counts = rng.poisson(rate_hz * span_s, lanes)
    lane = np.repeat(np.arange(lanes), counts)
    # given their number, the events of a Poisson process are uniform: sorted within each lane
    due_s = np.sort(lane * span_s + rng.random(len(lane)) * span_s) - lane * span_s - run_in_s
    return Schedule(due_s, lane, lanes, 0.0, length_s)


def constant(
    rate_hz: float, lanes: int, length_s: float, rng: np.random.Generator, *, run_in_s: float = 0.0
) -> Schedule:
    """An event every 1/rate, each lane from a phase of its own."""
    phase = rng.random(lanes)[:, None]
    ticks = (np.arange(int(np.ceil((run_in_s + length_s) * rate_hz))) + phase) / rate_hz - run_in_s
    inside = ticks < length_s
    return Schedule(ticks[inside], np.nonzero(inside)[0], lanes, 0.0, length_s)


def bursty(
    rate_hz: float, lanes: int, length_s: float, rng: np.random.Generator, *, on_s: float, off_s: float,
    run_in_s: float = 0.0,
) -> Schedule:  # fmt: skip
    """On/off (interrupted Poisson): exponential bursts and silences of these means, ``rate_hz`` in the long run."""
    span_s = run_in_s + length_s
    share_on = on_s / (on_s + off_s)
    pairs = int(span_s / (on_s + off_s) * 1.5 + 8 * np.sqrt(span_s / (on_s + off_s)) + 16)
    starts_on = rng.random(lanes) < share_on
    stays = np.empty((lanes, 2 * pairs))
    stays[:, 0::2] = rng.exponential(on_s, (lanes, pairs))
    stays[:, 1::2] = rng.exponential(off_s, (lanes, pairs)) if off_s else 0.0
    stays[~starts_on, 0] = 0.0  # a lane that begins in a silence has an empty first burst
    ends = np.cumsum(stays, axis=1)
    begins = ends - stays
    bursts = np.minimum(ends[:, 0::2], span_s) - np.minimum(begins[:, 0::2], span_s)
    counts = rng.poisson(rate_hz / share_on * bursts)
    start = np.repeat(begins[:, 0::2].ravel(), counts.ravel())
    size = np.repeat(bursts.ravel(), counts.ravel())
    lane = np.repeat(np.arange(lanes), counts.sum(axis=1))
    due_s = np.sort(lane * span_s + start + rng.random(len(lane)) * size) - lane * span_s - run_in_s
    return Schedule(due_s, lane, lanes, 0.0, length_s)


def daily(
    rate_hz: float, lanes: int, length_s: float, rng: np.random.Generator, *, swing: float, day_s: float,
    run_in_s: float = 0.0,
) -> Schedule:  # fmt: skip
    """Poisson with the rate ``rate_hz (1 + swing sin(2 pi t / day_s))``, by thinning (Lewis & Shedler 1979)."""
    most = poisson(rate_hz * (1 + swing), lanes, length_s, rng, run_in_s=run_in_s)
    rate = rate_hz * (1 + swing * np.sin(2 * np.pi * most.due_s / day_s))
    kept = rng.random(len(most.due_s)) * rate_hz * (1 + swing) < rate
    return most._replace(due_s=most.due_s[kept], topic=most.topic[kept])


def recorded(
    times_s: Floats, client: npt.NDArray[np.int64], clients: int, run_in_s: float, *, least: int = 64
) -> Schedule:
    """Cut recorded events (ordered by client, then time, from 0) into at least ``least`` lanes of equal length.

    Each lane is a stretch of one client's time with what came in the ``run_in_s`` before it, so that a policy with a
    memory has one when the stretch begins. Events of the first stretch have no past.
    """
    end_s = float(times_s.max(initial=0.0)) * (1 + 1e-12) + 1e-9
    parts = max(1, -(-least // clients))
    # a stretch shorter than its run-in would mostly simulate the past of others
    parts = max(1, min(parts, int(end_s / run_in_s) if run_in_s > 0 else parts))
    length_s = end_s / parts
    due, lane = [], []
    for part in range(parts):
        start_s = part * length_s
        inside = (times_s >= start_s - run_in_s) & (times_s < start_s + length_s)
        due.append(times_s[inside] - start_s)
        lane.append(client[inside] * parts + part)
    due_s, lanes = np.concatenate(due), np.concatenate(lane)
    order = np.lexsort((due_s, lanes))
    return Schedule(due_s[order], lanes[order], clients * parts, 0.0, length_s)
