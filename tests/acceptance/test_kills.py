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


def reports(*, status="ok", deliveries=100, low=1.0, high=2.0):
    row = {"cell": "sse", "status": status, **dict.fromkeys(kills.EXACT, 0), "deliveries": deliveries}
    row |= {f"{name}{end}": value for name in kills.CLOSE for end, value in (("", 1.5), ("_low", low), ("_high", high))}
    return kills.pd.DataFrame([row]).set_index("cell")


def test_reports_agree_in_counts_exactly_and_in_estimates_within_their_intervals():
    def found(**changes):
        return list(kills.differences(reports(), reports(**changes)))

    assert found(low=1.9, high=3) == []
    assert found(low=2.1, high=3)[0] == "sse: delivery_ms_mean 1.5 against 1.5, apart"
    assert found(deliveries=99) == ["sse: deliveries 100 against 99"]
    assert found(status="invalid: late", low=2.1, high=3) == [
        "no cell is valid in both reports: measure on a machine that is not busy"
    ]
    assert found(status="invalid: late", deliveries=99)[0] == "sse: deliveries 100 against 99"
