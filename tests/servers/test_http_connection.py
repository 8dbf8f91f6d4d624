import asyncio
import socket

import pytest
from aiohttp.http_exceptions import BadHttpMessage, BadStatusLine, LineTooLong

from servers.http_connection import PARTING_NS, _problem_of
from tests.servers.harness import run, serving, until

ASK = b"GET /clock HTTP/1.1\r\nHost: localhost\r\n\r\n"
POST = b"POST /publish/own HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\n"


class Clock:
    """The feed's clock, put forward by hand: no test here waits for a time-out."""

    def __init__(self, server):
        self._server, self._clock, self.ahead_ns = server, server.site.feed.clock, 0
        (self.watch,) = {sweep.__self__ for sweep in server.site.timers if sweep.__name__ == "sweep"}
        self.watch.clock = self

    def __call__(self):
        return self._clock() + self.ahead_ns

    def pass_s(self, seconds):
        self.ahead_ns += round(seconds * 1e9)
        self.watch.sweep()


def drops(server):
    return dict(server.site.counters.drops)


def test_past_the_limit_a_connection_is_told_503_and_closed(monkeypatch):
    async def test():
        async with serving(monkeypatch, "polling", "--connections", "2") as server:
            kept = [await server.client() for _ in range(2)]
            for client in kept:
                assert (await client.get("/clock")).status == 200
            for count in (1, 2):
                refused = await server.client()
                answer = await refused.answer()
                assert (answer.status, answer.headers["retry-after"], answer.headers["connection"]) == (
                    503,
                    "1",
                    "close",
                )
                assert await refused.rest() == b""
                assert drops(server) == {"too_many_connections": count}
            kept.pop().leave()
            await until(lambda: server.site.connections == 1)
            assert (await (await server.client()).get("/clock")).status == 200

    run(test)


def test_the_first_request_has_handshake_s(monkeypatch):
    async def test():
        async with serving(monkeypatch, "polling") as server:
            clock = Clock(server)
            silent, half, done = [await server.client() for _ in range(3)]
            half.writer.write(ASK[:-2])
            assert (await done.get("/clock")).status == 200
            await until(lambda: len(clock.watch.first) == 2)
            clock.pass_s(9.9)
            assert drops(server) == {}
            clock.pass_s(0.2)
            for client in (silent, half):
                answer = await client.answer()
                assert (answer.status, answer.headers["connection"]) == (408, "close")
                assert await client.rest() == b""
            assert drops(server) == {"handshake_timeout": 2}
            assert (await done.get("/clock")).status == 200

    run(test)


@pytest.mark.parametrize("tail", [b"G", ASK[:-2], ASK[:-1]])
@pytest.mark.parametrize("pause", [True, False])
def test_a_later_request_has_request_s_from_its_first_byte(monkeypatch, tail, pause):
    async def test():
        async with serving(monkeypatch, "polling") as server:
            clock = Clock(server)
            client = await server.client()
            client.writer.write(ASK if pause else ASK + tail)  # the beginning may come with the request before it
            assert (await client.answer()).status == 200
            if pause:
                clock.pass_s(100)  # an idle connection owes nothing
                client.writer.write(tail)
            await until(lambda: len(clock.watch.pieces) == 1)
            clock.pass_s(9.9)
            assert drops(server) == {}
            clock.pass_s(0.2)
            assert (await client.answer()).status == 408
            assert await client.rest() == b""
            assert drops(server) == {"request_timeout": 1}

    run(test)


def test_a_request_in_pieces_that_comes_in_time_leaves_nothing_behind(monkeypatch):
    async def test():
        async with serving(monkeypatch, "polling") as server:
            clock = Clock(server)
            client = await server.client()
            for data in (ASK, POST + b"hello"):
                for cut in range(1, len(data)):
                    client.writer.write(data[:cut])
                    await asyncio.sleep(0)
                    client.writer.write(data[cut:])
                    assert (await client.answer()).status in {200, 202}
            assert clock.watch.first == clock.watch.pieces == {}
            clock.pass_s(100)
            assert (await client.get("/clock")).status == 200

    run(test)


def test_an_answer_that_is_being_held_is_not_the_clients_fault(monkeypatch):
    async def test():
        async with serving(monkeypatch, "long_polling") as server:
            clock = Clock(server)
            client = await server.client()
            client.send("GET", "/long-poll/t0?hold=50")
            await until(lambda: server.site.counters.open["long_polling"] == 1)
            client.writer.write(ASK[:10])
            await until(lambda: len(clock.watch.pieces) == 1)
            clock.pass_s(30)
            clock.pass_s(30)
            assert drops(server) == {}
            client.writer.write(ASK[10:])
            await until(lambda: not clock.watch.pieces)

    run(test)


def test_a_body_has_request_s(monkeypatch):
    async def test():
        async with serving(monkeypatch, "polling", "--request", "0.05") as server:
            client = await server.client()
            client.writer.write(POST + b"hel")
            assert (await client.answer()).status == 408
            assert await client.rest() == b""
            assert drops(server) == {"request_timeout": 1}

    run(test)


def test_a_mistake_in_a_body_reaches_the_handler_that_waits_for_it(monkeypatch):
    async def test():
        async with serving(monkeypatch, "polling") as server:
            client = await server.client()
            client.writer.write(POST.replace(b"Content-Length: 5", b"Transfer-Encoding: chunked"))
            await until(lambda: server.site.connections == 1 and not Clock(server).watch.first)
            client.writer.write(b"no size\r\n")
            assert (await client.answer()).status == 400
            assert await client.rest() == b""
            assert drops(server) == {"malformed_http": 1}
            assert "own" not in server.site.feed.topics

    run(test)


