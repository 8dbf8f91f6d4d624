"""METRICS, a table: one row per metric, with its unit, what it means, and the statistic that computes it.

The rule it keeps: a metric that does not apply is empty (NaN here), never 0. Adding a metric is adding a row; its
column in summary.csv, its interval in cells.csv and its definition in the report follow. Definitions: METHODOLOGY,
table "Definitions"; faults are counted over the whole feed, everything else in the measurement window.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from analysis.load import Cell, Run
from analysis.measured import Measured, Sample
from analysis.statistic import Count, Maximum, Mean, Number, Pooled, Quantile, Ratio, Repeats, Statistic, value


@dataclass(frozen=True, slots=True)
class Metric:
    """One column of summary.csv.

    ``better`` is ``lower``, ``higher``, or empty where neither is; ``needs`` names the file it is computed from.
    """

    name: str
    unit: str
    label: str
    meaning: str
    better: str
    needs: str
    statistic: Statistic


# What the statistics are of -------------------------------------------------------------------------------------


def _latency(m: Measured) -> Sample:
    return m.latency


def _publish(m: Measured) -> Sample:
    return m.publish


def _transit(m: Measured) -> Sample:
    return m.transit


def _age(m: Measured) -> Sample:
    return m.age


def _connect(phase: str) -> Callable[[Measured], Sample]:
    return lambda m: m.connect[phase]


def _upstream(name: str) -> Callable[[Measured], Sample]:
    return lambda m: m.upstream.samples[name]


_UPSTREAM = {name: _upstream(name) for name in ("up", "acknowledged", "echo", "bytes", "answer_bytes")}


_CONNECT = {phase: _connect(phase) for phase in ("ready", "tcp", "tls", "upgrade", "subscribe", "bytes")}


def _per(amount: float, units: float) -> float:
    return amount / units if units else np.nan


def _window_bytes(*names: str) -> Callable[[Measured], float]:
    """Sum of the kernel's counts over the window, NaN where it has none."""

    def total(m: Measured) -> float:
        counts = m.cell.load.get("window_bytes") or {}
        return float(sum(np.nan if counts.get(name) is None else counts[name] for name in names))

    return total


def _per_delivery(amount: Callable[[Measured], float]) -> Callable[[Measured], float]:
    return lambda m: _per(amount(m), m.received)


def _per_publish(amount: Callable[[Measured], float]) -> Callable[[Measured], float]:
    return lambda m: _per(amount(m), m.upstream.sent)


def _if_published(amount: Callable[[Measured], float]) -> Callable[[Measured], float]:
    return lambda m: amount(m) if m.cell.publishes_upstream else np.nan


def _cpu_us(process: str) -> Callable[[Measured], float]:
    return lambda m: m.cpu_us(process, "from", "to")


def _connecting_us(m: Measured) -> float:
    return _per(m.cpu_us("server", "verified", "subscribed"), m.connected)


def _if_owed(amount: Callable[[Measured], float]) -> Callable[[Measured], float]:
    return lambda m: amount(m) if m.owed else np.nan


def _if_pulls(amount: Callable[[Measured], float]) -> Callable[[Measured], float]:
    return lambda m: amount(m) if m.pulls else np.nan


def _idle_bytes_per_minute(m: Measured) -> float:
    if m.owed or m.cell.window is None:
        return np.nan
    return _per(_window_bytes("up", "down")(m), m.connected * m.cell.window.length_s / 60)


def _held_user(m: Measured) -> float:
    return _per(m.rss_bytes("verified", "subscribed"), m.connected)


def _held_kernel(m: Measured) -> float:
    # Both ends of each connection are on this machine: half of it is the server's.
    return _per(m.kernel_bytes("verified", "subscribed") / 2, m.connected)


_LATENCIES = tuple(
    Metric(f"delivery_ms_p{str(q)[2:].ljust(2, '0')}", "ms", f"delivery latency, p{100 * q:g}",
           f"received - due: {100 * q:g} % of deliveries took no longer", "lower", "deliveries", Quantile(_latency, q))
    for q in (0.5, 0.95, 0.99, 0.999)
)  # fmt: skip

_FROM_DUE = {"echo": ("echo", "heard back", "the sender's own subscription brought it back (received there)"),
             "upstream": ("up", "upstream", "the server took it (its sent)"),
             "acknowledged": ("acknowledged", "acknowledged", "the 202 or the RECEIPT was read")}  # fmt: skip

