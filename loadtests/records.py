"""What is written down: delivery, response and connection rows, and their spools.

Rule 1: nothing is encoded in the hot path. A spool is a file of rows of signed 64-bit integers, appended in batches; a
killed load process leaves at most a short last row, which reading drops.
Rule 2: the runner turns spools into Parquet when the cell ends (or when the run is resumed); the columns are those of
the results format (``loadtests.__doc__``).
"""

from __future__ import annotations

import errno
import os
from array import array
from collections.abc import Callable, Iterable
from pathlib import Path
from types import TracebackType
from typing import IO, Self

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

Observer = Callable[[npt.NDArray[np.int64]], None]

DELIVERY = ("subscriber", "connection", "topic", "seq", "due_ns", "sent_ns", "received_ns", "bytes")
RESPONSE = ("subscriber", "started_ns", "finished_ns", "status", "events", "bytes_sent", "bytes_received")
PUBLISH = ("subscriber", "seq", "due_ns", "sent_ns", "acknowledged_ns", "status", "bytes_sent", "bytes_received")
NULLABLE = frozenset({"sent_ns", "acknowledged_ns", "bytes_sent", "bytes_received"})
"""Columns of ``PUBLISH`` in which a spool's 0 means that there is none."""


class Connection(msgspec.Struct, kw_only=True):
    """One connection attempt, written when it ends. Times in ns, null for a phase it has not or did not reach."""

    subscriber: int
    attempt: int
    purpose: str = ""
    started_ns: int
    tcp_ns: int | None = None
    tls_ns: int | None = None
    upgraded_ns: int | None = None
    subscribed_ns: int | None = None
    extensions: str = ""
    subprotocol: str = ""
    heartbeats: int = 0
    bytes_up_subscribed: int | None = None
    bytes_down_subscribed: int | None = None
    bytes_up: int | None = None
    bytes_down: int | None = None
    segments_up: int | None = None
    segments_down: int | None = None
    closed_ns: int | None = None
    why: str = ""


_ARROW = {int: pa.int64(), int | None: pa.int64(), str: pa.string()}
_CONNECTION_SCHEMA = pa.schema([(row.name, _ARROW[row.type]) for row in msgspec.structs.fields(Connection)])


class Spool:
    """Rows of ``len(columns)`` integers, appended to one file.

    ``extend(row)`` is bound to the buffer itself: one C call a row. ``flush`` is called a few times a second; it counts
    ``rows`` and shows the new ones to ``observer`` (shape ``(n, columns)``). Without a path rows are counted, not kept.
    """

    __slots__ = ("_buffer", "_columns", "_file", "extend", "observer", "rows")

    def __init__(self, path: Path | None, columns: int) -> None:
        self._file: IO[bytes] = (path or Path(os.devnull)).open("ab", buffering=0)
        self._buffer = array("q")
        self._columns = columns
        self.extend = self._buffer.extend
        self.observer: Observer | None = None
        self.rows = 0

    def flush(self) -> None:
        """Hand what has been gathered to the kernel, where a kill -9 of this process cannot reach it."""
        if self._buffer:
            flat = np.array(self._buffer)
            del self._buffer[:]
            self._keep(flat)
            self.rows += len(flat) // self._columns
            if self.observer is not None:
                self.observer(flat.reshape(-1, self._columns))

    def _keep(self, flat: npt.NDArray[np.int64]) -> None:
        """Append whole rows; a disk that takes only a part of them is full, and the rows behind would be askew."""
        written = self._file.write(flat.data)
        if written != flat.nbytes:
            size = os.fstat(self._file.fileno()).st_size
            os.ftruncate(self._file.fileno(), size - size % (8 * self._columns))
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def close(self) -> None:
        """Flush and close."""
        self.flush()
        self._file.close()


class Spools:
    """The spools of one load process, ``<folder>/<worker>.{deliveries,responses,publishes,connections}``.

    A folder of None keeps nothing.
    """

    __slots__ = ("_connections", "answer", "deliver", "deliveries", "publish", "publishes", "responses")

    def __init__(self, folder: Path | None, worker: int = 0) -> None:
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
        self.deliveries = Spool(folder and folder / f"{worker}.deliveries", len(DELIVERY))
        self.responses = Spool(folder and folder / f"{worker}.responses", len(RESPONSE))
        self.publishes = Spool(folder and folder / f"{worker}.publishes", len(PUBLISH))
        self._connections = (folder / f"{worker}.connections" if folder else Path(os.devnull)).open("ab", buffering=0)
        self.deliver = self.deliveries.extend
        self.answer = self.responses.extend
        self.publish = self.publishes.extend

    def observe(self, deliveries: Observer, responses: Observer) -> None:
        """Show every flushed block of rows to these."""
        self.deliveries.observer = deliveries
        self.responses.observer = responses

    def connection(self, row: Connection) -> None:
        """Write one connection row (a line of JSON)."""
        self._connections.write(msgspec.json.encode(row) + b"\n")

    def flush(self) -> None:
        """Flush the integer spools."""
        for spool in (self.deliveries, self.responses, self.publishes):
            spool.flush()

    def close(self) -> None:
        """Flush and close all of them."""
        for spool in (self.deliveries, self.responses, self.publishes):
            spool.close()
        self._connections.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


def read_integers(paths: Iterable[Path], columns: tuple[str, ...]) -> pa.Table:
    """Read integer spools into one table, dropping a short last row of each."""
    blocks = []
    for path in paths:
        flat = np.fromfile(path, dtype=np.int64)
        blocks.append(flat[: len(flat) // len(columns) * len(columns)].reshape(-1, len(columns)))
    rows = np.concatenate(blocks) if blocks else np.empty((0, len(columns)), np.int64)
    return pa.table({name: rows[:, i] for i, name in enumerate(columns)})


def read_connections(paths: Iterable[Path]) -> pa.Table:
    """Read connection spools into one table; a torn last line is dropped."""
    decode = msgspec.json.Decoder(Connection).decode
    rows = [msgspec.to_builtins(decode(line)) for path in paths for line in path.read_bytes().split(b"\n")[:-1]]
    return pa.Table.from_pylist(rows, schema=_CONNECTION_SCHEMA)


def read_publishes(paths: Iterable[Path]) -> pa.Table:
    """Read publish spools into one table; a moment that never came, and its bytes, are null there."""
    table = read_integers(paths, PUBLISH)
    for i, name in enumerate(PUBLISH):
        if name in NULLABLE:
            column = table.column(i).to_numpy()
            table = table.set_column(i, name, pa.array(column, mask=column == 0))
    return table


def to_parquet(spool: Path, cell: Path) -> dict[str, int]:
    """Turn the spools in ``spool`` into the cell's Parquet files; rows per file by name.

    Where nothing was published there is no ``publishes.parquet``.
    """
    tables = {
        "deliveries": read_integers(sorted(spool.glob("*.deliveries")), DELIVERY),
        "responses": read_integers(sorted(spool.glob("*.responses")), RESPONSE),
        "connections": read_connections(sorted(spool.glob("*.connections"))),
    }
    if (publishes := read_publishes(sorted(spool.glob("*.publishes")))).num_rows:
        tables["publishes"] = publishes
    for name, table in tables.items():
        partial = cell / f"{name}.parquet.part"
        pq.write_table(table, partial, compression="zstd")
        partial.replace(cell / f"{name}.parquet")
    return {name: table.num_rows for name, table in tables.items()}
