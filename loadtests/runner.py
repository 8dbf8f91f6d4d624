"""A run: the cells of its experiments one after another, each on its own, written down as they end.

Rule 1: a cell that fails is recorded with the reason, and the next one runs.
Rule 2: Ctrl-C keeps everything measured: the cell in progress is collected as failed, those to come are skipped.
Rule 3: a run that is gone on with is the same loop over the same document, less what is done; a cell once done is never
measured again.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from loadtests import adapt, floor, machine, resume, run_file
from loadtests.access import AccessError
from loadtests.cell import PROGRAMS, CellError, Programs, Record, collect, measure
from loadtests.control import ControlError
from loadtests.experiment import Experiment
from loadtests.grid import Cell, cells, estimate_s
from loadtests.process import ProgramError
from loadtests.progress import Progress
from loadtests.settings import InputError
from loadtests.target import Target, of_table
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
    experiments, gave_way = adapt.prepare(experiments)
    for line in gave_way:
        print(line, file=sys.stderr)
    ordered = plan(experiments)
    now = datetime.now(UTC)
    folder = run_file.create(out, name, now)
    with run_file.lock(folder):
        # The floor needs a server of ours, and beside a target none is started.
        with_floor = with_floor and not any(one.target for one in experiments)
        content = run_file.document(name, experiments, ordered, command, now, with_floor=with_floor)
        content["gave_way"] = gave_way
        run_file.copy_sources(folder, experiments)
        run_file.save(folder, content)
        run_file.point_latest(folder)
        return folder, _finish(folder, content, programs, progress)


def go_on(
    folder: Path, *, command: str = "", programs: Programs = PROGRAMS, progress: Progress | None = None
) -> tuple[Path, bool]:
    """Measure every cell of a run that is not done yet; return its folder and whether all of them are done now."""
    if not folder.is_dir():
        raise InputError(f"--resume {folder}: no such folder, expected that of a run")
    folder = folder.resolve()  # latest may lead elsewhere before this ends
    with run_file.lock(folder):
        content = resume.reopen(folder, command, datetime.now(UTC))
        if all(record["status"] == "done" for record in content["cells"]):
            print(f"{folder}: every cell is done; nothing is left to measure", file=sys.stderr)
            return folder, True
        for difference in content["resumed"][-1]["differs"]:
            print(f"resuming: {difference}", file=sys.stderr)
        run_file.save(folder, content)
        return folder, _finish(folder, content, programs, progress)


def _finish(folder: Path, content: dict[str, Any], programs: Programs, progress: Progress | None) -> bool:
    """Measure what is not done, saving after each cell; return whether everything is done."""
    left = [(resume.cell_of(record), record) for record in content["cells"] if record["status"] != "done"]
    shown = progress or Progress([estimate_s(cell) for cell, _ in left])
    try:
        if content["floor"] == {} and left:
            shown.start("the instrument's own floor")
            content["floor"] = _floor(content["transports"])
        foreign = replace(programs, verify=functools.cache(programs.verify))  # the same server: once is enough
        for number, (cell, record) in enumerate(left):
            target = _target(content, cell)
            last = all(_target(content, later) != target for later, _ in left[number + 1 :])
            shown.start(cell.label)
            try:
                _run_cell(cell, record, folder / "cells" / cell.id, foreign if target else programs, target, last=last)
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
    return all(record["status"] == "done" for record in content["cells"])


def _target(content: Mapping[str, Any], cell: Cell) -> Target | None:
    """Return the target of a cell's experiment."""
    table = content["experiments"][cell.experiment].get("target")
    return of_table(table) if table else None


def _run_cell(
    cell: Cell, record: Record, folder: Path, programs: Programs, target: Target | None, *, last: bool
) -> None:
    server, load = machine.divide(machine.usable_cpus())
    try:
        resume.set_aside(record, folder)
        folder.mkdir(parents=True)
        try:
            measure(cell, record, folder, {"server": server, "load": load}, programs, target=target, last=last)
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
