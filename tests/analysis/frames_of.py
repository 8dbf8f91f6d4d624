"""Small frames by hand, for the charts: what one row says is what a sentence must say."""

from __future__ import annotations

import numpy as np
import pandas as pd

from analysis.frames import Frames

LABELS = {
    "polling": "HTTP polling",
    "long_polling": "HTTP long polling",
    "sse": "Server-Sent Events",
    "websocket": "WebSocket",
}


def row(experiment="fan_out", transport="sse", status="ok", around=0.02, name="", **columns):
    """A row of cells.csv; every metric gets an interval of ± ``around`` of its value."""
    settings = {key: value for key, value in columns.items() if "." in key}
    tail = [f"{key}={value}" for key, value in settings.items()]
    head = {
        "experiment": experiment,
        "cell": name or "/".join([transport, *tail]),
        "transport": transport,
        "status": status,
    }
    metrics = {}
    for key, value in columns.items():
        if key not in settings:
            metrics |= {key: value, f"{key}_low": value * (1 - around), f"{key}_high": value * (1 + around)}
    return head | settings | metrics


def frames(rows, *, references=(), agreement=(), replayed=(), floor=None, sample=()):
    """Frames of these rows; ``sample``: the latencies that every cell has."""
    return Frames(
        labels=dict(LABELS),
        pulls=frozenset({"polling", "long_polling"}),
        cells=pd.DataFrame(list(rows)),
        references=pd.DataFrame(list(references), columns=None if references else ["experiment", "transport"]),
        floor=floor or {},
        agreement=pd.DataFrame(list(agreement)),
        latencies=lambda _experiment, _cell: np.asarray(sample, dtype=np.float64),
        replayed=pd.DataFrame(list(replayed)),
    )


def push(transport, p50, **more):
    """A row with what the side-by-side charts need."""
    base = {"load.subscribers": 100, "feed.rate_hz": 10.0, "feed.payload_bytes": 256, "delivery_ms_p50": p50}
    base |= {"delivery_ms_mean": p50, "delivery_ms_p95": 2 * p50, "delivery_ms_p99": 3 * p50}
    base |= {"bytes_up_per_event": 1.0, "bytes_down_per_event": 339.0, "server_cpu_us_per_delivery": 8.0}
    return row(**({"transport": transport} | base | more))


def poll(interval_s, **more):
    """A row of a poll-interval sweep, as the model has it."""
    ratio = float(np.exp(-interval_s))
    base = {"polling.interval_s": interval_s, "feed.rate_hz": 1.0, "delivery_ms_mean": 500 * interval_s}
    base |= {"delivery_ms_p95": 950 * interval_s, "empty_ratio": ratio, "requests_per_event": 1 / interval_s}
    base |= {"bytes_up_per_event": 150 / interval_s, "bytes_down_per_event": 330 + 120 / interval_s}
    return row("poll_interval", "polling", **(base | more))


def comparison(interval_s, verdict, measured=0.0):
    """A row of the agreement table for the mean of ``poll(interval_s)``."""
    theory = 500 * interval_s
    cell = {"experiment": "poll_interval", "cell": poll(interval_s)["cell"], "transport": "polling"}
    said = {"theory": theory, "closed_form": theory, "measured": measured or theory, "tolerance": 0.03 * theory}
    errors = {"half_width": 1.0, "z": 0.0 if verdict == "agrees" else 9.0}
    return cell | {"quantity": "delivery_ms_mean", "unit": "ms"} | said | errors | {"verdict": verdict}
