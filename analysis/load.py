"""Open a run folder: ``run.json``, and each cell's rows when they are asked for.

The rule it keeps: what was written down is read, never guessed. A run that was killed and cells that failed are
ordinary (a cell without a file has no rows). A folder that is no run, or one written in a newer format than this
program knows, is a ``BadRunError`` of one line, and so is a cell's file that is torn: that cell's, not the run's.
Nothing here knows the transports: labels come out of ``run.json``. Source: the results format, version 1
(``loadtests.__doc__``).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from analysis.errors import BadRunError

FORMAT = 1  # the newest results format this program reads

DELIVERIES = ("subscriber", "connection", "topic", "seq", "due_ns", "sent_ns", "received_ns", "bytes")
RESPONSES = ("subscriber", "started_ns", "finished_ns", "status", "events", "bytes_sent", "bytes_received")
PUBLISHES = ("subscriber", "seq", "due_ns", "sent_ns", "acknowledged_ns", "status", "bytes_sent", "bytes_received")
CONNECTIONS = (
    "subscriber", "attempt", "purpose", "started_ns", "tcp_ns", "tls_ns", "upgraded_ns", "subscribed_ns", "extensions",
    "subprotocol", "heartbeats", "bytes_up_subscribed", "bytes_down_subscribed", "bytes_up", "bytes_down",
    "segments_up", "segments_down", "closed_ns", "why",
)  # fmt: skip
RESOURCES = ("at_ns", "mark", "process", "pid", "cpu_ns", "rss_bytes", "fds", "threads", "kernel_bytes")
# Columns that came while the format was version 1 already: rows written before them have this instead.
_LATER: Mapping[str, str] = {"purpose": ""}
_TEXT = frozenset(("purpose", "extensions", "subprotocol", "why", "mark", "process"))


@dataclass(frozen=True, slots=True)
class Window:
    """The moments of a cell in ns, monotonic: warm-up is epoch … from, the measurement window from … to."""

    epoch_ns: int
    from_ns: int
    to_ns: int
    stop_ns: int
    drained_ns: int

    @property
    def length_s(self) -> float:
        """Length of the measurement window, in s."""
        return (self.to_ns - self.from_ns) / 1e9


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell and repeat as ``run.json`` has it; the four readers open its files, with no rows where there is no file.

    ``status`` is how measuring ended (``done, failed, skipped, pending``), not yet whether the result is valid.
    """

    id: str
    experiment: str
    cell: str
    repeat: int
    transport: str
    seed: int
    role: str
    status: str
    why: str
    settings: Mapping[str, Any]
    window: Window | None
    published: Mapping[str, int]
    load: Mapping[str, Any]
    server: Mapping[str, Any]
    cpus: Mapping[str, Any]
    verify: Mapping[str, Any]
    folder: Path
    unverified: str = ""  # why a target could not be verified
    owed_from: Mapping[str, int] = field(default_factory=dict)  # newest seq by topic when subscribing began; else 0
    clock: Mapping[str, Mapping[str, int]] = field(default_factory=dict)  # a target's, against ours: start and end

    @property
    def topics(self) -> int:
        """Number of scheduled topics; subscriber ``i`` is on topic ``i % topics``."""
        topics = self.settings.get("feed.topics", 1)
        return max(1, self.subscribers if topics == "per_subscriber" else int(topics))

    @property
    def subscribers(self) -> int:
        """Number of subscribers the cell was to have."""
        return int(self.settings.get("load.subscribers", self.load.get("subscribers", 0)))

    @property
    def damage(self) -> str:
        """What is missing of a cell that was done: its folder, or files every cell has."""
        if not self.folder.is_dir():
            return "its folder is gone"
        files = ("deliveries.parquet", "responses.parquet", "connections.parquet")
        gone = [name for name in files if not (self.folder / name).exists()]
        return f"{', '.join(gone)} missing" if gone else ""

    @property
    def clock_bound_ns(self) -> int:
        """How well the server's clock is known on ours, where it is another one; 0 where it may be the same."""
        ends = self.clock.values()
        if all(abs(end["offset_ns"]) <= end["bound_ns"] for end in ends):
            return 0
        return max(end["bound_ns"] for end in ends)

    def deliveries(self) -> pd.DataFrame:
        """Deliveries, all of the feed, in the order of writing; int64 columns ``DELIVERIES``, times on our clock."""
        frame = _integers(self.folder / "deliveries.parquet", DELIVERIES)
        return _on_our_clock(frame, self.clock) if self.clock_bound_ns else frame

    def responses(self) -> pd.DataFrame:
        """Completed answers to requests for events; int64 columns ``RESPONSES``; none for push transports."""
        return _integers(self.folder / "responses.parquet", RESPONSES)

    @property
    def publishes_upstream(self) -> bool:
        """Whether its events are its subscribers' own, each on a topic of its own."""
        return self.settings.get("feed.publisher") == "subscribers"

    def publishes(self) -> pd.DataFrame:
        """What the subscribers published, in nullable Int64 columns ``PUBLISHES`` (null: it never came)."""
        return _nullable_rows(self.folder / "publishes.parquet", PUBLISHES)

    def connections(self) -> pd.DataFrame:
        """Connection attempts, columns ``CONNECTIONS``; numbers are nullable Int64 (null: no such phase or count)."""
        return _nullable_rows(self.folder / "connections.parquet", CONNECTIONS)

    def resources(self) -> pd.DataFrame:
        """Samples of the processes, columns ``RESOURCES``; ``mark`` is empty for the periodic ones."""
        path = self.folder / "resources.csv"
        if not path.exists() or not path.stat().st_size:
            return pd.DataFrame({name: pd.Series(dtype=_nullable(name)) for name in RESOURCES})
        try:
            frame = pd.read_csv(path, dtype={"mark": str, "process": str}, on_bad_lines="skip")
        except (OSError, ValueError) as error:
            raise BadRunError(f"{path}: cannot be read as CSV ({str(error).splitlines()[0]})") from None
        missing = [name for name in ("at_ns", "mark", "process", "pid", "cpu_ns", "rss_bytes") if name not in frame]
        if missing:
            raise BadRunError(f"{path}: no column {', '.join(missing)}; this is not a resources.csv of format {FORMAT}")
        numbers = {str(name): pd.to_numeric(frame[name], errors="coerce") for name in frame if name not in _TEXT}
        return frame.assign(mark=frame["mark"].fillna(""), **numbers).reindex(columns=list(RESOURCES))


