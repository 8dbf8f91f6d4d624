"""One alarm at an absolute time of the monotonic clock, rung on the event loop; late by some 20 µs and never spinning.

asyncio's own ``call_at`` hands epoll a time-out in whole milliseconds, rounded up: 0.6 ms late in the median
(measured). Linux has a better way, a timerfd the loop watches like any socket (timerfd_create(2)); elsewhere a helper
thread sleeps on a condition and wakes the loop, 0.07 ms late. Setting the alarm replaces what was set before; 0 turns
it off.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import sys
import threading
import time
from collections.abc import Callable
from typing import Protocol

_SECOND_NS = 1_000_000_000
_TFD_NONBLOCK, _TFD_CLOEXEC, _TFD_TIMER_ABSTIME = 0o4000, 0o2000000, 1  # <sys/timerfd.h>


class Timer(Protocol):
    """An alarm that calls its callback on the loop."""

    def set(self, at_ns: int) -> None:
        """Ring at ``at_ns`` (monotonic ns; the past rings at once), or not at all when it is 0."""

    def close(self) -> None:
        """Turn it off for good."""


class _Timespec(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long))


class _Itimerspec(ctypes.Structure):
    _fields_ = (("interval", _Timespec), ("value", _Timespec))


class TimerFd:
    """A timerfd on the loop's selector. Raises OSError where the kernel has none.

    The expiration count is never read: setting the timer anew clears it (timerfd_settime(2)), so ``_ring`` turns it off
    first, and the callback turns it on again. That saves a system call a wake.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, callback: Callable[[], None]) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        try:
            create, self._settime = libc.timerfd_create, libc.timerfd_settime
        except AttributeError as error:
            raise OSError("no timerfd in this C library") from error
        self._settime.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)
        self._fd = create(time.CLOCK_MONOTONIC, _TFD_NONBLOCK | _TFD_CLOEXEC)
        if self._fd < 0:
            raise OSError(ctypes.get_errno(), "timerfd_create")
        self._spec = _Itimerspec()
        self._spec_at = ctypes.addressof(self._spec)
        self._loop = loop
        self._callback = callback
        self._rung = False
        loop.add_reader(self._fd, self._ring)

    def _ring(self) -> None:
        self._rung = True
        self._callback()
        if self._rung:  # the callback has not set it: clear the count, or the descriptor stays readable
            self.set(0)

    def set(self, at_ns: int) -> None:
        """Ring at ``at_ns``; 0 turns the alarm off."""
        self._rung = False
        self._spec.value.seconds, self._spec.value.nanoseconds = divmod(at_ns, _SECOND_NS)
        self._settime(self._fd, _TFD_TIMER_ABSTIME, self._spec_at, None)

    def close(self) -> None:
        """Close the descriptor."""
        self._loop.remove_reader(self._fd)
        os.close(self._fd)


class TimerThread:
    """A thread that sleeps until the alarm and then wakes the loop; for systems without timerfd."""

    def __init__(self, loop: asyncio.AbstractEventLoop, callback: Callable[[], None]) -> None:
        self._loop = loop
        self._callback = callback
        self._changed = threading.Condition()
        self._at_ns = 0  # what the thread sleeps for
        self._wish_ns = 0  # what was asked for and has not rung; the loop's alone
        self._open = True
        self._thread = threading.Thread(target=self._run, name="timer", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        with self._changed:
            while self._open:
                wait_ns = self._at_ns - time.monotonic_ns()
                if self._at_ns == 0:
                    self._changed.wait()
                elif wait_ns > 0:
                    self._changed.wait(wait_ns / _SECOND_NS)
                else:
                    self._loop.call_soon_threadsafe(self._ring, self._at_ns)
                    self._at_ns = 0  # asleep until the next wish

    def _ring(self, at_ns: int) -> None:
        # set anew or closed between the thread's wake and the loop's: the newer wish counts
        if self._wish_ns == at_ns:
            self._wish_ns = 0
            self._callback()

    def set(self, at_ns: int) -> None:
        """Ring at ``at_ns``; 0 turns the alarm off."""
        with self._changed:
            self._at_ns = self._wish_ns = at_ns
            self._changed.notify()

    def close(self) -> None:
        """End the thread."""
        with self._changed:
            self._open = False
            self._wish_ns = 0
            self._changed.notify()
        self._thread.join()


def make_timer(loop: asyncio.AbstractEventLoop, callback: Callable[[], None]) -> Timer:
    """Return the best timer this system has."""
    if sys.platform == "linux":
        try:
            return TimerFd(loop, callback)
        except OSError:
            pass  # a sandbox may forbid the call; the thread works anywhere
    return TimerThread(loop, callback)
