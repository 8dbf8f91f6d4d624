"""The offset of another clock: right, within a bound that is honest."""

from __future__ import annotations

import itertools

import pytest

from loadtests import clocks
from loadtests.access import Access
from loadtests.control import ControlError
from tests.loadtests.fake_target import FakeTarget, serving

DAY_NS = 86_400_000_000_000


@pytest.mark.parametrize("ahead_ns", [0, DAY_NS, -DAY_NS, 50_000_000])
def test_a_clock_is_known_to_half_the_quickest_round_trip(ahead_ns):
    target = FakeTarget()
    target.ahead_ns = ahead_ns
    with serving(target):
        found = clocks.measure(Access(target.url), 20)
    assert abs(found.offset_ns - ahead_ns) <= found.bound_ns
    assert 0 < found.bound_ns < 50_000_000
    assert found.same is (ahead_ns == 0)
    assert found.row().keys() == {"at_ns", "offset_ns", "bound_ns", "round_trips"}
    assert len(target.seen) == 20


def test_the_quickest_of_many_counts():
    # A round trip of 1,000 ns and one of 10: the server says 2,000 each time.
    ticks = itertools.chain([0, 1000, 1500, 1510])
    target = FakeTarget()
    target.clock_body = {"now_ns": 2000}
    with serving(target):
        found = clocks.measure(Access(target.url), 2, clock=lambda: next(ticks))
    assert (found.at_ns, found.offset_ns, found.bound_ns) == (1505, 495, 5)


@pytest.mark.parametrize("body", [{"now": 1}, [1], {"now_ns": "1"}, {"now_ns": True}])
def test_an_answer_that_is_no_time_is_refused(body):
    target = FakeTarget()
    target.clock_body = body
    with serving(target), pytest.raises(ControlError, match=r"/clock: status 200, expected \{\"now_ns\": N\}"):
        clocks.measure(Access(target.url))


def test_a_server_that_is_not_there_is_named():
    with pytest.raises(ControlError, match=r"GET http://127\.0\.0\.1:1/clock: .*refused"):
        clocks.measure(Access("http://127.0.0.1:1"))
    with pytest.raises(ValueError, match=r"at least 1"):
        clocks.measure(Access("http://127.0.0.1:1"), 0)
