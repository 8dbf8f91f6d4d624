"""A made-up run folder in the results format, with answers one knows: the simulator behind the tests of ``analysis``.

Nothing is shared with the programs under test. ``poll``, ``long_poll`` and ``push`` are event-driven simulations in
seconds that return rows; ``make`` writes a folder of them. Known by hand: 0.2 ms one way each, publish delay 0.05 ms.

    python -m tests.analysis.fake_run FOLDER        # for a look at charts and reports
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

EPOCH_NS = 1_000_000_000_000
ONE_WAY_S = 0.0002
PUBLISH_S = 0.00005
PUSH_COST_S = 0.00001  # of each further subscriber of one topic
TRANSPORTS = {
    "polling": {"label": "HTTP polling", "specification": "RFC 9110", "pulls": True},
    "long_polling": {"label": "HTTP long polling", "specification": "RFC 6202", "pulls": True},
    "sse": {"label": "Server-Sent Events", "specification": "WHATWG HTML 9.2", "pulls": False},
    "websocket": {"label": "WebSocket", "specification": "RFC 6455", "pulls": False},
    "stomp_websocket": {"label": "STOMP over WebSocket", "specification": "STOMP 1.2", "pulls": False},
    "stomp_tcp": {"label": "STOMP over TCP", "specification": "STOMP 1.2", "pulls": False},
}
EXPERIMENTS = {
    "fan_out": ("How do delivery latency and server CPU grow with subscribers?", ["load.subscribers"]),
    "poll_interval": ("What poll interval buys what freshness?", ["polling.interval_s"]),
    "hold_timeout": ("What does the hold buy?", ["long_polling.hold_s", "long_polling.gap_s"]),
    "connection_cost": ("What does a connection cost?", []),
}
HANDSHAKE_BYTES = {"polling": (180, 120), "long_polling": (200, 120), "sse": (170, 190), "websocket": (280, 240),
                   "stomp_websocket": (520, 430), "stomp_tcp": (150, 160)}  # fmt: skip
TLS_BYTES = 1000  # each way, until subscribed
TLS_HELD_BYTES = 276 * 1024  # more for each connection the server holds
DELIVERY = ("subscriber", "connection", "topic", "seq", "due_ns", "sent_ns", "received_ns", "bytes")
RESPONSE = ("subscriber", "started_ns", "finished_ns", "status", "events", "bytes_sent", "bytes_received")


@dataclass(frozen=True, slots=True)
class Plan:
    """What one made-up cell is."""

    experiment: str
    transport: str
    settings: dict[str, object]
    role: str = "measure"

    @property
    def name(self) -> str:
        axes = [
            f"{key}={self.settings[key]}" for key in (*EXPERIMENTS[self.experiment][1], "tls") if key in self.settings
        ]
        return "/".join([self.transport, *(["reference"] if self.role == "reference" else []), *axes])


def poisson(rng: np.random.Generator, rate_hz: float, length_s: float) -> np.ndarray:
    """Due offsets of one topic, in s."""
    if not rate_hz:
        return np.empty(0)
    gaps = rng.exponential(1 / rate_hz, int(rate_hz * length_s * 2 + 50))
    due = np.cumsum(gaps)
    return due[due < length_s]


def poll(rng, due, interval_s, end_s, one_way_s=ONE_WAY_S):
    """One fixed-rate poller with a random phase: (received of each event, started, finished, events of each answer)."""
    snaps = np.arange(rng.uniform(0, interval_s) - interval_s, end_s + 2 * interval_s, interval_s)
    at = np.searchsorted(snaps, due, side="left")
    events = np.bincount(at, minlength=len(snaps))
    return snaps[at] + one_way_s, snaps - one_way_s, snaps + one_way_s, events


def long_poll(rng, due, hold_s, gap_s, end_s, *, one_way_s=ONE_WAY_S):
    """One long poller, in the columns of ``poll``. It begins somewhere in a hold, as it would before the epoch."""
    received, answers = np.empty(len(due)), []
    arrival, i = -rng.uniform(0, hold_s), 0
    while arrival < end_s + hold_s:
        n = int(np.searchsorted(due, arrival, side="right"))
        if n > i:
            leave = arrival
        elif i < len(due) and due[i] < arrival + hold_s:
            leave, n = due[i], i + 1
        else:
            leave = arrival + hold_s
        received[i:n] = leave + one_way_s
        answers.append((arrival - one_way_s, leave + one_way_s, n - i))
        arrival, i = leave + 2 * one_way_s + gap_s, n
    started, finished, events = np.array(answers).T
    return received, started, finished, events.astype(int)


def push(rng, due, place, one_way_s=ONE_WAY_S):
    """Moments of receipt for the subscriber in the given place of the fan-out, with a little jitter."""
    return due + PUBLISH_S + one_way_s + place * PUSH_COST_S + rng.exponential(one_way_s / 10, len(due))


def _subscriber(rng, plan, due, place, end_s):
    s = plan.settings
    if plan.transport == "polling":
        return poll(rng, due, s["polling.interval_s"], end_s)
    if plan.transport == "long_polling":
        return long_poll(rng, due, s["long_polling.hold_s"], s["long_polling.gap_s"], end_s)
    none = np.empty(0)
    return push(rng, due, place), none, none, np.empty(0, int)


def _ns(seconds):
    return np.round(EPOCH_NS + np.asarray(seconds) * 1e9).astype(np.int64)


def rows(plan: Plan, seed: int) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray], dict[str, int]]:
    """Deliveries, responses (columns of int64) and published counts of one cell."""
    s = plan.settings
    subscribers = s["load.subscribers"]
    shared = s["feed.topics"] != "per_subscriber"
    topics = s["feed.topics"] if shared else subscribers
    end_s = s["load.warmup_s"] + s["load.measure_s"]
    feed_rng, rng = np.random.default_rng([seed, 1]), np.random.default_rng([seed, 2, hash_of(plan.name)])
    dues = [poisson(feed_rng, s["feed.rate_hz"], end_s) for _ in range(topics)]
    deliveries, responses = [], []
    for i in range(subscribers):
        due = dues[i % topics]
        received, started, finished, events = _subscriber(rng, plan, due, i // topics, end_s)
        n, m = len(due), len(started)
        deliveries.append(np.column_stack([
            np.full(n, i), np.zeros(n, int), np.full(n, i % topics), np.arange(1, n + 1),
            _ns(due), _ns(due + PUBLISH_S), _ns(received), np.full(n, 330),
        ]))  # fmt: skip
        responses.append(np.column_stack([
            np.full(m, i), _ns(started), _ns(finished), np.where(events > 0, 200, 204), events,
            np.full(m, 150), 120 + 330 * events,
        ]))  # fmt: skip

    def table(blocks, names):
        return dict(zip(names, np.concatenate(blocks).astype(np.int64).T, strict=True))

    return (
        table(deliveries, DELIVERY), table(responses, RESPONSE), {f"t{i}": len(due) for i, due in enumerate(dues)},
    )  # fmt: skip


def hash_of(name: str) -> int:
    """A seed out of a name, the same in every process."""
    return int.from_bytes(name.encode()[-8:], "big")


def connections(plan: Plan, seed: int) -> dict[str, list[object]]:
    """One attempt for each subscriber: TCP 0.1 ms, TLS 1.2 ms (1.2: 1.5), the answer 0.3 ms, STOMP subscribed 0.4."""
    rng = np.random.default_rng([seed, 3])
    n = plan.settings["load.subscribers"]
    started = _ns(-5 + np.arange(n) * 0.001)
    phase = lambda ms: (ms * 1e6 * rng.uniform(0.9, 1.1, n)).astype(np.int64)  # noqa: E731 - three columns alike
    tcp = started + phase(0.1)
    tls = plan.settings.get("tls", "off")
    secured = tcp + phase({"1.3": 1.2, "1.2": 1.5}[tls]) if tls != "off" else tcp
    upgraded = secured + phase(0.3)
    stomp = plan.transport.startswith("stomp")
    subscribed = upgraded + phase(0.4 if stomp else 0.01)
    up, down = (bytes_ + TLS_BYTES * (tls != "off") for bytes_ in HANDSHAKE_BYTES[plan.transport])
    none = [None] * n
    return {
        "subscriber": list(range(n)), "attempt": [0] * n, "purpose": [""] * n, "started_ns": started.tolist(),
        "tcp_ns": tcp.tolist(), "tls_ns": none if tls == "off" else secured.tolist(),
        "upgraded_ns": none if plan.transport == "stomp_tcp" else upgraded.tolist(),
        "subscribed_ns": subscribed.tolist(), "extensions": [""] * n, "subprotocol": ["v12.stomp" if stomp else ""] * n,
        "heartbeats": [2] * n, "bytes_up_subscribed": [up] * n, "bytes_down_subscribed": [down] * n,
        "bytes_up": [up * 9] * n, "bytes_down": [down * 90] * n, "segments_up": [20] * n, "segments_down": [200] * n,
        "closed_ns": (subscribed + 30_000_000_000).tolist(), "why": [""] * n,
    }  # fmt: skip


def resources(plan: Plan, received: int) -> list[tuple[object, ...]]:
    """Known by hand: the server takes 8 us a delivery; 150 us, 20,000 + 6,000 B (kernel, both ends) a connection."""
    n = plan.settings["load.subscribers"]
    window_s = plan.settings["load.measure_s"]
    start_s = plan.settings["load.warmup_s"]
    buffers = TLS_HELD_BYTES * (plan.settings.get("tls", "off") != "off")
    held = (50_000_000 + (20_000 + buffers) * n, 1_000_000 + 6_000 * n)
    marks = {  # mark: (at, server cpu us, load cpu us, rss, kernel bytes)
        "ready": (-6.0, 200_000, 300_000, 50_000_000, 1_000_000),
        "verified": (-5.5, 210_000, 300_000, 50_000_000, 1_000_000),
        "subscribed": (-1.0, 210_000 + 150 * n, 400_000, *held),
        "from": (start_s, 300_000 + 150 * n, 500_000, *held),
        "to": (start_s + window_s, 300_000 + 150 * n + 8 * received, 500_000 + 5 * received, *held),
        "drained": (start_s + window_s + 1, 310_000 + 150 * n + 8 * received, 510_000 + 5 * received, *held),
    }
    return [
        (int(_ns(at)), mark, process, pid, us * 1000, rss, 30 + n, 3, kernel)
        for mark, (at, server_us, load_us, rss, kernel) in marks.items()
        for process, pid, us in (("server", 100, server_us), ("load", 200, load_us))
    ]


def plans(
    names: tuple[str, ...], transports: tuple[str, ...], scale: float, tls: tuple[str, ...] = ()
) -> Iterator[Plan]:
    """The cells of the named experiments; ``scale`` multiplies the windows; ``tls`` is an axis of two of them.

    Without ``tls`` no cell has the setting: a run from before there was TLS.
    """
    for plan in plain_plans(names, transports, scale):
        if not tls:
            yield plan
        elif plan.experiment == "connection_cost" or (
            plan.experiment == "fan_out" and plan.settings["load.subscribers"] == 100
        ):
            for version in tls:
                yield Plan(plan.experiment, plan.transport, plan.settings | {"tls": version})
        else:
            yield Plan(plan.experiment, plan.transport, plan.settings | {"tls": "off"}, plan.role)


def plain_plans(names: tuple[str, ...], transports: tuple[str, ...], scale: float) -> Iterator[Plan]:
    """The cells of the named experiments, without TLS."""
    few = max(10, round(50 * scale))
    base = {"feed.schedule": "poisson", "feed.payload_bytes": 256, "load.warmup_s": 2.0, "load.measure_s": 20.0 * scale}
    own = {
        "polling": {"polling.interval_s": 0.5},
        "long_polling": {"long_polling.hold_s": 25.0, "long_polling.gap_s": 0.0},
        "stomp_websocket": {"stomp.pipelined": False},
        "stomp_tcp": {"stomp.pipelined": True},
    }
    apart = {**base, "feed.topics": "per_subscriber", "feed.rate_hz": 1.0, "load.subscribers": few}
    if "fan_out" in names:
        for transport in transports:
            for n in (10, 100, 1000):
                fan = {**base, "feed.topics": 1, "feed.rate_hz": 10.0, "load.subscribers": n, **own.get(transport, {})}
                yield Plan("fan_out", transport, fan | {"load.measure_s": 8.0 * scale})
    if "poll_interval" in names and "polling" in transports:
        for interval_s in (0.1, 0.25, 0.5, 1.0, 2.0, 5.0):
            yield Plan("poll_interval", "polling", apart | {"polling.interval_s": interval_s})
    if "hold_timeout" in names and "long_polling" in transports:
        for gap_s in (0.0, 0.1, 0.5):
            for hold_s in (0.5, 1.0, 2.0, 25.0):
                held = {"long_polling.hold_s": hold_s, "long_polling.gap_s": gap_s}
                yield Plan("hold_timeout", "long_polling", apart | held)
        yield Plan("hold_timeout", "long_polling", apart | own["long_polling"], role="reference")
    if "connection_cost" in names:
        for transport in transports:
            idle = {**base, "feed.topics": 1, "feed.rate_hz": 0.0, "load.subscribers": few, **own.get(transport, {})}
            yield Plan("connection_cost", transport, idle)


def write_cell(run: Path, plan: Plan, repeat: int, seed: int) -> dict[str, object]:
    """Write one cell's files; its row for ``run.json``."""
    cell_id = f"{plan.experiment}/{plan.name}/r{repeat}".replace("/", "-")
    folder = run / "cells" / cell_id
    folder.mkdir(parents=True)
    deliveries, responses, published = rows(plan, seed + repeat - 1)
    s = plan.settings
    start_ns, end_ns = int(_ns(s["load.warmup_s"])), int(_ns(s["load.warmup_s"] + s["load.measure_s"]))
    inside = (deliveries["received_ns"] >= start_ns) & (deliveries["received_ns"] < end_ns)
    answered = (responses["finished_ns"] >= start_ns) & (responses["finished_ns"] < end_ns)
    pq.write_table(pa.table(deliveries), folder / "deliveries.parquet", compression="zstd")
    pq.write_table(pa.table(responses), folder / "responses.parquet", compression="zstd")
    schema = pa.schema([
        (name, pa.string() if name in ("purpose", "extensions", "subprotocol", "why") else pa.int64())
        for name in connections(plan, seed)
    ])  # fmt: skip
    pq.write_table(pa.table(connections(plan, seed), schema=schema), folder / "connections.parquet")
    lines = [",".join(str(v) for v in row) for row in resources(plan, int(inside.sum()))]
    head = "at_ns,mark,process,pid,cpu_ns,rss_bytes,fds,threads,kernel_bytes"
    (folder / "resources.csv").write_text("\n".join([head, *lines, ""]))
    return {
        "id": cell_id, "experiment": plan.experiment, "cell": plan.name, "repeat": repeat, "transport": plan.transport,
        "seed": seed + repeat - 1, "settings": {"transport": plan.transport, **s}, "role": plan.role, "status": "done",
        "why": "", "published": published,
        "window": {"epoch_ns": EPOCH_NS, "from_ns": start_ns, "to_ns": end_ns, "stop_ns": end_ns,
                   "drained_ns": end_ns + 6_000_000_000},
        "load": {"subscribers": s["load.subscribers"], "failures": {}, "late_ms_p50": 0.1, "late_ms_p99": 0.4,
                 "window_bytes": {"up": int(150 * answered.sum()), "segments_up": int(answered.sum()),
                                  "down": int(340 * inside.sum() + 120 * answered.sum()),
                                  "segments_down": int(inside.sum())}},
        "server": {"ready": {"ready": True}, "stats": {"published": published}},
        "cpus": {"server": [0], "load": [1]}, "verify": {"checks": ["backlog", "order", "resume"], "seconds": 0.2},
    }  # fmt: skip


