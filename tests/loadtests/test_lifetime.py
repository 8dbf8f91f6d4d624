"""The outer life: connect, session, pause, again; and out at any moment when told to stop."""

from dataclasses import replace

import pytest

from loadtests.clients import (
    Backoff,
    Close,
    Connect,
    Connected,
    Eof,
    Failed,
    Patience,
    ProtocolError,
    Stop,
    Timer,
    Wake,
)
from loadtests.clients.lifetime import Lost, Pauses, Stopped, data_or_leave, persistent
from tests.loadtests.by_hand import subscriber

WHO = subscriber(after=5)
CONNECT = Connect(WHO.address, 5.0, 10.0)
SECOND = 1_000_000_000


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
    ("end", "close", "least_ns", "most_ns"),
    [
        (ProtocolError("odd"), Close("protocol error: odd", failed=True), 0, SECOND // 2),
        (Lost("gone"), Close("gone", failed=True), 0, SECOND // 2),
        (Lost("busy", retry_ns=SECOND), Close("busy", failed=True), SECOND, SECOND * 3 // 2),
        (Lost("over", failed=False, retry_ns=7, prompt=True), Close("over"), 7, 8),
    ],
)
def test_a_loss_closes_and_comes_back_after_a_pause(end, close, least_ns, most_ns):
    client, attempts = living(end)
    client.send(Connected(10, 10))
    assert client.send(Timer(11)) == (close, Wake(1))
    wake = client.send(Timer(30))
    assert 30 + least_ns <= wake.at_ns < 30 + most_ns
    assert client.send(Timer(wake.at_ns)) == CONNECT
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
    assert 11 < client.send(Timer(11)).at_ns < 11 + SECOND // 2
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


def test_only_a_pushed_stream_may_not_be_silent():
    who = replace(WHO, patience=Patience(1, 2, 3, 4))
    assert next(persistent(who, None)) == Connect(WHO.address, 1, 2, 0)
    assert next(persistent(who, None, pushed=True)) == Connect(WHO.address, 1, 2, 4)


# pauses ----------------------------------------------------------------------------------------------------


def pauses_of(index, losses, subscribed_ns=lambda _: 0, lost=None, **backoff):
    who = replace(WHO, index=index, backoff=Backoff(**backoff))
    pauses = Pauses(who)
    return [pauses.after(lost or Lost("x"), attempt, subscribed_ns(attempt)) / SECOND for attempt in range(losses)]


def test_pauses_are_drawn_below_a_ceiling_that_doubles():
    several = [pauses_of(index, 9, first_s=0.5, max_s=8) for index in range(400)]
    for k, ceiling_s in enumerate([0.5, 1, 2, 4, 8, 8, 8, 8, 8]):
        drawn = [pauses[k] for pauses in several]
        assert 0.95 * ceiling_s < max(drawn) <= ceiling_s
        assert min(drawn) < 0.05 * ceiling_s
        assert sum(drawn) / 400 == pytest.approx(ceiling_s / 2, rel=0.1)


def test_a_thousand_clients_do_not_come_back_in_one_burst():
    first = sorted(pauses_of(index, 1)[0] for index in range(1000))
    within = max(sum(at <= one < at + 0.01 for one in first) for at in first)
    assert within < 60  # 20 in any 10 ms on average


def test_they_repeat_with_the_seed():
    assert pauses_of(3, 5) == pauses_of(3, 5) != pauses_of(4, 5)


def test_a_connection_that_lasted_begins_anew_and_one_that_did_not_goes_on():
    assert max(pauses_of(1, 40, lambda _: 3600 * SECOND)) < 0.5
    assert max(pauses_of(1, 40, lambda _: 1000)) > 10  # a server that lets one in and drops one


def test_what_will_hardly_help_waits_long_at_once():
    assert max(pauses_of(index, 1, lost=Lost("status 401", lasting=True))[0] for index in range(100)) > 25


def test_at_once_is_not_for_ever():
    prompt = pauses_of(1, 20, lost=Lost("status 410", prompt=True))
    assert prompt[:8] == [0] * 8
    assert sum(prompt) > 10


def test_no_pause_at_all_can_be_asked_for():
    assert pauses_of(1, 5, first_s=0, max_s=0) == [0] * 5


def test_a_hundred_losses_do_not_overflow():
    assert 0 < pauses_of(1, 5000)[-1] < 30
