"""Predictions for a realised schedule against clients that one follows one by one, phase by phase."""

import numpy as np
import pytest

from analysis import models, realised
from tests.analysis import fake_run

START, END, TOPICS = 2.0, 22.0, 40


@pytest.fixture(scope="module")
def dues():
    rng = np.random.default_rng(30)
    return [fake_run.poisson(rng, 1.0, END) for _ in range(TOPICS)]


@pytest.fixture(scope="module")
def schedule(dues):
    topic = np.repeat(np.arange(TOPICS), [len(due) for due in dues])
    return realised.Schedule(np.concatenate(dues), topic, TOPICS, START, END)


def followed(dues, simulate, times=40):
    """Answers and empty answers by topic, averaged over random phases, and all waits."""
    responses, empty, waits = np.zeros(TOPICS), np.zeros(TOPICS), []
    for i, due in enumerate(dues):
        for _ in range(times):
            received, _, finished, events = simulate(due)
            inside = (finished >= START) & (finished < END)
            responses[i] += inside.sum() / times
            empty[i] += (events[inside] == 0).sum() / times
            waits.append((received - due)[(due >= START) & (due < END)])
    return responses, empty, np.concatenate(waits)


@pytest.mark.parametrize("period", [0.25, 1.0, 5.0])
def test_polling(dues, schedule, period):
    rng = np.random.default_rng(31)
    responses, empty, _ = followed(dues, lambda due: fake_run.poll(rng, due, period, END, one_way_s=0.0))
    theory = realised.polling_answers(schedule, period)
    assert theory.responses == pytest.approx(responses, rel=0.1)
    assert theory.empty.sum() == pytest.approx(empty.sum(), rel=0.03, abs=2)
    assert np.abs(theory.empty - empty).max() < 1.5  # topic by topic, not only on the whole


@pytest.mark.parametrize(("hold", "gap"), [(0.5, 0.0), (0.5, 0.1), (2.0, 0.5), (25.0, 0.5)])
def test_long_polling(dues, schedule, hold, gap):
    rng = np.random.default_rng(32)
    responses, empty, waits = followed(
        dues, lambda due: fake_run.long_poll(rng, due, hold, gap, END, one_way_s=0.0), 10
    )
    theory = realised.long_polling(schedule, hold, gap)
    assert theory.answers.responses == pytest.approx(responses, abs=1)
    assert theory.answers.empty.sum() == pytest.approx(empty.sum(), rel=0.02, abs=1)
    assert theory.wait_s.mean() == pytest.approx(waits.mean(), rel=0.03, abs=1e-9)
    assert len(theory.wait_s) == realised.PHASES * sum(((d >= START) & (d < END)).sum() for d in dues)


def test_over_many_schedules_they_are_the_closed_forms():
    rng = np.random.default_rng(33)
    due = np.sort(rng.uniform(0, 50_000, 50_000))
    schedule = realised.Schedule(due, np.zeros(len(due), int), 1, 10.0, 49_990.0)
    polls = realised.polling_answers(schedule, 1.5)
    assert polls.empty.sum() / polls.responses.sum() == pytest.approx(models.polling_empty_ratio(1.0, 1.5), abs=0.005)


def test_a_schedule_one_can_follow_with_a_finger():
    schedule = realised.Schedule(np.array([1.0, 1.2, 5.0]), np.zeros(3, int), 1, 0.9, 6.0)
    found = realised.long_polling(schedule, 100.0, 0.5)
    # 1.0 meets a held request; the next is there at 1.5, so that 1.2 waits 0.3 s; the one of 2.0 is held until 5.0.
    assert sorted(found.wait_s.round(9)) == [0.0] * 2 * realised.PHASES + [0.3] * realised.PHASES
    assert (found.answers.responses[0], found.answers.empty[0]) == (3, 0)
    assert set(found.topic) == {0}


def test_topics_without_events():
    none = realised.Schedule(np.empty(0), np.empty(0, int), 2, 0.0, 10.0)
    assert realised.polling_answers(none, 2.0).empty == pytest.approx([5, 5])
    found = realised.long_polling(none, 1.0, 0.25)
    assert found.answers.empty == pytest.approx(found.answers.responses)
    assert found.answers.responses == pytest.approx([8, 8], abs=0.5)
    assert len(found.wait_s) == 0
