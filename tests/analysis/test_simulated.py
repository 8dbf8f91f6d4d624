"""The table that says whether the simulator is right: it must be green, and red when the simulator is broken."""

import time

import numpy as np
import pytest

from analysis import simulate, simulated, threshold, traffic


@pytest.fixture
def anew(monkeypatch):
    """The table, computed again: not what an earlier test left."""
    return simulated.rows.__wrapped__


def test_wherever_both_apply_they_agree_within_one_percent():
    start = time.process_time()
    found = simulated.rows.__wrapped__()
    seconds = time.process_time() - start
    assert [f"{row.case} {row.quantity} {row.difference:+.2%}" for row in found if row.verdict != "agrees"] == []
    assert {row.case for row in found} == {case.name for case in simulated.CASES}
    assert len(found) > 45
    assert all(row.n > 20_000 for row in found)
    assert seconds < 6  # about two on a quiet machine
    assert found == simulated.rows.__wrapped__(), "seeded: the same table every time"


def red(found):
    return {row.case for row in found if row.verdict == "differs"}


def test_a_simulator_that_forgets_the_gap_turns_long_polling_red(anew, monkeypatch):
    sound = simulate.long_poll
    monkeypatch.setattr(simulate, "long_poll", lambda *given, **how: sound(*given, **how | {"gap_s": 0.0}))
    assert red(anew()) == {"long polling", "long polling, one event an answer"}


def test_a_simulator_that_never_limits_turns_the_queues_red(anew, monkeypatch):
    sound = simulate.pull
    monkeypatch.setattr(simulate, "pull", lambda *given, **how: sound(*given, **how | {"limit": 0}))
    assert red(anew()) == {"one event an answer"}


def test_a_simulator_of_a_slower_network_turns_everything_that_waits_for_it_red(anew, monkeypatch):
    monkeypatch.setattr(simulate.Network, "way_s", lambda self, n, _rng: np.full(n, 0.55 * self.rtt_s))
    assert {"push", "long polling", "fixed rate"} <= red(anew())


@pytest.mark.parametrize(
    ("simulated_value", "half", "verdict"),
    [(100.9, 0.005, "agrees"), (101.1, 0.005, "differs"), (100, 0.011, "too noisy"), (100, np.nan, "too noisy")],
)
def test_verdicts(simulated_value, half, verdict):
    assert simulated.Row("a", "b", "empty_ratio", "", 100.0, simulated_value, half, 1).verdict == verdict


# Pimentel & Nickerson


def test_long_polling_leaves_one_transit_at_half_the_data_interval():
    found = threshold.threshold()
    assert found.delay_s == pytest.approx(0.125, abs=0.001)
    assert threshold.mean_s(0.12) == pytest.approx(0.12)
    # beyond it a datum waits for the next request, anywhere in the data interval
    assert threshold.mean_s(0.14) == pytest.approx(0.14 + 0.125, rel=0.15)


def test_events_that_come_when_they_like_have_no_threshold():
    late = [threshold.mean_s(delay, traffic.poisson) / delay for delay in (0.04, 0.08, 0.12)]
    assert 1.05 < late[0] < late[1] < late[2] < 3
