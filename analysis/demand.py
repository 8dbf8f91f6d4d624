"""What a way of getting events asks of the servers: cores, memory, bandwidth, connections, and all of it in money.

The rule it keeps: rates come from a model or the simulator, costs from measured runs (``analysis.costs``), and the
costs' intervals are carried through: every figure has the lowest and the highest value the measurements allow. Prices
turn cores, GiB and GB into one figure, so that settings can be compared; they are assumptions of the reader's, with
defaults that are about what a cloud asks, and a choice that hangs on them is said to.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from analysis.costs import NOTHING, Cost, Estimate


class Prices(NamedTuple):
    """What an hour of a core and of a GiB of memory, and a GB sent, cost in one currency."""

    core_hour: float = 0.04
    gib_hour: float = 0.005
    gb_sent: float = 0.05


PRICES = Prices()


class Load(NamedTuple):
    """What one client does: requests and events per second, and the share of time its connection is open.

    ``connects_hz`` are new connections per second of one client (a poll without keep-alive opens one each time).
    """

    requests_hz: float
    events_hz: float
    connected: float = 1.0
    connects_hz: float = 0.0


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


def plus(*parts: Estimate) -> Estimate:
    """Sum; intervals are added as if all erred to the same side, which is never too sure."""
    return Estimate(*(float(np.sum(ends)) for ends in zip(*parts, strict=True)))


def widened(estimate: Estimate, share: float = 0.5) -> Estimate:
    """Give a figure of a single measurement an interval: half up and down, for nothing better is known."""
    if np.isfinite(estimate.low) and np.isfinite(estimate.high):
        return estimate
    return Estimate(estimate.value, estimate.value * (1 - share), estimate.value * (1 + share))


def demand(cost: Cost, load: Load, clients: float, *, payload_bytes: int, prices: Prices = PRICES) -> Demand:
    """Return what ``clients`` such clients ask of the servers over this transport."""
    requests, events = load.requests_hz * clients, load.events_hz * clients
    connects = load.connects_hz * clients
    heartbeats = NOTHING if cost.pulls else widened(cost.idle_bytes_per_minute).times(clients * load.connected / 60)
    cpu_us = plus(
        widened(cost.cpu_us_per_request).times(requests),
        widened(cost.cpu_us_per_event).times(events),
        widened(cost.connect_cpu_us).times(connects) if connects else NOTHING,
    )
    # A longer payload is longer by its own length; its JSON escapes are part of what was measured.
    larger = (payload_bytes - cost.payload_bytes) * events
    segments = plus(cost.segments_per_request.times(requests), cost.segments_per_event.times(events))
    headers = segments.times(HEADER_BYTES / 2)  # of which half go each way, near enough
    opening = widened(cost.connect_bytes).times(connects / 2) if connects else NOTHING
    up = plus(
        cost.bytes_up_per_request.times(requests), cost.bytes_up_per_event.times(events), headers, opening,
        heartbeats.times(0.5),
    )  # fmt: skip
    down = plus(
        cost.bytes_down_per_request.times(requests), cost.bytes_down_per_event.times(events), headers, opening,
        heartbeats.times(0.5), Estimate(larger, larger, larger),
    )  # fmt: skip
    cores = cpu_us.times(1e-6)
    connections = clients * load.connected
    memory = widened(cost.held_bytes).times(connections)
    return priced(Demand(requests, connections, cores, memory, up.times(8), down.times(8), NOTHING), prices)


def priced(asked: Demand, prices: Prices) -> Demand:
    """The same demand at these prices."""
    hourly = plus(
        asked.cores.times(prices.core_hour),
        asked.memory_bytes.times(prices.gib_hour / 2**30),
        asked.down_bps.times(3600 / 8e9 * prices.gb_sent),
    )
    return replace(asked, hourly=hourly)
