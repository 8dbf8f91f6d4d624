"""The STOMP conversation: every command, every mistake, and time that passes when the test says so."""

import pytest

from servers.outlet import Outlet
from servers.stomp_frames import Decoder, Frame
from servers.stomp_session import CONNECT_NS, Carrier, Session
from tests.servers.fakes import Clock, Transport, make_site

HEARTBEAT_S = 10.0


class Case:
    """A session over nothing, connected unless told otherwise."""

    def __init__(self, version: str | None = "1.2", beats: str = "0,0", clock: Clock | None = None, **limits) -> None:
        self.clock = clock or Clock()
        self.site = make_site(self.clock, heartbeat_s=HEARTBEAT_S, **limits)
        self.transport = Transport()
        self.hung_up = 0
        carrier = Carrier(Outlet(self.site, self.transport), "tcp", bytes, self._hang_up)
        self.session = Session(self.site, carrier)
        self.version = version or "1.2"
        self.publish(3)
        if version is not None:
            (answer,) = self.say("CONNECT", **{"accept-version": version, "host": "test", "heart-beat": beats})
            assert answer.command == "CONNECTED"

    def _hang_up(self) -> None:
        self.hung_up += 1

    def publish(self, count: int, topic: str = "own") -> None:
        for number in range(count):
            self.site.feed.publish(topic, f"data {number}")

    def heard(self) -> list[Frame]:
        return list(Decoder(version=self.version).feed(self.transport.take()))

    def say(self, command: str, body: bytes = b"", **headers: str) -> list[Frame]:
        lines = [command, *(f"{name.replace('_', '-')}:{value}" for name, value in headers.items()), "", ""]
        return self.raw("\n".join(lines).encode() + body + b"\0")

    def raw(self, data: bytes) -> list[Frame]:
        self.session.receive(data)
        return self.heard()

    def mistake(self, command: str, body: bytes = b"", **headers: str) -> Frame:
        """Say something wrong; the ERROR that must be the answer."""
        (answer,) = self.say(command, body, receipt="r", **headers)
        assert answer.command == "ERROR"
        assert answer.headers["receipt-id"] == "r"
        assert answer.headers["message"]
        assert self.hung_up == 1
        assert self.say("SEND", b"x", destination="/topic/own", receipt="late") == []
        self.publish(1)
        assert self.heard() == []
        return answer


def seqs(frames: list[Frame]) -> list[str]:
    assert all(frame.command == "MESSAGE" for frame in frames)
    return [frame.headers["message-id"] for frame in frames]


@pytest.mark.parametrize(
    ("offered", "chosen"),
    [
        ("1.2", "1.2"),
        ("1.0,1.1,1.2", "1.2"),
        ("1.1,1.0", "1.1"),
        ("1.0, 1.1", "1.1"),
        ("1.1,2.0", "1.1"),
        ("1.0", "1.0"),
    ],
)
@pytest.mark.parametrize("command", ["CONNECT", "STOMP"])
def test_version(command, offered, chosen):
    (answer,) = Case(None).say(command, accept_version=offered, host="test")
    assert answer.command == "CONNECTED"
    assert answer.headers["version"] == chosen
    assert answer.headers["heart-beat"] == "10000,10000"
    assert answer.headers["session"]


def test_no_version_means_1_0_which_needs_no_host():
    (answer,) = Case(None).say("CONNECT")
    assert answer.headers["version"] == "1.0"


def test_no_version_in_common():
    case = Case(None)
    (answer,) = case.say("CONNECT", accept_version="2.0,3", host="test")
    assert (answer.command, answer.headers["version"]) == ("ERROR", "1.0,1.1,1.2")
    assert case.hung_up == 1


@pytest.mark.parametrize(
    "headers",
    [{"accept_version": "1.2"}, *({"heart_beat": value} for value in ("", "1", "1,", "-1,1", "1,1,1", "a,b"))],
)
def test_connect_that_is_no_connect(headers):
    (answer,) = Case(None).say("CONNECT", **headers)
    assert answer.command == "ERROR"


def test_subscribe_live_and_unsubscribe():
    case = Case()
    (receipt,) = case.say("SUBSCRIBE", id="0", destination="/topic/own", receipt="r1")
    assert receipt == Frame("RECEIPT", {"receipt-id": "r1"})
    case.publish(2)
    frames = case.heard()
    assert seqs(frames) == ["own-4", "own-5"]
    assert {frame.headers["subscription"] for frame in frames} == {"0"}
    assert frames[0].body == case.site.feed.topic("own").since(3)[0].json
    assert case.say("UNSUBSCRIBE", id="0", receipt="r2")[0].headers == {"receipt-id": "r2"}
    case.publish(1)
    assert case.heard() == []