def make(
    run: Path,
    experiments: tuple[str, ...] = tuple(EXPERIMENTS),
    *,
    transports: tuple[str, ...] = tuple(TRANSPORTS),
    repeats: int = 2,
    scale: float = 1.0,
    seed: int = 1,
    tls: tuple[str, ...] = (),
) -> Path:
    """Write a run folder (``scale`` 0.2 is quick: windows of 4 s, 10 subscribers) and return it."""
    run.mkdir(parents=True, exist_ok=True)
    (run / "experiments").mkdir(exist_ok=True)
    chosen = list(plans(experiments, transports, scale, tls))
    cells = [write_cell(run, plan, repeat, seed) for repeat in range(1, repeats + 1) for plan in chosen]
    one_way_ms = ONE_WAY_S * 1e3
    meta = {
        "format": 1, "name": "fake", "started": "2026-11-22T10:15:00Z", "finished": "2026-11-22T10:23:00Z",
        "command": "python -m loadtests run --suite default", "seed": seed,
        "git": {"revision": "0123456789abcdef", "dirty": False},
        "machine": {"cpu": "Made-up CPU", "cores": 2, "load_average": [0.1, 0.1, 0.1], "kernel": "Linux 6.1",
                    "memory_bytes": 8 << 30},
        "versions": {"python": "3.11.0", "locust": "2.46.2"}, "clock": {"name": "monotonic", "resolution_ns": 1},
        "transports": {name: TRANSPORTS[name] for name in transports},
        "experiments": {
            name: {"title": name.replace("_", " ").capitalize(), "question": EXPERIMENTS[name][0],
                   "axes": {axis: [] for axis in (*EXPERIMENTS[name][1], *(["tls"] if tls else []))}, "expect": {}}
            for name in experiments
        },
        "floor": {
            name: {"cpu_us_per_delivery": 3.0, "transit_ms_p50": one_way_ms / 2, "transit_ms_p95": one_way_ms,
                   "round_trip_ms_p50": 2 * one_way_ms, "n": 300}
            for name in transports
        },
        "cells": cells,
    }  # fmt: skip
    (run / "run.json").write_text(json.dumps(meta, indent=1))
    return run


if __name__ == "__main__":
    print(make(Path(sys.argv[1])))
