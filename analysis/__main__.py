"""The command line: ``python -m analysis report RUN``, ``compare A B``, ``tune``, ``plan``, ``map`` and others.

The rule it keeps: a verb is loaded when it is asked for, and no other: charts, tables and statistics take seconds to
load, and an answer that needs none of them does not wait for them. Every verb exits with 0 when all is well, 1 when it
is not (a cell is invalid, a goal is not met, something became worse), and 2, with one line, for bad input.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from types import ModuleType
from typing import Any, NoReturn

from analysis.errors import BadRunError


@dataclass(frozen=True, slots=True)
class Verb:
    """A verb and what ``--help`` says of it; its module has ``arguments``, ``NAME_verb``, ``USAGE`` or ``EXAMPLES``."""

    name: str
    module: str
    says: str


VERBS = (
    Verb("report", "reporting", "write summary.csv, cells.csv and report/, and print a table"),
    Verb("notebooks", "notebook", "execute the notebooks on a run"),
    Verb("plan", "planning", "say what so many clients ask of the servers"),
    Verb("map", "mapping", "draw where polling pays and where push does"),
    Verb("compare", "comparing", "say which differences between two runs are real, with intervals"),
    Verb("tune", "tune", "say which settings meet your goals at the least cost"),
    Verb("workloads", "workloads", "write what proves the tuner: twelve answers"),
    Verb("tuned", "tuned", "hold a run of tuned.toml against its predictions"),
    Verb("traces", "example_traces", "write example traces to try tune on"),
    Verb("gates", "gates", "check the [expect] of a run.json yet to be measured, from standard input"),
)
EXAMPLES = """examples:
  python -m analysis report results/latest --junit out.xml
  python -m analysis tune --rate 0.5 --p95 2s
"""


def main(arguments: list[str] | None = None) -> int:
    """Run one verb; the exit code."""
    options = _parser().parse_args(arguments)
    verb: Callable[[argparse.Namespace], int] = options.verb
    try:
        return verb(options)
    except BadRunError as error:
        print(f"python -m analysis: {error}", file=sys.stderr)
        return 2


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """Refuse what was typed in one line; what there is says ``--help``."""
        self.exit(2, f"{self.prog}: {message}; see {self.prog} --help\n")


class _VerbParser(_Parser):
    """A verb's own parser: it knows its flags from when it is the one that reads."""

    def __init__(self, *, row: Verb, **settings: Any) -> None:
        super().__init__(**settings)
        self._row = row

    def parse_known_args(  # type: ignore[override]  # typeshed has an overload for each kind of namespace
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> tuple[argparse.Namespace, list[str]]:
        module: ModuleType = import_module(f"analysis.{self._row.module}")
        module.arguments(self)
        self.epilog = getattr(module, "USAGE", None) or module.EXAMPLES
        self.set_defaults(verb=getattr(module, f"{self._row.name}_verb"))
        return super().parse_known_args(args, namespace)


def _parser() -> argparse.ArgumentParser:
    raw = argparse.RawDescriptionHelpFormatter
    parser = _Parser(
        prog="python -m analysis",
        description="Read a run: metrics with intervals, checks, charts, a report. Tune and plan from its costs.",
        epilog=EXAMPLES,
        formatter_class=raw,
    )
    verbs = parser.add_subparsers(metavar="VERB", required=True, parser_class=_VerbParser)
    for row in VERBS:
        verbs.add_parser(row.name, row=row, help=row.says, description=row.says, formatter_class=raw)
    return parser


if __name__ == "__main__":
    sys.exit(main())