def test_several_subscriptions_of_one_connection():
    case = Case()
    case.publish(1, "other")
    assert case.say("SUBSCRIBE", id="0", destination="/topic/own") == []
    assert case.say("SUBSCRIBE", id="1", destination="/topic/other", after="1") == []
    assert case.say("SUBSCRIBE", id="2", destination="/topic/own") == []
    case.publish(1)
    assert [frame.headers["subscription"] for frame in case.heard()] == ["0", "2"]
    case.publish(1, "other")
    assert [frame.headers["subscription"] for frame in case.heard()] == ["1"]


def test_the_same_subscription_of_two_connections_shares_its_bytes():
    case = Case()
    other = Case()
    other.session._feed = case.site.feed
    for each in (case, other):
        each.say("SUBSCRIBE", id="0", destination="/topic/own")
    case.publish(1)
    assert case.transport.pieces[0] is other.transport.pieces[0]


def test_subscribing_by_destination_in_1_0():
    case = Case("1.0")
    case.say("SUBSCRIBE", destination="/topic/own")
    case.publish(1)
    (frame,) = case.heard()
    assert "subscription" not in frame.headers
    case.say("UNSUBSCRIBE", destination="/topic/own")
    case.publish(1)
    assert case.heard() == []


@pytest.mark.parametrize("after", [4, 10**18])
def test_a_cursor_outside_the_log_is_an_error_with_its_ends(after):
    answer = Case().mistake("SUBSCRIBE", id="0", destination="/topic/own", after=str(after))
    assert (answer.headers["oldest"], answer.headers["newest"]) == ("1", "3")


def test_send_publishes_its_body():
    case = Case()
    case.say("SUBSCRIBE", id="0", destination="/topic/own")
    frames = case.say("SEND", "Grüße".encode(), destination="/topic/own", receipt="r")
    assert [frame.command for frame in frames] == ["MESSAGE", "RECEIPT"]
    assert "Grüße".encode() in frames[0].body
    assert case.say("SEND", b"x", destination="/topic/new") == []
    assert case.site.feed.topic("new").newest == 1


def test_send_in_a_transaction_waits_for_commit():
    case = Case()
    case.say("SUBSCRIBE", id="0", destination="/topic/own")
    case.say("BEGIN", transaction="a")
    for _ in range(2):
        (receipt,) = case.say("SEND", b"x", destination="/topic/own", transaction="a", receipt="r")
        assert receipt.command == "RECEIPT"
    assert seqs(case.say("COMMIT", transaction="a")) == ["own-4", "own-5"]
    case.say("BEGIN", transaction="a")
    case.say("SEND", b"x", destination="/topic/own", transaction="a")
    assert case.say("ABORT", transaction="a") == []
    assert case.site.feed.topic("own").newest == 5


@pytest.mark.parametrize("verb", ["ACK", "NACK"])
@pytest.mark.parametrize(
    ("version", "headers"), [("1.2", {"id": "4/0"}), ("1.1", {"subscription": "0", "message-id": "own-4"})]
)
def test_ack_and_nack(verb, version, headers):
    case = Case(version)
    case.say("SUBSCRIBE", id="0", destination="/topic/own", ack="client-individual")
    case.publish(1)
    (message,) = case.heard()
    assert message.headers.get("ack") == headers.get("id")
    case.say("BEGIN", transaction="a")
    assert case.say(verb, **headers, transaction="a") == []
    case.say("ABORT", transaction="a")
    assert case.say(verb, **headers) == []
    case.mistake(verb, **headers)


def test_ack_client_settles_all_before():
    case = Case()
    case.say("SUBSCRIBE", id="0", destination="/topic/own", ack="client")
    case.publish(3)
    case.heard()
    assert case.say("ACK", id="5/0") == []
    assert case.say("ACK", id="6/0") == []
    case.mistake("ACK", id="4/0")


def test_disconnect_with_a_receipt_then_silence():
    case = Case()
    case.say("SUBSCRIBE", id="0", destination="/topic/own")
    (receipt,) = case.say("DISCONNECT", receipt="77")
    assert receipt == Frame("RECEIPT", {"receipt-id": "77"})
    assert case.hung_up == 1
    case.publish(1)
    assert case.heard() == []


MISTAKES = [
    ("CONNECT", {"accept_version": "1.2", "host": "test"}),
    ("STOMP", {"accept_version": "1.2", "host": "test"}),
    ("MESSAGE", {}),
    ("send", {"destination": "/topic/own"}),
    ("SUBSCRIBE", {"id": "0"}),
    ("SUBSCRIBE", {"destination": "/topic/own"}),
    ("SUBSCRIBE", {"id": "0", "destination": "/topic/unknown"}),
    ("SUBSCRIBE", {"id": "0", "destination": "own"}),
    ("SUBSCRIBE", {"id": "0", "destination": "/topic/own", "ack": "always"}),
    *[
        ("SUBSCRIBE", {"id": "0", "destination": "/topic/own", "after": after})
        for after in ("", "-1", "x", "1.5", "²", "9" * 30)
    ],
    ("UNSUBSCRIBE", {"id": "unknown"}),
    ("UNSUBSCRIBE", {}),
    ("SEND", {}),
    ("SEND", {"destination": "/queue/own"}),
    ("SEND", {"destination": "/topic/bad name"}),
    ("SEND", {"destination": "/topic/t0"}),
    ("SEND", {"destination": "/topic/own", "transaction": "unknown"}),
    ("ACK", {}),
    ("ACK", {"id": "unknown"}),
    ("NACK", {"id": "1/0"}),
    ("BEGIN", {}),
    ("COMMIT", {"transaction": "unknown"}),
    ("ABORT", {"transaction": "unknown"}),
]


