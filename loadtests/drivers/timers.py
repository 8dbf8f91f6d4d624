"""Wake-ups for thousands of clients: one heap, and on Linux one timerfd.

An event loop's own timers are good to a millisecond (epoll_wait counts in them), which is more than most of what is
measured here. A timerfd is a descriptor that becomes readable at an absolute time on the monotonic clock, late by
tens of microseconds (timerfd_create(2)). Elsewhere the loop's timer has to do.
"""

from __future__ import annotations

import ctypes
import os
import struct
import sys
import time
from collections.abc import Callable
from heapq import heappop, heappush
from typing import Any

_TFD_NONBLOCK, _TFD_CLOEXEC, _TFD_TIMER_ABSTIME = 0o4000, 0o2000000, 1
_READ = 1


class Timers:
    """Calls back at absolute times (ns, monotonic).

    ``loop`` is gevent's, of which it needs ``io``, ``timer`` and ``handle_error``.

    >>> timers.at(time.monotonic_ns() + 10**9, print)  # doctest: +SKIP
    """

    def __init__(self, loop: Any) -> None:
        self._loop = loop
        self._heap: list[tuple[int, int, Callable[[int], None]]] = []
        self._entries = 0  # ties are broken by the order of entry, never by comparing callbacks
        self._armed_ns = 0
        self._descriptor = _timerfd()
        if self._descriptor is None:
            self._timer = loop.timer(0)
        else:
            self._watcher = loop.io(self._descriptor, _READ)
            self._watcher.start(self._expired)

    def at(self, when_ns: int, call: Callable[[int], None]) -> None:
        """Call ``call(now_ns)`` at ``when_ns``, or at once in the loop's next round if that has passed."""
        self._entries += 1
        when_ns = max(1, when_ns)  # 0 means "nothing armed", to timerfd_settime as well
        heappush(self._heap, (when_ns, self._entries, call))
        if not self._armed_ns or when_ns < self._armed_ns:
            self._arm(when_ns)

    def _arm(self, when_ns: int) -> None:
        self._armed_ns = when_ns
        if self._descriptor is None:
            self._timer.stop()
            self._timer = self._timer.loop.timer(max(0.0, (when_ns - time.monotonic_ns()) / 1e9))
            self._timer.start(self._expired, update=True)
        else:
            _settime(self._descriptor, when_ns)

    def _expired(self) -> None:
        if self._descriptor is not None:
            try:
                os.read(self._descriptor, 8)
            except BlockingIOError:
                return  # it was armed anew between becoming readable and now
        heap, now = self._heap, time.monotonic_ns()
        self._armed_ns = 0
        while heap and heap[0][0] <= now:
            call = heappop(heap)[2]
            try:
                call(now)
            except Exception:  # noqa: BLE001  gevent stops a watcher that raises, and this one is everybody's
                self._loop.handle_error(call, *sys.exc_info())
            now = time.monotonic_ns()
        if heap and (not self._armed_ns or heap[0][0] < self._armed_ns):
            self._arm(heap[0][0])


def _timerfd() -> int | None:
    if _LIBC is None:
        return None
    descriptor: int = _LIBC.timerfd_create(time.CLOCK_MONOTONIC, _TFD_NONBLOCK | _TFD_CLOEXEC)
    return descriptor if descriptor >= 0 else None


def _settime(descriptor: int, when_ns: int) -> None:
    assert _LIBC is not None  # noqa: S101  there is a descriptor, so there is timerfd
    # struct itimerspec: interval (none), then the absolute time
    _LIBC.timerfd_settime(descriptor, _TFD_TIMER_ABSTIME, _ITIMERSPEC.pack(0, 0, *divmod(when_ns, 10**9)), None)


_ITIMERSPEC = struct.Struct("@llll")
_LIBC = ctypes.CDLL(None, use_errno=True) if sys.platform.startswith("linux") else None
