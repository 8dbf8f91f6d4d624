import asyncio
import time

import pytest

from tests.servers.harness import run, serving, until


def subscribers(server, topic="own"):
    return sum(len(form.writes) for form in server.site.feed.topic(topic)._forms.values())


def test_answers_at_once_when_something_is_pending(monkeypatch):
    async def test():
        async with serving(monkeypatch, "long_polling") as server:
            server.publish(3)
            answer = await (await server.client()).get("/long-poll/own?after=1&hold=30")
            assert answer.status == 200
            assert answer.headers["cache-control"] == "no-store"
            assert [event["seq"] for event in answer.json()["events"]] == [2, 3]
            assert answer.json()["last"] == 3

    run(test)


def test_holds_until_there_is_an_event_and_encodes_it_once(monkeypatch):
    async def test():
        async with serving(monkeypatch, "long_polling") as server:
            server.publish(1)
            clients = [await server.client() for _ in range(5)]
            for client in clients:
                client.send("GET", "/long-poll/own?after=1&hold=30")
            await until(lambda: subscribers(server) == 5)
            assert len(server.site.feed.topic("own")._forms) == 1
            server.publish(1)
            assert subscribers(server) == 0
            for client in clients:
                answer = await client.answer()
                assert (answer.status, answer.json()["last"], len(answer.json()["events"])) == (200, 2, 1)
                # the connection is good for the next poll
                assert (await client.get("/long-poll/own?after=2&hold=0")).status == 204

    run(test)


def test_without_after_only_what_comes(monkeypatch):
    async def test():
        async with serving(monkeypatch, "long_polling") as server:
            server.publish(3)
            client = await server.client()
            client.send("GET", "/long-poll/own?hold=30")
            await until(lambda: subscribers(server) == 1)
            server.publish(1)
            assert [event["seq"] for event in (await client.answer()).json()["events"]] == [4]

    run(test)


def test_hold_runs_out_not_early(monkeypatch):
    async def test():
        async with serving(monkeypatch, "long_polling") as server:
            server.publish(1)
            client = await server.client()
            before = time.monotonic()
            answer = await client.get("/long-poll/own?after=1&hold=0.05")
            assert answer.status == 204
            assert answer.headers["cache-control"] == "no-store"
            assert time.monotonic() - before >= 0.05
            assert subscribers(server) == 0

    run(test)


def test_hold_is_capped_and_health_names_the_cap(monkeypatch):
    async def test():
        async with serving(monkeypatch, "long_polling", "--max-hold", "0.02") as server:
            server.publish(1)
            client = await server.client()
            assert (await client.get("/long-poll/own?after=1&hold=60")).status == 204
            assert (await client.get("/long-poll/own?after=1")).status == 204
            assert (await client.get("/health")).json()["limits"]["hold_max_s"] == 0.02

    run(test)


def test_prefer_wait_is_applied_and_says_so(monkeypatch):
    async def test():
        async with serving(monkeypatch, "long_polling", "--max-hold", "1") as server:
            server.publish(1)
            client = await server.client()
            nothing = await client.get("/long-poll/own?after=1", Prefer="respond-async, wait=0")
            assert (nothing.status, nothing.headers["preference-applied"]) == (204, "wait=0")
            pending = await client.get("/long-poll/own?after=0", Prefer="WAIT = 9")
            assert (pending.status, pending.headers["preference-applied"]) == (200, "wait=1")
            client.send("GET", "/long-poll/own?after=1", Prefer='wait="1"')
            await until(lambda: subscribers(server) == 1)
            server.publish(1)
            assert (await client.answer()).headers["preference-applied"] == "wait=1"
            both = await client.get("/long-poll/own?after=2&hold=0", Prefer="wait=1")
            assert "preference-applied" not in both.headers
            garbled = await client.get("/long-poll/own?after=1&hold=0", Prefer="await=0")
            assert "preference-applied" not in garbled.headers

    run(test)


@pytest.mark.parametrize("hold", ["x", "-1", "nan", "inf", ""])
def test_bad_hold(monkeypatch, hold):
    async def test():
        async with serving(monkeypatch, "long_polling") as server:
            answer = await (await server.client()).get(f"/long-poll/t0?after=0&hold={hold}")
            assert (answer.status, answer.json()["parameter"]) == (400, "hold")

    run(test)


def test_a_client_that_leaves_is_released_without_a_word(monkeypatch, caplog):
    async def test():
        async with serving(monkeypatch, "long_polling") as server:
            server.publish(1)
            client = await server.client()
            client.send("GET", "/long-poll/own?after=1&hold=30")
            await until(lambda: subscribers(server) == 1)
            client.leave()
            await until(lambda: subscribers(server) == 0)
            await until(lambda: server.site.counters.open["long_polling"] == 0)
            server.publish(1)

    run(test)
    assert not caplog.records


def test_head_is_not_held(monkeypatch):
    async def test():
        async with serving(monkeypatch, "long_polling") as server:
            answer = await (await server.client()).ask("HEAD", "/long-poll/t0?after=0&hold=30")
            assert answer.status == 204

    run(test)


def test_gone(monkeypatch):
    async def test():
        async with serving(monkeypatch, "long_polling") as server:
            answer = await (await server.client()).get("/long-poll/t0?after=5")
            assert (answer.status, answer.json()["newest"]) == (410, 0)

    run(test)


def test_the_end_answers_everybody(monkeypatch):
    async def test():
        async with serving(monkeypatch, "long_polling") as server:
            server.publish(1)
            client = await server.client()
            client.send("GET", "/long-poll/own?after=1&hold=30")
            await until(lambda: subscribers(server) == 1)
            rest = asyncio.ensure_future(client.rest())
        head = await rest
        assert head.startswith(b"HTTP/1.1 204 No Content\r\n")
        assert b"\r\nConnection: close\r\n" in head

    run(test)


def test_connection_close_is_a_wire_form_of_its_own(monkeypatch):
    async def test():
        async with serving(monkeypatch, "long_polling") as server:
            server.publish(1)
            kept, closed = await server.client(), await server.client()
            kept.send("GET", "/long-poll/own?after=1&hold=30")
            closed.send("GET", "/long-poll/own?after=1&hold=30", Connection="close")
            await until(lambda: subscribers(server) == 2)
            server.publish(1)
            assert "connection" not in (await kept.answer()).headers
            assert (await closed.answer()).headers["connection"] == "close"
            assert await closed.rest() == b""

    run(test)
