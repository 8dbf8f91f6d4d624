"""Every closed form against a small simulation of the thing itself (own code: ``fake_run`` and what is here)."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis import models
from tests.analysis import fake_run

RATE, END = 0.8, 4000.0
rates = st.floats(0.01, 20)
times = st.floats(0.001, 50)


@pytest.fixture
def rng():
    return np.random.default_rng(20)


def many(simulate, rng, topics=12):
    """Latencies and events-by-answer of several independent subscribers, put together."""
    latency, events = [], []
    for _ in range(topics):
        due = fake_run.poisson(rng, RATE, END)
        received, _, finished, count = simulate(due)
        latency.append(received - due)
        events.append(count[(finished > 0) & (finished < END)])
    return np.concatenate(latency), np.concatenate(events)


@pytest.mark.parametrize("period", [0.3, 1.0, 4.0])
def test_polling(rng, period):
    delta = 0.05
    latency, events = many(lambda due: fake_run.poll(rng, due, period, END, one_way_s=delta), rng)
    assert latency.mean() == pytest.approx(models.polling_mean_s(period, delta), rel=0.01)
    assert np.quantile(latency, 0.95) == pytest.approx(models.polling_quantile_s(0.95, period, delta), rel=0.01)
    assert latency.max() <= models.polling_quantile_s(1, period, delta) + 1e-9
    assert (events == 0).mean() == pytest.approx(models.polling_empty_ratio(RATE, period), abs=0.01)
    assert len(events) / events.sum() == pytest.approx(models.polling_requests_per_event(RATE, period), rel=0.02)


@pytest.mark.parametrize(("hold", "gap"), [(0.5, 0.1), (2.0, 0.5), (25.0, 0.5), (1.0, 2.0)])
def test_long_polling(rng, hold, gap):
    one_way = 0.02
    whole = gap + 2 * one_way
    latency, events = many(lambda due: fake_run.long_poll(rng, due, hold, gap, END, one_way_s=one_way), rng)
    assert latency.mean() == pytest.approx(models.long_polling_mean_s(RATE, hold, whole, one_way), rel=0.03)
    for q in (0.5, 0.95):
        theory = models.long_polling_quantile_s(q, RATE, hold, whole, one_way)
        assert np.quantile(latency, q) == pytest.approx(theory, rel=0.03, abs=0.01)
    assert latency.max() <= one_way + whole + 1e-9
    assert (events == 0).mean() == pytest.approx(models.long_polling_empty_ratio(RATE, hold, whole), abs=0.01)
    assert len(events) / (12 * END) == pytest.approx(1 / models.long_polling_cycle_s(RATE, hold, whole), rel=0.02)
    assert len(events) / events.sum() == pytest.approx(
        models.long_polling_requests_per_event(RATE, hold, whole), rel=0.03
    )


def test_a_constant_publisher(rng):
    tau, period = (1 + 5**0.5) / 2, 1.0  # incommensurate
    *_, events = fake_run.poll(rng, np.arange(0.1, 20_000, tau), period, 20_000)
    assert (events[2:-2] == 0).mean() == pytest.approx(models.polling_empty_ratio_constant(tau, period), abs=0.002)
    assert models.polling_empty_ratio_constant(0.5, 1.0) == 0


def snapshots(wait, horizon):
    """Poll times whose next wait is ``wait(found something)``, and a function that tells whether an event was found."""
    rng = np.random.default_rng(21)
    due = fake_run.poisson(rng, RATE, horizon)
    at, seen, latency, empty = 0.0, 0, [], 0
    polls = 0
    found = True
    while at < horizon:
        at += wait(found)
        newest = int(np.searchsorted(due, at, side="right"))
        latency.append(at - due[seen:newest])
        found, seen, polls = newest > seen, newest, polls + 1
        empty += not found
    return np.concatenate(latency), empty / polls, polls


def test_jitter(rng):
    interval, jitter = 1.0, 0.5
    latency, _, _ = snapshots(lambda _: rng.uniform(interval * (1 - jitter), interval * (1 + jitter)), 40_000)
    assert latency.mean() == pytest.approx(models.jittered_polling_mean_s(interval, jitter, 0.0), rel=0.02)


def test_back_off():
    first, factor, longest = 0.5, 2.0, 4.0
    wait = {"s": first}

    def after(found):
        wait["s"] = first if found else min(wait["s"] * factor, longest)
        return wait["s"]

    latency, empty, polls = snapshots(after, 40_000)
    theory = models.backoff_polling(RATE, first, factor, longest, 0.0)
    assert latency.mean() == pytest.approx(theory.mean_s, rel=0.02)
    assert empty == pytest.approx(theory.empty_ratio, abs=0.01)
    assert polls / len(latency) == pytest.approx(theory.requests_per_event, rel=0.02)


def test_latest_state(rng):
    period, delta, rate = 1.0, 0.1, 0.8
    due = fake_run.poisson(rng, rate, END * 5)
    moments = rng.uniform(10, END * 5 - 10, 50_000)
    known = np.floor((moments - delta) / period) * period  # the snapshot whose answer is held at that moment
    in_step = np.searchsorted(due, known, side="right") == np.searchsorted(due, moments, side="right")
    assert in_step.mean() == pytest.approx(models.latest_state_in_step(rate, period, delta), abs=0.01)


def test_push():
    places = np.arange(1, 1001)
    assert (0.001 + places * 1e-5).mean() == pytest.approx(models.push_mean_s(1000, 1e-5, 0.001))


def test_reconnecting(rng):
    up, gap, delta = 15.0, 2.0, 0.05
    due = rng.uniform(0, up + gap, 400_000)
    waits = np.where(due < up, 0, up + gap - due)
    assert (due >= up).mean() == pytest.approx(models.reconnect_loss(up, gap), rel=0.02)
    assert (waits + delta).mean() == pytest.approx(models.reconnect_replay_mean_s(up, gap, delta), rel=0.02)


@given(times, times)
def test_periods(interval, round_trip):
    assert models.fixed_rate_period_s(interval, round_trip) == max(interval, round_trip)
    assert models.fixed_delay_period_s(interval, round_trip) == interval + round_trip


@given(rates, times, st.floats(0, 1), st.floats(0.01, 1))
def test_what_to_set_is_the_inverse_of_what_one_gets(rate, period, delta, q):
    assert models.interval_for_mean_s(models.polling_mean_s(period, delta), delta) == pytest.approx(period)
    found = models.interval_for_quantile_s(models.polling_quantile_s(q, period, delta), q, delta)
    assert found == pytest.approx(period)
    if rate * period < 500:  # beyond, the ratio is no number any more
        empty = models.polling_empty_ratio(rate, period)
        assert models.interval_for_empty_ratio_s(empty, rate) == pytest.approx(period)
        assert models.hold_for_empty_ratio_s(empty, rate, 0.3) == pytest.approx(period - 0.3)


@given(rates, times, times, st.floats(0, 1))
def test_long_polling_keeps_within_its_bounds(rate, hold, gap, q):
    cycle = models.long_polling_cycle_s(rate, hold, gap)
    assert gap <= cycle <= gap + hold + 1e-9
    assert 0 <= models.long_polling_empty_ratio(rate, hold, gap) <= 1
    assert 0 <= models.long_polling_quantile_s(q, rate, hold, gap, 0.0) <= gap
    assert models.long_polling_mean_s(rate, hold, gap, 0.0) <= gap / 2 * (1 + 1e-9)


def test_forms_take_arrays():
    periods = np.array([0.5, 1.0])
    assert models.polling_empty_ratio(1.0, periods) == pytest.approx(np.exp(-periods))
    assert models.long_polling_mean_s(1.0, periods, 0.1, 0.0).shape == (2,)


def test_back_off_on_the_rarest_events_is_its_longest_wait_and_quick():
    found = models.backoff_polling(1e-9, 1.0, 1.5, 8.0, delta_s=0.5)
    assert found.mean_s == pytest.approx(0.5 + 4.0, rel=1e-6)
    assert found.requests_per_event == pytest.approx(1 / (1e-9 * 8), rel=1e-6)
    assert models.backoff_polling_quantile_s(0.95, 1e-9, 1.0, 1.5, 8.0, delta_s=0.5) == pytest.approx(
        0.5 + 7.6, rel=1e-6
    )
    # a factor of 1 is a fixed interval
    assert models.backoff_polling(0.3, 2.0, 1.0, 9.0, delta_s=0.0).empty_ratio == pytest.approx(math.exp(-0.6))


def test_jitter_among_many_events_leaves_nothing_empty():
    assert models.jittered_polling_empty_ratio(1e3, 10.0, 0.5) == pytest.approx(0.0)
    assert models.jittered_polling_empty_ratio(0.3, 1.0, 1e-6) == pytest.approx(math.exp(-0.3))
