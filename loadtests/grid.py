"""The cells of an experiment: every combination of its axes, in a seeded, blocked order.

Rule: a repeat is a block that holds every cell once, shuffled by the seed, so that a machine that drifts during the
run does not pass for a difference between transports. Every cell of one repeat has the same events; another repeat
has fresh ones.
"""

from __future__ import annotations

import itertools
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass

from loadtests.experiment import Experiment, Grid
from loadtests.settings import ANYWHERE, SECTIONS, Settings, Value, show
from loadtests.transports import TRANSPORTS

REFERENCE_HOLD_S = 25.0
"""A reference poll is held all the time, so that an event finds it waiting; RFC 6202 (5.5): 30 s is safe."""

_STARTING_S = 1.5
"""What a cell takes beside connecting, warm-up, window and drain, for the estimate of the time left."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One measurement: a transport, the values of every setting by dotted key, and the repeat it belongs to."""

    experiment: str
    name: str
    transport: str
    repeat: int
    seed: int
    role: str
    settings: Settings

    @property
    def label(self) -> str:
        """For people: ``poll_interval/polling/polling.interval_s=0.5/r1``."""
        return f"{self.experiment}/{self.name}/r{self.repeat}"

    @property
    def id(self) -> str:
        """For files: the label in characters every file system takes, unique within a run."""
        return re.sub(r"[^A-Za-z0-9_.=-]+", "-", self.label)

    def options(self) -> dict[str, Value]:
        """Return the client section's values, by field of the client's ``Options``."""
        prefix = f"{TRANSPORTS[self.transport].client}."
        return {key.removeprefix(prefix): value for key, value in self.settings.items() if key.startswith(prefix)}


def cells(experiment: Experiment) -> list[Cell]:
    """Return every cell of every repeat, in the order they run."""
    ordered: list[Cell] = []
    for repeat in range(1, experiment.repeats + 1):
        block: list[Cell] = []
        for grid in experiment.grids:
            for transport in grid.transports:
                # What two grids have in common is one cell.
                block += [cell for cell in _of_transport(experiment, grid, transport, repeat) if cell not in block]
        random.Random(f"{experiment.seed}/{repeat}").shuffle(block)
        ordered += block
    return ordered


def drain_s(cell: Cell) -> float:
    """Return how long slow deliveries may take after the feed's end: a poller's longest pause, else a moment."""
    if not TRANSPORTS[cell.transport].pulls:
        return 0.3
    pause_s: float = TRANSPORTS[cell.transport].module().Options(**cell.options()).pause_s
    return 0.5 + pause_s


def queues(cell: Cell) -> bool:
    """Whether an answer carries a few events at most: who has fallen behind then asks many times more."""
    return any(name.endswith(".limit") and value for name, value in cell.settings.items())


def beyond_s(cell: Cell) -> float:
    """Return how long the feed goes on behind the window.

    A state is seen until it is replaced: if nothing came any more, a window's last events would all be seen, and late.
    """
    if cell.settings.get("polling.mode") != "latest":
        return 0.0
    return drain_s(cell)


def estimate_s(cell: Cell) -> float:
    """Return about how long the cell takes."""
    connecting = float(cell.settings["load.subscribers"]) / float(cell.settings["load.spawn_rate_hz"])
    window = float(cell.settings["load.warmup_s"]) + float(cell.settings["load.measure_s"])
    return _STARTING_S + connecting + window + beyond_s(cell) + drain_s(cell)


def _of_transport(experiment: Experiment, grid: Grid, transport: str, repeat: int) -> Iterator[Cell]:
    keys = [key for key in grid.values if _applies(key, transport)]
    combinations = [
        dict(zip(keys, values, strict=True)) for values in itertools.product(*(grid.values[key] for key in keys))
    ]
    swept = [axis for axis in experiment.axes if axis in keys]
    for settings in combinations:
        yield _cell(experiment, transport, repeat, settings=settings, swept=swept, role="measure")
    if experiment.reference and transport == "long_polling":
        always_held: dict[str, Value] = {"long_polling.hold_s": REFERENCE_HOLD_S, "long_polling.gap_s": 0.0}
        shared = [axis for axis in swept if not axis.startswith("long_polling.")]
        references = {tuple(settings[axis] for axis in shared): settings | always_held for settings in combinations}
        for settings in references.values():
            yield _cell(experiment, transport, repeat, settings=settings, swept=shared, role="reference")


def _applies(key: str, transport: str) -> bool:
    if key in ANYWHERE:
        return True
    section, _, name = key.partition(".")
    if section not in SECTIONS:
        return section == TRANSPORTS[transport].client
    fitting = SECTIONS[section][name].transports
    return not fitting or transport in fitting


def _cell(
    experiment: Experiment, transport: str, repeat: int, *, settings: dict[str, Value], swept: list[str], role: str
) -> Cell:
    parts = [transport, *(["reference"] if role == "reference" else [])]
    name = "/".join([*parts, *(f"{axis}={show(settings[axis])}" for axis in swept)])
    seed = experiment.seed + repeat - 1
    return Cell(experiment.name, name, transport, repeat, seed, role, {"transport": transport} | settings)
