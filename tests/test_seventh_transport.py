"""Adding a transport takes two files and one row: a trivial one is added to a copy of the project and measured."""

import csv
import json
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
PARTS = ROOT / "tests" / "seventh_transport"
ROW = '        Transport("lines", "JSON lines", "LinesSubscriber", "lines", "jsonlines.org", "/lines/{topic}"),\n'
LAST_ROW = '        Transport("stomp_tcp"'
EXPERIMENT = """
title = "Seventh"
transports = ["lines", "sse"]
[feed]
rate_hz = 40.0
[load]
subscribers = 5
warmup_s = 0.2
measure_s = 1
"""


def test_two_files_and_one_row(tmp_path):
    copy = tmp_path / "copy"
    for program in ("servers", "loadtests", "analysis"):
        shutil.copytree(ROOT / program, copy / program, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(PARTS / "server.py", copy / "servers" / "lines.py")
    shutil.copy(PARTS / "client.py", copy / "loadtests" / "clients" / "lines.py")
    registry = copy / "loadtests" / "transports.py"
    before = registry.read_text()
    registry.write_text(before.replace(LAST_ROW, ROW + LAST_ROW))
    assert registry.read_text() != before
    (copy / "seventh.toml").write_text(EXPERIMENT)

    def run(*command):
        whole = [sys.executable, "-m", *command]
        return subprocess.run(whole, cwd=copy, capture_output=True, text=True, timeout=100, check=False)

    done = run("loadtests", "run", "seventh.toml", "--out", "results", "--no-floor")
    assert done.returncode == 0, done.stderr
    latest = copy / "results" / "latest"
    said = json.loads((latest / "run.json").read_text())
    assert said["transports"]["lines"]["label"] == "JSON lines"
    done = run("analysis", "report", str(latest))
    assert (latest / "report" / "report.html").read_text().count("JSON lines") > 1, done.stderr
    with (latest / "summary.csv").open() as file:
        rows = {row["transport"]: row for row in csv.DictReader(file)}
    assert float(rows["lines"]["deliveries"]) == float(rows["sse"]["deliveries"]) > 0
    assert rows["lines"]["lost"] == rows["lines"]["corrupted"] == "0"
