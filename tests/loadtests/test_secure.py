"""TLS in both drivers, against a scripted peer: phases, checks, endings; and what only a made-up peer can do."""

import random
import ssl
import time
from contextlib import suppress
from itertools import count

import pytest

from loadtests import tls
from loadtests.clients import Close, Connect, Connected, Data, Eof, Failed, Mark, Send, Timer, Wake
from loadtests.drivers import secure
from tests.loadtests.both_drivers import DRIVERS
from tests.loadtests.tls_peer import ca_file, say_goodbye, server_context, tls_peer


@pytest.fixture(params=DRIVERS)
def run(request, tmp_path):
    folders = (tmp_path / str(k) for k in count())
    return lambda client, context: request.param(client, context, next(folders))


@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_a_whole_conversation(run, version):
    seen, got = [], bytearray()

    def client():
        event = yield Connect(address)
        seen.append(event)
        event = yield Send(b"ping")
        while len(got) < 40_000:  # more than a record
            assert isinstance(event, Data), event
            got.extend(event.view)
            event = yield Mark("subscribed", event.at_ns)
        assert isinstance(event, Eof), event
        yield Close("bye"), Wake(1)

    def script(connection):
        seen.append(connection.version())
        assert connection.recv(10) == b"ping"
        connection.sendall(b"pong" * 10_000)
        say_goodbye(connection)

    with tls_peer(script) as address:
        (row,), failures = run(client(), tls.context(version, ca_file()))
    assert bytes(got) == b"pong" * 10_000
    assert failures == []
    told, spoken = sorted(seen, key=lambda one: isinstance(one, str))
    assert spoken == f"TLSv{version}"
    assert told == Connected(row.tls_ns, row.tcp_ns, row.tls_ns)
    assert row.started_ns <= row.tcp_ns < row.tls_ns <= row.subscribed_ns <= row.closed_ns
    if row.bytes_down is not None:
        assert row.bytes_down > 40_000 + 1000  # the kernel's count has the handshake and every record's head in it
        assert row.bytes_up > 200


def test_the_server_is_told_the_name_and_never_offered_an_old_session(run):
    names, reused = [], []

    def script(connection):
        reused.append(connection.session_reused)
        connection.sendall(b"x")
        connection.recv(1)

    context = server_context("localhost")
    context.sni_callback = lambda _connection, name, _context: names.append(name)

    def client():
        for _ in range(2):
            event = yield Connect(address)
            assert isinstance(event, Connected), event
            event = yield None
            assert isinstance(event, Data), event

    with tls_peer(script, script, context=context, host="localhost") as address:
        run(client(), tls.context("1.2", ca_file()))
    assert names == ["localhost"] * 2
    assert reused == [False, False]


def refused(run, server, context, host="127.0.0.1"):
    seen = []

    def client():
        event = yield Connect(address)
        seen.append(event)
        assert isinstance(event, Failed)

    with tls_peer(lambda connection: connection.recv(1), context=server, host=host) as address:
        (row,), failures = run(client(), context)
    (failure,) = failures
    assert seen[0].error == failure == row.why
    assert row.tcp_ns
    assert row.tls_ns is None
    return failure


def test_a_certificate_of_nobody_we_know_is_not_accepted(run):
    said = refused(run, server_context(), tls.context())
    assert said == "TLS handshake: certificate not accepted: unable to get local issuer certificate"


def test_a_certificate_for_somebody_else_is_not_accepted(run):
    said = refused(run, server_context("example.org"), tls.context("", ca_file()), host="localhost")
    assert said.startswith("TLS handshake: certificate not accepted: Hostname mismatch")
    said = refused(run, server_context("localhost"), tls.context("", ca_file()))
    assert said.startswith("TLS handshake: certificate not accepted: IP address mismatch")


def test_a_version_that_the_server_does_not_speak_is_named(run):
    said = refused(run, server_context(version=ssl.TLSVersion.TLSv1_2), tls.context("1.3", ca_file()))
    assert said == "TLS handshake: tlsv1 alert protocol version"


def test_insecure_takes_any_certificate(run):
    def client():
        event = yield Connect(address)
        assert isinstance(event, Connected), event

    with tls_peer(lambda connection: None, context=server_context("example.org")) as address:
        _, failures = run(client(), tls.context(insecure=True))
    assert failures == []


