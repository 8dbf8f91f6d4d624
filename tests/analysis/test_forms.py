"""Which closed form speaks of which settings; where none does, nothing is said."""

import numpy as np
import pytest

from analysis import forms, models, policies, simulate, traffic

POISSON = {"feed.rate_hz": 1.0, "feed.schedule": "poisson"}


def spoken(found):
    return {name for name, value in found._asdict().items() if np.isfinite(value).all()}


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({}, {"mean_s", "p95_s", "empty_ratio", "requests_per_event"}),
        ({"polling.limit": float("nan")}, {"mean_s", "p95_s", "empty_ratio", "requests_per_event"}),
        ({"polling.limit": 1}, {"mean_s", "empty_ratio", "requests_per_event"}),
        ({"polling.limit": 2}, set()),
        ({"feed.schedule": "bursty"}, {"mean_s", "p95_s"}),
        ({"feed.schedule": "bursty", "polling.limit": 1}, set()),
        ({"feed.schedule": "constant", "polling.limit": 1}, set()),
        ({"feed.schedule": "trace"}, set()),
        ({"polling.mode": "latest"}, set(forms.Forms._fields)),
        ({"polling.mode": "latest", "feed.schedule": "constant"}, set(forms.Forms._fields)),
        ({"polling.mode": "latest", "feed.schedule": "bursty"}, set()),
    ],
)
def test_who_speaks_of_a_poller(settings, says):
    assert spoken(forms.polling(POISSON | settings, 0.5, 0.01)) == says


def test_who_speaks_of_a_long_poller():
    assert spoken(forms.long_polling(POISSON, 2.0, 0.1, 0.01)) >= {"mean_s", "p95_s", "empty_ratio"}
    assert spoken(forms.long_polling(POISSON | {"long_polling.limit": 1}, 2.0, 0.1, 0.01)) == {
        "mean_s", "empty_ratio", "requests_per_event",
    }  # fmt: skip
    assert not spoken(forms.long_polling(POISSON | {"feed.schedule": "constant"}, 2.0, 0.1, 0.01))
    assert not spoken(forms.long_polling(POISSON | {"long_polling.limit": 5}, 2.0, 0.1, 0.01))


def test_who_speaks_of_a_policy():
    assert spoken(forms.policy(policies.Backoff(1, 2, 8), 0.5, 0.0))
    assert not spoken(forms.policy(policies.Learning(1, 10, 1, 8), 0.5, 0.0))


def test_curves_are_forms_of_arrays():
    periods = np.array([0.25, 0.5, 2.0])
    found = forms.polling(POISSON | {"feed.schedule": "constant", "feed.rate_hz": 2.0, "polling.mode": "latest"},
                          periods, 0.0)  # fmt: skip
    assert found.unique_published == pytest.approx([1, 1, 0.25])  # Bozdag: min(1, tau/P)
    assert 1 - found.empty_ratio == pytest.approx([0.5, 1, 1])  # and min(1, P/tau)
    assert found.mean_s == pytest.approx([0.125, 0.25, 0.25])


def test_one_event_an_answer_asks_nothing_in_vain_when_it_cannot_keep_up():
    assert models.long_polling_single_empty_ratio(2.0, 1.0, 0.6) == 0
    assert models.polling_single_empty_ratio(2.0, 0.6) == 0
    # without a gap a queue is none: as with batches
    assert models.long_polling_single_empty_ratio(2.0, 1.0, 0.0) == pytest.approx(
        models.long_polling_empty_ratio(2.0, 1.0, 0.0)
    )


@pytest.mark.parametrize("period", [0.3, 0.95, 1.5, 4.0])
@pytest.mark.parametrize("delta", [0.0, 0.2])
def test_in_step_with_ticks_by_a_client_that_one_follows(period, delta):
    """A moment is in step when the snapshot of the answer that is held by then saw the newest tick."""
    rng = np.random.default_rng(3)
    moments, phase = rng.uniform(50, 5000, 200_000), rng.random(200_000)
    known = np.floor((moments - delta + phase * period) / period) * period - phase * period
    in_step = np.floor(known) == np.floor(moments)
    assert in_step.mean() == pytest.approx(models.latest_state_in_step_constant(1.0, period, delta), abs=0.006)


def test_a_poisson_state_by_the_simulator():
    rng = np.random.default_rng(4)
    schedule = traffic.poisson(2.0, 500, 60, rng, run_in_s=5)
    found = simulate.pull(schedule, policies.FixedRate(1.0), simulate.Network(0.1), rng, run_in_s=5, latest=True)
    assert found.latency_s.mean() == pytest.approx(models.latest_state_mean_s(2.0, 1.0, 0.05), rel=0.01)
    for q in (0.5, 0.95):
        theory = models.latest_state_quantile_s(q, 2.0, 1.0, 0.05)
        assert np.quantile(found.latency_s, q) == pytest.approx(theory, rel=0.01)
    assert found.in_step_s.mean() / 60 == pytest.approx(models.latest_state_in_step(2.0, 1.0, 0.05), rel=0.01)
