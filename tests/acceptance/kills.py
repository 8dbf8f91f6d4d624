"""Kill -9 of load, server and runner in the middle of cells, at seeded random moments, until the run is whole again.

``python tests/acceptance/kills.py [--kills 10] [--seed 1]`` makes one run undisturbed and one that is killed, goes on
with the second by ``--resume`` until it is done, and compares: no finished cell was touched, no process was left
behind, run.json could be read at any moment, and the report says what the undisturbed one says, within its intervals.
Exit code 0 when all of that holds.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd
import psutil

from analysis.load import open_run
from analysis.results import evaluate

HERE = Path(__file__).resolve().parent.parent.parent
VICTIMS = ("load", "server", "runner")
MODULES = {"load": "locust", "server": "servers"}
EXACT = ("deliveries", "lost", "duplicated", "reordered", "corrupted", "missed")
CLOSE = ("delivery_ms_mean", "delivery_ms_p50", "empty_ratio", "requests_per_event")

TOML = """# Does a run survive?
transports = [{transports}]
repeats = {repeats}
[feed]
topics = "per_subscriber"
rate_hz = 10
[load]
subscribers = 20
warmup_s = 0.3
measure_s = {measure_s}
[polling]
interval_s = 0.2
"""


@dataclass
class Disturbed:
    """What was done to a run, and what was found on the way; ``broken`` should stay empty."""

    folder: Path
    kills: list[str] = field(default_factory=list)
    resumed: int = 0
    broken: list[str] = field(default_factory=list)


def start(*arguments: str) -> subprocess.Popen[bytes]:
    """Start a runner."""
    command = [sys.executable, "-m", "loadtests", "run", *arguments]
    return subprocess.Popen(command, cwd=HERE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def programs(runner: subprocess.Popen[bytes], module: str) -> list[psutil.Process]:
    """Return the runner's children that run a module."""
    found = []
    for child in children(runner):
        try:
            if child.cmdline()[1:3] == ["-m", module]:
                found.append(child)
        except psutil.Error:
            continue
    return found


def children(runner: subprocess.Popen[bytes]) -> list[psutil.Process]:
    """Return all the runner has started that still run."""
    try:
        return psutil.Process(runner.pid).children(recursive=True)
    except psutil.Error:
        return []


def finished(folder: Path) -> dict[str, str]:
    """Return a digest of the files of every finished cell; raises ValueError when run.json is not whole."""
    content = json.loads((folder / "run.json").read_text())
    digests = {}
    for cell in content["cells"]:
        if cell["status"] == "done":
            digest = hashlib.sha256(json.dumps(cell, sort_keys=True).encode())
            for path in sorted((folder / "cells" / cell["id"]).iterdir()):
                digest.update(path.name.encode() + path.read_bytes())
            digests[cell["id"]] = digest.hexdigest()
    return digests


def disturb(experiment: Path, out: Path, kills: int, rng: random.Random, within_s: float) -> Disturbed:
    """Run the experiment, kill something ``kills`` times, and go on until every cell is done."""
    runner = start(str(experiment), "--out", str(out), "--no-floor")
    latest = out / "latest"
    while not (latest / "run.json").exists():
        time.sleep(0.02)
    told = Disturbed(latest.resolve())
    for number in range(kills):
        victim = VICTIMS[number % len(VICTIMS)]
        time.sleep(rng.uniform(0.2, within_s))
        runner = revive(runner, told)
        while not (known := programs(runner, MODULES.get(victim, "servers"))) and not done(told.folder):
            runner = revive(runner, told)  # it may just have come to its end, with cells that failed
            time.sleep(0.01)
        before = finished(told.folder)
        family = children(runner)
        try:
            (known[0] if victim != "runner" else psutil.Process(runner.pid)).kill()
        except (IndexError, psutil.Error):
            continue
        told.kills.append(victim)
        if victim == "runner":
            runner.wait()
            _, left = psutil.wait_procs(family, timeout=3)
            told.broken += [f"left behind: {' '.join(one.cmdline()[:3])}" for one in left]
        told.broken += changed(before, finished(told.folder))
    runner.wait()
    while not done(told.folder):
        runner = revive(runner, told)
        runner.wait()
    return told


