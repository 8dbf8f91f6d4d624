"""MESSAGE frames, ledgers, and the acknowledgements of each version."""

import pytest

from servers.feed import Event
from servers.outlet import Outlet
from servers.stomp_frames import V10, V11, V12, Decoder, Frame, ProtocolError
from servers.stomp_subscriptions import Ledger, Subscribed, message_encoder, read_ack, topic_of
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


def test_a_ledger_settles_one_by_one():
    ledger = Ledger(10, cumulative=False)
    ledger.settle(13, 20)
    ledger.settle(11, 20)
    assert ledger.floor == 11
    ledger.settle(12, 20)
    assert ledger.floor == 13
    for seq in (10, 12, 13, 21):
        with pytest.raises(ProtocolError):
            ledger.settle(seq, 20)


def test_a_ledger_settles_all_up_to_one():
    ledger = Ledger(10, cumulative=True)
    ledger.settle(13, 20)
    assert ledger.floor == 13
    with pytest.raises(ProtocolError):
        ledger.settle(12, 20)


@pytest.fixture
def subscribed():
    site = make_site(Clock())
    for _ in range(3):
        site.feed.publish("own", "data")
    outlet, topic = Outlet(site, Transport()), site.feed.topic("own")

    def held(ledger):
        return Subscribed(Subscription(outlet, topic, None, "form", bytes, overtaken=print), ledger)

    return {"a/b": held(Ledger(0, cumulative=False)), "auto": held(None)}


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
    held, ledger, seq = read_ack(Frame("ACK", headers), version, subscribed)
    assert (held, ledger, seq) == (subscribed["a/b"], subscribed["a/b"].ledger, 2)


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
        (V10, {"message-id": "other-2"}),
    ],
)
def test_an_ack_of_nothing_is_a_mistake(subscribed, version, headers):
    with pytest.raises(ProtocolError):
        read_ack(Frame("ACK", headers), version, subscribed)


def test_destinations():
    assert topic_of("/topic/own") == "own"
    for destination in ("", "own", "/queue/own", "/topic/"):
        with pytest.raises(ProtocolError):
            topic_of(destination)
