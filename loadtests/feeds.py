"""What feeds a cell: a server of ours, or a target. How the feed begins, and what each subscriber is owed of it.

Rule 1: a server of ours waits, everybody subscribes with ``after=0``, and then the schedule is started and stopped:
each subscriber is owed exactly 1 … N.
Rule 2: a target's feed runs once, and may be running already. Everybody subscribes behind the newest event there was
(live only, where the target does not count), and is owed what was published from there until the window's end.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, Protocol

from loadtests import clocks
from loadtests.access import Access
from loadtests.control import ControlError, ask, set_feed
from loadtests.settings import Settings, published_by_subscribers

Record = dict[str, Any]

_DAY_NS = 86_400_000_000_000
_WITHOUT = {404, 405, 501}
"""Statuses by which a server says that it has no such thing."""


class Feed(Protocol):
    """What a cell asks of whatever feeds it; each step writes what it learned into the cell's record."""

    access: Access
    after: int | None
    cursors: Mapping[str, int]

    def begin(self, epoch_ns: int, stop_ns: int) -> None:
        """Have events come from ``epoch_ns`` until ``stop_ns``, both on our clock: until the window ends, or later."""

    def end_window(self) -> None:
        """Note what there is to note at the window's end."""

    def close(self) -> None:
        """Note what the server says in the end, when everything has been delivered."""


class OwnFeed:
    """The feed of a server that we have started, and that waits."""

    def __init__(self, access: Access, settings: Settings, record: Record) -> None:
        self.access = access
        self.after: int | None = 0
        self.cursors: Mapping[str, int] = {}
        self._silent = not settings["feed.rate_hz"] or published_by_subscribers(settings)
        self._record = record

    def begin(self, epoch_ns: int, stop_ns: int) -> None:
        """Start the schedule; without events of the server's it begins when the window is over, and ends at once."""
        if self._silent:
            set_feed(self.access, stop_ns, stop_ns + 1)
        else:
            set_feed(self.access, epoch_ns, stop_ns)

    def end_window(self) -> None:
        """Do nothing: the feed ends by itself."""

    def close(self) -> None:
        """Note what was published."""
        stats = ask(self.access, "GET", "/stats")
        self._record["published"] = _published(stats)
        self._record["server"]["stats"] = stats


class TargetFeed:
    """The feed of a target. ``last`` says that no other cell of this run needs it: then it may end with this one."""

    def __init__(self, access: Access, settings: Settings, record: Record, *, last: bool) -> None:
        self.access = access
        self.after: int | None = None
        self._record = record
        self._clock = clocks.measure(access)
        record["clock"] = {"start": self._clock.row()}
        health = ask(access, "GET", "/health")
        state = (health.get("feed") or {}).get("state", "running")
        record["server"] = {"health": health}
        record["target"] = {"url": access.http, "feed": state}
        theirs = published_by_subscribers(settings)
        wanted = bool(settings["feed.rate_hz"]) and not theirs
        if state == "stopped" and wanted:
            raise ControlError(f"{access.http}: the target's feed has ended, and a feed runs once: start it again")
        if state == "running" and not wanted and not theirs:
            raise ControlError(
                f"{access.http}: the target's feed is running, but this cell asks for silence (rate_hz = 0)"
            )
        self._starts = state == "waiting" and wanted
        self._stops = self._starts and last
        self._ends = self._stops or theirs
        known = self._ask_stats()
        self.cursors: Mapping[str, int] = known or {}
        if known is not None:
            record["owed_from"] = known

    def begin(self, epoch_ns: int, stop_ns: int) -> None:
        """Start the schedule if it waits, for as long as it will be needed."""
        if self._starts:
            offset_ns = 0 if self._clock.same else self._clock.offset_ns
            end_ns = stop_ns if self._stops else time.monotonic_ns() + _DAY_NS
            set_feed(self.access, epoch_ns + offset_ns, end_ns + offset_ns)

    def end_window(self) -> None:
        """Note what is owed of a feed that goes on: what is published by now, and so can be delivered until the end."""
        if not self._ends:
            self._record["published"] = self._ask_stats() or {}

    def close(self) -> None:
        """Note what was published, and how the clocks differ by now."""
        if self._ends:
            self._record["published"] = self._ask_stats() or {}
        self._record["clock"]["end"] = clocks.measure(self.access).row()

    def _ask_stats(self) -> dict[str, int] | None:
        """Return the newest seq by topic; None from a target that does not count."""
        try:
            stats = ask(self.access, "GET", "/stats")
        except ControlError as error:
            if error.status in _WITHOUT:
                return None
            raise
        known = isinstance(stats.get("published"), dict)
        published = _published(stats)
        self._record["server"]["stats"] = stats
        return published if known else None


def _published(stats: dict[str, Any]) -> dict[str, int]:
    """Take the newest seq by topic out of ``/stats``; the topics of verifications are no part of a feed."""
    published = stats.pop("published", {})
    return {topic: seq for topic, seq in published.items() if not topic.startswith("verify-")}
