import asyncio
import sys
import time

import pytest

from servers.timer import TimerFd, TimerThread, make_timer

KINDS = [TimerThread, *([TimerFd] if sys.platform == "linux" else [])]
MS = 1_000_000


def ring(kind, script):
    """Run ``script(timer, rings)`` on a loop; returns when the alarm rang."""
    rings = []

    async def main():
        timer = kind(asyncio.get_running_loop(), lambda: rings.append(time.monotonic_ns()))
        try:
            await script(timer, rings)
        finally:
            timer.close()

    asyncio.run(asyncio.wait_for(main(), 10))
    return rings


async def rung(rings, number=1):
    while len(rings) < number:  # noqa: ASYNC110 - a callback has no event to set
        await asyncio.sleep(0.001)


@pytest.mark.parametrize("kind", KINDS)
def test_rings_once_and_not_early(kind):
    at_ns = time.monotonic_ns() + 20 * MS

    async def script(timer, rings):
        timer.set(at_ns)
        await rung(rings)
        await asyncio.sleep(0.02)

    assert [rang_ns >= at_ns for rang_ns in ring(kind, script)] == [True]


@pytest.mark.parametrize("kind", KINDS)
def test_rings_for_what_is_past(kind):
    async def script(timer, rings):
        timer.set(1)
        await rung(rings)

    assert len(ring(kind, script)) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_set_replaces_and_zero_turns_off(kind):
    async def script(timer, rings):
        timer.set(time.monotonic_ns() + 5 * MS)
        timer.set(0)
        await asyncio.sleep(0.03)
        assert not rings
        timer.set(time.monotonic_ns() + 3600_000 * MS)
        timer.set(time.monotonic_ns() + 5 * MS)
        await rung(rings)

    assert len(ring(kind, script)) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_the_callback_may_set_it_again(kind):
    async def main():
        rings = []

        def again():
            rings.append(1)
            if len(rings) < 5:
                timer.set(time.monotonic_ns() + MS)

        timer = kind(asyncio.get_running_loop(), again)
        timer.set(time.monotonic_ns())
        await rung(rings, 5)
        await asyncio.sleep(0.01)
        timer.close()
        return rings

    assert len(asyncio.run(asyncio.wait_for(main(), 10))) == 5


@pytest.mark.parametrize("kind", KINDS)
def test_does_not_spin(kind):
    async def script(timer, rings):
        timer.set(time.monotonic_ns() + 200 * MS)
        before = time.process_time()
        await rung(rings)
        assert time.process_time() - before < 0.15

    ring(kind, script)


def test_linux_has_timerfd():
    async def main():
        timer = make_timer(asyncio.get_running_loop(), lambda: None)
        timer.close()
        return type(timer)

    assert asyncio.run(main()) is (TimerFd if sys.platform == "linux" else TimerThread)


def test_without_timerfd_a_thread_does_it(monkeypatch):
    def forbidden(*_arguments):
        raise OSError("not here")

    monkeypatch.setattr("servers.timer.TimerFd", forbidden)

    async def main():
        timer = make_timer(asyncio.get_running_loop(), lambda: None)
        timer.close()
        return type(timer)

    assert asyncio.run(main()) is TimerThread
