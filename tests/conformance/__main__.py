"""``python -m tests.conformance [SIDE…] [-i CASE]``: Autobahn's cases, all of them unless told otherwise (20 minutes).

Prints the verdicts of each side by section, and every case that is not plainly OK. Exit code 1 when one has failed.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections import Counter

from kosoku._kosoku import CaseResult

from tests.conformance.cases import SIDES, mend


def _verdict(result: CaseResult) -> str:
    behavior, close = result.behavior.value, result.behavior_close.value
    return behavior if close in {"OK", "INFORMATIONAL"} or behavior == "ERROR" else f"{behavior}, close {close}"


def _table(results: list[CaseResult]) -> list[str]:
    sections: dict[int, Counter[str]] = {}
    for result in results:
        sections.setdefault(int(result.case_id.split(".")[0]), Counter())[_verdict(result)] += 1
    lines = [
        f"  {number:>2}  " + ", ".join(f"{count} {verdict}" for verdict, count in verdicts.most_common())
        for number, verdicts in sorted(sections.items())
    ]
    odd = [result for result in results if _verdict(result) != "OK"]
    return lines + [f"  {result.case_id}: {_verdict(result)}: {result.result}" for result in odd]


def main() -> int:
    """Run the program; returns its exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.conformance", description=__doc__.splitlines()[0])
    parser.add_argument("sides", nargs="*", metavar="SIDE", help=f"of {' '.join(SIDES)} (all)")
    parser.add_argument("-i", "--include", action="append", metavar="CASE", help="a case or a pattern, e.g. 12.* (all)")
    options = parser.parse_args()
    if unknown := set(options.sides) - set(SIDES):
        parser.error(f"{' '.join(sorted(unknown))}, expected of: {' '.join(SIDES)}")
    mend()
    failed = 0
    for side in options.sides or SIDES:
        began = time.monotonic()
        results = asyncio.run(SIDES[side](options.include or ["*"]))
        failed += sum(not result.passed for result in results)
        total = ", ".join(f"{count} {verdict}" for verdict, count in Counter(map(_verdict, results)).most_common())
        print(f"{side}: {len(results)} cases in {time.monotonic() - began:.0f} s: {total}")
        print("\n".join(_table(results)), flush=True)
        failed += not results
    return failed > 0


if __name__ == "__main__":
    sys.exit(main())
