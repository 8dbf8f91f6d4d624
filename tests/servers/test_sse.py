import contextlib
import json

import pytest

from servers.sse import chunk
from tests.servers.harness import run, serving, until


def live(server, topic="own"):
    return sum(len(form.writes) for form in server.site.feed.topic(topic)._forms.values())


def unchunk(data):
    """Return the body of a chunked answer, and whether the last chunk was there (RFC 9112, section 7.1)."""
    body = b""
    while data:
        size, _, data = data.partition(b"\r\n")
        length = int(size, 16)
        assert data[length : length + 2] == b"\r\n"
        if length == 0:
            return body, data == b"\r\n"
        body, data = body + data[:length], data[length + 2 :]
    return body, False


def events(body):
    """Return the events of a body as (id, data), and its comments; a reader of our own, strict about the lines."""
    got, comments = [], 0
    for block in body.decode().removesuffix("\n\n").split("\n\n"):
        fields = [line.partition(":") for line in block.split("\n")]
        named = {name: value.removeprefix(" ") for name, _, value in fields if name}
        comments += sum(not name for name, _, _ in fields)
        if "data" in named:
            got.append((int(named["id"]), json.loads(named["data"])))
    return got, comments


async def read_until(client, mark):
    return await client.reader.readuntil(mark)


def test_replays_then_stays_live_then_ends_in_good_order(monkeypatch):
    async def test():
        async with serving(monkeypatch, "sse") as server:
            server.publish(250)  # more than one piece of replay
            client = await server.client()
            client.send("GET", "/sse/own?after=0")
            head = await client.head()
            await until(lambda: live(server) == 1)
            server.publish(5)
        body, ended = unchunk(await client.rest())
        assert head.status == 200
        assert head.headers["content-type"] == "text/event-stream"
        assert head.headers["cache-control"] == "no-store"
        assert head.headers["transfer-encoding"] == "chunked"
        assert "content-length" not in head.headers
        assert ended
        assert body.startswith(b"retry: 1000\n\n")
        assert body.count(b"retry:") == 1
        got, _ = events(body)
        assert [seq for seq, _ in got] == list(range(1, 256))
        assert all(event["seq"] == seq and event["topic"] == "own" for seq, event in got)

    run(test)


@pytest.mark.parametrize(
    ("target", "headers", "expected"),
    [
        ("/sse/own", {}, [4]),  # live only
        ("/sse/own?after=2", {}, [3, 4]),
        ("/sse/own", {"Last-Event-ID": "1"}, [2, 3, 4]),
        ("/sse/own?after=0", {"Last-Event-ID": "2"}, [3, 4]),  # the header overrides the old address
        ("/sse/own?after=3", {}, [4]),
    ],
)
def test_where_it_begins(monkeypatch, target, headers, expected):
    async def test():
        async with serving(monkeypatch, "sse") as server:
            server.publish(3)
            client = await server.client()
            client.send("GET", target, **headers)
            await client.head()
            await until(lambda: live(server) == 1)
            server.publish(1)
        got, _ = events(unchunk(await client.rest())[0])
        assert [seq for seq, _ in got] == expected

    run(test)


@pytest.mark.parametrize(
    ("target", "headers", "status", "parameter"),
    [
        ("/sse/own?after=9", {}, 410, "after"),
        ("/sse/own?after=0", {}, 410, "after"),
        ("/sse/own", {"Last-Event-ID": "9"}, 410, "after"),
        ("/sse/own", {"Last-Event-ID": "x"}, 400, "Last-Event-ID"),
        ("/sse/own?after=x", {}, 400, "after"),
        ("/sse/nobody", {}, 404, None),
    ],
)
def test_refusals_come_before_the_stream(monkeypatch, target, headers, status, parameter):
    async def test():
        async with serving(monkeypatch, "sse", "--log-events", "2") as server:
            server.publish(4)
            client = await server.client()
            answer = await client.get(target, **headers)
            assert answer.status == status
            assert answer.json().get("parameter") == parameter
            if status == 410:
                assert (answer.json()["oldest"], answer.json()["newest"]) == (3, 4)
            assert (await client.get("/clock")).status == 200
            assert server.site.counters.total["sse"] == 0

    run(test)


def test_one_encoding_for_all(monkeypatch):
    async def test():
        async with serving(monkeypatch, "sse") as server:
            clients = [await server.client() for _ in range(3)]
            for client in clients:
                client.send("GET", "/sse/t0")
            await until(lambda: live(server, "t0") == 3)
            assert len(server.site.feed.topic("t0")._forms) == 1

    run(test)


