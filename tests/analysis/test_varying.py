"""Round trips that vary: the drawn expectations against closed forms and against the simulator."""

import numpy as np
import pytest

from analysis import flips, models, predict, simulate, traffic, varying
from analysis.policies import FixedDelay, FixedRate, Jittered
from analysis.predict import Goals, Situation
from analysis.realised import Quiet, polling_answers
from analysis.simulate import Network
from analysis.tuning import best_interval_s, choices
from tests.analysis.made_up_costs import made_up

STEADY, WILD = Network(0.06), Network(0.4, 0.6, after_s=0.02)
QS = (0.5, 0.95)


@pytest.mark.parametrize("policy", [FixedRate(2.0), FixedRate(0.01), FixedDelay(1.0), Jittered(2.0, 0.5)])
def test_without_a_spread_polling_has_its_closed_form(policy):
    found = varying.polling(policy, STEADY, QS)
    if isinstance(policy, Jittered):
        mean_s = models.jittered_polling_mean_s(2.0, 0.5, 0.03)
        quantiles = [models.jittered_polling_quantile_s(q, 2.0, 0.5, 0.03) for q in QS]
        close = 0.01  # drawn pauses
    else:
        period = {FixedRate(2.0): 2.0, FixedRate(0.01): 0.06}.get(policy, 1.06)
        mean_s = models.polling_mean_s(period, 0.03)
        quantiles = [models.polling_quantile_s(q, period, 0.03) for q in QS]
        close = 1e-6
    assert found.mean_s == pytest.approx(mean_s, rel=close)
    assert list(found.quantiles_s.values()) == pytest.approx(quantiles, rel=close)


def test_without_a_spread_long_polling_and_push_have_theirs():
    found = varying.long_polling(0.5, 30.0, STEADY, QS)
    assert found.mean_s == pytest.approx(models.long_polling_mean_s(0.5, 30.0, 0.06, 0.03))
    assert found.quantiles_s[0.95] == pytest.approx(
        models.long_polling_quantile_s(0.95, 0.5, 30.0, 0.06, 0.03), rel=1e-5
    )
    assert found.max_s == pytest.approx(0.09, rel=1e-5)
    assert varying.push(STEADY, QS).quantiles_s[0.95] == pytest.approx(0.03, rel=1e-5)


@pytest.mark.parametrize("rate", [0.3, 3.0])
@pytest.mark.parametrize("interval_s", [0.3, 2.0])
def test_polling_agrees_with_the_simulator(rate, interval_s):
    schedule = traffic.poisson(rate, 500, 400 / rate, np.random.default_rng(2), run_in_s=20)
    outcome = simulate.pull(schedule, FixedRate(interval_s), WILD, np.random.default_rng(3), run_in_s=20)
    found = varying.polling(FixedRate(interval_s), WILD, QS)
    assert found.mean_s == pytest.approx(outcome.latency_s.mean(), rel=0.01)
    assert found.quantiles_s[0.95] == pytest.approx(np.quantile(outcome.latency_s, 0.95), rel=0.01)
    assert 1 / found.gaps_s.mean() == pytest.approx(outcome.requests_hz, rel=0.01)
    empty = predict.polling_empty_ratio(Situation(rate), found.gaps_s)
    assert empty == pytest.approx(outcome.empty / outcome.responses, abs=0.005)


@pytest.mark.parametrize("rate", [0.3, 3.0])
def test_long_polling_agrees_with_the_simulator(rate):
    situation = Situation(rate, rtt_s=WILD.rtt_s, rtt_spread=WILD.spread, service_s=WILD.after_s)
    found = predict.long_polling(situation, Goals({0.5: 1.0}), made_up().by_transport["long_polling"], 5.0)
    schedule = traffic.poisson(rate, 500, 400 / rate, np.random.default_rng(2), run_in_s=20)
    outcome = simulate.long_poll(schedule, 5.0, WILD, np.random.default_rng(3), run_in_s=20)
    assert found.mean_s == pytest.approx(outcome.latency_s.mean(), rel=0.01)
    assert found.quantiles_s[0.95] == pytest.approx(np.quantile(outcome.latency_s, 0.95), rel=0.01)
    assert found.requests_hz / situation.clients == pytest.approx(outcome.requests_hz, rel=0.01)
    assert found.empty_ratio == pytest.approx(outcome.empty / outcome.responses, abs=0.005)


def test_the_longest_interval_leaves_room_for_the_tail():
    wild = Situation(0.5, rtt_s=0.4, rtt_spread=0.6)
    _, longest_s = best_interval_s(wild, Goals({0.95: 2.0}))
    _, steady_s = best_interval_s(Situation(0.5, rtt_s=0.4), Goals({0.95: 2.0}))
    assert longest_s < steady_s
    assert varying.polling(FixedRate(longest_s), wild.network, (0.95,)).quantiles_s[0.95] == pytest.approx(
        2.0, rel=1e-3
    )
    shortest_s, never_s = best_interval_s(wild, Goals({0.95: 0.3}))
    assert never_s < shortest_s  # not even asking all the time is fresh enough


def test_flips_feel_the_spread():
    """A goal that push meets on average and misses in the tail is nothing's to meet."""
    goals = Goals({0.95: 0.35})
    for spread, met in ((0.0, True), (0.9, False)):
        situation = Situation(0.5, rtt_s=0.4, rtt_spread=spread)
        push = next(one for one in choices(situation, goals, made_up()) if one.transport == "sse")
        assert push.meets is met
    nearest = []
    for spread in (0.0, 0.9):
        situation = Situation(0.5, rtt_s=0.4, rtt_spread=spread)
        found = flips.flips(situation, Goals({0.95: 2.0}), made_up(), predict.PRICES)
        nearest.append(next(one for one in found if one.to == flips.NONE).value)
    assert nearest[0] == pytest.approx(0.2, rel=0.01)
    assert nearest[1] > 1.5 * nearest[0]


def test_quiet_is_what_polling_answers_sum_up_to():
    for schedule in (
        traffic.poisson(0.5, 40, 50.0, np.random.default_rng(1), run_in_s=10),
        traffic.bursty(0.5, 40, 50.0, np.random.default_rng(1), on_s=3, off_s=30, run_in_s=10),
        traffic.poisson(1e-9, 3, 50.0, np.random.default_rng(1)),
    ):
        quiet = Quiet(schedule)
        periods = np.array([0.1, 2.0, 9.0, 49.0])
        by_hand = []
        for period in periods:
            answers = polling_answers(schedule, period)
            by_hand.append(answers.empty.sum() / answers.responses.sum())
        assert quiet.ratio(periods) == pytest.approx(by_hand, abs=1e-12)
