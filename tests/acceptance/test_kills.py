"""A run survives kill -9 of load, server and runner; the long form is ``python tests/acceptance/kills.py``."""

from __future__ import annotations

import json
import random

import pytest

from tests.acceptance import kills


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    out = tmp_path_factory.mktemp("out")
    experiment = out / "survival.toml"
    experiment.write_text(kills.TOML.format(transports='"sse", "polling"', repeats=1, measure_s=0.5))
    return kills.disturb(experiment, out / "runs", 3, random.Random(3), 1.0)


def test_every_cell_is_done_in_the_end_whoever_was_killed(told):
    assert told.kills == ["load", "server", "runner"]
    assert told.resumed
    assert kills.done(told.folder)
    content = json.loads((told.folder / "run.json").read_text())
    assert content["resumed"]
    for cell in content["cells"]:
        assert (told.folder / "cells" / cell["id"] / "deliveries.parquet").exists()
        for aside in cell.get("aside", ()):
            assert aside["why"]
            assert (told.folder / "cells" / aside["folder"]).is_dir()


def test_no_finished_cell_is_touched_and_no_process_left(told):
    assert told.broken == []


def test_nothing_of_the_feed_is_missing_in_the_report(told):
    report = kills.report(told.folder)
    assert len(report) == 2
    assert (report["deliveries"] > 0).all()
    assert report[["lost", "duplicated", "reordered", "corrupted"]].to_numpy().sum() == 0
