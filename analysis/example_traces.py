"""The verb ``traces``: four traces to try ``tune --trace`` on, made by processes like those they are named after.

The rule it keeps: each is a documented random process with a seed, vectorised, and the same bytes every time; none is a
recording of anybody. They differ in what matters to a tuner: how bursty, how seldom, how many clients. EXAMPLES is the
table: adding one is adding a function and its row.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from analysis.errors import BadRunError

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

SEED = 1
OUT = Path("traces")
HOUR_S, DAY_S = 3600.0, 86_400.0
USAGE = """examples:
  python -m analysis traces --out traces
  python -m analysis tune --trace traces/chat_room.csv --p95 2s --clients 5k
"""


@dataclass(frozen=True, slots=True)
class Events:
    """Ordered by time. ``at_s`` from the trace's beginning; ``columns`` are further ones, by heading."""

    at_s: Floats
    columns: dict[str, Sequence[str]]


@dataclass(frozen=True, slots=True)
class Example:
    """A trace: its file, what it is, what makes it; ``begins`` is the first moment (None: seconds from 0).

    ``zone`` stands behind every ISO 8601 time.
    """

    name: str
    says: str
    make: Callable[[np.random.Generator], Events]
    begins: str | None = None
    zone: str = ""


# Processes ----------------------------------------------------------------------------------------------------


def chat_room(rng: np.random.Generator) -> Events:
    """Eight rooms for a day: talk breeds talk (Hawkes 1971), and there is more of it at 8 in the evening.

    Remarks that start a talk come at a rate that swings over the day by 90 % and differs between rooms as 1/rank. Each
    remark, replies included, draws 0.75 replies on average, exponentially later by 15 s: talks of four remarks on
    average, some of dozens. Generated generation by generation, as a branching process (Hawkes & Oakes 1974).
    """
    rooms, starts, swing, replies, pause_s = 8, 4000, 0.9, 0.75, 15.0
    share = 1 / np.arange(1, rooms + 1)
    room = rng.choice(rooms, starts, p=share / share.sum())
    at_s = _thinned(rng, starts, DAY_S, lambda t: 1 + swing * np.cos(2 * np.pi * (t - 20 * HOUR_S) / DAY_S), 1 + swing)
    times, rooms_of = [at_s], [room]
    while len(at_s):
        drawn = rng.poisson(replies, len(at_s))
        at_s, room = np.repeat(at_s, drawn), np.repeat(room, drawn)
        at_s = at_s + rng.exponential(pause_s, len(at_s))
        times.append(at_s)
        rooms_of.append(room)
    return _ordered(np.concatenate(times), DAY_S, room=_named("room-{}", np.concatenate(rooms_of)))


def ticker(rng: np.random.Generator) -> Events:
    """One instrument for a trading day of 6.5 hours: busy at the opening and the closing, and in little runs.

    Orders come at a rate four times as high at both ends as at noon (the U of Admati & Pfleiderer 1988), and each is
    filled in a geometric number of ticks, 2.5 on average, that follow each other by 80 ms on average.
    """
    day_s, orders, fills, gap_s = 6.5 * HOUR_S, 9000, 2.5, 0.08
    at_s = _thinned(rng, orders, day_s, lambda t: 1 + 3 * (2 * t / day_s - 1) ** 2, 4.0)
    order, place = _batches(rng.geometric(1 / fills, orders))
    waits = np.where(place > 0, rng.exponential(gap_s, len(place)), 0.0)
    return _ordered(at_s[order] + _within(waits, place), day_s)


STATUSES = ("placed", "accepted", "in the kitchen", "ready", "on its way", "around the corner", "delivered")
_STATUS_MEDIAN_S = np.array([0.0, 60.0, 120.0, 900.0, 300.0, 600.0, 150.0])
_STATUS_SIGMA = np.array([0.0, 0.9, 0.8, 0.5, 0.7, 0.5, 0.5])


def order_status(rng: np.random.Generator) -> Events:
    """An evening of 1,500 meals that are brought: seven states each, with log-normal waits between them.

    Orders come between 17 and 22 h, most of them about 19 h (a beta distribution). A client follows one order, and
    hears seven events in all: what is seldom, and matters when it comes.
    """
    orders, evening_s = 1500, 5 * HOUR_S
    placed_s = evening_s * rng.beta(3, 4, orders)
    states = len(STATUSES)
    waits = np.where(
        _STATUS_MEDIAN_S > 0, _STATUS_MEDIAN_S * np.exp(_STATUS_SIGMA * rng.standard_normal((orders, states))), 0
    )
    at_s = placed_s[:, None] + np.cumsum(waits, axis=1)
    order = np.repeat(np.arange(orders), states)
    state = [STATUSES[i] for i in np.tile(np.arange(states), orders)]
    return _ordered(at_s.ravel(), np.inf, client=_named("order-{:04d}", order), status=state)


