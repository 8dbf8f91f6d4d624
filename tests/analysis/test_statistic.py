import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.statistic import enough, quantile


@pytest.mark.parametrize(("q", "n"), [(0.5, 40), (0.95, 400), (0.99, 2000), (0.999, 20_000)])
def test_a_quantile_needs_twenty_samples_beyond_it(q, n):
    assert enough(n, q)
    assert not enough(n - 1, q)


@given(st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=30), st.floats(0, 1))
def test_quantile_is_numpys(values, q):
    ascending = np.sort(np.array(values))
    assert quantile(ascending, q) == pytest.approx(float(np.quantile(ascending, q)), rel=1e-9, abs=1e-6)


def test_quantiles_beyond_the_sample_are_its_ends():
    ascending = np.array([1.0, 2.0, 3.0])
    assert (quantile(ascending, -0.1), quantile(ascending, 1.1)) == (1, 3)
    assert np.isnan(quantile(np.empty(0), 0.5))