@pytest.mark.parametrize(("command", "headers"), MISTAKES)
def test_mistakes(command, headers):
    Case().mistake(command, **headers)


def test_more_mistakes():
    Case().mistake("SEND", b"\xff", destination="/topic/own")
    Case("1.0").mistake("NACK", message_id="own-1")
    case = Case()
    case.say("SUBSCRIBE", id="0", destination="/topic/own")
    case.mistake("SUBSCRIBE", id="0", destination="/topic/own")
    case = Case()
    case.say("BEGIN", transaction="a")
    case.mistake("SEND", b"x", destination="/topic/t0", transaction="a")
    (answer,) = Case(None).say("SEND", b"x", destination="/topic/own", receipt="r")
    assert (answer.command, answer.headers["receipt-id"]) == ("ERROR", "r")
    (answer,) = Case(publish_bytes=10).say("SEND", b"x" * 11, destination="/topic/own")
    assert answer.command == "ERROR"


def test_frames_behind_a_mistake_are_not_looked_at():
    case = Case()
    send = b"SEND\ndestination:/topic/own\n\nx\0"
    case.raw(send + b"WRONG\n\n\0" + send)
    assert case.site.feed.topic("own").newest == 4


def test_bytes_one_by_one_and_heart_beats_between():
    case = Case(None)
    wire = b"\n\nCONNECT\r\naccept-version:1.1,1.2\r\nhost:test\r\n\r\n\0"
    wire += b"\n\nSUBSCRIBE\nid:a\\cb\ndestination:/topic/own\nreceipt:1\n\n\0"
    for byte in wire:
        case.session.receive(bytes([byte]))
    assert [frame.command for frame in case.heard()] == ["CONNECTED", "RECEIPT"]
    case.publish(1)
    assert case.heard()[0].headers["subscription"] == "a:b"


def sweep(case: Case, seconds: float) -> bytes:
    case.session.sweep(case.clock.pass_s(seconds))
    return case.transport.take()


@pytest.mark.parametrize(("wanted_ms", "interval_s"), [(1, HEARTBEAT_S), (10_000, HEARTBEAT_S), (30_000, 30.0)])
def test_our_heart_beats_come_at_the_larger_of_both_wishes(wanted_ms, interval_s):
    case = Case(beats=f"0,{wanted_ms}")
    for _ in range(3):
        assert sweep(case, interval_s * 0.85) == b""
        assert sweep(case, interval_s * 0.1) == b"\n"
    assert not case.session.expects_beats
    sweep(case, interval_s * 100)
    assert case.transport.ended == []


def test_an_event_is_as_good_as_a_heart_beat():
    case = Case(beats="0,1")
    case.say("SUBSCRIBE", id="0", destination="/topic/own")
    sweep(case, HEARTBEAT_S * 0.8)
    case.publish(1)
    case.transport.take()
    assert sweep(case, HEARTBEAT_S * 0.8) == b""
    assert sweep(case, HEARTBEAT_S * 0.2) == b"\n"


@pytest.mark.parametrize(("promised_ms", "interval_s"), [(1, HEARTBEAT_S), (30_000, 30.0)])
def test_a_peer_that_breaks_its_promise_is_cut_off_with_a_margin(promised_ms, interval_s):
    case = Case(beats=f"{promised_ms},0")
    assert case.session.expects_beats
    sweep(case, interval_s * 1.9)
    case.raw(b"\n")
    sweep(case, interval_s * 1.9)
    assert case.transport.ended == []
    assert sweep(case, interval_s * 0.2) == b""
    assert case.transport.ended == ["abort"]
    assert case.site.counters.drops == {"heartbeat_timeout": 1}


def test_no_heart_beats_when_one_side_wants_none():
    case = Case(beats="0,0")
    assert sweep(case, HEARTBEAT_S * 1000) == b""
    assert case.transport.ended == []


def test_whoever_never_says_connect_is_cut_off():
    case = Case(None)
    sweep(case, CONNECT_NS / 1e9 - 1)
    assert case.transport.ended == []
    sweep(case, 1)
    assert case.site.counters.drops == {"connect_timeout": 1}
