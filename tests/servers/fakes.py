"""What stands in for a connection and a clock: tests of conversations need neither sockets nor time."""

import argparse

from servers.feed import Feed, FeedSettings
from servers.schedule import Schedule
from servers.site import Limits, Site


class Clock:
    """Nanoseconds that pass when the test says so."""

    def __init__(self) -> None:
        self.now_ns = 10**9
        self.tick_ns = 0  # that pass by themselves at every look

    def __call__(self) -> int:
        self.now_ns += self.tick_ns
        return self.now_ns

    def pass_s(self, seconds: float) -> int:
        self.now_ns += round(seconds * 1e9)
        return self.now_ns


class Transport:
    """Keeps what is written; ``events`` tells how it ended."""

    def __init__(self, *, half: bool = True) -> None:
        self.pieces: list[bytes] = []
        self.ended: list[str] = []
        self.queued = 0
        self.reading = True
        self._half = half

    @property
    def written(self) -> bytes:
        return b"".join(self.pieces)

    def take(self) -> bytes:
        """What was written since the last look."""
        data = self.written
        self.pieces.clear()
        return data

    def write(self, data: bytes) -> None:
        assert not self.ended, "written to a connection whose writing half was ended"
        self.pieces.append(data)

    def get_write_buffer_size(self) -> int:
        return self.queued

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def can_write_eof(self) -> bool:
        return self._half

    def write_eof(self) -> None:
        self.ended.append("eof")

    def close(self) -> None:
        self.ended.append("close")

    def abort(self) -> None:
        self.ended.append("abort")


def make_site(clock: Clock, *, log_events: int = 10, **limits: float) -> Site:
    """A site with one scheduled topic, t0, that never starts; publish to others."""
    settings = FeedSettings(Schedule("constant", 1.0, 1), topics=1, log_events=log_events)
    return Site(Feed(settings, clock), Limits(**limits), argparse.Namespace())
