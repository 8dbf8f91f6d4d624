"""The long-polling client: it asks again at once, or a gap later, and holds on to its cursor."""

import pytest

from loadtests.clients.long_polling import Options, client
from tests.loadtests.by_hand import subscriber
from tests.loadtests.pulling_hand import PullingHand, answer, status

SECOND = 1_000_000_000


def long_polling(after=0, **options):
    hand = PullingHand(client(subscriber("/long-poll/t0", after), Options(**options)))
    hand.connect()
    return hand


def test_the_first_request_is_not_held_so_that_its_answer_can_subscribe():
    hand = long_polling()
    assert hand.asked() == b"/long-poll/t0?after=0&hold=0"
    assert hand.marks == []
    hand.receive(status(204))
    assert [mark.phase for mark in hand.marks] == ["upgraded", "subscribed"]
    assert hand.asked() == b"/long-poll/t0?after=0&hold=25"


@pytest.mark.parametrize(
    ("hold_s", "written"), [(0.25, b"0.25"), (2.0, b"2"), (1e-6, b"0.000001"), (86_400.0, b"86400")]
)
def test_hold_is_written_in_full(hold_s, written):
    hand = long_polling(hold_s=hold_s)
    hand.take()
    hand.receive(status(204))
    assert hand.asked() == b"/long-poll/t0?after=0&hold=" + written


def test_every_answer_is_followed_by_the_next_request_at_once():
    hand = long_polling()
    hand.receive(status(204))
    for seq in (1, 2):
        hand.take()
        hand.at_ns += SECOND
        hand.receive(answer(seq))
        assert hand.asked() == b"/long-poll/t0?after=%d&hold=25" % seq
    hand.at_ns += 25 * SECOND
    hand.receive(status(204))
    assert hand.asked() == b"/long-poll/t0?after=2&hold=25"
    assert hand.seqs() == [1, 2]
    assert [row[2] - row[1] for row in hand.answers] == [0, SECOND, SECOND, 25 * SECOND]


def test_a_gap_is_waited_for():
    hand = long_polling(gap_s=0.5)
    hand.take()
    hand.receive(answer(1))
    assert hand.take() == b""
    assert hand.wake_ns == hand.at_ns + SECOND // 2
    hand.ring()
    assert hand.asked() == b"/long-poll/t0?after=1&hold=25"


def test_without_a_cursor_it_is_live_until_there_is_one():
    hand = long_polling(after=None)
    assert hand.asked() == b"/long-poll/t0?hold=0"
    hand.receive(status(204))
    assert hand.asked() == b"/long-poll/t0?hold=25"
    hand.receive(answer(8))
    assert hand.asked() == b"/long-poll/t0?after=8&hold=25"
    assert hand.answers[-1][4] == 1


def test_without_keep_alive_only_the_first_connection_can_be_asked_promptly():
    hand = long_polling(keep_alive=False)
    assert hand.asked() == b"/long-poll/t0?after=0&hold=0"
    hand.receive(status(204))
    hand.connect()
    assert hand.asked() == b"/long-poll/t0?after=0&hold=25"
    hand.receive(answer(1))
    hand.connect()
    assert hand.asked() == b"/long-poll/t0?after=1&hold=25"
    assert len(hand.marks) == 2  # what a held answer took says nothing about its connection


def test_a_cut_connection_is_resumed_from_the_cursor():
    hand = long_polling()
    hand.receive(answer(1, 2))
    hand.receive(answer(3, 4)[:-5])
    hand.end("Connection reset by peer")
    assert hand.seqs() == [1, 2]
    hand.take()
    hand.ring()
    hand.connect()
    assert hand.asked() == b"/long-poll/t0?after=2&hold=0"
    hand.receive(answer(3, 4))
    assert hand.seqs() == [1, 2, 3, 4]
    assert [row[1] for row in hand.rows] == [0, 0, 1, 1]


def test_one_event_an_answer_is_asked_for_in_every_request():
    hand = long_polling(limit=1)
    assert hand.asked() == b"/long-poll/t0?after=0&hold=0&limit=1"
    hand.receive(status(204))
    assert hand.asked() == b"/long-poll/t0?after=0&hold=25&limit=1"
