"""The event-loop driver where TLS wants the other direction first: what no OpenSSL peer does on request.

A made-up TLS over a plain socket stands in for the real one: it refuses once, and says why, as ``Secure`` does.
"""

import socket
import threading
import time
from contextlib import contextmanager, suppress

import gevent
import pytest

from loadtests.clients import Address, Close, Connect, Connected, Data, Failed, ProtocolError, Send, Stop, Wake
from loadtests.drivers import link as module
from loadtests.drivers.eventloop import EventLoop
from loadtests.drivers.secure import READ, READ_AWAITS_WRITE, WRITE, WRITE_AWAITS_READ
from loadtests.records import Spools


class MadeUp:
    """Refuses as often as its lists say: what a handshake waits for, how often to read and to write in vain."""

    handshakes, reads, writes, fails = (), (), (), ""

    def __init__(self, _context, connection, _host):
        self._socket = connection
        self.crossed = 0
        self._handshakes, self._reads, self._writes = map(list, (self.handshakes, self.reads, self.writes))

    def handshake(self):
        if self.fails == "handshake":
            raise ConnectionResetError(104, "Connection reset by peer")
        return self._handshakes.pop(0) if self._handshakes else 0

    def receive(self, buffer):
        if self._reads and self._reads.pop(0):
            self.crossed |= READ_AWAITS_WRITE
            raise BlockingIOError
        self.crossed &= ~READ_AWAITS_WRITE
        return self._socket.recv_into(buffer)

    def send(self, data):
        if self.fails == "send":
            raise BrokenPipeError(32, "Broken pipe")
        self.crossed &= ~WRITE_AWAITS_READ
        if self._writes:
            refusal = self._writes.pop(0)
            if refusal == "broken":
                raise BrokenPipeError(32, "Broken pipe")
            if refusal == "read first":
                self.crossed |= WRITE_AWAITS_READ
            raise BlockingIOError
        return self._socket.send(data)

    def close(self):
        pass


@pytest.fixture
def made_up(monkeypatch):
    def configure(**how):
        monkeypatch.setattr(module, "Secure", type("Configured", (MadeUp,), how))

    return configure


@contextmanager
def peer(script):
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve():
            connection, _ = listener.accept()
            with connection:
                script(connection)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield Address("127.0.0.1", listener.getsockname()[1], tls=True)
        thread.join(3)


def run(client, tmp_path):
    loop = EventLoop(Spools(tmp_path), context=object())
    link = loop.start(client, 0)
    deadline = time.monotonic() + 5
    while not link.ended:
        assert time.monotonic() < deadline, "the client did not come to its end"
        gevent.sleep(0.002)
    return loop


def asking(address, got):
    event = yield Connect(address)
    assert isinstance(event, Connected)
    event = yield Send(b"ping"), Send(b" pong")
    while isinstance(event, Data):
        got.append(bytes(event.view))
        event = yield None


def echo(connection):
    """Say something all the while, so that there is something to read."""
    connection.settimeout(0.005)
    heard = b""
    while len(heard) < 9:
        connection.sendall(b".")
        with suppress(TimeoutError):
            heard += connection.recv(100)
    connection.sendall(heard)


@pytest.mark.parametrize("handshakes", [(), (WRITE,), (WRITE, READ, WRITE)])
@pytest.mark.parametrize("reads", [(), (1,), (1, 1, 1), (0, 1)])
@pytest.mark.parametrize("writes", [(), ("later",), ("read first",), ("read first", "later"), ("later", "read first")])
def test_every_order_of_refusals_loses_nothing(made_up, tmp_path, handshakes, reads, writes):
    made_up(handshakes=handshakes, reads=reads, writes=writes)
    got = []
    with peer(echo) as address:
        loop = run(asking(address, got), tmp_path)
    assert b"".join(got).strip(b".") == b"ping pong"
    assert not loop.failures


@pytest.mark.parametrize(
    ("how", "failure"),
    [
        ({"fails": "handshake"}, "TLS handshake: Connection reset by peer"),
        ({"fails": "send"}, "Broken pipe"),
        ({"writes": ("later", "broken")}, "Broken pipe"),
    ],
)
def test_what_breaks_is_a_failure(made_up, tmp_path, how, failure):
    made_up(**how)
    seen = []

    def client():
        event = yield Connect(address)
        while not isinstance(event, Failed):
            event = yield (Send(b"x") if isinstance(event, Connected) else None)
        seen.append(event.error)

    with peer(lambda connection: connection.recv(1)) as address:
        loop = run(client(), tmp_path)
    assert dict(loop.failures) == {failure: 1}
    assert seen == [failure]


def test_a_name_that_no_certificate_can_have_is_a_failure(tmp_path, monkeypatch):
    def refuse(*_):
        raise ValueError("label too long")

    monkeypatch.setattr(module, "Secure", refuse)

    def client():
        event = yield Connect(address)
        assert isinstance(event, Failed)

    with peer(lambda connection: None) as address:
        loop = run(client(), tmp_path)
    assert dict(loop.failures) == {"TLS handshake: label too long": 1}


def test_a_mistake_that_a_client_finds_on_its_own_ends_it(tmp_path):
    def client():
        yield Wake(1)
        raise ProtocolError("too late")

    assert dict(run(client(), tmp_path).failures) == {"protocol error: too late": 1}


def test_an_address_that_cannot_be_connected_to_is_a_failure(tmp_path):
    def client():
        event = yield Connect(Address("::ffff:0:0:0:1", 1))  # no route, or no IPv6 at all
        assert isinstance(event, Failed)
        yield Close("given up", failed=True), Wake(1)

    loop = run(client(), tmp_path)
    assert sum(loop.failures.values()) == 2
    assert loop.failures["given up"] == 1


def test_who_is_stopped_before_its_turn_does_not_connect(tmp_path):
    loop = EventLoop(Spools(tmp_path), connects_hz=1.0)

    def client():
        event = yield Connect(Address("127.0.0.1", 1))
        assert isinstance(event, Stop)

    links = [loop.start(client(), index) for index in range(2)]
    links[1].stop()
    assert links[1].ended
    loop._paused = False
    loop._turn_ns = 0
    loop._connecting = 0
    loop._next()  # its turn: there is nobody any more
    assert not loop._waiting
    links[0].stop()


def test_what_lies_unread_is_no_time_out(tmp_path):
    """The hub is blocked for longer than the deadline; the answer has come meanwhile."""
    seen, go = [], threading.Event()

    def client():
        seen.append((yield Connect(address, handshake_s=0.3)))
        seen.append((yield None))

    def script(connection):
        go.wait(5)
        connection.sendall(b"y")
        connection.recv(1)

    with peer(script) as secure:
        address = Address(secure.host, secure.port)
        loop = EventLoop(Spools(tmp_path))
        link = loop.start(client(), 0)
        while not seen:
            gevent.sleep(0.001)
        go.set()
        time.sleep(0.5)  # ours is the thread that has the hub: nobody reads
        link.overdue(time.monotonic_ns())
        while not link.ended:
            gevent.sleep(0.005)
    assert [type(event) for event in seen] == [Connected, Data]
    assert not loop.failures
