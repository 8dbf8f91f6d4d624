"""HTTP long polling: a poll whose answer is held back until there is something to say (RFC 6202, section 2).

``GET /long-poll/{topic}?after=SEQ&hold=SECONDS`` is answered at once when something is pending, with the next event
when there is one, and with 204 when ``hold`` has run out. Without ``hold`` a ``Prefer: wait=N`` counts, and
``Preference-Applied`` says so (RFC 7240, section 4.3). All who wait for the same event get the same bytes, head and
all, encoded once; they are written when the event is published, not when asyncio gets round to the handler.
"""

from __future__ import annotations

import asyncio
import math
import re
from functools import partial

from servers.feed import Event, Topic
from servers.responses import (
    CLOSE,
    CLOSED,
    JSON,
    NO_STORE,
    Written,
    answer_bytes,
    bad_parameter,
    connection_line,
    events_body,
)
from servers.site import Query, Request, Site, whole_number

NAMES = ("long_polling",)

DEFAULT_HOLD_S = 30.0  # RFC 6202, section 5.5: 30 seconds are safe with most proxies
_WAIT = re.compile(r'(?:^|,)[ \t]*wait[ \t]*=[ \t]*"?([0-9]{1,9})"?[ \t]*(?=[,;]|$)', re.IGNORECASE)


def _one_event(connection: bytes, headers: bytes, event: Event) -> bytes:
    """Return the answer that carries one event: a wire form."""
    return answer_bytes(200, connection, headers, events_body((event,)))


class Hold:
    """One request that is being held: whatever comes first answers it, and releases the rest."""

    __slots__ = ("_request", "_site", "_subscription", "_timer", "answered")

    def __init__(self, site: Site, request: Request, topic: Topic, hold_s: float, applied: bytes) -> None:
        loop = asyncio.get_running_loop()
        connection = connection_line(request)
        headers = JSON + NO_STORE + applied
        encode = partial(_one_event, connection, headers)
        self._site = site
        self._request = request
        self.answered: asyncio.Future[Written] = loop.create_future()
        self._subscription = topic.subscribe((NAMES, connection, applied), encode, self.answer)
        nothing = answer_bytes(204, connection, NO_STORE + applied, b"")
        self._timer = loop.call_later(hold_s, self.answer, nothing)

    def answer(self, data: bytes) -> None:
        """Write the answer; only the first one counts."""
        if not self.answered.done():
            self.release()
            self.answered.set_result(self._site.send(self._request, data))

    def end(self) -> None:
        """Answer 204 and close, for the server ends."""
        if not self.answered.done():
            self.release()
            self._site.send(self._request, answer_bytes(204, CLOSE, NO_STORE, b""))
            self.answered.set_result(CLOSED)

    def release(self) -> None:
        """Let go of the topic and the timer."""
        self._subscription()
        self._timer.cancel()


class LongPolling:
    """The handler, and the requests it holds."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._holds: set[Hold] = set()

    async def poll(self, request: Request, name: str, query: Query) -> Written:
        """Answer when there is an event past the cursor, or when the hold has run out."""
        site = self._site
        site.met("long_polling", request)
        topic = site.feed.topic(name)
        after = whole_number(query, "after")
        limit = whole_number(query, "limit", least=1)
        hold_s, applied = self._patience(request, query)
        most = site.limits.poll_events
        events = [] if after is None else topic.since(after, most if limit is None else min(limit, most))
        if events:
            return site.answer(request, 200, JSON + NO_STORE + applied, events_body(events, site.limits.queue_bytes))
        if hold_s == 0 or request.method == "HEAD":  # HEAD asks what is, not what will be
            return site.answer(request, 204, NO_STORE + applied)
        hold = Hold(site, request, topic, hold_s, applied)
        self._holds.add(hold)
        try:
            return await hold.answered
        finally:  # also when the client leaves: aiohttp then cancels the handler
            hold.release()
            self._holds.discard(hold)

    def _patience(self, request: Request, query: Query) -> tuple[float, bytes]:
        """Return how long to hold, in seconds within the cap, and the Preference-Applied line, if one is due."""
        cap_s = self._site.limits.hold_max_s
        value = query.get("hold")
        if value is not None:
            try:
                hold_s = float(value)
            except ValueError:
                hold_s = math.nan
            if not 0 <= hold_s < math.inf:
                raise bad_parameter("hold", value, "seconds, at least 0")
            return min(hold_s, cap_s), b""
        wait = _WAIT.search(",".join(request.headers.getall("Prefer", ())))
        if wait is None:
            return min(DEFAULT_HOLD_S, cap_s), b""
        wait_s = min(int(wait[1]), math.floor(cap_s))
        return wait_s, b"Preference-Applied: wait=%d\r\n" % wait_s

    async def close(self) -> None:
        """Answer everybody who waits."""
        for hold in tuple(self._holds):
            hold.end()


def mount(site: Site, _name: str) -> None:
    """Add ``/long-poll/{topic}``."""
    handler = LongPolling(site)
    site.route(("GET", "HEAD"), "/long-poll/{topic}", handler.poll)
    site.on_close(handler.close)