@dataclass(frozen=True, slots=True)
class Run:
    """A run: where it lies, all of ``run.json`` (``meta``), and its cells in the order they were planned."""

    folder: Path
    meta: Mapping[str, Any]
    cells: tuple[Cell, ...]

    @property
    def name(self) -> str:
        """The experiment's or the suite's name."""
        return str(self.meta.get("name", self.folder.name))

    @property
    def experiments(self) -> Mapping[str, Mapping[str, Any]]:
        """``title, question, axes, expect`` by experiment."""
        return self.meta.get("experiments") or {}

    @property
    def transports(self) -> Mapping[str, Mapping[str, Any]]:
        """``label, specification, pulls`` by transport, in the run's order."""
        return self.meta.get("transports") or {}

    @property
    def floor(self) -> Mapping[str, Mapping[str, Any]]:
        """The instrument's own cost by transport; empty when it was not measured."""
        return self.meta.get("floor") or {}

    @property
    def has_rows(self) -> bool:
        """Whether raw rows are there; a run may be kept without them, with its summary.csv and report."""
        return any(cell.folder.is_dir() for cell in self.cells)

    @property
    def axes(self) -> tuple[str, ...]:
        """Every key that was an axis anywhere in the run, by dotted name, in the order met."""
        keys = (key for experiment in self.experiments.values() for key in experiment.get("axes") or ())
        return tuple(dict.fromkeys(key for key in keys if key != "transport"))

    def label(self, transport: str) -> str:
        """What people call a transport; its name when ``run.json`` does not say."""
        return str(self.transports.get(transport, {}).get("label", transport))

    def pulls(self, transport: str) -> bool:
        """Whether its subscribers ask for every answer, so that responses exist."""
        return bool(self.transports.get(transport, {}).get("pulls", False))

    def groups(self) -> dict[tuple[str, str], tuple[Cell, ...]]:
        """The repeats of each cell by ``(experiment, cell)``, in the order of the experiment, not of execution."""
        groups: dict[tuple[str, str], list[Cell]] = {}
        for cell in sorted(self.cells, key=self._order):
            groups.setdefault((cell.experiment, cell.cell), []).append(cell)
        return {key: tuple(cells) for key, cells in groups.items()}

    def _order(self, cell: Cell) -> tuple[Any, ...]:
        """Experiment, transport, axis values (numbers before words), cell, repeat: the stable order of every table."""
        values = (cell.settings.get(key) for key in self.axes)
        ranks = tuple((0, float(v), "") if isinstance(v, int | float) else (1, 0.0, str(v)) for v in values)
        return (
            _rank(cell.experiment, self.experiments), cell.role != "measure", _rank(cell.transport, self.transports),
            ranks, cell.cell, cell.repeat,
        )  # fmt: skip


def open_run(folder: Path) -> Run:
    """Read ``run.json`` in ``folder`` (a link such as ``results/latest`` will do).

    Raises ``BadRunError`` when there is none, it is not JSON, not of this format, or a cell lacks what identifies it.
    """
    path = folder / "run.json"
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise BadRunError(f"{folder}: no run.json here; expected a folder under results/, or results/latest") from None
    except (OSError, ValueError) as error:
        raise BadRunError(f"{path}: cannot be read ({error})") from None
    return read_run(text, path)


