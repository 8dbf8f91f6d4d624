"""STOMP over both carriers and real sockets: cut anywhere, closed in good order."""

import asyncio
import json
import socket
import ssl
import struct

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from servers.stomp import OverTcp
from servers.stomp_frames import Decoder, Frame
from servers.websocket_connection import CLOSE_NS
from tests.servers.fakes import Clock, Transport, make_site
from tests.servers.harness import Server, run, serving, until
from tests.servers.test_upgrade import HANDSHAKE

CONNECT = b"CONNECT\naccept-version:1.2\nhost:test\n\n\0"
SUBSCRIBE = b"SUBSCRIBE\nid:0\ndestination:/topic/own\nafter:0\nreceipt:r\n\n\0"


class Peer:
    """A STOMP client over either carrier."""

    def __init__(self, send, receive, close) -> None:
        self.send = send
        self.close = close
        self.code: int | None = None  # of the close frame
        self.receive = receive
        self._decoder = Decoder()
        self._frames: list[Frame] = []

    async def frame(self) -> Frame | None:
        """The next frame, None at the end."""
        while not self._frames:
            data = await self.receive()
            if not data:
                return None
            self._frames += self._decoder.feed(data)
        return self._frames.pop(0)

    async def commands(self) -> list[str]:
        """What comes until the end."""
        commands = []
        while (frame := await self.frame()) is not None:
            commands.append(frame.command)
        return commands


async def over_tcp(server: Server) -> Peer:
    host, port = str(server.ready["tcp"]).rsplit(":", 1)
    tls = server.ready["tls"]
    context = ssl.create_default_context(cafile=tls["ca_file"]) if tls else None
    reader, writer = await asyncio.open_connection(host, int(port), ssl=context)

    async def send(data):
        writer.write(data)
        await asyncio.sleep(0)

    async def close():
        writer.close()

    return Peer(send, lambda: reader.read(1000), close)


async def over_websocket(server: Server) -> Peer:
    socket = await connect(f"ws://{server.host}:{server.port}/stomp", subprotocols=["v12.stomp"], ping_interval=None)

    async def receive():
        try:
            message = await socket.recv()
        except ConnectionClosed as closed:
            peer.code = closed.rcvd.code
            return b""
        assert isinstance(message, str)
        assert message.count("\0") <= 1, "one frame per message"
        return message.encode()

    peer = Peer(socket.send, receive, socket.close)
    return peer


CARRIERS = pytest.mark.parametrize(
    ("name", "dial"), [("stomp_tcp", over_tcp), ("stomp_websocket", over_websocket)], ids=["tcp", "websocket"]
)


@CARRIERS
@pytest.mark.parametrize("cut", [None, 1, 7])
def test_replay_live_and_goodbye_however_it_is_cut(monkeypatch, name, dial, cut):
    async def test():
        async with serving(monkeypatch, name) as server:
            server.publish(150)
            peer = await dial(server)
            wire = CONNECT + b"\n" + SUBSCRIBE
            for start in range(0, len(wire), cut or len(wire)):
                await peer.send(wire[start : start + (cut or len(wire))])
            assert (await peer.frame()).headers["version"] == "1.2"
            assert await peer.frame() == Frame("RECEIPT", {"receipt-id": "r"})
            frames = [await peer.frame() for _ in range(150)]
            assert [frame.headers["message-id"] for frame in frames] == [f"own-{seq}" for seq in range(1, 151)]
            server.publish(1)
            frame = await peer.frame()
            assert frame.body == server.site.feed.topic("own").latest().json
            await peer.send(b"DISCONNECT\nreceipt:bye\n\n\0")
            assert await peer.frame() == Frame("RECEIPT", {"receipt-id": "bye"})
            assert await peer.frame() is None
            await peer.close()
            await until(lambda: not server.site.counters.open[name])
            assert server.site.counters.total[name] == 1
            assert server.site.counters.drops == {}

    run(test)


@pytest.mark.parametrize("argv", [["stomp_tcp"], ["stomp_tcp", "--tls"], ["stomp_websocket"]], ids=" ".join)
def test_an_error_arrives_even_when_more_is_on_its_way(monkeypatch, argv):
    async def test():
        async with serving(monkeypatch, *argv) as server:
            peer = await (over_websocket if "stomp_websocket" in argv else over_tcp)(server)
            await peer.send(CONNECT + b"WRONG\n\n\0" + b"SEND\ndestination:/topic/own\n\nx\0" * 1000)
            assert await peer.commands() == ["CONNECTED", "ERROR"]
            await peer.close()
            assert server.site.counters.drops == {"protocol_error": 1}

    run(test)


