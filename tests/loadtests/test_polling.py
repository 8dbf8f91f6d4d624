"""The polling client: when it asks, what for, and what it makes of the answers."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtests.clients.polling import Options, client
from tests.loadtests.by_hand import event, subscriber
from tests.loadtests.pulling_hand import PullingHand, answer, status

SECOND = 1_000_000_000


def polling(after=0, seed=1, **options):
    hand = PullingHand(client(subscriber("/poll/t0", after, seed), Options(**options)))
    hand.connect()
    return hand


def test_the_first_request_goes_at_once_and_its_answer_subscribes():
    hand = polling(interval_s=10)
    assert hand.asked() == b"/poll/t0?after=0"
    hand.at_ns += 5
    hand.receive(status(204))
    assert [(mark.phase, mark.at_ns) for mark in hand.marks] == [("upgraded", hand.at_ns), ("subscribed", hand.at_ns)]
    assert hand.answers == [(7, hand.at_ns - 5, hand.at_ns, 204, 0, 78, len(status(204)))]
    assert hand.at_ns <= hand.wake_ns < hand.at_ns + 10 * SECOND


def test_phases_are_uniform_over_the_interval_and_repeat_with_the_seed():
    def phase(seed):
        hand = polling(interval_s=10, seed=seed)
        hand.receive(status(204))
        return (hand.wake_ns - hand.at_ns) / (10 * SECOND)

    phases = [phase(seed) for seed in range(200)]
    assert [sum(i / 4 <= one < (i + 1) / 4 for one in phases) > 25 for i in range(4)] == [True] * 4
    assert phases == [phase(seed) for seed in range(200)]


@pytest.mark.parametrize("policy", ["fixed_rate", "fixed_delay"])
def test_an_interval_of_zero_asks_again_at_once(policy):
    hand = polling(interval_s=0, policy=policy)
    for _ in range(3):
        assert hand.asked() == b"/poll/t0?after=0"
        hand.at_ns += 7
        hand.receive(status(204))
    assert [row[1:4] for row in hand.answers] == [(1000, 1007, 204), (1007, 1014, 204), (1014, 1021, 204)]


def test_started_is_when_the_timer_rang():
    hand = polling(interval_s=1)
    hand.receive(status(204))
    hand.ring()
    rang_ns = hand.at_ns
    hand.at_ns += 9
    hand.receive(status(204))
    assert hand.answers[-1][1:3] == (rang_ns, rang_ns + 9)


def test_several_events_in_one_answer_are_several_rows_with_one_time():
    hand = polling(interval_s=1)
    hand.at_ns += 3
    data = answer(1, 2, 3)
    hand.receive(data[:100], data[100:])
    assert [(row[0], row[1], row[3], row[6], row[7]) for row in hand.rows] == [
        (7, 0, seq, hand.at_ns, len(event(seq))) for seq in (1, 2, 3)
    ]
    assert hand.answers[0][3:5] == (200, 3)
    hand.take()
    hand.ring()
    assert hand.asked() == b"/poll/t0?after=3"


def test_byte_by_byte_is_the_same():
    one, other = polling(interval_s=0), polling(interval_s=0)
    for data in (answer(1, 2), status(204), answer(3)):
        one.receive(data)
        other.receive_bytewise(data)
    assert one.rows == other.rows
    assert one.answers == other.answers
    assert one.take() == other.take()


def test_an_event_that_comes_twice_is_a_delivery_but_not_new():
    hand = polling(after=2)
    hand.receive(answer(2, 3))
    assert hand.seqs() == [2, 3]
    assert hand.answers[0][4] == 1


def test_a_cursor_never_goes_back():
    hand = polling(after=5, interval_s=0)
    hand.take()
    hand.receive(answer(3))
    assert hand.asked() == b"/poll/t0?after=5"


def test_corrupted_events_are_rows_and_move_the_cursor_on():
    hand = polling(interval_s=0)
    hand.take()
    hand.receive(answer(1, 2, topic="t9"))
    assert hand.seqs() == [0, 0]
    assert hand.asked() == b"/poll/t0?after=2"
    hand.receive(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\noops")
    assert hand.seqs() == [0, 0, 0]
    assert hand.asked() == b"/poll/t0?after=2"


def test_a_limit_is_asked_for():
    assert polling(limit=5).asked() == b"/poll/t0?after=0&limit=5"


def test_the_latest_state_is_asked_for_by_its_tag_and_known_events_are_no_deliveries():
    hand = polling(mode="latest", interval_s=0)
    assert b"If-None-Match" not in hand.sent
    assert hand.asked() == b"/poll/t0"
    hand.receive(answer(4, head=b'ETag: W/"x-4"\r\n'))
    assert hand.take().endswith(b'\r\nIf-None-Match: W/"x-4"\r\n\r\n')
    hand.receive(status(304))
    assert hand.take().endswith(b'\r\nIf-None-Match: W/"x-4"\r\n\r\n')
    hand.receive(answer(4))
    assert b"If-None-Match" not in hand.take()
    hand.receive(answer(9))
    assert hand.seqs() == [4, 9]
    assert [row[3:5] for row in hand.answers] == [(200, 1), (304, 0), (200, 0), (200, 1)]


def test_without_keep_alive_each_request_has_a_connection_and_the_grid_stays():
    hand = polling(keep_alive=False, interval_s=1)
    assert b"\r\nConnection: close\r\n" in hand.take()
    hand.receive(status(204))
    assert [close.why for close in hand.closes] == ["answered"]
    first_due = hand.wake_ns
    for k in range(1, 4):
        hand.ring()
        assert hand.connects == k + 1
        hand.at_ns += 1000
        hand.connect()
        assert b"Connection: close" in hand.take()
        hand.receive(answer(k))
        assert hand.wake_ns == first_due + k * SECOND
    assert hand.seqs() == [1, 2, 3]
    assert [row[1] for row in hand.rows] == [1, 2, 3]
    assert len(hand.marks) == 8  # each connection's two phases
    assert not any(close.failed for close in hand.closes)


def test_a_server_that_closes_behind_its_answer_is_reconnected_to_when_due():
    hand = polling(interval_s=1)
    hand.receive(answer(1, head=b"Connection: close\r\n"))
    assert hand.closes
    assert not hand.closes[0].failed
    hand.take()
    hand.ring()
    hand.connect()
    assert hand.asked() == b"/poll/t0?after=1"


def test_an_idle_connection_may_be_closed_and_the_next_poll_is_not_brought_forward():
    hand = polling(interval_s=10)
    hand.receive(status(204))
    due_ns = hand.wake_ns
    hand.take()
    hand.end()
    assert not hand.closes[0].failed
    assert hand.wake_ns == due_ns
    hand.ring()
    hand.connect()
    assert hand.asked() == b"/poll/t0?after=0"


def test_an_idle_connection_may_be_closed_with_a_status_that_nobody_asked_for():
    hand = polling(interval_s=10)
    hand.receive(status(204))
    due_ns = hand.wake_ns
    hand.receive(b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\n\r\n")
    assert [(close.why, close.failed) for close in hand.closes] == [("closed by the server while idle", False)]
    assert hand.wake_ns == due_ns


def test_bytes_while_idle_are_a_failure():
    hand = polling(interval_s=10)
    hand.receive(status(204))
    hand.receive(b"HTTP/1.1 200 OK\r\n\r\n")
    assert hand.closes[0].failed
    assert "while no request was under way" in hand.closes[0].why


def test_a_refusal_is_a_row_and_a_failure_and_a_pause():
    hand = polling(interval_s=0)
    hand.receive(status(503, b"busy"))
    assert hand.answers[0][3:5] == (503, 0)
    assert (hand.closes[0].why, hand.closes[0].failed) == ("status 503", True)
    assert hand.marks == []
    assert hand.at_ns < hand.wake_ns < hand.at_ns + SECOND // 2
    hand.take()
    hand.ring()
    hand.connect()
    assert hand.asked() == b"/poll/t0?after=0"


def test_a_cursor_that_came_too_late_goes_on_where_the_log_begins():
    hand = polling(after=3, interval_s=0)
    hand.receive(status(410, b'{"oldest": 50, "newest": 90}'))
    assert (hand.closes[0].why, hand.closes[0].failed) == ("status 410", True)
    assert hand.connects == 2  # at once: the cursor is good now
    hand.take()
    hand.connect()
    assert hand.asked() == b"/poll/t0?after=49"


def test_stop_is_heard_whatever_it_is_doing():
    waiting, idle, paused = polling(), polling(interval_s=10), polling()
    idle.receive(status(204))
    paused.receive(status(500))
    connecting = PullingHand(client(subscriber("/poll/t0"), Options()))
    for hand in (waiting, idle, paused, connecting):
        hand.stop()
        assert hand.ended


@given(st.lists(st.binary(max_size=40) | st.sampled_from([answer(1), status(204), answer(2)[:-3]])), st.randoms())
def test_garbage_ends_a_connection_and_nothing_else(chunks, chance):
    hand = polling(interval_s=0, mode=random.Random(chance.random()).choice(["cursor", "latest"]))
    for chunk in chunks:
        if not hand.open:
            hand.ring()
            hand.connect()
        hand.receive(chunk)
    hand.stop()
    assert hand.ended


def test_blank_lines_behind_an_answer_are_let_pass():
    hand = polling(interval_s=1)
    hand.receive(status(204))
    hand.receive(b"\r\n", b"\n\r\n")
    assert hand.closes == []
    hand.ring()
    assert hand.connects == 1
