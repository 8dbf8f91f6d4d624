"""A run: the cells of its experiments one after another, each on its own, written down as they end.

Rule 1: a cell that fails is recorded with the reason, and the next one runs.
Rule 2: Ctrl-C keeps everything measured: the cell in progress is collected as failed, those to come are skipped.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from loadtests import floor, machine, run_file
from loadtests.access import AccessError
from loadtests.cell import PROGRAMS, CellError, Programs, Record, collect, measure
from loadtests.control import ControlError
from loadtests.experiment import Experiment
from loadtests.grid import Cell, cells, estimate_s
from loadtests.process import ProgramError
from loadtests.progress import Progress
from loadtests.settings import InputError
from loadtests.verify import VerifyError

INTERRUPTED = "interrupted"
FAILURES = (CellError, ProgramError, ControlError, VerifyError, AccessError, OSError)
"""What the world can do to a cell; anything else is a mistake of ours and stops the run."""


def plan(experiments: Sequence[Experiment]) -> list[Cell]:
    """Return the cells of a run in order; InputError when there is none, or two could not be told apart."""
    ordered = [cell for experiment in experiments for cell in cells(experiment)]
    if not ordered:
        raise InputError("nothing to run: no experiment has any of the transports asked for")
    seen: set[str] = set()
    for cell in ordered:
        if cell.id in seen:
            raise InputError(
                f"{cell.label}: two cells of this run have this name; give the experiments different names"
            )
        seen.add(cell.id)
    if foreign := [experiment.name for experiment in experiments if experiment.target]:
        raise InputError(f"{foreign[0]}.toml: [target] cannot be run yet; `verify --target` checks such a server")
    return ordered


def run(
    name: str,
    experiments: Sequence[Experiment],
    out: Path,
    *,
    command: str = "",
    with_floor: bool = True,
    programs: Programs = PROGRAMS,
    progress: Progress | None = None,
) -> tuple[Path, bool]:
    """Run every cell of the experiments; return the run's folder and whether all of them are done."""
    ordered = plan(experiments)
    now = datetime.now(UTC)
    folder = run_file.create(out, name, now)
    content = run_file.document(name, experiments, ordered, command, now)
    run_file.copy_sources(folder, experiments)
    run_file.save(folder, content)
    run_file.point_latest(folder)
    shown = progress or Progress([estimate_s(cell) for cell in ordered])
    try:
        if with_floor:
            shown.start("the instrument's own floor")
            content["floor"] = _floor(content["transports"])
        for cell, record in zip(ordered, content["cells"], strict=True):
            shown.start(cell.label)
            try:
                _run_cell(cell, record, folder / "cells" / cell.id, programs)
            finally:
                run_file.save(folder, content)
                shown.end(cell.label, record["status"], record["why"])
    except KeyboardInterrupt:
        for record in content["cells"]:
            if record["status"] == "pending":
                record |= {"status": "skipped", "why": INTERRUPTED}
    finally:
        shown.close()
        content["finished"] = run_file.stamp(datetime.now(UTC))
        run_file.save(folder, content)
    return folder, all(record["status"] == "done" for record in content["cells"])


def _run_cell(cell: Cell, record: Record, folder: Path, programs: Programs) -> None:
    server, load = machine.divide(machine.usable_cpus())
    folder.mkdir(parents=True)
    try:
        try:
            measure(cell, record, folder, {"server": server, "load": load}, programs)
        finally:
            collect(record, folder)
        record["status"] = "done"
    except FAILURES as error:
        record |= {"status": "failed", "why": str(error) or type(error).__name__}
    except KeyboardInterrupt:
        record |= {"status": "failed", "why": INTERRUPTED}
        raise


def _floor(transports: Mapping[str, Any]) -> dict[str, Any]:
    """Measure the floor; a run without one is still a run, so a failure is a line of warning."""
    try:
        return floor.measure(list(transports))
    except FAILURES as error:
        print(f"floor: not measured: {error}", file=sys.stderr)
        return {}