@pytest.mark.parametrize(
    ("said", "code"),
    [
        (b"WRONG\n\n\0", 1002),
        (b"SEND\ncontent-length:99999\n\n\0", 1009),
        (b"SEND\n" + b"x" * 20_000, 1009),
        (b"".join(b"BEGIN\ntransaction:%d\n\n\0" % number for number in range(101)), 1008),
        (b"SEND\ndestination:/topic/a\n\n\0SEND\ndestination:/topic/b\n\n\0", 1013),
        (b"DISCONNECT\n\n\0", 1000),
    ],
)
def test_a_websocket_closes_with_the_code_that_says_why(monkeypatch, said, code):
    async def test():
        async with serving(monkeypatch, "stomp_websocket", "--published-topics", "1") as server:
            peer = await over_websocket(server)
            await peer.send(CONNECT + said)
            assert await peer.commands() == ["CONNECTED", "ERROR"][: 1 + (code != 1000)]
            assert peer.code == code

    run(test)


@CARRIERS
def test_who_never_says_connect_hears_an_error(monkeypatch, name, dial):
    async def test():
        async with serving(monkeypatch, name, "--handshake", "0.05") as server:
            peer = await dial(server)
            assert await peer.commands() == ["ERROR"]
            assert peer.code in (1008, None)
            assert server.site.counters.drops == {"handshake_timeout": 1}
            await peer.close()

    run(test)


def test_a_connection_too_many_hears_an_error_and_is_not_counted_as_one(monkeypatch):
    async def test():
        async with serving(monkeypatch, "stomp_tcp", "--connections", "1") as server:
            first = await over_tcp(server)
            await first.send(CONNECT)
            assert (await first.frame()).command == "CONNECTED"
            second = await over_tcp(server)
            await second.send(CONNECT)
            answer = await second.frame()
            assert "more than 1 connections" in answer.headers["message"]
            assert await second.frame() is None
            assert server.site.counters.total["stomp_tcp"] == 1
            assert server.site.counters.drops == {"too_many_connections": 1}
            await first.close()
            await until(lambda: not server.site.connections)
            third = await over_tcp(server)
            await third.send(CONNECT)
            assert (await third.frame()).command == "CONNECTED"
            await third.close()

    run(test)


@pytest.mark.parametrize(("half", "ends"), [(True, "eof"), (False, "close")])
@pytest.mark.parametrize(
    ("said", "drops"), [(b"WRONG\n\n\0", {"protocol_error": 1}), (b"DISCONNECT\n\n\0", {"close_timeout": 1})]
)
def test_a_connection_lingers_for_a_short_time(half, ends, said, drops):
    async def test():
        clock, transport, standing = Clock(), Transport(half=half), set()
        site = make_site(clock)
        connection = OverTcp(site, standing)
        connection.connection_made(transport)
        assert standing == {connection}
        connection.data_received(CONNECT + said)
        assert transport.ended == [ends]
        connection.close()  # a shutdown meanwhile changes nothing
        connection.sweep(clock.pass_s(CLOSE_NS / 1e9 - 1))
        connection.data_received(b"SEND\ndestination:/topic/own\n\nx\0")
        assert transport.ended == [ends]
        connection.sweep(clock.pass_s(1))
        assert transport.ended == [ends, "abort"]
        assert site.counters.drops == drops  # who has got an ERROR is counted for that alone
        connection.connection_lost(None)
        assert (standing, site.connections, site.counters.open["stomp_tcp"]) == (set(), 0, 0)
        assert "own" not in site.feed.topics

    run(test)


@CARRIERS
def test_a_server_that_ends_flushes_and_closes_without_an_error(monkeypatch, name, dial):
    async def test():
        async with serving(monkeypatch, name) as server:
            server.publish(1)
            peer = await dial(server)
            await peer.send(CONNECT + SUBSCRIBE)
            assert (await peer.frame()).command == "CONNECTED"
            commands = asyncio.ensure_future(_commands_then_close(peer))
            await until(lambda: server.site.feed.topic("own")._forms)
            server.publish(2)
        assert await commands == ["RECEIPT", "MESSAGE", "MESSAGE", "MESSAGE"]
        assert server.site.counters.open[name] == 0

    run(test)


