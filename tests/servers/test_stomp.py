"""STOMP over both carriers and real sockets: cut anywhere, closed in good order."""

import asyncio

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from servers.stomp_frames import Decoder, Frame
from tests.servers.harness import Server, run, serving, until
from tests.servers.test_upgrade import HANDSHAKE

CONNECT = b"CONNECT\naccept-version:1.2\nhost:test\n\n\0"
SUBSCRIBE = b"SUBSCRIBE\nid:0\ndestination:/topic/own\nafter:0\nreceipt:r\n\n\0"


class Peer:
    """A STOMP client over either carrier."""

    def __init__(self, send, receive, close) -> None:
        self.send = send
        self.close = close
        self._receive = receive
        self._decoder = Decoder()
        self._frames: list[Frame] = []

    async def frame(self) -> Frame | None:
        """The next frame, None at the end."""
        while not self._frames:
            data = await self._receive()
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
    reader, writer = await asyncio.open_connection(host, int(port))

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
        except ConnectionClosed:
            return b""
        assert isinstance(message, str)
        assert message.count("\0") <= 1, "one frame per message"
        return message.encode()

    return Peer(socket.send, receive, socket.close)


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


@CARRIERS
def test_an_error_arrives_even_when_more_is_on_its_way(monkeypatch, name, dial):
    async def test():
        async with serving(monkeypatch, name) as server:
            peer = await dial(server)
            await peer.send(CONNECT + b"WRONG\n\n\0" + b"SEND\ndestination:/topic/own\n\nx\0" * 1000)
            assert await peer.commands() == ["CONNECTED", "ERROR"]
            await peer.close()

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


def test_heart_beats_arrive(monkeypatch):
    async def test():
        async with serving(monkeypatch, "stomp_tcp", "--heartbeat", "0.02") as server:
            host, port = str(server.ready["tcp"]).rsplit(":", 1)
            reader, writer = await asyncio.open_connection(host, int(port))
            writer.write(b"CONNECT\naccept-version:1.2\nhost:test\nheart-beat:0,1\n\n\0")
            await reader.readuntil(b"\0")
            assert await reader.readexactly(2) == b"\n\n"
            writer.close()

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
