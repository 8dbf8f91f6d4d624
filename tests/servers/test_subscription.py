"""Replay, live, and an end in the middle of either."""

import asyncio

import pytest

from servers.feed import GoneError
from servers.outlet import REPLAY_EVENTS, Outlet
from servers.subscription import Subscription
from tests.servers.fakes import Clock, Transport, make_site


class Case:
    def __init__(self, published: int = 0, log_events: int = 1000) -> None:
        self.site = make_site(Clock(), log_events=log_events)
        self.transport = Transport()
        self.outlet = Outlet(self.site, self.transport)
        self.gone: list[GoneError] = []
        self.publish(max(published, 1))
        self.topic = self.site.feed.topic("own")

    def publish(self, count: int) -> None:
        for _ in range(count):
            self.site.feed.publish("own", "data")

    def subscribe(self, after: int | None) -> Subscription:
        return Subscription(
            self.outlet, self.topic, after, "form", lambda event: b"%d " % event.seq, overtaken=self.gone.append
        )

    @property
    def seqs(self) -> list[int]:
        return [int(seq) for seq in self.transport.written.split()]


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


@pytest.mark.parametrize("after", [None, 3])
def test_nothing_to_replay_is_live_at_once_and_without_a_loop(after):
    case = Case(3)
    subscription = case.subscribe(after)
    case.publish(2)
    assert case.seqs == [4, 5]
    subscription.end()
    subscription.end()
    case.publish(1)
    assert case.seqs == [4, 5]


def test_replay_then_live():
    async def test():
        case = Case(3 * REPLAY_EVENTS)
        subscription = case.subscribe(0)
        case.publish(1)
        await settle()
        case.publish(1)
        assert case.seqs == list(range(1, 3 * REPLAY_EVENTS + 3))
        subscription.end()
        case.publish(1)
        assert len(case.seqs) == 3 * REPLAY_EVENTS + 2

    asyncio.run(test())


@pytest.mark.parametrize("rounds", range(6))
def test_ended_in_any_round_of_its_replay_nothing_follows(rounds):
    async def test():
        case = Case(2)
        subscription = case.subscribe(0)
        for _ in range(rounds):
            await asyncio.sleep(0)
        subscription.end()
        written = case.transport.written
        case.publish(1)
        await settle()
        case.publish(1)
        assert case.transport.written == written
        assert case.gone == []

    asyncio.run(test())


@pytest.mark.parametrize("after", [0, 4, 21])
def test_a_cursor_outside_the_log_is_refused_at_once(after):
    with pytest.raises(GoneError):
        Case(20, log_events=15).subscribe(after)


def test_a_client_that_the_log_overtakes_is_told():
    async def test():
        case = Case(2 * REPLAY_EVENTS, log_events=2 * REPLAY_EVENTS)
        case.subscribe(0)
        case.transport.queued = case.site.limits.queue_bytes  # it does not read
        await settle()
        case.publish(2 * REPLAY_EVENTS)
        case.transport.queued = 0
        while not case.gone:  # noqa: ASYNC110 - the outlet looks again after a few ms
            await asyncio.sleep(0.001)
        assert case.gone[0].after == REPLAY_EVENTS
        assert case.seqs == list(range(1, REPLAY_EVENTS + 1))

    asyncio.run(asyncio.wait_for(test(), 5))
