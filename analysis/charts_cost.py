"""Charts of what delivery costs: requests and bytes for each event, and connections to open and to hold.

The rule it keeps: bytes are the kernel's count of TCP payload, memory has its user and its kernel part, and a
transport without requests has none drawn, not a bar of length 0 (METHODOLOGY, "Definitions"; results format: a column
that does not apply is empty).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from analysis import style
from analysis.charts_latency import NOTHING, NOTHING_TITLE, left_out
from analysis.frames import (
    Drawn,
    Frames,
    Row,
    beside_tls,
    conditions,
    has,
    not_ok,
    ok,
    over_tls,
    real,
    rows,
    tidy,
    varied,
)
from analysis.prose import Estimate, listing, number, plain, size, times


@dataclass(frozen=True, slots=True)
class Panel:
    """One panel of bars: ``parts`` (column, name) are stacked, ``total`` is the column with their interval.

    ``beside`` is what is written behind the number.
    """

    title: str
    parts: tuple[tuple[str, str], ...]
    say: Callable[[float], str]
    total: str = ""
    scale: float = 1.0
    absent: str = "not measured"
    beside: Callable[[Row], str] = lambda _row: ""


def _ms(value: float) -> str:
    return f"{number(value)} ms"


def round_trips(row: Row) -> int:
    """Round trips to the first deliverable event, as predicted (METHODOLOGY, "Connection cost in round trips").

    One for TCP, TLS's (1.3: one; 1.2: two), one for an HTTP request or upgrade, and for a client that subscribes in so
    many words one when SUBSCRIBE goes right behind CONNECT, two when it waits for CONNECTED.
    """
    asks = 1 if math.isfinite(real(row.get("connect_upgrade_ms_p50"))) else 0
    pipelined = row.get("stomp.pipelined")
    subscribes = 0 if not isinstance(pipelined, bool) else 1 if pipelined else 2
    return 1 + {"TLS 1.3": 1, "TLS 1.2": 2}.get(over_tls(row), 0) + asks + subscribes


def _trips(row: Row) -> str:
    return f", {round_trips(row)} RTT" if math.isfinite(real(row.get("connect_tcp_ms_p50"))) else ""


_PER_EVENT = (
    Panel("requests per event", (("requests_per_event", ""),), number, "requests_per_event", absent="none: pushed"),
    Panel("bytes per event", (("bytes_up_per_event", "up"), ("bytes_down_per_event", "down")), size),
)
_CONNECTION = (
    Panel(
        "to open: ms, median",
        (
            ("connect_tcp_ms_p50", "TCP"),
            ("connect_tls_ms_p50", "TLS"),
            ("connect_upgrade_ms_p50", "HTTP"),
            ("connect_subscribe_ms_p50", "subscribe"),
        ),
        _ms,
        "connect_ms_p50",
        beside=_trips,
    ),
    Panel("to subscribe: bytes", (("connect_bytes", ""),), size, "connect_bytes"),
    Panel(
        "to hold: server KiB",
        (("server_user_bytes_per_connection", "user"), ("server_kernel_bytes_per_connection", "kernel")),
        size,
        "server_bytes_per_connection",
        1 / 1024,
    ),
    Panel("idle: bytes/min", (("idle_bytes_per_minute", ""),), size, "idle_bytes_per_minute"),
)


def per_event(frames: Frames, cells: pd.DataFrame) -> Drawn | None:
    """Requests for each event and bytes for each event, up and down, by transport at equal settings."""
    chosen = beside_tls(frames, cells, "bytes_down_per_event")
    if chosen.empty:
        return None
    said = _bytes_words(frames, chosen)
    figure = _figure(
        frames,
        chosen,
        _PER_EVENT,
        said[0],
        f"Requests as answered, bytes as TCP payload (HTTP headers are in it). {conditions(chosen)}",
    )
    table = tidy(chosen, varied(cells), [*_columns(_PER_EVENT), "segments_per_event"])
    return Drawn(figure, said[0], said[1] + left_out(frames, chosen, cells), table)


def connection(frames: Frames, cells: pd.DataFrame) -> Drawn | None:
    """Opening a connection by phase, the server's memory for each held one, and what it sends while nothing happens."""
    chosen = beside_tls(frames, cells, "idle_bytes_per_minute")
    if chosen.empty:
        return None
    said = _connection_words(frames, chosen)
    figure = _figure(
        frames,
        chosen,
        _CONNECTION,
        said[0],
        f"Connections opened, then held while no event comes. {conditions(chosen)}. RTT: round trips to the first"
        " event, as predicted.",
    )
    metrics = [
        "connect_ms_p50",
        "connect_ms_p99",
        "connect_bytes",
        *_columns(_CONNECTION),
        "server_cpu_us_per_connection",
    ]
    table = tidy(chosen, varied(cells), list(dict.fromkeys(metrics)))
    return Drawn(figure, said[0], said[1] + left_out(frames, chosen, cells), table)


