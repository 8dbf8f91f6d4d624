"""The WebSocket client, driven by hand against the server side of ``websockets``: the other sans-I/O half."""

from __future__ import annotations

import itertools
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from websockets.extensions.permessage_deflate import ServerPerMessageDeflateFactory
from websockets.frames import Opcode
from websockets.server import ServerProtocol

from loadtests.clients.websocket import Options, client
from tests.loadtests.by_hand import Hand, event, subscriber

PLAIN = Options()
SECOND = 1_000_000_000


class Server:
    """The other side: takes what the client sent, gives what it answers."""

    def __init__(self, **options) -> None:
        self.protocol = ServerProtocol(**options)
        self.request = None

    def hear(self, data: bytes) -> list:
        self.protocol.receive_data(data)
        return self.protocol.events_received()

    def say(self) -> bytes:
        return b"".join(self.protocol.data_to_send())

    def accept(self, data: bytes) -> bytes:
        (self.request,) = self.hear(data)
        self.protocol.send_response(self.protocol.accept(self.request))
        return self.say()


def opened(options=PLAIN, after=0, server=None):
    hand, server = Hand(client(subscriber("/ws/t0", after), options)), server or Server()
    hand.connect()
    hand.receive(server.accept(hand.take()))
    return hand, server


def send(server, *seqs) -> bytes:
    for seq in seqs:
        server.protocol.send_text(event(seq))
    return server.say()


def test_the_handshake_names_the_cursor_and_marks_both_phases_at_once():
    hand, server = opened(after=41)
    assert server.request.path == "/ws/t0?after=41"
    assert server.request.headers["Host"] == "127.0.0.1:8080"
    assert "Sec-WebSocket-Extensions" not in server.request.headers
    assert [(mark.phase, mark.at_ns, mark.extensions) for mark in hand.marks] == [
        ("upgraded", 1_000, ""),
        ("subscribed", 1_000, ""),
    ]


def test_live_only_asks_for_no_cursor():
    _, server = opened(after=None)
    assert server.request.path == "/ws/t0"


def test_a_foreign_path_keeps_its_query():
    hand = Hand(client(subscriber("/push?topic=t0"), PLAIN))
    hand.connect()
    assert hand.take().startswith(b"GET /push?topic=t0&after=0 HTTP/1.1\r\n")


@pytest.mark.parametrize("cut", ["whole", "bytes", "with the handshake"])
def test_events_become_rows_however_they_are_cut(cut):
    hand, server = Hand(client(subscriber("/ws/t0"), PLAIN)), Server()
    hand.connect()
    answer = server.accept(hand.take())
    stream = send(server, 1, 2, 3)
    if cut == "whole":
        hand.receive(answer, stream)
    elif cut == "bytes":
        hand.receive_bytewise(answer + stream)
    else:
        hand.receive(answer + stream)
    assert hand.rows == [(7, 0, 0, seq, 5, 6, 1_000, len(event(seq))) for seq in (1, 2, 3)]


def test_what_is_no_event_is_a_corrupted_delivery():
    hand, server = opened()
    server.protocol.send_text(b'{"topic":"t0"}')
    server.protocol.send_text(event(2).replace(b"12 ", b"13 "))
    server.protocol.send_binary(event(3))
    hand.receive(server.say())
    assert hand.seqs() == [0, 0, 3]


def test_fragments_become_one_event():
    hand, server = opened()
    server.protocol.send_text(event(1)[:50], fin=False)
    server.protocol.send_ping(b"meanwhile")
    server.protocol.send_continuation(event(1)[50:], fin=True)
    hand.receive(server.say())
    assert hand.seqs() == [1]
    assert hand.beats == 1


def test_a_ping_is_answered_by_its_pong_and_counts_as_a_heartbeat():
    hand, server = opened()
    server.protocol.send_ping(b"are you there?")
    hand.receive(server.say() + send(server, 1))
    (pong,) = server.hear(hand.take())
    assert (pong.opcode, pong.data) == (Opcode.PONG, b"are you there?")
    assert (hand.beats, hand.seqs()) == (1, [1])


DEFLATES = list(itertools.product([False, True], [False, True], [0, 9, 12, 15], [0, 9, 15]))


