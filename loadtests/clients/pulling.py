"""What polling and long polling share: ask, wait for the answer, write it down, ask again when it is time.

Rules
1. An answer may carry several events: they are several deliveries with one ``received_ns`` (timing only the newest or
   the oldest of a batch biases the mean).
2. A connection's first request is one that is answered at once: that answer marks the subscriber as subscribed, and
   shows what a connection costs. The pace begins behind it.
3. Every complete answer is a response row, whatever its status. One that refuses (not 200, 204 or 304) is a failure
   too: it closes the connection, and the next one asks after a pause; a 410 has said from where on. A 200 that is
   somebody else's (a captive portal's page) is a failure and no row: it would pass for an empty answer.
4. An answer has to come within the time the server may hold the request and ``response_s`` more.
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
    Deadline,
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
from loadtests.clients.pace import Due
from loadtests.clients.refusal import foreign, refusal

__all__ = ["Ask", "Asking", "Read", "past_cursor", "pull"]

_JSON = "application/json"
_NO_DEADLINE = Deadline(0)
_IDLE_TIMEOUT = b"HTTP/1.1 408 "

Ask = Callable[[Progress, bool], Send]
Read = Callable[[Response, Progress, int], tuple[Emit, int]]
Asking = Callable[[Subscriber], tuple[Ask, Read]]


def pull(subscriber: Subscriber, asking: Asking, due: Due, *, keep_alive: bool, hold_s: float = 0.0) -> Client:
    """Return the client that asks, and asks again, until it is stopped.

    ``asking(who)`` gives two functions for one address: ``ask(progress, prompt)`` is the request, ``prompt`` one that
    is to be answered at once even by a server that may hold it ``hold_s``; ``read(response, progress, at_ns)`` gives
    the rows of a 200, and how many of them are new, and moves the cursor. ``due(sent_ns, at_ns, new)`` is when the next
    request goes (``loadtests.clients.pace``).
    """
    wait_s = subscriber.patience.response_s and hold_s + subscriber.patience.response_s
    wait_ns, too_late = round(wait_s * 1e9), f"response timeout after {wait_s:g} s"
    who, (ask, read) = subscriber, asking(subscriber)

    def session(progress: Progress, connected: Connected) -> Session:
        nonlocal who, ask, read
        if progress.who is not who:
            who, (ask, read) = progress.who, asking(progress.who)
        response, deadline = Response(), Deadline(0, too_late)  # one object for all requests: a poll pays for no other
        # Without keep-alive only the first connection can afford a request that is not held (rule 2).
        prompt = first = not hold_s or keep_alive or progress.attempt == 0
        sent_ns = connected.at_ns
        done: tuple[Command, ...] = ()
        while True:
            request = ask(progress, prompt)
            # A connection's first answer belongs to its handshake, which the driver has set a deadline.
            if wait_ns and not (first and keep_alive):
                deadline.at_ns = sent_ns + wait_ns
                at_ns = yield from exchange(response, (*done, deadline, request))
            else:
                at_ns = yield from exchange(response, (*done, request))
            status = response.status
            rows, new = read(response, progress, at_ns) if status == 200 else (None, 0)
            if rows and not rows[0][SEQ] and (why := foreign(response.field, _JSON)):
                raise Lost(why)
            answer = Answer((subscriber.index, sent_ns, at_ns, status, new, len(request.data), response.received_bytes))
            done = (rows, answer) if rows else (answer,)
            if status not in (200, 204, 304):
                lost = _refusal(response, progress, held=bool(hold_s) and not prompt)
                data_or_leave((yield (*done, Wake(1))))  # hands the row over; then the connection is closed
                raise lost
            if not progress.subscribed_ns:
                progress.subscribed_ns = at_ns
            if first:
                done = (*done, Mark("upgraded", at_ns), Mark("subscribed", at_ns))
                prompt = first = False
            due_ns = due(sent_ns, at_ns, new)
            if not (keep_alive and response.keep_alive):
                data_or_leave((yield (*done, Close("answered"), Wake(due_ns))))
                return
            if due_ns <= at_ns:
                sent_ns = at_ns
                continue
            event = yield (*done, _NO_DEADLINE, Wake(due_ns))
            while type(event) is Data and not bytes(event.view).strip(b"\r\n"):
                event = yield None  # blank lines behind an answer: the parser lets them pass, too
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


def _refusal(response: Response, progress: Progress, *, held: bool) -> Lost:
    """Return what an answer that is none means; a 410 moves the cursor."""
    if response.status == 410:
        return refused(progress, response.body.decode(errors="replace"), "status 410")
    return refusal(progress, response.status, response.field, held=held)


def _interrupted(event: Input, due_ns: int) -> None:
    """Raise what an input between an answer and the next request means.

    A server may close an idle connection at any time (RFC 9112 9.5), and may say so by a 408 that nobody asked for
    (RFC 9110 15.5.9); the next request opens one.
    """
    if isinstance(event, Eof) or (isinstance(event, Data) and event.view[: len(_IDLE_TIMEOUT)] == _IDLE_TIMEOUT):
        raise Lost("closed by the server while idle", failed=False, retry_ns=max(0, due_ns - event.at_ns), prompt=True)
    if isinstance(event, Data):
        raise ProtocolError(f"{len(event.view)} bytes from the server while no request was under way")
    data_or_leave(event)
