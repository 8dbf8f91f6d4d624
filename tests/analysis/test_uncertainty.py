"""Intervals are judged by coverage: how often they hold the truth, on correlated data whose truth one knows."""

import numpy as np
import pytest

from analysis.measured import Sample, measure
from analysis.metrics import Metric
from analysis.statistic import Mean, Number, Quantile, pool
from analysis.uncertainty import contradiction, deviation, estimate, share_spread, spread
from tests.analysis.rows import cell

TRIALS = 400


class Repeat:
    """Stands in for a measured repeat: a sample is all these statistics look at."""

    def __init__(self, values, cluster, clusters):
        self.sample = Sample(values, cluster, clusters)


def metric(statistic):
    return Metric("m", "ms", "", "", "lower", "", statistic)


def sample_of(one):
    return one.sample


MEAN, MEDIAN = metric(Mean(sample_of)), metric(Quantile(sample_of, 0.5))


def correlated(rng, *, clusters=40, each=30, between=1.0, repeats=1, apart=0.0):
    """Normal values whose clusters (and repeats) have a level of their own; the true mean and median are 0."""
    made = []
    for _ in range(repeats):
        level = rng.normal(0, between, clusters) + rng.normal(0, apart)
        sizes = rng.poisson(each, clusters)
        cluster = np.repeat(np.arange(clusters), sizes)
        made.append(Repeat(level[cluster] + rng.normal(0, 1, len(cluster)), cluster, clusters))
    return made


def coverage(what, **how):
    rng = np.random.default_rng(7)
    found = [estimate(what, correlated(rng, **how)) for _ in range(TRIALS)]
    return np.mean([one.low <= 0 <= one.high for one in found])


@pytest.mark.parametrize("what", [MEAN, MEDIAN], ids=["mean", "median"])
@pytest.mark.parametrize(
    "how",
    [{"between": 0.0}, {"between": 1.0}, {"between": 1.0, "clusters": 12}, {"between": 1.0, "repeats": 3}],
    ids=["independent", "clustered", "few clusters", "repeats"],
)
def test_95_percent_intervals_hold_the_truth_95_times_in_100(what, how):
    assert 0.92 <= coverage(what, **how) <= 0.985


@pytest.mark.parametrize("what", [MEAN, MEDIAN], ids=["mean", "median"])
def test_repeats_that_differ_widen_the_interval(what):
    assert coverage(what, between=0.3, repeats=4, apart=1.0) >= 0.9


@pytest.mark.parametrize("repeats", [2, 3, 5])
def test_repeats_that_differ_keep_a_quantiles_interval_within_what_they_show(repeats):
    rng, found = np.random.default_rng(10), []
    for _ in range(TRIALS):
        made = correlated(rng, between=0.0, repeats=repeats, apart=1.0)
        for one in made:
            one.sample.values[:5] += 1000  # a few were held up for long; the medians know nothing of it
        found.append(estimate(MEDIAN, made))
    assert 0.92 <= np.mean([one.low <= 0 <= one.high for one in found]) <= 0.985
    assert max(one.high for one in found) < 500


def test_the_square_root_of_n_would_have_been_far_too_sure():
    rng = np.random.default_rng(8)
    (one,) = correlated(rng)
    naive = one.sample.values.std() / np.sqrt(len(one.sample.values))
    assert estimate(MEAN, [one]).error > 3 * naive


def test_a_high_quantile_has_its_interval_too():
    rng = np.random.default_rng(9)
    what, truth = metric(Quantile(sample_of, 0.95)), 1.6449 * np.sqrt(2)
    found = [estimate(what, correlated(rng, between=1.0, clusters=100)) for _ in range(200)]
    assert 0.90 <= np.mean([one.low <= truth <= one.high for one in found]) <= 0.99


def test_the_mean_of_independent_clusters_has_the_textbook_error():
    values = np.array([1.0, 2.0, 4.0, 9.0])
    found = spread(values, np.ones(4), np.zeros(4, int))
    assert found.error == pytest.approx(values.std(ddof=1) / 2)
    assert found.freedom == 3


def test_a_ratio_of_proportional_sums_is_certain():
    under = np.array([1.0, 5.0, 2.0])
    assert spread(3 * under, under, np.zeros(3, int)).error == pytest.approx(0, abs=1e-12)


def test_one_cluster_of_one_repeat_tells_nothing():
    assert np.isnan(spread(np.array([3.0]), np.array([2.0]), np.array([0])).error)
    assert np.isnan(spread(np.array([0.0, 0.0]), np.array([0.0, 0.0]), np.array([0, 0])).error)
    found = estimate(MEAN, [Repeat(np.array([1.0, 2.0]), np.array([0, 0]), 1)])
    assert found.value == 1.5
    assert np.isnan([found.low, found.high, found.error]).all()


def test_single_clusters_leave_the_judgement_to_the_repeats():
    residual = np.array([-1.0, 1.0])
    assert deviation(residual, np.array([0, 1]), 2.0).freedom == 1
    assert deviation(residual, np.array([0, 1]), 2.0).error == pytest.approx(1.0)


def test_a_number_a_repeat_has_students_interval():
    numbers = iter([10.0, 12.0, 14.0] * 2)
    found = estimate(metric(Number(lambda _: next(numbers))), [None] * 3)
    assert (found.value, found.n) == (12, 3)
    assert found.high - 12 == pytest.approx(4.3027 * 2 / np.sqrt(3), rel=1e-4)


def test_a_number_of_a_single_repeat_has_no_interval():
    found = estimate(metric(Number(lambda _: 7.0)), [None])
    assert found.value == 7
    assert np.isnan([found.low, found.high]).all()


def test_what_does_not_apply_has_no_estimate():
    found = estimate(metric(Number(lambda _: np.nan)), [None, None])
    assert np.isnan(found.value)
    assert found.n == 0


def test_share_spread_is_the_binomial_one_without_correlation():
    rng = np.random.default_rng(10)
    n = 4000
    pooled = pool([Repeat(rng.uniform(0, 1, n), np.arange(n), n)], sample_of)
    assert share_spread(pooled, 0.95).error == pytest.approx(np.sqrt(0.95 * 0.05 / n), rel=0.1)


def test_repeats_that_contradict_each_other(tmp_path):
    rng = np.random.default_rng(11)

    def repeat(name, level_ms):
        rows = [(0, 0, i, 10_000 + i, 10_000 + i, 10_000 + i + level_ms + rng.exponential(5)) for i in range(1, 900)]
        return measure(cell(tmp_path / name, rows), pulls=False)

    def latency(m):
        return m.latency

    a, b, c = repeat("a", 10), repeat("b", 10), repeat("c", 30)
    assert contradiction([a, b], latency) is None
    assert contradiction([a], latency) is None
    low, high = contradiction([a, c, b], latency)
    assert high - low == pytest.approx(20, abs=2)


def test_a_median_that_jumps_between_two_heaps_is_no_contradiction():
    rng = np.random.default_rng(12)

    def heaps(share):
        values = np.where(np.arange(1000) < 1000 * share, 0.2, rng.uniform(5, 500, 1000))
        return Repeat(values, rng.permutation(np.arange(1000) % 50), 50)

    assert contradiction([heaps(0.52), heaps(0.48)], sample_of) is None
    assert contradiction([heaps(0.7), heaps(0.3)], sample_of) is not None
