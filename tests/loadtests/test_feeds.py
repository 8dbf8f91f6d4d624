"""How a cell is fed: by a server of ours as before, by a target as it finds it."""

from __future__ import annotations

import pytest

from loadtests.access import Access
from loadtests.control import ControlError
from loadtests.feeds import OwnFeed, TargetFeed
from tests.loadtests.fake_target import FakeTarget, serving

BUSY = {"feed.rate_hz": 5.0}
SILENT = {"feed.rate_hz": 0.0}
DAY_NS = 86_400_000_000_000


def puts(target):
    return [body for method, _, body in target.seen if method == "PUT"]


def run(target, settings=BUSY, *, last=True):
    """Feed a cell from 10 to 20 on our clock; returns its record."""
    record = {}
    with serving(target):
        feed = TargetFeed(Access(target.url), settings, record, last=last)
        record["cursors"] = dict(feed.cursors)
        record["after"] = feed.after
        feed.begin(10, 20)
        if target.published:
            target.published = {"t0": 9, "verify-x": 4}
        feed.end_window()
        if target.published:
            target.published = {"t0": 12, "verify-x": 4}
        feed.close()
    return record


def test_our_own_feed_is_started_and_stopped():
    for settings, put in ((BUSY, {"epoch_ns": 10, "stop_ns": 20}), (SILENT, {"epoch_ns": 20, "stop_ns": 21})):
        target, record = FakeTarget(), {"server": {}}
        with serving(target):
            feed = OwnFeed(Access(target.url), settings, record)
            feed.begin(10, 20)
            feed.end_window()
            feed.close()
        assert (feed.after, feed.cursors) == (0, {})
        assert puts(target) == [put]
        assert record == {"server": {"stats": {"drops": {}}}, "published": {"t0": 7}}


def test_a_running_feed_is_joined_behind_its_newest_event_and_owed_up_to_the_windows_end():
    target = FakeTarget()
    record = run(target)
    assert puts(target) == []
    assert record["cursors"] == record["owed_from"] == {"t0": 7}
    assert record["published"] == {"t0": 9}, "what comes later may be on its way when the cell ends"
    assert record["target"] == {"url": target.url, "feed": "running"}
    assert record["clock"].keys() == {"start", "end"}
    assert record["server"]["health"]["contract"] == 1


def test_a_target_that_does_not_count_is_joined_live():
    target = FakeTarget()
    target.missing = {"/stats"}
    record = run(target)
    assert (record["after"], record["cursors"], record["published"]) == (None, {}, {})
    assert "owed_from" not in record
    target = FakeTarget()
    target.published = None
    assert "owed_from" not in run(target)


def test_a_waiting_feed_is_used_as_ours_by_the_last_cell_that_needs_it():
    target = FakeTarget(state="waiting")
    record = run(target)
    assert puts(target) == [{"epoch_ns": 10, "stop_ns": 20}]
    assert record["published"] == {"t0": 12}, "it has ended: all of it is owed"


def test_a_waiting_feed_goes_on_for_the_cells_to_come():
    target = FakeTarget(state="waiting")
    record = run(target, last=False)
    (put,) = puts(target)
    assert put["epoch_ns"] == 10
    assert put["stop_ns"] > DAY_NS
    assert record["published"] == {"t0": 9}


def test_the_epoch_is_on_the_targets_clock():
    target = FakeTarget(state="waiting")
    target.ahead_ns = DAY_NS
    run(target)
    (put,) = puts(target)
    assert abs(put["epoch_ns"] - 10 - DAY_NS) < 50_000_000
    assert put["stop_ns"] - put["epoch_ns"] == 10


def test_silence_is_a_waiting_feed_left_alone():
    target = FakeTarget(state="waiting")
    assert run(target, SILENT)["published"] == {"t0": 9}
    assert puts(target) == []


@pytest.mark.parametrize(
    ("state", "settings", "message"),
    [("stopped", BUSY, r"the target's feed has ended"), ("running", SILENT, r"this cell asks for silence")],
)
def test_a_feed_that_does_not_serve_the_cell_is_a_clear_reason(state, settings, message):
    with pytest.raises(ControlError, match=message):
        run(FakeTarget(state=state), settings)


def test_a_target_that_fails_to_answer_fails_the_cell():
    target = FakeTarget()
    with serving(target):
        feed = TargetFeed(Access(target.url), BUSY, {}, last=True)
    with pytest.raises(ControlError, match=r"refused"):
        feed.end_window()
