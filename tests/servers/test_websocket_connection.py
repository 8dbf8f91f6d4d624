"""One WebSocket after its handshake, with a clock and a transport of the test's own."""

import asyncio

import pytest

from servers.websocket_connection import CLOSE_NS, PONG_NS, TURN_NS, Connection
from servers.websocket_deflate import Settings, negotiate
from servers.websocket_frames import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    Message,
    encode,
    encode_close,
)
from tests.servers.fakes import Clock, Transport, make_site
from tests.servers.test_websocket_deflate import offer
from tests.servers.test_websocket_frames import masked

HEARTBEAT_S = 15.0
REQUEST_S = 10.0


class Case:
    """A connection with everything around it in reach."""

    def __init__(self, *parameters: str, deflate: bool = False, half: bool = True, **settings) -> None:
        self.clock = Clock()
        self.transport = Transport(half=half)
        self.site = make_site(self.clock, heartbeat_s=HEARTBEAT_S, request_s=REQUEST_S)
        self.settings = Settings(**settings)
        agreement = negotiate([offer(*parameters)], self.settings) if deflate else None
        self.connection = Connection(self.site, self.transport, agreement, self.settings, 1000)
        self.messages: list[Message] = []
        self.closings = 0
        self.connection.on_message = self.messages.append
        self.connection.on_closing = self._closing

    def _closing(self) -> None:
        self.closings += 1

    def receive(self, data: bytes) -> bytes:
        self.connection.receive(data)
        return self.transport.take()

    def drops(self) -> dict[str, int]:
        return dict(self.site.counters.drops)

    def sweep(self, seconds: float) -> bytes:
        self.connection.sweep(self.clock.pass_s(seconds))
        return self.transport.take()


@pytest.fixture(autouse=True)
def loop(monkeypatch):
    """A connection makes a future, which wants a loop, which never runs here."""
    loop = asyncio.new_event_loop()
    monkeypatch.setattr(asyncio, "get_running_loop", lambda: loop)
    yield loop
    loop.close()


def test_messages_in_and_out():
    case = Case()
    assert case.receive(masked(TEXT, b"hi") + masked(BINARY, b"ho")) == b""
    assert case.messages == [Message(b"hi", text=True), Message(b"ho", text=False)]
    for message in case.messages:
        case.connection.send(message)
    assert case.transport.written == encode(TEXT, b"hi") + encode(BINARY, b"ho")


def test_a_ping_is_answered_with_its_payload_and_a_pong_with_nothing():
    case = Case()
    assert case.receive(masked(PING, b"payload")) == encode(PONG, b"payload")
    assert case.receive(masked(PONG, b"unasked")) == b""


@pytest.mark.parametrize("payload", [b"", b"\x03\xe8", b"\x0f\xa0bye"])
def test_a_close_is_echoed_and_the_connection_closed(payload):
    case = Case()
    assert case.receive(masked(CLOSE, payload)) == encode(CLOSE, payload[:2])
    assert case.transport.ended == ["close"]
    assert case.closings == 1
    case.connection.send(Message(b"late", text=True))
    assert case.transport.take() == b""


def test_our_close_waits_for_theirs():
    case = Case()
    case.connection.close(1001, "bye")
    case.connection.close(1000, "again")
    assert case.transport.take() == encode_close(1001, "bye")
    assert case.closings == 1
    assert case.receive(masked(TEXT, b"still talking") + masked(PING, b"?")) == b""
    assert case.messages == []
    assert case.transport.ended == []
    assert case.receive(masked(CLOSE, b"\x03\xe9")) == b""
    assert case.transport.ended == ["close"]


@pytest.mark.parametrize(("half", "ended"), [(True, "eof"), (False, "close")])
def test_a_mistake_is_answered_with_its_code_and_nothing_is_heard_after_it(half, ended):
    case = Case(half=half)
    answer = case.receive(masked(TEXT, b"good") + masked(TEXT, b"\xff"))
    assert (answer[0], answer[2:4]) == (0x88, (1007).to_bytes(2, "big"))
    assert case.messages == [Message(b"good", text=True)]
    assert case.transport.ended == [ended]
    assert case.receive(masked(TEXT, b"more")) == b""
    assert case.messages == [Message(b"good", text=True)]


