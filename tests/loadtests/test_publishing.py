"""The schedule around a client: due, sent and acknowledged times one knows, losses, and nothing that vanishes."""

from __future__ import annotations

import dataclasses
import json
from itertools import islice

import pytest
from websockets.frames import Opcode
from websockets.server import ServerProtocol

from loadtests.clients import Begin, stomp, websocket
from loadtests.clients import post as posting
from loadtests.clients.offered import dues, texts, write
from loadtests.clients.publishing import Plan, publishing
from tests.loadtests.by_hand import Hand, event, subscriber

SECOND = 1_000_000_000
EPOCH = 10 * SECOND
RATE = 4.0  # a publish each 250 ms
TEXTS = texts(64, 1)
ALONE = Plan("constant", RATE, 64, alone=True)
FRAME = Plan("constant", RATE, 64, alone=False)
RECEIPT = dataclasses.replace(FRAME, receipt=True)


def due(count, index=7):
    return [EPOCH + offset for offset in islice(dues("constant", RATE, 1, index), count)]


def data(seq):
    return write("t0", seq, TEXTS[seq % len(TEXTS)])


def accepted(seq):
    body = json.dumps({"seq": seq}).encode()
    return b"HTTP/1.1 202 Accepted\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)


def by_post(plan=ALONE, keep_alive=True, stop_ns=EPOCH + 2 * SECOND):
    who = subscriber("/publish/t0", after=1)
    hand = Hand(publishing(posting.client(who, keep_alive=keep_alive), who, plan))
    if keep_alive:
        hand.connect()
    hand.give(Begin(hand.at_ns, EPOCH, stop_ns))
    return hand


def by_frame(plan=FRAME, stop_ns=EPOCH + 2 * SECOND, **options):
    who = subscriber("/ws/t0", after=1)
    inner = websocket.client(who, websocket.Options(**options))
    hand, server = Hand(publishing(inner, who, plan)), None
    server = upgrade(hand)
    hand.give(Begin(hand.at_ns, EPOCH, stop_ns))
    return hand, server


def upgrade(hand):
    server = ServerProtocol()
    hand.connect()
    server.receive_data(hand.take())
    (request,) = server.events_received()
    server.send_response(server.accept(request))
    hand.receive(b"".join(server.data_to_send()))
    return server


def heard(hand, server):
    server.receive_data(hand.take())
    return [(frame.opcode, bytes(frame.data)) for frame in server.events_received()]


def echo(hand, server, *seqs):
    for seq in seqs:
        server.send_text(event(seq))
    hand.receive(b"".join(server.data_to_send()))


def by_send(plan=FRAME):
    who = subscriber("", after=1)
    hand = Hand(publishing(stomp.client(who, stomp.Options()), who, plan))
    hand.connect()
    hand.receive(b"CONNECTED\nversion:1.2\n\n\0")
    hand.give(Begin(hand.at_ns, EPOCH, EPOCH + 2 * SECOND))
    return hand


# when, and what is written down of it -----------------------------------------------------------------------------


def test_a_post_goes_out_when_it_is_due_and_its_row_has_all_three_times():
    hand = by_post()
    assert hand.wake_ns == due(1)[0]
    hand.ring()
    request = hand.take()
    assert request.endswith(data(2)), "seq 1 was published before anybody subscribed"
    hand.at_ns += 5
    hand.receive(accepted(2))
    assert hand.publications == [(7, 2, due(1)[0], due(1)[0], due(1)[0] + 5, 202, len(request), len(accepted(2)))]
    assert hand.wake_ns == due(2)[1]


def test_a_frame_goes_out_when_it_is_due_and_nothing_acknowledges_it():
    hand, server = by_frame()
    hand.ring()
    sent = len(hand.sent)
    assert heard(hand, server) == [(Opcode.TEXT, data(2))]
    assert hand.publications == [(7, 2, due(1)[0], due(1)[0], 0, 0, sent, 0)]
    hand.ring()
    assert heard(hand, server) == [(Opcode.TEXT, data(3))]


def test_a_send_is_a_frame_to_our_own_topic():
    hand = by_send()
    hand.receive(b"RECEIPT\nreceipt-id:subscribed\n\n\0")
    hand.take()
    hand.ring()
    sent = hand.take()
    assert sent == b"SEND\ndestination:/topic/t0\ncontent-length:64\n\n" + data(2) + b"\0"
    assert hand.publications == [(7, 2, due(1)[0], due(1)[0], 0, 0, len(sent), 0)]


def test_a_receipt_acknowledges_a_send_and_only_that_one():
    hand = by_send(RECEIPT)
    hand.receive(b"RECEIPT\nreceipt-id:subscribed\n\n\0")
    hand.ring()
    hand.ring()
    assert hand.take().count(b"\nreceipt:published-") == 2
    assert hand.publications == []
    hand.at_ns += 3
    hand.receive(b"RECEIPT\nreceipt-id:published-3\n\n\0")
    assert [(row[1], row[2], row[4]) for row in hand.publications] == [(3, due(2)[1], hand.at_ns)]
    hand.receive(b"RECEIPT\nreceipt-id:published-3\n\n\0")
    assert "expected published-2" in hand.closes[0].why, "twice is once too often"


