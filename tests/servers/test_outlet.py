import asyncio
from types import SimpleNamespace

import pytest

from servers.feed import GoneError, Topic
from servers.outlet import REPLAY_EVENTS, Outlet
from servers.site import Counters, Limits
from tests.servers import fakes


class Transport:
    """A connection whose client reads when the test says so."""

    def __init__(self):
        self.queue = []
        self.read = []
        self.aborted = False

    def write(self, data):
        self.queue.append(data)

    def get_write_buffer_size(self):
        return sum(map(len, self.queue))

    def abort(self):
        self.aborted = True
        self.queue.clear()

    def drain(self):
        self.read += self.queue
        self.queue.clear()


def outlet(queue_bytes=1000):
    site = SimpleNamespace(counters=Counters(), limits=Limits(queue_bytes=queue_bytes))
    return Outlet(site, Transport()), site.counters


def seq(event):
    return b"%d," % event.seq


def filled(number, log_events=10_000):
    topic = Topic("own", log_events, scheduled=False)
    for _ in range(number):
        topic.publish(1, "x")
    return topic


def test_writes_and_counts():
    out, counters = outlet()
    out.write(b"abc")
    out.write(b"de")
    assert out.transport.queue == [b"abc", b"de"]
    assert counters.bytes_written == 5


def test_a_full_queue_is_aborted_once_and_then_takes_nothing_more():
    out, counters = outlet(queue_bytes=5)
    out.write(b"12345")
    assert not out.transport.aborted
    out.write(b"6")
    assert out.transport.aborted
    out.write(b"7")
    out.drop("again")
    assert out.transport.queue == []
    assert dict(counters.drops) == {"slow_consumer": 1}


def follow(out, topic, after):
    return out.follow(topic, after, "form", seq)


@pytest.mark.parametrize(("after", "first"), [(None, 4), (3, 4), (1, 2), (0, 1)])
def test_follow_replays_and_goes_live(after, first):
    async def test():
        out, _ = outlet()
        topic = filled(3)
        cancel = await follow(out, topic, after)
        topic.publish(1, "x")
        cancel()
        topic.publish(1, "x")
        assert b"".join(out.transport.queue) == b"".join(b"%d," % number for number in range(first, 5))

    asyncio.run(test())


def test_replay_waits_for_the_client_and_misses_nothing_meanwhile():
    async def test():
        out, counters = outlet(queue_bytes=1000)
        topic = filled(3 * REPLAY_EVENTS)
        task = asyncio.ensure_future(follow(out, topic, 0))
        while not task.done():
            await asyncio.sleep(0.001)
            assert out.transport.get_write_buffer_size() <= 1000
            if topic.newest < 3 * REPLAY_EVENTS + 50:
                topic.publish(1, "x")
            out.transport.drain()
        topic.publish(1, "x")
        out.transport.drain()
        assert b"".join(out.transport.read) == b"".join(b"%d," % number for number in range(1, topic.newest + 1))
        assert not counters.drops

    asyncio.run(asyncio.wait_for(test(), 10))


def test_a_log_that_overtakes_the_client_is_gone():
    async def test():
        out, _ = outlet(queue_bytes=1000)
        topic = filled(20, log_events=20)
        task = asyncio.ensure_future(out.follow(topic, 0, "form", lambda event: b"x" * 200))
        await asyncio.sleep(0.01)
        for _ in range(30):
            topic.publish(1, "x")
        out.transport.drain()
        with pytest.raises(GoneError):
            await task

    asyncio.run(asyncio.wait_for(test(), 10))


def test_a_cursor_outside_the_log_is_gone_at_once():
    async def test():
        out, _ = outlet()
        with pytest.raises(GoneError):
            await follow(out, filled(3), 4)
        assert out.transport.queue == []

    asyncio.run(test())


@pytest.mark.parametrize(
    ("half", "error", "ended"), [(True, None, ["eof"]), (False, None, ["close"]), (True, OSError, ["abort"])]
)
def test_the_end_of_our_half(half, error, ended):
    transport = fakes.Transport(half=half)
    if error is not None:

        def write_eof():
            raise error

        transport.write_eof = write_eof
    Outlet(fakes.make_site(fakes.Clock()), transport).finish()
    assert transport.ended == ended
