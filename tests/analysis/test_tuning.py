"""The tuner on situations whose answers one knows from the closed forms."""

import math

import numpy as np
import pytest

from analysis import costs, example_traces, traces, traffic, tuning
from analysis.tuning import Goals, Situation
from tests.analysis.made_up_costs import made_up


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    return costs.newest(tmp_path_factory.mktemp("empty"))


def of(transport, found):
    return next(one for one in found if one.transport == transport)


def test_the_example_of_the_manual(reference):
    """0.5 events/s, p95 2 s, 20,000 clients, 60 ms: every figure by hand."""
    found = tuning.choices(Situation(0.5, 20_000, 0.06), Goals({0.95: 2.0}), reference)
    polling = of("polling", found)
    interval = (2 - 0.03) / 0.95
    assert polling.settings["polling.interval_s"] == pytest.approx(interval)
    assert polling.quantiles_s[0.95] == pytest.approx(2.0)
    assert polling.empty_ratio == pytest.approx(math.exp(-0.5 * interval))
    assert polling.requests_hz == pytest.approx(20_000 / interval)
    assert polling.meets
    held = of("long_polling", found)
    assert held.settings["long_polling.hold_s"] == 30
    assert held.quantiles_s[0.95] == pytest.approx(0.03)
    assert held.max_s == pytest.approx(0.09)
    assert held.empty_ratio < 1e-6
    assert of("sse", found).mean_s == pytest.approx(0.03)


def test_two_goals_that_cannot_be_had_together_are_said(reference):
    goals = Goals({0.95: 2.0}, empty_ratio=0.3)
    situation = Situation(0.5, 20_000, 0.06)
    shortest, longest = tuning.best_interval_s(situation, goals)
    assert shortest == pytest.approx(-math.log(0.3) / 0.5)
    assert shortest > longest
    polling = of("polling", tuning.choices(situation, goals, reference))
    assert not polling.meets
    assert "35% of answers empty, at most 30% was asked" in polling.misses


@pytest.mark.parametrize(
    ("goal", "interval"), [("mean", 2 * (1 - 0.05)), ("max", 0.95), (0.5, 1.9), (0.99, 0.95 / 0.99)]
)
def test_every_kind_of_goal(reference, goal, interval):
    found = tuning.choices(Situation(1.0, 100, 0.1), Goals({goal: 1.0}), reference)
    polling = of("polling", found)
    assert polling.settings["polling.interval_s"] == pytest.approx(interval)
    assert polling.latency_s(goal) == pytest.approx(1.0)
    assert polling.meets


def test_a_goal_shorter_than_a_transit_is_met_by_nobody(reference):
    found = tuning.choices(Situation(1.0, 100, 0.2), Goals({0.95: 0.05}), reference)
    assert not any(one.meets for one in found)
    assert all("at most 0.05 s was asked" in one.misses[0] for one in found)
    assert tuning.cheapest(found).transport in {"sse", "websocket", "stomp_tcp", "stomp_websocket", "long_polling"}


def test_a_proxy_shortens_holds_and_silences(reference):
    situation = Situation(0.01, 100, proxy_s=20)
    assert tuning.best_hold_s(situation, Goals()) == pytest.approx(16)
    assert tuning.heartbeat_s(situation) == 15
    assert tuning.heartbeat_s(Situation(0.01, 100, proxy_s=10)) == pytest.approx(8)
    # few empty answers want a longer hold than is safe: up to what has worked, and no further
    assert tuning.best_hold_s(Situation(0.01, 100), Goals(empty_ratio=0.4)) == pytest.approx(
        -math.log(0.4) / 0.01 - 0.06
    )
    assert tuning.best_hold_s(Situation(0.01, 100), Goals(empty_ratio=0.01)) == tuning.LONGEST_HOLD_S


def test_the_cheapest_meets_its_goals_and_its_rivals_overlap(reference):
    found = tuning.choices(Situation(0.5, 20_000, 0.06), Goals({0.95: 2.0}, 0.3), reference)
    best = tuning.cheapest(found)
    assert best.meets
    assert all(best.demand.hourly.value <= one.demand.hourly.value for one in found if one.meets)
    for one in tuning.rivals(found, best):
        assert one.demand.hourly.low <= best.demand.hourly.high


def test_on_bursts_an_adaptive_policy_saves_requests(reference):
    rng = np.random.default_rng(1)
    trace = traffic.bursty(0.5, 150, 1500, rng, on_s=30, off_s=300, run_in_s=300)
    goals = Goals({0.95: 1.0})
    found = tuning.choices(Situation(0.5, 1000, trace=trace), goals, reference)
    fixed, better = (one for one in found if one.transport == "polling")
    assert fixed.quantiles_s[0.95] == pytest.approx(1.0, rel=0.02)  # a random phase sees any schedule alike
    assert better.meets
    assert better.requests_hz < 0.7 * fixed.requests_hz
    assert better.settings["polling.policy"] in {"backoff", "learning"}


