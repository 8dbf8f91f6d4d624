"""One experiment through all three programs, the relay between the first two."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from analysis.load import Cell, open_run
from analysis.results import evaluate
from loadtests import experiment, runner
from loadtests.cell import PROGRAMS
from loadtests.progress import Progress

TRANSPORTS = ("polling", "long_polling", "sse", "websocket", "stomp_websocket", "stomp_tcp")
PULLS = ("polling", "long_polling")


@dataclass(frozen=True, slots=True)
class Relayed:
    """A cell as measured (``summary``: its row of summary.csv), and what the relay wrote down meanwhile."""

    cell: Cell
    summary: dict[str, Any]
    ledger: list[dict[str, Any]]
    deliveries: pd.DataFrame
    responses: pd.DataFrame

    def done(self, *faults: str) -> list[tuple[str, int]]:
        """Topic and seq of every event that met with one of these faults, ascending."""
        return sorted((line["topic"], line["seq"]) for line in self.ledger if line["fault"] in faults)

    def note(self, fault: str) -> dict[str, Any]:
        """The ledger's only line of a kind."""
        (line,) = (line for line in self.ledger if line["fault"] == fault)
        return line


def measure(folder: Path, toml: str, faults: Sequence[str]) -> Relayed:
    """Run an experiment of one cell in ``folder``, its connections relayed, and read what analysis made of it."""
    ledger = folder / "ledger.jsonl"
    relay = [sys.executable, "-m", "tests.relay", "--ledger", str(ledger), *faults, "--"]
    programs = replace(PROGRAMS, server=lambda cell: [*relay, *PROGRAMS.server(cell)])
    source = folder / "relayed.toml"
    source.write_text(toml)
    run, done = runner.run(
        "relayed",
        [experiment.read(source)],
        folder / "out",
        with_floor=False,
        programs=programs,
        progress=Progress([5.0], io.StringIO()),
    )
    assert done, (run / "run.json").read_text()
    evaluate(open_run(run)).write()
    (summary,) = pd.read_csv(run / "summary.csv").to_dict("records")
    (cell,) = open_run(run).cells
    lines = [json.loads(line) for line in ledger.read_text().splitlines()] if ledger.exists() else []
    return Relayed(cell, summary, lines, cell.deliveries(), cell.responses())
