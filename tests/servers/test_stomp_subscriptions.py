"""MESSAGE frames, ledgers, and the acknowledgements of each version."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from servers.feed import Event, Topic
from servers.outlet import Outlet
from servers.stomp_frames import V10, V11, V12, Decoder, Frame, ProtocolError
from servers.stomp_subscriptions import (
    OWN_HEADERS,
    Ledger,
    Settling,
    Subscribed,
    message_encoder,
    read_ack,
    required_name,
    topic_of,
    user_headers,
)
from servers.subscription import Subscription
from tests.servers.fakes import Clock, Transport, make_site

EVENT = Event("own", 17, 1, 2, '{"data": "ü"}'.encode())


def message(identity, version, *, ack):
    data = message_encoder("own", identity, version, ack=ack)(EVENT)
    frames = list(Decoder(version=version).feed(data))
    assert len(frames) == 1
    assert frames[0].command == "MESSAGE"
    assert frames[0].body == EVENT.json
    return dict(frames[0].headers)


COMMON = {
    "destination": "/topic/own",
    "content-type": "application/json",
    "message-id": "own-17",
    "content-length": str(len(EVENT.json)),
}


@pytest.mark.parametrize(
    ("identity", "version", "ack", "more"),
    [
        ("0", V12, False, {"subscription": "0"}),
        ("a:b", V12, True, {"subscription": "a:b", "ack": "17/a:b"}),
        ("a:b", V11, True, {"subscription": "a:b"}),
        ("a", V10, True, {"subscription": "a"}),
        (None, V10, False, {}),
    ],
)
def test_message(identity, version, ack, more):
    assert message(identity, version, ack=ack) == COMMON | more


def topic_with(published: int, log_events: int = 100) -> Topic:
    site = make_site(Clock(), log_events=log_events)
    for _ in range(published):
        site.feed.publish("own", "data")
    return site.feed.topic("own")


TWENTY = topic_with(20)


def test_a_ledger_settles_one_by_one():
    ledger = Ledger(TWENTY, 10, cumulative=False)
    for seq in (13, 15, 11):
        ledger.check(seq)
        ledger.settle(seq)
    assert ledger.floor == 11
    ledger.settle(12)
    assert ledger.floor == 13
    for seq in (0, 10, 12, 13, 15, 21, 10**18):
        with pytest.raises(ProtocolError, match="not waiting, expected one past 13 and up to 20"):
            ledger.check(seq)
    ledger.settle(13)  # twice, in a transaction that two ACKs of a message are in
    assert [seq for seq in range(22) if ledger.waits(seq)] == [14, 16, 17, 18, 19, 20]


def test_a_ledger_settles_all_up_to_one():
    ledger = Ledger(TWENTY, 10, cumulative=True)
    ledger.settle(13)
    assert ledger.floor == 13
    ledger.settle(11)
    assert ledger.floor == 13
    with pytest.raises(ProtocolError):
        ledger.check(12)


@pytest.mark.parametrize("individually", [[2, 9, 11], [1, 2, 3, 4], []])
def test_a_message_waits_for_as_long_as_the_log_holds_it(individually):
    site = make_site(Clock(), log_events=10)
    for _ in range(12):
        site.feed.publish("own", "data")
    ledger = Ledger(site.feed.topic("own"), 0, cumulative=False)
    for seq in individually:
        ledger.settle(seq)
    assert [seq for seq in range(14) if ledger.waits(seq)] == [seq for seq in range(3, 13) if seq not in individually]


def test_a_ledger_is_bounded(monkeypatch):
    monkeypatch.setattr("servers.stomp_subscriptions.UNACKNOWLEDGED", 50)
    topic = topic_with(1, log_events=10_000)
    ledger = Ledger(topic, 0, cumulative=False)
    for seq in range(2, 2000):
        topic.publish(1, "data")
        ledger.check(seq)
        if seq % 2:
            ledger.settle(seq)
        assert ledger._settled.bit_length() <= 51


@settings(deadline=None)
@given(st.lists(st.integers(0, 22), max_size=30), st.integers(0, 20), st.booleans())
def test_a_ledger_is_a_set(seqs, after, cumulative):
    """The bits against the obvious way."""
    ledger = Ledger(TWENTY, after, cumulative=cumulative)
    waiting = set(range(after + 1, 21))
    for seq in seqs:
        assert ledger.waits(seq) == (seq in waiting)
        if seq in waiting:
            ledger.settle(seq)
            waiting -= set(range(seq + 1)) if cumulative else {seq}
    assert {seq for seq in range(25) if ledger.waits(seq)} == waiting


@pytest.fixture
def subscribed():
    site = make_site(Clock())
    for _ in range(3):
        site.feed.publish("own", "data")
    outlet, topic = Outlet(site, Transport()), site.feed.topic("own")

    def held(ledger):
        return Subscribed(Subscription(outlet, topic, None, "form", bytes, overtaken=print), ledger)

    return {"auto": held(None), "a/b": held(Ledger(topic, 0, cumulative=False))}


@pytest.mark.parametrize(
    ("version", "headers"),
    [
        (V12, {"id": "2/a/b"}),
        (V11, {"message-id": "own-2", "subscription": "a/b"}),
        (V10, {"message-id": "own-2", "subscription": "a/b"}),
        (V10, {"message-id": "own-2"}),
    ],
)
def test_an_ack_is_found(subscribed, version, headers):
    settling = read_ack(Frame("ACK", headers), version, subscribed)
    assert settling == Settling(subscribed["a/b"].ledger, 2)
    settling.check()
    settling.run()
    with pytest.raises(ProtocolError):
        settling.check()


def test_in_1_0_the_same_message_of_two_subscriptions_is_acknowledged_twice(subscribed):
    topic = subscribed["a/b"].topic
    subscribed["c"] = Subscribed(subscribed["a/b"].subscription, Ledger(topic, 0, cumulative=True))
    frame = Frame("ACK", {"message-id": "own-2"})
    for name in ("a/b", "c"):
        settling = read_ack(frame, V10, subscribed)
        assert settling.ledger is subscribed[name].ledger
        settling.run()
    with pytest.raises(ProtocolError):
        read_ack(frame, V10, subscribed)


@pytest.mark.parametrize(
    ("version", "headers"),
    [
        (V12, {}),
        (V12, {"id": "2/other"}),
        (V12, {"id": "2"}),
        (V12, {"id": "x/a/b"}),
        (V12, {"id": "/a/b"}),
        (V12, {"id": "0/a/b"}),
        (V12, {"id": "4/a/b"}),
        (V12, {"id": "9" * 30 + "/a/b"}),
        (V12, {"id": "2/auto"}),
        (V12, {"message-id": "own-2", "subscription": "a/b"}),
        (V11, {"message-id": "own-2"}),
        (V11, {"message-id": "other-2", "subscription": "a/b"}),
        (V11, {"message-id": "own-4", "subscription": "a/b"}),
        (V11, {"message-id": "own-2", "subscription": "auto"}),
        (V10, {"message-id": "other-2"}),
        (V10, {"message-id": "own-4"}),
        (V10, {"message-id": "own-"}),
        (V10, {"message-id": "2"}),
    ],
)
def test_an_ack_of_nothing_is_a_mistake(subscribed, version, headers):
    with pytest.raises(ProtocolError):
        read_ack(Frame("ACK", headers), version, subscribed)


@pytest.mark.parametrize(
    ("version", "lines"),
    [
        (V12, b"a\\cb:\\r\\n\nc: d \n"),
        (V11, b"a\\cb:\r\\n\nc: d \n"),
        (V10, b"a:b:  \nc: d \n"),
    ],
)
def test_headers_of_the_publisher_come_last_and_escaped(version, lines):
    event = EVENT._replace(headers=(("a:b", "\r\n"), ("c", " d ")))
    data = message_encoder("own", "0", version, ack=False)(event)
    head, _, body = data.partition(b"\n\n")
    assert head.endswith(b"\ncontent-length:%d\n%b" % (len(EVENT.json), lines[:-1]))
    assert body == EVENT.json + b"\0"


def test_a_header_of_the_publisher_cannot_take_the_place_of_one_of_ours():
    event = EVENT._replace(headers=(("message-id:own-99", ""), ("content-length:1", "")))
    (frame,) = Decoder(version=V10).feed(message_encoder("own", "0", V10, ack=False)(event))
    assert (frame.headers["message-id"], frame.body) == ("own-17", EVENT.json)


def test_which_headers_are_passed_through():
    headers = dict.fromkeys(OWN_HEADERS, "1") | {"Ack": "2", "priority": "9"}
    assert user_headers(Frame("SEND", headers), 13) == (("Ack", "2"), ("priority", "9"))
    assert user_headers(Frame("SEND", {"ä": "ö", "receipt": "r"}), 4) == (("ä", "ö"),)
    with pytest.raises(ProtocolError) as error:
        user_headers(Frame("SEND", {"ä": "ö"}), 3)
    assert error.value.reason == "header_too_big"


def test_names_are_not_endless():
    assert required_name(Frame("BEGIN", {"transaction": "x" * 255}), "transaction") == "x" * 255
    for headers in ({"transaction": "x" * 256}, {}):
        with pytest.raises(ProtocolError):
            required_name(Frame("BEGIN", headers), "transaction")


def test_destinations():
    assert topic_of("/topic/own") == "own"
    for destination in ("", "own", "/queue/own", "/topic/"):
        with pytest.raises(ProtocolError):
            topic_of(destination)
