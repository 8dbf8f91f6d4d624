"""The floor: a figure for every client, from a tape that must play back as it was recorded."""

from __future__ import annotations

import pytest

from loadtests import floor
from loadtests.clients import Data, Emit, Mark, Send, Stop, Timer, Wake
from loadtests.transports import TRANSPORTS
from loadtests.verify import VerifyError

ROW = (0,) * 8


def echo():
    """A client that subscribes at its first data and delivers one event for each byte of any other."""
    event = yield Send(b"subscribe")
    event = yield (Mark("subscribed", event.at_ns), Emit([ROW]))
    while True:
        event = yield Emit([ROW] * len(event.view))


def test_the_tape_keeps_what_was_one_delivery_and_leaves_the_client_waiting():
    tape, inner = [], echo()
    taped = floor._taped(inner, tape)
    next(taped)
    for piece in (b"head", b"a", b"bc", b"d"):
        taped.send(Data(memoryview(piece), 1))
    with pytest.raises(StopIteration):
        taped.send(Stop(2))
    assert tape == [b"a", b"d"]
    assert floor._listen(inner, tape) == 2


def test_a_pulling_client_gets_an_answer_to_each_request_and_its_timers_at_once():
    def asking():
        yield Send(b"connect")
        while True:
            event = yield Send(b"GET")
            assert isinstance(event, Data)
            event = yield (Emit([ROW]), Wake(10**18))
            assert isinstance(event, Timer)

    assert floor._pull(asking(), [b"1", b"2", b"3"]) == 3


def test_a_tape_that_does_not_play_back_is_no_floor():
    sse = TRANSPORTS["sse"]
    with pytest.raises(VerifyError, match=r"expected 2 deliveries from the tape, got 1"):
        floor._cpu_us(sse, [b"1", b"2"], lambda: 1)
    with pytest.raises(VerifyError, match=r"no event came on its own"):
        floor._cpu_us(sse, [], lambda: 0)


def test_cpu_is_what_was_spent_divided_by_the_deliveries(monkeypatch):
    clock = iter(range(0, 10**9, 20_000_000))
    monkeypatch.setattr(floor.time, "thread_time_ns", lambda: next(clock))
    assert floor._cpu_us(TRANSPORTS["sse"], [b"1"] * 100, lambda: 100) == pytest.approx(40_000 / 100)


def test_every_transport_has_a_floor(monkeypatch):
    monkeypatch.setattr(floor, "_EVENTS", 75)  # on a busy machine many of them come in one piece
    monkeypatch.setattr(floor, "_ANSWERS", 30)
    monkeypatch.setattr(floor, "_CPU_NS", 1_000_000)
    measured = floor.measure(list(TRANSPORTS))
    assert list(measured) == list(TRANSPORTS)
    for name, row in measured.items():
        assert row["cpu_us_per_delivery"] > 0
        assert 0 < row["transit_ms_p50"] <= row["transit_ms_p95"]
        assert (row["round_trip_ms_p50"] is not None) == TRANSPORTS[name].pulls
        assert row["n"] >= 25
    shown = floor.table(measured).splitlines()
    assert len(shown) == 1 + len(TRANSPORTS)
    assert shown[1].startswith("polling")
