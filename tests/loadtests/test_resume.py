"""Going on: finished cells stay, everything else is set aside under a name and measured afresh, or it is refused."""

from __future__ import annotations

import copy
import io
import json
import subprocess
import sys
from datetime import UTC, datetime

import pyarrow.parquet as pq
import pytest

from loadtests import cell as cell_module
from loadtests import machine, resume, run_file, runner
from loadtests.cell import blank, collect
from loadtests.grid import cells
from loadtests.progress import Progress
from loadtests.records import Spools
from loadtests.settings import InputError
from tests.loadtests import fakes

NOW = datetime(2026, 11, 22, 10, 15, 30, tzinfo=UTC)


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(cell_module, "_SETTLE_NS", 50_000_000)
    monkeypatch.setattr(cell_module, "_STATUS_S", 0.02)


def silent():
    return Progress([5, 5], io.StringIO())


@pytest.fixture
def interrupted(tmp_path):
    """A run of two cells, the second of which was interrupted."""
    left = [None, KeyboardInterrupt()]

    def verify(*_):
        if (outcome := left.pop(0)) is not None:
            raise outcome
        return {"checks": [], "seconds": 0.0}

    one = fakes.read(tmp_path)
    folder, _ = runner.run(
        "tiny", [one], tmp_path / "out", with_floor=False, programs=fakes.programs(verify=verify), progress=silent()
    )
    (tmp_path / "tiny.toml").unlink()  # the run's own folder is enough
    return folder


def content_of(folder):
    return json.loads((folder / "run.json").read_text())


def test_only_what_is_not_done_is_measured(interrupted):
    before = content_of(interrupted)
    finished = interrupted / "cells" / before["cells"][0]["id"]
    stamps = {path: path.stat().st_mtime_ns for path in finished.iterdir()}
    folder, done = runner.go_on(interrupted, command="again", programs=fakes.programs(), progress=silent())
    after = content_of(folder)
    assert done
    assert folder == interrupted.resolve()
    assert after["cells"][0] == before["cells"][0]
    assert {path: path.stat().st_mtime_ns for path in finished.iterdir()} == stamps
    assert [one["status"] for one in after["cells"]] == ["done", "done"]
    assert after["resumed"][0]["command"] == "again"
    assert after["finished"]
    (aside,) = after["cells"][1]["aside"]
    assert (aside["status"], aside["why"]) == ("failed", "interrupted")
    assert (folder / "cells" / aside["folder"] / "deliveries.parquet").exists()


def test_a_run_that_lacks_nothing_is_left_as_it_is(interrupted, capsys):
    runner.go_on(interrupted, programs=fakes.programs(), progress=silent())
    before = content_of(interrupted)
    assert runner.go_on(interrupted, programs=fakes.programs(), progress=silent())[1]
    assert content_of(interrupted) == before
    assert "nothing is left to measure" in capsys.readouterr().err


def half_written(folder, rows):
    spool = folder / "spool"
    with Spools(spool) as spools:
        for seq in range(1, rows + 1):
            spools.deliver((0, 0, 0, seq, 1, 2, 3, 100))
    with (spool / "0.deliveries").open("ab") as file:
        file.write(b"a short last row")


def test_what_a_killed_run_left_is_kept_with_its_rows(tmp_path):
    cell = cells(fakes.read(tmp_path))[0]
    record, folder = blank(cell), tmp_path / "cells" / cell.id
    for attempt in (1, 2):
        half_written(folder, attempt)
        resume.set_aside(record, folder)
        assert not folder.exists()
        kept = record["aside"][attempt - 1]
        assert (kept["folder"], kept["why"]) == (f"{cell.id}.aside-{attempt}", resume.KILLED)
        rows = pq.read_table(tmp_path / "cells" / kept["folder"] / "deliveries.parquet")
        assert rows.column("seq").to_pylist() == list(range(1, attempt + 1))
    assert record["status"] == "pending"


def test_what_a_run_killed_twice_left_is_named_too(tmp_path):
    cell = cells(fakes.read(tmp_path))[0]
    folder = tmp_path / "cells" / cell.id
    for _ in range(2):
        half_written(folder, 1)
        resume.set_aside(record := blank(cell), folder)  # run.json was not saved in between
    assert [one["folder"] for one in record["aside"]] == [f"{cell.id}.aside-1", f"{cell.id}.aside-2"]


def test_a_record_becomes_the_cell_it_was_made_from(tmp_path):
    for cell in cells(fakes.read(tmp_path)):
        assert resume.cell_of(json.loads(json.dumps(blank(cell)))) == cell


