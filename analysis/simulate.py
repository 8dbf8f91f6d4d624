"""What a transport makes of a schedule: thousands of clients at once, step by step, in numpy.

Closed forms speak of Poisson events and one round trip; here the schedule, the policy, the distribution of round trips,
service times and proxies may be anything. The rules it keeps
1. Outcomes have the names, units and definitions of a measured run's metrics (``analysis.metrics``): latency is
   received - due of the events due in the window, answers belong to the window in which they finish.
2. A step is one question of every client: a few dozen numpy operations for all of them, whatever their number.
3. Where a closed form applies the two agree within 1 % (tests); where it does not, this is the model.

The client asks at ``sent``; the request is at the server ``up`` later, is served in ``before``, sees what is due by
then, and its answer is back after ``after + down`` (METHODOLOGY: r + d_d = delta).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from analysis.policies import Ints, Mask, Policy
from analysis.realised import Answers, Schedule

Floats = npt.NDArray[np.float64]

QUANTILES = {"delivery_ms_p50": 0.5, "delivery_ms_p95": 0.95, "delivery_ms_p99": 0.99, "delivery_ms_p999": 0.999}
_ENOUGH = 20  # samples beyond a quantile (METHODOLOGY rule 8)


@dataclass(frozen=True, slots=True)
class Network:
    """Round trips of mean ``rtt_s``, shared by the two ways, and the server's service before and after its snapshot.

    ``spread`` is the coefficient of variation of each way (log-normal, as delays are that have a floor and a tail).
    """

    rtt_s: float = 0.0
    spread: float = 0.0
    before_s: float = 0.0
    after_s: float = 0.0

    @property
    def delta_s(self) -> float:
        """One transit: service after the snapshot and the way down."""
        return self.after_s + self.rtt_s / 2

    def way_s(self, n: int, rng: np.random.Generator) -> Floats:
        """Draw ``n`` one-way delays."""
        mean_s = self.rtt_s / 2
        if not self.spread or not mean_s:
            return np.full(n, mean_s)
        sigma = np.sqrt(np.log1p(self.spread**2))
        return mean_s * rng.lognormal(-(sigma**2) / 2, sigma, n)


@dataclass(frozen=True, slots=True)
class Proxy:
    """Cuts a request held longer than ``timeout_s``; the client asks again after ``retry_s``."""

    timeout_s: float
    retry_s: float = 0.5


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a schedule: latencies in s of the window's events and the lane of each, answers by lane.

    ``cut`` are requests that a proxy ended, which are neither answers nor empty; ``held_s`` is the time in which
    requests were open at the server, over all lanes, ``client_s`` the window's length times the lanes. ``in_step_s``
    is for how long each lane of a pull transport showed the newest event.
    """

    latency_s: Floats
    lane: Ints
    answers: Answers
    cut: int
    missed: int
    lost: int
    age_s: float
    held_s: float
    client_s: float
    extra: Mapping[str, float] = field(default_factory=dict)
    in_step_s: Floats = field(default_factory=lambda: np.empty(0))

    @property
    def responses(self) -> int:
        """Answers of the window, over all lanes; 0 for push."""
        return int(self.answers.responses.sum())

    @property
    def empty(self) -> int:
        """Those without an event."""
        return int(self.answers.empty.sum())

    def metrics(self) -> dict[str, float]:
        """By the names of a measured run; NaN for what there are too few samples of, or what does not apply."""
        ms = np.sort(self.latency_s) * 1e3
        n = len(ms)
        some = n > 0
        found = {"deliveries": float(n), "delivery_ms_mean": float(ms.mean()) if some else np.nan}
        for name, q in QUANTILES.items():
            found[name] = float(np.quantile(ms, q)) if n * (1 - q) >= _ENOUGH * (1 - 1e-9) else np.nan
        found |= {"delivery_ms_max": float(ms[-1]) if some else np.nan, "age_s_mean": self.age_s}
        pulls = bool(self.responses)
        found |= {
            "responses": float(self.responses) if pulls else np.nan,
            "empty_responses": float(self.empty) if pulls else np.nan,
            "empty_ratio": self.empty / self.responses if pulls else np.nan,
            "requests_per_event": (self.responses + self.cut) / n if pulls and some else np.nan,
            "lost": float(self.lost),
            "missed": float(self.missed),
        }
        return found | dict(self.extra)

    @property
    def requests_hz(self) -> float:
        """Requests per second of one client, those that were cut included."""
        return (self.responses + self.cut) / self.client_s