def test_an_end_without_close_notify_is_a_failure_and_with_it_none(run):
    seen = []

    def client():
        yield Connect(address)
        event = yield None
        while isinstance(event, Data):
            event = yield None
        seen.append(event)

    def rude(connection):
        connection.sendall(b"x")
        with suppress(OSError):
            connection.shutdown(1)  # a FIN, as a proxy that cuts off would send it

    with tls_peer(rude) as address:
        _, failures = run(client(), tls.context("", ca_file()))
    assert failures == ["ended by the peer without close_notify"]
    assert isinstance(seen[0], Failed)


def test_we_say_goodbye_too(run):
    heard = []

    def client():
        event = yield Connect(address)
        yield Wake(event.at_ns + 20_000_000)

    def script(connection):
        heard.append(connection.recv(1))  # an end without close_notify would raise

    with tls_peer(script) as address:
        run(client(), tls.context("", ca_file()))
    assert heard == [b""]


def test_large_writes_are_queued_and_arrive_whole(run):
    got = bytearray()
    sent = random.Random(1).randbytes(6_000_000)

    def client():
        yield Connect(address)
        event = yield Send(sent), Send(b"end")
        assert isinstance(event, Data), event

    def script(connection):
        time.sleep(0.05)
        while not got.endswith(b"end"):
            got.extend(connection.recv(1 << 16))
        connection.sendall(b"ok")

    with tls_peer(script) as address:
        _, failures = run(client(), tls.context("", ca_file()))
    assert failures == []
    assert bytes(got) == sent + b"end"


def test_session_tickets_are_no_message(run):
    def client():
        event = yield Connect(address)
        event = yield Wake(event.at_ns + 60_000_000)
        assert isinstance(event, Timer), event  # not Data of no bytes, and no end

    with tls_peer(lambda connection: connection.recv(1)) as address:
        _, failures = run(client(), tls.context("1.3", ca_file()))
    assert failures == []


# what a peer of OpenSSL's will not do on request ----------------------------------------------------------------


class Scripted:
    """In place of the TLS object: each call has its own list of answers."""

    def __init__(self, read=(), write=(), pending=()):
        self.answers = {"read": list(read), "write": list(write), "pending": list(pending)}
        self.shut = 0

    def _next(self, name):
        answer = self.answers[name].pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def read(self, size, buffer):
        data = self._next("read")
        buffer[: len(data)] = data
        return len(data)

    def write(self, data):
        return self._next("write")

    def pending(self):
        return self._next("pending") if self.answers["pending"] else 0

    def shutdown(self):
        self.shut += 1
        raise ssl.SSLWantReadError


class Context:
    def __init__(self, scripted):
        self.scripted = scripted

    def _wrap_socket(self, _socket, _server_side, _host):
        return self.scripted


def made(**script):
    return secure.Secure(Context(Scripted(**script)), None, "localhost")


def test_what_is_decrypted_already_is_read_in_the_same_call():
    channel = made(read=[b"one ", b"two ", b"three"], pending=[4, 4, 5, 0])
    buffer = bytearray(100)
    assert channel.receive(buffer) == 13
    assert buffer[:13] == b"one two three"


def test_reading_that_waits_for_writing_says_so_until_it_could():
    channel = made(read=[ssl.SSLWantWriteError(), ssl.SSLWantReadError(), b"x"])
    with pytest.raises(BlockingIOError):
        channel.receive(bytearray(9))
    assert channel.crossed == secure.READ_AWAITS_WRITE
    with pytest.raises(BlockingIOError):
        channel.receive(bytearray(9))
    assert channel.crossed == 0


def test_writing_that_waits_for_reading_says_so_until_it_could():
    channel = made(write=[ssl.SSLWantReadError(), ssl.SSLWantWriteError(), ssl.SSLWantReadError(), 2])
    for crossed in (secure.WRITE_AWAITS_READ, 0, secure.WRITE_AWAITS_READ):
        with pytest.raises(BlockingIOError):
            channel.send(b"ab")
        assert channel.crossed == crossed
    assert channel.send(b"ab") == 2
    assert channel.crossed == 0


def test_a_farewell_waits_for_nobody():
    channel = made()
    channel.close()
    assert channel._object.shut == 1


def test_a_name_that_no_certificate_can_have_is_refused():
    with pytest.raises(ValueError, match="label"):
        secure.Secure(tls.context(insecure=True), None, "x" * 64)
