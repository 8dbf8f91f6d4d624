"""One cell and repeat, cut to its measurement window: the arrays every metric is computed from.

The rule it keeps: a delivery belongs to the window in which it was *due* (METHODOLOGY, no coordinated omission), an
answer to the one in which it *finished*; faults are counted over the whole feed. Every sample carries the cluster it is
correlated with: its topic where the cell has at least ``TOPICS`` of them (independent arrivals), else its batch of the
window, because subscribers of one topic all see the same events (METHODOLOGY rules 5 and 7).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from analysis import published
from analysis.load import Cell, Window

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

TOPICS = 10  # with fewer topics than this, time is what there is more of
BATCHES = 32  # parts of a window (or of a ramp of connections) taken as independent
ANSWERS = (200, 204, 304)  # statuses of answers to a request for events; any other is a refusal or an error


@dataclass(frozen=True, slots=True)
class Sample:
    """Values and the cluster each belongs to (0 … clusters - 1)."""

    values: Floats
    cluster: Ints
    clusters: int


@dataclass(frozen=True, slots=True)
class Faults:
    """What went wrong against the owed feed, over all subscribers; NaN where it does not apply."""

    lost: float
    duplicated: float
    reordered: float
    corrupted: float
    missed: float


@dataclass(frozen=True, slots=True)
class Upstream:
    """What subscribers published: ``planned`` in the window, ``sent`` in it; ``failed`` of the whole feed's.

    ``samples`` by name, of what was due in the window: ``up, acknowledged, echo`` in ms, ``bytes, answer_bytes``.
    """

    planned: int
    sent: int
    failed: int
    samples: dict[str, Sample]


class Moment(NamedTuple):
    """A process at a mark: CPU time so far, resident memory, and the machine's socket memory (NaN: not known)."""

    at_ns: int
    cpu_ns: int
    rss_bytes: int
    kernel_bytes: float


@dataclass(frozen=True, slots=True)
class Measured:
    """A cell, cut. Latencies in ms by delivery, publish delays by event, ages in s by subscriber, ``connect`` in ms.

    ``received`` and ``received_by`` count deliveries received inside the window (in all, and by cluster): what CPU,
    bytes and requests of the window are divided by. ``responses`` and ``empty`` count answers by cluster; ``refused``
    of the ``responses`` are neither empty nor carry events: 429, 503, 410, a redirect.
    """

    cell: Cell
    pulls: bool
    latency: Sample
    transit: Sample
    publish: Sample
    age: Sample
    received: int
    received_by: Floats
    responses: Floats
    empty: Floats
    refused: int
    faults: Faults
    connect: dict[str, Sample]
    connected: int
    heartbeats: float
    upstream: Upstream
    marks: dict[tuple[str, str], dict[int, Moment]]  # by process and mark, then by pid

    @property
    def owed(self) -> bool:
        """Whether events were published at all (``rate_hz = 0`` holds idle connections)."""
        return float(self.cell.settings.get("feed.rate_hz", 1)) > 0

    def cpu_us(self, process: str, start: str, end: str) -> float:
        """CPU time of all processes of a kind between two marks, in us; NaN without both marks."""
        return self._growth(process, start, end, lambda moment: moment.cpu_ns / 1e3)

    def rss_bytes(self, start: str, end: str) -> float:
        """Growth of the server's resident memory between two marks, in B; NaN without both marks."""
        return self._growth("server", start, end, lambda moment: moment.rss_bytes)

    def kernel_bytes(self, start: str, end: str) -> float:
        """Growth of the machine's socket memory between two marks, in B: both ends', where both are on it."""
        before, after = (next(iter(self.marks.get(("server", mark), {}).values()), None) for mark in (start, end))
        return after.kernel_bytes - before.kernel_bytes if before and after else np.nan

    def _growth(self, process: str, start: str, end: str, of: Callable[[Moment], float]) -> float:
        before, after = (self.marks.get((process, mark), {}) for mark in (start, end))
        # A process that was not there yet has used nothing; one that is gone takes its time with it, and so the figure.
        if not before or not after or before.keys() - after.keys():
            return np.nan
        return sum(map(of, after.values())) - sum(map(of, before.values()))