def pull(
    schedule: Schedule, policy: Policy, network: Network, rng: np.random.Generator, *, run_in_s: float = 0.0,
    limit: int = 0, latest: bool = False,
) -> Outcome:  # fmt: skip
    """Poll: every question is answered at once with all that is pending.

    ``limit`` bounds the events of an answer (0: all; 1 makes it a queue); ``latest`` answers with the newest event only
    and misses those before it. Clients begin ``run_in_s`` before the window.
    """
    asking = _Asking(schedule, network, rng, run_in_s, limit=limit, latest=latest)
    pace = policy.start(schedule.topics, schedule.start_s - run_in_s, rng)
    sent_s = pace.first_s()
    while len(sent_s):
        received_s, got = asking.ask(sent_s)
        sent_s = pace.next_s(sent_s, received_s, got)
        going = asking.going(sent_s)
        if not going.all():
            pace.keep(going)
            asking.keep(going)
            sent_s = sent_s[going]
    return asking.outcome()


def long_poll(
    schedule: Schedule, hold_s: float, network: Network, rng: np.random.Generator, *, run_in_s: float = 0.0,
    gap_s: float = 0.0, limit: int = 0, proxy: Proxy | None = None,
) -> Outcome:  # fmt: skip
    """Long poll: a question waits at the server until there is an event or ``hold_s`` has passed.

    ``gap_s`` is the client's turnaround from an answer to the next question; with ``limit`` 1 an answer carries one
    event; a ``proxy`` cuts what is held longer than it likes, and the client asks again.
    """
    asking = _Asking(schedule, network, rng, run_in_s, limit=limit, hold_s=hold_s, proxy=proxy)
    # Everybody somewhere in a cycle: as if the last answer had come at a random moment of a hold.
    sent_s = schedule.start_s - run_in_s - rng.random(schedule.topics) * min(hold_s, 1e3)
    while len(sent_s):
        received_s, _ = asking.ask(sent_s)
        sent_s = received_s + gap_s + asking.pause_s
        going = asking.going(sent_s)
        if not going.all():
            asking.keep(going)
            sent_s = sent_s[going]
    return asking.outcome()