def revive(runner: subprocess.Popen[bytes], told: Disturbed) -> subprocess.Popen[bytes]:
    """Return a runner that works: this one, or one that goes on with what it left."""
    if runner.poll() is None:
        return runner
    told.resumed += 1
    return start("--resume", str(told.folder))


def done(folder: Path) -> bool:
    """Return whether every cell is done."""
    return all(cell["status"] == "done" for cell in json.loads((folder / "run.json").read_text())["cells"])


def changed(before: dict[str, str], after: dict[str, str]) -> list[str]:
    """Say which finished cells are not what they were."""
    return [f"finished cell changed: {name}" for name, digest in before.items() if after.get(name) != digest]


def report(folder: Path) -> pd.DataFrame:
    """Have the analysis read a run; its cells with their intervals."""
    evaluate(open_run(folder)).write()
    return pd.read_csv(folder / "cells.csv").set_index("cell")


def differences(calm: pd.DataFrame, disturbed: pd.DataFrame) -> Iterator[str]:
    """Say where two reports differ: counts must be the same everywhere, estimates must have intervals that meet.

    A cell that a report itself calls invalid (a machine too busy) carries no estimate that could agree or differ; at
    least one must carry some.
    """
    if list(calm.index) != list(disturbed.index):
        yield f"cells: {list(calm.index)} against {list(disturbed.index)}"
        return
    for name in [name for name in EXACT if name in calm]:
        for cell in calm.index[calm[name].fillna(-1) != disturbed[name].fillna(-1)]:
            yield f"{cell}: {name} {calm.loc[cell, name]} against {disturbed.loc[cell, name]}"
    sound = calm["status"].eq("ok") & disturbed["status"].eq("ok")
    if not sound.any():
        yield "no cell is valid in both reports: measure on a machine that is not busy"
    for name in CLOSE:
        apart = sound & (
            (calm[f"{name}_high"] < disturbed[f"{name}_low"]) | (disturbed[f"{name}_high"] < calm[f"{name}_low"])
        )
        for cell in calm.index[apart]:
            yield f"{cell}: {name} {calm.loc[cell, name]:.4g} against {disturbed.loc[cell, name]:.4g}, apart"


def main() -> int:
    """Disturb, compare, and say so."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--kills", type=int, default=10, help="how many (default 10)")
    parser.add_argument("--seed", type=int, default=1, help="of the moments (default 1)")
    parser.add_argument("--keep", type=Path, help="folder for both runs (default: a temporary one)")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        out = given.keep or Path(scratch)
        out.mkdir(parents=True, exist_ok=True)
        experiment = out / "survival.toml"
        names = '"polling", "long_polling", "sse", "websocket", "stomp_websocket", "stomp_tcp"'
        experiment.write_text(TOML.format(transports=names, repeats=2, measure_s=2))
        start(str(experiment), "--out", str(out / "calm"), "--no-floor").wait()
        told = disturb(experiment, out / "disturbed", given.kills, random.Random(given.seed), 5.0)
        calm, disturbed = report((out / "calm" / "latest").resolve()), report(told.folder)
        cells = json.loads((told.folder / "run.json").read_text())["cells"]
        found = [*told.broken, *differences(calm, disturbed)]
        print(f"kills: {', '.join(told.kills)}; resumed {told.resumed} times")
        for cell in cells:
            for aside in cell.get("aside", ()):
                print(f"  {cell['id']}: set aside as {aside['folder']}: {aside['why']}")
        shown = ["status", *EXACT[:5], *CLOSE[:2]]
        print(calm[shown].join(disturbed[shown].add_suffix(" (killed)")).to_string())
        print(*(found or [f"{len(cells)} cells done, the same report within its intervals"]), sep="\n")
        return 1 if found or len(told.kills) < given.kills else 0


if __name__ == "__main__":
    sys.exit(main())
