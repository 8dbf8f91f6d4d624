"""The STOMP client, driven by hand with bytes written from the specification, over TCP and over WebSocket."""

from __future__ import annotations

import itertools
import random
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from websockets.frames import Opcode
from websockets.server import ServerProtocol

from loadtests.clients.stomp import Options, client
from tests.loadtests.by_hand import Hand, event, subscriber

PLAIN = Options()
SECOND = 1_000_000_000
RECEIPT = b"RECEIPT\nreceipt-id:subscribed\n\n\0"
BYE = b"RECEIPT\nreceipt-id:bye\n\n\0"


def connected(version="1.2", heart_beat="0,0") -> bytes:
    return f"CONNECTED\nversion:{version}\nheart-beat:{heart_beat}\n\n\0".encode()


def message(seq: int, extra: str = "", **of_event) -> bytes:
    body = event(seq, **of_event)
    head = f"MESSAGE\nsubscription:0\nmessage-id:t0-{seq}\ndestination:/topic/t0\n{extra}content-length:{len(body)}\n\n"
    return head.encode() + body + b"\0"


def opened(options=PLAIN, after=0):
    """A TCP connection that has sent its CONNECT."""
    hand = Hand(client(subscriber("", after), options))
    hand.connect()
    return hand


def subscribed(options=PLAIN, version="1.2", heart_beat="0,0"):
    hand = opened(options)
    hand.receive(connected(version, heart_beat) + RECEIPT)
    hand.take()
    return hand


def text(payload: bytes, first: int = 0x81) -> bytes:
    """An unmasked frame, as a server sends it."""
    if len(payload) < 126:
        return bytes((first, len(payload))) + payload
    return bytes((first, 126)) + struct.pack("!H", len(payload)) + payload


def upgraded(options=PLAIN):
    """A WebSocket connection that has sent its CONNECT, and the server's half of it."""
    hand, server = Hand(client(subscriber("/stomp"), options)), ServerProtocol(subprotocols=["v12.stomp", "v11.stomp"])
    hand.connect()
    server.receive_data(hand.take())
    (request,) = server.events_received()
    server.send_response(server.accept(request))
    hand.receive(b"".join(server.data_to_send()))
    return hand, server, request


def heard(hand, server) -> list[tuple[Opcode, bytes]]:
    server.receive_data(hand.take())
    return [(frame.opcode, bytes(frame.data)) for frame in server.events_received()]


def test_the_conversation_waits_for_connected_and_for_the_receipt():
    hand = opened(after=41)
    assert hand.take() == b"CONNECT\naccept-version:1.2,1.1,1.0\nhost:127.0.0.1\nheart-beat:0,0\n\n\0"
    hand.receive(connected())
    assert hand.take() == b"SUBSCRIBE\nid:0\ndestination:/topic/t0\nack:auto\nafter:41\nreceipt:subscribed\n\n\0"
    assert not hand.marks
    hand.at_ns += 5
    hand.receive(RECEIPT)
    assert [(mark.phase, mark.at_ns) for mark in hand.marks] == [("subscribed", 1_005)]


def test_pipelined_says_all_at_once():
    hand = opened(Options(pipelined=True))
    connect, subscribe, rest = hand.take().split(b"\0")
    assert connect.startswith(b"CONNECT\n")
    assert subscribe.startswith(b"SUBSCRIBE\n")
    assert rest == b""
    hand.receive(connected() + RECEIPT + message(1))
    assert hand.take() == b""
    assert hand.seqs() == [1]


def test_live_only_sends_no_cursor_and_no_receipt_is_not_awaited():
    hand = opened(Options(receipt=False), after=None)
    hand.take()
    hand.receive(connected())
    assert hand.take() == b"SUBSCRIBE\nid:0\ndestination:/topic/t0\nack:auto\n\n\0"
    assert [mark.phase for mark in hand.marks] == ["subscribed"]


@pytest.mark.parametrize("bytewise", [False, True])
@pytest.mark.parametrize("version", ["1.0", "1.1", "1.2"])
def test_messages_become_rows(version, bytewise):
    hand = opened()
    stream = connected(version) + message(1) + RECEIPT + b"\n" + message(2) + message(3)
    hand.receive_bytewise(stream) if bytewise else hand.receive(stream)
    assert hand.rows == [(7, 0, 0, seq, 5, 6, 1_000, len(event(seq))) for seq in (1, 2, 3)]
    assert hand.beats == 1