class _Asking:
    """All clients of a pull transport: the place of each in its lane of the schedule, and what came of it so far."""

    def __init__(
        self, schedule: Schedule, network: Network, rng: np.random.Generator, run_in_s: float, *, limit: int = 0,
        latest: bool = False, hold_s: float | None = None, proxy: Proxy | None = None,
    ) -> None:  # fmt: skip
        due_s, topic, lanes, start_s, end_s = schedule
        self._window = (start_s, end_s)
        self._network, self._rng = network, rng
        self._limit, self._latest, self._hold_s, self._proxy = limit, latest, hold_s, proxy
        self.pause_s: Floats | float = 0.0  # before asking again, beyond the policy's own
        # One ascending array for all lanes: a lane's times are moved to a stretch of their own.
        self._span = 4 * (abs(start_s) + abs(end_s) + run_in_s + (hold_s or 0.0) + 1.0)
        self._flat = topic * self._span + due_s
        self._due_s = np.append(due_s, np.inf)  # what a lane without further events waits for
        self._lane = np.arange(lanes)
        bounds = np.searchsorted(topic, np.arange(lanes + 1), side="left")
        self._end = bounds[1:]
        self._base = np.searchsorted(self._flat, self._lane * self._span + start_s - run_in_s, side="left")
        self._after = np.clip(self._base, bounds[:-1], bounds[1:])
        self._owed = np.searchsorted(
            self._flat, self._lane * self._span + end_s, side="left"
        )  # first beyond the window
        self._latency: list[Floats] = []
        self._whose: list[Ints] = []
        self._answers = Answers(np.zeros(lanes), np.zeros(lanes))
        self._counts = dict.fromkeys(("cut", "missed"), 0)
        self._held_s = 0.0
        self._newest_s = np.full(lanes, np.nan)
        self._since_s = np.full(lanes, np.inf)
        self._area, self._shown_s, self._in_step_s = np.zeros(lanes), np.zeros(lanes), np.zeros(lanes)
        self._lanes = lanes

    def ask(self, sent_s: Floats) -> tuple[Floats, Ints]:
        """Ask once, at ``sent_s``; return when each was answered, and with how many events."""
        n, network = len(sent_s), self._network
        arrival_s = sent_s + network.way_s(n, self._rng) + network.before_s
        after = self._after
        seen = np.searchsorted(self._flat, self._lane * self._span + arrival_s, side="right").clip(after, self._end)
        leave_s, cut = arrival_s, None
        if self._hold_s is not None:
            leave_s, seen, cut = self._hold(arrival_s, seen)
        if self._limit:
            seen = np.minimum(seen, after + self._limit)
        received_s = leave_s + network.after_s + network.way_s(n, self._rng)
        self._count(arrival_s, leave_s, received_s, seen - after, cut)
        self._deliver(received_s, seen)
        self._after = seen
        return received_s, seen - after

    def _hold(self, arrival_s: Floats, seen: Ints) -> tuple[Floats, Ints, Mask | None]:
        """Wait for the next event, the hold, or the proxy; when the answer leaves, up to where, and who is cut."""
        assert self._hold_s is not None  # noqa: S101  only long polls come here
        after = self._after
        pending = seen > after
        coming_s = np.where(after < self._end, self._due_s[after], np.inf)
        leave_s = np.where(pending, arrival_s, np.minimum(coming_s, arrival_s + self._hold_s))
        seen = np.where(pending, seen, after + (coming_s < arrival_s + self._hold_s))
        if self._proxy is None:
            return leave_s, seen, None
        cut = leave_s > arrival_s + self._proxy.timeout_s
        leave_s = np.where(cut, arrival_s + self._proxy.timeout_s, leave_s)
        self.pause_s = np.where(cut, self._proxy.retry_s, 0.0)
        return leave_s, np.where(cut, after, seen), cut

    def _count(self, arrival_s: Floats, leave_s: Floats, received_s: Floats, got: Ints, cut: Mask | None) -> None:
        start_s, end_s = self._window
        inside = (received_s >= start_s) & (received_s < end_s)
        if cut is not None:
            self._counts["cut"] += int((inside & cut).sum())
            inside &= ~cut
        self._answers.responses[self._lane] += inside  # a lane is here once
        self._answers.empty[self._lane] += inside & (got == 0)
        self._held_s += float((np.minimum(leave_s, end_s) - np.maximum(arrival_s, start_s)).clip(0).sum())

    def _deliver(self, received_s: Floats, seen: Ints) -> None:
        """Write down the latencies of what an answer carries, and how old it leaves what the client shows."""
        start_s, end_s = self._window
        after, batch = self._after, seen - self._after
        full = np.flatnonzero(batch)
        if not len(full):
            return
        first, size = after[full], batch[full]
        if self._latest:
            self._counts["missed"] += int((np.clip(seen[full] - 1, None, self._owed[full]) - np.clip(
                first, self._in_window(full), None)).clip(0).sum())  # fmt: skip
            first, size = seen[full] - 1, np.ones(len(full), np.int64)
        event = np.arange(size.sum()) + np.repeat(first - (np.cumsum(size) - size), size)
        due_s = self._due_s[event]
        kept = (due_s >= start_s) & (due_s < end_s)
        self._latency.append((np.repeat(received_s[full], size) - due_s)[kept])
        self._whose.append(np.repeat(self._lane[full], size)[kept])
        lane = self._lane[full]
        self._show(lane, received_s[full])
        self._newest_s[lane], self._since_s[lane] = self._due_s[seen[full] - 1], received_s[full]
        replaced_s = np.where(seen[full] < self._end[full], self._due_s[seen[full]], np.inf)
        in_step_s = np.minimum(replaced_s, end_s) - np.maximum(received_s[full], start_s)
        self._in_step_s[lane] += in_step_s.clip(0)

    def _in_window(self, full: Ints) -> Ints:
        """The first event of the window in these clients' lanes."""
        start_s, _ = self._window
        return np.searchsorted(self._flat, self._lane[full] * self._span + start_s, side="left")

    def _show(self, lane: Ints, until_s: Floats) -> None:
        """Add the age of what these clients have shown since their last news (a trapezium, exact)."""
        start_s, end_s = self._window
        begin_s, stop_s = np.clip(self._since_s[lane], start_s, end_s), np.clip(until_s, start_s, end_s)
        shown_s = np.where(np.isfinite(self._newest_s[lane]), stop_s - begin_s, 0.0)
        age_s = np.where(shown_s > 0, (begin_s + stop_s) / 2 - self._newest_s[lane], 0.0)
        self._area[lane] += shown_s * age_s
        self._shown_s[lane] += shown_s

    def going(self, sent_s: Floats) -> Mask:
        """Who still has something to do: a question within the window, or an event of it that is still owed."""
        mask: Mask = (sent_s < self._window[1]) | (self._after < self._owed)
        return mask

    def keep(self, going: Mask) -> None:
        """Forget the clients that are done."""
        self._lane, self._end, self._after, self._owed = (
            one[going] for one in (self._lane, self._end, self._after, self._owed)
        )

    def outcome(self) -> Outcome:
        """Sum up."""
        start_s, end_s = self._window
        everybody = np.arange(self._lanes)
        self._show(everybody, np.full(self._lanes, end_s))
        shown = self._shown_s > 0
        return Outcome(
            latency_s=np.concatenate([np.empty(0), *self._latency]),
            lane=np.concatenate([np.empty(0, np.int64), *self._whose]),
            answers=self._answers,
            cut=self._counts["cut"],
            missed=self._counts["missed"],
            lost=0,
            age_s=float((self._area[shown] / self._shown_s[shown]).mean()) if shown.any() else np.nan,
            held_s=self._held_s,
            client_s=(end_s - start_s) * self._lanes,
            in_step_s=self._in_step_s,
        )


