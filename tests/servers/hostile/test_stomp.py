"""STOMP and hostile peers, on both carriers: each is told what is wrong, counted and closed; nobody else notices."""

import socket
import subprocess
import sys
import time

import psutil
import pytest

from servers.stomp_frames import Decoder
from tests.servers.hostile.rig import SUBSCRIBERS, Server, until
from tests.servers.hostile.stomp_stage import Tcp, Web, drops, masked, open_now, watched
from tests.servers.hostile.stomp_table import ARGV, BELOW, FIRST, SUBSCRIBE, TABLE, WELCOME, C, Hostile

GROWTH_BYTES = 32 << 20  # for all of the table together: it holds 100 events of each topic, and fragments
MANY = 10_000


@pytest.fixture(scope="module")
def running():
    with watched(*ARGV, growth_bytes=GROWTH_BYTES) as server:
        peer = Tcp(server)
        peer.send(C + FIRST + b"DISCONNECT\n\n\0")  # now /topic/own is there
        peer.end()
        yield server


def since(running: Server, before: dict[str, int]) -> dict[str, int]:
    """What was counted after ``before``."""
    return {reason: more for reason, now in drops(running).items() if (more := now - before.get(reason, 0))}


def check_refusal(running: Server, peer: Tcp, row: Hostile, before: dict[str, int]) -> None:
    data, code = peer.end()
    *others, error = Decoder(version="1.1").feed(data.lstrip(b"\n"))
    assert error.command == "ERROR"
    assert row.message in error.body.decode()
    assert {frame.command for frame in others} <= {"CONNECTED", "MESSAGE"}
    assert code == (row.code if isinstance(peer, Web) else None)
    assert since(running, before) == {row.reason: 1}


@pytest.mark.parametrize("carrier", [Tcp, Web], ids=["tcp", "websocket"])
@pytest.mark.parametrize("row", TABLE, ids=[row.name for row in TABLE])
def test_table(running, carrier, row):
    before = drops(running)
    peer = carrier(running)
    for piece in row.said if isinstance(row.said, list) else [row.said]:
        if isinstance(piece, bytes):
            if piece:
                peer.send(piece)
        else:
            time.sleep(piece)
    check_refusal(running, peer, row, before)


def test_the_table_is_long_enough():
    assert len({row.name for row in TABLE}) == len(TABLE) >= 25


@pytest.mark.parametrize(("said", "code"), [row[1:] for row in BELOW], ids=[row[0] for row in BELOW])
def test_below_stomp(running, said, code):
    peer = Web(running)
    peer.raw(said)
    assert peer.end() == (b"", code)


@pytest.mark.parametrize("said", [row[1] for row in WELCOME], ids=[row[0] for row in WELCOME])
def test_what_is_welcome(running, said):
    before = drops(running)
    peer = Web(running)
    peer.raw(said + masked(1, b"DISCONNECT\nreceipt:r\n\n\0"))
    data, code = peer.end()
    commands = [frame.command for frame in Decoder().feed(data.replace(b"ping", b""))]
    assert (commands, code) == (["CONNECTED", "RECEIPT"], 1000)
    assert since(running, before) == {}


@pytest.mark.parametrize("subprotocol", ["", "mqtt", "v13.stomp", "V12.STOMP"])
def test_the_upgrade_needs_a_subprotocol_of_ours(running, subprotocol):
    peer = Web(running, subprotocol)
    assert peer.status == 400
    peer.sock.close()


@pytest.mark.parametrize("carrier", [Tcp, Web], ids=["tcp", "websocket"])
def test_who_never_reads_is_dropped(running, carrier):
    before = drops(running)
    peer = carrier(running)
    peer.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    peer.send(C + FIRST + SUBSCRIBE + b"\n\0")
    peer.sock.settimeout(1)
    try:
        while not since(running, before):
            peer.send((FIRST[:-2] + b"x" * 3900 + b"\0") * 10)  # its own events come back
    except TimeoutError:
        pass  # it was dropped in the middle of that
    until(lambda: since(running, before) == {"slow_consumer": 1}, "the drop")
    peer.sock.close()


@pytest.mark.parametrize("carrier", [Tcp, Web], ids=["tcp", "websocket"])
def test_who_promised_heart_beats_and_is_silent_is_dropped(running, carrier):
    before = drops(running)
    peer = carrier(running)
    peer.send(C.replace(b"host:h\n", b"host:h\nheart-beat:100,0\n"))
    data, code = peer.end()
    assert (data.count(b"CONNECTED"), data.count(b"ERROR"), code) == (1, 0, None)
    assert since(running, before) == {"heartbeat_timeout": 1}


def test_a_flood_of_frames_is_carried_out(running):
    before = drops(running)
    peer = Tcp(running)
    peer.send(C + FIRST * 5000 + b"DISCONNECT\nreceipt:r\n\n\0")
    data, _ = peer.end()
    assert [frame.command for frame in Decoder().feed(data)] == ["CONNECTED", "RECEIPT"]
    assert since(running, before) == {}


def test_a_connection_too_many_is_told_so():
    with watched("--connections", str(SUBSCRIBERS + 3), growth_bytes=GROWTH_BYTES) as running:
        # To ask for /stats would take a connection, too. A descriptor is closed after its connection has been counted.
        descriptors = psutil.Process(running.process.pid).num_fds
        alone = descriptors()
        peers = [Tcp(running) for _ in range(3)]
        for peer in peers:
            peer.send(C)
            assert peer.sock.recv(9) == b"CONNECTED"
        late = Tcp(running)
        assert b"try again later" in late.end()[0]
        for peer in peers:
            peer.send(b"DISCONNECT\n\n\0")
            peer.end()
        until(lambda: descriptors() == alone, "the subscribers alone")
        assert drops(running) == {"too_many_connections": 1}


SILENT = """
import socket, sys
peers = [socket.create_connection((sys.argv[1], int(sys.argv[2]))) for _ in range(int(sys.argv[3]))]
print("there", flush=True)
answers = [b"".join(iter(lambda: peer.recv(4096), b"")) for peer in peers]
print(sum(b"no CONNECT within" in answer for answer in answers))
"""


def test_ten_thousand_connections_that_send_nothing():
    with watched("--handshake", "5", "--connections", "15000", growth_bytes=128 << 20) as running:
        command = [sys.executable, "-c", SILENT, *map(str, running.ports["tcp"]), str(MANY)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as silent:
            assert silent.stdout.readline() == "there\n"
            assert int(silent.stdout.readline()) == MANY
        assert drops(running) == {"handshake_timeout": MANY}
        until(lambda: open_now(running) == SUBSCRIBERS, "the subscribers alone")
