"""Every client against every fitting server: real sockets, reads of every size, connections that are cut."""

import itertools
import json
import random
import socket
import struct
import subprocess
import sys
import threading
import zlib
from contextlib import contextmanager, suppress
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

import pytest

from loadtests.clients import Address, Close, Connect, Eof, Failed, Subscriber, Wake
from loadtests.drivers.blocking import Rows, run
from loadtests.transports import TRANSPORTS

READS = {"whole": lambda: 256 * 1024, "bytewise": lambda: 1, "1 to 7": lambda: random.randint(1, 7)}
# What a codec may stumble over: quotes, line ends, several bytes a character, beyond the BMP; three lengths of frames.
TEXTS = ['"quoted" \\', "grüße\r\n\x00\u2028", "\U0001f600", "x" * 130, "y" * 3000]
COUNT = 30
TOPICS = (f"test{i}" for i in itertools.count())


@pytest.fixture(scope="module")
def server():
    command = [sys.executable, "-m", "servers", "all", "--port", "0", "--tcp-port", "0", "--control"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        yield json.loads(process.stdout.readline())
        process.terminate()
    assert process.returncode == 0


def publish(server, topic, seqs):
    for seq in seqs:
        rest = f",{json.dumps({'text': TEXTS[seq % len(TEXTS)]}, ensure_ascii=False)[1:]}"
        data = f'{{"crc32":"{zlib.crc32(f"{topic}|{seq}|{rest}".encode()):08x}"{rest}'
        request = Request(f"{server['http']}/publish/{topic}", data.encode(), method="POST")
        with urlopen(request, timeout=5) as response:
            assert json.load(response) == {"seq": seq}


def address_of(server, transport):
    if transport.scheme == "tcp":
        host, _, port = server["tcp"].rpartition(":")
        return Address(host, int(port))
    url = urlsplit(server["http"])
    return Address(url.hostname, url.port)


def client_of(transport, address, topic, **options):
    module = transport.module()
    if transport.name == "polling":
        options = {"interval_s": 0.005, "limit": 4} | options
    path = transport.path.format(topic=topic)
    return module.client(Subscriber(0, topic, 0, address, path), module.Options(**options))


def received(rows):
    return [row[3] for row in rows.deliveries]


@pytest.mark.parametrize("read", READS)
@pytest.mark.parametrize("name", TRANSPORTS)
def test_a_backlog_and_what_follows_live_arrive_whole_and_in_order(server, name, read):
    transport, topic, rows = TRANSPORTS[name], next(TOPICS), Rows()
    publish(server, topic, range(1, 11))
    to_come = iter(range(11, COUNT + 1))
    asked_for = [10]

    def until():
        while len(rows.deliveries) >= asked_for[-1] and (seq := next(to_come, None)):
            publish(server, topic, [seq])
            asked_for.append(seq)
        return len(rows.deliveries) >= COUNT

    client = client_of(transport, address_of(server, transport), topic)
    outcome = run(client, rows, until=until, timeout_s=10, read_bytes=READS[read])
    assert received(rows) == list(range(1, COUNT + 1))
    assert outcome.failures == ()
    assert {row[:3] for row in rows.deliveries} == {(0, 0, 0)}
    assert all(row[4] <= row[5] <= row[6] for row in rows.deliveries)  # due, sent, received
    (connection,) = rows.connections
    assert connection.subscribed_ns >= connection.started_ns
    assert bool(rows.responses) == transport.pulls
    assert sum(row[4] for row in rows.responses) == (COUNT if transport.pulls else 0)


@pytest.mark.parametrize("read", READS)
@pytest.mark.parametrize("name", TRANSPORTS)
def test_cut_connections_are_resumed_without_loss_or_repeat(server, name, read):
    transport, topic, rows = TRANSPORTS[name], next(TOPICS), Rows()
    publish(server, topic, range(1, COUNT + 1))
    with cutting(address_of(server, transport), 1500, 5000, 9000) as address:
        client = hurried(client_of(transport, address, topic))
        run(client, rows, until=lambda: len(rows.deliveries) >= COUNT, timeout_s=10, read_bytes=READS[read])
    assert received(rows) == list(range(1, COUNT + 1))
    assert len(rows.connections) == 4
    if not transport.pulls:  # (a pull's answer that was cut is asked for again, whole)
        assert len({row[1] for row in rows.deliveries}) >= 2  # a reset may take with it what was not read yet


@pytest.mark.parametrize("mode", ["cursor", "latest"])
def test_polling_without_keep_alive(server, mode):
    topic, rows = next(TOPICS), Rows()
    publish(server, topic, range(1, 11))
    client = client_of(
        TRANSPORTS["polling"], address_of(server, TRANSPORTS["polling"]), topic, keep_alive=False, mode=mode
    )
    outcome = run(client, rows, until=lambda: len(rows.responses) == 5, timeout_s=10)
    assert outcome.failures == ()
    assert received(rows) == (list(range(1, 11)) if mode == "cursor" else [10])
    statuses = [row[3] for row in rows.responses]
    assert statuses == ([200, 200, 200, 204, 204] if mode == "cursor" else [200, 304, 304, 304, 304])
    assert [row.why for row in rows.connections][:4] == ["answered"] * 4
    if rows.connections[0].bytes_up is not None:
        assert [row.bytes_up for row in rows.connections[:4]] == [row[5] for row in rows.responses[:4]]
        assert [row.bytes_down for row in rows.connections[:4]] == [row[6] for row in rows.responses[:4]]


@contextmanager
def cutting(target, *limits):
    """A relay before ``target`` that cuts its n-th connection after so many bytes, by RST and FIN in turn."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve():
            for k, limit in enumerate((*limits, 10**9)):
                try:
                    near, _ = listener.accept()
                except OSError:
                    return
                with near, socket.create_connection((target.host, target.port)) as far:
                    up = threading.Thread(target=pump, args=(near, far), daemon=True)
                    up.start()
                    pump(far, near, limit)
                    if k % 2 == 0 and limit < 10**9:
                        near.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    for end in (far, near):
                        with suppress(OSError):
                            end.shutdown(socket.SHUT_RD)
                    up.join(2)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield Address("127.0.0.1", listener.getsockname()[1])
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
    thread.join(2)


def pump(source, sink, limit=10**9):
    with suppress(OSError):
        while limit and (data := source.recv(min(limit, 65536))):
            sink.sendall(data)
            limit -= len(data)
    if limit:  # the source has ended, or the sink is gone: so is the other
        with suppress(OSError):
            sink.shutdown(socket.SHUT_RDWR)


def hurried(client):
    """The same client, with its pauses before reconnecting cut short."""
    command, pausing = next(client), False
    while True:
        several = command if type(command) is tuple else (command,)
        pausing = (pausing or any(isinstance(one, Close) for one in several)) and not any(
            isinstance(one, Connect) for one in several
        )
        event = yield tuple(Wake(1) if pausing and isinstance(one, Wake) else one for one in several)
        pausing = pausing or isinstance(event, Eof | Failed)
        try:
            command = client.send(event)
        except StopIteration:
            return
