"""The endpoints around the feed: ``/health``, ``/clock``, ``/stats``, ``/publish/{topic}`` and ``/feed``.

The rule: everything here answers in JSON that is never cached, and says no in problems that name the parameter, its
value and what was expected (source: the wire contract, ``servers.__doc__``; RFC 9457).
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import asdict

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from servers.feed import (
    BadTopicError,
    FeedError,
    GoneError,
    ScheduledTopicError,
    StartedError,
    TopicLimitError,
    UnknownTopicError,
)
from servers.responses import JSON, NO_STORE, Problem, Written, bad_parameter
from servers.site import Query, Request, Site

CONTRACT = 1
PAST_S = 3600.0  # an epoch further behind the clock is a mistaken clock …
CATCH_UP_EVENTS = 1_000_000  # … and so is one that has had more events than this
FEED_BYTES = 4096  # body of PUT /feed

_FRESH = JSON + NO_STORE

_STATUS: dict[type[FeedError], int] = {
    BadTopicError: 400,
    UnknownTopicError: 404,
    ScheduledTopicError: 409,
    StartedError: 409,
    GoneError: 410,
    TopicLimitError: 429,
}


def problem_of(error: FeedError) -> Problem:
    """Return the HTTP answer to what the feed refuses."""
    if isinstance(error, GoneError):
        return Problem(410, str(error), parameter="after", value=error.after, oldest=error.oldest, newest=error.newest)
    status = _STATUS[type(error)]
    return Problem(status, str(error), headers=b"Retry-After: 60\r\n" if status == 429 else b"")


async def read_body(request: Request, most_bytes: int, within_s: float) -> bytes:
    """Return the request's body, of at most ``most_bytes``, which has ``within_s`` seconds to come.

    Raises the 413, 408, 415 (a coding we do not undo), 417 or, when its chunks are malformed, the 400.
    """
    coding = request.headers.get("Content-Encoding", "identity")
    if coding.lower() != "identity":
        raise Problem(
            415, f"Content-Encoding {coding[:40]!r}, expected none", headers=b"Accept-Encoding: identity\r\n", ends=True
        )
    too_big = Problem(
        413, f"a body of more than {most_bytes} bytes, expected at most that", reason="body_too_big", ends=True
    )
    if (request.content_length or 0) > most_bytes:
        raise too_big
    expect = request.headers.get("Expect")
    if expect is not None and request.version >= (1, 1):
        if expect.lower() != "100-continue":
            raise Problem(417, f"Expect {expect[:40]!r}, expected 100-continue", ends=True)
        if request.transport is not None:
            request.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")  # RFC 9110, section 10.1.1
    body = bytearray()
    try:
        async with asyncio.timeout(None if request.content.is_eof() else within_s):
            async for piece in request.content.iter_any():
                body += piece
                if len(body) > most_bytes:
                    raise too_big
    except TimeoutError:
        raise Problem(
            408, f"expected the whole body within {within_s:g} s", reason="request_timeout", ends=True
        ) from None
    except (web.RequestPayloadError, HttpProcessingError) as error:
        raise Problem(
            400, "a malformed body, expected chunks (RFC 9112)", reason="malformed_http", ends=True
        ) from error
    return bytes(body)


class Service:
    """The handlers; see ``mount``."""

    def __init__(self, site: Site) -> None:
        self._site = site

    def _json(self, request: Request, status: int, value: object) -> Written:
        return self._site.answer(request, status, _FRESH, json.dumps(value).encode())

    def _feed(self) -> dict[str, object]:
        feed = self._site.feed
        settings, schedule = feed.settings, feed.settings.schedule
        return {
            "state": feed.state,
            "epoch_ns": feed.epoch_ns,
            "stop_ns": feed.stop_ns,
            "topics": settings.topics,
            "schedule": schedule.kind,
            "rate_hz": schedule.rate_hz,
            "payload_bytes": settings.payload_bytes,
            "seed": schedule.seed,
        }

    async def health(self, request: Request, _topic: str, _query: Query) -> Written:
        """Say that we are ready, what we serve, and within which limits."""
        settings = self._site.feed.settings
        limits = asdict(self._site.limits) | {
            "log_events": settings.log_events,
            "published_topics": settings.published_topics,
        }
        transports = list(self._site.options.modules)
        value = {"ready": True, "contract": CONTRACT, "transports": transports, "limits": limits, "feed": self._feed()}
        return self._json(request, 200, value)

    async def clock(self, request: Request, _topic: str, _query: Query) -> Written:
        """Say what time it is here; read last, so that the answer is as fresh as can be."""
        return self._json(request, 200, {"now_ns": self._site.feed.clock()})

    async def stats(self, request: Request, _topic: str, _query: Query) -> Written:
        """Say what has been published and to how many."""
        counters = self._site.counters
        connections = {name: {"open": counters.open[name], "total": counters.total[name]} for name in counters.total}
        value = {
            "published": {topic.name: topic.newest for topic in self._site.feed.topics.values()},
            "connections": connections,
            "bytes_written": counters.bytes_written,
            "drops": dict(counters.drops),
        }
        return self._json(request, 200, value)

    async def publish(self, request: Request, topic: str, _query: Query) -> Written:
        """Publish the body."""
        limits = self._site.limits
        body = await read_body(request, limits.publish_bytes, limits.request_s)
        try:
            data = body.decode()
        except UnicodeDecodeError as error:
            raise bad_parameter("body", repr(body[:40]), f"UTF-8 ({error.reason} at byte {error.start})") from error
        return self._json(request, 202, {"seq": self._site.feed.publish(topic, data).seq})

    async def control(self, request: Request, _topic: str, _query: Query) -> Written:
        """Set the epoch, and with ``stop_ns`` the end; answer when what is due by now is in the log."""
        body = await read_body(request, FEED_BYTES, self._site.limits.request_s)
        try:
            wish = json.loads(body)
        except (ValueError, RecursionError) as error:  # the second: brackets nested by the thousand
            raise bad_parameter("body", repr(body[:40]), f"JSON ({error})") from error
        if not isinstance(wish, dict):
            raise bad_parameter("body", repr(body[:40]), 'an object {"epoch_ns": N, "stop_ns": N}')
        feed = self._site.feed
        rate_hz = feed.settings.schedule.rate_hz * feed.settings.topics
        now_ns = feed.clock()
        earliest_ns = now_ns - round(min(PAST_S, CATCH_UP_EVENTS / rate_hz) * 1e9)
        epoch_ns = _nanoseconds(wish, "epoch_ns", earliest_ns, f"ns on the clock of /clock, at least {earliest_ns}")
        stop_ns = None
        if wish.get("stop_ns") is not None:
            stop_ns = _nanoseconds(wish, "stop_ns", epoch_ns + 1, f"ns after epoch_ns {epoch_ns}")
        feed.start(epoch_ns, stop_ns)
        while feed.behind(now_ns):  # noqa: ASYNC110 - the feed knows of no loop
            await asyncio.sleep(0.001)
        return self._json(request, 200, self._feed())


def _nanoseconds(wish: dict[str, object], name: str, least: int, expected: str) -> int:
    """Return a time out of a JSON object."""
    value = wish.get(name)
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value < 1 << 63:
        raise bad_parameter(name, json.dumps(value), expected)
    return value


def mount(site: Site) -> None:
    """Add the endpoints; ``/feed`` only to a server that is controlled."""
    service = Service(site)
    reading = ("GET", "HEAD")
    site.route(reading, "/health", service.health)
    site.route(reading, "/clock", service.clock)
    site.route(reading, "/stats", service.stats)
    site.route(("POST",), "/publish/{topic}", service.publish, guarded=True)
    if site.options.control:
        site.route(("PUT",), "/feed", service.control, guarded=True)
