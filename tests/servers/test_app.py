import asyncio
import socket
import time
from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from servers import app, options
from servers.responses import Problem
from tests.servers.harness import run, serving


@pytest.mark.parametrize(
    ("method", "target", "status", "allow"),
    [
        ("GET", "/", 404, None),
        ("GET", "/poll", 404, None),
        ("GET", "/poll/", 404, None),
        ("GET", "/poll/t0/x", 404, None),
        ("GET", "/nothing/t0", 404, None),
        ("POST", "/poll/t0", 405, "get, head"),
        ("GET", "/publish/own", 405, "post"),
        ("POST", "/feed", 405, "put"),
        ("OPTIONS", "/health", 405, "get, head"),
    ],
)
def test_paths_and_methods_that_are_not_there(monkeypatch, method, target, status, allow):
    async def test():
        async with serving(monkeypatch, "polling") as server:
            answer = await (await server.client()).ask(method, target)
            assert (answer.status, answer.headers.get("allow")) == (status, allow)
            assert answer.json()["status"] == status
            assert answer.headers["content-type"] == "application/problem+json"

    run(test)


def test_targets_that_say_the_same(monkeypatch):
    async def test():
        async with serving(monkeypatch, "polling") as server:
            server.publish(1)
            client = await server.client()
            for target in (
                "/poll/own?after=0",
                "/poll/%6fwn?after=0",
                "/poll/own?x=&after=%30",
                "http://localhost/poll/own?after=0",
            ):
                assert (await client.get(target)).status == 200

    run(test)


@given(st.text("ab=&;%+41 #", max_size=20))
def test_a_query_means_what_the_standard_library_says(query):
    pairs = parse_qsl(query, keep_blank_values=True)
    if len(dict(pairs)) == len(pairs):
        assert app.parsed(query) == dict(pairs)
    else:
        with pytest.raises(Problem, match="each parameter once"):
            app.parsed(query)


def test_what_is_not_http_gets_400_and_is_counted_not_printed(monkeypatch, caplog):
    async def test():
        async with serving(monkeypatch, "polling") as server:
            for garbage in (b"\x16\x03\x01\x02\x00\r\n\r\n", b"GET / HTTP/1.1\r\nbad header\r\n\r\n"):
                client = await server.client()
                client.writer.write(garbage)
                assert (await client.rest()).startswith(b"HTTP/1.")
            assert server.site.counters.drops["malformed_http"] == 2
            assert (await (await server.client()).get("/clock")).status == 200

    run(test)
    assert not caplog.records


def test_ready_says_where_and_what(monkeypatch):
    async def test():
        async with serving(monkeypatch, "polling", "sse") as server:
            assert server.ready["transports"] == ["polling", "sse"]
            assert server.ready["ready"] is True
            assert server.ready["tcp"] is None
            assert server.host == "127.0.0.1"

    run(test)


def test_without_control_the_feed_runs_at_once():
    async def test():
        settings = options.parse(["polling", "--port", "0", "--rate", "1000"])
        async with app.serve(settings) as ready:
            reader, writer = await asyncio.open_connection("127.0.0.1", int(str(ready["http"]).rsplit(":", 1)[1]))
            answer = b""
            while b"200 OK" not in answer:
                writer.write(b"GET /poll/t0?after=0 HTTP/1.1\r\nHost: localhost\r\n\r\n")
                answer = await reader.read(65536)
            writer.close()

    run(test)


def test_a_port_in_use_is_named():
    async def test():
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            with pytest.raises(OSError, match=f"--port {port}: .*in use.*expected a free port"):
                async with app.serve(options.parse(["polling", "--port", str(port)])):
                    pass

    run(test)


class Hello(asyncio.Protocol):
    def connection_made(self, transport):
        transport.write(b"hello")
        transport.close()


def test_a_transport_may_have_a_tcp_port_and_hooks(monkeypatch):
    ended = []

    async def goodbye():
        ended.append(True)

    async def never():
        await asyncio.sleep(3600)

    class Module:
        @staticmethod
        def mount(site, name):
            site.listen(Hello)
            site.on_close(goodbye)
            site.on_close(never)

    async def test():
        settings = options.parse(["polling", "--port", "0", "--control"])
        settings.modules = {"hello": Module}
        async with app.serve(settings) as ready:
            host, port = str(ready["tcp"]).split(":")
            reader, writer = await asyncio.open_connection(host, int(port))
            assert await reader.read() == b"hello"
            writer.close()
            before = time.monotonic()
        assert ended == [True]
        assert time.monotonic() - before < 5  # not for ever, whatever a hook does

    run(test)


def test_a_hook_that_fails_is_reported_and_the_end_goes_on(monkeypatch, caplog):
    async def broken():
        raise RuntimeError("ours")

    async def test():
        async with serving(monkeypatch, "polling") as server:
            server.site.on_close(broken)

    run(test)
    assert [record.message for record in caplog.records] == ["closing failed"]


def test_a_server_started_again_has_the_same_log_before_it_listens(monkeypatch):
    logs = []

    async def test():
        epoch_ns = time.monotonic_ns() - 2 * 10**9
        argv = ("polling", "--rate", "50", "--epoch-ns", str(epoch_ns), "--stop-ns", str(epoch_ns + 10**9))
        for _ in range(2):
            async with serving(monkeypatch, *argv) as server:
                events = (await (await server.client()).get("/poll/t0?after=0")).json()["events"]
                logs.append([(event["seq"], event["due_ns"], event["data"]) for event in events])

    run(test)
    assert logs[0] == logs[1]
    assert len(logs[0]) > 20


def test_a_server_started_again_goes_on_with_the_schedule(monkeypatch):
    async def test():
        argv = ("polling", "--rate", "200", "--epoch-ns", str(time.monotonic_ns() - 10**9))
        async with serving(monkeypatch, *argv) as server:
            client = await server.client()
            held = server.site.feed.topic("t0").newest
            assert held > 50
            while server.site.feed.topic("t0").newest == held:
                assert (await client.get("/clock")).status == 200

    run(test)
