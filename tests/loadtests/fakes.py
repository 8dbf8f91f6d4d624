"""Cells small enough to run in a test: a made-up experiment, and fake programs for server and load."""

from __future__ import annotations

import sys
from pathlib import Path

from loadtests import experiment
from loadtests.cell import Programs

HERE = Path(__file__).parent
TOML = """# Does it run?
transports = ["sse"]
repeats = 2
[load]
subscribers = 3
warmup_s = 0
measure_s = 0.3
"""


def read(tmp_path, text=TOML, name="tiny"):
    path = tmp_path / f"{name}.toml"
    path.write_text(text)
    return experiment.read(path)


def verified(_transport, _server):
    return {"checks": ["backlog"], "seconds": 0.0}


def programs(server="well", load="well", verify=verified):
    return Programs(
        lambda _cell: [sys.executable, str(HERE / "fake_server.py"), server],
        lambda _cell, plan: [sys.executable, str(HERE / "fake_load.py"), str(plan), load],
        verify,
    )
