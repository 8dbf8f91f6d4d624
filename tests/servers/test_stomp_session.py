"""The STOMP conversation: every command, every mistake, and time that passes when the test says so."""

import asyncio
import dataclasses

import pytest

from servers.feed import FeedError, StartedError
from servers.outlet import REPLAY_EVENTS
from servers.stomp_frames import Frame
from servers.stomp_session import _REASON
from tests.servers.stomp_case import Case, seqs


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
    assert case.hung_up == ["protocol_error"]


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
    assert case.hung_up == [""]
    assert case.site.counters.drops == {}
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


def test_every_refusal_of_the_feed_has_a_name():
    assert set(_REASON) | {StartedError} == set(FeedError.__subclasses__())


LOGIN = ("user", "päss:code")


@pytest.mark.parametrize("version", ["1.0", "1.1", "1.2"])
def test_with_a_login_it_has_to_be_known(version):
    case = Case(None, login=LOGIN)
    (answer,) = case.say("CONNECT", accept_version=version, host="h", login="user", passcode="päss:code")
    assert answer.command == "CONNECTED"


@pytest.mark.parametrize(
    "headers",
    [{}, {"login": "user"}, {"passcode": "päss:code"}, {"login": "user", "passcode": "pass"}, {"login": "päss:code"},
     {"login": "User", "passcode": "päss:code"}],
)  # fmt: skip
def test_without_it_nobody_comes_in(headers):
    case = Case(None, login=LOGIN)
    answer = case.over(case.say("CONNECT", accept_version="1.2", host="h", receipt="r", **headers), "unauthorized", "r")
    assert "päss" not in answer.body.decode()
    assert not case.session.connected


def test_1_0_may_pad_its_login():
    (answer,) = Case(None, login=LOGIN).raw("CONNECT\nlogin: user\npasscode:päss:code\n\n\0".encode())
    assert answer.command == "CONNECTED"
    (answer,) = Case(None, login=LOGIN).raw(
        "CONNECT\naccept-version:1.2\nhost:h\nlogin: user\npasscode:päss:code\n\n\0".encode()
    )
    assert answer.command == "ERROR"


def test_subscriptions_are_bounded():
    case = Case(subscriptions=2)
    for identity in ("0", "1"):
        assert case.say("SUBSCRIBE", id=identity, destination="/topic/own") == []
    case.say("UNSUBSCRIBE", id="1")
    case.say("SUBSCRIBE", id="2", destination="/topic/own")
    case.over(case.say("SUBSCRIBE", id="3", destination="/topic/own"), "too_many_subscriptions")


def test_topics_of_a_transaction_are_all_there_or_none(monkeypatch):
    case = Case()
    limited = dataclasses.replace(case.site.feed.settings, published_topics=3)
    case.site.feed.settings = limited  # one is in use
    case.say("BEGIN", transaction="t")
    for topic in ("a", "b", "a", "own", "c"):
        assert case.say("SEND", b"x", destination=f"/topic/{topic}", transaction="t") == []
    case.over(case.say("COMMIT", transaction="t"), "too_many_topics")
    assert set(case.site.feed.topics) == {"t0", "own"}


def test_headers_of_a_publisher_reach_subscribers_of_every_version_and_the_replay():
    case = Case()
    case.say("SEND", b"x", destination="/topic/own", **{"a\\cb": "c\\nd"})
    for version, name, value in (("1.2", "a:b", "c\nd"), ("1.1", "a:b", "c\nd"), ("1.0", "a", "b:c d")):
        other = Case(version)
        other.session._feed = case.site.feed
        other.say("SUBSCRIBE", id="0", destination="/topic/own")
        case.say("SEND", b"x", destination="/topic/own", **{"a\\cb": "c\\nd"})
        (frame,) = other.heard()
        assert frame.headers[name] == value
    assert case.site.feed.topic("own").latest().headers == (("a:b", "c\nd"),)


def test_a_replay_that_the_log_overtakes_ends_in_an_error():
    async def test():
        case = Case(log_events=2 * REPLAY_EVENTS)
        case.publish(2 * REPLAY_EVENTS - 3)
        case.say("SUBSCRIBE", id="0", destination="/topic/own", after="0")
        case.transport.queued = case.site.limits.queue_bytes  # it does not read
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert len(case.heard()) == REPLAY_EVENTS
        case.publish(2 * REPLAY_EVENTS)
        case.transport.queued = 0
        while not case.hung_up:  # noqa: ASYNC110 - the outlet looks again after a few ms
            await asyncio.sleep(0.001)
        answer = case.over(case.heard(), "overtaken")
        assert int(answer.headers["oldest"]) > REPLAY_EVENTS + 1

    asyncio.run(asyncio.wait_for(test(), 5))
