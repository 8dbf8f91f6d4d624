"""The SSE client: an EventSource, over whatever HTTP/1.1 makes of the stream."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtests.clients.sse import Options, client
from tests.loadtests.by_hand import Hand, event, subscriber

SECOND = 1_000_000_000
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n%b\r\n"
CHUNKED = HEAD % b"Transfer-Encoding: chunked\r\n"


def chunk(data):
    return b"%x\r\n%b\r\n" % (len(data), data)


def message(seq, text=None):
    return b"id: %d\ndata: %b\n\n" % (seq, text or event(seq))


def sse(after=0, **options):
    hand = Hand(client(subscriber("/sse/t0", after), Options(**options)))
    hand.connect()
    return hand


def opened(after=0, **options):
    hand = sse(after, **options)
    hand.take()
    hand.receive(CHUNKED)
    return hand


def reconnected(hand):
    """Let the pause pass and return the next request, and how long the pause was."""
    pause_ns = hand.wake_ns - hand.at_ns
    hand.take()
    hand.ring()
    hand.connect()
    return hand.take(), pause_ns


def test_the_request_is_an_eventsources():
    request = sse(after=5).take()
    assert request.startswith(b"GET /sse/t0?after=5 HTTP/1.1\r\n")
    assert b"\r\nAccept: text/event-stream\r\n" in request
    assert b"\r\nCache-Control: no-store\r\n" in request
    assert b"Last-Event-ID" not in request
    assert sse(after=None).take().startswith(b"GET /sse/t0 HTTP/1.1\r\n")


def test_the_head_of_the_answer_subscribes():
    hand = sse()
    hand.receive(CHUNKED[:-1])
    assert hand.marks == []
    hand.at_ns += 7
    hand.receive(CHUNKED[-1:])
    assert [(mark.phase, mark.at_ns) for mark in hand.marks] == [("upgraded", hand.at_ns), ("subscribed", hand.at_ns)]


def test_events_are_rows_with_the_time_of_their_last_byte():
    hand = opened()
    hand.receive(chunk(message(1))[:-5])
    assert hand.rows == []
    hand.at_ns += 7
    hand.receive(chunk(message(1))[-5:])
    assert hand.rows == [(7, 0, 0, 1, 5, 6, hand.at_ns, len(event(1)))]


@pytest.mark.parametrize("head", [CHUNKED, HEAD % b"", HEAD % b"Content-Length: 9999\r\n"])
def test_framing_and_cutting_make_no_difference(head):
    stream = b"retry: 5\n\n" + message(1) + b":\n\n" + message(2) + message(3)
    body = chunk(stream[:9]) + chunk(stream[9:200]) + chunk(stream[200:]) if head == CHUNKED else stream
    whole, bytewise = sse(), sse()
    whole.receive(head + body)
    bytewise.receive_bytewise(head + body)
    for hand in (whole, bytewise):
        assert hand.seqs() == [1, 2, 3]
        assert hand.beats == 1
        assert len(hand.marks) == 2


def test_only_messages_are_events_of_the_feed():
    hand = opened()
    hand.receive(chunk(b"event: other\n" + message(1) + message(2)))
    assert hand.seqs() == [2]


def test_what_does_not_decode_is_a_corrupted_row():
    hand = opened()
    hand.receive(chunk(message(1, b"oops")))
    assert hand.seqs() == [0]


def test_a_lost_connection_is_resumed_by_last_event_id_at_the_old_address():
    hand = opened(after=5)
    hand.receive(chunk(message(6)), chunk(message(7) + message(8)[:-1]))
    hand.end()
    assert hand.closes[0].failed
    request, pause_ns = reconnected(hand)
    assert SECOND < pause_ns < SECOND + SECOND // 2
    assert request.startswith(b"GET /sse/t0?after=5 ")
    assert b"\r\nLast-Event-ID: 7\r\n" in request
    hand.receive(CHUNKED + chunk(b":\n\n"))
    hand.end()
    assert b"\r\nLast-Event-ID: 7\r\n" in reconnected(hand)[0]  # a connection without events forgets nothing
    hand.receive(CHUNKED + chunk(message(8)))
    assert [(row[1], row[3]) for row in hand.rows] == [(0, 6), (0, 7), (2, 8)]


def test_the_servers_retry_is_kept_to_and_outlives_the_connection():
    hand = opened(retry_s=3)
    hand.receive(chunk(b"retry: 20\n\n"))
    for _ in range(2):
        hand.end()
        assert 0 <= reconnected(hand)[1] - 20_000_000 < SECOND
        hand.receive(CHUNKED)


def test_until_then_it_is_ours():
    hand = opened(retry_s=3)
    hand.end()
    assert 3 * SECOND < reconnected(hand)[1] < 3 * SECOND + SECOND // 2


def test_the_end_of_the_stream_is_no_failure_and_loses_nothing():
    hand = opened()
    hand.receive(chunk(message(1)) + b"0\r\n\r\n")
    assert hand.seqs() == [1]
    assert [(close.why, close.failed) for close in hand.closes] == [("the event stream ended", False)]
    assert b"Last-Event-ID: 1\r\n" in reconnected(hand)[0]


@pytest.mark.parametrize("kind", [b"text/event-stream; charset=utf-8", b"Text/Event-Stream ;x"])
def test_the_media_type_may_have_parameters(kind):
    hand = sse()
    hand.receive(CHUNKED.replace(b"text/event-stream", kind) + chunk(message(1)))
    assert hand.seqs() == [1]


@pytest.mark.parametrize("kind", [b"text/html", b"text/event-streams", b""])
def test_anything_but_an_event_stream_is_a_mistake(kind):
    hand = sse()
    hand.receive(CHUNKED.replace(b"text/event-stream", kind) + chunk(message(1)))
    assert "expected text/event-stream" in hand.closes[0].why
    assert hand.closes[0].failed
    assert hand.rows == []
    assert reconnected(hand)[1] > SECOND


@pytest.mark.parametrize("code", [202, 302, 404, 503])
def test_another_status_is_a_failure(code):
    hand = sse()
    hand.receive(b"HTTP/1.1 %d Whatever\r\nContent-Length: 0\r\n\r\n" % code)
    ((why, failed),) = [(close.why, close.failed) for close in hand.closes]
    assert why.startswith(f"status {code}")
    assert failed
    assert hand.marks == []


def test_a_204_ends_it_for_good():
    hand = sse()
    hand.receive(b"HTTP/1.1 204 No Content\r\n\r\n")
    assert [(close.why, close.failed) for close in hand.closes] == [("status 204: told not to come back (9.2.1)", True)]
    assert hand.ended


@pytest.mark.parametrize("after", [3, 100])
def test_a_cursor_outside_the_log_goes_on_inside_it(after):
    hand = sse(after=after)
    body = b'{"status": 410, "oldest": 50, "newest": 90}'
    hand.receive(b"HTTP/1.1 410 Gone\r\nContent-Length: %d\r\n\r\n" % len(body), body)
    assert [(close.why, close.failed) for close in hand.closes] == [("status 410", True)]
    assert hand.connects == 2  # at once: the cursor is good now
    hand.connect()
    assert b"\r\nLast-Event-ID: %d\r\n" % (49 if after == 3 else 90) in hand.take()


def test_stop_is_heard_whatever_it_is_doing():
    asking, listening, pausing = sse(), opened(), opened()
    pausing.end()
    for hand in (asking, listening, pausing):
        hand.stop()
        assert hand.ended


@given(st.lists(st.binary(max_size=40) | st.sampled_from([CHUNKED, chunk(message(1)), chunk(b":\n"), b"0\r\n\r\n"])))
def test_garbage_ends_a_connection_and_nothing_else(pieces):
    hand = sse()
    for piece in pieces:
        if not hand.open:
            hand.ring()
            hand.connect()
        hand.receive(piece)
    hand.stop()
    assert hand.ended
