"""One subscription of a connection that reads as well as writes: it can be ended in the middle of anything.

The rule: after ``end`` returns, nothing of this subscription is written any more. A WebSocket's close frame and a
STOMP RECEIPT for UNSUBSCRIBE promise that (RFC 6455, section 5.5.1; STOMP 1.2, UNSUBSCRIBE), so ending is a plain
call and waits for no task. With nothing to replay there is no task at all, the usual case.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable

from servers.feed import Cancel, Encode, GoneError, Topic
from servers.outlet import Outlet


class Subscription:
    """Replay past ``after`` (None: nothing), then live, through ``outlet``.

    Raises GoneError when the cursor lies outside the log. ``overtaken`` is called when that happens later, to a
    client that reads its replay more slowly than the log moves on.
    """

    __slots__ = ("_cancel", "_overtaken", "_replay", "topic")

    def __init__(
        self,
        outlet: Outlet,
        topic: Topic,
        after: int | None,
        form: Hashable,
        encode: Encode,
        *,
        overtaken: Callable[[GoneError], None],
    ) -> None:
        self.topic = topic
        self._overtaken = overtaken
        self._cancel: Cancel | None = None
        self._replay: asyncio.Task[Cancel] | None = None
        if after is None or not topic.since(after, limit=1):
            self._cancel = topic.subscribe(form, encode, outlet.write)
        else:
            self._replay = asyncio.get_running_loop().create_task(outlet.follow(topic, after, form, encode))
            self._replay.add_done_callback(self._replayed)

    def _replayed(self, task: asyncio.Task[Cancel]) -> None:
        if self._replay is None:
            return  # ended meanwhile
        self._replay = None
        error = task.exception()
        if error is None:
            self._cancel = task.result()
        elif isinstance(error, GoneError):
            self._overtaken(error)
        else:
            raise error

    def end(self) -> None:
        """Write nothing from now on. Ending twice does nothing."""
        replay, self._replay = self._replay, None
        # The replay may have gone live in this very round of the loop, before its callback could run.
        if replay is not None and not replay.cancel() and replay.exception() is None:
            self._cancel = replay.result()
        if self._cancel is not None:
            self._cancel()
