"""The verb ``report`` of the command line: a run's tables, its page, and its verdict as the last line.

The rule it keeps: a verb reads a run folder and writes into it what can be derived again; it exits with 0 when every
cell is ok and every gate holds, 1 when not, and 2, with one line, when the folder is no run.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from analysis import report, verdict
from analysis.errors import BadRunError
from analysis.load import open_run
from analysis.results import Results, evaluate

LATEST = Path("results/latest")
EXAMPLES = """examples:
  python -m analysis report results/latest --junit out.xml
  python -m analysis compare results/reference results/latest
"""
# Columns of the printed table: heading, column of ``Results.cells``, format.
SHOWN: tuple[tuple[str, str, str], ...] = (
    ("deliveries", "deliveries", "{:,.0f}"),
    ("p50 ms", "delivery_ms_p50", "{:,.2f}"),
    ("p95 ms", "delivery_ms_p95", "{:,.2f}"),
    ("p99 ms", "delivery_ms_p99", "{:,.2f}"),
    ("empty", "empty_ratio", "{:.1%}"),
    ("server us", "server_cpu_us_per_delivery", "{:,.1f}"),
    ("load us", "load_cpu_us_per_delivery", "{:,.1f}"),
)
# The same where no events are published: what a held connection costs.
SHOWN_IDLE: tuple[tuple[str, str, str], ...] = (
    ("connect ms", "connect_ms_p50", "{:,.2f}"),
    ("connect B", "connect_bytes", "{:,.0f}"),
    ("server us", "server_cpu_us_per_connection", "{:,.0f}"),
    ("held B", "server_bytes_per_connection", "{:,.0f}"),
    ("idle B/min", "idle_bytes_per_minute", "{:,.0f}"),
)
# The same where subscribers publish: what becomes of an event that is sent up.
SHOWN_PUBLISHED: tuple[tuple[str, str, str], ...] = (
    ("publishes", "publishes", "{:,.0f}"),
    ("taken ms", "upstream_ms_p50", "{:,.2f}"),
    ("ack ms", "acknowledged_ms_p50", "{:,.2f}"),
    ("echo ms", "echo_ms_p50", "{:,.2f}"),
    ("echo p95", "echo_ms_p95", "{:,.2f}"),
    ("B to send", "publish_bytes", "{:,.0f}"),
    ("server us", "server_cpu_us_per_publish", "{:,.1f}"),
)


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags of ``report``."""
    parser.add_argument("--junit", type=Path, metavar="FILE", help="write report/junit.xml there too")
    parser.add_argument("run", type=Path, nargs="?", default=LATEST, help=f"a run folder (default {LATEST})")


def report_verb(options: argparse.Namespace) -> int:
    """Write summary.csv, cells.csv, the report and its JUnit XML; print the table, and the verdict as the last line."""
    results = evaluate(open_run(options.run))
    results.write()
    page = report.write(results)
    for path in filter(None, (page.parent / "junit.xml", options.junit)):
        try:
            verdict.write_junit(results, path)
        except OSError as error:
            raise BadRunError(f"--junit {path}: cannot be written ({error.strerror})") from None
    for line in lines(results):
        print(line)
    print(f"\nreport: {page}")
    print(verdict.line(results))
    return 0 if results.ok else 1


def lines(results: Results) -> Iterator[str]:
    """The compact table: by experiment, a line a cell; then what does not agree, does not hold, or is to be minded."""
    for experiment, cells in results.cells.groupby("experiment", sort=False):
        shown = SHOWN
        if cells["publishes"].notna().any():
            shown = SHOWN_PUBLISHED
        elif cells["deliveries"].isna().all() and cells["connect_bytes"].notna().any():
            shown = SHOWN_IDLE
        title = results.run.experiments.get(str(experiment), {}).get("title")
        yield f"\n{title or str(experiment)}"
        yield from _table(cells.to_dict("records"), shown)
    for what, found in (("model", results.agreement), ("simulator", results.replayed)):
        if len(found):
            counts = found["verdict"].value_counts()
            yield f"\n{what} and measurement: " + ", ".join(f"{count} {verdict}" for verdict, count in counts.items())
    for gate in results.gates:
        says = "holds" if gate.holds else f"DOES NOT HOLD: {gate.why}"
        says += ", but the bound lies within its interval" if gate.holds and gate.close else ""
        yield f"expect: {gate.cell or gate.experiment}: {gate.name} {gate.condition}: {says}"
    for caveat in results.caveats:
        yield f"mind: {caveat.where}: {caveat.seen}; {caveat.remedy}"


def _table(rows: list[dict[Any, Any]], shown: tuple[tuple[str, str, str], ...]) -> Iterator[str]:
    width = max(len(row["cell"]) for row in rows)
    yield f"  {'cell':<{width}}" + "".join(f"{head:>12}" for head, _, _ in shown) + "  status"
    for row in rows:
        figures = ("" if pd.isna(row[column]) else form.format(row[column]) for _, column, form in shown)
        yield f"  {row['cell']:<{width}}" + "".join(f"{figure:>12}" for figure in figures) + f"  {row['status']}"
