"""The blocking driver against a scripted peer on a real socket: every command, every input."""

import socket
import sys
import threading
import time
from contextlib import contextmanager

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
    Send,
    Stop,
    Timer,
    Wake,
)
from loadtests.drivers.blocking import Rows, run
from loadtests.records import DELIVERY, Spools, read_integers

ROW = (3, 0, 1, 7, 10, 20, 30, 40)
LINUX = sys.platform.startswith("linux")


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
        thread.join(5)
        assert not thread.is_alive()


def echo(connection):
    while data := connection.recv(100):
        connection.sendall(data.upper())


def shut(connection):
    connection.recv(100)


def go(client, rows=None, until=lambda: False, **options):
    rows = rows or Rows()
    return rows, run(client, rows, until=until, **{"timeout_s": 5, "subscriber": 3} | options)


def test_a_whole_conversation_is_written_down():
    seen = []

    def client(address):
        event = yield Connect(address)
        seen.append(event)
        event = yield Send(b"hel"), Send(b"lo")
        got = bytes(event.view)
        while len(got) < 5:
            got += bytes((yield None).view)
        seen.append(got)
        yield (
            Mark("upgraded", 11, "deflate", "v12"),
            Mark("subscribed", 12),
            Beat(2),
            Beat(),
            Emit([ROW, ROW]),
            Answer((3, 1, 2, 204, 0, 5, 5)),
            Wake(1),
        )
        yield Close("had enough"), Wake(1)

    with peer(echo) as address:
        rows, outcome = go(client(address))
    connected, got = seen
    assert isinstance(connected, Connected)
    assert got == b"HELLO"
    assert rows.deliveries == [ROW, ROW]
    assert rows.responses == [(3, 1, 2, 204, 0, 5, 5)]
    (row,) = rows.connections
    assert (row.subscriber, row.attempt, row.why) == (3, 0, "had enough")
    assert row.started_ns <= row.tcp_ns == connected.tcp_ns <= row.closed_ns
    assert (row.upgraded_ns, row.subscribed_ns, row.extensions, row.subprotocol) == (11, 12, "deflate", "v12")
    assert row.heartbeats == 3
    if LINUX:
        assert (row.bytes_up_subscribed, row.bytes_down_subscribed, row.bytes_up, row.bytes_down) == (5, 5, 5, 5)
    assert not outcome.met
    assert outcome.failures == ()


@pytest.mark.parametrize("read_bytes", [1, 3, iter([2, 1, 4, 1, 1, 1, 1]).__next__])
def test_reads_are_no_larger_than_asked_for(read_bytes):
    sizes = []

    def client(address):
        yield Connect(address)
        event = yield Send(b"0123456")
        while isinstance(event, Data):
            sizes.append(len(event.view))
            event = yield None

    with peer(echo) as address:
        go(client(address), until=lambda: sum(sizes) == 7, read_bytes=read_bytes)
    assert sum(sizes) == 7
    assert all(size <= 4 for size in sizes) if callable(read_bytes) else max(sizes) <= read_bytes


def test_the_peers_end_is_eof_and_closes():
    seen = []

    def client(address):
        yield Connect(address)
        seen.append((yield Send(b"bye")))
        seen.append((yield Send(b"to nobody"), Wake(1)))

    with peer(shut) as address:
        rows, outcome = go(client(address))
    assert [type(event) for event in seen] == [Eof, Timer]
    assert [row.why for row in rows.connections] == ["ended by the peer"]
    assert outcome.failures == ()


def test_a_refused_connection_is_a_failure():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = Address("127.0.0.1", listener.getsockname()[1])
    seen = []

    def client():
        seen.append((yield Connect(address)))

    rows, outcome = go(client())
    assert isinstance(seen[0], Failed)
    assert outcome.failures == (seen[0].error,)
    (row,) = rows.connections
    assert (row.tcp_ns, row.why) == (None, seen[0].error)


def test_a_reset_connection_is_a_failure():
    def reset(connection):
        connection.recv(1)  # not before the client knows that it is connected
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")

    seen = []

    def client(address):
        yield Connect(address)
        seen.append((yield Send(b"x")))

    with peer(reset) as address:
        _, outcome = go(client(address))
    assert isinstance(seen[0], Failed)
    assert len(outcome.failures) == 1


def test_timers_come_when_they_are_due_and_can_be_replaced_and_cancelled():
    seen = []

    def client():
        at_ns = time.monotonic_ns()
        seen.append((yield Wake(at_ns + 10**12), Wake(at_ns + 10**7)))
        assert seen[0].at_ns >= at_ns + 10**7
        seen.append((yield Wake(at_ns + 10**12), Wake(0)))

    go(client())
    assert [type(event) for event in seen] == [Timer, Stop]


def test_connecting_again_replaces_and_counts():
    def client(address):
        yield Connect(address)
        yield Connect(address)

    with peer(shut, shut) as address:
        rows, _ = go(client(address), until=lambda: len(rows_so_far.connections) == 1, rows=(rows_so_far := Rows()))
    assert [(row.attempt, row.why) for row in rows.connections] == [(0, "replaced"), (1, "stopped")]


def test_until_stops_it_and_a_farewell_is_sent():
    heard = []
    rows = Rows()

    def client(address):
        yield Connect(address)
        event = yield Emit([ROW])
        assert isinstance(event, Stop)
        event = yield Send(b"farewell")
        assert bytes(event.view) == b"FAREWELL"
        yield Send(b"!")

    def script(connection):
        data = connection.recv(100)
        connection.sendall(data.upper())
        heard.append(data)

    with peer(script) as address:
        _, outcome = go(client(address), rows, until=lambda: len(rows.deliveries) == 1)
    assert outcome.met
    assert heard == [b"farewell"]


def test_the_time_is_limited():
    def client(address):
        event = yield Connect(address)
        while not isinstance(event, Stop):
            event = yield None

    with peer(shut) as address:
        started = time.monotonic()
        rows, outcome = go(client(address), timeout_s=0.05)
    assert time.monotonic() - started >= 0.05
    assert not outcome.met
    assert rows.connections[0].why == "stopped"


def test_a_client_that_waits_for_nothing_is_stopped_at_once():
    seen = []

    def client():
        seen.append((yield None))
        seen.append((yield None))

    go(client())
    assert [type(event) for event in seen] == [Stop]


def test_the_peers_mistake_is_a_failure_and_ours_is_raised():
    def theirs():
        yield Wake(1)
        raise ProtocolError("odd")

    def ours():
        yield Wake(1)
        raise ZeroDivisionError

    assert go(theirs())[1].failures == ("protocol error: odd",)
    with pytest.raises(ZeroDivisionError):
        go(ours())


def test_a_failure_that_the_client_reports_is_one():
    def client(address):
        yield Connect(address)
        yield Close("status 500", failed=True), Wake(1)

    with peer(shut) as address:
        assert go(client(address))[1].failures == ("status 500",)


def test_spools_are_recorders_too(tmp_path):
    def client():
        yield Emit([ROW]), Wake(1)

    with Spools(tmp_path) as spools:
        run(client(), spools, until=lambda: False, timeout_s=5)
    assert read_integers([tmp_path / "0.deliveries"], DELIVERY).to_pylist() == [dict(zip(DELIVERY, ROW, strict=True))]
