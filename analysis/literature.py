"""What others have published, beside what we predict for the same situation out of our own measurements.

The rule it keeps: a figure that differs is printed with the reason, not adjusted. Sources are METHODOLOGY's "Reference
results to stand beside ours". Each row is a function from the measured costs to a prediction.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from analysis.costs import Costs, Estimate
from analysis.demand import HEADER_BYTES, Load, demand, plus, widened
from analysis.threshold import threshold


@dataclass(frozen=True, slots=True)
class Published:
    """One published figure: source, situation, unit, and what we predict for it; ``why`` they differ, if they do."""

    source: str
    situation: str
    unit: str
    published: tuple[float, float]
    predict: Callable[[Costs], Estimate]
    why: str


@dataclass(frozen=True, slots=True)
class Row:
    """``Published`` with our prediction; ``ratio`` is predicted over the nearest end of what was published."""

    row: Published
    predicted: Estimate

    @property
    def ratio(self) -> float:
        """1 within what was published; else how many times too large, or too small."""
        low, high = self.row.published
        return self.predicted.value / min(max(self.predicted.value, low), high)


def rows(costs: Costs) -> list[Row]:
    """Every published figure with our prediction."""
    return [Row(one, one.predict(costs)) for one in PUBLISHED]


def _same(value: float) -> Estimate:
    return Estimate(value, value, value)


def _polls_hz(_: Costs) -> Estimate:
    return _same(10_000 / 60)


def _empty_polls_mbps(clients: float, interval_s: float) -> Callable[[Costs], Estimate]:
    """Bits per second of requests that bring nothing, both ways."""

    def predict(costs: Costs) -> Estimate:
        load = Load(1 / interval_s, 0.0)
        asked = demand(costs.by_transport["polling"], load, clients, payload_bytes=256)
        return plus(asked.up_bps, asked.down_bps).times(1e-6)

    return predict


def _poll_header_bytes(costs: Costs) -> Estimate:
    cost = costs.by_transport["polling"]
    return plus(cost.bytes_up_per_request, cost.bytes_down_per_request)


def _framing_bytes(costs: Costs) -> Estimate:
    """Bytes of a WebSocket event beyond its JSON: SSE sends the same JSON with 18 B and more of its own."""
    _ = costs
    return _same(4.0)  # RFC 6455, section 5.2: two bytes, and two more for a length of 126 to 65,535


def _frames_mbps(costs: Costs) -> Estimate:
    """100,000 clients, a frame a second each, headers only: 4 B of frame and a TCP/IP header."""
    segments = costs.by_transport["websocket"].segments_per_event
    return plus(_same(4.0), segments.times(HEADER_BYTES)).times(100_000 * 8e-6)


def _held(transport: str, factor: float = 1.0) -> Callable[[Costs], Estimate]:
    return lambda costs: widened(costs.by_transport[transport].held_bytes).times(factor)


def _threshold_ms(_: Costs) -> Estimate:
    found = threshold()
    return Estimate(1e3 * found.delay_s, 1e3 * found.low_s, 1e3 * found.high_s)


PUBLISHED = (
    Published(
        "Grigorik 2013, High Performance Browser Networking, ch. 15", "10,000 clients poll each 60 s", "requests/s",
        (167, 167), _polls_hz, "",
    ),
    Published(
        "Grigorik 2013, High Performance Browser Networking, ch. 15", "the same, all for nothing", "Mbit/s",
        (1.13, 1.13), _empty_polls_mbps(10_000, 60),
        "850 B of HTTP headers are assumed there, a browser's; ours are lean, and TCP/IP headers are counted",
    ),
    Published(
        "Lubbers & Greco 2010", "HTTP headers of a poll and its answer", "B", (871, 871), _poll_header_bytes,
        "a browser's headers against a lean client's",
    ),
    Published(
        "Lubbers & Greco 2010", "100,000 clients poll each second", "Mbit/s", (665, 665),
        _empty_polls_mbps(100_000, 1), "headers as above; theirs counts no TCP/IP headers",
    ),
    Published(
        "Lubbers & Greco 2010", "WebSocket framing of a message", "B", (2, 2), _framing_bytes,
        "two bytes up to 125 B of payload; our events are longer and take four",
    ),
    Published(
        "Lubbers & Greco 2010", "100,000 clients get a message each second, framing alone", "Mbit/s",
        (1.526, 1.6), _frames_mbps,
        "theirs counts the frame alone; each message also takes a segment with TCP/IP headers, and one back",
    ),
    Published(
        "Centrifugo, MigratoryData", "memory of an idle WebSocket, user space and kernel", "KB", (13.9, 31.0),
        _held("websocket", 1e-3), "theirs are Go and Java with buffers of their own; ours is asyncio's transport",
    ),
    Published(
        "Centrifugo, MigratoryData", "the same for the 10 M connections that were held", "GB", (139, 310),
        _held("websocket", 10e6 * 1e-9), "as above; extrapolated ten-thousandfold from one Python process",
    ),
    Published(
        "Pimentel & Nickerson 2012", "one-way delay from which long polling of 4 Hz data leaves one transit", "ms",
        (125, 125), _threshold_ms, "",
    ),
)  # fmt: skip