def test_who_reads_no_answer_gets_no_other_and_is_cut_off(monkeypatch):
    async def test():
        async with serving(monkeypatch, "polling", "--queue-bytes", "65536") as server:
            clock = Clock(server)
            server.publish(500)
            client = await server.client()
            client.reader._transport.pause_reading()
            client.writer.write(b"GET /poll/own?after=0 HTTP/1.1\r\nHost: localhost\r\n\r\n" * 500)
            await until(lambda: len(clock.watch.stuck) == 1)
            (stuck,) = clock.watch.stuck
            await until(lambda: stuck.waiting)
            assert stuck.unread() < 2 * 65536
            clock.pass_s(0)
            clock.pass_s(9.9)
            assert drops(server) == {}
            clock.pass_s(0.2)
            assert drops(server) == {"slow_consumer": 1}
            await until(lambda: server.site.connections == 0)
            assert stuck.unread() == 0

    run(test)


def test_who_reads_slowly_is_waited_for(monkeypatch):
    async def test():
        async with serving(monkeypatch, "polling", "--queue-bytes", "65536") as server:
            clock = Clock(server)
            server.publish(500)
            with socket.socket() as sock:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
                sock.connect((server.host, server.port))
                sock.setblocking(False)
                sock.send(b"GET /poll/own?after=0 HTTP/1.1\r\nHost: localhost\r\n\r\n" * 500)
                for _ in range(5):
                    await until(lambda: len(clock.watch.stuck) == 1)
                    before = server.site.counters.bytes_written
                    while server.site.counters.bytes_written == before:
                        await asyncio.get_running_loop().sock_recv(sock, 65536)
                    clock.pass_s(9)
            assert drops(server) == {}

    run(test)


def test_an_idle_connection_is_closed_quietly_and_counted(monkeypatch):
    async def test():
        async with serving(monkeypatch, "polling", "--idle", "0.05") as server:
            client = await server.client()
            assert (await client.get("/clock")).status == 200
            assert await client.rest() == b""
            assert drops(server) == {"idle_timeout": 1}

    run(test)


def test_a_refused_client_has_time_to_read_and_no_more(monkeypatch):
    async def test():
        async with serving(monkeypatch, "polling") as server:
            clock = Clock(server)
            client = await server.client()
            client.writer.write(b"GET /" + b"x" * 20_000 + b" HTTP/1.1\r\n")
            assert (await client.answer()).status == 414
            for _ in range(10):  # what still comes is thrown away, and no reset overtakes the answer
                client.writer.write(b"x" * 10_000)
                await client.writer.drain()
            assert len(clock.watch.parting) == 1
            clock.pass_s(PARTING_NS / 1e9 + 0.1)
            await until(lambda: server.site.connections == 0)
            assert clock.watch.parting == {}

    run(test)


def test_so_many_may_part_at_a_time(monkeypatch):
    async def test():
        async with serving(monkeypatch, "polling", "--connections", "1") as server:
            monkeypatch.setattr("servers.http_connection.SPARE_CONNECTIONS", 1)
            clock = Clock(server)
            assert (await (await server.client()).get("/clock")).status == 200
            for _ in range(3):
                refused = await server.client()
                assert (await refused.answer()).status == 503
                assert await refused.rest() == b""
                assert len(clock.watch.parting) == 1

    run(test)


def test_the_end_of_the_server_does_not_wait_for_those_who_were_refused(monkeypatch):
    async def test():
        async with serving(monkeypatch, "polling", "--connections", "1") as server:
            first, second = await server.client(), await server.client()
            assert (await first.get("/clock")).status == 200
            assert (await second.answer()).status == 503
            site = server.site
        assert site.connections == 0

    run(test)


def test_a_refusal_does_not_raise_when_the_client_has_left(monkeypatch, caplog):
    async def test():
        async with serving(monkeypatch, "polling", "--connections", "1") as server:
            kept = await server.client()
            assert (await kept.get("/clock")).status == 200
            for _ in range(50):
                with socket.create_connection((server.host, server.port)) as sock:
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")  # reset on close
            await until(lambda: drops(server) == {"too_many_connections": 50})

    run(test)
    assert caplog.records == []


def test_a_mistake_of_a_handlers_is_a_500_and_closes(monkeypatch, caplog):
    async def broken(request, topic, query):
        raise RuntimeError("ours")

    async def test():
        async with serving(monkeypatch, "polling") as server:
            server.site.routes["/clock"]["GET"] = broken
            client = await server.client()
            assert (await client.get("/clock")).status == 500
            assert await client.rest() == b""

    run(test)
    assert [record.message for record in caplog.records] == ["answering failed"]


@pytest.mark.parametrize(
    ("error", "status", "reason"),
    [
        (LineTooLong(b"GET /x", 101), 414, "target_too_long"),
        (LineTooLong(b"X: x", 100), 431, "header_too_big"),
        (BadHttpMessage("Too many headers received"), 431, "too_many_headers"),
        (BadStatusLine("", "Invalid HTTP version:\n\n  b'GET / HTTP/3.0'\n  ^"), 505, "malformed_http"),
        (BadStatusLine("", "Invalid method encountered:\n\n  b'BREW / HTTP/1.1'\n  ^"), 501, "malformed_http"),
        (BadStatusLine("", "Invalid method encountered:\n\n  b'\\x16\\x03 / HTTP/1.1'\n  ^"), 400, "malformed_http"),
        (BadHttpMessage("Anything else"), 400, "malformed_http"),
    ],
)
def test_what_aiohttp_complains_of_has_its_status(error, status, reason):
    problem = _problem_of(error, 100)
    assert (problem.status, problem.reason) == (status, reason)
    assert "expected" in problem.detail