def push(
    schedule: Schedule, network: Network, rng: np.random.Generator, *, up_s: float = np.inf, gap_s: float = 0.0,
    replay: bool = True, fan_out: int = 1, send_s: float = 0.0,
) -> Outcome:  # fmt: skip
    """Push: an event is there one transit after it was due, behind a random place in a fan-out of ``fan_out`` sends.

    Connections break at random, after ``up_s`` on average (exponential), and are back after ``gap_s``. What falls into
    the gap is delivered then (``replay``) or lost.
    """
    due_s, topic, lanes, start_s, end_s = schedule
    inside = (due_s >= start_s) & (due_s < end_s)
    due_s, lane = due_s[inside], topic[inside]
    wait_s = np.zeros(len(due_s))
    lost = 0
    if np.isfinite(up_s):
        wait_s = _until_back_s(due_s - start_s, lane, lanes, end_s - start_s, rng, up_s=up_s, gap_s=gap_s)
        if not replay:
            lost = int((wait_s > 0).sum())
            due_s, lane, wait_s = due_s[wait_s == 0], lane[wait_s == 0], wait_s[wait_s == 0]
    place = rng.integers(1, fan_out + 1, len(due_s)) if fan_out > 1 else np.ones(len(due_s))
    latency_s = wait_s + place * send_s + network.after_s + network.way_s(len(due_s), rng)
    length_s = (end_s - start_s) * lanes
    none = Answers(np.zeros(lanes), np.zeros(lanes))
    return Outcome(latency_s, lane, none, 0, 0, lost, _age_s(due_s, lane, latency_s, end_s), length_s, length_s)


def _until_back_s(
    due_s: Floats, lane: Ints, lanes: int, length_s: float, rng: np.random.Generator, *, up_s: float, gap_s: float
) -> Floats:
    """How long each event waits for its lane's connection to be back; 0 when it stands."""
    cycles = int(length_s / (up_s + gap_s) * 1.5 + 8 * np.sqrt(length_s / (up_s + gap_s)) + 16)
    up = rng.exponential(up_s, (lanes, cycles))
    down_at = np.cumsum(up + gap_s, axis=1) - gap_s
    # Stationary: the first cycle is one in progress, in its gap with the long-run odds.
    down = rng.random(lanes) < gap_s / (up_s + gap_s)
    shift = np.where(down, up[:, 0] + rng.random(lanes) * gap_s, 0.0)
    down_at = down_at - shift[:, None]
    span = 4 * (length_s + float(down_at.max(initial=0.0)) + gap_s + 1)
    flat = (np.arange(lanes)[:, None] * span + down_at).ravel()
    last = np.searchsorted(flat, lane * span + due_s, side="right") - 1
    known = (last >= 0) & (last // cycles == lane)
    back_s = np.where(known, flat[last.clip(0)] - lane * span + gap_s, -np.inf)
    return np.maximum(0.0, back_s - due_s)


def _age_s(due_s: Floats, lane: Ints, latency_s: Floats, end_s: float) -> float:
    """Mean over lanes of the time-average of now - due of the newest event held, from the first receipt on."""
    if not len(due_s):
        return float("nan")
    received_s = due_s + latency_s
    order = np.lexsort((received_s, lane))
    lane, received_s, due_s = lane[order], received_s[order], due_s[order]
    span = 4 * (float(np.abs(received_s).max()) + end_s + 1)
    newest_s = np.maximum.accumulate(lane * span + due_s) - lane * span
    last = np.append(lane[1:] != lane[:-1], [True])
    stop_s = np.minimum(np.where(last, end_s, np.roll(received_s, -1)), end_s)
    begin_s = np.minimum(received_s, end_s)
    shown_s = np.bincount(lane, weights=stop_s - begin_s)
    area = np.bincount(lane, weights=(stop_s - begin_s) * ((begin_s + stop_s) / 2 - newest_s))
    some = shown_s > 0
    return float((area[some] / shown_s[some]).mean())
