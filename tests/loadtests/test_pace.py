"""Policies, pause by pause, on numbers one knows by hand; and as the simulator has them."""

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis import policies
from loadtests.clients.pace import PACES, Pacing
from loadtests.clients.polling import Options

S = 1_000_000_000


class Middle(random.Random):
    """Draws 0.5 for ever: a phase of half an interval, a jitter of nothing."""

    def random(self):
        return 0.5


def pauses(name, answers, *, took_s=0.0, rng=None, **numbers):
    """Pauses in s from question to question, the first (a phase, from the answer) included."""
    due = PACES[name](Pacing(**numbers), rng or Middle())
    sent_ns, found = 0, []
    for new in answers:
        at_ns = sent_ns + round(took_s * S)
        following = due(sent_ns, at_ns, new)
        following = max(following, at_ns)
        found.append((following - sent_ns) / S)
        sent_ns = following
    return found


def at_once(name, interval_ns, phase_ns):
    """``due(at_ns)`` of a policy that looks at nothing else, with this phase."""

    class Phase(random.Random):
        def random(self):
            return phase_ns / interval_ns

    due = PACES[name](Pacing(interval_ns), Phase())
    return lambda at_ns: due(0, at_ns, 0)


def test_fixed_rate_begins_at_its_phase_and_keeps_to_the_grid():
    due = at_once("fixed_rate", 100, 30)
    assert due(1000) == 1030
    assert due(1035) == 1130  # late by 5: the next one is not
    assert due(1131) == 1230


def test_fixed_rate_makes_up_at_once_for_the_last_point_missed():
    due = at_once("fixed_rate", 100, 30)
    due(1000)
    assert due(1380) == 1330  # the answer to 1030 took until 1380; 1130, 1230 and 1330 have passed
    assert due(1390) == 1430


def test_fixed_rate_is_not_thrown_by_a_reconnection_between_two_points():
    due = at_once("fixed_rate", 100, 30)
    due(1000)
    assert due(1010) == 1030


@given(st.integers(1, 350), st.integers(1, 100), st.integers(0, 99))
def test_the_effective_interval_is_the_longer_of_interval_and_service(service, interval, phase):
    due = at_once("fixed_rate", interval, phase % interval)
    asked = [due(0)]
    for _ in range(50):
        answered = asked[-1] + service
        asked.append(max(due(answered), answered))
    assert asked[-1] - asked[0] == pytest.approx(50 * max(interval, service), abs=interval)


@given(st.lists(st.integers(1, 350), min_size=1), st.integers(1, 100))
def test_whatever_answers_take_requests_stay_on_the_grid(services, interval):
    due = at_once("fixed_rate", interval, 0)
    at = due(0)
    for service in services:
        next_due = due(at + service)
        assert next_due % interval == 0
        assert next_due > at + service - interval
        at = max(next_due, at + service)


def test_fixed_delay_pauses_behind_each_answer():
    due = at_once("fixed_delay", 100, 30)
    assert [due(1000), due(1040), due(1300)] == [1030, 1140, 1400]


def test_fixed_rate_keeps_to_its_grid_and_makes_up_for_what_it_missed():
    assert pauses("fixed_rate", [0, 0, 5, 0], interval_ns=2 * S) == [1, 2, 2, 2]
    assert pauses("fixed_rate", [0, 0, 0], took_s=5, interval_ns=2 * S)[1:] == [5, 5]
    assert pauses("fixed_rate", [0, 1], interval_ns=0) == [0, 0]


def test_fixed_delay_pauses_behind_the_answer():
    assert pauses("fixed_delay", [0, 1, 0], took_s=0.5, interval_ns=2 * S) == [1.5, 2.5, 2.5]


def test_jitter():
    assert pauses("jittered", [0, 0], interval_ns=2 * S, jitter=0.5) == [1, 2]
    found = pauses("jittered", [0] * 400, interval_ns=2 * S, jitter=0.5, rng=random.Random(1))[1:]
    assert min(found) >= 1
    assert max(found) <= 3
    assert np.mean(found) == pytest.approx(2, rel=0.05)
    assert pauses("jittered", [0, 0], took_s=9, interval_ns=2 * S, jitter=0.5)[1] == 9  # never before the answer


def test_back_off_doubles_and_starts_anew_behind_an_event():
    found = pauses("backoff", [0, 0, 0, 0, 3, 0], interval_ns=S, factor=2.0, longest_ns=6 * S)
    assert found == [0.5, 2, 4, 6, 1, 2]


def test_learning_forgets_a_silence_and_wakes_up_in_a_burst():
    found = pauses(
        "learning", [0] * 30 + [20] * 5, interval_ns=S // 2, expected=1.0, memory_ns=2 * S, longest_ns=30 * S
    )
    assert found[28] == pytest.approx(30)
    assert found[-1] == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("policy", "numbers"),
    [
        (policies.FixedRate(1.5), {}),
        (policies.FixedDelay(1.5), {}),
        (policies.Backoff(1.5, 1.7, 9.0), {"factor": 1.7, "longest_ns": 9 * S}),
        (policies.Learning(2.0, 4.0, 1.5, 9.0), {"expected": 2.0, "memory_ns": 4 * S, "longest_ns": 9 * S}),
    ],
)
def test_the_simulator_paces_alike(policy, numbers):
    """Two programs that share no code, given the same answers, ask at the same moments."""
    answers = [0, 0, 3, 0, 0, 0, 1, 1, 0, 7, 0, 0, 0, 0, 0, 0, 0, 2]
    rng = np.random.default_rng(5)
    took = rng.uniform(0.01, 2.5, len(answers))
    due = PACES[policy.name](Pacing(interval_ns=round(1.5 * S), **numbers), Middle())
    first_ns = due(0, 0, 0)
    pace = policy.start(1, 0.0, np.random.default_rng(0))
    for name in ("_due_s", "_phase_s", "_asked_s"):
        if hasattr(pace, name):
            setattr(pace, name, np.array([first_ns / S]))
    sent_s, sent_ns = np.array([first_ns / S]), first_ns
    for new, took_s in zip(answers, took, strict=True):
        following_s = pace.next_s(sent_s, sent_s + took_s, np.array([new]))
        at_ns = sent_ns + round(took_s * S)
        sent_ns = max(at_ns, due(sent_ns, at_ns, new))
        assert sent_ns / S == pytest.approx(float(following_s[0]), abs=1e-6)
        sent_s = following_s


@pytest.mark.parametrize(
    ("options", "pause"),
    [
        (Options(interval_s=2), 2), (Options(interval_s=2, policy="jittered", jitter=0.5), 3),
        (Options(interval_s=2, policy="backoff", longest_s=9), 9),
        (Options(interval_s=2, policy="learning", longest_s=1), 2),
    ],
)  # fmt: skip
def test_how_long_a_delivery_may_take(options, pause):
    assert options.pause_s == pause