def test_nobody_publishes_before_the_subscription_stands():
    hand = by_send()
    hand.at_ns = due(3)[2]
    assert hand.wake_ns == 0
    hand.receive(b"RECEIPT\nreceipt-id:subscribed\n\n\0")
    assert [row[2] for row in hand.publications] == due(3), "late ones count from when they were due"
    assert {row[3] for row in hand.publications} == {hand.at_ns}


def test_the_schedule_ends():
    hand, server = by_frame(stop_ns=due(3)[2])
    while hand.wake_ns:
        hand.ring()
    assert [payload for _, payload in heard(hand, server)] == [data(2), data(3)]


def test_deliveries_pass_through_untouched():
    hand, server = by_frame()
    echo(hand, server, 2, 3)
    assert hand.seqs() == [2, 3]


def test_the_clients_own_alarm_shares_the_timer():
    hand, server = by_frame(ping_interval_s=0.4)
    opcodes = []
    for _ in range(35):
        hand.ring()
        opcodes += [opcode for opcode, _ in heard(hand, server)]
        hand.receive(b"".join(server.data_to_send()))  # pongs
    assert opcodes.count(Opcode.PING) >= 2
    assert opcodes.count(Opcode.TEXT) >= 2
    assert not hand.closes


# a sender that is held up ---------------------------------------------------------------------------------------


def test_posts_wait_for_their_turn_and_count_from_when_they_were_due():
    hand = by_post()
    hand.ring()
    hand.take()
    hand.at_ns = due(3)[2] + 7
    assert hand.take() == b"", "one request at a time"
    hand.receive(accepted(2))
    hand.take()
    hand.receive(accepted(3))
    assert [(row[1], row[2], row[3]) for row in hand.publications] == [
        (2, due(1)[0], due(1)[0]),
        (3, due(2)[1], hand.at_ns),
    ]
    assert hand.take().endswith(data(4))


def test_what_was_due_and_never_went_out_is_a_failure_when_all_ends():
    hand = by_post()
    hand.ring()
    hand.at_ns = due(3)[2] + 1
    hand.stop()
    assert hand.ended
    assert [row[1:6] for row in hand.publications] == [
        (0, due(1)[0], due(1)[0], 0, -1),  # under way
        (0, due(2)[1], 0, 0, -1),
        (0, due(3)[2], 0, 0, -1),
    ]


def test_stop_is_followed_by_the_goodbye_of_the_client():
    hand, server = by_frame()
    hand.stop()
    assert [opcode for opcode, _ in heard(hand, server)] == [Opcode.CLOSE]
    hand.receive(b"".join(server.data_to_send()))
    assert hand.ended


# losses ---------------------------------------------------------------------------------------------------------


def test_a_refused_post_has_not_taken_its_seq():
    hand = by_post()
    hand.ring()
    hand.take()
    hand.receive(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n")
    assert hand.publications[0][1:6] == (0, due(1)[0], due(1)[0], 0, 503)
    hand.ring()
    hand.connect()
    assert hand.take().endswith(data(2))


def test_the_answer_says_which_seq_it_was():
    hand = by_post()
    hand.ring()
    hand.take()
    hand.receive(accepted(5))
    assert hand.publications[0][1] == 5
    hand.ring()
    assert hand.take().endswith(data(6))


def test_what_no_receipt_came_for_has_failed_with_its_connection():
    hand = by_send(RECEIPT)
    hand.receive(b"RECEIPT\nreceipt-id:subscribed\n\n\0")
    hand.ring()
    hand.end()
    assert [row[1:6] for row in hand.publications] == [(0, due(1)[0], due(1)[0], 0, -1)]


@pytest.mark.parametrize(("replayed", "expected"), [([], 2), ([2], 3), ([2, 3], 4)])
def test_after_a_loss_the_replay_says_what_has_arrived(replayed, expected):
    hand, server = by_frame()
    hand.ring()
    hand.ring()  # 2 and 3 are on the wire; which of them has the server?
    hand.take()
    hand.end()
    hand.ring()  # the pause before reconnecting
    server = upgrade(hand)
    stood_ns = hand.at_ns
    echo(hand, server, *replayed)
    while not (said := heard(hand, server)):
        hand.ring()
    assert said[0] == (Opcode.TEXT, data(expected))
    assert hand.at_ns <= max(due(20)[6], stood_ns + SECOND // 4)


def test_no_doubt_no_wait():
    hand, server = by_frame()
    hand.ring()
    echo(hand, server, 2)
    hand.end()
    hand.take()
    hand.ring()
    hand.at_ns = due(9)[5]
    server = upgrade(hand)
    texts_out = [payload for opcode, payload in heard(hand, server) if opcode == Opcode.TEXT]
    assert texts_out[0] == data(3)


def test_a_receipt_that_comes_during_the_farewell_is_no_second_row():
    hand = by_send(RECEIPT)
    hand.receive(b"RECEIPT\nreceipt-id:subscribed\n\n\0")
    hand.ring()
    hand.stop()
    assert [row[5] for row in hand.publications] == [-1]
    hand.receive(b"RECEIPT\nreceipt-id:published-2\n\n\0RECEIPT\nreceipt-id:bye\n\n\0")
    assert hand.ended
    assert len(hand.publications) == 1
