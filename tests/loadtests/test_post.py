"""The publisher by POST, driven by hand: requests, answers, and all that can go wrong between them."""

from __future__ import annotations

import dataclasses

import pytest

from loadtests.clients import Deadline, Patience, Publish
from loadtests.clients.post import client
from tests.loadtests.by_hand import Hand, subscriber

SECOND = 1_000_000_000
ACCEPTED = b'HTTP/1.1 202 Accepted\r\nContent-Length: 10\r\n\r\n{"seq": 7}'
CLOSING = ACCEPTED.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n", 1)


def idle(keep_alive=True, connected=True, **given):
    who = dataclasses.replace(subscriber("/publish/t0"), **given)
    hand = Hand(client(who, keep_alive=keep_alive))
    if connected:
        hand.connect()
    return hand


def publish(hand, number=7, data=b'{"a":1}'):
    hand.give(Publish(hand.at_ns, number, data))


def told(hand):
    return [(one.number, one.status, one.seq) for one in hand.published]


def test_a_request_goes_out_at_once_on_a_connection_that_stands():
    hand = idle()
    assert (hand.connects, hand.take()) == (1, b"")
    publish(hand)
    assert hand.take() == (
        b"POST /publish/t0 HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nUser-Agent: pushbench\r\n"
        b'Content-Type: application/json\r\nContent-Length: 7\r\n\r\n{"a":1}'
    )
    hand.at_ns += 5
    hand.receive(ACCEPTED)
    assert told(hand) == [(7, 202, 7)]
    assert (hand.published[0].at_ns, hand.published[0].size) == (hand.at_ns, len(ACCEPTED))
    assert (hand.closes, hand.deadline.at_ns) == ([], 0)
    publish(hand, 8)
    assert hand.take().startswith(b"POST ")
    assert hand.connects == 1


@pytest.mark.parametrize("cut", range(1, len(ACCEPTED)))
def test_an_answer_may_come_in_pieces(cut):
    hand = idle()
    publish(hand)
    hand.receive(ACCEPTED[:cut], ACCEPTED[cut:])
    assert told(hand) == [(7, 202, 7)]


def test_byte_by_byte():
    hand = idle()
    publish(hand)
    hand.receive_bytewise(ACCEPTED)
    assert told(hand) == [(7, 202, 7)]


def test_a_new_connection_for_every_publish():
    hand = idle(keep_alive=False, connected=False)
    assert hand.connects == 0
    for number in (7, 8):
        publish(hand, number)
        assert hand.take() == b""
        hand.connect()
        assert b"\r\nConnection: close\r\n" in hand.take()
        hand.receive(CLOSING)
    assert hand.connects == 2
    assert [close.why for close in hand.closes] == ["answered", "answered"]
    assert told(hand) == [(7, 202, 7), (8, 202, 7)]


def test_a_publish_while_still_connecting_goes_out_when_connected():
    hand = idle(connected=False)
    publish(hand)
    assert hand.take() == b""
    hand.connect()
    assert hand.take().startswith(b"POST ")


def test_an_idle_connection_that_the_server_closes_is_opened_by_the_next_publish():
    hand = idle()
    hand.end()
    assert (hand.connects, hand.published) == (1, [])
    publish(hand)
    hand.connect()
    assert hand.take().startswith(b"POST ")


def test_an_answer_that_ends_with_the_connection_is_one():
    hand = idle()
    publish(hand)
    hand.receive(b'HTTP/1.1 202 Accepted\r\n\r\n{"seq": 9}')
    assert hand.published == []
    hand.end()
    assert told(hand) == [(7, 202, 9)]


@pytest.mark.parametrize("status", [b"409 Conflict", b"503 Service Unavailable", b"200 OK", b"301 Moved Permanently"])
def test_whatever_is_not_202_is_told_counted_and_closed(status):
    hand = idle()
    publish(hand)
    hand.receive(b"HTTP/1.1 " + status + b"\r\nContent-Length: 0\r\n\r\n")
    assert told(hand) == [(7, int(status[:3]), 0)]
    assert [(close.why, close.failed) for close in hand.closes] == [(f"publish: status {int(status[:3])}", True)]


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (b"HTTP/1.1 202 Accepted\r\nContent-Length: 2\r\n\r\n{}", "expected {"),
        (b"HTTP/1.1 202 Accepted\r\nContent-Length: 12\r\n\r\n" + b'{"seq": "7"}', "expected {"),
        (b"HTTP/1.1 202 Accepted\r\nContent-Length: 11\r\n\r\n" + b'{"seq": -1}', "expected {"),
        (b"HTTP/1.1 202 Accepted\r\nContent-Length: 4\r\n\r\n[[[[", "expected {"),
        (b"SMTP ready\r\n", "no HTTP/1.1 response"),
        (ACCEPTED + ACCEPTED, "none were asked for"),
    ],
)
def test_a_wrong_answer_is_a_failure(answer, why):
    hand = idle()
    publish(hand)
    hand.receive(answer)
    assert told(hand) == [(7, -1, 0)]
    assert why in hand.closes[0].why
    assert hand.closes[0].failed


def test_bytes_that_nobody_asked_for_close_the_connection():
    hand = idle()
    hand.receive(b"HTTP/1.1 408 Request Timeout\r\n\r\n")
    assert hand.closes[0].failed
    assert hand.published == []


@pytest.mark.parametrize("error", ["", "ECONNRESET"])
def test_a_connection_that_breaks_fails_what_was_under_way(error):
    hand = idle()
    publish(hand)
    hand.receive(ACCEPTED[:30]) if error else None
    hand.end(error)
    assert told(hand) == [(7, -1, 0)]
    publish(hand, 8)
    assert hand.connects == 2


def test_an_answer_that_does_not_come_is_given_up():
    hand = idle(patience=Patience(response_s=2.0))
    assert hand.deadline.at_ns == 0, "an idle connection may stand"
    publish(hand)
    assert hand.deadline == Deadline(hand.at_ns + 2 * SECOND, "publish: no answer within 2 s")
    hand.end(hand.deadline.why)
    assert told(hand) == [(7, -1, 0)]


def test_with_no_end_of_patience_it_waits_for_ever():
    hand = idle(patience=Patience(response_s=0.0))
    publish(hand)
    assert hand.deadline.at_ns == 0


def test_the_token_is_shown():
    hand = idle(token="s3cret")
    publish(hand)
    assert b"\r\nAuthorization: Bearer s3cret\r\n" in hand.take()


def test_stop_ends_it():
    hand = idle()
    hand.stop()
    assert hand.ended