def test_the_code_of_a_mistake():
    for data, code, reason in (
        (encode(TEXT, b"unmasked"), 1002, "protocol_error"),
        (masked(TEXT, b"\xff"), 1007, "invalid_data"),
        (masked(TEXT, b"x" * 1001), 1009, "message_too_big"),
    ):
        case = Case()
        assert case.receive(data)[2:4] == code.to_bytes(2, "big")
        assert case.drops() == {reason: 1}


def test_a_mistake_behind_our_close_is_not_counted():
    case = Case()
    case.connection.close(1001)
    case.receive(encode(TEXT, b"unmasked"))
    assert case.drops() == {}


# What a message that never ends may look like: its beginning, and what is dripped.
ENDLESS = {
    "nothing behind half a head": (masked(TEXT, b"x")[:1], b""),
    "a payload byte by byte": (masked(BINARY, b"x" * 900)[:8], b"x"),
    "empty fragments": (masked(TEXT, b"", fin=False), masked(CONTINUATION, b"", fin=False)),
    "pings between fragments": (masked(TEXT, b"", fin=False), masked(PING, b"")),
    "half a ping": (masked(PING, b"ping")[:7], b""),
}


@pytest.mark.parametrize(("begin", "drip"), ENDLESS.values(), ids=ENDLESS)
def test_a_message_that_does_not_end_in_time_ends_the_connection(begin, drip):
    case = Case()
    case.receive(begin)
    for _ in range(9):
        case.sweep(REQUEST_S / 10)
        case.receive(drip)
    assert case.transport.ended == []
    case.sweep(REQUEST_S / 10 - 0.001)
    assert case.drops() == {}
    answer = case.sweep(0.001)
    assert (answer[0], answer[2:4]) == (0x88, (1008).to_bytes(2, "big"))
    assert case.transport.ended == ["eof"]
    assert case.drops() == {"request_timeout": 1}


def test_whole_messages_may_go_on_for_ever_however_they_are_cut():
    case = Case()
    wire = masked(TEXT, b"whole") + masked(PING, b"?") + masked(TEXT, b"mess", fin=False) + masked(CONTINUATION, b"age")
    stream = wire * 40
    for start in range(0, len(stream), 25):  # never at the end of a message
        case.receive(stream[start : start + 25])
        case.sweep(REQUEST_S / 2)
    assert case.messages[0] == Message(b"whole", text=True)
    assert case.transport.ended == []


def one_round(loop):
    loop.call_soon(loop.stop)
    loop.run_forever()


@pytest.mark.parametrize("frame", [masked(TEXT, b"x"), masked(PING, b""), masked(CONTINUATION, b"", fin=False)])
def test_a_flood_has_its_turn_and_no_more(loop, frame):
    case = Case()
    case.receive(masked(TEXT, b"", fin=frame[0] & 0xF != CONTINUATION))
    seen = []
    tick = case.clock.now_ns

    def slow_clock():  # each look at it takes a tenth of a turn
        nonlocal tick
        tick += TURN_NS // 10
        seen.append(tick)
        return tick

    case.connection._clock = slow_clock
    case.receive(frame * 35)
    rounds = 0
    while not case.transport.reading:
        assert len(seen) <= 12, "more frames in one turn than its time allows"
        seen.clear()
        one_round(loop)
        rounds += 1
    assert rounds == 3
    assert case.transport.ended == []


