"""What a way of getting events asks of the servers: cores, memory, bandwidth, connections, and all of it in money.

The rule it keeps: rates come from a model or the simulator, costs from measured runs (``analysis.costs``), and the
costs' intervals are carried through: every figure has the lowest and the highest value the measurements allow. Prices
turn cores, GiB and GB into one figure, so that settings can be compared; they are assumptions of the reader's, with
defaults that are about what a cloud asks, and a choice that hangs on them is said to.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import NamedTuple

from analysis.costs import COST_FIELDS, NOTHING, Cost, Costs, Estimate


class Prices(NamedTuple):
    """What an hour of a core and of a GiB of memory, and a GB sent, cost in one currency."""

    core_hour: float = 0.04
    gib_hour: float = 0.005
    gb_sent: float = 0.05


PRICES = Prices()


class Load(NamedTuple):
    """What one client does: requests and events per second, and the share of time its connection is open.

    ``connects_hz`` are new connections per second of one client (a poll without keep-alive opens one each time);
    ``heartbeat_s`` is the longest silence on a push connection (None: as it was measured).
    """

    requests_hz: float
    events_hz: float
    connected: float = 1.0
    connects_hz: float = 0.0
    heartbeat_s: float | None = None


@dataclass(frozen=True, slots=True)
class Demand:
    """What all clients together ask: ``cores`` busy, ``memory_bytes`` held, ``up_bps`` and ``down_bps`` in bit/s.

    Bandwidth is TCP payload plus the headers of its segments (40 B each, TCP and IPv4). ``hourly`` is the price.
    """

    requests_hz: float
    connections: float
    cores: Estimate
    memory_bytes: Estimate
    up_bps: Estimate
    down_bps: Estimate
    hourly: Estimate


HEADER_BYTES = 40  # TCP and IPv4 without options, of each segment
TIMED, COUNTED = 0.5, 0.05  # how far a single measurement may be off: CPU and memory; bytes and segments


def plus(*parts: Estimate) -> Estimate:
    """Sum; intervals are added as if all erred to the same side, which is never too sure."""
    return Estimate(*map(sum, zip(*parts, strict=True)))


def widened(estimate: Estimate, share: float = TIMED) -> Estimate:
    """Give a figure of a single measurement an interval: this share up and down, for nothing better is known."""
    if math.isfinite(estimate.low) and math.isfinite(estimate.high):
        return estimate
    return Estimate(estimate.value, estimate.value * (1 - share), estimate.value * (1 + share))


def allowed(costs: Costs) -> str:
    """What an interval made of these costs stands for, in words."""
    known = [getattr(cost, name) for cost in costs.by_transport.values() for name in COST_FIELDS]
    once = any(math.isfinite(one.value) and not math.isfinite(one.high) for one in known)
    ranges = f", and {TIMED:.0%} of CPU and memory, {COUNTED:.0%} of bytes, where a figure was measured once"
    return f"what the 95 % intervals of the measured costs allow{ranges if once else ''}"


def demand(cost: Cost, load: Load, clients: float, *, payload_bytes: int, prices: Prices = PRICES) -> Demand:
    """Return what ``clients`` such clients ask of the servers over this transport."""
    requests, events = load.requests_hz * clients, load.events_hz * clients
    connects = load.connects_hz * clients
    idle = idle_bytes_hz(cost, load).times(clients * load.connected)
    cpu_us = plus(
        widened(cost.cpu_us_per_request).times(requests),
        widened(cost.cpu_us_per_event).times(events),
        widened(cost.connect_cpu_us).times(connects) if connects else NOTHING,
    )
    # A longer payload is longer by its own length; its JSON escapes are part of what was measured.
    larger = (payload_bytes - cost.payload_bytes) * events
    segments = _counted(cost.segments_per_request, requests, cost.segments_per_event, events)
    headers = segments.times(HEADER_BYTES / 2)  # of which half go each way, near enough
    opening = widened(cost.connect_bytes, COUNTED).times(connects / 2) if connects else NOTHING
    around = plus(headers, opening, idle)
    up = plus(_counted(cost.bytes_up_per_request, requests, cost.bytes_up_per_event, events), around)
    down = plus(
        _counted(cost.bytes_down_per_request, requests, cost.bytes_down_per_event, events), around,
        Estimate(larger, larger, larger),
    )  # fmt: skip
    cores = cpu_us.times(1e-6)
    connections = clients * load.connected
    memory = widened(cost.held_bytes).times(connections)
    return priced(Demand(requests, connections, cores, memory, up.times(8), down.times(8), NOTHING), prices)


def _counted(per_request: Estimate, requests: float, per_event: Estimate, events: float) -> Estimate:
    """Bytes or segments of so many requests and events."""
    return plus(widened(per_request, COUNTED).times(requests), widened(per_event, COUNTED).times(events))


def idle_bytes_hz(cost: Cost, load: Load) -> Estimate:
    """Bytes per second that hold one push connection while nothing happens, each way; half of what was measured each.

    They were measured with a heartbeat each ``cost.heartbeat_s``, a few seconds so that a window sees several; they are
    heartbeats and nothing else, so those of another interval are in proportion. A heartbeat takes a segment there and
    one back. As many are charged as if no event ever took a heartbeat's place.
    """
    if cost.pulls:
        return NOTHING
    beat_s = cost.heartbeat_s if load.heartbeat_s is None else load.heartbeat_s
    measured = widened(cost.idle_bytes_per_minute, COUNTED)
    payload = measured.times(cost.heartbeat_s / 60 / 2)  # of one heartbeat, each way
    return plus(payload, Estimate(*(HEADER_BYTES,) * 3)).times(1 / beat_s)


def priced(asked: Demand, prices: Prices) -> Demand:
    """The same demand at these prices."""
    hourly = plus(
        asked.cores.times(prices.core_hour),
        asked.memory_bytes.times(prices.gib_hour / 2**30),
        asked.down_bps.times(3600 / 8e9 * prices.gb_sent),
    )
    return replace(asked, hourly=hourly)
