"""Policies, pause by pause, on numbers one knows by hand."""

import numpy as np
import pytest

from analysis.policies import POLICIES, Backoff, FixedDelay, FixedRate, Jittered, Learning

RNG = np.random.default_rng(1)


def pauses(policy, answers, took_s=0.0):
    """The pauses from question to question of one client that gets these events, each answer ``took_s`` later."""
    pace = policy.start(1, 0.0, np.random.default_rng(2))
    sent, found = pace.first_s(), []
    for events in answers:
        following = pace.next_s(sent, sent + took_s, np.array([events]))
        found.append(float((following - sent)[0]))
        sent = following
    return found


def test_fixed_rate_keeps_to_its_grid():
    assert pauses(FixedRate(2.0), [0, 1, 0]) == pytest.approx([2, 2, 2])
    # an answer that took 5 s: the last point missed is made up for at once, then the grid goes on
    assert pauses(FixedRate(2.0), [0, 0], took_s=5.0) == pytest.approx([5, 5])
    assert pauses(FixedRate(2.0), [0, 0, 0], took_s=1.9) == pytest.approx([2, 2, 2])


def test_fixed_delay_pauses_behind_the_answer():
    assert pauses(FixedDelay(2.0), [0, 1], took_s=0.5) == pytest.approx([2.5, 2.5])


def test_jitter_stays_within_its_bounds():
    found = pauses(Jittered(2.0, 0.25), [0] * 500)
    assert min(found) >= 1.5
    assert max(found) <= 2.5
    assert np.std(found) == pytest.approx(0.25 * 2 / np.sqrt(3), rel=0.1)


def test_back_off_doubles_and_starts_anew_behind_an_event():
    assert pauses(Backoff(1, 2, 6), [0, 0, 0, 0, 3, 0]) == pytest.approx([2, 4, 6, 6, 1, 2])


def test_learning_asks_for_as_many_events_as_were_wanted():
    # one event a second, asked for two at a time: after a while every two seconds
    pace = Learning(2.0, 20.0, 0.5, 100.0).start(1, 0.0, RNG)
    sent, seen = pace.first_s(), 0.0
    for _ in range(400):
        got = np.floor(sent) - np.floor(seen)
        seen, sent = sent, pace.next_s(sent, sent, got.astype(np.int64))
    assert float((sent - seen)[0]) == pytest.approx(2.0, rel=0.1)


def test_learning_forgets_a_silence_and_wakes_up_in_a_burst():
    found = pauses(Learning(1.0, 2.0, 0.5, 30.0), [0] * 30 + [20] * 5)
    assert np.diff(found[:29]).min() > -1e-9
    assert found[29] == pytest.approx(30.0)
    assert found[-1] == pytest.approx(0.5)


@pytest.mark.parametrize(
    "policy", [FixedRate(3.0), FixedDelay(3.0), Jittered(3.0), Backoff(3, 2, 9), Learning(1, 5, 3, 9)]
)
def test_phases_are_spread_and_clients_can_leave(policy):
    pace = policy.start(2000, 7.0, np.random.default_rng(3))
    first = pace.first_s()
    assert first.min() >= 7
    assert np.histogram(first, 4, (7, 10))[0] == pytest.approx([500] * 4, rel=0.2)
    going = np.arange(2000) % 2 == 0
    pace.next_s(first, first, np.zeros(2000, np.int64))
    pace.keep(going)
    assert len(pace.next_s(first[going] + 9, first[going] + 9, np.zeros(1000, np.int64))) == 1000
    assert policy.longest_s >= 3.0
    assert POLICIES[policy.name] is type(policy)
