"""The closed forms the measurements must agree with: METHODOLOGY, "What the numbers must agree with".

Symbols, in s and Hz: rate (lambda) of Poisson events per subscriber, delta = r + d_d one transit (service after the
server's snapshot, and the way down), T interval, P effective poll period, H hold, G = r + d_d + g + d_u the gap until
the next request is back at the server, C mean response cycle. The rule this module keeps: pure functions of numbers or
arrays, numpy alone, each with its formula in its docstring and a Monte-Carlo check of it in the tests.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Real = float | Floats


# Polling: an answer carries everything pending --------------------------------------------------------------


def fixed_rate_period_s(interval_s: Real, round_trip_s: Real) -> Real:
    """P of requests on a fixed grid, when the next waits for the answer: P = max(T, RTT + service)."""
    return np.maximum(interval_s, round_trip_s)


def fixed_delay_period_s(interval_s: Real, round_trip_s: Real) -> Real:
    """P of "sleep T after the answer": P = T + RTT + service."""
    return interval_s + round_trip_s


def polling_mean_s(period_s: Real, delta_s: Real) -> Real:
    """Mean delivery latency delta + P/2: latency is delta + U(0, P), whatever the rate."""
    return delta_s + period_s / 2


def polling_quantile_s(q: Real, period_s: Real, delta_s: Real) -> Real:
    """Quantile q of delivery latency, delta + q P; the maximum is q = 1."""
    return delta_s + q * period_s


def polling_empty_ratio(rate_hz: Real, period_s: Real) -> Real:
    """Share of answers with no new event, e^(-lambda P)."""
    return np.exp(-np.asarray(rate_hz) * period_s)


def polling_requests_per_event(rate_hz: Real, period_s: Real) -> Real:
    """Requests for each event, 1/(lambda P)."""
    return 1 / (rate_hz * period_s)


def polling_empty_ratio_constant(publish_period_s: Real, period_s: Real) -> Real:
    """Empty ratio against a publisher of period tau, incommensurate with P: max(0, 1 - P/tau)."""
    return np.maximum(0.0, 1 - period_s / publish_period_s)


def jittered_polling_mean_s(interval_s: Real, jitter: Real, delta_s: Real) -> Real:
    """Mean latency with T (1 ± j) uniform, delta + T/2 (1 + j^2/3): longer gaps catch more events."""
    return delta_s + interval_s / 2 * (1 + jitter**2 / 3)


def jittered_polling_empty_ratio(rate_hz: Real, interval_s: Real, jitter: Real) -> Real:
    """Share of empty answers with T (1 ± j) uniform, e^(-lambda T) sinh(lambda T j)/(lambda T j)."""
    expected = np.asarray(rate_hz) * interval_s
    # sinh alone would overflow where e^(-lambda T) is nothing
    ratio: Real = (np.exp(-expected * (1 - jitter)) - np.exp(-expected * (1 + jitter))) / (2 * expected * jitter)
    return ratio


def jittered_polling_quantile_s(q: float, interval_s: float, jitter: float, delta_s: float) -> float:
    """Quantile q with T (1 ± j) uniform: events see long gaps more often, so F(x) = E min(x, gap)/T.

    Up to x = T(1 - j) that is x/T; beyond, with y = x - T(1 - j), it loses y^2/(4 j T^2).
    """
    sure = 1 - jitter
    if q <= sure or not jitter:
        return delta_s + q * interval_s
    # y/T solves q - (1 - j) = y - y^2/(4 j)
    return delta_s + interval_s * (sure + 2 * jitter * (1 - float(np.sqrt(max(0.0, 1 - (q - sure) / jitter)))))


def polling_age_s(rate_hz: Real, period_s: Real, delta_s: Real) -> Real:
    """Time-average of now - due of the newest event held: 1/lambda + delta + P/2, for Poisson events."""
    return 1 / np.asarray(rate_hz) + delta_s + period_s / 2


def polling_single_mean_s(rate_hz: Real, period_s: Real, delta_s: Real) -> Real:
    """Mean latency when an answer carries one event: delta + P/(2 (1 - lambda P)), a queue; none if lambda P >= 1."""
    load = np.asarray(rate_hz) * period_s
    mean: Real = np.where(load < 1, delta_s + period_s / (2 * np.where(load < 1, 1 - load, 1.0)), np.inf)
    return mean


def polling_single_empty_ratio(rate_hz: Real, period_s: Real) -> Real:
    """Share of empty answers when an answer carries one event, 1 - lambda P: what goes out is what comes in."""
    return np.maximum(0.0, 1 - np.asarray(rate_hz) * period_s)


class Backoff(NamedTuple):
    """What exponential back-off gives: mean latency in s, empty ratio, requests per event."""

    mean_s: float
    empty_ratio: float
    requests_per_event: float


def backoff_polling(rate_hz: float, first_s: float, factor: float, longest_s: float, delta_s: float) -> Backoff:
    """Poll after T_i = min(T_0 m^i, T_max), back to T_0 on data.

    With p_i = e^(-lambda (T_0 + … + T_(i-1))): mean delta + sum p_i T_i^2 / (2 sum p_i T_i), empty ratio 1 - 1/sum p_i,
    and requests per event sum p_i / (lambda sum p_i T_i).
    """
    t, p = _backoff(rate_hz, first_s, factor, longest_s)
    spent = float((p * t).sum())
    return Backoff(
        delta_s + float((p * t**2).sum()) / (2 * spent), 1 - 1 / float(p.sum()), float(p.sum()) / (rate_hz * spent)
    )


def backoff_polling_quantile_s(
    q: float, rate_hz: float, first_s: float, factor: float, longest_s: float, *, delta_s: float
) -> float:
    """Quantile q of latency under exponential back-off: delta + x with sum p_i min(x, T_i) = q sum p_i T_i."""
    t, p = _backoff(rate_hz, first_s, factor, longest_s)
    order = np.argsort(t)
    t, p = t[order], p[order]
    # between two waits the sum grows linearly, by what is left of p
    below, left = np.append(0.0, np.cumsum(p * t)), p.sum() - np.append(0.0, np.cumsum(p))
    at = np.append(0.0, t)
    reached = below + at * left
    wanted = q * reached[-1]
    i = min(int(np.searchsorted(reached, wanted, side="right")) - 1, len(t) - 1)
    return delta_s + float(at[i] + (wanted - reached[i]) / left[i])


def _backoff(rate_hz: float, first_s: float, factor: float, longest_s: float) -> tuple[Floats, Floats]:
    """The waits T_i and the odds p_i of reaching each without an event; equal ones at the end are one, summed up."""
    waits, reached, p, wait = [], [], 1.0, first_s
    while p > 1e-15:  # what is left beyond changes no digit
        if wait * factor <= wait or wait >= longest_s:
            waits.append(wait)
            reached.append(p / -float(np.expm1(-rate_hz * wait)))
            break
        waits.append(wait)
        reached.append(p)
        p *= float(np.exp(-rate_hz * wait))
        wait = min(wait * factor, longest_s)
    return np.array(waits), np.array(reached)


# Latest-state polling: an answer carries the newest event, and those before it are missed ----------------------


def latest_state_in_step(rate_hz: Real, period_s: Real, delta_s: Real) -> Real:
    """Share of time a latest-state poller shows the newest event: e^(-lambda delta) (1 - e^(-lambda P))/(lambda P)."""
    shown: Real = np.exp(-np.asarray(rate_hz) * delta_s) * latest_state_unique(rate_hz, period_s)
    return shown


def latest_state_unique(rate_hz: Real, period_s: Real) -> Real:
    """Share of the events that a latest-state poller sees, (1 - e^(-lambda P))/(lambda P): one a full poll."""
    expected = np.asarray(rate_hz) * period_s
    seen: Real = -np.expm1(-expected) / expected
    return seen


def latest_state_mean_s(rate_hz: Real, period_s: Real, delta_s: Real) -> Real:
    """Mean latency of the events seen, delta + 1/lambda - P/(e^(lambda P) - 1): a poll's newest are young."""
    return delta_s + 1 / np.asarray(rate_hz) - period_s / np.expm1(np.asarray(rate_hz) * period_s)


