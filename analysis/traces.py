"""Read the reader's own event times: a CSV with a column of timestamps, and perhaps one that says whose they are.

The rule it keeps: nothing is dropped in silence. A row that cannot be read is named by its line and what was expected,
and counted; a file without one usable row, or with too many that are not, is a ``TraceError`` of one line. Timestamps
are ISO 8601 (with or without a zone, not mixed) or numbers: seconds, or ms, us and ns since 1970 as they are told apart
by their size. Order does not matter.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import numpy.typing as npt

from analysis.realised import Schedule
from analysis.traffic import recorded

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

TIME_NAMES = ("time", "timestamp", "ts", "at", "date", "datetime", "created_at", "event_time", "seconds", "t", "due_s")
CLIENT_NAMES = ("client", "topic", "user", "subscriber", "channel", "room", "key", "id")
NAMED = 5  # bad rows that are named one by one
MOST_BAD = 0.1  # share of bad rows beyond which the file is not what it is taken for
LANES = 400  # at least: so many stretches are simulated at once
_EPOCHS = ((1e17, 1e-9), (1e14, 1e-6), (1e11, 1e-3))  # a number this large counts ns, us, ms since 1970


class TraceError(Exception):
    """The file is no trace; the message is one line: what was read, where, what was expected."""


@dataclass(frozen=True, slots=True)
class Trace:
    """Events ordered by client, then time: ``times_s`` from 0 (the first of all), ``client`` 0 … ``clients`` - 1.

    ``bad`` are sentences about rows that were left out, with their lines, the last one counting all of them.
    """

    times_s: Floats
    client: Ints
    names: tuple[str, ...]
    bad: tuple[str, ...]

    @property
    def clients(self) -> int:
        """Number of clients."""
        return len(self.names)

    @property
    def length_s(self) -> float:
        """From the first event to the last."""
        return float(self.times_s.max(initial=0.0))

    @property
    def rate_hz(self) -> float:
        """Mean events per second of a client."""
        return len(self.times_s) / self.clients / self.length_s if self.length_s else math.nan

    def schedule(self, run_in_s: float) -> Schedule:
        """The trace as the simulator takes it, cut into lanes with a run-in."""
        return recorded(self.times_s, self.client, self.clients, run_in_s, least=LANES)

    def too_short_for(self, q: float, samples: int = 20) -> str:
        """Say how long the trace must be for a quantile; empty when it is long enough (METHODOLOGY rule 8)."""
        needed = math.ceil(samples / (1 - q) - 1e-9)
        n = len(self.times_s)
        if n >= needed:
            return ""
        longer = self.length_s * needed / n if n else math.nan
        return (
            f"{n} events are too few for p{100 * q:g}, which needs {needed:,}: at this rate about"
            f" {duration(longer)} instead of {duration(self.length_s)}"
        )


def read(path: Path) -> Trace:
    """Read a trace; raises TraceError."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = [(number, row) for number, row in _rows(file) if any(cell.strip() for cell in row)]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise TraceError(f"{path}: {reason}; expected a CSV file with a column of timestamps") from None
    if not rows:
        raise TraceError(f"{path}: no rows; expected a column of timestamps (ISO 8601 or seconds)")
    time_at, client_at, rows = _columns(path, rows)
    return _trace(path, rows, time_at, client_at)


def _rows(file: Iterator[str]) -> Iterator[tuple[int, list[str]]]:
    reader = csv.reader(file)
    for row in reader:
        yield reader.line_num, row


def _columns(path: Path, rows: list[tuple[int, list[str]]]) -> tuple[int, int | None, list[tuple[int, list[str]]]]:
    """Find the columns by a heading line, if there is one: else the first is the time and the second whose it is."""
    first = [cell.strip() for cell in rows[0][1]]
    if any(_moment(cell) is not None for cell in first):  # no heading
        return 0, (1 if len(first) > 1 else None), rows
    heading = [cell.lower() for cell in first]
    times = [i for i, name in enumerate(heading) if name in TIME_NAMES]
    if not times and len(heading) > 1:
        raise TraceError(
            f"{path}, line {rows[0][0]}: columns {', '.join(heading)[:80]}, expected one named {', '.join(TIME_NAMES)}"
        )
    clients = [i for i, name in enumerate(heading) if name in CLIENT_NAMES]
    return (times[0] if times else 0), (clients[0] if clients else None), rows[1:]


def _trace(path: Path, rows: Sequence[tuple[int, list[str]]], time_at: int, client_at: int | None) -> Trace:
    times: list[float] = []
    owners: list[str] = []
    bad: list[str] = []
    count = 0
    for number, row in rows:
        text = row[time_at].strip() if time_at < len(row) else ""
        at_s = _moment(text)
        if at_s is None or (client_at is not None and client_at >= len(row)):
            count += 1
            if len(bad) < NAMED:
                what = f"{text[:40]!r}, expected ISO 8601 or seconds" if at_s is None else "no column for whose it is"
                bad.append(f"line {number}: {what}")
            continue
        times.append(at_s)
        owners.append("" if client_at is None else row[client_at].strip())
    if count:
        bad.append(f"{count} of {len(rows)} rows left out")
    if not times or count > MOST_BAD * len(rows):
        raise TraceError(f"{path}: {'; '.join(bad) or 'no usable row'}; mend them, or name the column of timestamps")
    names = tuple(dict.fromkeys(owners))
    number_of = {name: i for i, name in enumerate(names)}
    client = np.array([number_of[name] for name in owners], np.int64)
    at = np.array(times)
    order = np.lexsort((at, client))
    return Trace(at[order] - at.min(), client[order], names, tuple(bad))


def _moment(text: str) -> float | None:
    """A timestamp in s; None when it is none."""
    try:
        number = float(text)
    except ValueError:
        return _iso(text)
    if not math.isfinite(number):
        return None
    return number * next((scale for least, scale in _EPOCHS if abs(number) >= least), 1.0)


def _iso(text: str) -> float | None:
    if len(text) < 8 or not text[0].isdigit():
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def duration(value_s: float) -> str:
    """Write a length of time in the unit that suits it."""
    for unit, size in (("days", 86_400), ("hours", 3600), ("minutes", 60)):
        if value_s >= 2 * size:
            return f"{value_s / size:.3g} {unit}"
    return f"{value_s:.3g} s"
