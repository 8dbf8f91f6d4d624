"""The Server-Sent Events subscriber: one response that never ends (WHATWG HTML 9.2).

The rule: it behaves as an EventSource does. It checks status and content type, counts comments as heartbeats, and after
a loss comes back when ``retry`` has passed (and a random pause besides, as 9.2.3 allows), to the same address, with the
``Last-Event-ID`` it has seen. Only events of type ``message`` are the feed's. Where an EventSource would give up, at a
status or type it cannot use, it goes on trying, as the load it stands for would have been reloaded; a 204 ends it.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass, field

from loadtests.clients import (
    Beat,
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
    Send,
    Subscriber,
    Wake,
)
from loadtests.clients.cursor import refused
from loadtests.clients.event import Row, row_maker
from loadtests.clients.http import Response, get
from loadtests.clients.lifetime import Lost, Session, Stopped, data_or_leave, persistent
from loadtests.clients.refusal import foreign, refusal
from loadtests.clients.sse_parser import EventStream

__all__ = ["Options", "client"]

_MEDIA_TYPE = "text/event-stream"


@dataclass(frozen=True, slots=True)
class Options:
    """The TOML section ``[sse]``."""

    retry_s: float = field(
        default=1.0,
        metadata={
            "help": "pause before reconnecting, until the server's retry sets another",
            "min": 0.0,
            "max": 3600.0,
        },
    )


def client(subscriber: Subscriber, options: Options) -> Client:
    """Return the generator of one subscriber."""
    query = "" if subscriber.after is None else f"after={subscriber.after}"
    row = row_maker(subscriber)
    last_id, retry_ms = b"", round(options.retry_s * 1e3)  # these outlive a connection

    def session(progress: Progress, _: Connected) -> Session:
        nonlocal last_id, retry_ms
        resume = (f"Last-Event-ID: {last_id.decode(errors='replace')}",) if last_id else ()
        request = get(progress.who, "Accept: text/event-stream", "Cache-Control: no-store")
        response, stream = Response(), EventStream(last_id, retry_ms)
        at_ns = yield from _open(response, Send(request(query, *resume)))
        if response.status == 410:
            lost = refused(progress, response.body.decode(errors="replace"), "status 410")
            last_id = b"" if progress.after is None else b"%d" % progress.after  # overrides the address's cursor
            raise lost
        if response.status == 204:
            yield Close("status 204: told not to come back (9.2.1)", failed=True), Wake(1)
            raise Stopped
        if response.status != 200:
            lost = refusal(progress, response.status, response.field)
            lost.retry_ns = lost.retry_ns or (0 if lost.onward else retry_ms * 1_000_000)
            raise lost
        if why := foreign(response.field, _MEDIA_TYPE):  # 9.2.3: "fail the connection"
            raise Lost(why, retry_ns=retry_ms * 1_000_000)
        progress.subscribed_ns = at_ns
        try:
            yield from _listen(response, stream, row, progress.attempt, at_ns)
        finally:
            last_id, retry_ms = stream.last_id, stream.retry_ms
            if len(last_id) < 19 and last_id.isdigit():
                progress.after = int(last_id)

    return persistent(subscriber, session, pushed=True)


def _open(response: Response, request: Send) -> Generator[Command | tuple[Command, ...], Input, int]:
    """Ask for the stream; return when its head has come (ns), or all of another answer."""
    event = yield request
    while True:
        if type(event) is Data:
            if response.feed(event.view) or (response.headed and response.status == 200):
                return event.at_ns
        elif type(event) is Eof and response.eof():
            return event.at_ns
        else:
            data_or_leave(event)
        event = yield None


def _listen(
    response: Response,
    stream: EventStream,
    row: Callable[[bytes, int, int], Row],
    attempt: int,
    at_ns: int,
) -> Session:
    """Turn what comes into rows and heartbeats, until the stream ends."""
    besides: tuple[Command, ...] = (Mark("upgraded", at_ns), Mark("subscribed", at_ns))
    while True:
        events = stream.feed(response.take())
        rows = Emit([row(data, attempt, at_ns) for kind, data, _ in events if kind == b"message"])
        if stream.comments:
            besides = (*besides, Beat(stream.comments))
            stream.comments = 0
        if response.complete:
            break
        event = yield (*besides, rows) if besides else rows
        besides = ()
        if type(event) is Data:
            response.feed(event.view)
            at_ns = event.at_ns
        else:
            data_or_leave(event, retry_ns=stream.retry_ms * 1_000_000)
    # Wake(1) has the last rows handed over, whatever the server does next.
    event = yield (*besides, rows, Wake(1))
    if not isinstance(event, Eof):
        data_or_leave(event)
    raise Lost("the event stream ended", failed=False, retry_ns=stream.retry_ms * 1_000_000)
