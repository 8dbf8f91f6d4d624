from tests.servers.harness import run, serving, until


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
                assert server.site.counters.drops["too_many_connections"] == count
            kept.pop().leave()
            await until(lambda: server.site.connections == 1)
            assert (await (await server.client()).get("/clock")).status == 200

    run(test)
