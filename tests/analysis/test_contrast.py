"""Two sets of repeats: what is known by hand, and how often the intervals and the p values are right."""

import math

import numpy as np
import pytest
from scipy import stats

from analysis.contrast import Contrast, contrast, discovered, moderated, prior


def test_paired_repeats_are_students_test_on_their_differences():
    a, b = np.array([1.0, 2.0, 4.0, 7.0]), np.array([1.5, 2.6, 4.4, 7.7])
    found = contrast(a, b, paired=True)
    known = stats.ttest_rel(b, a)
    assert found.effect == pytest.approx(0.55)
    assert found.freedom == 3
    assert found.beyond(0.0) == pytest.approx(known.pvalue)
    assert (found.effect - found.reach, found.effect + found.reach) == pytest.approx(tuple(known.confidence_interval()))


def test_unpaired_repeats_are_students_test_on_two_samples():
    a, b = np.array([1.0, 2.0, 4.0]), np.array([3.0, 5.0, 4.0, 6.0])
    found = contrast(a, b, paired=False)
    known = stats.ttest_ind(b, a)
    assert found.freedom == 5
    assert found.beyond(0.0) == pytest.approx(known.pvalue)
    assert found.effect + found.reach == pytest.approx(known.confidence_interval().high)


def test_the_p_value_and_the_interval_agree_about_the_margin():
    one = Contrast(0.3, 0.01, 0.5, 6)
    edge = one.effect - one.reach
    assert one.beyond(edge) == pytest.approx(0.05)
    assert one.beyond(0.3) == one.beyond(0.4) == 1.0
    assert not one.within(0.3 + one.reach - 1e-9)
    assert one.within(0.3 + one.reach + 1e-9)


def test_what_repeats_to_the_last_digit_is_certain():
    assert Contrast(0.2, 0.0, 1.0, 1).beyond(0.1) == 0.0
    assert Contrast(0.05, 0.0, 1.0, 1).within(0.1)


def test_so_many_repeats_settle_it():
    one = contrast(np.array([0.0, 0.2, 0.1]), np.array([0.3, 0.2, 0.5]), paired=False)
    needed = one.needed(0.1)
    assert needed is not None
    again = Contrast(one.effect, one.variance, 2 / needed, needed - 1)
    assert again.effect - again.reach > 0.1
    assert Contrast(0.1, 1.0, 1.0, 2).needed(0.1) is None  # on the margin no number of repeats helps


def test_the_prior_of_equal_variances_is_certain_and_of_unequal_ones_is_found():
    rng = np.random.default_rng(1)
    freedoms = np.full(400, 4.0)
    equal = 2.5 * rng.chisquare(4, 400) / 4
    freedom, variance = prior(equal, freedoms)
    assert freedom > 30
    assert variance == pytest.approx(2.5, rel=0.1)
    drawn = 2.5 * 6 / rng.chisquare(6, 400)  # inverse chi-squared with 6 degrees of freedom
    freedom, variance = prior(drawn * rng.chisquare(4, 400) / 4, freedoms)
    assert 4 < freedom < 9
    assert variance == pytest.approx(2.5, rel=0.15)
    assert prior(np.ones(5), np.full(5, 4.0))[0] == math.inf


def test_moderation_lends_freedom_and_never_narrows_below_the_cells_own_spread():
    rng = np.random.default_rng(2)
    found = [contrast(*rng.normal(0, 1, (2, 3)), paired=True) for _ in range(20)]
    for before, after in zip(found, moderated(found), strict=True):
        assert after.variance >= before.variance
        assert after.freedom > before.freedom
        assert after.effect == before.effect
    assert moderated(found[:3]) == found[:3]  # too few to know a prior from


@pytest.mark.parametrize("repeats", [2, 3, 6])
@pytest.mark.parametrize("spread", [0.0, 1.0], ids=["cells alike", "cells unlike"])
def test_moderated_intervals_hold_the_truth_95_times_in_100(repeats, spread):
    rng = np.random.default_rng(3)
    held = []
    for _ in range(150):
        levels = np.exp(rng.normal(0, spread, 12))
        found = moderated([contrast(*rng.normal(0, one, (2, repeats)), paired=True) for one in levels])
        held += [abs(one.effect) <= one.reach for one in found]
    assert 0.92 <= np.mean(held) <= 0.99


def test_benjamini_and_hochbergs_own_example():
    p = np.array([0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344, 0.0459, 0.3240, 0.4262, 0.5719,
                  0.6528, 0.7590, 1.0])  # fmt: skip
    order = np.random.default_rng(4).permutation(15)
    assert discovered(p).sum() == 4  # 1995, section 3.1
    assert (discovered(p[order]) == discovered(p)[order]).all()
    assert discovered(np.array([])).sum() == 0
