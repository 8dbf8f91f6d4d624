"""Taking a connection over: refusals while it is HTTP, nothing lost at the switch, a goodbye at the end."""

import argparse

import pytest

from servers import upgrade
from servers.websocket_deflate import Settings
from servers.websocket_frames import PING, PONG
from tests.servers.harness import Client, run, serving
from tests.servers.test_websocket_frames import masked

HANDSHAKE = {
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec_WebSocket_Key": "dGhlIHNhbXBsZSBub25jZQ==",
    "Sec_WebSocket_Version": "13",
}


async def read_frame(client: Client) -> tuple[int, bytes]:
    """One server frame: its first byte and its payload."""
    first, size = await client.reader.readexactly(2)
    assert size < 0x80, "a server must not mask"
    if size == 126:
        size = int.from_bytes(await client.reader.readexactly(2), "big")
    elif size == 127:
        size = int.from_bytes(await client.reader.readexactly(8), "big")
    return first, await client.reader.readexactly(size)


def parse(*argv: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    upgrade.arguments(parser)
    upgrade.arguments(parser)  # the second transport over WebSocket
    return parser.parse_args(argv)


def test_settings_of_the_command_line():
    assert upgrade.deflate_settings(parse()) == Settings()
    assert parse().deflate
    assert not parse("--no-deflate").deflate
    flags = ("--deflate-level 1 --deflate-memory-level 9 --deflate-window-bits 9 --deflate-client-window-bits 8 "
             "--deflate-no-context-takeover --deflate-min-bytes 0")  # fmt: skip
    assert upgrade.deflate_settings(parse(*flags.split())) == Settings(
        1, 9, 9, 8, no_context_takeover=True, min_bytes=0
    )


@pytest.mark.parametrize("flag", ["--deflate-window-bits=8", "--deflate-memory-level=10", "--deflate-level=0"])
def test_settings_that_zlib_has_not(flag, capsys):
    with pytest.raises(SystemExit):
        parse(flag)


def test_refusals_are_problems_and_the_connection_stays_http(monkeypatch):
    async def test():
        async with serving(monkeypatch, "websocket") as server:
            client = await server.client()
            answer = await client.get("/ws/t0", **(HANDSHAKE | {"Sec_WebSocket_Version": "8"}))
            assert answer.status == 426
            assert answer.headers["upgrade"] == "websocket"
            assert answer.headers["connection"] == "upgrade"
            assert answer.headers["sec-websocket-version"] == "13"
            assert answer.json()["parameter"] == "Sec-WebSocket-Version"
            answer = await client.get("/ws/t0", **(HANDSHAKE | {"Sec_WebSocket_Key": "short"}))
            assert answer.status == 400
            assert answer.headers["content-type"] == "application/problem+json"
            assert (answer.json()["parameter"], answer.json()["value"]) == ("Sec-WebSocket-Key", "short")
            assert (await client.get("/ws/t0")).status == 426
            assert (await client.get("/ws/unknown", **HANDSHAKE)).status == 404
            assert (await client.get("/ws/t0?after=x", **HANDSHAKE)).status == 400
            assert (await client.ask("POST", "/ws/t0", **HANDSHAKE)).status == 405
            client.send("GET", "/ws/t0", version="1.0", **HANDSHAKE)
            assert (await client.answer()).status == 400
            assert server.site.counters.total["websocket"] == 0

    run(test)


@pytest.mark.parametrize("early", [0, 1, 3, 100])
def test_frames_that_come_with_the_request_are_heard(monkeypatch, early):
    frame = masked(PING, b"early")

    async def test():
        async with serving(monkeypatch, "websocket") as server:
            client = await server.client()
            client.send("GET", "/ws/t0", **HANDSHAKE)
            client.writer.write(frame[:early])
            answer = await client.head()
            assert (answer.status, answer.headers["sec-websocket-accept"]) == (
                101,
                "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=".lower(),
            )
            client.writer.write(frame[early:])
            assert await read_frame(client) == (0x80 | PONG, b"early")
            client.leave()

    run(test)


def test_a_server_that_ends_says_going_away_and_waits_for_the_answer(monkeypatch):
    async def test():
        async with serving(monkeypatch, "websocket") as server:
            client = await server.client()
            client.send("GET", "/ws/t0", **HANDSHAKE)
            await client.head()
            client.writer.write(masked(8, b"\x03\xe9"))  # crosses with the server's
        rest = await client.rest()
        assert rest[0] == 0x88
        assert rest[2:4] == (1001).to_bytes(2, "big")
        assert server.site.counters.open["websocket"] == 0

    run(test)


def test_a_client_that_leaves_is_forgotten(monkeypatch):
    async def test():
        async with serving(monkeypatch, "websocket") as server:
            client = await server.client()
            client.send("GET", "/ws/t0", **HANDSHAKE)
            await client.head()
            client.leave()
            other = await server.client()
            while (await other.get("/stats")).json()["connections"]["websocket"]["open"]:
                pass
            assert server.site.counters.drops == {}

    run(test)