UPSTREAM: tuple[Metric, ...] = (
    Metric("publishes", "", "publishes", "events that subscribers were to publish in the window", "", "publishes",
           Count(_if_published(lambda m: float(m.upstream.planned)))),
    Metric("publish_failures", "", "publish failures", "never went out, refused, or not acknowledged where the way has"
           " an acknowledgement, over the whole feed", "lower", "publishes",
           Count(_if_published(lambda m: float(m.upstream.failed)))),
    Metric("echo_ms_mean", "ms", "heard back, mean", "from when a subscriber was to publish until its own subscription"
           " brought it back", "lower", "publishes", Mean(_UPSTREAM["echo"])),
    Metric("upstream_ms_mean", "ms", "upstream, mean", "from when a subscriber was to publish until the server took it"
           " (its sent)", "lower", "publishes", Mean(_UPSTREAM["up"])),
    *(
        Metric(f"{name}_ms_p{100 * q:.0f}", "ms", f"{label}, p{100 * q:.0f}", "from when a subscriber was to publish"
               f" until {until}", "lower", "publishes", Quantile(_UPSTREAM[key], q))
        for name, (key, label, until) in _FROM_DUE.items() for q in (0.5, 0.95, 0.99)
    ),
    Metric("publish_bytes", "B", "bytes of a publish", "the request or frame that publishes, as written: headers in it,"
           " TLS and connecting not", "lower", "publishes", Mean(_UPSTREAM["bytes"])),
    Metric("answer_bytes", "B", "bytes of its answer", "the HTTP answer to a POST", "lower", "publishes",
           Mean(_UPSTREAM["answer_bytes"])),
    Metric("bytes_up_per_publish", "B", "bytes up per publish", "TCP payload from the client in the window, all of it"
           " (asking for the echo too) / publishes sent in it", "lower", "run.json",
           Number(_per_publish(_window_bytes("up")))),
    Metric("bytes_down_per_publish", "B", "bytes down per publish", "TCP payload to the client in the window, answer"
           " and echo / publishes sent in it", "lower", "run.json", Number(_per_publish(_window_bytes("down")))),
    Metric("server_cpu_us_per_publish", "us", "server CPU per publish", "server's user + system time over the window,"
           " taking, answering and echoing / publishes sent in it", "lower", "resources",
           Number(_per_publish(_cpu_us("server")))),
    Metric("load_cpu_us_per_publish", "us", "load CPU per publish", "load processes' user + system time over the window"
           " / publishes sent in it", "lower", "resources", Number(_per_publish(_cpu_us("load")))),
)  # fmt: skip

