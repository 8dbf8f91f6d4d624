"""Ask ``analysis``, which owns the metrics, whether an experiment's ``[expect]`` can be evaluated, before measuring.

The rule: a gate that is mistaken is refused before the run, not after it. Nothing is shared but the results format:
what is asked about is the ``run.json`` that this run would begin with, and the answer is an exit code and a line.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime

from loadtests import run_file
from loadtests.experiment import Experiment
from loadtests.grid import cells
from loadtests.settings import InputError

ANALYSIS = (sys.executable, "-m", "analysis", "gates")


def refuse_mistaken(experiments: Sequence[Experiment], command: Sequence[str] = ANALYSIS) -> None:
    """Raise InputError with the first mistake there is in the experiments' gates; cheap when there are none."""
    if not any(one.expect for one in experiments):
        return
    planned = [cell for one in experiments for cell in cells(one)]
    content = run_file.document("planned", experiments, planned, "", datetime.now(UTC))
    asked = subprocess.run(command, input=json.dumps(content), capture_output=True, text=True, check=False)
    if asked.returncode:
        lines = asked.stderr.strip().splitlines() or [f"{' '.join(command)}: exit code {asked.returncode}"]
        # Mistakes come a line each; had the program itself failed, the last line would say why.
        raise InputError(lines[0] if asked.returncode == 2 else lines[-1])