def test_http_1_0_gets_bare_lines_until_the_end(monkeypatch):
    async def test():
        async with serving(monkeypatch, "sse") as server:
            server.publish(2)
            client = await server.client()
            client.send("GET", "/sse/own?after=0", version="1.0")
            head = await client.head()
            assert head.headers["connection"] == "close"
            assert "transfer-encoding" not in head.headers
            await until(lambda: live(server) == 1)
        got, _ = events(await client.rest())
        assert [seq for seq, _ in got] == [1, 2]

    run(test)


def test_head_has_no_stream(monkeypatch):
    async def test():
        async with serving(monkeypatch, "sse") as server:
            client = await server.client()
            head = await client.ask("HEAD", "/sse/t0")
            assert head.headers["content-type"] == "text/event-stream"
            assert (await client.get("/clock")).status == 200

    run(test)


def test_heartbeats_come_when_there_is_silence(monkeypatch):
    async def test():
        async with serving(monkeypatch, "sse", "--heartbeat", "0.03") as server:
            client = await server.client()
            client.send("GET", "/sse/t0")
            await client.head()
            for _ in range(2):
                await read_until(client, chunk(b":\n\n"))

    run(test)


def test_no_heartbeat_while_there_are_events(monkeypatch):
    async def test():
        async with serving(monkeypatch, "sse", "--heartbeat", "10") as server:
            now_ns = 1_000
            server.site.feed.clock = lambda: now_ns
            server.publish(1)
            client = await server.client()
            client.send("GET", "/sse/own")
            await until(lambda: live(server) == 1)
            sweep = next(iter(server.site.timers))
            for now_ns in (9_000_000_000, 18_000_000_000, 27_000_000_000):  # noqa: B007 - the clock reads it
                sweep()
                server.publish(1)
            assert b":\n\n" not in await read_until(client, b'data 0"}\n\n\r\n')
            now_ns = 37_000_000_000
            sweep()
            sweep()
            now_ns = 46_000_000_000
            sweep()
        assert (await client.rest()).count(chunk(b":\n\n")) == 1

    run(test)


def test_a_client_that_leaves_is_released_without_a_word(monkeypatch, caplog):
    async def test():
        async with serving(monkeypatch, "sse") as server:
            client = await server.client()
            client.send("GET", "/sse/t0")
            await until(lambda: live(server, "t0") == 1)
            assert server.site.counters.open["sse"] == 1
            client.leave()
            await until(lambda: live(server, "t0") == 0)
            await until(lambda: server.site.counters.open["sse"] == 0)
            assert server.site.counters.total["sse"] == 1

    run(test)
    assert not caplog.records


def test_a_slow_consumer_is_dropped_and_counted(monkeypatch, caplog):
    async def test():
        async with serving(monkeypatch, "sse", "--queue-bytes", "100000", "--log-events", "10") as server:
            slow = await server.client()
            slow.writer.transport.pause_reading()
            slow.send("GET", "/sse/t0")
            await until(lambda: live(server, "t0") == 1)
            topic = server.site.feed.topic("t0")
            for _ in range(2000):  # the kernel's buffers take some megabytes before our queue grows
                topic.publish(1, "x" * 10_000)
            assert server.site.counters.drops["slow_consumer"] == 1
            await until(lambda: live(server, "t0") == 0)

    run(test)
    assert not caplog.records


def test_replay_waits_for_a_slow_reader_instead_of_dropping_it(monkeypatch):
    async def test():
        async with serving(monkeypatch, "sse", "--queue-bytes", "65536", "--log-events", "3000") as server:
            server.site.feed.publish("own", "x")
            topic = server.site.feed.topic("own")
            for _ in range(1500):
                topic.publish(1, "x" * 10_000)
            client = await server.client()
            client.send("GET", "/sse/own?after=0")
            await until(lambda: server.site.counters.bytes_written > 1_000_000)
            data = b""
            while b"id: 1501\n" not in data[-20_000:]:
                data += await client.reader.read(1 << 20)
            assert data.count(b"\nid: ") == 1501
            assert not server.site.counters.drops

    run(test)


def test_a_replay_that_the_log_overtakes_is_cut_and_counted(monkeypatch):
    async def test():
        flags = ("--log-events", "10", "--queue-bytes", str(4 << 20))
        async with serving(monkeypatch, "sse", *flags) as server:
            for _ in range(10):  # more than the kernel's buffers and half of the queue hold
                server.site.feed.publish("own", "x" * (1 << 20))
            client = await server.client()
            client.send("GET", "/sse/own?after=0")
            await client.head()
            client.writer.transport.pause_reading()
            server.publish(10)  # what is missing of the replay has left the log
            client.writer.transport.resume_reading()
            with contextlib.suppress(ConnectionResetError):
                assert b"id: 11\n" not in await client.rest()
            assert server.site.counters.drops == {"overtaken": 1}
            assert live(server) == 0

    run(test)
