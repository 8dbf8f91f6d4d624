"""How far a run has come, on standard error: a bar with the time left on a terminal, a line per cell elsewhere.

Rule: what is left is estimated from the cells' own settings, scaled by how the finished ones compared with their
estimates.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from typing import TextIO

_BAR = 24


class Progress:
    """Reports the cells of a run as they start and end; ``estimates_s`` are their expected durations, in order."""

    __slots__ = ("_clock", "_done", "_estimates_s", "_out", "_spent_s", "_started_s", "_terminal")

    def __init__(
        self, estimates_s: Sequence[float], out: TextIO = sys.stderr, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._estimates_s = estimates_s
        self._out = out
        self._clock = clock
        self._terminal = out.isatty()
        self._done = 0
        self._spent_s = 0.0
        self._started_s = clock()

    def start(self, label: str) -> None:
        """Report that a cell starts (on a terminal; elsewhere its end is line enough)."""
        self._started_s = self._clock()
        if self._terminal:
            filled = _BAR * self._done // max(1, len(self._estimates_s))
            bar = "#" * filled + "." * (_BAR - filled)
            self._out.write(f"\r\x1b[K[{bar}] {self._count()} {label}, {duration(self.left_s())} left")
            self._out.flush()

    def end(self, label: str, status: str, why: str = "") -> None:
        """Report how a cell ended; a failure keeps its line on a terminal too."""
        took_s = self._clock() - self._started_s
        self._spent_s += took_s
        self._done += 1
        said = f"{status}: {why}" if why else status
        if not self._terminal:
            self._out.write(f"{self._count()} {label}  {said}  {took_s:.1f} s, {duration(self.left_s())} left\n")
        elif why:
            self._out.write(f"\r\x1b[K{label}  {said}\n")
        self._out.flush()

    def close(self) -> None:
        """Clear the bar."""
        if self._terminal:
            self._out.write("\r\x1b[K")
            self._out.flush()

    def left_s(self) -> float:
        """Return about how long the cells that have not ended will take."""
        expected_s = sum(self._estimates_s[: self._done])
        scale = self._spent_s / expected_s if expected_s else 1.0
        return scale * sum(self._estimates_s[self._done :])

    def _count(self) -> str:
        width = len(str(len(self._estimates_s)))
        return f"{self._done:{width}}/{len(self._estimates_s)}"


def duration(seconds: float) -> str:
    """Write a duration for people: 45 s, 3 min 20 s, 1 h 05 min."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