def test_an_owner_who_is_busy_gets_nothing_until_it_goes_on(loop):
    case = Case()

    def take(message):
        case.messages.append(message)
        case.connection.hold()

    case.connection.on_message = take
    case.receive(masked(TEXT, b"one") + masked(TEXT, b"two") + masked(PING, b"ping"))
    one_round(loop)
    assert [message.data for message in case.messages] == [b"one"]
    assert not case.transport.reading
    case.connection.go_on()
    one_round(loop)
    assert [message.data for message in case.messages] == [b"one", b"two"]
    assert case.transport.take() == b""
    case.connection.go_on()
    one_round(loop)
    assert case.transport.take() == encode(PONG, b"ping")
    assert case.transport.reading


def test_who_was_held_behind_its_last_message_owes_nothing(loop):
    case = Case()
    case.connection.on_message = lambda _: case.connection.hold()
    case.receive(masked(TEXT, b"whole"))
    case.connection.go_on()
    one_round(loop)
    case.sweep(REQUEST_S)
    assert case.drops() == {}


def test_a_connection_that_was_lost_in_its_turn_is_not_read_on(loop):
    case = Case()
    case.connection.on_message = lambda _: case.clock.pass_s(1)
    case.receive(masked(TEXT, b"slow") + masked(PING, b"never answered"))
    assert not case.transport.reading
    case.connection.lost.cancel()
    one_round(loop)
    assert case.transport.written == b""


def test_a_refusal_of_the_owners_is_counted_by_its_reason():
    case = Case()
    case.connection.close(1003, "binary", "unsupported_data")
    assert case.drops() == {"unsupported_data": 1}


def test_whoever_lets_a_close_wait_is_cut_off():
    case = Case()
    case.connection.close()
    case.sweep(CLOSE_NS / 1e9 - 1)
    assert case.transport.ended == []
    case.sweep(1)
    assert case.transport.ended == ["abort"]
    assert case.site.counters.drops == {"close_timeout": 1}


def test_the_silent_are_pinged_once_and_then_cut_off():
    case = Case()
    assert case.sweep(HEARTBEAT_S - 1) == b""
    assert case.sweep(1) == encode(PING, b"")
    patience_s = max(PONG_NS / 1e9, HEARTBEAT_S)
    assert case.sweep(patience_s - 1) == b""
    assert case.transport.ended == []
    case.sweep(1)
    assert case.transport.ended == ["abort"]
    assert case.site.counters.drops == {"ping_timeout": 1}


def test_any_sign_of_life_is_an_answer():
    case = Case()
    assert case.sweep(HEARTBEAT_S) == encode(PING, b"")
    case.receive(masked(PONG, b"")[:1])  # even a piece of one
    case.receive(masked(PONG, b"")[1:])
    assert case.sweep(HEARTBEAT_S - 1) == b""
    assert case.sweep(1) == encode(PING, b"")


def test_no_pings_where_the_owner_has_heartbeats_of_its_own():
    case = Case()
    case.connection.sweep(case.clock.pass_s(HEARTBEAT_S * 3), pings=False)
    assert case.transport.written == b""


def test_small_messages_are_left_as_they_are():
    case = Case(deflate=True, min_bytes=10)
    assert case.connection.frame(b"x" * 9) == encode(TEXT, b"x" * 9)
    assert case.connection.frame(b"x" * 10)[0] == 0xC1


def test_forms_are_equal_when_frames_are():
    plain, other = Case().connection, Case().connection
    assert plain.form == other.form
    forget = [Case("server_no_context_takeover", deflate=True).connection for _ in range(2)]
    assert forget[0].form == forget[1].form != plain.form
    assert forget[0].frame(b"x" * 99) == forget[1].frame(b"x" * 99)
    narrow = Case("server_no_context_takeover", "server_max_window_bits=9", deflate=True).connection
    assert narrow.form != forget[0].form
    keep = [Case(deflate=True).connection for _ in range(2)]
    assert keep[0].form != keep[1].form


def test_a_compressed_message_is_heard():
    case = Case(deflate=True)
    case.receive(masked(TEXT, bytes.fromhex("f248cdc9c90700"), rsv=4))
    assert case.messages == [Message(b"Hello", text=True)]
