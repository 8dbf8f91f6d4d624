"""Wake-ups: in order, once, and the same without a timerfd."""

import time

import gevent
import pytest
from gevent import get_hub

from loadtests.drivers import timers as module
from loadtests.drivers.timers import Timers


@pytest.fixture(params=["timerfd", "the loop's timer"])
def timers(request, monkeypatch):
    if request.param != "timerfd":
        monkeypatch.setattr(module, "_LIBC", None)
    return Timers(get_hub().loop)


def wait_for(condition):
    deadline = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < deadline
        gevent.sleep(0.002)


def test_they_ring_in_order_and_never_early(timers):
    rang, now = [], time.monotonic_ns()
    for milliseconds in (30, 10, 20, 10):
        timers.at(now + milliseconds * 1_000_000, lambda at, due=milliseconds: rang.append((due, at)))
    wait_for(lambda: len(rang) == 4)
    assert [due for due, _ in rang] == [10, 10, 20, 30]
    assert all(at >= now + due * 1_000_000 for due, at in rang)


def test_what_has_passed_rings_at_once_and_may_ask_again(timers):
    rang = []

    def again(at):
        rang.append(at)
        if len(rang) < 3:
            timers.at(0, again)

    timers.at(1, again)
    wait_for(lambda: len(rang) == 3)


def test_one_callbacks_error_does_not_silence_the_others(timers, monkeypatch):
    raised, rang = [], []
    monkeypatch.setattr(get_hub(), "handle_error", lambda *error: raised.append(error[1]))

    def fail(_):
        raise ZeroDivisionError

    timers.at(1, fail)
    timers.at(time.monotonic_ns() + 5_000_000, rang.append)
    wait_for(lambda: rang)
    assert raised == [ZeroDivisionError]


def test_an_expiry_that_was_armed_anew_meanwhile_is_none():
    timers = Timers(get_hub().loop)
    timers.at(time.monotonic_ns() + 10**12, lambda _: None)
    timers._expired()  # readable a moment ago, and no more
