"""The outer life of every subscriber: connect, run a session, come back after a loss, stop when told.

A session is a generator for one connection that already stands. It raises ``Lost`` when the connection is gone,
``ProtocolError`` for the peer's mistakes, and ``Stopped`` when it has been told to stop and has said goodbye. What
outlives it, the cursor above all, is in ``Progress``, so that the next one resumes where this one ended.

The rule: the pause before the next attempt is drawn anew for every subscriber and every loss, from 0 to a ceiling that
doubles with each loss in a row ("full jitter"), so that thousands who lost a server do not come back in one burst. What
the server asked for (Retry-After, ``retry:``) is added to it. A connection that was subscribed for longer than the last
ceiling ends the row.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Generator

from loadtests.clients import (
    Client,
    Close,
    Command,
    Connect,
    Connected,
    Eof,
    Failed,
    Input,
    Progress,
    ProtocolError,
    Stop,
    Subscriber,
    Timer,
    Wake,
)

Session = Generator[Command | tuple[Command, ...], Input, None]
_PROMPT = 8  # losses in a row that may be followed by an attempt at once


class Lost(Exception):  # noqa: N818  an event in a subscriber's life, not an error of ours
    """The connection is gone; ``why`` goes into its row when the client closed it itself.

    ``retry_ns`` is the least pause before the next attempt. ``prompt`` adds nothing to it: the cause is known and gone.
    ``lasting`` takes the longest ceiling at once: another attempt will hardly help. ``onward`` leads to
    ``progress.who``, which is then not put back.
    """

    def __init__(
        self,
        why: str,
        *,
        failed: bool = True,
        retry_ns: int = 0,
        prompt: bool = False,
        lasting: bool = False,
        onward: bool = False,
    ) -> None:
        super().__init__(why)
        self.why = why
        self.failed = failed
        self.retry_ns = retry_ns
        self.prompt = prompt or onward
        self.lasting = lasting
        self.onward = onward


class Stopped(Exception):  # noqa: N818
    """The client was told to stop and has said its protocol's goodbye."""


def data_or_leave(event: Input, *, retry_ns: int = 0) -> None:
    """Raise what an input other than ``Data`` and ``Timer`` means to a session that has no farewell to say."""
    if isinstance(event, Stop):
        raise Stopped
    if isinstance(event, Eof):
        raise Lost("ended by the peer", retry_ns=retry_ns)
    if isinstance(event, Failed):
        raise Lost(event.error, failed=False, retry_ns=retry_ns)  # the driver has counted it


class Pauses:
    """The pauses of one subscriber (the rule above); times in ns."""

    __slots__ = ("_ceiling_ns", "_losses", "_who")

    def __init__(self, who: Subscriber) -> None:
        self._who = who
        self._losses = 0  # in a row
        self._ceiling_ns = 0  # of the last pause

    def after(self, lost: Lost, attempt: int, subscribed_ns: int) -> int:
        """Return the pause behind a loss, of a connection that was subscribed for so long (0: it was not)."""
        backoff = self._who.backoff
        if subscribed_ns > self._ceiling_ns:
            self._losses = 0
        self._losses += 1
        if lost.prompt and self._losses <= _PROMPT:
            return lost.retry_ns
        most_ns = round(backoff.max_s * 1e9)
        doubled_ns = round(backoff.first_s * 1e9) << min(self._losses - 1, 40)
        self._ceiling_ns = most_ns if lost.lasting else min(doubled_ns, most_ns)
        # A generator of random numbers is 2.5 KB: one is made when it is needed.
        drawn = random.Random(f"{self._who.seed}|pause|{self._who.index}|{attempt}").random()
        return lost.retry_ns + round(drawn * self._ceiling_ns)


def persistent(
    subscriber: Subscriber, session: Callable[[Progress, Connected], Session], *, pushed: bool = False
) -> Client:
    """Run ``session(progress, connected)`` over one connection after the other until ``Stop``.

    A session that returns has closed in good order and is followed by the next at once. ``pushed`` says that the server
    speaks on its own, so that its silence means something.
    """
    progress, pauses = Progress(subscriber.after, subscriber, subscriber), Pauses(subscriber)
    patience = subscriber.patience
    while True:
        progress.attempt += 1
        progress.subscribed_ns = 0
        event = yield Connect(
            progress.who.address, patience.connect_s, patience.handshake_s, patience.silence_s if pushed else 0.0
        )
        while isinstance(event, Timer):  # one that was asked for before
            event = yield None
        try:
            if isinstance(event, Connected):
                yield from session(progress, event)
                _go_home(progress)
                continue
            data_or_leave(event)
        except Stopped:
            return
        except ProtocolError as error:
            lost = Lost(f"protocol error: {error}")
        except Lost as error:
            lost = error
        if not lost.onward:
            _go_home(progress)
        # the Timer of Wake(1) says what time it is; then the pause before the next attempt
        event = yield Close(lost.why, failed=lost.failed), Wake(1)
        if isinstance(event, Timer):
            stood_ns = event.at_ns - progress.subscribed_ns if progress.subscribed_ns else 0
            event = yield Wake(event.at_ns + pauses.after(lost, progress.attempt, stood_ns))
        if isinstance(event, Stop):
            return


def _go_home(progress: Progress) -> None:
    progress.who = progress.home
    progress.trail.clear()
