"""The command line: ``python -m analysis report RUN``, ``compare A B``, ``notebooks RUN``, ``tune``, ``traces``.

The rule it keeps: a verb reads a run folder and writes into it what can be derived again; it exits with 0 when every
cell is ok and every gate holds (or nothing became worse), 1 when not, and 2, with one line, when the folder is no run.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import pandas as pd

from analysis import (
    compare,
    compare_page,
    differences,
    example_traces,
    gates,
    notebook,
    planning,
    report,
    tune,
    tuned,
    verdict,
    workloads,
)
from analysis.load import BadRunError, open_run, read_run
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


def main(arguments: list[str] | None = None) -> int:
    """Run one verb; the exit code."""
    options = _parser().parse_args(arguments)
    verb: Callable[[argparse.Namespace], int] = options.verb
    try:
        return verb(options)
    except BadRunError as error:
        print(f"python -m analysis: {error}", file=sys.stderr)
        return 2


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


def gates_verb(_options: argparse.Namespace) -> int:
    """Read a run.json that is yet to be measured from standard input; say what is wrong with its gates, a line each."""
    found = list(gates.mistakes(read_run(sys.stdin.read(), Path("standard input"))))
    for mistake in found:
        print(mistake, file=sys.stderr)
    return 2 if found else 0


def compare_verb(options: argparse.Namespace) -> int:
    """Say which differences between two runs are real; 1 when something is worse, or when nothing could be told."""
    a, b = compare.side(options.a), compare.side(options.b)
    if a.run.folder == b.run.folder:
        raise BadRunError(f"{options.a} and {options.b} are one run; compare two")
    found = compare.compare(a, b, differences.notes(a.run, b.run), differences.drift(a.run, b.run))
    folder = options.out or b.run.folder / "report" / f"compare-{a.run.folder.name}"
    try:
        page = compare_page.write(found, folder)
    except OSError as error:
        raise BadRunError(f"--out {folder}: cannot be written ({error.strerror})") from None
    *said, last = compare_page.lines(found)
    print("\n".join([*said, f"comparison: {page}", last]))
    return int(found.verdict in {compare.WORSE, compare.UNKNOWN})


def notebooks_verb(options: argparse.Namespace) -> int:
    """Execute the notebooks on the run."""
    return notebook.execute(open_run(options.run))


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


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """Refuse what was typed in one line; what there is says ``--help``."""
        self.exit(2, f"{self.prog}: {message}; see {self.prog} --help\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="python -m analysis",
        description="Read a run: metrics with their intervals, checks, charts and a report.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verbs = parser.add_subparsers(metavar="VERB", required=True)

    def verb(
        name: str, run: Callable[[argparse.Namespace], int], says: str, examples: str = EXAMPLES
    ) -> argparse.ArgumentParser:
        one = verbs.add_parser(
            name, help=says, description=says, epilog=examples, formatter_class=argparse.RawDescriptionHelpFormatter
        )
        one.set_defaults(verb=run)
        return one

    reporting = verb("report", report_verb, "write summary.csv, cells.csv and report/, and print a table")
    reporting.add_argument("--junit", type=Path, metavar="FILE", help="write report/junit.xml there too")
    executing = verb("notebooks", notebooks_verb, "execute the notebooks on a run")
    for one in (reporting, executing):
        one.add_argument("run", type=Path, nargs="?", default=LATEST, help=f"a run folder (default {LATEST})")
    planning.plan_arguments(
        verb("plan", planning.plan_verb, "say what so many clients ask of the servers", planning.EXAMPLES)
    )
    planning.map_arguments(
        verb("map", planning.map_verb, "draw where polling pays and where push does", planning.EXAMPLES)
    )
    comparing = verb("compare", compare_verb, "say which differences between two runs are real, with intervals")
    comparing.add_argument("a", type=Path, metavar="A", help="the run before: a folder")
    comparing.add_argument("b", type=Path, metavar="B", help="the run after: a folder")
    comparing.add_argument("--out", type=Path, metavar="DIR", help="where it is written (B's report/compare-A)")
    tune.arguments(verb("tune", tune.tune_verb, "say which settings meet your goals at the least cost", tune.EXAMPLES))
    workloads.arguments(
        verb("workloads", workloads.workloads_verb, "write what proves the tuner: twelve answers", workloads.EXAMPLES)
    )
    tuned.arguments(verb("tuned", tuned.tuned_verb, "hold a run of tuned.toml against its predictions", tuned.EXAMPLES))
    example_traces.arguments(
        verb("traces", example_traces.traces_verb, "write example traces to try tune on", example_traces.USAGE)
    )
    verb("gates", gates_verb, "check the [expect] of a run.json yet to be measured, from standard input")
    return parser


if __name__ == "__main__":
    sys.exit(main())
