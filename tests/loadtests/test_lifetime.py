"""The outer life: connect, session, pause, again; and out at any moment when told to stop."""

import pytest

from loadtests.clients import Close, Connect, Connected, Eof, Failed, ProtocolError, Stop, Timer, Wake
from loadtests.clients.lifetime import RECONNECT_NS, Lost, Stopped, data_or_leave, persistent
from tests.loadtests.by_hand import subscriber

WHO = subscriber(after=5)
CONNECT = Connect(WHO.address)


def living(*ends):
    """A client whose sessions wait for one input, and then end in the ways given."""
    attempts = []
    remaining = iter(ends)

    def session(progress, connected):
        attempts.append((progress.attempt, progress.after, connected.at_ns))
        progress.after += 1
        event = yield None
        data_or_leave(event)
        end = next(remaining)
        if end is not None:
            raise end

    client = persistent(WHO, session)
    assert next(client) == CONNECT
    return client, attempts


def test_a_session_that_returns_is_followed_by_the_next_at_once():
    client, attempts = living(None, None)
    for at_ns in (10, 20):
        assert client.send(Connected(at_ns, at_ns)) is None
        assert client.send(Timer(at_ns)) == CONNECT
    assert attempts == [(0, 5, 10), (1, 6, 20)]


@pytest.mark.parametrize(
    ("end", "close", "retry_ns"),
    [
        (ProtocolError("odd"), Close("protocol error: odd", failed=True), RECONNECT_NS),
        (Lost("gone"), Close("gone", failed=True), RECONNECT_NS),
        (Lost("over", failed=False, retry_ns=7), Close("over"), 7),
    ],
)
def test_a_loss_closes_and_comes_back_after_a_pause(end, close, retry_ns):
    client, attempts = living(end)
    client.send(Connected(10, 10))
    assert client.send(Timer(11)) == (close, Wake(1))
    assert client.send(Timer(30)) == Wake(30 + retry_ns)
    assert client.send(Timer(30 + retry_ns)) == CONNECT
    client.send(Connected(50, 50))
    assert attempts[1] == (1, 6, 50)


@pytest.mark.parametrize(("event", "failed"), [(Eof(12), True), (Failed("reset", 12), False)])
def test_what_ends_a_connection_is_a_loss(event, failed):
    client, _ = living()
    client.send(Connected(10, 10))
    close, wake = client.send(event)
    assert close.failed is failed  # the driver has counted a failure of its own
    assert wake == Wake(1)


def test_a_connection_that_does_not_come_about_is_tried_again():
    client, attempts = living()
    assert client.send(Failed("refused", 10))[0] == Close("refused")
    assert client.send(Timer(11)) == Wake(11 + RECONNECT_NS)
    assert client.send(Timer(12)) == CONNECT
    client.send(Connected(13, 13))
    assert attempts == [(1, 5, 13)]


def test_stop_ends_it_at_any_moment():
    def after(*events):
        client, _ = living(Lost("gone"))
        for event in events:
            client.send(event)
        return client

    connected, lost = Connected(10, 10), (Connected(10, 10), Timer(11))
    for client in (after(), after(connected), after(*lost), after(*lost, Timer(12))):
        with pytest.raises(StopIteration):
            client.send(Stop(20))


def test_a_session_may_say_goodbye_itself():
    client, _ = living(Stopped())
    client.send(Connected(10, 10))
    with pytest.raises(StopIteration):
        client.send(Timer(11))


def test_a_mistake_of_ours_stops_the_run():
    client, _ = living(ZeroDivisionError())
    client.send(Connected(10, 10))
    with pytest.raises(ZeroDivisionError):
        client.send(Timer(11))
