"""The simulator against closed forms (within 1 %), and against clients that one follows one by one."""

import numpy as np
import pytest

from analysis import models, policies, realised, simulate, traffic
from tests.analysis import fake_run

NETWORK = simulate.Network(rtt_s=0.06, after_s=0.002)
DELTA, ROUND_TRIP = NETWORK.delta_s, 0.062
LANES = 1500


@pytest.fixture
def rng():
    return np.random.default_rng(40)


def within(outcome, tolerance=0.01, **theory):
    found = outcome.metrics()
    for name, value in theory.items():
        assert found[name] == pytest.approx(value, rel=tolerance), name


@pytest.mark.parametrize(("rate", "interval"), [(1.0, 0.5), (0.2, 3.0), (2.0, 1.0), (1.0, 0.03)])
@pytest.mark.parametrize("policy", [policies.FixedRate, policies.FixedDelay])
def test_polling(rng, rate, interval, policy):
    period = max(interval, ROUND_TRIP) if policy is policies.FixedRate else interval + ROUND_TRIP
    schedule = traffic.poisson(rate, LANES, 300 / rate, rng, run_in_s=4 * interval)
    outcome = simulate.pull(schedule, policy(interval), NETWORK, rng, run_in_s=4 * interval)
    within(
        outcome,
        delivery_ms_mean=1e3 * models.polling_mean_s(period, DELTA),
        delivery_ms_p95=1e3 * models.polling_quantile_s(0.95, period, DELTA),
        empty_ratio=models.polling_empty_ratio(rate, period),
        requests_per_event=models.polling_requests_per_event(rate, period),
        age_s_mean=models.polling_age_s(rate, period, DELTA),
    )
    assert outcome.latency_s.max() <= models.polling_quantile_s(1, period, DELTA) + 1e-9
    assert outcome.requests_hz == pytest.approx(1 / period, rel=0.01)


@pytest.mark.parametrize("jitter", [0.25, 1.0])
def test_jitter(rng, jitter):
    schedule = traffic.poisson(0.7, LANES, 400, rng, run_in_s=5)
    within(
        simulate.pull(schedule, policies.Jittered(1.0, jitter), simulate.Network(0.01), rng, run_in_s=5),
        delivery_ms_mean=1e3 * models.jittered_polling_mean_s(1.0, jitter, 0.005),
        delivery_ms_p95=1e3 * models.jittered_polling_quantile_s(0.95, 1.0, jitter, 0.005),
        empty_ratio=models.jittered_polling_empty_ratio(0.7, 1.0, jitter),
    )


@pytest.mark.parametrize(
    ("rate", "first", "factor", "longest"), [(0.05, 1, 2, 30), (0.5, 0.5, 2, 8), (0.02, 1, 1.5, 60)]
)
def test_back_off(rng, rate, first, factor, longest):
    schedule = traffic.poisson(rate, LANES, 200 / rate, rng, run_in_s=4 * longest)
    theory = models.backoff_polling(rate, first, factor, longest, DELTA)
    within(
        simulate.pull(schedule, policies.Backoff(first, factor, longest), NETWORK, rng, run_in_s=4 * longest),
        delivery_ms_mean=1e3 * theory.mean_s,
        delivery_ms_p95=1e3 * models.backoff_polling_quantile_s(0.95, rate, first, factor, longest, delta_s=DELTA),
        empty_ratio=theory.empty_ratio,
        requests_per_event=theory.requests_per_event,
    )


@pytest.mark.parametrize(
    ("rate", "hold", "gap"), [(1.0, 2.0, 0.1), (0.1, 30.0, 0.0), (5.0, 10.0, 0.2), (0.05, 5.0, 1.0)]
)
def test_long_polling(rng, rate, hold, gap):
    schedule = traffic.poisson(rate, LANES, 250 / rate, rng, run_in_s=60)
    outcome = simulate.long_poll(schedule, hold, NETWORK, rng, run_in_s=60, gap_s=gap)
    whole = gap + ROUND_TRIP
    within(
        outcome,
        delivery_ms_mean=1e3 * models.long_polling_mean_s(rate, hold, whole, DELTA),
        delivery_ms_p99=1e3 * models.long_polling_quantile_s(0.99, rate, hold, whole, DELTA),
        requests_per_event=models.long_polling_requests_per_event(rate, hold, whole),
    )
    empty = models.long_polling_empty_ratio(rate, hold, whole)
    assert outcome.metrics()["empty_ratio"] == pytest.approx(empty, rel=0.01, abs=0.001)
    assert outcome.latency_s.max() <= DELTA + whole + 1e-9


def test_one_event_an_answer_is_a_queue(rng):
    schedule = traffic.poisson(0.5, LANES, 2000, rng, run_in_s=100)
    polled = simulate.pull(schedule, policies.FixedRate(1.0), NETWORK, rng, run_in_s=100, limit=1)
    within(polled, 0.02, delivery_ms_mean=1e3 * models.polling_single_mean_s(0.5, 1.0, DELTA))
    held = simulate.long_poll(schedule, 5, NETWORK, rng, run_in_s=100, gap_s=0.8, limit=1)
    theory = models.long_polling_single_mean_s(0.5, 5, 0.8 + ROUND_TRIP, DELTA)
    within(held, 0.02, delivery_ms_mean=1e3 * theory)
    batched = simulate.long_poll(schedule, 5, NETWORK, rng, run_in_s=100, gap_s=0.8)
    assert batched.latency_s.mean() < held.latency_s.mean()