@pytest.mark.parametrize(("server_afresh", "client_afresh", "server_bits", "client_bits"), DEFLATES)
def test_deflate_with_every_offer_and_every_answer(server_afresh, client_afresh, server_bits, client_bits):
    options = Options(
        compression=True,
        server_no_context_takeover=server_afresh,
        client_no_context_takeover=client_afresh,
        server_max_window_bits=server_bits,
        client_max_window_bits=client_bits,
    )
    for afresh, window in itertools.product([False, True], [None, 9, 15]):
        factory = ServerPerMessageDeflateFactory(
            server_no_context_takeover=afresh,
            server_max_window_bits=window,
            client_max_window_bits=window if client_bits else None,
        )
        hand, server = opened(options, server=Server(extensions=[factory]))
        (extension,) = server.protocol.extensions
        stream = send(server, *range(1, 30))
        assert len(stream) < 29 * len(event(1))
        hand.receive(*(stream[i : i + 100] for i in range(0, len(stream), 100)))
        assert hand.seqs() == list(range(1, 30))
        assert hand.marks[0].extensions.startswith("permessage-deflate")
        assert ("server_no_context_takeover" in hand.marks[0].extensions) == extension.local_no_context_takeover


def test_an_answer_of_eight_client_window_bits_is_fine_because_we_never_compress():
    options = Options(compression=True, client_max_window_bits=15)
    hand, server = Hand(client(subscriber("/ws/t0"), options)), Server(extensions=[ServerPerMessageDeflateFactory()])
    hand.connect()
    answer = server.accept(hand.take())
    assert b"client_max_window_bits=15" in answer
    hand.receive(answer.replace(b"client_max_window_bits=15", b"client_max_window_bits=8"), send(server, 1))
    assert hand.seqs() == [1]


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ((b"101 Switching Protocols", b"404 Not Found"), "answered HTTP/1.1 404 Not Found"),
        ((b"HTTP/1.1 101", b"HTTP/1.0 101"), "answered HTTP/1.0 101"),
        ((b"Sec-WebSocket-Accept: ", b"Sec-WebSocket-Accept: x"), "Sec-WebSocket-Accept"),
        ((b"Upgrade: websocket", b"Upgrade: soap"), "Upgrade"),
        ((b"\r\n\r\n", b"\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n"), "extensions"),
        ((b"\r\n\r\n", b"\r\nSec-WebSocket-Protocol: v12.stomp\r\n\r\n"), "subprotocols"),
        ((b"\r\n\r\n", b"\r\nno header at all\r\n\r\n"), "upgrade"),
        ((b"Date", b"Date: x\r\n" + b"a" * 70_000), "answer to the upgrade of over 64 KiB"),
    ],
)
def test_a_wrong_answer_to_the_upgrade_fails_the_connection(change, complaint):
    hand, server = Hand(client(subscriber("/ws/t0"), PLAIN)), Server()
    hand.connect()
    hand.receive_bytewise(server.accept(hand.take()).replace(*change))
    (close,) = hand.closes
    assert complaint in close.why
    assert close.failed
    assert not hand.marks


def test_a_mistake_is_answered_by_1002_and_followed_by_a_new_connection_that_resumes():
    hand, server = opened()
    hand.receive(send(server, 1, 2))
    hand.receive(b"\x81\x81")
    server.hear(hand.take())
    assert server.protocol.close_rcvd.code == 1002
    (close,) = hand.closes
    assert close.failed
    assert "masked frame from the server" in close.why
    assert 1_000 < hand.wake_ns < 1_000 + SECOND // 2
    hand.ring()
    hand.connect()
    assert hand.connects == 2
    assert hand.take().startswith(b"GET /ws/t0?after=2 ")


@pytest.mark.parametrize(
    ("code", "reason", "failed", "after"),
    [
        (1000, "", False, 2),
        (1001, "going away", False, 2),
        (1012, "restart", False, 2),
        (1011, "oops", True, 2),
        (4410, '{"oldest":5,"newest":9}', True, 4),
        (4410, "oldest=5 newest=9", True, 4),
        (4410, "gone", True, 2),
    ],
)
def test_the_servers_close_is_echoed_reported_and_resumed_from(code, reason, failed, after):
    hand, server = opened()
    stream = send(server, 1, 2)
    server.protocol.send_close(code, reason)
    hand.receive(stream + server.say())
    server.hear(hand.take())
    assert server.protocol.close_rcvd.code == code
    assert server.protocol.close_rcvd_then_sent is False
    (close,) = hand.closes
    assert (close.why, close.failed) == (f"close {code} {reason}".rstrip(), failed)
    assert hand.seqs() == [1, 2]
    if hand.wake_ns:
        hand.ring()
    hand.connect()
    assert hand.take().startswith(f"GET /ws/t0?after={after} ".encode())


