"""At scales no laptop reaches: what a number of clients asks of the servers, transport by transport.

The rule it keeps: everything is a measured cost times a rate from a model; intervals are carried through and the
assumptions are listed (ASSUMPTIONS), for a plan is only as good as they are. What was not measured (TLS on a run
without it, say) stays empty. A storm is everybody coming back at once: connections per second, and the cores for that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from analysis.costs import Costs, Estimate
from analysis.demand import COUNTED, Demand, widened
from analysis.tuning import Choice

ASSUMPTIONS = (
    "costs grow in proportion: ten thousand connections are served as cheaply each as the measured thousand",
    "cores are busy cores of the measured server (Python, asyncio); servers are counted at the utilisation you allow",
    "clients are spread evenly over the servers, and ask at independent moments",
    "memory is a connection's, user space and kernel, without the process's own and without the replay log",
    "bandwidth is TCP payload and 40 B of headers a segment; HTTP headers are lean: a browser with cookies sends more",
    "what stands in front (TLS, load balancers, proxies) comes on top, a connection and its memory in each",
)


@dataclass(frozen=True, slots=True)
class Storm:
    """Everybody reconnects within ``within_s``: connections per second, the cores and the bit/s out that takes.

    ``drain_s`` is how long it takes at least: with all cores of the planned servers, less those that are busy anyway.
    """

    within_s: float
    connects_hz: float
    cores: Estimate
    down_bps: Estimate
    drain_s: Estimate


@dataclass(frozen=True, slots=True)
class Plan:
    """One transport at scale. ``descriptors`` is the open files of all servers: one a connection.

    ``decided_by`` is what there must be so many servers for: cores, memory or open files.
    """

    choice: Choice
    descriptors: float
    servers: Estimate
    decided_by: str
    storm: Storm | None

    @property
    def demand(self) -> Demand:
        """What it asks."""
        return self.choice.demand


@dataclass(frozen=True, slots=True)
class Server:
    """One server's size: cores that may be busy, memory, and open files."""

    cores: float = 4.0
    utilisation: float = 0.5
    memory_bytes: float = 16 * 2**30
    descriptors: float = 100_000


def plans(found: Sequence[Choice], costs: Costs, *, server: Server, within_s: float | None) -> list[Plan]:
    """Return the plan of every choice; ``within_s`` is the storm's length (None: no storm)."""
    return [_plan(choice, costs, server, within_s) for choice in found]


def _plan(choice: Choice, costs: Costs, server: Server, within_s: float | None) -> Plan:
    asked = choice.demand
    # The most of the three decides how many servers there must be.
    needs = {
        "cores": asked.cores.times(1 / (server.cores * server.utilisation)),
        "memory": asked.memory_bytes.times(1 / server.memory_bytes),
        "open files": Estimate(*(asked.connections / server.descriptors,) * 3),
    }
    ends = (np.nanmax([getattr(need, end) for need in needs.values()]) for end in ("value", "low", "high"))
    servers = Estimate(*(max(1.0, float(np.ceil(one - 1e-9))) for one in ends))
    decided_by = max(needs, key=lambda name: np.nan_to_num(needs[name].value, nan=-1.0))
    storm = None
    if within_s is not None and asked.connections:
        storm = _storm(choice, costs, servers.value * server.cores, within_s)
    return Plan(choice, asked.connections, servers, decided_by, storm)


def _storm(choice: Choice, costs: Costs, cores: float, within_s: float) -> Storm:
    cost, asked = costs.by_transport[choice.transport], choice.demand
    connects_hz = asked.connections / within_s
    each_us = widened(cost.connect_cpu_us)
    spare = max(cores - asked.cores.value, 1e-9)
    return Storm(
        within_s, connects_hz, each_us.times(connects_hz * 1e-6),
        widened(cost.connect_bytes, COUNTED).times(8 * connects_hz / 2),  # of which half go each way, near enough
        each_us.times(asked.connections * 1e-6 / spare),
    )  # fmt: skip
