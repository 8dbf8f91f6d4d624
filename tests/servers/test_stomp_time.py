"""Time in a STOMP conversation: heart-beats, what has to end in time, and turns; it passes when the test says so."""

import asyncio

import pytest

from servers.stomp_session import TURN_NS
from tests.servers.stomp_case import HEARTBEAT_S, Case


@pytest.mark.parametrize(("wanted_ms", "interval_s"), [(1, HEARTBEAT_S), (10_000, HEARTBEAT_S), (30_000, 30.0)])
def test_our_heart_beats_come_at_the_larger_of_both_wishes(wanted_ms, interval_s):
    case = Case(beats=f"0,{wanted_ms}")
    for _ in range(3):
        assert case.sweep(interval_s * 0.85) == b""
        assert case.sweep(interval_s * 0.1) == b"\n"
    assert not case.session.expects_beats
    case.sweep(interval_s * 100)
    assert case.transport.ended == []


def test_an_event_is_as_good_as_a_heart_beat():
    case = Case(beats="0,1")
    case.say("SUBSCRIBE", id="0", destination="/topic/own")
    case.sweep(HEARTBEAT_S * 0.8)
    case.publish(1)
    case.transport.take()
    assert case.sweep(HEARTBEAT_S * 0.8) == b""
    assert case.sweep(HEARTBEAT_S * 0.2) == b"\n"


@pytest.mark.parametrize(("promised_ms", "interval_s"), [(1, HEARTBEAT_S), (30_000, 30.0)])
def test_a_peer_that_breaks_its_promise_is_cut_off_with_a_margin(promised_ms, interval_s):
    case = Case(beats=f"{promised_ms},0")
    assert case.session.expects_beats
    case.sweep(interval_s * 1.9)
    case.raw(b"\n")
    case.sweep(interval_s * 1.9)
    assert case.transport.ended == []
    assert case.sweep(interval_s * 0.2) == b""
    assert case.transport.ended == ["abort"]
    assert case.site.counters.drops == {"heartbeat_timeout": 1}


def test_no_heart_beats_when_one_side_wants_none():
    case = Case(beats="0,0")
    assert case.sweep(HEARTBEAT_S * 1000) == b""
    assert case.transport.ended == []


@pytest.mark.parametrize("trickle", [b"", b"\n", b"C"])
def test_connect_has_to_be_there_in_time_however_its_bytes_trickle(trickle):
    case = Case(None, handshake_s=3)
    for _ in range(29):
        assert case.sweep(0.1) == b""
        case.raw(trickle)
    case.session.sweep(case.clock.pass_s(0.1))
    assert "no CONNECT within 3 s" in case.over(case.heard(), "handshake_timeout").headers["message"]


@pytest.mark.parametrize("head", [b"S", b"SEND\n", b"SEND\ndestination:/topic/own\n\n"])
@pytest.mark.parametrize("trickle", [b"", b"x"])
def test_a_frame_has_to_end_in_time_however_its_bytes_trickle(head, trickle):
    case = Case(request_s=3)
    case.sweep(100)
    case.raw(b"\n" + head)
    for _ in range(29):
        assert case.sweep(0.1) == b""
        case.raw(trickle)
    case.session.sweep(case.clock.pass_s(0.1))
    case.over(case.heard(), "request_timeout")


def test_the_time_of_a_frame_begins_with_its_first_byte_and_ends_with_its_last():
    case = Case(request_s=3)
    frame = b"ABORT\ntransaction:t\n\n\0BEGIN\ntransaction:t\n\n\0"
    case.raw(b"BEGIN\ntransaction:t\n\n\0" + frame[:5])
    for _ in range(10):  # a piece of the next frame comes with the end of every other one
        assert case.sweep(2) == b""
        case.raw(frame[5:] + frame[:5])
    case.raw(frame[5:])
    assert case.sweep(100) == b""
    assert case.hung_up == []


def test_when_all_is_over_time_changes_nothing():
    case = Case(beats="1,1")
    case.say("DISCONNECT")
    assert case.sweep(1000) == b""
    assert case.site.counters.drops == {}


SEND = b"SEND\ndestination:/topic/own\n\nx\0"


def busy_case(**options) -> Case:
    """Every frame takes some of the turn's time: four of them make a turn."""
    case = Case(**options)
    case.clock.tick_ns = TURN_NS // 8  # a SEND looks at the clock, and whoever carries it out does
    return case


def test_a_flood_is_carried_out_a_little_at_a_time_and_in_order():
    async def test():
        case = busy_case()
        case.raw(SEND * 21 + b"DISCONNECT\nreceipt:r\n\n\0" + SEND)
        own = case.site.feed.topic("own")
        for done in (4, 8, 12, 16, 20):
            assert own.newest == 3 + done
            assert not case.transport.reading
            await asyncio.sleep(0)
        assert own.newest == 3 + 21
        assert case.transport.reading
        assert [frame.command for frame in case.heard()] == ["RECEIPT"]
        assert case.hung_up == [""]

    asyncio.run(test())


@pytest.mark.parametrize("last", [b"", b"SEND"])
def test_while_it_waits_no_time_passes_for_the_peer(last):
    async def test():
        case = busy_case(beats="1,0", request_s=5)
        case.raw(SEND * 4 + last)
        case.session.sweep(case.clock.pass_s(1.9 * HEARTBEAT_S))
        await asyncio.sleep(0)
        assert case.sweep(4.9) == b""
        assert case.hung_up == []
        case.session.sweep(case.clock.pass_s(0.2))
        assert case.hung_up == (["request_timeout"] if last else [])

    asyncio.run(test())


def test_a_mistake_at_the_end_of_a_flood_lets_the_peer_read_it():
    async def test():
        case = busy_case()
        case.raw(SEND * 4 + b"WRONG\n\n\0")
        await asyncio.sleep(0)
        case.over(case.heard(), "protocol_error")
        assert case.transport.reading  # or its end would never be seen

    asyncio.run(test())


def test_an_end_in_the_middle_of_a_flood():
    async def test():
        case = busy_case()
        case.raw(SEND * 8)
        case.session.end()
        await asyncio.sleep(0)
        assert case.transport.reading
        assert case.site.feed.topic("own").newest == 3 + 4

    asyncio.run(test())