def test_a_refused_cursor_that_could_be_moved_is_tried_again_at_once():
    for reason, at_once in (("oldest=5 newest=9", True), ("gone", False)):
        hand, server = opened()
        server.protocol.send_close(4410, reason)
        hand.receive(server.say())
        assert hand.connects == (2 if at_once else 1)
        assert bool(hand.wake_ns) is not at_once


def test_a_close_without_a_code_is_echoed_by_1000():
    hand, server = opened()
    hand.receive(b"\x88\x00")
    server.hear(hand.take())
    assert server.protocol.close_rcvd.code == 1000
    assert hand.closes[0].failed


@pytest.mark.parametrize("error", ["", "ECONNRESET"])
def test_an_end_without_a_close_frame_is_a_loss(error):
    hand, server = opened()
    hand.receive(send(server, 1), send(server, 2).replace(b"12 ", b"13 "))  # the second is corrupted: asked for again
    hand.end(error)
    hand.ring()
    hand.connect()
    assert hand.take().startswith(b"GET /ws/t0?after=1 ")
    assert hand.closes[0].failed == (not error)  # a driver has counted its own errors


def test_stop_says_goodbye_and_waits_for_the_echo():
    hand, server = opened()
    hand.stop()
    late = send(server, 1)
    server.hear(hand.take())
    assert server.protocol.close_rcvd.code == 1000
    hand.receive(late)
    assert not hand.ended
    hand.receive(server.say())
    assert hand.ended
    assert hand.seqs() == [1]
    assert hand.take() == b""


@pytest.mark.parametrize("error", ["", "ECONNRESET"])
def test_stop_is_done_when_the_server_just_leaves(error):
    hand, _ = opened()
    hand.stop()
    hand.end(error)
    assert hand.ended


def test_stop_during_the_handshake_is_done_at_once():
    hand = Hand(client(subscriber("/ws/t0"), PLAIN))
    hand.connect()
    hand.stop()
    assert hand.ended


def test_our_pings_are_sent_on_time_and_silence_is_a_loss():
    hand, server = opened(Options(ping_interval_s=2.0))
    hand.receive(send(server, 1))
    assert hand.wake_ns == 1_000 + 2 * SECOND
    for beat in (2, 4):
        hand.ring()
        (ping,) = server.hear(hand.take())
        assert ping.opcode is Opcode.PING
        assert hand.wake_ns == 1_000 + (beat + 2) * SECOND
        hand.receive(server.say())
    hand.ring()
    hand.ring()
    assert [(close.why, close.failed) for close in hand.closes] == [("silent for 2.0 s after a ping", True)]


def test_no_ping_follows_our_close_frame():
    hand, _ = opened(Options(ping_interval_s=2.0))
    assert hand.wake_ns
    hand.stop()
    assert not hand.wake_ns


def test_the_same_seed_masks_alike():
    def goodbye():
        hand, _ = opened()
        hand.stop()
        return hand.take()

    assert goodbye() == goodbye()


@settings(max_examples=50)
@given(st.binary(max_size=60), st.booleans())
def test_garbage_never_raises_and_never_ends_a_subscriber(garbage, compression):
    factory = ServerPerMessageDeflateFactory()
    hand, _ = opened(Options(compression=compression), server=Server(extensions=[factory] if compression else None))
    hand.receive(garbage)
    assert not hand.ended


@settings(max_examples=30)
@given(st.randoms(use_true_random=False))
def test_the_cut_changes_nothing(rng: random.Random):
    def run(cut):
        hand, server = opened()
        stream = b""
        for seq in range(1, 8):
            stream += send(server, seq)
            if seq % 3 == 0:
                server.protocol.send_ping(b"x")
                stream += server.say()
        cuts = sorted(rng.sample(range(len(stream)), 5)) if cut else []
        hand.receive(*(stream[a:b] for a, b in itertools.pairwise((0, *cuts, len(stream)))))
        return hand.rows, hand.beats, hand.take()

    assert run(cut=True) == run(cut=False)
