"""The event-loop driver against a scripted peer on a real socket: every command, every input."""

import socket
import threading
import time
from contextlib import contextmanager, suppress

import gevent
import msgspec
import pytest

from loadtests.clients import (
    Address,
    Answer,
    Beat,
    Close,
    Connect,
    Connected,
    Data,
    Emit,
    Eof,
    Failed,
    Mark,
    ProtocolError,
    Publication,
    Send,
    Stop,
    Timer,
    Wake,
)
from loadtests.drivers.eventloop import EventLoop
from loadtests.records import DELIVERY, PUBLISH, RESPONSE, Connection, Spools, read_integers

ROW = (3, 0, 1, 7, 10, 20, 30, 40)
PUBLISHED = (3, 2, 10, 20, 30, 202, 400, 150)
RESPONDED = (3, 1, 2, 204, 0, 100, 200)


@contextmanager
def peer(*scripts):
    """A listener whose n-th connection is served by the n-th script, in a thread of its own."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve():
            for script in scripts:
                connection, _ = listener.accept()
                with connection:
                    script(connection)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield Address("127.0.0.1", listener.getsockname()[1])
        thread.join(2)


def run(loop, client, until=lambda link: link.ended, subscriber=3):
    link = loop.start(client, subscriber)
    deadline = time.monotonic() + 3
    while not until(link):
        assert time.monotonic() < deadline, "the client did not come to its end"
        gevent.sleep(0.002)
    return link


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "spool"


@pytest.fixture
def loop(folder):
    return EventLoop(Spools(folder))


def connections(folder, loop):
    loop.spools.close()
    lines = (folder / "0.connections").read_bytes().splitlines()
    return [msgspec.json.decode(line, type=Connection) for line in lines]


def test_a_whole_conversation_is_written_down(loop, folder):
    seen = []

    def client():
        event = yield Connect(address)
        assert isinstance(event, Connected)
        event = yield Mark("upgraded", event.at_ns, "x", "y"), Send(b"ping")
        assert isinstance(event, Data)
        seen.append(bytes(event.view))
        at = event.at_ns
        event = yield Mark("subscribed", at), Beat(2), Emit([ROW]), Answer(RESPONDED), Wake(at + 5_000_000)
        assert isinstance(event, Timer)
        assert event.at_ns >= at + 5_000_000
        event = yield None
        assert isinstance(event, Eof)
        yield Close("bye"), Wake(1)

    def script(connection):
        assert connection.recv(10) == b"ping"
        connection.sendall(b"pong")
        time.sleep(0.02)

    with peer(script) as address:
        run(loop, client())
    (row,) = connections(folder, loop)
    assert seen == [b"pong"]
    assert read_integers([folder / "0.deliveries"], DELIVERY).to_pylist() == [dict(zip(DELIVERY, ROW, strict=True))]
    assert read_integers([folder / "0.responses"], RESPONSE).to_pylist() == [
        dict(zip(RESPONSE, RESPONDED, strict=True))
    ]
    assert (row.subscriber, row.attempt, row.heartbeats) == (3, 0, 2)
    assert (row.extensions, row.subprotocol, row.why) == ("x", "y", "ended by the peer")
    assert row.started_ns <= row.tcp_ns <= row.upgraded_ns <= row.subscribed_ns <= row.closed_ns
    assert (row.bytes_up_subscribed, row.bytes_down_subscribed) == (4, 4)
    assert (row.bytes_up, row.bytes_down) == (4, 4)
    assert loop.subscribed == 1
    assert not loop.failures


def test_a_refused_connection_is_a_failure_and_the_client_may_try_again(loop, folder):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        closed = Address("127.0.0.1", listener.getsockname()[1])

    def client():
        event = yield Connect(closed)
        assert isinstance(event, Failed)
        event = yield Connect(closed)
        assert isinstance(event, Failed)

    run(loop, client())
    assert [row.attempt for row in connections(folder, loop)] == [0, 1]
    assert dict(loop.failures) == {"ECONNREFUSED": 2}


def test_large_writes_are_queued_and_arrive_whole(loop, folder):
    got = []
    sent = bytes(range(256)) * 40_000

    def client():
        yield Connect(address)
        event = yield Send(sent), Send(b"end")
        assert isinstance(event, Data)

    def script(connection):
        time.sleep(0.05)
        while not b"".join(got[-2:]).endswith(b"end"):
            got.append(connection.recv(1 << 20))
        connection.sendall(b"ok")

    with peer(script) as address:
        run(loop, client())
    assert b"".join(got) == sent + b"end"


def test_more_than_the_buffer_holds_is_read_to_its_end(loop, folder):
    sent = bytes(range(256)) * 5_000
    got = []

    def client():
        event = yield Connect(address)
        while sum(map(len, got)) < len(sent):
            event = yield None
            assert isinstance(event, Data)
            got.append(bytes(event.view))

    with peer(lambda connection: (connection.sendall(sent), connection.recv(1))) as address:
        run(loop, client())
    assert b"".join(got) == sent


def test_a_replaced_connection_gives_no_more_input(loop, folder):
    def client():
        yield Connect(address)
        event = yield Connect(address)
        assert isinstance(event, Connected)
        event = yield None
        assert isinstance(event, Data)
        assert bytes(event.view) == b"second"

    def first(connection):
        connection.sendall(b"first")
        with suppress(ConnectionResetError):  # it is closed with "first" unread
            connection.recv(1)

    with peer(first, lambda connection: connection.sendall(b"second")) as address:
        run(loop, client())
    assert [row.why for row in connections(folder, loop)] == ["replaced", "stopped"]


def test_stop_lets_the_client_say_goodbye_and_cuts_it_off_when_it_does_not(loop, folder):
    heard = []

    def polite():
        yield Connect(address)
        event = yield Mark("subscribed", 1)
        assert isinstance(event, Stop)
        yield Send(b"bye")

    def rude():
        while True:
            yield None

    with peer(lambda connection: heard.append(connection.recv(10))) as address:
        link = run(loop, polite(), until=lambda _: loop.subscribed)
        link.stop()
        gevent.sleep(0.05)
        link.stop()
    deaf = loop.start(rude(), 4)
    deaf.stop()
    assert not deaf.ended
    gevent.sleep(1.1)
    assert deaf.ended
    assert heard == [b"bye"]
    assert not loop.links


def test_the_peers_mistakes_end_the_client_and_are_counted(loop, folder):
    def client():
        yield Connect(address)
        yield None
        raise ProtocolError("0x00 where 0x01 was expected")

    with peer(lambda connection: connection.sendall(b"x")) as address:
        run(loop, client())
    assert list(loop.failures) == ["protocol error: 0x00 where 0x01 was expected"]


def test_only_the_last_wake_counts_and_zero_cancels(loop, folder):
    def client():
        now = time.monotonic_ns()
        event = yield Wake(now + 1_000_000), Wake(0), Wake(now + 30_000_000)
        assert isinstance(event, Timer)
        assert event.at_ns >= now + 30_000_000

    run(loop, client())


def test_connects_keep_their_pace(folder):
    loop = EventLoop(Spools(folder), connects_hz=50.0)

    def client():
        yield Connect(address)

    with peer(*[lambda connection: None] * 4) as address:
        links = [loop.start(client(), index) for index in range(4)]
        while not all(link.ended for link in links):
            gevent.sleep(0.005)
    started = sorted(row.started_ns for row in connections(folder, loop))
    assert started[-1] - started[0] > 30_000_000  # three intervals of 20 ms, less what the first came late


def test_a_publish_is_not_kept_waiting_and_its_connection_says_what_it_is_for(folder):
    loop = EventLoop(Spools(folder), connects_hz=0.5)

    def client():
        yield Connect(address), Publication(PUBLISHED)

    with peer(*[lambda connection: None] * 4) as address:
        links = [loop.start(client(), index, "publish") for index in range(4)]
        deadline = time.monotonic() + 3
        while not all(link.ended for link in links):
            assert time.monotonic() < deadline
            gevent.sleep(0.005)
    assert [row.purpose for row in connections(folder, loop)] == ["publish"] * 4
    assert (
        read_integers([folder / "0.publishes"], PUBLISH).to_pylist() == [dict(zip(PUBLISH, PUBLISHED, strict=True))] * 4
    )


def test_the_window_counts_bytes_and_probes_the_loop(loop, folder):
    def client():
        yield Connect(address)
        while True:
            event = yield None
            if isinstance(event, Stop):
                return

    def script(connection):
        connection.sendall(b"before")
        time.sleep(0.1)
        connection.sendall(b"within")
        time.sleep(0.2)
        connection.sendall(b"after")
        connection.recv(1)

    now = time.monotonic_ns()
    with peer(script) as address:
        link = loop.start(client(), 3)
        loop.watch(now + 50_000_000, now + 200_000_000)
        gevent.sleep(0.4)
        link.stop()
    before, after = loop.window
    assert after[1] - before[1] == len("within")
    assert loop.late_ns
    assert min(loop.late_ns) >= 0
