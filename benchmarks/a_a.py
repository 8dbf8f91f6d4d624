"""Ten pairs of runs of one experiment, compared: how often is called real what is not.

    python benchmarks/a_a.py                     # ten pairs, about twenty minutes; nothing else should run meanwhile
    python benchmarks/a_a.py --pairs 3 --out a_a

A pair is two runs one after the other; nothing was changed between them, so every figure that `analysis compare` calls
better or worse is a false alarm. It exits with 1 when those are more than 5 % of the figures that were judged, over all
pairs, and when none was: on a busy machine every repeat may be invalid, and that shows nothing.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

import pandas as pd

EXPERIMENT = Path(__file__).parent / "a_a.toml"
ALLOWED = 0.05


def main() -> int:
    """Run the pairs; the exit code."""
    parser = argparse.ArgumentParser(description="A/A: how often a comparison of two runs of one thing is wrong.")
    parser.add_argument("--pairs", type=int, default=10)
    parser.add_argument("--out", type=Path, default=Path("results/a_a"), metavar="DIR")
    parser.add_argument("experiment", type=Path, nargs="?", default=EXPERIMENT, metavar="EXPERIMENT.toml")
    given = parser.parse_args()
    tables = []
    for pair in range(1, given.pairs + 1):
        a, b = (measured(given.experiment, given.out) for _ in range(2))
        table = compared(a, b)
        print(f"pair {pair}: {said(table)}", flush=True)
        tables.append(table)
    everything = pd.concat(tables)
    for row in everything[alarms(everything)].to_dict("records"):
        print(f"false alarm: {row['cell']}: {row['metric']} {row['a']:.4g} -> {row['b']:.4g}, {row['verdict']}")
    judged = everything[everything["p"].notna()]
    print(f"all: {said(everything)}; {len(judged)} of {len(everything)} were judged")
    if not len(judged):
        print("no repeat was valid: nothing is shown")
        return 1
    share = float(alarms(everything).sum() / len(judged))
    print(f"false alarms in {share:.2%} of the figures judged, at most {ALLOWED:.0%} allowed")
    return int(share > ALLOWED)


def measured(experiment: Path, out: Path) -> Path:
    """Run the experiment; its folder."""
    run = subprocess.run(
        [sys.executable, "-m", "loadtests", "run", str(experiment), "--out", str(out)],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=False,
    )  # fmt: skip
    folder = run.stdout.rpartition("results: ")[2].strip()
    if not folder:
        sys.exit(f"python -m loadtests run {experiment}: exit code {run.returncode}; run it by hand to see why")
    return Path(folder)


def compared(a: Path, b: Path) -> pd.DataFrame:
    """Compare two runs; the rows of compare.csv."""
    where = b / "compare"
    command = [sys.executable, "-m", "analysis", "compare", str(a), str(b), "--out", str(where)]
    told = subprocess.run(command, capture_output=True, text=True, check=False)
    if told.returncode > 1:
        sys.exit(told.stderr.strip())
    return pd.read_csv(where / "compare.csv")


def alarms(table: pd.DataFrame) -> pd.Series:
    """Which rows call a difference real."""
    return table["verdict"].isin(("worse", "better"))


def said(table: pd.DataFrame) -> str:
    """How many figures got which word."""
    counts = table["verdict"].value_counts()
    return ", ".join(f"{counts.get(word, 0)} {word}" for word in ("worse", "better", "same", "cannot tell"))


if __name__ == "__main__":
    sys.exit(main())
