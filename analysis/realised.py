"""What the models say of the events that really came: predictions for a realised schedule, phases averaged out.

A closed form averages over all schedules; a window of a few seconds saw one. Given its due times, the only luck left is
where in its period each client stood, so a prediction for that schedule cuts most of the noise out of a comparison
(METHODOLOGY rule 5). For delivery latency under polling nothing changes: delta + U(0, P) holds for any schedule. Pure
functions, numpy alone. Tested against a simulation that follows client by client.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

PHASES = 16  # starting points in the cycle that are averaged over


class Schedule(NamedTuple):
    """What was due: flat arrays ordered by topic and time (s), the number of topics, and the window (s)."""

    due_s: Floats
    topic: Ints
    topics: int
    start_s: float
    end_s: float


class Answers(NamedTuple):
    """Expected answers of a window by topic, and how many of them are empty."""

    responses: Floats
    empty: Floats


class Expected(NamedTuple):
    """``answers`` of the window; how long each event waited for a request (0: it met a held one), and its topic."""

    answers: Answers
    wait_s: Floats
    topic: Ints


def polling_answers(schedule: Schedule, period_s: float) -> Answers:
    """Answers expected of a poller of period P at a uniformly random phase, in the window.

    A poll at s is not empty when an event lies in (s - P, s]; over random phases their number is the length of the
    union of all [due, due + P) in the window, over P.
    """
    due, topic, topics, start_s, end_s = schedule
    following = np.append(due[1:], np.inf)[: len(due)]
    following[np.append(topic[1:] != topic[:-1], [True])[: len(due)]] = np.inf
    covered = np.minimum(np.minimum(following, due + period_s), end_s) - np.maximum(due, start_s)
    polls = np.full(topics, (end_s - start_s) / period_s)
    return Answers(polls, polls - np.bincount(topic, weights=covered.clip(0), minlength=topics) / period_s)


def long_polling(schedule: Schedule, hold_s: float, gap_s: float) -> Expected:
    """Follow every topic's client through its cycles, from ``PHASES`` places in its first hold when the feed starts.

    The recursion: a request that finds events pending is answered at once, else with the next event, else after H; the
    next is at the server G later. Clients that started differently fall into step at an event that finds them both
    waiting, so a warm-up leaves little luck.
    """
    due, topic, topics, start_s, end_s = schedule
    due = np.append(due, np.inf)  # what a topic without further events waits for
    ends = np.searchsorted(topic, np.arange(topics), side="right")
    lane = np.repeat(np.arange(topics), PHASES)
    end_of = ends[lane]
    after = np.searchsorted(topic, lane, side="left")
    span = 2 * (abs(end_s) + abs(start_s) + hold_s + gap_s + 1)
    flat = topic * span + due[:-1]
    arrival = -np.tile((np.arange(PHASES) + 0.5) / PHASES, topics) * hold_s
    responses, empty = np.zeros(topics), np.zeros(topics)
    waits, whose = [np.empty(0)], [np.empty(0, np.int64)]
    while len(lane):
        seen = np.searchsorted(flat, lane * span + arrival, side="right").clip(after, end_of)
        pending = seen > after
        coming = np.where(after < end_of, due[after], np.inf)
        leave = np.where(pending, arrival, np.minimum(coming, arrival + hold_s))
        seen = np.where(pending, seen, after + (coming < arrival + hold_s))
        inside = (leave >= start_s) & (leave < end_s)
        responses += np.bincount(lane[inside], minlength=topics)
        empty += np.bincount(lane[inside & (seen == after)], minlength=topics)
        batch = seen - after
        event = np.arange(batch.sum()) + np.repeat(after - (np.cumsum(batch) - batch), batch)
        kept = (due[event] >= start_s) & (due[event] < end_s)
        waits.append((np.repeat(leave, batch) - due[event])[kept])
        whose.append(np.repeat(lane, batch)[kept])
        arrival, after = leave + gap_s, seen
        going = arrival < end_s + hold_s + gap_s
        lane, end_of, arrival, after = lane[going], end_of[going], arrival[going], after[going]
    return Expected(Answers(responses / PHASES, empty / PHASES), np.concatenate(waits), np.concatenate(whose))


class Quiet:
    """How often a stretch of a schedule's window, begun at a random moment, sees no event: the empty ratio of a period.

    The same as ``polling_answers`` summed over topics, for any number of periods at the price of one sorting: with n
    events, gaps behind them, and what the events before the window leave in it, the covered time is
    n P - sum max(0, P - gap), and so on.
    """

    def __init__(self, schedule: Schedule) -> None:
        due, topic, topics, start_s, end_s = schedule
        following = np.append(due[1:], np.inf)[: len(due)]
        following[np.append(topic[1:] != topic[:-1], [True])[: len(due)]] = np.inf
        until = np.minimum(following, end_s)
        inside = (due >= start_s) & (due < end_s)
        earlier = (due < start_s) & (until > start_s)
        self._events = int(inside.sum())
        self._gaps = _Ramp((until - due)[inside])
        self._entering, self._leaving = _Ramp(start_s - due[earlier]), _Ramp((until - due)[earlier])
        self._window_s = (end_s - start_s) * topics

    def ratio(self, period_s: float | Floats) -> Floats:
        """Empty ratio of this period, or of each of these."""
        period = np.asarray(period_s, np.float64)
        covered = self._events * period - self._gaps(period) + self._entering(period) - self._leaving(period)
        found: Floats = np.clip(1 - covered / self._window_s, 0.0, 1.0)
        return found


class _Ramp:
    """x -> sum of max(0, x - value) over the values."""

    def __init__(self, values: Floats) -> None:
        self._values = np.sort(values)
        self._sums = np.append(0.0, np.cumsum(self._values))

    def __call__(self, x: Floats) -> Floats:
        below = np.searchsorted(self._values, x)
        found: Floats = below * x - self._sums[below]
        return found
