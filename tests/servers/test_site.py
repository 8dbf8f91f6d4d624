import asyncio
from types import SimpleNamespace

import pytest

from servers.feed import Feed, FeedSettings
from servers.responses import CLOSED, KEPT, Problem
from servers.schedule import Schedule
from servers.site import MAX_SEQ, Limits, Site, whole_number


def make_site():
    return Site(Feed(FeedSettings(Schedule("poisson", 1.0))), Limits(), SimpleNamespace())


def request(written, keep_alive=True, task=None):
    transport = SimpleNamespace(write=written.append) if written is not None else None
    return SimpleNamespace(transport=transport, keep_alive=keep_alive, task=task, method="GET", version=(1, 1))


@pytest.mark.parametrize(("value", "number"), [("0", 0), ("17", 17), ("0017", 17), (str(MAX_SEQ), MAX_SEQ)])
def test_whole_numbers(value, number):
    assert whole_number({"after": value}, "after") == number
    assert whole_number({}, "after") is None


@pytest.mark.parametrize("value", ["", "-1", "+1", "1.0", " 1", "1_0", "²", "٣", str(MAX_SEQ + 1), "9" * 5000])
def test_what_is_no_whole_number(value):
    with pytest.raises(Problem) as caught:
        whole_number({"after": value}, "after")
    assert caught.value.status == 400
    assert caught.value.members["parameter"] == "after"
    assert len(caught.value.detail) < 400


def test_send_counts_and_says_whether_the_connection_is_kept():
    site, written = make_site(), []
    assert site.send(request(written), b"abc") is KEPT
    assert site.send(request(written, keep_alive=False), b"de") is CLOSED
    assert written == [b"abc", b"de"]
    assert site.counters.bytes_written == 5


def test_a_client_that_has_left_is_no_error():
    site = make_site()
    site.send(request(None), b"abc")
    assert site.counters.bytes_written == 0


def test_a_connection_is_counted_once_and_until_it_ends():
    async def test():
        site = make_site()
        task = asyncio.ensure_future(asyncio.sleep(0.01))
        for _ in range(3):
            site.met("polling", request([], task=task))
        assert (site.counters.open["polling"], site.counters.total["polling"]) == (1, 1)
        await task
        await asyncio.sleep(0)
        assert (site.counters.open["polling"], site.counters.total["polling"]) == (0, 1)

    asyncio.run(test())


def test_every_goes_on_until_it_is_cancelled():
    async def test():
        site, calls = make_site(), []

        def sweep():
            calls.append(1)

        site.every(0.001, sweep)
        while len(calls) < 3:  # noqa: ASYNC110 - a callback has no event to set
            await asyncio.sleep(0.001)
        site.timers[sweep].cancel()
        seen = len(calls)
        await asyncio.sleep(0.01)
        assert len(calls) == seen

    asyncio.run(asyncio.wait_for(test(), 10))
