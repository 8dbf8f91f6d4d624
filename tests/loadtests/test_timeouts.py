"""Time-outs in both drivers: each is a failure that says what did not come, and in what time."""

import socket
import time
from contextlib import contextmanager, suppress

import gevent
import pytest

from loadtests import tls
from loadtests.clients import Address, Connect, Connected, Data, Deadline, Failed, Mark, Send, Timer, Wake
from loadtests.drivers.eventloop import EventLoop
from loadtests.records import Spools
from tests.loadtests.both_drivers import through_blocking, through_eventloop
from tests.loadtests.tls_peer import ca_file, tls_peer


@pytest.fixture(params=[through_eventloop, through_blocking])
def run(request, tmp_path):
    return lambda client, context=None: request.param(client, context, tmp_path / "spool")


@contextmanager
def deaf():
    """A listener that accepts nobody."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield Address("127.0.0.1", listener.getsockname()[1])


@contextmanager
def overrun():
    """A listener whose queue is full: the kernel answers no SYN any more."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        address = listener.getsockname()
        waiting = [socket.socket() for _ in range(4)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(address)
        yield Address(*address)
        for one in waiting:
            one.close()


def connecting(goal, seen):
    event = yield goal
    while not isinstance(event, Failed):
        seen.append(event)
        event = yield None
    seen.append(event)


def test_a_connection_that_does_not_come_about(run):
    seen = []
    with overrun() as address:
        (row,), failures = run(connecting(Connect(address, connect_s=0.05), seen))
    assert failures == ["connect timeout after 0.05 s"] == [row.why]
    assert isinstance(seen[-1], Failed)
    assert row.tcp_ns is None


def test_a_tls_handshake_that_never_ends(run):
    seen = []
    with deaf() as plain:
        address = Address(plain.host, plain.port, tls=True)
        (row,), failures = run(connecting(Connect(address, handshake_s=0.05), seen), tls.context(insecure=True))
    assert failures == ["TLS handshake timeout after 0.05 s"] == [row.why]
    assert row.tcp_ns
    assert row.tls_ns is None


def test_a_handshake_whose_answer_does_not_come_over_tls_either(run):
    seen = []
    with deaf() as address:
        (row,), failures = run(connecting(Connect(address, handshake_s=0.05), seen))
    assert failures == ["handshake timeout after 0.05 s"] == [row.why]
    assert [type(event) for event in seen] == [Connected, Failed]


def test_what_remains_behind_tls_is_for_the_rest_of_the_handshake(run):
    seen = []
    with tls_peer(lambda connection: connection.recv(1)) as address:
        _, failures = run(connecting(Connect(address, handshake_s=0.2), seen), tls.context("", ca_file()))
    assert failures == ["handshake timeout after 0.2 s"]


def test_subscribed_ends_it_and_a_deadline_takes_its_place(run):
    seen = []

    def client():
        event = yield Connect(address, handshake_s=0.05)
        event = yield Mark("subscribed", event.at_ns), Wake(event.at_ns + 400_000_000)
        seen.append(event)
        event = yield Deadline(event.at_ns + 50_000_000, "response timeout after 0.05 s"), Send(b"x")
        seen.append(event)

    with deaf() as address:
        _, failures = run(client())
    assert failures == ["response timeout after 0.05 s"]
    assert [type(event) for event in seen] == [Timer, Failed]


def test_a_deadline_can_be_lifted_and_does_not_outlive_its_connection(run):
    def client():
        event = yield Connect(address, handshake_s=0.05)
        event = yield Deadline(0), Wake(event.at_ns + 350_000_000)
        assert isinstance(event, Timer), event
        event = yield Deadline(event.at_ns + 1), Connect(address)
        assert isinstance(event, Connected), event
        event = yield Wake(event.at_ns + 350_000_000)
        assert isinstance(event, Timer), event

    with deaf() as address:
        _, failures = run(client())
    assert failures == []


@pytest.mark.skipif(not hasattr(socket, "TCP_INFO"), reason="skipped: needs TCP_INFO")
def test_a_pushed_stream_that_falls_silent(run):
    seen = []

    def client():
        event = yield Connect(address, silence_s=0.3)
        event = yield Mark("subscribed", event.at_ns)
        while isinstance(event, Data):
            seen.append(event.at_ns)
            event = yield None
        assert isinstance(event, Failed)

    def script(connection):
        for _ in range(5):
            connection.sendall(b"x")
            time.sleep(0.15)
        with suppress(OSError):
            connection.recv(1)

    with tls_peer(script) as address:
        _, failures = run(client(), tls.context("", ca_file()))
    assert failures == ["silent for 0.3 s"]
    assert len(seen) == 5


def test_a_name_that_leads_nowhere_is_a_failure_and_blocks_nobody(tmp_path):
    loop = EventLoop(Spools(tmp_path))
    seen = []
    for host in ("no-such-host.invalid", "x" * 64):
        for _ in range(2):
            loop.start(connecting(Connect(Address(host, 1)), seen), 0)
    ticks = 0
    while loop.links:
        gevent.sleep(0.01)
        ticks += 1
        assert ticks < 1000
    assert len(seen) == 4
    assert sum(loop.failures.values()) == 4
    assert all("no-such-host.invalid: " in reason or "xxx: " in reason for reason in loop.failures)


def test_a_name_is_looked_up_once_for_all(tmp_path):
    loop = EventLoop(Spools(tmp_path))

    def client():
        event = yield Connect(Address("localhost", port))
        assert isinstance(event, Connected), event

    with socket.create_server(("localhost", 0)) as listener:
        port = listener.getsockname()[1]
        for _ in range(3):
            loop.start(client(), 0)
        while loop.links:
            gevent.sleep(0.01)
    assert loop.addresses.keys() == {("localhost", port)}
    assert not loop.failures
