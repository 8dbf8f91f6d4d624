"""Who is told that a socket can be read: a thousand sockets behind one watcher of the event loop.

On Linux all sockets are in an epoll of our own, edge-triggered, which the loop watches as one descriptor: a watcher per
socket would cost the loop a callback's worth of bookkeeping for each message, and level triggering a second look at
each socket that has just been read (epoll(7)). Elsewhere every socket gets its watcher.

The rule of edge triggering: a reader that fills its buffer has to read again; a short read says that the socket is
empty for now (epoll(7), question 9).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

_READ = 1
_EPOLLIN, _EPOLLRDHUP, _EPOLLET = 0x1, 0x2000, 1 << 31
_MOST = 512  # sockets served before the loop's other watchers get their turn

Call = Callable[[], None]


class EpollReaders:
    """``add(descriptor, call)`` has ``call`` made whenever there is something new to read, until ``remove``."""

    def __init__(self, loop: Any, epoll: Any) -> None:
        self._epoll = epoll()
        self._calls: dict[int, Call] = {}
        self._watcher = loop.io(self._epoll.fileno(), _READ)
        self._watcher.start(self._ready)

    def add(self, descriptor: int, call: Call) -> None:
        """Watch a descriptor."""
        self._calls[descriptor] = call
        self._epoll.register(descriptor, _EPOLLIN | _EPOLLRDHUP | _EPOLLET)

    def remove(self, descriptor: int) -> None:
        """Watch it no longer; before it is closed."""
        if self._calls.pop(descriptor, None) is not None:
            self._epoll.unregister(descriptor)

    def _ready(self) -> None:
        calls = self._calls
        for descriptor, _ in self._epoll.poll(0, _MOST):
            call = calls.get(descriptor)
            if call is not None:  # else an earlier one of this round closed it
                call()


class LoopReaders:
    """The same with a watcher of the loop for each descriptor."""

    def __init__(self, loop: Any) -> None:
        self._loop = loop
        self._watchers: dict[int, Any] = {}

    def add(self, descriptor: int, call: Call) -> None:
        """Watch a descriptor."""
        watcher = self._watchers[descriptor] = self._loop.io(descriptor, _READ)
        watcher.start(call)

    def remove(self, descriptor: int) -> None:
        """Watch it no longer; before it is closed."""
        watcher = self._watchers.pop(descriptor, None)
        if watcher is not None:
            watcher.close()


def make_readers(loop: Any, epoll: Any) -> EpollReaders | LoopReaders:
    """Return the best this system has; ``epoll`` is ``select.epoll``, None where there is none."""
    return EpollReaders(loop, epoll) if epoll is not None else LoopReaders(loop)
