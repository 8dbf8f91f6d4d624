import json
import time

import pytest

from tests.servers.harness import run, serving


def test_health_clock_and_stats(monkeypatch):
    async def test():
        async with serving(monkeypatch, "polling", "--topics", "2", "--rate", "5", "--seed", "3") as server:
            client = await server.client()
            health = (await client.get("/health")).json()
            assert health["ready"] is True
            assert health["contract"] == 1
            assert health["transports"] == ["polling"]
            assert health["limits"]["log_events"] == 10_000
            assert health["feed"] == {
                "state": "waiting", "epoch_ns": None, "stop_ns": None, "topics": 2, "schedule": "poisson",
                "rate_hz": 5.0, "payload_bytes": 256, "seed": 3,
            }  # fmt: skip

            before_ns = time.monotonic_ns()
            clock = await client.get("/clock")
            assert before_ns <= clock.json()["now_ns"] <= time.monotonic_ns()
            assert clock.headers["cache-control"] == "no-store"

            server.publish(2)
            await client.get("/poll/own?after=0")
            await client.get("/poll/own?after=0")
            stats = (await client.get("/stats")).json()
            assert stats["published"] == {"t0": 0, "t1": 0, "own": 2}
            assert stats["connections"] == {"polling": {"open": 1, "total": 1}}
            assert stats["bytes_written"] > 500
            assert stats["drops"] == {}

    run(test)


def test_publish(monkeypatch):
    async def test():
        async with serving(monkeypatch, "polling", "--published-topics", "1") as server:
            client = await server.client()
            first = await client.ask("POST", "/publish/own", "grüße".encode())
            assert (first.status, first.json()) == (202, {"seq": 1})
            assert (await client.ask("POST", "/publish/own", b"x")).json() == {"seq": 2}
            assert (await client.get("/poll/own?after=0")).json()["events"][0]["data"] == "grüße"

            assert (await client.ask("POST", "/publish/t0", b"x")).status == 409
            assert (await client.ask("POST", "/publish/a%20b", b"x")).status == 400
            full = await client.ask("POST", "/publish/other", b"x")
            assert (full.status, full.headers["retry-after"]) == (429, "60")
            binary = await client.ask("POST", "/publish/own", b"\xff")
            assert (binary.status, binary.json()["parameter"]) == (400, "body")
            assert (await (await server.client()).ask("POST", "/publish/own", b"x" * 70_000)).status == 413

    run(test)


def test_expect_100_continue(monkeypatch):
    async def test():
        async with serving(monkeypatch, "polling") as server:
            client = await server.client()
            client.writer.write(
                b"POST /publish/own HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nExpect: 100-continue\r\n\r\n"
            )
            assert await client.reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
            client.writer.write(b"x")
            assert (await client.answer()).status == 202

    run(test)


async def put(client, wish):
    return await client.ask("PUT", "/feed", wish if isinstance(wish, bytes) else json.dumps(wish).encode())


def test_put_feed_starts_it_once(monkeypatch):
    async def test():
        async with serving(monkeypatch, "polling", "--rate", "1000") as server:
            client = await server.client()
            epoch_ns = (await client.get("/clock")).json()["now_ns"] + 10_000_000
            answer = await put(client, {"epoch_ns": epoch_ns, "stop_ns": epoch_ns + 50_000_000})
            assert answer.status == 200
            assert (answer.json()["epoch_ns"], answer.json()["stop_ns"]) == (epoch_ns, epoch_ns + 50_000_000)
            while (await client.get("/health")).json()["feed"]["state"] != "stopped":
                pass
            events = (await client.get("/poll/t0?after=0")).json()["events"]
            plan = server.site.feed.settings.schedule
            assert [event["due_ns"] for event in events] == [
                epoch_ns + plan.offset("t0", seq) for seq in range(1, len(events) + 1)
            ]
            assert epoch_ns + plan.offset("t0", len(events) + 1) >= epoch_ns + 50_000_000
            assert (await put(client, {"epoch_ns": epoch_ns + 10**12})).status == 409

    run(test)


@pytest.mark.parametrize(
    ("wish", "parameter"),
    [
        ({}, "epoch_ns"),
        ({"epoch_ns": -(10**13)}, "epoch_ns"),
        ({"epoch_ns": True}, "epoch_ns"),
        ({"epoch_ns": 1e18}, "epoch_ns"),
        ({"epoch_ns": "1"}, "epoch_ns"),
        ({"epoch_ns": 1 << 63}, "epoch_ns"),
        ({"epoch_ns": 1 << 62, "stop_ns": 1 << 62}, "stop_ns"),
        ({"epoch_ns": 1 << 62, "stop_ns": 1}, "stop_ns"),
        ([], "body"),
        (b"{", "body"),
        (b"\xff", "body"),
        (b"[" * 3000, "body"),
    ],
)
def test_put_feed_says_what_is_wrong(monkeypatch, wish, parameter):
    async def test():
        async with serving(monkeypatch, "polling") as server:
            client = await server.client()
            answer = await put(client, wish)
            assert (answer.status, answer.json()["parameter"]) == (400, parameter)
            assert (await client.get("/health")).json()["feed"]["state"] == "waiting"

    run(test)


def test_an_epoch_in_the_past_is_answered_when_the_log_has_caught_up(monkeypatch):
    async def test():
        async with serving(monkeypatch, "polling", "--topics", "20", "--rate", "100") as server:
            client = await server.client()
            epoch_ns = time.monotonic_ns() - 3 * 10**9
            assert (await put(client, {"epoch_ns": epoch_ns, "stop_ns": epoch_ns + 2 * 10**9})).status == 200
            plan = server.site.feed.settings.schedule
            for topic in ("t0", "t19"):
                events = (await client.get(f"/poll/{topic}?after=0")).json()["events"]
                assert [event["due_ns"] - epoch_ns for event in events] == [
                    plan.offset(topic, seq) for seq in range(1, len(events) + 1)
                ]
                assert plan.offset(topic, len(events) + 1) >= 2 * 10**9

    run(test)


def test_an_epoch_with_more_events_behind_it_than_can_be_caught_up_with(monkeypatch):
    async def test():
        async with serving(monkeypatch, "polling", "--topics", "1000", "--rate", "1000") as server:
            answer = await put(await server.client(), {"epoch_ns": time.monotonic_ns() - 2 * 10**9})
            assert (answer.status, answer.json()["parameter"]) == (400, "epoch_ns")

    run(test)
