"""The verb ``tune`` of the command line: from "what is my traffic" to the settings, on one screen and as a page.

It exits with 0 when the choice meets every goal, 1 when nothing does (and says what comes nearest), 2, with one line,
for what it cannot answer.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from dataclasses import asdict
from typing import Any

from analysis import tune_text, tune_write
from analysis.tune_options import EXAMPLES, arguments, asked
from analysis.tuner import Answer, answer, row

__all__ = ["EXAMPLES", "arguments", "tune_verb"]


def tune_verb(options: argparse.Namespace) -> int:
    """Answer one question: in words first, and then, for whoever waits some seconds more, as a page."""
    question = asked(options)
    if options.grid:
        tune_write.refuse_grid(question, options.write)
    found = answer(question)
    print(json.dumps(as_json(found), indent=1) if options.json else tune_text.screen(found), flush=True)
    beside = sys.stderr if options.json else sys.stdout
    if not options.no_page:
        from analysis import tune_page  # noqa: PLC0415  charts take longer to load than the answer to compute

        print(f"page: {tune_page.write(found, options.out)}", file=beside)
    if options.write is not None:
        written = tune_write.write(found, options.write, grid=options.grid)
        print(
            f"live: python -m loadtests run {written[0]}, then python -m analysis tuned results/latest {written[1]}",
            file=beside,
        )
    return 0 if found.best.meets else 1


def as_json(found: Answer) -> dict[str, Any]:
    """The answer for a program: the choices by rows, the choice, what cannot be told from it, and where it flips."""
    rows = [
        {**{key: _plain(value) for key, value in row(one).items()}, "settings": dict(one.settings),
         "misses": list(one.misses)}
        for one in found.found
    ]  # fmt: skip
    return {
        "choices": rows,
        "choice": found.found.index(found.best),
        "rivals": [found.found.index(one) for one in found.rivals],
        "flips": [{key: _plain(value) for key, value in asdict(one).items()} for one in found.flips],
        "meets": found.best.meets,
        "source": found.asked.costs.source,
    }


def _plain(value: Any) -> Any:
    """JSON has no NaN and no infinity."""
    return None if isinstance(value, float) and not math.isfinite(value) else value