async def _commands_then_close(peer: Peer) -> list[str]:
    commands = await peer.commands()
    await peer.close()
    return commands


@CARRIERS
def test_heart_beats_arrive(monkeypatch, name, dial):
    async def test():
        async with serving(monkeypatch, name, "--heartbeat", "0.02") as server:
            peer = await dial(server)
            await peer.send(b"CONNECT\naccept-version:1.2\nhost:test\nheart-beat:0,1\n\n\0")
            assert (await peer.frame()).command == "CONNECTED"
            for _ in range(2):
                assert set(await peer.receive()) == {ord("\n")}
            await peer.close()

    run(test)


def test_the_upgrade_needs_a_subprotocol_we_share(monkeypatch):
    async def test():
        async with serving(monkeypatch, "stomp_websocket") as server:
            client = await server.client()
            assert (await client.get("/stomp", **HANDSHAKE)).status == 400
            answer = await client.get("/stomp", **HANDSHAKE, Sec_WebSocket_Protocol="mqtt")
            assert answer.status == 400
            assert answer.json()["parameter"] == "Sec-WebSocket-Protocol"
            client.send("GET", "/stomp", **HANDSHAKE, Sec_WebSocket_Protocol="v10.stomp, v11.stomp")
            answer = await client.head()
            assert (answer.status, answer.headers["sec-websocket-protocol"]) == (101, "v11.stomp")
            client.leave()

    run(test)


def test_a_tcp_client_that_leaves_is_forgotten(monkeypatch):
    async def test():
        async with serving(monkeypatch, "stomp_tcp") as server:
            server.publish(1)
            peer = await over_tcp(server)
            await peer.send(CONNECT + SUBSCRIBE)
            assert (await peer.frame()).command == "CONNECTED"
            await peer.close()
            await until(lambda: not server.site.counters.open["stomp_tcp"])
            server.publish(1)
            assert server.site.counters.drops == {}

    run(test)


@pytest.mark.parametrize(
    "argv",
    [["stomp_tcp"], ["stomp_tcp", "--tls"], ["stomp_websocket"], ["stomp_websocket", "--no-deflate"]],
    ids=" ".join,
)
def test_a_flood_is_carried_out_and_others_have_their_turn(monkeypatch, argv):
    """Everything sent counts, in order, and meanwhile the loop goes round."""
    rounds = 0

    async def count():
        nonlocal rounds
        while True:
            await asyncio.sleep(0)
            rounds += 1

    async def test():
        async with serving(monkeypatch, *argv) as server:
            peer = await (over_websocket if "stomp_websocket" in argv else over_tcp)(server)
            counting = asyncio.ensure_future(count())
            await peer.send(CONNECT)
            for first in range(0, 6000, 2000):  # 2000 frames in a message
                frames = (b"SEND\ndestination:/topic/own\n\n%d\0" % number for number in range(first, first + 2000))
                await peer.send(b"".join(frames))
            await peer.send(b"DISCONNECT\nreceipt:r\n\n\0")
            assert await peer.commands() == ["CONNECTED", "RECEIPT"]
            counting.cancel()
            topic = server.site.feed.topic("own")
            assert topic.newest == 6000
            assert [json.loads(event.json)["data"] for event in topic.since(5990)] == [
                str(n) for n in range(5990, 6000)
            ]
            assert server.site.counters.drops == {}
            assert rounds > 6
            await peer.close()

    run(test)


@pytest.mark.parametrize("last", [b"", b"DISCONNECT\n\n\0", b"WRONG\n\n\0"])
def test_a_peer_that_resets_is_no_error_of_ours(monkeypatch, caplog, last):
    async def test():
        async with serving(monkeypatch, "stomp_tcp") as server:
            reader, writer = await asyncio.open_connection(*str(server.ready["tcp"]).rsplit(":", 1))
            writer.write(CONNECT)
            await reader.readuntil(b"\0")
            sock = writer.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # a reset instead of an end
            writer.write(last)
            writer.transport.abort()
            # the server closes before it has seen that, or after
        assert server.site.counters.open["stomp_tcp"] == 0

    run(test)
    assert caplog.records == []