def test_round_trips_that_vary_are_simulated(reference):
    steady = of("polling", tuning.choices(Situation(1.0, 100, 0.2), Goals({0.95: 1.0}), reference))
    varied = of("polling", tuning.choices(Situation(1.0, 100, 0.2, rtt_spread=0.5), Goals({0.95: 1.0}), reference))
    assert varied.mean_s == pytest.approx(steady.mean_s, rel=0.02)
    assert varied.max_s > steady.max_s
    assert of("sse", tuning.choices(Situation(1.0, 100, 0.2, rtt_spread=0.5), Goals(), reference)).max_s > 0.15


@pytest.mark.parametrize(
    ("value", "text"), [(0.03, "0.03 s"), (2.0737, "2.07 s"), (41.26, "41.3 s"), (1234.5, "1,234 s")]
)
def test_seconds(value, text):
    assert tuning.seconds(value) == text


def test_rare_batches_are_polled_by_a_back_off_that_stays_awake(reference, tmp_path):
    """Six services, nothing for hours, then dozens of messages: the first of each may be late, and is one in forty."""
    path = tmp_path / "deploys.csv"
    path.write_text(example_traces.text(next(one for one in example_traces.EXAMPLES if "deploy" in one.name)))
    trace = traces.usable(path, [0.95])
    found = tuning.choices(Situation(trace.rate_hz, 1000, trace=trace.schedule(100)), Goals({0.95: 2.0}), reference)
    fixed, better = (one for one in found if one.transport == "polling")
    assert better.settings["polling.policy"] == "backoff"
    assert better.settings["polling.factor"] == pytest.approx(1.02)
    assert better.meets
    assert better.requests_hz < 0.3 * fixed.requests_hz
    assert better.max_s > 2.0


def test_on_a_trace_the_interval_of_an_empty_ratio_is_the_traces_own():
    """Events every 2 s: of answers every P < 2 s, 1 - P/2 are empty; Poisson events would say 2.41 s."""
    trace = traffic.constant(0.5, 100, 2000, np.random.default_rng(1))
    assert tuning.interval_for_empty_ratio_s(Situation(0.5, trace=trace), 0.3) == pytest.approx(1.4, rel=0.01)


def test_where_a_day_is_not_long_enough_no_interval_has_so_few_empty_answers():
    one = np.array([0.0])
    trace = traffic.Schedule(one, one.astype(int), 1, 0.0, 30 * tuning.LONGEST_S)
    assert tuning.interval_for_empty_ratio_s(Situation(1e-6, trace=trace), 0.3) == math.inf


def test_on_poisson_events_no_adaptive_policy_is_worth_its_trouble(reference):
    trace = traffic.poisson(0.5, 1000, 50, np.random.default_rng(1), run_in_s=20)
    found = tuning.choices(Situation(0.5, 1000, trace=trace), Goals({0.95: 1.0}), reference)
    assert [one.settings.get("polling.policy", "fixed_rate") for one in found if one.transport == "polling"] == [
        "fixed_rate"
    ]


def test_how_far_a_choice_falls_short_is_its_worst_goal(reference):
    goals = Goals({0.95: 2.0}, empty_ratio=0.3)
    fixed = of("polling", tuning.choices(Situation(0.5, 20_000, 0.06), goals, reference))
    assert tuning.short_of(fixed, Goals({0.95: 2.0})) == pytest.approx(1)
    assert tuning.short_of(fixed, goals) == pytest.approx(math.exp(-0.5 * (2 - 0.03) / 0.95) / 0.3)
    assert tuning.short_of(fixed, Goals()) == 0


@pytest.mark.parametrize(
    ("p95_s", "interval_s"), [(50.0, (50 - 0.03) / 0.95), (95.0, 60.0), (10_000.0, 9999.97 / 0.95)]
)
def test_a_poller_keeps_its_connection_while_that_is_cheaper_than_a_new_one_each_time(p95_s, interval_s):
    """Asking each minute costs 100 us and 10 kB held; each 100 s with a connection anew 400 us and 300 B."""
    found = tuning.choices(Situation(1e-4, 1000), Goals({0.95: p95_s}), made_up())
    polling = next(one for one in found if one.transport == "polling")
    assert polling.settings["polling.interval_s"] == pytest.approx(interval_s)
    assert polling.meets
