import json

import pytest

from servers.polling import matches
from tests.servers.harness import run, serving


def test_cursor_gives_what_is_new(monkeypatch):
    async def test():
        async with serving(monkeypatch, "polling") as server:
            client = await server.client()
            server.publish(3)
            answer = await client.get("/poll/own?after=0")
            assert answer.status == 200
            assert answer.headers["content-type"] == "application/json"
            assert answer.headers["cache-control"] == "no-store"
            assert "etag" not in answer.headers
            assert answer.json()["last"] == 3
            assert [event["seq"] for event in answer.json()["events"]] == [1, 2, 3]
            assert [event["data"] for event in answer.json()["events"]] == ["data 0", "data 1", "data 2"]

            nothing = await client.get("/poll/own?after=3")
            assert nothing.status == 204
            assert "content-length" not in nothing.headers  # RFC 9110, section 8.6
            assert nothing.headers["cache-control"] == "no-store"

            some = (await client.get("/poll/own?after=0&limit=2")).json()
            assert (some["last"], len(some["events"])) == (2, 2)

    run(test)


@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        ("after=-1", "after"),
        ("after=x", "after"),
        ("after=", "after"),
        ("after=%31x", "after"),
        ("after=0&limit=0", "limit"),
    ],
)
def test_bad_parameters_are_named(monkeypatch, query, parameter):
    async def test():
        async with serving(monkeypatch, "polling") as server:
            server.publish(1)
            answer = await (await server.client()).get(f"/poll/own?{query}")
            assert answer.status == 400
            assert answer.headers["content-type"] == "application/problem+json"
            problem = answer.json()
            assert problem["parameter"] == parameter
            assert problem["status"] == 400
            assert "whole number" in problem["expected"]

    run(test)


@pytest.mark.parametrize("after", [0, 1, 7])
def test_outside_the_log_is_gone_and_says_what_is_held(monkeypatch, after):
    async def test():
        async with serving(monkeypatch, "polling", "--log-events", "3") as server:
            server.publish(6)
            answer = await (await server.client()).get(f"/poll/own?after={after}")
            assert answer.status == 410
            assert (answer.json()["oldest"], answer.json()["newest"]) == (4, 6)

    run(test)


def test_latest_state_and_its_tag(monkeypatch):
    async def test():
        async with serving(monkeypatch, "polling") as server:
            client = await server.client()
            assert (await client.get("/poll/t0")).status == 204  # scheduled, nothing yet
            server.publish(3)
            answer = await client.get("/poll/own")
            assert answer.status == 200
            assert answer.headers["etag"] == '"3"'
            assert answer.headers["cache-control"] == "no-cache"
            assert [event["seq"] for event in answer.json()["events"]] == [3]

            same = await client.get("/poll/own", If_None_Match='"2", W/"3"')
            assert same.status == 304
            assert same.headers["etag"] == '"3"'
            assert same.body == b""
            server.publish(1)
            newer = await client.get("/poll/own", If_None_Match='"3"')
            assert (newer.status, newer.headers["etag"]) == (200, '"4"')

    run(test)


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("*", True), (" * ", True), ('"17"', True), ('W/"17"', True), ('"1", "17"', True), ('"1","2" , W/"17"', True),
        ('"1"', False), ('"171"', False), ("17", False), ('"1,17"', False), ("", False), ('w/"17', False),
    ],
)  # fmt: skip
def test_if_none_match(header, expected):
    assert matches(header, "17") is expected


def test_head_is_get_without_the_body(monkeypatch):
    async def test():
        async with serving(monkeypatch, "polling") as server:
            client = await server.client()
            server.publish(2)
            for target in ("/poll/own?after=0", "/poll/own", "/poll/own?after=2"):
                get = await client.get(target)
                head = await client.ask("HEAD", target)
                del get.headers["date"], head.headers["date"]
                assert (head.status, head.headers) == (get.status, get.headers)
            assert (await client.get("/poll/own?after=0")).status == 200  # nothing was left over on the wire

    run(test)


def test_connections_are_kept_or_closed_as_asked(monkeypatch):
    async def test():
        async with serving(monkeypatch, "polling") as server:
            server.publish(1)
            for version, wish, header, kept in (
                ("1.1", "", None, True),
                ("1.1", "close", "close", False),
                ("1.0", "", "close", False),
                ("1.0", "keep-alive", "keep-alive", True),
            ):
                client = await server.client()
                headers = {"Connection": wish} if wish else {}
                answer = await client.ask("GET", "/poll/own?after=0", version=version, **headers)
                assert (answer.status, answer.headers.get("connection")) == (200, header)
                if kept:
                    assert (await client.get("/poll/own?after=1")).status == 204
                else:
                    assert await client.rest() == b""

    run(test)


def test_pipelined_requests_are_answered_in_order(monkeypatch):
    async def test():
        async with serving(monkeypatch, "polling") as server:
            server.publish(20)
            client = await server.client()
            for after in range(20):
                client.send("GET", f"/poll/own?after={after}&limit=1")
            lasts = [(await client.answer()).json()["last"] for _ in range(20)]
            assert lasts == list(range(1, 21))

    run(test)


def test_an_answer_holds_at_most_so_many_events(monkeypatch):
    async def test():
        async with serving(monkeypatch, "polling", "--log-events", "5000") as server:
            server.publish(1500)
            answer = await (await server.client()).get("/poll/own?after=0&limit=9999")
            assert answer.json()["last"] == server.site.limits.poll_events == 1000
            assert len(json.dumps(answer.json())) > 1000

    run(test)
