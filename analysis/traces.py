"""Read the reader's own event times: a CSV with a column of timestamps, and perhaps one that says whose they are.

The rule it keeps: nothing is dropped in silence. A row that cannot be read, or is of another kind than most (no zone
where others have one, a year where others count seconds), is named by its line and what was expected, and counted; a
file without one usable row, or with too many that are not, is a ``TraceError`` of one line. Timestamps are ISO 8601,
all with a zone or all without, or numbers: seconds, or ms, us and ns since 1970 as they are told apart by their size,
or as the heading says (``time_ms``). Order does not matter; commas, semicolons, tabs and bars separate.
"""

from __future__ import annotations

import csv
import itertools
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple, TextIO

import numpy as np
import numpy.typing as npt

from analysis.realised import Schedule
from analysis.traffic import recorded

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Row = tuple[int, list[str]]

TIME_NAMES = (
    "time", "timestamp", "ts", "at", "date", "datetime", "created_at", "event_time", "seconds", "t", "due", "epoch",
)  # fmt: skip
CLIENT_NAMES = ("client", "topic", "user", "subscriber", "channel", "room", "key", "id")
NAMED = 5  # bad rows that are named one by one
MOST_BAD = 0.1  # share of bad rows beyond which the file is not what it is taken for
LANES = 400  # at least: so many stretches are simulated at once
LONGEST = 1 << 16  # characters of a line: what is longer is no table of times
_SEPARATORS = "\t;|"  # where the first line has one of them, it separates, else the comma
_UNITS = {"_s": 1.0, "_ms": 1e-3, "_us": 1e-6, "_ns": 1e-9}  # behind the name of a column
_EPOCHS = ((1e17, 1e-9), (1e14, 1e-6), (1e11, 1e-3))  # a number this large counts ns, us, ms since 1970
_SINCE_1970 = 1e8  # s: a number beyond is a moment, below it a count of seconds from any beginning
ZONED, NAIVE, EPOCH, COUNTED = (
    "a time with its zone", "a time without a zone", "a time since 1970", "seconds from a beginning",
)  # fmt: skip


class TraceError(Exception):
    """The file is no trace; the message is one line: what was read, where, what was expected."""


class Moment(NamedTuple):
    """A timestamp: s since 1970 or from any beginning, and which kind it was written as."""

    at_s: float
    kind: str


@dataclass(frozen=True, slots=True)
class Columns:
    """Where the time is, whose it is (None: not said), and what a number in the time's column counts, if known."""

    time: int
    client: int | None
    unit_s: float | None = None


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


def usable(path: Path, quantiles: Iterable[float] = ()) -> Trace:
    """Read a trace that is long enough for these quantiles; raises TraceError."""
    trace = read(path)
    if not trace.length_s:
        what = "there is one event" if len(trace.times_s) == 1 else "all events are at one moment"
        raise TraceError(f"{path}: {what}; expected times that differ")
    for q in quantiles:
        if too_short := trace.too_short_for(q):
            raise TraceError(f"{path}: {too_short}")
    return trace