def test_what_is_no_event_is_a_corrupted_delivery():
    hand = subscribed()
    hand.receive(message(1), message(2).replace(b"12 ", b"13 "))
    assert hand.seqs() == [1, 0]


@pytest.mark.parametrize("carrier", ["tcp", "websocket"])
@pytest.mark.parametrize("ack", ["client", "client-individual"])
@pytest.mark.parametrize(
    ("version", "acks"),
    [
        ("1.2", [b"ACK\nid:5\\c1\n\n\0", b"ACK\nid:5\\c2\n\n\0"]),
        ("1.1", [b"ACK\nmessage-id:t0-1\nsubscription:0\n\n\0", b"ACK\nmessage-id:t0-2\nsubscription:0\n\n\0"]),
        ("1.0", [b"ACK\nmessage-id:t0-1\n\n\0", b"ACK\nmessage-id:t0-2\n\n\0"]),
    ],
)
def test_every_message_is_acknowledged_as_its_version_wants_it(version, acks, ack, carrier):
    two = [message(seq, f"ack:5\\c{seq}\n" if version == "1.2" else "") for seq in (1, 2)]
    if carrier == "tcp":
        hand = subscribed(Options(ack=ack), version)
        hand.receive(b"".join(two))
        assert hand.take() == b"".join(acks)
    else:
        hand, server, _ = upgraded(Options(ack=ack))
        hand.receive(text(connected(version)))
        assert f"ack:{ack}".encode() in heard(hand, server)[-1][1]
        hand.receive(text(two[0]) + text(two[1]))
        assert heard(hand, server) == [(Opcode.TEXT, frame) for frame in acks]
    assert hand.seqs() == [1, 2]


def test_a_message_is_acknowledged_once():
    hand = subscribed(Options(ack="client"))
    for seq in (1, 2):
        hand.receive(message(seq, f"ack:{seq}\n"))
        assert hand.take() == b"ACK\nid:%d\n\n\0" % seq


def test_no_acknowledgement_follows_disconnect():
    hand = subscribed(Options(ack="client"))
    hand.stop()
    hand.take()
    hand.receive(message(1, "ack:1\n"))
    assert hand.seqs() == [1]
    assert hand.take() == b""


def test_a_message_to_acknowledge_must_say_how():
    hand = subscribed(Options(ack="client"))
    hand.receive(message(1))
    assert "MESSAGE without ack" in hand.closes[0].why


