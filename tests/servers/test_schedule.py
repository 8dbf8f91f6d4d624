import contextlib
import math
from itertools import islice, pairwise
from statistics import fmean, pvariance

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from servers.schedule import SCHEDULES, Schedule, TraceError, read_trace, trace_rate_hz

TRACE_NS = (0, 250_000_000, 1_000_000_000)


def schedule(kind, rate_hz=10.0, seed=1, **more):
    return Schedule(kind, rate_hz, seed, trace_ns=TRACE_NS if kind == "trace" else (), **more)


def first(plan, number, topic="t0"):
    return list(islice(plan.offsets(topic), number))


@pytest.mark.parametrize("kind", SCHEDULES)
def test_offset_is_the_iterators_value_and_depends_on_nothing_else(kind):
    offsets = first(schedule(kind), 50)
    assert [schedule(kind).offset("t0", seq) for seq in (1, 2, 17, 50)] == [offsets[i] for i in (0, 1, 16, 49)]
    assert first(schedule(kind), 50) == offsets


@pytest.mark.parametrize("kind", SCHEDULES)
def test_offsets_are_whole_ns_from_the_epoch_on_and_never_decrease(kind):
    offsets = first(schedule(kind), 2000)
    assert all(isinstance(offset, int) for offset in offsets)
    assert offsets[0] >= 0
    assert offsets == sorted(offsets)


@pytest.mark.parametrize("kind", ["constant", "poisson", "bursty"])
def test_topics_and_seeds_differ(kind):
    plans = [first(schedule(kind), 5), first(schedule(kind), 5, "t1"), first(schedule(kind, seed=2), 5)]
    assert len({tuple(plan) for plan in plans}) == 3


def test_known_offsets_stay_what_they_are():
    # results of earlier runs are only comparable as long as these hold
    assert first(schedule("poisson", 1.0), 3) == [117211723, 524854446, 650605123]


def test_constant_has_equal_gaps_and_a_phase_within_the_first():
    offsets = first(schedule("constant", 3.0), 3001)
    assert 0 <= offsets[0] < 1e9 / 3
    assert offsets[3000] - offsets[0] == pytest.approx(1000e9, abs=2)  # no drift
    assert max(b - a for a, b in pairwise(offsets)) <= 333333334


def test_poisson_gaps_have_the_exponentials_mean_and_variance():
    offsets = first(schedule("poisson", 10.0), 20_000)
    gaps = [(b - a) / 1e9 for a, b in pairwise(offsets)]
    assert fmean(gaps) == pytest.approx(0.1, rel=0.03)  # standard error 0.7 %
    assert math.sqrt(pvariance(gaps)) == pytest.approx(0.1, rel=0.05)


def test_bursty_has_the_mean_rate_and_silences_poisson_has_not():
    plan = schedule("bursty", 10.0, on_s=0.5, off_s=2.0)
    offsets = first(plan, 40_000)
    assert 40_000 / (offsets[-1] / 1e9) == pytest.approx(10.0, rel=0.1)  # about 1600 cycles
    gaps = [(b - a) / 1e9 for a, b in pairwise(offsets)]
    assert sum(gap > 1.0 for gap in gaps) > 500  # Poisson at this rate: e^-10 of 40,000 gaps, two
    assert sorted(gaps)[len(gaps) // 2] == pytest.approx(math.log(2) / 50, rel=0.1)  # the burst's own rate


def test_trace_goes_round_with_a_seam_like_any_other_gap():
    # mean gap 0.5 s, so a round takes 1.5 s
    assert first(schedule("trace"), 5) == [0, 250_000_000, 1_000_000_000, 1_500_000_000, 1_750_000_000]
    assert trace_rate_hz(TRACE_NS) == pytest.approx(2.0)


def test_read_trace(tmp_path):
    path = tmp_path / "trace.csv"
    path.write_text("seconds,note\n0,a\n0.25,b\n\n1,c\n")
    assert read_trace(path) == TRACE_NS


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0\n2\n1\n", "line 3: '1', expected seconds, at least 2"),
        ("0\nsoon\n", "line 2: 'soon', expected seconds"),
        ("0\n-1\n", "line 2: '-1'"),
        ("0\ninf\n", "line 2: 'inf'"),
        ("nan\n1\n2\n", "line 1: 'nan'"),
        ("1\n", "1 times, expected two or more"),
        ("1\n1\n", "expected two or more that differ"),
        ("", "0 times"),
    ],
)
def test_read_trace_says_what_is_wrong(tmp_path, text, message):
    path = tmp_path / "trace.csv"
    path.write_text(text)
    with pytest.raises(TraceError, match=r"trace\.csv") as caught:
        read_trace(path)
    assert message in str(caught.value)


@settings(max_examples=50)
@given(st.binary(max_size=60))
def test_garbage_in_a_trace_is_a_trace_or_an_error(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("trace") / "t.csv"
    path.write_bytes(data)
    with contextlib.suppress(TraceError, UnicodeDecodeError):
        assert list(read_trace(path)) == sorted(read_trace(path))