def latest_state_quantile_s(q: Real, rate_hz: Real, period_s: Real, delta_s: Real) -> Real:
    """Quantile q of the same, an exponential cut off at P: delta - ln(1 - q (1 - e^(-lambda P)))/lambda."""
    rate = np.asarray(rate_hz)
    latency: Real = delta_s - np.log1p(q * np.expm1(-rate * period_s)) / rate
    return latency


def latest_state_unique_constant(publish_period_s: Real, period_s: Real) -> Real:
    """Share of a constant publisher's events that are seen, min(1, tau/P) (Bozdag, Mesbah & van Deursen 2009)."""
    return np.minimum(1.0, publish_period_s / np.asarray(period_s))


def latest_state_quantile_constant_s(q: Real, publish_period_s: Real, period_s: Real, delta_s: Real) -> Real:
    """Quantile q of their latency, delta + q min(P, tau); the mean is half-way: an event is replaced after tau."""
    return delta_s + q * np.minimum(period_s, publish_period_s)


def latest_state_in_step_constant(publish_period_s: Real, period_s: Real, delta_s: Real) -> Real:
    """Share of time in step with a constant publisher.

    One event each max(P, tau) is seen, delta + U(0, min(P, tau)) after it was due, and is the newest until tau: with
    m = min(P, tau), (tau - delta - m/2)/max(P, tau) while delta + m <= tau, else (tau - delta)^2/(2 m max(P, tau)).
    """
    tau, period = np.asarray(publish_period_s), np.asarray(period_s)
    wait, cycle, left = np.minimum(tau, period), np.maximum(tau, period), np.maximum(0.0, tau - delta_s)
    share: Real = np.where(wait <= left, left - wait / 2, left**2 / (2 * wait)) / cycle
    return share


# Long polling: batch answers ----------------------------------------------------------------------------------