def _columns(panels: Sequence[Panel]) -> list[str]:
    return list(
        dict.fromkeys(name for panel in panels for name in (*(part for part, _ in panel.parts), panel.total) if name)
    )


def _figure(frames: Frames, chosen: pd.DataFrame, panels: Sequence[Panel], title: str, subtitle: str) -> Figure:
    figure, drawn = style.frame(
        title, subtitle, len(panels), 1.15 + (0.5 if len(chosen) < 8 else 0.36) * len(chosen), not_ok(frames, chosen)
    )
    for place, (panel, axes) in enumerate(zip(panels, drawn, strict=True)):
        bars(frames, chosen, panel, axes)
        axes.set_yticks(
            range(len(chosen)),
            _names(frames, chosen) if place == 0 else [""] * len(chosen),
        )
    return figure


def _names(frames: Frames, chosen: pd.DataFrame) -> list[str]:
    """A transport's label, and beneath it, where it is there more than once, what its other cells have."""
    told: list[str] = []
    for row in rows(chosen):
        label, tls = frames.labels[row["transport"]], over_tls(row)
        first = row["transport"] not in {before["transport"] for before in rows(chosen)[: len(told)]}
        told.append(", ".join(filter(None, (label, tls))) if first else tls)
    return told


def bars(frames: Frames, chosen: pd.DataFrame, panel: Panel, axes: Axes) -> None:
    """Horizontal bars, one a transport; the total is written at the end. A cell that is not ``ok`` is hollow."""
    longest = 0.0
    # An interval from two repeats may be many times the bar: it is drawn so far, with an arrow, and said in the table.
    reach = 1.6 * panel.scale * max(sum(_or_zero(row.get(name)) for name, _ in panel.parts) for row in rows(chosen))
    for place, row in enumerate(rows(chosen)):
        lengths = [max(0.0, _or_zero(row.get(column))) * panel.scale for column, _ in panel.parts]
        whole = (Estimate.of(row, panel.total) if panel.total else Estimate(sum(lengths) / panel.scale)).scaled(
            panel.scale
        )
        if not any(math.isfinite(real(row.get(column))) for column, _ in panel.parts):
            axes.text(
                0.01,
                place,
                panel.absent,
                transform=axes.get_yaxis_transform(),
                va="center",
                size=9.5,
                color=style.MUTED,
            )
            continue
        colour, start = frames.looks[row["transport"]].colour, 0.0
        for step, length in enumerate(lengths):
            shade = _tint(colour, step, len(lengths))
            axes.barh(
                place,
                length,
                0.62,
                start,
                color=shade if ok(row) else "none",
                edgecolor=colour if not ok(row) else shade,
                zorder=2,
            )
            start += length
        if math.isfinite(whole.half):
            axes.hlines(place, whole.low, min(whole.high, reach), color=style.INK, linewidth=1.4, zorder=3)
            if whole.high > reach:
                axes.plot(reach, place, marker=">", color=style.INK, markersize=5, zorder=3)
        end = max(start, min(whole.high, reach) if math.isfinite(whole.half) else 0.0)
        axes.annotate(
            panel.say(whole.value / panel.scale) + panel.beside(row),
            (end, place),
            (5, 0),
            textcoords="offset points",
            va="center",
            size=9.5,
        )
        longest = max(longest, end)
    _dress(axes, panel, longest, len(chosen))


def _dress(axes: Axes, panel: Panel, longest: float, count: int) -> None:
    names = [name for _, name in panel.parts if name]
    axes.set_title(panel.title)
    axes.set_xlim(0, longest * 1.42 or 1.0)
    axes.set_ylim(count - 0.45, -0.55)
    axes.set_xlabel(f"light to dark: {', '.join(names)}" if names else "", size=9.5)
    axes.xaxis.set_major_locator(MaxNLocator(3))
    axes.xaxis.set_major_formatter(FuncFormatter(style.plain_tick))
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=False, axis="y")


def _or_zero(value: object) -> float:
    found = real(value)
    return found if math.isfinite(found) else 0.0


def _tint(colour: str, step: int, of: int) -> str:
    """The ``step``-th of ``of`` parts of a bar: from light to the full colour."""
    share = 1.0 if of == 1 else 0.4 + 0.6 * step / (of - 1)
    rgb = 1.0 - share * (1.0 - np.asarray(to_rgb(colour)))
    return to_hex((rgb[0], rgb[1], rgb[2]))


def _bytes(row: Row) -> float:
    return real(row.get("bytes_up_per_event")) + real(row.get("bytes_down_per_event"))


