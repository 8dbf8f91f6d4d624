"""Cells made of rows one writes by hand, for tests whose answers one knows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from analysis.load import CONNECTIONS, DELIVERIES, PUBLISHES, RESOURCES, RESPONSES, Cell, Window

TEXT = ("purpose", "extensions", "subprotocol", "why")
S = 1_000_000_000
MS = 1_000_000


def cell(folder: Path, deliveries=(), responses=(), connections=(), resources=(), *, publishes=(), **changes) -> Cell:
    """A done cell with one subscriber on topic 0 at 1 Hz; its window is 10 s … 20 s, the feed 0 s … 20 s.

    Deliveries are (subscriber, topic, seq, due_ms, sent_ms, received_ms), responses (subscriber, finished_ms, events),
    publishes (subscriber, seq, due_ms, sent_ms, acknowledged_ms, status), of 300 B, answered by 100.
    """
    settings = {"feed.topics": 1, "feed.rate_hz": 1.0, "feed.schedule": "poisson", "load.subscribers": 1}
    fields = {
        "id": "c", "experiment": "e", "cell": "c", "repeat": 1, "transport": "sse", "seed": 1, "role": "measure",
        "status": "done", "why": "", "settings": settings | changes.pop("settings", {}),
        "window": Window(0, 10 * S, 20 * S, 20 * S, 21 * S), "published": {}, "load": {}, "server": {}, "cpus": {},
        "verify": {"checks": ["order"]}, "folder": folder,
    }  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    write(folder / "deliveries.parquet", DELIVERIES, [
        (i, 0, topic, seq, due * MS, sent * MS, received * MS, 300) for i, topic, seq, due, sent, received in deliveries
    ])  # fmt: skip
    write(folder / "responses.parquet", RESPONSES, [
        (i, (finished - 1) * MS, finished * MS, 200 if events else 204, events, 100, 200)
        for i, finished, events in responses
    ])  # fmt: skip
    blank = dict.fromkeys(CONNECTIONS) | dict.fromkeys(TEXT, "") | {"attempt": 0}
    rows = [blank | row for row in connections]
    schema = pa.schema([(name, pa.string() if name in TEXT else pa.int64()) for name in CONNECTIONS])
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), folder / "connections.parquet")
    if publishes:
        schema = pa.schema([(name, pa.int64()) for name in PUBLISHES])
        table = pa.Table.from_pylist([_publish(one) for one in publishes], schema=schema)
        pq.write_table(table, folder / "publishes.parquet")
    pd.DataFrame(list(resources), columns=list(RESOURCES)).to_csv(folder / "resources.csv", index=False)
    return Cell(**fields | changes)


def _publish(row):
    subscriber, seq, due, sent, acknowledged, status = row
    at = [None if ms is None else round(ms * MS) for ms in (due, sent, acknowledged)]
    sizes = (None if sent is None else 300, 100 if status > 0 else None)
    return dict(zip(PUBLISHES, (subscriber, seq, *at, status, *sizes), strict=True))


def write(path: Path, columns, rows) -> None:
    flat = np.array([tuple(map(round, row)) for row in rows], np.int64).reshape(-1, len(columns))
    pq.write_table(pa.table({name: flat[:, i] for i, name in enumerate(columns)}), path)
