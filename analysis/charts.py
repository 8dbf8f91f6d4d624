"""CHARTS, a table: a row per chart with the question it answers, the columns it needs, the function that draws it.

The rule it keeps: a chart is drawn wherever an experiment has what it needs, never because of an experiment's name;
what is lacking gives no chart, not an empty one. Every chart is saved as SVG and PNG with the table behind it, the
same bytes for the same run.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from analysis import drawn, style
from analysis.charts_cost import connection, per_event
from analysis.charts_frontier import frontier
from analysis.charts_latency import crowd, percentiles
from analysis.charts_policies import policies
from analysis.charts_state import distance, latest_state
from analysis.charts_sweeps import hold_timeout, poll_interval
from analysis.charts_upstream import upstream
from analysis.frames import Drawn, Frames, from_server, has, plain_text


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart: its name (a part of the file's), question, needed columns and function.

    ``secure``: it draws cells over TLS beside those without, which the others leave out.
    ``simulated``: no cell is in it, it stands beside the simulator's own table.
    ``whole_run``: it sees all experiments at once and is drawn once. ``published``: it is about what subscribers
    publish, and the others are not: their bytes and times are of deliveries alone. ``secure``: it draws cells over TLS
    beside those without; the others leave them out.
    """

    name: str
    question: str
    needs: tuple[str, ...]
    draw: Callable[[Frames, pd.DataFrame], Drawn | None]
    whole_run: bool = False
    secure: bool = False
    published: bool = False
    simulated: bool = False


CHARTS: tuple[Chart, ...] = (
    Chart(
        "frontier",
        "What does freshness cost?",
        ("delivery_ms_mean", "bytes_up_per_event", "bytes_down_per_event"),
        frontier,
        whole_run=True,
    ),
    Chart("latency", "How soon do events arrive?", ("delivery_ms_p50",), percentiles),
    Chart(
        "subscribers", "What do more subscribers do to it?", ("load.subscribers", "delivery_ms_p50"), crowd, secure=True
    ),
    Chart(
        "poll_interval", "What does the poll interval buy?", ("polling.interval_s", "delivery_ms_mean"), poll_interval
    ),
    Chart(
        "policies",
        "When should a poller ask next?",
        ("polling.policy", "delivery_ms_p95", "requests_per_event"),
        policies,
    ),
    Chart(
        "latest_state",
        "Of a state that is overwritten, what is seen?",
        ("polling.mode", "polling.interval_s", "delivery_ms_mean"),
        latest_state,
    ),
    Chart(
        "hold_timeout",
        "What does the hold buy, and what does a gap cost?",
        ("long_polling.hold_s", "delivery_ms_mean"),
        hold_timeout,
    ),
    Chart(
        "per_event",
        "How much is asked and moved for each event?",
        ("bytes_up_per_event", "bytes_down_per_event"),
        per_event,
        secure=True,
    ),
    Chart("connection", "What does a connection cost?", ("idle_bytes_per_minute",), connection, secure=True),
    Chart(
        "distance",
        "How far away may a long poller be?",
        ("long_polling.gap_s", "delivery_ms_mean"),
        distance,
        whole_run=True,
        simulated=True,
    ),
    Chart("upstream", "How soon is it taken, acknowledged, heard back?", ("echo_ms_p50",), upstream, published=True),
)


@dataclass(frozen=True, slots=True)
class Picture:
    """A chart that was drawn: of which experiment (empty: the run), and its name among the files."""

    chart: Chart
    experiment: str
    drawn: Drawn

    @property
    def name(self) -> str:
        """The file's name without its ending; letters, digits, ``_-.`` only, for experiments name themselves."""
        parts = (
            [self.experiment, self.chart.name]
            if self.experiment and self.experiment != self.chart.name
            else [self.chart.name]
        )
        return re.sub(r"[^A-Za-z0-9_.-]+", "_", "-".join(parts))


def draw(frames: Frames, wanted: Iterable[Chart] = CHARTS) -> Iterator[Picture]:
    """Every chart the run has the data for: of the run first, then by experiment in the order of CHARTS."""
    scopes = [("", frames.cells), *((name, frames.of(name)) for name in frames.experiments())]
    for experiment, cells in scopes:
        for chart in wanted:
            shown = cells if chart.published else from_server(cells)
            shown = shown if chart.secure else plain_text(shown)
            if chart.whole_run == (not experiment) and has(shown, *chart.needs):
                with style.house():
                    found = chart.draw(frames, shown)
                    if found is not None:
                        style.settle(found.figure)
                if found is not None:
                    yield Picture(chart, experiment, found)


def svg(picture: Picture) -> str:
    """The chart as SVG."""
    return drawn.svg(picture.name, picture.drawn)


def save(picture: Picture, folder: Path) -> str:
    """Write ``charts/NAME.svg``, ``charts/NAME.png`` and ``tables/NAME.csv`` in ``folder``; returns the SVG."""
    return drawn.save(picture.name, picture.drawn, folder)
