import json

import numpy as np
import pandas as pd
import pytest

from analysis import metrics
from analysis.load import open_run
from analysis.results import evaluate
from tests.analysis import fake_run


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    where = tmp_path_factory.mktemp("run") / "run"
    made = fake_run.make(where, ("fan_out", "hold_timeout", "connection_cost"), repeats=2, scale=0.2)
    meta = json.loads((made / "run.json").read_text())
    meta["experiments"]["hold_timeout"]["expect"] = {"lost": "<= 0", "delivery_ms_p95": "<= 1"}
    meta["cells"][0] |= {"status": "failed", "why": "the server died", "window": None}
    meta["cells"].append({**meta["cells"][1], "id": "later", "repeat": 3, "status": "pending", "window": None})
    (made / "run.json").write_text(json.dumps(meta))
    return made


@pytest.fixture(scope="module")
def results(folder):
    return evaluate(open_run(folder))


def test_summary_has_a_row_for_each_cell_and_repeat_in_the_columns_of_the_format(results):
    axes = ["load.subscribers", "long_polling.hold_s", "long_polling.gap_s"]
    head = ["experiment", "cell", "repeat", "transport", "status", *axes]
    assert list(results.summary.columns) == [*head, *metrics.BY_NAME, "role"]
    assert len(results.summary) == len(results.run.cells)
    assert not results.summary.duplicated(["experiment", "cell", "repeat"]).any()


def test_cells_have_intervals_around_their_values(results):
    ok = results.cells[results.cells["status"] == "ok"]
    for name in metrics.BY_NAME:
        low, value, high = ok[f"{name}_low"], ok[name], ok[f"{name}_high"]
        assert ((low <= value) | low.isna()).all()
        assert ((high >= value) | high.isna()).all()
        assert ((ok[f"{name}_n"] > 0) | value.isna()).all()
    assert set(results.cells["repeats"]) == {1, 2}


def test_what_was_not_measured_is_there_with_its_reason_and_empty(results):
    by = results.summary.set_index(["cell", "repeat"])
    failed = results.run.cells[0]
    row = by.loc[(failed.cell, 1)]
    assert row["status"] == "failed: the server died"
    assert row[list(metrics.BY_NAME)].isna().all()
    over = results.cells[results.cells["cell"] == failed.cell].iloc[0]
    assert over["status"] == "failed: the server died (1 of 2 repeats)"
    assert over["deliveries"] > 0  # the other repeat's
    assert by.loc[(results.run.cells[1].cell, 3)]["status"] == "skipped: the run ended before it"


def test_references_are_marked_and_last_of_their_experiment(results):
    held = results.cells[results.cells["experiment"] == "hold_timeout"]
    assert list(held["role"]) == ["measure"] * 12 + ["reference"]


def test_gates_are_evaluated_on_measured_cells(results):
    lost = [gate for gate in results.gates if gate.name == "lost"]
    assert len(lost) == 12
    assert all(gate.holds for gate in lost)
    assert not any(gate.holds for gate in results.gates if gate.name == "delivery_ms_p95")
    assert not results.ok


def test_the_agreement_is_in(results):
    assert set(results.agreement["experiment"]) == {"hold_timeout"}


def test_latencies_of_a_cell(results):
    name = "sse/load.subscribers=100"
    found = results.latencies_ms("fan_out", name)
    row = results.cells[(results.cells["cell"] == name) & (results.cells["experiment"] == "fan_out")].iloc[0]
    assert len(found) == row["deliveries"]
    assert found.mean() == pytest.approx(row["delivery_ms_mean"])
    assert (np.diff(found) >= 0).all()
    assert len(results.latencies_ms("fan_out", "nothing of the kind")) == 0


def test_files_are_written_whole_and_read_back(results, folder):
    results.write()
    for name, frame in (("summary.csv", results.summary), ("cells.csv", results.cells)):
        back = pd.read_csv(folder / name)
        assert list(back.columns) == list(frame.columns)
        assert back["delivery_ms_mean"].to_numpy() == pytest.approx(frame["delivery_ms_mean"].to_numpy(), nan_ok=True)
    before = (folder / "summary.csv").read_bytes()
    evaluate(open_run(folder)).write()
    assert (folder / "summary.csv").read_bytes() == before
    assert not list(folder.glob(".*.part"))


def test_a_run_in_which_nothing_was_measured(tmp_path):
    (tmp_path / "run.json").write_text('{"format": 1, "cells": []}')
    results = evaluate(open_run(tmp_path))
    assert not results.ok
    assert results.summary.empty
    assert results.cells.empty
    assert results.agreement.empty