METRICS: tuple[Metric, ...] = (
    Metric("deliveries", "", "deliveries", "events due in the window that a subscriber received", "higher",
           "deliveries", Count(_if_owed(lambda m: float(len(m.latency.values))))),
    Metric("delivery_ms_mean", "ms", "mean delivery latency", "received - due: from when the event should have gone out"
           " to when the bytes that complete it were read", "lower", "deliveries", Mean(_latency)),
    *_LATENCIES,
    Metric("delivery_ms_max", "ms", "largest delivery latency", "received - due, the largest", "lower", "deliveries",
           Maximum(_latency)),
    Metric("publish_delay_ms_p50", "ms", "publish delay, p50", "sent - due: the server's own lateness, once an event",
           "lower", "deliveries", Quantile(_publish, 0.5)),
    Metric("publish_delay_ms_p99", "ms", "publish delay, p99", "sent - due: the server's own lateness, once an event",
           "lower", "deliveries", Quantile(_publish, 0.99)),
    Metric("transit_ms_p50", "ms", "transit, p50", "received - sent", "lower", "deliveries", Quantile(_transit, 0.5)),
    Metric("age_s_mean", "s", "mean age", "time-average of now - due of the newest event held: what a reader sees",
           "lower", "deliveries", Mean(_age)),
    Metric("responses", "", "responses", "completed answers to requests for events, in the window", "", "responses",
           Count(_if_pulls(lambda m: float(m.responses.sum())))),
    Metric("empty_responses", "", "empty responses", "responses without a new event: 204, 304, an empty list", "lower",
           "responses", Count(_if_pulls(lambda m: float(m.empty.sum())))),
    Metric("refused_responses", "", "refused", "responses that are neither 200, 204 nor 304: over a limit, gone, a"
           " redirect; never counted as empty", "lower", "responses", Count(_if_pulls(lambda m: float(m.refused)))),
    Metric("empty_ratio", "", "empty-response ratio", "empty responses / responses", "lower", "responses",
           Ratio(lambda m: m.empty, lambda m: m.responses, lambda m: m.pulls)),
    Metric("requests_per_event", "", "requests per event", "responses / deliveries, both of the window", "lower",
           "responses", Ratio(lambda m: m.responses, lambda m: m.received_by, lambda m: m.pulls)),
    Metric("heartbeats", "", "heartbeats", "idle frames of push transports: comments, pings, EOLs", "", "connections",
           Count(lambda m: np.nan if m.pulls else m.heartbeats)),
    Metric("bytes_up_per_event", "B", "bytes up per event", "TCP payload from the client in the window / deliveries",
           "lower", "run.json", Number(_per_delivery(_window_bytes("up")))),
    Metric("bytes_down_per_event", "B", "bytes down per event", "TCP payload to the client in the window / deliveries",
           "lower", "run.json", Number(_per_delivery(_window_bytes("down")))),
    Metric("segments_per_event", "", "segments per event", "TCP segments, up and down, in the window / deliveries",
           "lower", "run.json", Number(_per_delivery(_window_bytes("segments_up", "segments_down")))),
    Metric("connect_ms_p50", "ms", "connecting, p50", "from connect() to subscribed (else upgraded, else connected)",
           "lower", "connections", Quantile(_CONNECT["ready"], 0.5)),
    Metric("connect_ms_p99", "ms", "connecting, p99", "from connect() to subscribed (else upgraded, else connected)",
           "lower", "connections", Quantile(_CONNECT["ready"], 0.99)),
    Metric("connect_tcp_ms_p50", "ms", "TCP handshake, p50", "from connect() to connected", "lower", "connections",
           Quantile(_CONNECT["tcp"], 0.5)),
    Metric("connect_tls_ms_p50", "ms", "TLS handshake, p50", "from connected to the end of the TLS handshake", "lower",
           "connections", Quantile(_CONNECT["tls"], 0.5)),
    Metric("connect_upgrade_ms_p50", "ms", "HTTP answer or upgrade, p50", "from connected to the answer or upgrade",
           "lower", "connections", Quantile(_CONNECT["upgrade"], 0.5)),
    Metric("connect_subscribe_ms_p50", "ms", "subscribing, p50", "from there to subscribed (STOMP: the RECEIPT)",
           "lower", "connections", Quantile(_CONNECT["subscribe"], 0.5)),
    Metric("connect_bytes", "B", "bytes until subscribed", "TCP payload, up and down, until subscribed", "lower",
           "connections", Mean(_CONNECT["bytes"])),
    Metric("server_cpu_us_per_delivery", "us", "server CPU per delivery", "server's user + system time over the window"
           " / deliveries received in it", "lower", "resources", Number(_per_delivery(_cpu_us("server")))),
    Metric("load_cpu_us_per_delivery", "us", "load CPU per delivery", "load processes' user + system time over the"
           " window / deliveries received in it", "lower", "resources", Number(_per_delivery(_cpu_us("load")))),
    Metric("server_cpu_us_per_connection", "us", "server CPU per connection", "server's CPU time while subscribers"
           " connected / connections", "lower", "resources", Number(_connecting_us)),
    Metric("server_bytes_per_connection", "B", "server memory per connection", "user space + kernel socket memory",
           "lower", "resources", Number(lambda m: _held_user(m) + _held_kernel(m))),
    Metric("server_user_bytes_per_connection", "B", "server user memory per connection", "growth of the server's"
           " resident memory while subscribers connected / connections", "lower", "resources", Number(_held_user)),
    Metric("server_kernel_bytes_per_connection", "B", "server kernel memory per connection", "half the growth of the"
           " machine's socket memory (both ends are on it) / connections", "lower", "resources", Number(_held_kernel)),
    Metric("idle_bytes_per_minute", "B/min", "idle bytes per minute", "TCP payload, up and down, of one connection when"
           " no events are published", "lower", "run.json", Number(_idle_bytes_per_minute)),
    Metric("lost", "", "lost", "owed and never received, over the whole feed", "lower", "deliveries",
           Count(_if_owed(lambda m: m.faults.lost))),
    Metric("duplicated", "", "duplicated", "received again", "lower", "deliveries",
           Count(_if_owed(lambda m: m.faults.duplicated))),
    Metric("reordered", "", "reordered", "first receipts of an event older than the newest seen", "lower", "deliveries",
           Count(_if_owed(lambda m: m.faults.reordered))),
    Metric("corrupted", "", "corrupted", "did not decode, or the checksum failed", "lower", "deliveries",
           Count(_if_owed(lambda m: m.faults.corrupted))),
    Metric("missed", "", "missed", "replaced by a newer event before a latest-state poller asked: no fault", "",
           "deliveries", Count(_if_owed(lambda m: m.faults.missed))),
    *UPSTREAM,
)  # fmt: skip

BY_NAME: Mapping[str, Metric] = {metric.name: metric for metric in METRICS}


def applies(metric: Metric, cell: Cell, *, pulls: bool) -> bool:
    """Whether a planned cell can have this metric at all: answers need a pull transport, deliveries events."""
    owed = float(cell.settings.get("feed.rate_hz", 1)) > 0
    known = {"responses": pulls, "deliveries": owed, "publishes": cell.publishes_upstream}
    return known.get(metric.needs, True)


def values(repeats: Repeats) -> dict[str, float]:
    """Every metric over one repeat, or several pooled."""
    pools: dict[Any, Pooled] = {}
    return {metric.name: value(metric.statistic, repeats, pools) for metric in METRICS}


def identity(run: Run, cell: Cell, status: str) -> dict[str, Any]:
    """The columns before the metrics: which cell, how it stands, and every axis of the run by its dotted name."""
    head = {"experiment": cell.experiment, "cell": cell.cell, "repeat": cell.repeat, "transport": cell.transport}
    return {**head, "status": status, **{key: cell.settings.get(key) for key in run.axes}}


def table(run: Run, rows: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """Rows of ``identity`` and metrics as a frame in the columns of summary.csv, ``role`` last."""
    head = ["experiment", "cell", "repeat", "transport", "status"]
    return pd.DataFrame(list(rows), columns=[*head, *run.axes, *BY_NAME, "role"])