def _bytes_words(frames: Frames, chosen: pd.DataFrame) -> tuple[str, str]:
    """The headline and the sentence about bytes and requests, from the ``ok`` rows."""
    good = sorted((row for row in rows(chosen) if ok(row) and math.isfinite(_bytes(row))), key=_bytes)
    if not good:
        return NOTHING_TITLE, NOTHING
    first, last = good[0], good[-1]
    label = frames.labels
    lean = f"{_label(frames, first)} moves {size(_bytes(first))} for each event"
    payload = (
        f", of which {plain(first['feed.payload_bytes'])} B are payload" if has(chosen, "feed.payload_bytes") else ""
    )
    asked = [
        f"{label[row['transport']]} asks {Estimate.of(row, 'requests_per_event').text()} times"
        for row in good
        if Estimate.of(row, "requests_per_event").known and not over_tls(row)
    ]
    tail = f" For each event {listing(asked)}." if asked else " No transport here asks: events are pushed."
    if last is first:
        return lean, f"{lean}{payload}.{tail}"
    much = _bytes(last) / _bytes(first) if _bytes(first) > 0 else math.inf
    ratio = "about as much" if much < 1.05 else f"{times(much)} as much"
    most = f"{_label(frames, last)} {size(_bytes(last))}, {ratio}"
    return f"{lean}, {most}", f"{lean}{payload}; {most} ({size(real(last['bytes_up_per_event']))} of it up).{tail}"


def _connection_words(frames: Frames, chosen: pd.DataFrame) -> tuple[str, str]:
    """The headline and the sentence about opening, holding and idling, from the ``ok`` rows."""
    good = [row for row in rows(chosen) if ok(row)]
    if not good:
        return NOTHING_TITLE, NOTHING
    found = [(extreme, measured) for extreme in _EXTREMES if (measured := _ascending(good, extreme.column))]
    most = [extreme.short.format(extreme.say(real(measured[-1][extreme.column]))) for extreme, measured in found]
    return f"A connection: up to {listing(most)}", " ".join(_range(frames, *one) for one in found) + _added(good)


@dataclass(frozen=True, slots=True)
class Extreme:
    """A metric of which the least and the most are told: what leads its sentence, and how it stands in the headline."""

    column: str
    lead: str
    short: str
    say: Callable[[float], str]
    adds: str


_EXTREMES = (
    Extreme("connect_ms_p50", "To open (median)", "{} to open", _ms, "{} to open"),
    Extreme("connect_bytes", "Until subscribed", "{} until subscribed", size, "{} until subscribed"),
    Extreme("server_bytes_per_connection", "To hold", "{} of server memory to hold", size, "{} of server memory"),
    Extreme("idle_bytes_per_minute", "Idle, a minute", "{} a minute when idle", size, "{} a minute when idle"),
)


def _label(frames: Frames, row: Row) -> str:
    return ", ".join(filter(None, (frames.labels[row["transport"]], over_tls(row))))


def _added(good: Sequence[Row]) -> str:
    """What TLS adds to the same transport without: ``TLS 1.3 adds 1.2 to 1.9 ms to open and 250 to 280 KiB …``."""
    without = {row["transport"]: row for row in good if not over_tls(row)}
    said = []
    for tls in sorted({over_tls(row) for row in good} - {""}):
        pairs = [
            (without[row["transport"]], row) for row in good if over_tls(row) == tls and row["transport"] in without
        ]
        adds = [extreme.adds.format(_span(extreme, pairs)) for extreme in _EXTREMES if _span(extreme, pairs)]
        said += [f" {tls} adds {listing(adds)}."] if adds else []
    return "".join(said)


def _span(extreme: Extreme, pairs: Sequence[tuple[Row, Row]]) -> str:
    """The least and the most that is added; empty where it was not measured in both."""
    more = sorted(real(after.get(extreme.column)) - real(before.get(extreme.column)) for before, after in pairs)
    more = [value for value in more if math.isfinite(value)]
    if not more:
        return ""
    ends = dict.fromkeys(extreme.say(value) for value in (more[0], more[-1]))
    return " to ".join(ends)


def _ascending(good: Sequence[Row], column: str) -> list[Row]:
    return sorted((row for row in good if Estimate.of(row, column).known), key=lambda row: real(row[column]))


def _range(frames: Frames, extreme: Extreme, measured: Sequence[Row]) -> str:
    """The least and the most: ``To hold: from 9.2 KiB (SSE) to 31 KiB (WebSocket).``."""
    ends = [f"{extreme.say(real(row[extreme.column]))} ({_label(frames, row)})" for row in measured]
    return f"{extreme.lead}: {ends[0]}." if len(ends) == 1 else f"{extreme.lead}: from {ends[0]} to {ends[-1]}."
