"""What the subscribers of a cell published, and what became of it: taken, acknowledged, and heard back by the sender.

The rule it keeps: a publish counts from when it was due by the client's own schedule, however late it went out
(METHODOLOGY, no coordinated omission), and belongs to the window in which it was due; what became of it is found by
subscriber and seq, for each publishes to a topic of its own. What never came is NaN, never 0. Source: the results
format, ``publishes.parquet``.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from analysis.load import Cell, Window

COLUMNS = ("subscriber", "due_ns", "sent_ns", "ok", "up_ms", "acknowledged_ms", "echo_ms", "bytes", "answer_bytes")
"""``join``'s: ``sent_ns`` 0 when it never went out; ``ok`` that nobody refused it; ``up_ms`` until the server took it,
``acknowledged_ms`` until its answer, ``echo_ms`` until the sender had it back, all from when it was due."""


def join(cell: Cell, firsts: pd.DataFrame) -> pd.DataFrame:
    """Every publish of the whole feed in the columns ``COLUMNS``; ``firsts`` are first receipts.

    A seq that was published twice (a frame that may have been lost was followed by another) came back once: to the
    later one.
    """
    publishes = cell.publishes()
    status = publishes["status"]
    ok = (status == 0) | ((status >= 200) & (status < 300))
    named = (
        ok
        & (publishes["seq"] > 0)
        & ~publishes[ok].duplicated(["subscriber", "seq"], keep="last").reindex(publishes.index, fill_value=True)
    )
    known = publishes["seq"].where(named, -1 - np.arange(len(publishes)))  # what has no seq meets nothing
    taken = firsts[["subscriber", "seq", "sent_ns", "received_ns"]].rename(columns={"sent_ns": "taken_ns"})
    joined = publishes.assign(seq=known).merge(taken, how="left", on=["subscriber", "seq"])
    due = joined["due_ns"].to_numpy(np.float64)

    def since_due_ms(name: str) -> pd.Series:
        return pd.Series((joined[name].to_numpy(np.float64, na_value=np.nan) - due) / 1e6)

    return pd.DataFrame({
        "subscriber": joined["subscriber"].to_numpy(np.int64),
        "due_ns": joined["due_ns"].to_numpy(np.int64),
        "sent_ns": joined["sent_ns"].fillna(0).to_numpy(np.int64),
        "ok": ok.to_numpy(bool),
        "up_ms": since_due_ms("taken_ns"),
        "acknowledged_ms": since_due_ms("acknowledged_ns"),
        "echo_ms": since_due_ms("received_ns"),
        "bytes": joined["bytes_sent"].to_numpy(np.float64, na_value=np.nan),
        "answer_bytes": joined["bytes_received"].to_numpy(np.float64, na_value=np.nan),
    })  # fmt: skip


def due_in(rows: pd.DataFrame, window: Window) -> pd.DataFrame:
    """Those that were due in the window."""
    return rows[(rows["due_ns"] >= window.from_ns) & (rows["due_ns"] < window.to_ns)]


def sent_in(rows: pd.DataFrame, window: Window) -> int:
    """How many went out in the window: what its CPU and bytes are divided by."""
    return int(((rows["sent_ns"] >= window.from_ns) & (rows["sent_ns"] < window.to_ns)).sum())


def unheard(rows: pd.DataFrame) -> int:
    """Publishes that nobody refused and that never came back."""
    return int((rows["ok"] & rows["echo_ms"].isna()).sum())
