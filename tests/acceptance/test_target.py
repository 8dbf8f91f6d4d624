"""An experiment against servers that somebody else has started: ours, in three ways, and one with nothing of ours."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from analysis.load import open_run
from analysis.results import evaluate
from loadtests.process import ready, running

HERE = Path(__file__).parent
TOML = """# What does a server that is there already deliver?
transports = ["sse", "polling"]
reference = false
[feed]
rate_hz = 7
[load]
subscribers = 4
warmup_s = 0.3
measure_s = 1
[polling]
interval_s = 0.1
[server]
heartbeat_s = 3
"""
OWN = [sys.executable, "-m", "servers", "sse", "polling", "--port", "0", "--rate", "20"]


def measure(tmp_path, *arguments):
    """Run the experiment; returns the runner's standard error, run.json, and summary.csv."""
    path = tmp_path / "there.toml"
    path.write_text(TOML)
    command = [sys.executable, "-m", "loadtests", "run", str(path), "--out", str(tmp_path / "out"), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    folder = (tmp_path / "out" / "latest").resolve()
    evaluate(open_run(folder)).write()
    return done.stderr, json.loads((folder / "run.json").read_text()), pd.read_csv(folder / "summary.csv")


def check(content, rows, feed):
    """What holds of every target: all delivered, nothing of ours told of it, and empty is not 0."""
    assert [cell["status"] for cell in content["cells"]] == ["done", "done"]
    assert {cell["target"]["feed"] for cell in content["cells"]} <= feed
    assert content["floor"] is None
    assert (rows["deliveries"] > 0).all()
    assert rows[["lost", "duplicated", "reordered", "corrupted"]].to_numpy().sum() == 0
    assert rows["server_cpu_us_per_delivery"].isna().all()
    assert rows["load_cpu_us_per_delivery"].notna().all()
    for cell in content["cells"]:
        assert cell["settings"]["feed.rate_hz"] == 20
        assert cell["cpus"]["server"] == []
        assert cell["clock"].keys() == {"start", "end"}


@pytest.fixture
def token(tmp_path):
    path = tmp_path / "token"
    path.write_text("open-sesame\n")
    return str(path)


@pytest.mark.parametrize("way", ["controlled", "running", "guarded"])
def test_our_own_server_started_by_hand(way, tmp_path, token):
    flags = {"controlled": ["--control"], "running": [], "guarded": ["--tls", "--token-file", token]}[way]
    with running("server", [*OWN, *flags], tmp_path / "server.log", []) as server:
        said = ready(server, 20)
        keys = []
        if way == "guarded":
            keys = ["--set", f"load.token_file={token}", "--set", f"load.ca_file={said['tls']['ca_file']}"]
        stderr, content, rows = measure(tmp_path, "--target", said["http"], *keys)
    check(content, rows, {"waiting", "running"} if way == "controlled" else {"running"})
    assert "there.toml: feed.rate_hz = 7, but the target feeds 20" in stderr
    assert "there.toml: server.heartbeat_s = 3 is the target's own affair: left out" in content["gave_way"]
    assert all(cell["verify"]["checks"] for cell in content["cells"])
    assert "open-sesame" not in json.dumps(content)
    assert (rows["status"].str.startswith("invalid: the load").fillna(False) | (rows["status"] == "ok")).all()


def test_a_controlled_server_is_used_as_ours_by_a_single_cell(tmp_path):
    with running("server", [*OWN, "--control"], tmp_path / "server.log", []) as server:
        arguments = "--target", ready(server, 20)["http"], "--transports", "sse"
        _, content, rows = measure(tmp_path, *arguments)
        (cell,) = content["cells"]
        assert cell["owed_from"] == {"t0": 0}
        assert cell["published"]["t0"] * 4 == len(pd.read_parquet(next((tmp_path / "out").rglob("deliveries.parquet"))))
        assert rows["lost"].sum() == 0
        again = subprocess.run(
            [sys.executable, "-m", "loadtests", "run", str(tmp_path / "there.toml"), *arguments],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
    assert again.returncode == 2
    assert again.stderr.endswith("its feed has ended, and a feed runs once: start the server again\n")


@pytest.mark.parametrize("counts", [True, False])
def test_a_server_with_nothing_of_ours_and_a_clock_of_its_own(counts, tmp_path):
    command = [sys.executable, str(HERE / "foreign_server.py"), "3600", *(["stats"] if counts else [])]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            _, content, rows = measure(tmp_path, "--target", server.stdout.readline().strip())
        finally:
            server.kill()
    check(content, rows, {"running"})
    for cell in content["cells"]:
        assert cell["verify"] == {}
        assert "status 501" in cell["unverified"], "http.server has no POST"
        assert abs(cell["clock"]["end"]["offset_ns"] - 3600_000_000_000) <= cell["clock"]["end"]["bound_ns"]
        assert ("owed_from" in cell) is counts
    by_transport = rows.set_index("transport")["delivery_ms_p50"]
    assert -5 < by_transport["sse"] < 500, "an hour would show"
    assert 20 < by_transport["polling"] < 500, "half the interval, and what a busy machine adds"