def deploy_notifications(rng: np.random.Generator) -> Events:
    """Four weeks of six services: nothing at night and at weekends, and dozens of messages within minutes by day.

    Roll-outs begin evenly between 9 and 18 h from Monday to Friday, 8 a day in all, and report 20 to 60 steps (build,
    test, then instance by instance), each a log-normal wait (median 5 s, sigma 1) behind the one before.
    """
    days, a_day, services = 20, 8, 6
    count = days * a_day
    working = rng.integers(0, days, count)
    begin_s = (working // 5 * 7 + working % 5) * DAY_S + 9 * HOUR_S + rng.random(count) * 9 * HOUR_S
    service = rng.integers(0, services, count)
    rollout, place = _batches(rng.integers(20, 61, count))
    waits = np.where(place > 0, 5.0 * np.exp(rng.standard_normal(len(place))), 0.0)
    return _ordered(
        begin_s[rollout] + _within(waits, place), np.inf,
        topic=_named("service-{}", service[rollout]), step=[str(step + 1) for step in place],
    )  # fmt: skip


def _thinned(
    rng: np.random.Generator, count: int, length_s: float, rate: Callable[[Floats], Floats], most: float
) -> Floats:
    """Draw ``count`` times in [0, length), of density proportional to ``rate`` (``most`` at the most): by rejection."""
    kept = np.empty(0)
    while len(kept) < count:
        tried = rng.random(2 * count) * length_s
        kept = np.concatenate([kept, tried[rng.random(2 * count) * most < rate(tried)]])
    return kept[:count]


def _batches(sizes: Ints) -> tuple[Ints, Ints]:
    """For every member of batches of these sizes: which batch it is in, and its place there from 0."""
    batch = np.repeat(np.arange(len(sizes)), sizes)
    return batch, np.arange(len(batch)) - np.repeat(np.cumsum(sizes) - sizes, sizes)


def _within(waits: Floats, place: Ints) -> Floats:
    """Sum waits up within each batch; a batch begins where ``place`` is 0."""
    total = np.cumsum(waits)
    first = np.flatnonzero(place == 0)
    before = np.append(0.0, total)[first]
    within: Floats = total - np.repeat(before, np.diff(np.append(first, len(place))))
    return within


def _ordered(at_s: Floats, end_s: float, **columns: Sequence[str]) -> Events:
    order = np.argsort(at_s, kind="stable")
    order = order[at_s[order] < end_s]
    return Events(at_s[order], {name: [values[i] for i in order] for name, values in columns.items()})


def _named(form: str, numbers: Ints) -> list[str]:
    return [form.format(number + 1) for number in numbers]


EXAMPLES: tuple[Example, ...] = (
    Example("chat_room", "eight chat rooms for a day: bursts, and a daily rhythm", chat_room, "2026-03-02T00:00", "Z"),
    Example("ticker", "one instrument for a trading day: busy at both ends, ticks in runs", ticker),
    Example(
        "order_status", "an evening of 1,500 orders: seven events each", order_status, "2026-03-02T17:00", "+01:00"
    ),
    Example(
        "deploy_notifications", "four weeks of six services: working hours, batches of steps", deploy_notifications,
        "2026-03-02T00:00", "+00:00",
    ),
)  # fmt: skip


# Writing them -------------------------------------------------------------------------------------------------


def text(example: Example, seed: int = SEED) -> str:
    """Make the CSV: ISO 8601 times to the millisecond, or seconds, and the further columns; always the same bytes."""
    # the name is a part of the seed: a new example changes none of the others
    events = example.make(np.random.default_rng([seed, *example.name.encode()]))
    ms = np.floor(events.at_s * 1e3).astype(np.int64)
    if example.begins is None:
        heading, times = "seconds", [f"{at // 1000}.{at % 1000:03d}" for at in ms.tolist()]
    else:
        moments = np.datetime64(example.begins, "ms") + ms.astype("timedelta64[ms]")
        heading, times = "time", [f"{moment}{example.zone}" for moment in np.datetime_as_string(moments)]
    rows = zip(times, *events.columns.values(), strict=True)
    return "".join(f"{','.join(row)}\n" for row in [(heading, *events.columns), *rows])


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags of ``traces``."""
    parser.add_argument("--out", type=Path, default=OUT, metavar="DIR", help=f"where they are written ({OUT})")
    parser.add_argument("--seed", type=int, default=SEED, help=f"other luck of the same kinds ({SEED})")


def traces_verb(options: argparse.Namespace) -> int:
    """Write all of them; say what each is."""
    if options.seed < 0:
        raise BadRunError(f"--seed {options.seed}: expected a number of at least 0")
    try:
        options.out.mkdir(parents=True, exist_ok=True)
        for one in EXAMPLES:
            written = text(one, options.seed)
            path = options.out / f"{one.name}.csv"
            path.write_text(written, encoding="utf-8", newline="")
            print(f"{path}: {one.says}; {written.count(chr(10)) - 1:,} events")
    except OSError as error:
        raise BadRunError(f"--out {options.out}: cannot be written ({error.strerror})") from None
    print(f"next: python -m analysis tune --trace {options.out / EXAMPLES[0].name}.csv --p95 2s --clients 5k")
    return 0
