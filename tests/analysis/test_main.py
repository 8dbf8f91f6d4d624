import dataclasses
import io
import json

import pytest

from analysis import __main__ as command
from analysis import notebook, report, reporting
from analysis.load import open_run
from analysis.results import evaluate
from tests.analysis import fake_run


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    where = tmp_path_factory.mktemp("run") / "run"
    return fake_run.make(where, ("poll_interval",), transports=("polling",), repeats=1, scale=0.2)


@pytest.fixture(autouse=True)
def no_charts(monkeypatch):
    """Charts and notebooks have tests of their own, and take their time."""
    monkeypatch.setattr(report, "write", lambda results: results.run.folder / "report" / "report.html")
    monkeypatch.setattr(notebook, "execute", lambda run: 7)


def test_report_prints_a_table_and_where_the_report_lies(folder, capsys):
    assert command.main(["report", str(folder)]) == 0
    out = capsys.readouterr().out
    lines = [line for line in out.splitlines() if "polling.interval_s=" in line]
    assert len(lines) == 6
    assert all(line.endswith("  ok") for line in lines)
    assert "Poll interval" in out
    assert "model and measurement: " in out
    assert out.splitlines()[-2].endswith("report.html")
    assert out.splitlines()[-1] == "verdict: PASS: 6 of 6 cells ok"
    assert (folder / "summary.csv").exists()
    assert (folder / "cells.csv").exists()


def test_an_invalid_cell_or_a_gate_that_does_not_hold_is_exit_code_1(folder, tmp_path, capsys):
    meta = json.loads((folder / "run.json").read_text())
    meta["experiments"]["poll_interval"]["expect"] = {"delivery_ms_mean": "<= 1000 * polling.interval_s / 4"}
    (tmp_path / "run.json").write_text(json.dumps(meta))
    (tmp_path / "cells").symlink_to(folder / "cells")
    assert command.main(["report", str(tmp_path)]) == 1
    out = capsys.readouterr().out
    assert "DOES NOT HOLD: delivery_ms_mean = " in out
    assert out.splitlines()[-1].startswith(
        "verdict: FAIL: 6 of 6 cells ok; 6 of 6 gates do not hold (polling/polling.interval_s=0.1: delivery_ms_mean = "
    )


def test_junit_is_written_beside_the_report_and_where_it_is_asked_for(folder, tmp_path):
    assert command.main(["report", str(folder), "--junit", str(tmp_path / "new" / "out.xml")]) == 0
    assert (tmp_path / "new" / "out.xml").read_bytes() == (folder / "report" / "junit.xml").read_bytes()


def test_junit_where_nothing_can_be_written_is_one_line(folder, capsys):
    assert command.main(["report", str(folder), "--junit", "/dev/null/out.xml"]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "--junit /dev/null/out.xml: cannot be written" in said


def planned(folder, expect):
    """The run.json of a run that is yet to be measured."""
    meta = json.loads((folder / "run.json").read_text())
    meta["experiments"]["poll_interval"]["expect"] = expect
    keep = ("id", "experiment", "cell", "repeat", "transport", "settings")
    meta["cells"] = [{key: cell[key] for key in keep} | {"status": "pending"} for cell in meta["cells"]]
    return io.StringIO(json.dumps(meta))


def test_gates_are_checked_before_the_run(folder, monkeypatch, capsys):
    monkeypatch.setattr("sys.stdin", planned(folder, {"delivery_ms_p99": "<= 1000 * polling.interval_s"}))
    assert command.main(["gates"]) == 0
    monkeypatch.setattr("sys.stdin", planned(folder, {"delivery_ms_p9": "<= 1"}))
    assert command.main(["gates"]) == 2
    said = capsys.readouterr().err
    assert said == (
        'poll_interval.toml: expect.delivery_ms_p9 = "<= 1": there is no metric delivery_ms_p9;'
        " did you mean delivery_ms_p99?\n"
    )


def test_a_folder_that_is_no_run_is_exit_code_2_and_one_line(tmp_path, capsys):
    assert command.main(["report", str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "no run.json here" in said


def test_notebooks_are_passed_on(folder):
    assert command.main(["notebooks", str(folder)]) == 7


@pytest.mark.parametrize("arguments", [["--help"], *([row.name, "--help"] for row in command.VERBS)])
def test_help_ends_in_examples(arguments, capsys):
    with pytest.raises(SystemExit) as done:
        command.main(arguments)
    assert done.value.code == 0
    _, _, examples = capsys.readouterr().out.rstrip().partition("\nexamples:\n")
    lines = examples.splitlines()
    assert len(lines) >= 2
    assert all(line.startswith("  ") for line in lines)
    assert lines[0].split()[:3] == ["python", "-m", "analysis"]


def test_no_verb_is_bad_input():
    with pytest.raises(SystemExit) as done:
        command.main([])
    assert done.value.code == 2


def test_numbers_that_are_missing_are_blank(folder):
    results = evaluate(open_run(folder))
    blank = dataclasses.replace(results, cells=results.cells.assign(delivery_ms_p50=float("nan")))
    assert any("nan" in line for line in reporting.lines(blank)) is False
