"""Pairs of made-up runs whose true differences one knows: figures drawn by repeat, without rows behind them.

Every figure has a level, and a spread from repeat to repeat that differs from metric to metric and from cell to cell,
as those of a real machine do (a polling latency repeats to 0.3 %, a push transport's p99 to a fifth). A drift shifts
all durations of a run; repeats of one seed share what their events do to both runs.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd

from analysis.compare import Side
from analysis.load import read_run
from analysis.metrics import BY_NAME, METRICS

TRANSPORTS = ("polling", "long_polling", "sse", "websocket", "stomp_websocket", "stomp_tcp")
# What a cell of deliveries has; named, so that a new metric does not deal other numbers.
MEASURED = (
    "delivery_ms_mean", "delivery_ms_p50", "delivery_ms_p95", "delivery_ms_p99", "publish_delay_ms_p50",
    "publish_delay_ms_p99", "transit_ms_p50", "age_s_mean", "empty_ratio", "requests_per_event", "bytes_up_per_event",
    "bytes_down_per_event", "segments_per_event", "connect_ms_p50", "connect_ms_p99", "connect_tcp_ms_p50",
    "connect_upgrade_ms_p50", "connect_subscribe_ms_p50", "connect_bytes", "server_cpu_us_per_delivery",
    "load_cpu_us_per_delivery", "server_cpu_us_per_connection", "server_bytes_per_connection",
    "server_user_bytes_per_connection", "server_kernel_bytes_per_connection",
)  # fmt: skip
# typical spread of one repeat by unit of the metric (and of percentiles far out)
SPREADS = {"ms": 0.04, "s": 0.01, "us": 0.03, "B": 0.005, "B/min": 0.005, "": 0.005}
DURATIONS = ("ms", "s", "us")


def run_of(folder: Path, cells, *, repeats=3, seed=1, **meta):
    """A run.json whose cells are done; ``cells``: (experiment, cell, transport, settings)."""
    rows = [
        {
            "id": f"{experiment}-{cell}-{repeat}", "experiment": experiment, "cell": cell, "repeat": repeat,
            "transport": transport, "seed": seed + repeat - 1, "status": "done", "settings": settings,
        }
        for experiment, cell, transport, settings in cells
        for repeat in range(1, repeats + 1)
    ]  # fmt: skip
    head = {
        "format": 1, "name": folder.name, "started": "2026-11-22T10:15:00Z", "seed": seed, "cells": rows,
        "git": {"revision": "0123456789abcdef", "dirty": False},
        "experiments": {name: {"title": name.replace("_", " ").capitalize()} for name, *_ in cells},
        "transports": {name: {"label": name.replace("_", " ").capitalize()} for name in TRANSPORTS},
        "floor": {name: {"cpu_us_per_delivery": 3.0, "transit_ms_p50": 0.05} for name in TRANSPORTS},
    }  # fmt: skip
    return read_run(json.dumps(head | meta), folder / "run.json")


def grid(subscribers=(10, 100), transports=TRANSPORTS, experiment="fan_out"):
    return [
        (experiment, f"{transport}/load.subscribers={n}", transport, {"load.subscribers": n, "feed.rate_hz": 1.0})
        for transport in transports
        for n in subscribers
    ]


def sides(rng, folder, cells=None, *, repeats=3, shift=None, drift=0.0, spread=1.0, seeds=(1, 1)):
    """Two runs. ``shift``: {(cell, metric): factor of B}; ``drift``: standard deviation of a run's own slowness."""
    cells = grid() if cells is None else cells
    runs = [run_of(folder / name, cells, repeats=repeats, seed=seed) for name, seed in zip("ab", seeds, strict=True)]
    slowness = rng.normal(0, drift, 2)
    tables = [[], []]
    for experiment, cell, transport, _ in cells:
        rows = [
            [
                {"experiment": experiment, "cell": cell, "repeat": repeat, "transport": transport, "status": "ok",
                 "role": "measure"} | dict.fromkeys((metric.name for metric in METRICS), np.nan)
                for repeat in range(1, repeats + 1)
            ]
            for _ in range(2)
        ]  # fmt: skip
        for metric in (BY_NAME[name] for name in MEASURED):
            level = np.exp(rng.normal(1, 1))
            own = spread * SPREADS[metric.unit] * np.exp(rng.normal(0, 0.8)) * (3 if "p99" in metric.name else 1)
            events = rng.normal(0, own, (2, repeats))
            events[1] = events[0] if seeds[0] == seeds[1] else events[1]
            for side in (0, 1):
                factor = (shift or {}).get((cell, metric.name), 1.0) if side else 1.0
                slow = slowness[side] if metric.unit in DURATIONS else 0.0
                for i, row in enumerate(rows[side]):
                    row[metric.name] = level * factor * np.exp(slow + events[side][i] + rng.normal(0, own))
        for side in (0, 1):
            tables[side] += rows[side]
    return tuple(Side(run, pd.DataFrame(table)) for run, table in zip(runs, tables, strict=True))
