"""A run folder that was interrupted or damaged: one clear line for what is broken, and the rest is reported."""

import json
import shutil

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from analysis import __main__ as command
from analysis.load import BadRunError, open_run
from analysis.results import evaluate
from tests.analysis import fake_run


@pytest.fixture
def folder(tmp_path):
    return fake_run.make(tmp_path / "run", ("poll_interval",), transports=("polling",), repeats=2, scale=0.2)


def torn(name, keep=0.6):
    def tear(cell):
        data = (cell / name).read_bytes()
        (cell / name).write_bytes(data[: int(len(data) * keep)])

    return tear


def flipped(cell):
    """Bytes in the middle overwritten: the footer is whole, the pages are not."""
    path = cell / "deliveries.parquet"
    data = bytearray(path.read_bytes())
    data[40:400] = b"\xff" * 360
    path.write_bytes(data)


def without_a_column(cell):
    path = cell / "responses.parquet"
    pq.write_table(pq.read_table(path).drop_columns(["status"]), path)


def with_a_hole(cell):
    path = cell / "deliveries.parquet"
    table = pq.read_table(path)
    holes = pa.array([None, *table["seq"].to_pylist()[1:]], pa.int64())
    pq.write_table(table.set_column(table.column_names.index("seq"), "seq", holes), path)


DAMAGE = [
    (torn("deliveries.parquet"), "deliveries.parquet: cannot be read as Parquet"),
    (torn("responses.parquet", 0), "responses.parquet: cannot be read as Parquet"),
    (torn("connections.parquet", 0.99), "connections.parquet: cannot be read as Parquet"),
    (flipped, "deliveries.parquet: cannot be read as Parquet"),
    (without_a_column, "responses.parquet: no column status"),
    (with_a_hole, "deliveries.parquet: seq must be whole numbers throughout"),
    (lambda cell: (cell / "responses.parquet").unlink(), "responses.parquet missing"),
    (lambda cell: (cell / "resources.csv").write_bytes(b"at_ns\n\xff\xfe\n"), "resources.csv: cannot be read as CSV"),
    (lambda cell: (cell / "resources.csv").write_text("a,b\n1,2\n"), "resources.csv: no column at_ns"),
    (shutil.rmtree, "its folder is gone"),
]


@pytest.mark.parametrize(("damage", "says"), DAMAGE, ids=[says for _, says in DAMAGE])
def test_a_damaged_cell_is_failed_with_the_reason_and_the_rest_is_reported(folder, damage, says):
    run = open_run(folder)
    damage(run.cells[0].folder)
    results = evaluate(run)
    statuses = list(results.summary["status"])
    assert len(statuses) == 12
    (bad,) = [status for status in statuses if status != "ok"]
    assert bad.startswith(f"failed: {says}")
    assert "\n" not in bad
    row = results.cells.set_index("cell").loc[run.cells[0].cell]
    assert row["status"].endswith("(1 of 2 repeats)")
    assert row["deliveries"] > 0  # the other repeat's


def test_a_missing_resources_file_leaves_its_metrics_empty(folder):
    run = open_run(folder)
    for cell in run.cells:
        (cell.folder / "resources.csv").unlink()
    results = evaluate(run)
    assert results.summary["server_cpu_us_per_delivery"].isna().all()
    assert (results.summary["status"] == "ok").all()


def test_rows_from_before_a_column_came_are_read(folder):
    run = open_run(folder)
    whole = evaluate(run)
    for cell in run.cells:
        path = cell.folder / "connections.parquet"
        pq.write_table(pq.read_table(path).drop_columns(["purpose"]), path)
    assert evaluate(run).summary.equals(whole.summary)


def test_a_run_kept_without_its_rows_is_refused_and_its_summary_left_alone(folder, capsys):
    assert command.main(["report", str(folder)]) == 0
    before = (folder / "summary.csv").read_bytes()
    shutil.rmtree(folder / "cells")
    capsys.readouterr()
    assert command.main(["report", str(folder)]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "the raw rows were left out; see its summary.csv" in said
    assert (folder / "summary.csv").read_bytes() == before


def test_a_run_that_was_killed_reports_what_it_has(folder, capsys):
    meta = json.loads((folder / "run.json").read_text())
    for cell in meta["cells"][3:]:
        cell |= {"status": "pending"}
        for key in ("window", "load", "server", "published", "verify", "cpus"):
            cell.pop(key)
        shutil.rmtree(folder / "cells" / cell["id"])
    meta |= {"finished": None, "floor": {}}
    (folder / "run.json").write_text(json.dumps(meta))
    assert command.main(["report", str(folder)]) == 1
    out = capsys.readouterr().out
    assert out.splitlines()[-1] == "verdict: FAIL: 6 of 6 cells skipped"
    assert "skipped: the run ended before it (1 of 2 repeats)" in out
    assert (folder / "report" / "report.html").exists()


def test_a_newer_format_is_one_line(folder):
    meta = json.loads((folder / "run.json").read_text()) | {"format": 99}
    (folder / "run.json").write_text(json.dumps(meta))
    with pytest.raises(BadRunError, match="format = 99, but this program reads up to 1; use a newer pushbench"):
        open_run(folder)


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000, "\ufeff{}", '{"format": 1, "cells": {"a": 1}}'])
def test_a_torn_run_json_is_one_line(folder, text):
    (folder / "run.json").write_text(text)
    with pytest.raises(BadRunError) as caught:
        open_run(folder)
    assert "\n" not in str(caught.value)
