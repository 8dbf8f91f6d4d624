"""Which closed form speaks of which settings: a table from how a client asks, and of what feed, to ``analysis.models``.

The rule it keeps: what no form speaks of is NaN, so that nobody takes a form of Poisson events for one of ticks, or
that of a batch for a queue's. ``period_s``, ``hold_s`` may be arrays: charts draw curves of the same table.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from analysis import models
from analysis.models import Real
from analysis.policies import Backoff, Jittered, Policy


class Forms(NamedTuple):
    """What closed forms say: latency in s, ratios; NaN where none speaks.

    ``unique_published``: the share of events that a latest-state poller sees; ``in_step``: the share of time in which
    it shows the newest.
    """

    mean_s: Real = np.nan
    p95_s: Real = np.nan
    empty_ratio: Real = np.nan
    requests_per_event: Real = np.nan
    unique_published: Real = np.nan
    in_step: Real = np.nan


NONE = Forms()


def _batch(_rate_hz: float, period_s: Real, delta_s: float) -> Forms:
    """Hold for any schedule: where in a period an event falls is uniform."""
    return Forms(models.polling_mean_s(period_s, delta_s), models.polling_quantile_s(0.95, period_s, delta_s))


def _batch_poisson(rate_hz: float, period_s: Real, delta_s: float) -> Forms:
    return _batch(rate_hz, period_s, delta_s)._replace(
        empty_ratio=models.polling_empty_ratio(rate_hz, period_s),
        requests_per_event=models.polling_requests_per_event(rate_hz, period_s),
    )


def _batch_constant(rate_hz: float, period_s: Real, delta_s: float) -> Forms:
    return _batch_poisson(rate_hz, period_s, delta_s)._replace(
        empty_ratio=models.polling_empty_ratio_constant(1 / rate_hz, period_s)
    )


def _single_poisson(rate_hz: float, period_s: Real, delta_s: float) -> Forms:
    return Forms(
        mean_s=models.polling_single_mean_s(rate_hz, period_s, delta_s),
        empty_ratio=models.polling_single_empty_ratio(rate_hz, period_s),
        requests_per_event=np.maximum(1.0, models.polling_requests_per_event(rate_hz, period_s)),
    )


def _latest_poisson(rate_hz: float, period_s: Real, delta_s: float) -> Forms:
    empty = models.polling_empty_ratio(rate_hz, period_s)
    return Forms(
        models.latest_state_mean_s(rate_hz, period_s, delta_s),
        models.latest_state_quantile_s(0.95, rate_hz, period_s, delta_s),
        empty,
        1 / (1 - empty),
        models.latest_state_unique(rate_hz, period_s),
        models.latest_state_in_step(rate_hz, period_s, delta_s),
    )


def _latest_constant(rate_hz: float, period_s: Real, delta_s: float) -> Forms:
    tau_s = 1 / rate_hz
    empty = models.polling_empty_ratio_constant(tau_s, period_s)
    return Forms(
        models.latest_state_quantile_constant_s(0.5, tau_s, period_s, delta_s),
        models.latest_state_quantile_constant_s(0.95, tau_s, period_s, delta_s),
        empty,
        1 / (1 - empty),
        models.latest_state_unique_constant(tau_s, period_s),
        models.latest_state_in_step_constant(tau_s, period_s, delta_s),
    )


# (the latest state only, events in an answer (0: all), the feed's schedule): of a poller with an even period.
POLLING: Mapping[tuple[bool, int, str], Callable[[float, Real, float], Forms]] = {
    (False, 0, "poisson"): _batch_poisson,
    (False, 0, "constant"): _batch_constant,
    (False, 0, "bursty"): _batch,
    (False, 1, "poisson"): _single_poisson,
    (True, 0, "poisson"): _latest_poisson,
    (True, 0, "constant"): _latest_constant,
}


def polling(settings: Mapping[Any, Any], period_s: Real, delta_s: float) -> Forms:
    """A poller with an even effective period P; ``settings`` by dotted name."""
    key = (is_latest(settings), limit_of(settings), str(settings.get("feed.schedule", "poisson")))
    form = POLLING.get(key)
    return form(_rate_hz(settings), period_s, delta_s) if form else NONE


def policy(chosen: Policy, rate_hz: float, delta_s: float) -> Forms:
    """A poller of Poisson events whose pauses are drawn or adapt, with batches."""
    match chosen:
        case Jittered(interval_s=interval_s, jitter=jitter) if jitter:
            return Forms(
                models.jittered_polling_mean_s(interval_s, jitter, delta_s),
                models.jittered_polling_quantile_s(0.95, interval_s, jitter, delta_s),
                models.jittered_polling_empty_ratio(rate_hz, interval_s, jitter),
                models.polling_requests_per_event(rate_hz, interval_s),
            )
        case Backoff(interval_s=first_s, factor=factor, longest_s=longest_s):
            found = models.backoff_polling(rate_hz, first_s, factor, longest_s, delta_s)
            p95_s = models.backoff_polling_quantile_s(0.95, rate_hz, first_s, factor, longest_s, delta_s=delta_s)
            return Forms(found.mean_s, p95_s, found.empty_ratio, found.requests_per_event)
    return NONE


def long_polling(settings: Mapping[Any, Any], hold_s: Real, gap_s: float, delta_s: float) -> Forms:
    """A long poller with hold H and a whole gap G (round trip, turnaround and the client's own), of Poisson events."""
    rate_hz = _rate_hz(settings)
    limit = limit_of(settings)
    if settings.get("feed.schedule", "poisson") != "poisson" or limit > 1:
        return NONE
    if limit:
        empty = models.long_polling_single_empty_ratio(rate_hz, hold_s, gap_s)
        return Forms(
            mean_s=models.long_polling_single_mean_s(rate_hz, hold_s, gap_s, delta_s),
            empty_ratio=empty,
            requests_per_event=1 / (1 - empty),
        )
    return Forms(
        models.long_polling_mean_s(rate_hz, hold_s, gap_s, delta_s),
        models.long_polling_quantile_s(0.95, rate_hz, hold_s, gap_s, delta_s),
        models.long_polling_empty_ratio(rate_hz, hold_s, gap_s),
        models.long_polling_requests_per_event(rate_hz, hold_s, gap_s),
    )


def _rate_hz(settings: Mapping[Any, Any]) -> float:
    return float(settings.get("feed.rate_hz", np.nan))


def is_latest(settings: Mapping[Any, Any]) -> bool:
    """Whether a poller asks for the latest state only."""
    return bool(settings.get("polling.mode", "cursor") == "latest")


def limit_of(settings: Mapping[Any, Any]) -> int:
    """How many events an answer carries at most, of either pull transport (0: all; NaN, in a table, is no limit)."""
    limits = [settings.get(f"{name}.limit") for name in ("polling", "long_polling")]
    return max(int(limit) if isinstance(limit, int | float) and limit > 0 else 0 for limit in limits)
