"""Does the simulator say what the closed forms say, wherever both apply? A table, computed anew for every report.

The rule it keeps: what is common to both is taken out, so that 1 % means something. The closed form is asked for the
rate that the draw realised, and the half-width is three standard errors of the difference, from ``BATCHES`` groups of
independent lanes. Seeded: the same table every time. CASES is the table of what is compared.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from analysis import forms, models, policies, realised, simulate, traffic
from analysis.forms import Forms
from analysis.policies import Policy
from analysis.realised import Schedule
from analysis.simulate import Network, Outcome

TOLERANCE = 0.01
BATCHES = 25
NETWORK = Network(rtt_s=0.06, after_s=0.002)
DELTA_S, ROUND_TRIP_S = NETWORK.delta_s, NETWORK.rtt_s + NETWORK.after_s
SEED = 11

Draw = Callable[[np.random.Generator], tuple[Schedule, Outcome]]
Closed = Callable[[float], Forms]


@dataclass(frozen=True, slots=True)
class Row:
    """One quantity of one case; ``half_width`` is of the relative difference, ``n`` the events behind it."""

    case: str
    settings: str
    quantity: str
    unit: str
    closed: float
    simulated: float
    half_width: float
    n: int

    @property
    def difference(self) -> float:
        """Simulated over closed, less one."""
        return self.simulated / self.closed - 1

    @property
    def verdict(self) -> str:
        """``agrees`` within 1 %, ``differs`` beyond it, ``too noisy`` when the draw was too small to tell."""
        if not self.half_width <= TOLERANCE:
            return "too noisy"
        return "agrees" if abs(self.difference) <= TOLERANCE else "differs"


@dataclass(frozen=True, slots=True)
class Case:
    """What is compared: how it is drawn and simulated, and the closed forms for a rate."""

    name: str
    settings: str
    draw: Draw
    closed: Closed


@functools.cache
def rows() -> tuple[Row, ...]:
    """Every case, every quantity it has a closed form of."""
    return tuple(row for place, case in enumerate(CASES) for row in _rows(case, place))


def _rows(case: Case, place: int) -> list[Row]:
    schedule, outcome = case.draw(np.random.default_rng([SEED, place]))
    due, lane = schedule.due_s, schedule.topic
    owed = np.bincount(lane[(due >= schedule.start_s) & (due < schedule.end_s)], minlength=schedule.topics)
    length_s = schedule.end_s - schedule.start_s
    closed, simulated = _both(case, outcome, owed, length_s, slice(None))
    parts = [_both(case, outcome, owed, length_s, slice(i, None, BATCHES)) for i in range(BATCHES)]
    found = []
    for name in QUANTITIES:
        if not np.isfinite(closed[name]) or not closed[name]:
            continue  # no form, or nothing to be a hundredth of
        apart = [batch[name] / form[name] - 1 for form, batch in parts]
        half = 3 * float(np.std(apart, ddof=1)) / np.sqrt(BATCHES)
        unit = "ms" if "_ms_" in name else ""
        found.append(Row(case.name, case.settings, name, unit, closed[name], simulated[name], half, int(owed.sum())))
    return found


# Quantity: the field of Forms that has its closed form, and the factor to the quantity's unit.
QUANTITIES: Mapping[str, tuple[str, float]] = {
    "delivery_ms_mean": ("mean_s", 1e3),
    "delivery_ms_p95": ("p95_s", 1e3),
    "empty_ratio": ("empty_ratio", 1.0),
    "requests_per_event": ("requests_per_event", 1.0),
    "unique_published": ("unique_published", 1.0),
    "in_step": ("in_step", 1.0),
}


def _both(
    case: Case, outcome: Outcome, owed: realised.Ints, length_s: float, lanes: slice
) -> tuple[dict[str, float], dict[str, float]]:
    """The quantities by the closed form and by the simulator, of some of the lanes."""
    chosen = owed[lanes]
    form = case.closed(float(chosen.sum()) / (len(chosen) * length_s))
    closed = {name: factor * float(getattr(form, field)) for name, (field, factor) in QUANTITIES.items()}
    picked = np.zeros(len(owed), bool)
    picked[lanes] = True
    latency_s = outcome.latency_s[picked[outcome.lane]]
    responses, empty = (float(count[lanes].sum()) for count in outcome.answers)
    shown_s = outcome.in_step_s[lanes].mean() if len(outcome.in_step_s) else np.nan
    simulated = {
        "delivery_ms_mean": 1e3 * float(latency_s.mean()),
        "delivery_ms_p95": 1e3 * float(np.quantile(latency_s, 0.95)),
        "empty_ratio": empty / responses if responses else np.nan,
        "requests_per_event": responses / len(latency_s),
        "unique_published": len(latency_s) / float(chosen.sum()),
        "in_step": float(shown_s) / length_s,
    }
    return closed, simulated


# The cases ----------------------------------------------------------------------------------------------------


def _poll(
    policy: Policy, rate_hz: float, length_s: float, *, run_in_s: float = 4.0, lanes: int = 4000,
    feed: Callable[..., Schedule] = traffic.poisson, **how: Any,
) -> Draw:  # fmt: skip
    def draw(rng: np.random.Generator) -> tuple[Schedule, Outcome]:
        # the feed goes on behind the window: what stops is not replaced, and a state's last events would all be seen
        schedule = feed(rate_hz, lanes, length_s + policy.longest_s, rng, run_in_s=run_in_s)._replace(end_s=length_s)
        return schedule, simulate.pull(schedule, policy, NETWORK, rng, run_in_s=run_in_s, **how)

    return draw


def _hold(rate_hz: float, length_s: float, hold_s: float, gap_s: float, *, limit: int = 0, lanes: int = 4000) -> Draw:
    def draw(rng: np.random.Generator) -> tuple[Schedule, Outcome]:
        schedule = traffic.poisson(rate_hz, lanes, length_s, rng, run_in_s=6.0)
        return schedule, simulate.long_poll(schedule, hold_s, NETWORK, rng, run_in_s=6.0, gap_s=gap_s, limit=limit)

    return draw


def _push(rate_hz: float, length_s: float, lanes: int = 4000, **how: Any) -> Draw:
    def draw(rng: np.random.Generator) -> tuple[Schedule, Outcome]:
        schedule = traffic.poisson(rate_hz, lanes, length_s, rng)
        return schedule, simulate.push(schedule, NETWORK, rng, **how)

    return draw


def _even(schedule: str, period_s: float, **how: Any) -> Closed:
    """The closed forms of a poller with an even period."""
    settings = {"feed.schedule": schedule} | {f"polling.{name}": value for name, value in how.items()}
    return lambda rate_hz: forms.polling(settings | {"feed.rate_hz": rate_hz}, period_s, DELTA_S)


def _held(hold_s: float, gap_s: float, *, limit: int = 0) -> Closed:
    settings = {"long_polling.limit": limit}
    whole_s = gap_s + ROUND_TRIP_S
    return lambda rate_hz: forms.long_polling(settings | {"feed.rate_hz": rate_hz}, hold_s, whole_s, DELTA_S)


_JITTERED, _BACKOFF = policies.Jittered(0.5, 0.5), policies.Backoff(0.5, 2.0, 4.0)

CASES: tuple[Case, ...] = (
    Case("fixed rate", "every 0.5 s; 1 event/s", _poll(policies.FixedRate(0.5), 1.0, 24), _even("poisson", 0.5)),
    Case("fixed rate", "every 3 s; 0.2 events/s",
         _poll(policies.FixedRate(3.0), 0.2, 110, run_in_s=6.0), _even("poisson", 3.0)),
    Case("fixed rate", "faster than the answers come: every 30 ms; 5 events/s",
         _poll(policies.FixedRate(0.03), 5.0, 3.1, run_in_s=0.5), _even("poisson", ROUND_TRIP_S)),
    Case("fixed delay", "0.5 s behind the answer; 1 event/s", _poll(policies.FixedDelay(0.5), 1.0, 24),
         _even("poisson", 0.5 + ROUND_TRIP_S)),
    Case("jittered", "0.5 s ± 50 %; 1 event/s", _poll(_JITTERED, 1.0, 24),
         lambda rate_hz: forms.policy(_JITTERED, rate_hz, DELTA_S)),
    Case("back-off", "0.5 s, doubled up to 4 s; 0.5 events/s", _poll(_BACKOFF, 0.5, 70, run_in_s=16.0),
         lambda rate_hz: forms.policy(_BACKOFF, rate_hz, DELTA_S)),
    Case("fixed rate, ticks", "every 0.618 s; a tick each second",
         _poll(policies.FixedRate(0.618), 1.0, 15, feed=traffic.constant), _even("constant", 0.618)),
    Case("one event an answer", "every 0.4 s; 1 event/s: a queue",
         _poll(policies.FixedRate(0.4), 1.0, 60, run_in_s=8.0, limit=1), _even("poisson", 0.4, limit=1)),
    Case("latest state", "every 1 s; 1 event/s", _poll(policies.FixedRate(1.0), 1.0, 30, latest=True),
         _even("poisson", 1.0, mode="latest")),
    Case("latest state, ticks", "every 0.618 s; a tick each second",
         _poll(policies.FixedRate(0.618), 1.0, 15, feed=traffic.constant, latest=True),
         _even("constant", 0.618, mode="latest")),
    Case("latest state, ticks", "every 1.618 s; a tick each second",
         _poll(policies.FixedRate(1.618), 1.0, 33, feed=traffic.constant, latest=True),
         _even("constant", 1.618, mode="latest")),
    Case("long polling", "hold 1 s, gap 0.5 s; 1 event/s", _hold(1.0, 40, 1.0, 0.5), _held(1.0, 0.5)),
    Case("long polling", "hold 0.5 s, no gap of its own; 2 events/s", _hold(2.0, 25, 0.5, 0.0), _held(0.5, 0.0)),
    Case("long polling, one event an answer", "hold 1 s, gap 0.3 s; 1 event/s", _hold(1.0, 80, 1.0, 0.3, limit=1),
         _held(1.0, 0.3, limit=1)),
    Case("push", "the fan-out of a topic to 100, 0.1 ms a send", _push(1.0, 40, fan_out=100, send_s=1e-4),
         lambda _: Forms(mean_s=models.push_mean_s(100, 1e-4, DELTA_S))),
    Case("push, reconnecting with replay", "up 5 s, away 2 s", _push(0.3, 320, up_s=5.0, gap_s=2.0),
         lambda _: Forms(mean_s=models.reconnect_replay_mean_s(5.0, 2.0, DELTA_S))),
    Case("push, at most once", "up 5 s, away 2 s", _push(0.3, 160, up_s=5.0, gap_s=2.0, replay=False),
         lambda _: Forms(unique_published=1 - models.reconnect_loss(5.0, 2.0))),
)  # fmt: skip