def test_the_latest_state_misses_what_was_replaced(rng):
    schedule = traffic.poisson(1.0, LANES, 300, rng, run_in_s=10)
    outcome = simulate.pull(schedule, policies.FixedRate(2.0), NETWORK, rng, run_in_s=10, latest=True)
    owed = int(((schedule.due_s >= 0) & (schedule.due_s < 300)).sum())
    assert outcome.missed + len(outcome.latency_s) == owed
    # one delivery for each answer that is not empty
    assert len(outcome.latency_s) / owed == pytest.approx(-np.expm1(-2.0) / 2.0, rel=0.01)


def test_a_proxy_that_cuts_makes_holds_short_and_gaps_long(rng):
    schedule = traffic.poisson(0.05, LANES, 4000, rng, run_in_s=60)
    proxy = simulate.Proxy(timeout_s=10, retry_s=1)
    outcome = simulate.long_poll(schedule, 30, NETWORK, rng, run_in_s=60, proxy=proxy)
    assert outcome.empty == 0  # nothing is held for 30 s
    assert outcome.cut > 0
    cycle = models.long_polling_cycle_s(0.05, 10, ROUND_TRIP)
    odds = models.long_polling_empty_ratio(0.05, 10, ROUND_TRIP)
    assert outcome.cut / (outcome.cut + outcome.responses) == pytest.approx(odds, rel=0.05)
    assert outcome.requests_hz < 1 / cycle  # the retries' pauses come on top
    assert len(outcome.latency_s) == int(((schedule.due_s >= 0) & (schedule.due_s < 4000)).sum())


def test_push_and_reconnecting(rng):
    schedule = traffic.poisson(1.0, 800, 900, rng)
    steady = simulate.push(schedule, NETWORK, rng, fan_out=100, send_s=1e-4)
    within(steady, delivery_ms_mean=1e3 * models.push_mean_s(100, 1e-4, DELTA))
    within(
        simulate.push(schedule, NETWORK, rng, up_s=60, gap_s=3),
        0.02,
        delivery_ms_mean=1e3 * models.reconnect_replay_mean_s(60, 3, DELTA),
    )
    forgetful = simulate.push(schedule, NETWORK, rng, up_s=60, gap_s=3, replay=False)
    assert forgetful.lost / (forgetful.lost + len(forgetful.latency_s)) == pytest.approx(
        models.reconnect_loss(60, 3), rel=0.03
    )
    assert np.isnan(steady.metrics()["empty_ratio"])


def test_client_by_client():
    """The same clients followed with a loop: every latency and every answer, to the last digit."""
    rng = np.random.default_rng(41)
    dues = [fake_run.poisson(rng, 0.8, 60.0) for _ in range(20)]
    schedule = realised.Schedule(np.concatenate(dues), np.repeat(np.arange(20), [len(d) for d in dues]), 20, 0.0, 60.0)
    network = simulate.Network(rtt_s=0.2, before_s=0.01, after_s=0.02)
    for policy in (
        policies.FixedRate(1.5), policies.FixedRate(0.1), policies.FixedDelay(0.7), policies.Backoff(0.5, 2, 6),
        policies.Learning(1.0, 3.0, 0.4, 5.0),
    ):  # fmt: skip
        outcome = simulate.pull(schedule, policy, network, np.random.default_rng(1))
        waits, responses, empty = [], 0, 0
        firsts = policy.start(20, 0.0, np.random.default_rng(1)).first_s()
        for due, first in zip(dues, firsts, strict=True):
            pace, seen, sent = policy.start(1, 0.0, np.random.default_rng(0)), 0, first
            _put(pace, sent)
            while sent < 60 or seen < len(due):
                snapshot = sent + 0.1 + 0.01
                received = snapshot + 0.02 + 0.1
                n = int(np.searchsorted(due, snapshot, side="right"))
                waits += list(received - due[seen:n])
                if received < 60:
                    responses, empty = responses + 1, empty + (n == seen)
                got, seen = n - seen, n
                sent = float(pace.next_s(np.array([sent]), np.array([received]), np.array([got]))[0])
        assert np.sort(outcome.latency_s) == pytest.approx(np.sort(waits)), policy
        assert (outcome.responses, outcome.empty) == (responses, empty), policy


def _put(pace, phase):
    """Move one client's pace to a phase that was drawn elsewhere."""
    for name in ("_due_s", "_phase_s", "_asked_s"):
        if hasattr(pace, name):
            setattr(pace, name, np.array([phase]))


def test_delays_vary_round_their_mean(rng):
    ways = simulate.Network(rtt_s=0.1, spread=0.5).way_s(200_000, rng)
    assert ways.mean() == pytest.approx(0.05, rel=0.01)
    assert ways.std() / ways.mean() == pytest.approx(0.5, rel=0.03)
    assert ways.min() > 0


def test_nothing_happens():
    schedule = realised.Schedule(np.empty(0), np.empty(0, np.int64), 5, 0.0, 10.0)
    outcome = simulate.pull(schedule, policies.FixedRate(1.0), NETWORK, np.random.default_rng(1))
    assert outcome.responses == outcome.empty > 40
    found = outcome.metrics()
    assert found["deliveries"] == 0
    assert np.isnan(found["delivery_ms_mean"])
    assert np.isnan(found["requests_per_event"])
    assert simulate.push(schedule, NETWORK, np.random.default_rng(1)).metrics()["deliveries"] == 0