def measure(cell: Cell, *, pulls: bool) -> Measured | None:
    """Read a cell's files and cut them; None when the cell was not measured to its end."""
    window = cell.window
    if cell.status != "done" or window is None or window.to_ns <= window.from_ns:
        return None
    raw = cell.deliveries()
    firsts, reordered = first_receipts(raw)
    inside = firsts[(firsts["due_ns"] >= window.from_ns) & (firsts["due_ns"] < window.to_ns)]
    caught = firsts[(firsts["received_ns"] >= window.from_ns) & (firsts["received_ns"] < window.to_ns)]
    place, clusters = _clusters(cell, window, inside["topic"], inside["due_ns"])
    events = inside.assign(place=place).drop_duplicates(["topic", "seq"])
    events = events[:0] if cell.publishes_upstream else events  # due when the server takes them: never late
    publishes = published.join(cell, firsts)
    answers = cell.responses()
    answers = answers[(answers["finished_ns"] >= window.from_ns) & (answers["finished_ns"] < window.to_ns)]
    answered, _ = _clusters(cell, window, answers["subscriber"] % cell.topics, answers["finished_ns"])
    refused = ~answers["status"].isin(ANSWERS).to_numpy()
    caught_at, _ = _clusters(cell, window, caught["topic"], caught["received_ns"])
    connections = cell.connections()
    listening = connections[connections["purpose"] == ""]
    first = listening[listening["attempt"] == 0].sort_values("started_ns", kind="stable")
    return Measured(
        cell=cell,
        pulls=pulls,
        latency=Sample(_ms(inside["received_ns"] - inside["due_ns"]), place, clusters),
        transit=Sample(_ms(inside["received_ns"] - inside["sent_ns"]), place, clusters),
        publish=Sample(_ms(events["sent_ns"] - events["due_ns"]), events["place"].to_numpy(), clusters),
        age=_ages(cell, window, firsts),
        received=len(caught),
        received_by=np.bincount(caught_at, minlength=clusters).astype(np.float64),
        responses=np.bincount(answered, minlength=clusters).astype(np.float64),
        empty=np.bincount(answered[(answers["events"] == 0).to_numpy() & ~refused], minlength=clusters).astype(
            np.float64
        ),
        refused=int(refused.sum()),
        faults=_faults(cell, raw, firsts, reordered, publishes),
        connect=_connect(first),
        connected=len(first),
        heartbeats=float(connections["heartbeats"].sum()) if len(connections) else np.nan,
        upstream=_upstream(cell, window, publishes),
        marks=_marks(cell.resources()),
    )


def _upstream(cell: Cell, window: Window, publishes: pd.DataFrame) -> Upstream:
    inside = published.due_in(publishes, window)
    place, clusters = _clusters(cell, window, inside["subscriber"], inside["due_ns"])
    samples = {}
    for name in ("up_ms", "acknowledged_ms", "echo_ms", "bytes", "answer_bytes"):
        values = inside[name].to_numpy(np.float64)
        there = ~np.isnan(values)
        samples[name.removesuffix("_ms")] = Sample(values[there], place[there], clusters)
    return Upstream(len(inside), published.sent_in(publishes, window), int((~publishes["ok"]).sum()), samples)


def first_receipts(raw: pd.DataFrame) -> tuple[pd.DataFrame, int]:
    """Each event's first receipt by each subscriber, ordered by subscriber and receipt, and how many came out of order.

    Corrupted deliveries (``seq`` 0) are left out. Reordered: a first receipt of a seq below the highest seen before it.
    """
    rows = raw[raw["seq"] > 0]
    # A load process writes one subscriber's rows in order of receipt; a stable sort keeps that order within a batch.
    order = np.lexsort((rows["received_ns"].to_numpy(), rows["subscriber"].to_numpy()))
    rows = rows.take(order)
    key = _key(rows)
    if (np.diff(key) > 0).all():  # in order, each once: what nearly every cell is
        return rows, 0
    firsts = np.sort(np.unique(key, return_index=True)[1])
    rows, key = rows.take(firsts), key[firsts]
    return rows, int((key[1:] < np.maximum.accumulate(key)[:-1]).sum())


def _key(rows: pd.DataFrame) -> Ints:
    """Subscriber and seq in one number, so that a running maximum over all is one over each subscriber."""
    seq = rows["seq"].to_numpy()
    key: Ints = rows["subscriber"].to_numpy() * (int(seq.max(initial=0)) + 1) + seq
    return key


def _clusters(cell: Cell, window: Window, topic: pd.Series, at_ns: pd.Series) -> tuple[Ints, int]:
    if cell.topics >= TOPICS:
        return topic.to_numpy(), cell.topics
    part = (at_ns.to_numpy() - window.from_ns) * BATCHES // (window.to_ns - window.from_ns)
    return part, BATCHES


def _ms(ns: pd.Series) -> Floats:
    values: Floats = ns.to_numpy() / 1e6
    return values


def _ages(cell: Cell, window: Window, firsts: pd.DataFrame) -> Sample:
    """Time-average over the window of now - due of the newest event held, for every subscriber that held one, in s.

    Exact: between receipts the age grows by a second a second, so each stretch is a trapezium. A subscriber counts from
    its first receipt on. One cluster in all where topics are shared: the subscribers see the same events.
    """
    subscriber = firsts["subscriber"].to_numpy()
    received = (firsts["received_ns"].to_numpy() - window.from_ns) / 1e9
    due = (firsts["due_ns"].to_numpy() - window.from_ns) / 1e9
    span = 2 * (np.abs(due).max(initial=0.0) + 1)
    newest = np.maximum.accumulate(subscriber * span + due) - subscriber * span
    last = np.append(subscriber[1:] != subscriber[:-1], [True] * bool(len(subscriber)))
    start = np.clip(received, 0, window.length_s)
    end = np.clip(np.where(last, window.length_s, np.roll(received, -1)), 0, window.length_s)
    held = np.bincount(subscriber, weights=end - start, minlength=1)
    area = np.bincount(subscriber, weights=(end - start) * ((start + end) / 2 - newest), minlength=1)
    who = np.flatnonzero(held > 0)
    apart = cell.topics >= TOPICS
    return Sample(area[who] / held[who], who % cell.topics if apart else who * 0, cell.topics if apart else 1)


