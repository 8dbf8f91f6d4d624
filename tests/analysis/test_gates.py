import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.gates import Gate, gate

ROW = {"experiment": "e", "cell": "c", "status": "ok", "delivery_ms_p99": 540.0, "empty_ratio": math.nan}
SETTINGS = {"polling.interval_s": 0.5, "load.subscribers": 10, "feed.topics": "per_subscriber", "tls": True}


def holds(condition, metric="delivery_ms_p99", **row):
    return gate(ROW | row, SETTINGS, metric, condition)


@pytest.mark.parametrize(
    ("condition", "bound"),
    [
        ("<= 1000 * polling.interval_s + 50", 550),
        ("< 541", 541),
        (">= 540", 540),
        ("== 540", 540),
        ("> -(1 - 2) * 3 / 2", 1.5),
        ("<= 54 * load.subscribers", 540),
    ],
)
def test_conditions_that_hold(condition, bound):
    found = holds(condition)
    assert found == Gate("e", "c", "delivery_ms_p99", condition, 540.0, bound, holds=True, why="")


def test_one_that_does_not_says_both_numbers():
    found = holds("<= 1000 * polling.interval_s")
    assert not found.holds
    assert found.why == "delivery_ms_p99 = 540, expected <= 1000 * polling.interval_s (= 500)"


@pytest.mark.parametrize(
    ("condition", "says"),
    [
        ("", "not one comparison"),
        ("50", "cannot be read"),
        ("+ 50", "not one comparison"),
        ("<= 1 <= 2", "not one comparison"),
        ("in (1, 2)", "compares otherwise"),
        ("<= __import__('os').getpid()", "not arithmetic"),
        ("<= 9 ** 9 ** 9", "not arithmetic"),
        ("<= [1][0]", "not arithmetic"),
        ("<= True", "not arithmetic"),
        ("<= 'a'", "not arithmetic"),
        ("<= 1 / 0", "has no value"),
        ("<= polling.interval", "polling.interval is no number"),
        ("<= feed.topics", "feed.topics is no number"),
        ("<= tls", "tls is no number"),
        ("<= " + "(" * 500 + "1" + ")" * 500, "cannot be read"),
        ("<= " + "-" * 5000 + "1", ""),
    ],
)
def test_what_is_no_condition_does_not_hold(condition, says):
    found = holds(condition)
    assert not found.holds
    assert says in found.why


def test_what_was_not_measured_never_holds():
    assert holds("<= 1", "empty_ratio").why == "empty_ratio has no samples, or too few"
    assert holds("<= 1", "beauty").why == "there is no metric beauty"
    assert holds("<= 9999", status="invalid: 3 lost").why == "the cell is invalid: 3 lost"


@given(st.text(max_size=40))
def test_garbage_gives_a_gate(condition):
    assert isinstance(holds(condition), Gate)
