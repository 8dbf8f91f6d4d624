"""The WebSocket transport over real sockets; the other side is the websockets library, an implementation of its own."""

import asyncio
import json

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory

from servers.websocket_frames import PING
from tests.servers.harness import run, serving, until
from tests.servers.test_tls import trusting
from tests.servers.test_upgrade import HANDSHAKE


def url(server, topic="own", after=None):
    return f"ws://{server.host}:{server.port}/ws/{topic}" + ("" if after is None else f"?after={after}")


async def seqs(socket, count):
    return [json.loads(await socket.recv())["seq"] for _ in range(count)]


async def closed(socket) -> tuple[int, str]:
    """What the server closes with, whatever it says before."""
    try:
        while True:
            await socket.recv()
    except ConnectionClosed as end:
        return end.rcvd.code, end.rcvd.reason


def subscribed(server, count=1):
    return until(lambda: server.site.counters.open["websocket"] == count)


@pytest.mark.parametrize(
    ("flags", "extension"),
    [
        ("", None),
        ("", ClientPerMessageDeflateFactory()),
        ("", ClientPerMessageDeflateFactory(server_no_context_takeover=True, client_no_context_takeover=True)),
        ("", ClientPerMessageDeflateFactory(server_max_window_bits=9, client_max_window_bits=True)),
        ("--deflate-window-bits 15", ClientPerMessageDeflateFactory(client_max_window_bits=9)),
        ("--deflate-no-context-takeover --deflate-memory-level 9", ClientPerMessageDeflateFactory()),
        ("--no-deflate", ClientPerMessageDeflateFactory()),
    ],
)
def test_replay_live_and_resume_are_the_same_however_it_is_compressed(monkeypatch, flags, extension):
    async def test():
        extensions = [extension] if extension else None
        async with serving(monkeypatch, "websocket", "--deflate-min-bytes", "0", *flags.split()) as server:
            server.publish(150)
            async with connect(url(server, after=0), compression=None, extensions=extensions) as socket:
                agreed = extension is not None and flags != "--no-deflate"
                assert len(socket.protocol.extensions) == agreed
                assert await seqs(socket, 150) == list(range(1, 151))
                server.publish(3)
                assert await seqs(socket, 3) == [151, 152, 153]
                await socket.send("Grüße")  # compressed on its way up, if agreed
                event = json.loads(await socket.recv())
                assert (event["seq"], event["data"]) == (154, "Grüße")
            async with connect(url(server, after=152), compression=None, extensions=extensions) as socket:
                assert await seqs(socket, 2) == [153, 154]

    run(test)


def test_one_event_reaches_every_subscriber_in_its_own_form(monkeypatch):
    async def test():
        async with serving(monkeypatch, "websocket") as server:
            server.publish(1)
            forms = [None, "deflate", None, "deflate"]
            sockets = [await connect(url(server), compression=form) for form in forms]
            await subscribed(server, 4)
            server.publish(2)
            assert [await seqs(socket, 2) for socket in sockets] == [[2, 3]] * 4
            for socket in sockets:
                await socket.close()
            assert (await closed(sockets[0]))[0] == 1000

    run(test)


def test_a_cursor_outside_the_log_closes_with_4410(monkeypatch):
    async def test():
        async with serving(monkeypatch, "websocket", "--log-events", "10") as server:
            server.publish(20)
            for after in (9, 21):
                async with connect(url(server, after=after)) as socket:
                    assert await closed(socket) == (4410, "oldest=11 newest=20")
            async with connect(url(server, after=10)) as socket:
                assert await seqs(socket, 10) == list(range(11, 21))

    run(test)


@pytest.mark.parametrize(
    ("topic", "message", "refusal"),
    [
        ("t0", "x", (1008, "policy_violation")),
        ("own", b"x", (1003, "unsupported_data")),
        ("own", "x" * 1001, (1009, "message_too_big")),
        ("own", "é" * 501, (1009, "message_too_big")),  # bytes, not characters
    ],
)
@pytest.mark.parametrize("limit", ["--publish-bytes", "--message-bytes"])
def test_what_cannot_be_published_closes(monkeypatch, limit, topic, message, refusal):
    code, counted = refusal

    async def test():
        async with serving(monkeypatch, "websocket", limit, "1000") as server:
            server.publish(1)
            async with connect(url(server, topic)) as socket:
                await socket.send(message)
                got, reason = await closed(socket)
                assert (got, bool(reason)) == (code, True)
            assert server.site.counters.drops == {counted: 1}
            assert server.site.feed.topic("own").newest == 1

    run(test)


def test_pings_go_both_ways(monkeypatch):
    async def test():
        async with (
            serving(monkeypatch, "websocket", "--heartbeat", "0.02") as server,
            connect(url(server, "t0"), ping_interval=None) as socket,
        ):
            await (await socket.ping(b"payload"))
            opcodes = []
            take = socket.protocol.recv_frame

            def spy(frame):
                opcodes.append(frame.opcode)
                take(frame)

            monkeypatch.setattr(socket.protocol, "recv_frame", spy)
            await until(lambda: PING in opcodes)

    run(test)


def test_a_slow_consumer_is_dropped_and_counted(monkeypatch):
    async def test():
        async with serving(monkeypatch, "websocket", "--queue-bytes", "65536") as server:
            server.publish(1)
            client = await server.client()
            client.send("GET", "/ws/own", **HANDSHAKE)
            await client.head()
            client.writer.transport.pause_reading()
            for _ in range(300):  # more than the kernel's buffers hold
                server.site.feed.publish("own", "x" * 60_000)
            assert server.site.counters.drops == {"slow_consumer": 1}
            await until(lambda: not server.site.counters.open["websocket"])

    run(test)


def test_a_replay_that_the_log_overtakes_ends_with_4410(monkeypatch):
    async def test():
        flags = ("--log-events", "10", "--queue-bytes", str(4 << 20))
        async with serving(monkeypatch, "websocket", *flags) as server:
            for _ in range(10):  # more than the kernel's buffers and half of the queue hold
                server.site.feed.publish("own", "x" * (1 << 20))
            client = await server.client()
            client.send("GET", "/ws/own?after=0", **HANDSHAKE)
            await client.head()
            client.writer.transport.pause_reading()
            await asyncio.sleep(0.05)
            server.publish(10)
            client.writer.transport.resume_reading()
            data = b""
            while not data.endswith((4410).to_bytes(2, "big") + b"oldest=11 newest=20"):
                data = data[-30:] + await client.reader.read(1 << 20)
            assert server.site.counters.drops == {"overtaken": 1}

    run(test)


def test_refusals_and_slow_consumers_over_tls(monkeypatch):
    async def test():
        async with serving(monkeypatch, "websocket", "--tls", "--queue-bytes", "65536") as server:
            server.publish(1)
            drops, tls = server.site.counters.drops, trusting(server.ready)
            address = url(server).replace("ws", "wss", 1)
            for message, code, counted in (("x" * 70_000, 1009, "message_too_big"), (b"x", 1003, "unsupported_data")):
                async with connect(address, ssl=tls) as socket:
                    await socket.send(message)
                    assert (await closed(socket))[0] == code
                assert drops[counted] == 1
            client = await server.client(tls)
            client.send("GET", "/ws/own", **HANDSHAKE)
            await client.head()
            client.writer.transport.pause_reading()
            for _ in range(300):  # more than the kernel's buffers hold
                server.site.feed.publish("own", "x" * 60_000)
                await asyncio.sleep(0)
            assert drops["slow_consumer"] == 1
            await until(lambda: not server.site.counters.open["websocket"])

    run(test)
