"""A run: every cell recorded as it ends, whatever becomes of the others."""

from __future__ import annotations

import errno
import io
import json

import pytest

from loadtests import cell as cell_module
from loadtests import runner
from loadtests.progress import Progress
from loadtests.settings import InputError
from loadtests.verify import VerifyError
from tests.loadtests import fakes


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(cell_module, "_SETTLE_NS", 50_000_000)
    monkeypatch.setattr(cell_module, "_STATUS_S", 0.02)


@pytest.fixture
def run(tmp_path):
    def _run(programs, *experiments):
        out = io.StringIO()
        chosen = experiments or (fakes.read(tmp_path),)
        folder, done = runner.run(
            "tiny", chosen, tmp_path / "out", with_floor=False, programs=programs, progress=Progress([5, 5], out)
        )
        return folder, done, json.loads((folder / "run.json").read_text()), out.getvalue()

    return _run


def verify_then(*outcomes):
    left = list(outcomes)

    def verify(*_):
        outcome = left.pop(0)
        if outcome is not None:
            raise outcome
        return {"checks": [], "seconds": 0.0}

    return verify


def test_a_run_leaves_a_folder_that_says_all(run, tmp_path):
    folder, done, content, said = run(fakes.programs())
    assert done
    assert [one["status"] for one in content["cells"]] == ["done", "done"]
    assert [one["seed"] for one in content["cells"]] == [1, 2]
    assert content["format"] == 1
    assert content["finished"] >= content["started"]
    assert content["transports"] == {
        "sse": {"label": "Server-Sent Events", "specification": "WHATWG HTML 9.2", "pulls": False}
    }
    assert content["experiments"]["tiny"]["question"] == "Does it run?"
    assert (folder / "experiments" / "tiny.toml").read_text() == fakes.TOML
    assert (folder.parent / "latest").resolve() == folder.resolve()
    assert "1/2 tiny/sse/r1  done" in said
    for one in content["cells"]:
        assert (folder / "cells" / one["id"] / "deliveries.parquet").exists()


def test_a_failing_cell_is_recorded_and_the_next_one_runs(run):
    _, done, content, said = run(fakes.programs(verify=verify_then(VerifyError("order: 5 before 4"), None)))
    assert not done
    assert [(one["status"], one["why"]) for one in content["cells"]] == [("failed", "order: 5 before 4"), ("done", "")]
    assert "failed: order: 5 before 4" in said


def test_ctrl_c_keeps_what_was_measured_and_skips_the_rest(run, tmp_path):
    three = fakes.read(tmp_path, fakes.TOML.replace("repeats = 2", "repeats = 3"))
    _, done, content, _ = run(fakes.programs(verify=verify_then(None, KeyboardInterrupt())), three)
    assert not done
    assert [(one["status"], one["why"]) for one in content["cells"]] == [
        ("done", ""),
        ("failed", "interrupted"),
        ("skipped", "interrupted"),
    ]
    assert content["finished"]


def test_a_mistake_of_ours_stops_the_run_but_leaves_run_json_whole(run, tmp_path):
    with pytest.raises(ZeroDivisionError):
        run(fakes.programs(verify=verify_then(ZeroDivisionError())))
    content = json.loads((tmp_path / "out" / "latest" / "run.json").read_text())
    assert content["cells"][1]["status"] == "pending"


def test_a_run_that_would_measure_nothing_is_refused_before_it_makes_a_folder(run, tmp_path):
    with pytest.raises(InputError, match=r"nothing to run"):
        runner.plan([])
    with pytest.raises(InputError, match=r"two cells of this run have this name"):
        run(fakes.programs(), fakes.read(tmp_path), fakes.read(tmp_path))
    with pytest.raises(InputError, match=r"--target http://127\.0\.0\.1:1: GET http://127\.0\.0\.1:1/health: "):
        run(fakes.programs(), fakes.read(tmp_path, fakes.TOML + '[target]\nsse = "http://127.0.0.1:1/{topic}"\n'))
    assert not (tmp_path / "out").exists()


def test_a_floor_that_cannot_be_measured_is_a_warning(monkeypatch, tmp_path, capsys):
    def fail(_):
        raise VerifyError("sse: floor: no events")

    monkeypatch.setattr(runner.floor, "measure", fail)
    folder, done = runner.run(
        "tiny",
        [fakes.read(tmp_path)],
        tmp_path / "out",
        programs=fakes.programs(),
        progress=Progress([1], io.StringIO()),
    )
    assert done
    assert "floor: not measured: sse: floor: no events" in capsys.readouterr().err
    assert json.loads((folder / "run.json").read_text())["floor"] == {}


def test_a_disk_that_is_full_fails_the_cell_and_keeps_its_spools(run, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(cell_module.records, "to_parquet", full)
    folder, done, content, _ = run(fakes.programs())
    assert not done
    assert [one["why"] for one in content["cells"]] == ["[Errno 28] No space left on device"] * 2
    assert (folder / "cells" / content["cells"][0]["id"] / "spool" / "0.deliveries").stat().st_size
    monkeypatch.undo()
    _, done = runner.go_on(folder, programs=fakes.programs(), progress=Progress([5, 5], io.StringIO()))
    assert done
    aside = json.loads((folder / "run.json").read_text())["cells"][0]["aside"][0]
    assert (folder / "cells" / aside["folder"] / "deliveries.parquet").exists()
