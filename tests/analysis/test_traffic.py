"""Schedules: their rates, their shapes, and recordings cut into lanes."""

import numpy as np
import pytest

from analysis import traffic


@pytest.fixture
def rng():
    return np.random.default_rng(50)


def ordered(schedule):
    """Whether lanes ascend, and times within each."""
    same = np.diff(schedule.topic) == 0
    return bool((np.diff(schedule.topic) >= 0).all() and (np.diff(schedule.due_s)[same] >= 0).all())


def test_poisson(rng):
    schedule = traffic.poisson(2.0, 500, 100, rng, run_in_s=50)
    assert ordered(schedule)
    assert schedule.due_s.min() < -49
    assert schedule.due_s.max() < 100
    counts = np.bincount(schedule.topic[schedule.due_s >= 0], minlength=500)
    assert counts.mean() == pytest.approx(200, rel=0.02)
    assert counts.var() == pytest.approx(200, rel=0.25)  # what makes it Poisson


def test_bursty_has_its_rate_and_its_bursts(rng):
    schedule = traffic.bursty(1.0, 400, 400, rng, on_s=2.0, off_s=18.0)
    assert ordered(schedule)
    assert len(schedule.due_s) / (400 * 400) == pytest.approx(1.0, rel=0.05)
    counts = np.bincount(schedule.topic, minlength=400)
    assert counts.var() > 5 * counts.mean()
    assert traffic.bursty(1.0, 50, 400, rng, on_s=2.0, off_s=0.0).due_s.size == pytest.approx(20_000, rel=0.05)


def test_a_day_has_its_rhythm(rng):
    schedule = traffic.daily(1.0, 300, 100, rng, swing=0.9, day_s=100.0)
    assert ordered(schedule)
    high = (schedule.due_s < 50).sum()
    assert len(schedule.due_s) / 30_000 == pytest.approx(1.0, rel=0.03)
    assert high / len(schedule.due_s) == pytest.approx(0.5 + 0.9 / np.pi, rel=0.03)


def test_a_recording_is_cut_with_its_past():
    times = np.arange(0.0, 100.0, 0.5)
    schedule = traffic.recorded(times, np.zeros(len(times), np.int64), 1, run_in_s=5.0, least=10)
    assert ordered(schedule)
    assert schedule.topics == 10
    inside = (schedule.due_s >= 0) & (schedule.due_s < schedule.end_s)
    assert inside.sum() == len(times)  # every event is in one stretch's window
    assert (schedule.due_s[schedule.topic == 3] < 0).sum() == pytest.approx(10, abs=1)
    assert (schedule.due_s[schedule.topic == 0] < 0).sum() == 0


def test_a_short_recording_is_not_cut_below_its_run_in():
    times = np.array([1.0, 2.0, 9.0])
    assert traffic.recorded(times, np.zeros(3, np.int64), 1, run_in_s=20.0).topics == 1
    two = traffic.recorded(np.array([1.0, 5.0, 2.0]), np.array([0, 0, 1]), 2, run_in_s=100.0)
    assert two.topics == 2
    assert two.due_s.tolist() == [1.0, 5.0, 2.0]