def read(path: Path) -> Trace:
    """Read a trace; raises TraceError."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = [(number, row) for number, row in _rows(file) if any(cell.strip() for cell in row)]
    except UnicodeDecodeError as error:
        what = f"byte 0x{error.object[error.start]:02x} is not UTF-8 text"
        raise TraceError(f"{path}: {what}; expected a CSV file with a column of timestamps") from None
    except (OSError, csv.Error) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise TraceError(f"{path}: {reason}; expected a CSV file with a column of timestamps") from None
    if not rows:
        raise TraceError(f"{path}: no rows; expected a column of timestamps (ISO 8601 or seconds)")
    columns, rows = _columns(path, rows)
    return _trace(path, rows, columns)


def _rows(file: TextIO) -> Iterator[Row]:
    """Every row with the number of the line it begins in; raises csv.Error, the line named."""
    lines = _lines(file)
    head: list[str] = []
    for line in lines:
        head.append(line)
        if line.strip():
            break
    separator = next((one for one in _SEPARATORS if head and one in head[-1]), ",")
    reader = csv.reader(itertools.chain(head, lines), delimiter=separator, strict=True)
    begins = 1
    try:
        for row in reader:
            # where commas do not separate, they may be decimal
            yield begins, row if separator == "," else [cell.replace(",", ".") for cell in row]
            begins = reader.line_num + 1
    except csv.Error as error:
        said = str(error)
        open_quote = "unexpected end" in said or "field limit" in said
        what = "a quote that does not close" if open_quote else said
        raise csv.Error(said if said.startswith("line ") else f"line {begins}: {what}") from None


def _lines(file: TextIO) -> Iterator[str]:
    for number in itertools.count(1):
        line = file.readline(LONGEST + 1)
        if not line:
            return
        if len(line) > LONGEST:
            raise csv.Error(f"line {number}: more than {LONGEST:,} characters")
        yield line


def _columns(path: Path, rows: list[Row]) -> tuple[Columns, list[Row]]:
    """Find the columns by a heading line, if there is one: else the first time, and the first of the others."""
    number, cells = rows[0]
    first = [cell.strip() for cell in cells]
    if any(_moment(cell) for cell in first):  # no heading
        time = next((i for i, cell in enumerate(first) if _iso(cell)), None)
        time = next(i for i, cell in enumerate(first) if _moment(cell)) if time is None else time
        others = [i for i in range(len(first)) if i != time]
        return Columns(time, others[0] if others else None), rows
    heading = [cell.lower() for cell in first]
    times = [(i, unit_s) for i, name in enumerate(heading) for known, unit_s in [_time_name(name)] if known]
    if not times and len(heading) > 1:
        names = ", ".join(heading)
        said = names if len(names) <= 80 else f"{names[:80]}…"
        raise TraceError(f"{path}, line {number}: columns {said}, expected one named {', '.join(TIME_NAMES)}")
    time, unit_s = times[0] if times else (0, None)
    clients = [i for i, name in enumerate(heading) if name in CLIENT_NAMES and i != time]
    return Columns(time, clients[0] if clients else None, unit_s), rows[1:]


def _time_name(name: str) -> tuple[bool, float | None]:
    """Whether a heading is of times, and the unit it says."""
    if name in TIME_NAMES:
        return True, None
    stem, _, unit = name.rpartition("_")
    return stem in TIME_NAMES and f"_{unit}" in _UNITS, _UNITS.get(f"_{unit}")


def _trace(path: Path, rows: Sequence[Row], columns: Columns) -> Trace:
    found: list[tuple[int, str, Moment, str]] = []
    bad: list[tuple[int, str]] = []
    for number, row in rows:
        text = row[columns.time].strip() if columns.time < len(row) else ""
        moment = _moment(text, columns.unit_s)
        if moment is None:
            bad.append((number, f"{text[:40]!r}, expected ISO 8601 or seconds"))
        elif columns.client is not None and columns.client >= len(row):
            bad.append((number, "no column for whose it is"))
        else:
            found.append((number, text, moment, "" if columns.client is None else row[columns.client].strip()))
    usual = Counter(moment.kind for _, _, moment, _ in found).most_common(1)
    for number, text, moment, _ in found:
        if moment.kind != usual[0][0]:
            bad.append((number, f"{text[:40]!r} is {moment.kind}, expected {usual[0][0]} as in other rows"))
    fine = [(moment.at_s, owner) for _, _, moment, owner in found if moment.kind == usual[0][0]]
    said = tuple(f"line {number}: {what}" for number, what in sorted(bad)[:NAMED])
    if bad:
        said += (f"{len(bad)} of {len(rows)} rows left out",)
    if not fine or len(bad) > MOST_BAD * len(rows):
        raise TraceError(f"{path}: {'; '.join(said) or 'no usable row'}; mend them, or name the column of timestamps")
    names = tuple(dict.fromkeys(owner for _, owner in fine))
    number_of = {name: i for i, name in enumerate(names)}
    client = np.array([number_of[owner] for _, owner in fine], np.int64)
    at = np.array([at_s for at_s, _ in fine])
    order = np.lexsort((at, client))
    return Trace(at[order] - at.min(), client[order], names, said)


def _moment(text: str, unit_s: float | None = None) -> Moment | None:
    """Read a timestamp; None when it is none."""
    try:
        number = float(text)
    except ValueError:
        return _iso(text)
    if not math.isfinite(number):
        return None
    size = abs(number)
    scale = unit_s or next((scale for least, scale in _EPOCHS if size >= least), 1.0)
    return Moment(number * scale, EPOCH if size * scale >= _SINCE_1970 else COUNTED)


def _iso(text: str) -> Moment | None:
    if len(text) < 8 or not text[0].isdigit():
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    zoned = moment.tzinfo is not None
    return Moment((moment if zoned else moment.replace(tzinfo=UTC)).timestamp(), ZONED if zoned else NAIVE)


def duration(value_s: float) -> str:
    """Write a length of time in the unit that suits it."""
    for unit, size in (("days", 86_400), ("hours", 3600), ("minutes", 60)):
        if value_s >= 2 * size:
            return f"{value_s / size:.3g} {unit}"
    return f"{value_s:.3g} s"
