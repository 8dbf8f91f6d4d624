"""A run, evaluated: every table that charts, the report and the command line show, computed once.

The rule it keeps: rows are read group by group (the repeats of a cell) and dropped, unless a model speaks of them, so
that a long run fits in memory. A cell whose files are damaged is ``failed`` with the reason, and the rest is reported.
``summary.csv`` and ``cells.csv`` are written whole or not at all.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from analysis import checks, findings, metrics, statistic, uncertainty
from analysis.agreement import agreement
from analysis.checks import Caveat
from analysis.gates import Gate, gates
from analysis.load import BadRunError, Cell, Run
from analysis.measured import Floats, Measured, measure
from analysis.replay import replay, speaks_of


@dataclass(frozen=True, slots=True)
class Results:
    """``summary``: a row per cell and repeat (the columns of summary.csv); ``cells``: a row per cell over its repeats.

    ``cells`` has ``experiment, cell, repeats, transport, status``, the axes, each metric with ``_low``, ``_high`` and
    ``_n``, and ``role`` (``measure`` or ``reference``) last. ``agreement`` is theory beside measurement,
    ``replayed`` the simulator beside measurement, both in the columns ``analysis.findings.COLUMNS``. A run without
    cells, or whose gates do not hold, is not ``ok``.
    """

    run: Run
    summary: pd.DataFrame
    cells: pd.DataFrame
    agreement: pd.DataFrame
    replayed: pd.DataFrame
    gates: tuple[Gate, ...]
    caveats: tuple[Caveat, ...]

    @property
    def ok(self) -> bool:
        """Whether every cell is ok, every gate holds and every experiment has measured something."""
        whole = bool(len(self.cells)) and bool((self.cells["status"] == "ok").all()) and not self.unmeasured
        return whole and all(gate.holds for gate in self.gates)

    @property
    def unmeasured(self) -> tuple[str, ...]:
        """Experiments of the run of which not one repeat was measured."""
        measured = set(self.cells.loc[self.cells["repeats"] > 0, "experiment"])
        return tuple(
            name for name in dict.fromkeys([*self.run.experiments, *self.cells["experiment"]]) if name not in measured
        )

    def latencies_ms(self, experiment: str, cell: str) -> Floats:
        """Delivery latencies of a cell's windows, all repeats, in ms, ascending; read anew from the raw rows."""
        repeats = list(_measured(self.run, self.run.groups().get((experiment, cell), ()))[0])
        pooled = statistic.pool(repeats, lambda m: m.latency) if repeats else None
        return pooled.ascending if pooled else np.empty(0)

    def write(self) -> None:
        """Write ``summary.csv`` and ``cells.csv`` into the run's folder."""
        _write(self.summary, self.run.folder / "summary.csv")
        _write(self.cells, self.run.folder / "cells.csv")


def evaluate(run: Run) -> Results:
    """Compute everything there is to say about a run; only reads."""
    if not run.has_rows and any(cell.status == "done" for cell in run.cells):
        raise BadRunError(f"{run.folder}: the raw rows were left out; see its summary.csv, cells.csv and report/")
    summary: list[dict[str, Any]] = []
    cells: list[dict[str, Any]] = []
    caveats = checks.run_caveats(run)
    kept: dict[tuple[str, str], list[Measured]] = {}
    for key, group in run.groups().items():
        repeats, damage = _measured(run, group)
        measured = {m.cell.repeat: m for m in repeats}
        statuses = [checks.status(cell, measured.get(cell.repeat), damage.get(cell.repeat, "")) for cell in group]
        for cell, status in zip(group, statuses, strict=True):
            found = metrics.values([measured[cell.repeat]]) if cell.repeat in measured else {}
            summary.append({**metrics.identity(run, cell, status), **found, "role": cell.role})
        floor_ms = run.floor.get(group[0].transport, {}).get("transit_ms_p50") or 0.0
        cells.append(_over_repeats(run, group, checks.together(statuses, repeats, floor_ms), repeats))
        caveats += [caveat for m in repeats for caveat in checks.cell_caveats(m)]
        if repeats and speaks_of(group[0]):
            kept[key] = repeats
    replayed = replay(run, kept)
    return Results(
        run=run,
        summary=metrics.table(run, summary),
        cells=_cells_table(run, cells),
        agreement=agreement(run, kept, replayed),
        replayed=findings.table(kept, replayed),
        gates=tuple(gates(run, cells)),
        caveats=tuple(caveats),
    )


def evaluated(run: Run) -> Results:
    """Evaluate a run; where its raw rows were left out, take its tables as they were written.

    Such a run has no ``agreement``, ``replayed``, gates or caveats: they are in its report. Raises BadRunError without
    the tables.
    """
    if run.has_rows or not any(cell.status == "done" for cell in run.cells):
        return evaluate(run)
    try:
        summary, cells = (pd.read_csv(run.folder / name) for name in ("summary.csv", "cells.csv"))
    except (OSError, ValueError) as error:
        raise BadRunError(
            f"{run.folder}: the raw rows were left out, and its tables cannot be read ({error}); expected summary.csv"
            " and cells.csv"
        ) from None
    nothing = pd.DataFrame(columns=list(findings.COLUMNS))
    return Results(run, summary, cells, nothing, nothing, (), ())


def _measured(run: Run, group: Iterable[Cell]) -> tuple[list[Measured], dict[int, str]]:
    """The repeats that were measured, and of those whose files are damaged, by repeat, what is wrong with them."""
    measured: list[Measured] = []
    damage: dict[int, str] = {}
    for cell in group:
        if cell.status == "done" and cell.damage:
            damage[cell.repeat] = cell.damage
            continue
        try:
            found = measure(cell, pulls=run.pulls(cell.transport))
        except BadRunError as error:
            damage[cell.repeat] = str(error).removeprefix(f"{cell.folder}/")
        else:
            measured += [found] if found else []
    return measured, damage


def _over_repeats(run: Run, group: tuple[Cell, ...], status: str, repeats: list[Measured]) -> dict[str, Any]:
    head = metrics.identity(run, group[0], status) | {"repeats": len(repeats), "role": group[0].role}
    return head | (uncertainty.columns(uncertainty.estimates(repeats)) if repeats else {})


def _cells_table(run: Run, rows: list[dict[str, Any]]) -> pd.DataFrame:
    head = ["experiment", "cell", "repeats", "transport", "status", *run.axes]
    each = [f"{name}{end}" for name in metrics.BY_NAME for end in ("", "_low", "_high", "_n")]
    return pd.DataFrame(rows, columns=[*head, *each, "role"])


def _write(frame: pd.DataFrame, path: Path) -> None:
    draft = path.with_name(f".{path.name}.part")
    frame.to_csv(draft, index=False, float_format="%.9g")
    draft.replace(path)  # a rename: readers see the old file or the new one