def read_run(text: str, path: Path) -> Run:
    """Read the text of the ``run.json`` that lies at ``path``; ``BadRunError`` as ``open_run``."""
    folder = path.parent.resolve()
    try:
        meta = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadRunError(f"{path}: cannot be read as JSON ({error})") from None
    version = meta.get("format") if isinstance(meta, dict) else None
    if not isinstance(version, int):
        raise BadRunError(f"{path}: format = {version!r}, expected a number; this is not a run's record")
    if version > FORMAT:
        raise BadRunError(f"{path}: format = {version}, but this program reads up to {FORMAT}; use a newer pushbench")
    try:
        cells = tuple(_cell(row, folder) for row in meta.get("cells", ()))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise BadRunError(f"{path}: a cell cannot be read ({type(error).__name__}: {error})") from None
    return Run(folder, meta, cells)


def _cell(row: Mapping[str, Any], folder: Path) -> Cell:
    window: Mapping[str, Any] = row.get("window") or {}
    names = [field.name for field in fields(Window)]
    whole = all(isinstance(window.get(name), int) for name in names)
    return Cell(
        id=str(row["id"]),
        experiment=str(row["experiment"]),
        cell=str(row["cell"]),
        repeat=int(row["repeat"]),
        transport=str(row["transport"]),
        seed=int(row.get("seed", 0)),
        role=str(row.get("role", "measure")),
        status=str(row["status"]),
        why=str(row.get("why") or ""),
        settings=row.get("settings") or {},
        window=Window(**{name: window[name] for name in names}) if whole else None,
        published=row.get("published") or {},
        load=row.get("load") or {},
        server=row.get("server") or {},
        cpus=row.get("cpus") or {},
        verify=row.get("verify") or {},
        folder=folder / "cells" / str(row["id"]),
        unverified=str(row.get("unverified") or ""),
        owed_from=row.get("owed_from") or {},
        clock=row.get("clock") or {},
    )


def _on_our_clock(frame: pd.DataFrame, clock: Mapping[str, Mapping[str, int]]) -> pd.DataFrame:
    """Take the server's offset off its times; between the two ends it is taken to drift evenly."""
    ends = sorted(clock.values(), key=lambda end: end["at_ns"])
    first, last = ends[0], ends[-1]
    drift_ns = last["offset_ns"] - first["offset_ns"]
    right = frame["seq"] > 0  # a corrupted delivery has no times
    shifted = {}
    for name in ("due_ns", "sent_ns"):
        # Offsets may be days: they are taken off as integers, only the drift is interpolated.
        plain = frame[name] - first["offset_ns"]
        drifted = np.interp(plain - first["at_ns"], [0, max(1, last["at_ns"] - first["at_ns"])], [0, drift_ns])
        shifted[name] = frame[name].where(~right, plain - np.rint(drifted).astype(np.int64))
    return frame.assign(**shifted)


def _rank(name: str, names: Mapping[str, Any]) -> tuple[int, str]:
    order = list(names)
    return (order.index(name) if name in names else len(order), name)


def _nullable(name: str) -> str:
    return "object" if name in _TEXT else "Int64"


def _parquet(path: Path, columns: tuple[str, ...]) -> Any:
    try:
        with pq.ParquetFile(path) as file:
            there = [name for name in columns if name in file.schema_arrow.names]
            table: Any = file.read(columns=there)
    except (OSError, pa.ArrowException) as error:
        raise BadRunError(f"{path}: cannot be read as Parquet ({str(error).splitlines()[0]})") from None
    lacking = [name for name in columns if name not in there]
    if missing := [name for name in lacking if name not in _LATER]:
        raise BadRunError(f"{path}: no column {', '.join(missing)}; these are not rows of format {FORMAT}")
    for name in lacking:
        table = table.append_column(name, pa.array([_LATER[name]] * table.num_rows, pa.string()))
    return table


def _nullable_rows(path: Path, columns: tuple[str, ...]) -> pd.DataFrame:
    if not path.exists():
        return pd.DataFrame({name: pd.Series(dtype=_nullable(name)) for name in columns})
    frame: pd.DataFrame = _parquet(path, columns).to_pandas(types_mapper={pa.int64(): pd.Int64Dtype()}.get)
    return frame


def _integers(path: Path, columns: tuple[str, ...]) -> pd.DataFrame:
    if not path.exists():
        return pd.DataFrame({name: np.empty(0, np.int64) for name in columns})
    table = _parquet(path, columns)
    if torn := [name for name in columns if table[name].null_count or not pa.types.is_integer(table[name].type)]:
        raise BadRunError(f"{path}: {', '.join(torn)} must be whole numbers throughout; the rows are damaged")
    frame: pd.DataFrame = table.to_pandas()
    return frame


__all__ = [
    "CONNECTIONS", "DELIVERIES", "FORMAT", "PUBLISHES", "RESOURCES", "RESPONSES", "BadRunError", "Cell", "Run",
    "Window", "open_run", "read_run",
]  # fmt: skip
