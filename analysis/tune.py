"""The verb ``tune`` of the command line: from "what is my traffic" to the settings, on one screen and as a page.

It exits with 0 when the choice meets every goal, 1 when nothing does (and says what comes nearest), 2, with one line,
for what it cannot answer.
"""

from __future__ import annotations

import argparse

from analysis import tune_text
from analysis.tune_options import EXAMPLES, arguments, asked
from analysis.tuner import answer

__all__ = ["EXAMPLES", "arguments", "tune_verb"]


def tune_verb(options: argparse.Namespace) -> int:
    """Answer one question."""
    found = answer(asked(options))
    print(tune_text.screen(found))
    return 0 if found.best.meets else 1
