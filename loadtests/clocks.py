"""How far the server's clock is from ours, and how well that can be known.

Four timestamps, as in NTP (RFC 5905, section 8), of which the server gives one that counts twice: a request leaves at
``sent``, ``/clock`` answers with its time, the answer comes at ``received``. The server's clock was read between the
two, so the offset is known to half the round trip; the quickest of many round trips bounds it best (METHODOLOGY, rule
1).
"""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any
from urllib.parse import urlsplit

from loadtests.access import Access
from loadtests.control import ControlError, connect, fields

ROUND_TRIPS = 50


@dataclass(frozen=True, slots=True)
class Offset:
    """The server's clock minus ours, in ns, give or take ``bound_ns``, at ``at_ns`` on ours."""

    at_ns: int
    offset_ns: int
    bound_ns: int
    round_trips: int

    @property
    def same(self) -> bool:
        """Whether this may be one and the same clock."""
        return abs(self.offset_ns) <= self.bound_ns

    def row(self) -> dict[str, int]:
        """Return it as run.json has it."""
        return asdict(self)


def measure(server: Access, round_trips: int = ROUND_TRIPS, clock: Callable[[], int] = time.monotonic_ns) -> Offset:
    """Ask the server for its time so often, over one connection; raises ControlError and AccessError."""
    connection, path, known = connect(server), urlsplit(server.http).path + "/clock", fields(server)
    best: tuple[int, int, int] | None = None
    try:
        for _ in range(round_trips):
            sent_ns = clock()
            connection.request("GET", path, headers=known)
            response = connection.getresponse()
            received_ns = clock()
            now_ns = _now_ns(response.read())
            if now_ns is None:
                raise ControlError(f'GET {server.http}/clock: status {response.status}, expected {{"now_ns": N}}')
            if best is None or received_ns - sent_ns < best[1] - best[0]:
                best = sent_ns, received_ns, now_ns
    except (OSError, http.client.HTTPException) as error:
        raise ControlError(f"GET {server.http}/clock: {error or type(error).__name__}") from None
    finally:
        connection.close()
    if best is None:
        raise ValueError("round_trips: expected at least 1")
    sent_ns, received_ns, now_ns = best
    middle_ns = (sent_ns + received_ns) // 2
    return Offset(middle_ns, now_ns - middle_ns, (received_ns - sent_ns + 1) // 2, round_trips)


def _now_ns(body: bytes) -> int | None:
    """Return the time in an answer of ``/clock``."""
    try:
        answer: Any = json.loads(body)
    except ValueError:
        return None
    now_ns = answer.get("now_ns") if isinstance(answer, dict) else None
    return now_ns if isinstance(now_ns, int) and not isinstance(now_ns, bool) else None