def test_collecting_can_be_killed_anywhere_and_done_again(tmp_path, monkeypatch):
    folder = tmp_path / "cell"
    half_written(folder, 3)
    real = cell_module.shutil.rmtree

    def killed(path):
        next(path.iterdir()).unlink()
        raise KeyboardInterrupt

    monkeypatch.setattr(cell_module.shutil, "rmtree", killed)
    with pytest.raises(KeyboardInterrupt):
        collect({}, folder)
    monkeypatch.setattr(cell_module.shutil, "rmtree", real)
    collect({}, folder)
    assert pq.read_table(folder / "deliveries.parquet").num_rows == 3
    assert sorted(path.name for path in folder.iterdir()) == [
        "connections.parquet", "deliveries.parquet", "responses.parquet",
    ]  # fmt: skip


@pytest.fixture
def begun(tmp_path):
    one = fakes.read(tmp_path)
    content = run_file.document("tiny", [one], cells(one), "run tiny", NOW)
    run_file.save(tmp_path, content)
    return tmp_path, content


def test_another_moment_is_no_difference(begun):
    folder, content = begun
    content["machine"]["load_average"] = [99, 99, 99]
    run_file.save(folder, content)
    differs = resume.reopen(folder, "again", NOW)["resumed"][0]["differs"]
    assert [one for one in differs if not one.startswith("git was")] == []


def test_what_may_matter_is_noted(begun):
    folder, content = begun
    content["machine"]["kernel"] = "1.0"
    content["versions"]["locust"] = "0.1"
    content["git"] = {"revision": None, "dirty": None}
    run_file.save(folder, content)
    noted = resume.reopen(folder, "again", NOW)["resumed"][0]
    assert noted["at"] == "2026-11-22T10:15:30Z"
    assert noted["differs"][0].startswith("machine.kernel was 1.0, is ")
    assert noted["differs"][1].startswith("versions.locust was 0.1, is ")
    assert noted["differs"][2].startswith("git was unknown, is ")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": 2}, r"run\.json has format 2, expected 1"),
        ({"machine": {"cpu": "an abacus"}}, r"begun on another machine: cpu was an abacus, is .*: measure it afresh"),
        ({"cells": [{"transport": "pigeon"}]}, r"pigeon: no such transport here"),
    ],
)
def test_another_place_is_refused(begun, change, message):
    folder, content = begun
    if "machine" in change:
        change = {"machine": content["machine"] | change["machine"]}
    run_file.save(folder, content | change)
    with pytest.raises(InputError, match=message):
        resume.reopen(folder, "again", NOW)


def test_other_code_is_refused(begun, monkeypatch):
    folder, content = begun
    here = copy.deepcopy(content) | {"git": {"revision": "b" * 40, "dirty": False}}
    monkeypatch.setattr(resume.machine, "describe", lambda: here)
    run_file.save(folder, content | {"git": {"revision": "a" * 40, "dirty": False}})
    monkeypatch.setattr(resume.machine, "code_differs", lambda before, after: (before[0], after[0]) == ("a", "b"))
    with pytest.raises(InputError, match=r"not what they were: git revision was aaaaaaaaaa, is bbbbbbbbbb"):
        resume.reopen(folder, "again", NOW)
    monkeypatch.setattr(resume.machine, "code_differs", lambda *_: False)
    assert resume.reopen(folder, "again", NOW)["resumed"][0]["differs"] == ["git was aaaaaaaaaa, is bbbbbbbbbb"]


def test_code_differs_only_when_git_says_so():
    assert not machine.code_differs("HEAD", "HEAD")
    assert not machine.code_differs("no-such-revision", "HEAD")


def test_code_that_cannot_be_compared_counts_as_the_same(monkeypatch):
    def none(*_, **__):
        raise FileNotFoundError("git")

    monkeypatch.setattr(machine.subprocess, "run", none)
    assert not machine.code_differs("HEAD~1", "HEAD")


@pytest.mark.parametrize("text", [None, "half a docu", "[]"])
def test_a_folder_that_is_no_run_is_refused(tmp_path, text):
    if text is not None:
        (tmp_path / "run.json").write_text(text)
    with pytest.raises(InputError, match=r"--resume .*expected"):
        runner.go_on(tmp_path)
    with pytest.raises(InputError, match=r"--resume .*none: no such folder, expected that of a run"):
        runner.go_on(tmp_path / "none")


def test_two_runners_never_work_on_one_run(interrupted):
    code = (
        "import sys\nfrom pathlib import Path\nfrom loadtests import run_file\n"
        "with run_file.lock(Path(sys.argv[1])):\n    print('held', flush=True)\n    sys.stdin.read()"
    )
    other = [sys.executable, "-c", code, str(interrupted)]
    with subprocess.Popen(other, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(InputError, match=r"another runner is at work on this run"):
            runner.go_on(interrupted, programs=fakes.programs(), progress=silent())
        holder.kill()
    assert runner.go_on(interrupted, programs=fakes.programs(), progress=silent())[1], "a lock dies with its holder"