def long_polling_cycle_s(rate_hz: Real, hold_s: Real, gap_s: Real) -> Real:
    """Mean response cycle C = G + e^(-lambda G) (1 - e^(-lambda H))/lambda; responses per second are 1/C."""
    rate = np.asarray(rate_hz)
    cycle: Real = gap_s + np.exp(-rate * gap_s) * -np.expm1(-rate * hold_s) / rate
    return cycle


def long_polling_empty_ratio(rate_hz: Real, hold_s: Real, gap_s: Real) -> Real:
    """Share of answers with no event, e^(-lambda (G + H)): none in the gap and none in the hold."""
    return np.exp(-np.asarray(rate_hz) * (gap_s + hold_s))


def long_polling_mean_s(rate_hz: Real, hold_s: Real, gap_s: Real, delta_s: Real) -> Real:
    """Mean delivery latency delta + G^2/(2C): only events that fall into the gap wait."""
    return delta_s + gap_s**2 / (2 * long_polling_cycle_s(rate_hz, hold_s, gap_s))


def long_polling_quantile_s(q: Real, rate_hz: Real, hold_s: Real, gap_s: Real, delta_s: Real) -> Real:
    """Quantile q, delta + max(0, G - (1 - q) C); the maximum is delta + G, three transits (RFC 6202: over three)."""
    return delta_s + np.maximum(0.0, gap_s - (1 - q) * long_polling_cycle_s(rate_hz, hold_s, gap_s))


def long_polling_requests_per_event(rate_hz: Real, hold_s: Real, gap_s: Real) -> Real:
    """Requests for each event, 1/(lambda C)."""
    return 1 / (rate_hz * long_polling_cycle_s(rate_hz, hold_s, gap_s))


def long_polling_single_mean_s(rate_hz: float, hold_s: Real, gap_s: float, delta_s: float) -> Real:
    """Mean latency when an answer carries one event, a queue served once a gap: unstable from lambda G = 1 on.

    delta + lambda G^2/(2 (1 - lambda G)) + phi G/2, where phi is the odds that an idle moment falls into a gap behind
    an empty answer (M/D/1 with vacations; Doshi, Queueing systems with vacations, 1986).
    """
    load = rate_hz * gap_s
    if load >= 1:
        return float("inf")
    unheard = load * np.exp(-rate_hz * np.asarray(hold_s))
    phi = unheard / (-np.expm1(-rate_hz * np.asarray(hold_s)) + unheard)
    mean: Real = delta_s + load * gap_s / (2 * (1 - load)) + phi * gap_s / 2
    return mean


def long_polling_single_empty_ratio(rate_hz: float, hold_s: Real, gap_s: float) -> Real:
    """Share of empty answers when an answer carries one event.

    Holds begin h times a second, last (1 - e^(-lambda H))/lambda and end empty with a = e^(-lambda H); every answer
    has a gap behind it, so h (1 - a)/lambda = 1 - (lambda + h a) G, and the share is h a/(lambda + h a).
    """
    load = rate_hz * gap_s
    if load >= 1:
        return 0.0
    runs_out = np.exp(-rate_hz * np.asarray(hold_s))
    holds_hz = rate_hz * (1 - load) / (1 - runs_out + runs_out * load)
    ratio: Real = holds_hz * runs_out / (rate_hz + holds_hz * runs_out)
    return ratio


# Push ---------------------------------------------------------------------------------------------------------


def push_mean_s(subscribers: Real, send_s: Real, delta_s: Real) -> Real:
    """Mean latency of a fan-out over N serial sends of c each: the k-th waits k c, so delta + c (N + 1)/2."""
    return delta_s + send_s * (subscribers + 1) / 2


def reconnect_loss(up_s: Real, gap_s: Real) -> Real:
    """Share of events lost at most once delivery, when every M s the connection is gone for G': G'/(M + G')."""
    return gap_s / (up_s + gap_s)


def reconnect_replay_mean_s(up_s: Real, gap_s: Real, delta_s: Real) -> Real:
    """Mean latency when what came in the gap is replayed, delta + G'^2/(2 (M + G')); nothing is lost."""
    return delta_s + gap_s**2 / (2 * (up_s + gap_s))


# The other way round: what to set -------------------------------------------------------------------------------


def interval_for_mean_s(mean_s: Real, delta_s: Real) -> Real:
    """P that gives a mean delivery latency: 2 (l - delta)."""
    return 2 * (mean_s - delta_s)


def interval_for_quantile_s(quantile_s: Real, q: Real, delta_s: Real) -> Real:
    """P that gives a q-quantile of delivery latency: (l - delta)/q."""
    return (quantile_s - delta_s) / q


def interval_for_empty_ratio_s(empty_ratio: Real, rate_hz: Real) -> Real:
    """P that gives an empty ratio: -ln(epsilon)/lambda. With the mean it makes the frontier -ln(epsilon)/(2 lambda)."""
    return -np.log(empty_ratio) / rate_hz


def hold_for_empty_ratio_s(empty_ratio: Real, rate_hz: Real, gap_s: Real) -> Real:
    """H for an empty ratio of long polling: -ln(epsilon)/lambda - G (RFC 6202: 30 s is safe, 120 s has worked)."""
    return -np.log(empty_ratio) / rate_hz - gap_s
