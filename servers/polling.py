"""HTTP polling: the client asks again and again, and is told what is new (RFC 9110).

``GET /poll/{topic}?after=SEQ`` is polling by cursor: the answer carries every event past SEQ, or is 204 when there is
none. Nothing is lost as long as the log reaches back. ``GET /poll/{topic}`` is polling for the latest state: the
newest event only, under an ETag, so that asking again costs a 304 (RFC 9110, section 15.4.5). Events are overwritten
there: whoever asks seldom misses some, and that is its nature.
"""

from __future__ import annotations

import re

from servers.feed import Event
from servers.responses import JSON, NO_STORE, Written, events_body
from servers.site import Query, Request, Site, whole_number

NAMES = ("polling",)

_CURSOR = JSON + NO_STORE
_ENTITY_TAG = re.compile(r'(?:W/)?"([^"]*)"')  # RFC 9110, section 8.8.3


def matches(if_none_match: str, tag: str) -> bool:
    """Whether a list of entity tags, or ``*``, has ``tag``; compared weakly (RFC 9110, section 13.1.2)."""
    return if_none_match.strip() == "*" or tag in _ENTITY_TAG.findall(if_none_match)


class Polling:
    """The handler."""

    def __init__(self, site: Site) -> None:
        self._site = site

    async def poll(self, request: Request, name: str, query: Query) -> Written:
        """Answer at once."""
        site = self._site
        site.met("polling", request)
        topic = site.feed.topic(name)
        after = whole_number(query, "after")
        if after is None:
            return self._latest(request, topic.latest())
        limit = whole_number(query, "limit", least=1)
        most = site.limits.poll_events
        events = topic.since(after, most if limit is None else min(limit, most))
        if not events:
            return site.answer(request, 204, NO_STORE)
        return site.answer(request, 200, _CURSOR, events_body(events, site.limits.queue_bytes))

    def _latest(self, request: Request, event: Event | None) -> Written:
        """Answer with the newest event, unless the client has it (304) or there is none (204)."""
        if event is None:
            return self._site.answer(request, 204, b"Cache-Control: no-cache\r\n")
        headers = b'Cache-Control: no-cache\r\nETag: "%d"\r\n' % event.seq
        known = ",".join(request.headers.getall("If-None-Match", ()))
        if known and matches(known, str(event.seq)):
            return self._site.answer(request, 304, headers)
        return self._site.answer(request, 200, JSON + headers, events_body((event,)))


def mount(site: Site, _name: str) -> None:
    """Add ``/poll/{topic}``."""
    site.route(("GET", "HEAD"), "/poll/{topic}", Polling(site).poll)