@pytest.mark.parametrize(
    ("send_s", "receive_s", "theirs", "send_ns", "receive_ns"),
    [
        (0.0, 0.0, "10,10", 0, 0),
        (1.0, 1.0, "0,0", 0, 0),
        (1.0, 0.0, "0,2000", 2 * SECOND, 0),  # MAX() of what we can and what they want
        (3.0, 0.0, "0,2000", 3 * SECOND, 0),
        (0.0, 1.0, "500,0", 0, SECOND),
        (0.0, 1.0, "4000,0", 0, 4 * SECOND),
        (10.0, 2.0, "2000,1", 10 * SECOND, 2 * SECOND),
    ],
)
def test_heart_beats_follow_max(send_s, receive_s, theirs, send_ns, receive_ns):
    hand = opened(Options(heart_beat_send_s=send_s, heart_beat_receive_s=receive_s))
    ours = f"heart-beat:{int(send_s * 1000)},{int(receive_s * 1000)}\n".encode()
    assert ours in hand.take()
    hand.receive(connected(heart_beat=theirs))
    due = [1_000 + send_ns * 9 // 10] if send_ns else []
    due += [1_000 + 2 * receive_ns] if receive_ns else []
    assert hand.wake_ns == min(due, default=0)


def test_a_heart_beat_goes_out_a_tenth_before_its_interval_ends():
    hand = subscribed(Options(heart_beat_send_s=1.0), heart_beat="0,1000")
    for beat in (1, 2, 3):
        assert hand.wake_ns == 1_000 + beat * SECOND * 9 // 10
        hand.ring()
        assert hand.take() == b"\n"


def test_silence_of_two_intervals_is_a_loss_and_a_heart_beat_is_none():
    hand = subscribed(Options(heart_beat_receive_s=1.0), heart_beat="1000,0")
    hand.at_ns += SECOND
    hand.receive(b"\n")
    hand.ring()
    assert hand.wake_ns == hand.at_ns + SECOND  # two seconds behind what was heard
    assert not hand.closes
    hand.ring()
    assert hand.closes[0].why == "no heart-beat in 2000 ms"
    assert hand.closes[0].failed
    assert hand.beats == 1


def test_bad_heart_beat_headers_are_mistakes():
    hand = opened()
    hand.receive(connected(heart_beat="often"))
    assert "heart-beat 'often'" in hand.closes[0].why


def test_stop_disconnects_and_waits_for_the_receipt():
    hand = subscribed()
    hand.stop()
    assert hand.take() == b"DISCONNECT\nreceipt:bye\n\n\0"
    hand.receive(message(1))
    assert not hand.ended
    hand.receive(BYE)
    assert hand.ended
    assert hand.seqs() == [1]


@pytest.mark.parametrize("error", ["", "ECONNRESET"])
def test_stop_is_done_when_the_server_just_leaves(error):
    hand = subscribed()
    hand.stop()
    hand.end(error)
    assert hand.ended


def test_stop_before_connected_has_nothing_to_say():
    hand = opened()
    hand.take()
    hand.stop()
    assert hand.ended
    assert hand.take() == b""


@pytest.mark.parametrize(
    ("error", "why", "after"),
    [
        (b"ERROR\nmessage:malformed frame\n\nThe message:\n\0", "ERROR malformed frame", 2),
        (b"ERROR\nmessage:gone\noldest:5\nnewest:9\n\n\0", "ERROR gone", 4),
        (b'ERROR\nmessage:gone\n\n{"oldest": 5, "newest": 9}\0', "ERROR gone", 4),
        (b"ERROR\n\n\0", "ERROR without message", 2),
    ],
)
def test_an_error_ends_the_connection_and_the_next_one_resumes(error, why, after):
    hand = subscribed()
    hand.receive(message(1) + message(2) + error)
    assert [(close.why, close.failed) for close in hand.closes] == [(why, True)]
    assert hand.seqs() == [1, 2]
    if hand.connects == 1:
        hand.ring()
    hand.connect()
    hand.take()
    hand.receive(connected())
    assert f"\nafter:{after}\n".encode() in hand.take()


@pytest.mark.parametrize(
    ("mistake", "complaint"),
    [
        (b"RECEIPT\nreceipt-id:other\n\n\0", "RECEIPT for 'other', expected none"),
        (RECEIPT, "RECEIPT for 'subscribed', expected none"),
        (BYE, "RECEIPT for 'bye'"),
        (b"HTTP/1.1 400 Bad Request\r\n", "command 'HTTP/1.1 400"),
        (message(1).replace(b"topic/t0\n", b"topic/t1\n"), "from '/topic/t1'"),
        (message(1).replace(b"subscription:0", b"subscription:1"), "subscription '1'"),
    ],
)
def test_a_mistake_ends_the_connection_and_not_the_subscriber(mistake, complaint):
    hand = subscribed()
    hand.receive(message(1), message(2) + mistake)
    assert complaint in hand.closes[0].why
    assert hand.closes[0].failed
    assert not hand.ended


def test_no_heart_beat_follows_disconnect():
    hand = subscribed(Options(heart_beat_send_s=1.0), heart_beat="0,1000")
    assert hand.wake_ns
    hand.stop()
    assert not hand.wake_ns


@pytest.mark.parametrize("error", ["", "ECONNRESET"])
def test_an_end_is_a_loss_and_the_next_connection_resumes(error):
    hand = subscribed()
    hand.receive(message(1), message(2).replace(b"12 ", b"13 "))  # the second is corrupted: asked for again
    hand.end(error)
    hand.ring()
    hand.connect()
    hand.receive(connected())
    assert b"\nafter:1\n" in hand.take()


# Over WebSocket ------------------------------------------------------------------------------------------------


def test_every_frame_we_send_is_one_text_message():
    hand, server, request = upgraded(Options(pipelined=True))
    assert request.path == "/stomp"
    assert request.headers["Sec-WebSocket-Protocol"] == "v12.stomp, v11.stomp, v10.stomp"
    connect, subscribe = heard(hand, server)
    assert connect[0] is subscribe[0] is Opcode.TEXT
    assert connect[1].startswith(b"CONNECT\n")
    assert subscribe[1].endswith(b"\0")
    assert [(mark.phase, mark.subprotocol) for mark in hand.marks] == [("upgraded", "v12.stomp")]
    hand.receive(text(connected()) + text(RECEIPT))
    assert [mark.phase for mark in hand.marks] == ["upgraded", "subscribed"]


@pytest.mark.parametrize("first", [0x81, 0x82])
def test_frames_may_be_cut_over_messages_and_share_one(first):
    ascii_text = ',"price":12}'  # a text message may only be cut between characters
    stream = connected() + RECEIPT + message(1, text=ascii_text) + message(2, text=ascii_text) + b"\n"
    for size in (1, 7, 100, 10_000):
        hand, _, _ = upgraded()
        pieces = [stream[i : i + size] for i in range(0, len(stream), size)]
        hand.receive(b"".join(text(piece, first) for piece in pieces))
        assert hand.seqs() == [1, 2]
        assert hand.beats == 1


def test_a_ping_amid_frames_is_answered():
    hand, server, _ = upgraded()
    heard(hand, server)
    whole = connected() + RECEIPT
    hand.receive(text(whole[:20]) + text(b"hi", 0x89) + text(whole[20:]))
    assert heard(hand, server)[0] == (Opcode.PONG, b"hi")
    assert hand.beats == 1
    assert [mark.phase for mark in hand.marks] == ["upgraded", "subscribed"]


def test_stop_says_goodbye_twice():
    hand, server, _ = upgraded()
    hand.receive(text(connected()) + text(RECEIPT))
    heard(hand, server)
    hand.stop()
    assert heard(hand, server) == [(Opcode.TEXT, b"DISCONNECT\nreceipt:bye\n\n\0")]
    hand.receive(text(BYE))
    assert heard(hand, server)[0][0] is Opcode.CLOSE
    assert not hand.ended
    hand.receive(text(b"\x03\xe8", 0x88))
    assert hand.ended
    assert hand.take() == b""


def test_a_server_that_closes_behind_its_error_is_reported_by_the_error():
    hand, server, _ = upgraded()
    hand.receive(text(b"ERROR\nmessage:no\n\n\0") + text(b"\x03\xe8", 0x88))
    assert [(close.why, close.failed) for close in hand.closes] == [("ERROR no", True)]
    assert heard(hand, server)[-1][0] is Opcode.CLOSE


@settings(max_examples=60)
@given(st.binary(max_size=60), st.booleans(), st.booleans())
def test_garbage_never_raises_and_never_ends_a_subscriber(garbage, framed, over_websocket):
    if over_websocket:
        hand, _, _ = upgraded()
        hand.receive(text(connected()) + text(RECEIPT), text(garbage, 0x82) if framed else garbage)
    else:
        hand = subscribed()
        hand.receive(message(1) + garbage if framed else garbage)
    assert not hand.ended


@settings(max_examples=30)
@given(st.randoms(use_true_random=False), st.booleans(), st.sampled_from(["auto", "client"]))
def test_the_cut_changes_nothing(rng: random.Random, over_websocket, ack):
    parts = [connected(), RECEIPT, *(message(seq, f"ack:{seq}\n") for seq in range(1, 6)), b"\n", message(6, "ack:6\n")]

    def run(cut):
        hand = upgraded(Options(ack=ack))[0] if over_websocket else opened(Options(ack=ack))
        stream = b"".join(text(part) if over_websocket else part for part in parts)
        cuts = sorted(rng.sample(range(len(stream)), 6)) if cut else []
        hand.receive(*(stream[a:b] for a, b in itertools.pairwise((0, *cuts, len(stream)))))
        return hand.rows, hand.beats, hand.marks

    assert run(cut=True) == run(cut=False)
