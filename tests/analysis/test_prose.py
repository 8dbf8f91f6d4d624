import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.prose import NOT_MEASURED, Estimate, listing, number, plain, size, times


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0"), (0.4142, "0.414"), (9.999, "10.0"), (36.79, "36.8"), (1204.0, "1,204"), (0.00012345, "0.000123")],
)
def test_three_figures_and_never_an_exponent(value, text):
    assert number(value) == text


def test_what_was_not_measured_is_said_and_is_not_0():
    assert number(math.nan) == NOT_MEASURED
    assert Estimate.of({}, "delivery_ms_mean").text("ms") == NOT_MEASURED
    assert size(math.nan) == NOT_MEASURED
    assert times(math.nan) == NOT_MEASURED


def test_an_estimate_reads_its_interval_from_its_row():
    row = {"x": 501.2, "x_low": 497.1, "x_high": 504.0}
    assert Estimate.of(row, "x").text("ms") == "501 ms (±4)"
    assert Estimate.of({"x": 501.2}, "x").text("ms") == "501 ms"
    assert Estimate(0.368, 0.364, 0.372).percent() == "36.8 % (±0.4)"


def test_a_small_interval_is_not_written_as_0_and_none_is_not_written_as_some():
    assert Estimate(501.0, 500.98, 501.02).text() == "501 (±0.02)"
    assert Estimate(501.0, 501.0, 501.0).text() == "501 (±0)"


def test_intervals_that_touch_are_not_told_apart():
    assert Estimate(1, 0.9, 1.1).separated_from(Estimate(2, 1.2, 2.8))
    assert not Estimate(1, 0.9, 1.3).separated_from(Estimate(2, 1.2, 2.8))
    assert not Estimate(1).separated_from(Estimate(2))


@pytest.mark.parametrize(("value", "text"), [(812.0, "812 B"), (32_000.0, "31.2 KiB"), (2**20 * 1.5, "1.50 MiB")])
def test_bytes_in_the_unit_that_suits(value, text):
    assert size(value) == text


def test_lists_factors_and_settings():
    assert listing([]) == ""
    assert listing(["a"]) == "a"
    assert listing(["a", "b", "c"]) == "a, b and c"
    assert [times(1.44), times(12.3), times(1234.0)] == ["1.4 times", "12 times", "1,200 times"]
    assert [plain(0.25), plain(1000), plain("per_subscriber"), plain(True)] == [
        "0.25",
        "1,000",
        "per_subscriber",
        "True",
    ]


@given(st.floats(min_value=1e-6, max_value=1e12))
def test_a_written_number_is_within_half_a_percent_of_what_was_measured(value):
    assert float(number(value).replace(",", "")) == pytest.approx(value, rel=0.0051, abs=1e-6)
