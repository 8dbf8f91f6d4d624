"""The outer life of every subscriber: connect, run a session, come back after a loss, stop when told.

A session is a generator for one connection that already stands. It raises ``Lost`` when the connection is gone,
``ProtocolError`` for the peer's mistakes, and ``Stopped`` when it has been told to stop and has said goodbye. What
outlives it, the cursor above all, is in ``Progress``, so that the next one resumes where this one ended.
"""

from __future__ import annotations

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
RECONNECT_NS = 500_000_000


class Lost(Exception):  # noqa: N818  an event in a subscriber's life, not an error of ours
    """The connection is gone; ``why`` goes into its row when the client closed it itself."""

    def __init__(self, why: str, *, failed: bool = True, retry_ns: int = RECONNECT_NS) -> None:
        super().__init__(why)
        self.why = why
        self.failed = failed
        self.retry_ns = retry_ns


class Stopped(Exception):  # noqa: N818
    """The client was told to stop and has said its protocol's goodbye."""


def data_or_leave(event: Input, *, retry_ns: int = RECONNECT_NS) -> None:
    """Raise what an input other than ``Data`` and ``Timer`` means to a session that has no farewell to say."""
    if isinstance(event, Stop):
        raise Stopped
    if isinstance(event, Eof):
        raise Lost("ended by the peer", retry_ns=retry_ns)
    if isinstance(event, Failed):
        raise Lost(event.error, failed=False, retry_ns=retry_ns)  # the driver has counted it


def persistent(subscriber: Subscriber, session: Callable[[Progress, Connected], Session]) -> Client:
    """Run ``session(progress, connected)`` over one connection after the other until ``Stop``.

    A session that returns has closed in good order and is followed by the next at once.
    """
    progress = Progress(subscriber.after)
    while True:
        progress.attempt += 1
        event = yield Connect(subscriber.address)
        while isinstance(event, Timer):  # one that was asked for before
            event = yield None
        try:
            if isinstance(event, Connected):
                yield from session(progress, event)
                continue
            data_or_leave(event)
        except Stopped:
            return
        except ProtocolError as error:
            lost = Lost(f"protocol error: {error}")
        except Lost as error:
            lost = error
        # the Timer of Wake(1) says what time it is; then the pause before the next attempt
        event = yield Close(lost.why, failed=lost.failed), Wake(1)
        if isinstance(event, Timer):
            event = yield Wake(event.at_ns + lost.retry_ns)
        if isinstance(event, Stop):
            return
