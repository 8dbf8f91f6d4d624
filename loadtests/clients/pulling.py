"""What polling and long polling share: ask, wait for the answer, write it down, ask again when it is time.

Rules
1. An answer may carry several events: they are several deliveries with one ``received_ns`` (timing only the newest or
   the oldest of a batch biases the mean).
2. A connection's first request is one that is answered at once: that answer marks the subscriber as subscribed, and
   shows what a connection costs. The pace begins behind it.
3. Every complete answer is a response row, whatever its status. One that refuses (not 200, 204 or 304) is a failure
   too: it closes the connection, and the next one asks after a pause; a 410 has said from where on.
"""

from __future__ import annotations

from collections.abc import Callable

from loadtests.clients import (
    Answer,
    Client,
    Close,
    Command,
    Connected,
    Data,
    Emit,
    Eof,
    Input,
    Mark,
    Progress,
    ProtocolError,
    Send,
    Subscriber,
    Timer,
    Wake,
)
from loadtests.clients.cursor import refused
from loadtests.clients.event import SEQ, batch_reader
from loadtests.clients.http import Response, exchange
from loadtests.clients.lifetime import Lost, Session, data_or_leave, persistent

__all__ = ["Ask", "Due", "Read", "past_cursor", "pull"]

REFUSED_NS = 1_000_000_000

Ask = Callable[[Progress, bool], Send]
Due = Callable[[int], int]
Read = Callable[[Response, Progress, int], tuple[Emit, int]]


def pull(
    subscriber: Subscriber,
    ask: Ask,
    due: Due,
    read: Read,
    *,
    keep_alive: bool,
    holds: bool = False,
    answers: type[Response] = Response,
) -> Client:
    """Return the client that asks, and asks again, until it is stopped.

    ``ask(progress, prompt)`` is the request, ``prompt`` one that is to be answered at once even by a server that
    ``holds``; ``due(at_ns)`` is when the next one goes, after an answer at ``at_ns`` (what has passed means at once);
    ``read(response, progress, at_ns)`` gives the rows of a 200, and how many of them are new, and moves the cursor.
    """

    def session(progress: Progress, connected: Connected) -> Session:
        response = answers()
        # Without keep-alive only the first connection can afford a request that is not held (rule 2).
        prompt = first = not holds or keep_alive or progress.attempt == 0
        sent_ns = connected.at_ns
        done: tuple[Command, ...] = ()
        while True:
            request = ask(progress, prompt)
            at_ns = yield from exchange(response, (*done, request))
            status = response.status
            rows, new = read(response, progress, at_ns) if status == 200 else (None, 0)
            answer = Answer((subscriber.index, sent_ns, at_ns, status, new, len(request.data), response.received_bytes))
            done = (rows, answer) if rows else (answer,)
            if status not in (200, 204, 304):
                data_or_leave((yield (*done, Wake(1))))  # hands the row over; then the connection is closed
                raise _refusal(response, progress)
            if first:
                done = (*done, Mark("upgraded", at_ns), Mark("subscribed", at_ns))
                prompt = first = False
            due_ns = due(at_ns)
            if not (keep_alive and response.keep_alive):
                data_or_leave((yield (*done, Close("answered"), Wake(due_ns))))
                return
            if due_ns <= at_ns:
                sent_ns = at_ns
                continue
            event = yield (*done, Wake(due_ns))
            if type(event) is not Timer:
                _interrupted(event, due_ns)
            sent_ns, done = event.at_ns, ()

    return persistent(subscriber, session)


def past_cursor(subscriber: Subscriber) -> Read:
    """Return how a body is read when a cursor was asked from: all its events are deliveries, known ones included."""
    read_batch = batch_reader(subscriber)

    def read(response: Response, progress: Progress, at_ns: int) -> tuple[Emit, int]:
        rows, last = read_batch(response.body, progress.attempt, at_ns)
        after = progress.after or 0
        progress.after = max(after, last)  # a cursor never goes back: the server would be asked for the same for ever
        return rows, sum(row[SEQ] > after for row in rows)

    return read


def _refusal(response: Response, progress: Progress) -> Lost:
    """Return what an answer that is none means; a 410 moves the cursor."""
    why = f"status {response.status}"
    if response.status == 410:
        return refused(progress, response.body.decode(errors="replace"), why)
    return Lost(why, retry_ns=REFUSED_NS)


def _interrupted(event: Input, due_ns: int) -> None:
    """Raise what an input between an answer and the next request means."""
    if isinstance(event, Data):
        raise ProtocolError(f"{len(event.view)} bytes from the server while no request was under way")
    if isinstance(event, Eof):  # RFC 9112 9.5: an idle connection may be closed at any time; the next request opens one
        raise Lost("closed by the server while idle", failed=False, retry_ns=max(0, due_ns - event.at_ns))
    data_or_leave(event)
