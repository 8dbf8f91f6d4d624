"""The verb ``compare`` of the command line: which differences between two runs are real."""

from __future__ import annotations

import argparse
from pathlib import Path

from analysis import compare, compare_page, differences
from analysis.errors import BadRunError
from analysis.reporting import EXAMPLES


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags of ``compare``."""
    parser.add_argument("a", type=Path, metavar="A", help="the run before: a folder")
    parser.add_argument("b", type=Path, metavar="B", help="the run after: a folder")
    parser.add_argument("--out", type=Path, metavar="DIR", help="where it is written (B's report/compare-A)")


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


__all__ = ["EXAMPLES", "arguments", "compare_verb"]