def _faults(cell: Cell, raw: pd.DataFrame, firsts: pd.DataFrame, reordered: int, publishes: pd.DataFrame) -> Faults:
    if not len(raw) and not any(cell.published.values()) and not len(publishes):
        return Faults(np.nan, np.nan, np.nan, np.nan, np.nan)
    corrupted = int((raw["seq"] == 0).sum())
    # What subscribers published is owed to them, by their own account: the server's would not show what it never took.
    unseen = float(published.unheard(publishes) if cell.publishes_upstream else _unseen(cell, firsts))
    latest = _latest_state(cell)
    return Faults(
        lost=np.nan if latest else unseen,
        duplicated=float(len(raw) - corrupted - len(firsts)),
        reordered=float(reordered),
        corrupted=float(corrupted),
        missed=unseen if latest else np.nan,
    )


def _unseen(cell: Cell, firsts: pd.DataFrame) -> int:
    """Count events owed and never received: behind where subscribing began, up to the newest, as the server counted.

    A foreign server may count nothing: then from the first received to the last (METHODOLOGY, definitions).
    """
    subscriber, seq = firsts["subscriber"].to_numpy(), firsts["seq"].to_numpy()
    newest = np.array([cell.published.get(f"t{i}", -1) for i in range(cell.topics)])
    if (newest >= 0).any():
        before = np.array([cell.owed_from.get(f"t{i}", 0) for i in range(cell.topics)])
        topic = subscriber % cell.topics
        # A feed that goes on brings events past the last one owed; a cursor may have been moved before the first.
        got = subscriber[(seq > before[topic]) & (seq <= newest[topic])]
        owed = (newest - before).clip(0)[np.arange(cell.subscribers) % cell.topics]
        return int((owed - np.bincount(got, minlength=cell.subscribers)[: cell.subscribers]).clip(0).sum())
    spans = firsts.groupby("subscriber")["seq"].agg(["min", "max", "size"]) if len(seq) else pd.DataFrame()
    return int((spans["max"] - spans["min"] + 1 - spans["size"]).sum()) if len(seq) else 0


def _latest_state(cell: Cell) -> bool:
    """Whether this transport's subscribers poll the newest state only: what they did not see, they missed by design."""
    return cell.settings.get("polling.mode") == "latest"


def _marks(resources: pd.DataFrame) -> dict[tuple[str, str], dict[int, Moment]]:
    rows = resources[resources["mark"] != ""].dropna(subset=["at_ns", "pid", "cpu_ns", "rss_bytes"])
    marks: dict[tuple[str, str], dict[int, Moment]] = {}
    for row in rows.to_dict("records"):
        kernel = np.nan if pd.isna(row["kernel_bytes"]) else float(row["kernel_bytes"])
        moment = Moment(int(row["at_ns"]), int(row["cpu_ns"]), int(row["rss_bytes"]), kernel)
        marks.setdefault((row["process"], row["mark"]), {})[int(row["pid"])] = moment
    return marks


def _connect(first: pd.DataFrame) -> dict[str, Sample]:
    """First attempts by phase, in ms (``bytes``: up and down until subscribed), clustered by place in the ramp."""

    def floats(series: pd.Series) -> Floats:
        return series.to_numpy(dtype=np.float64, na_value=np.nan)

    tcp, tls, upgraded, subscribed = (
        floats(first[name] - first["started_ns"]) / 1e6 for name in ("tcp_ns", "tls_ns", "upgraded_ns", "subscribed_ns")
    )
    # A phase begins where the one before it ended; one that does not exist takes no time.
    connected = np.where(np.isnan(tls), tcp, tls)
    answered = np.where(np.isnan(upgraded), connected, upgraded)
    lasted = {
        "tcp": tcp,
        "tls": tls - tcp,
        "upgrade": upgraded - connected,
        "subscribe": subscribed - answered,
        # Ready to hear events: subscribed, else upgraded, else connected.
        "ready": np.where(np.isnan(subscribed), answered, subscribed),
        "bytes": floats(first["bytes_up_subscribed"] + first["bytes_down_subscribed"]),
    }
    place = np.arange(len(first)) * BATCHES // max(1, len(first))
    return {
        name: Sample(values[~np.isnan(values)], place[~np.isnan(values)], BATCHES) for name, values in lasted.items()
    }
