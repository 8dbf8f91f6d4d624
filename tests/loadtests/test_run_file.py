"""run.json and its folder: whole at any moment, named by the minute, found by ``latest``."""

from __future__ import annotations

import errno
import json
from datetime import UTC, datetime

import pytest

from loadtests import run_file
from loadtests.grid import cells
from loadtests.settings import InputError
from tests.loadtests import fakes

NOW = datetime(2026, 11, 22, 10, 15, 30, tzinfo=UTC)


def test_folders_are_named_by_the_minute_and_never_shared(tmp_path):
    first, second = (run_file.create(tmp_path / "out", "fan_out", NOW) for _ in range(2))
    assert (first.name, second.name) == ("20261122T1015Z-fan_out", "20261122T1015Z-fan_out-2")


def test_a_folder_that_cannot_be_made_is_bad_input(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"--out .*: .*; name a folder that can be written to"):
        run_file.create(tmp_path / "file", "x", NOW)


def test_every_cell_is_listed_as_pending_from_the_start(tmp_path):
    one = fakes.read(tmp_path, fakes.TOML + "[feed]\nrate_hz = [1, 2]\n[expect]\nlost = '== 0'\n")
    content = run_file.document("tiny", [one], cells(one), "python -m loadtests run tiny", NOW)
    assert [record["status"] for record in content["cells"]] == ["pending"] * 4
    assert content["started"] == "2026-11-22T10:15:30Z"
    assert content["finished"] is None
    assert content["experiments"]["tiny"]["axes"] == {"feed.rate_hz": [1.0, 2.0]}
    assert content["experiments"]["tiny"]["expect"] == {"lost": "== 0"}
    assert {"machine", "versions", "git", "clock", "seed", "command", "floor"} <= set(content)
    assert content["cells"][0]["settings"]["load.subscribers"] == 3


def test_what_a_tuner_recommends_is_in_the_document(tmp_path):
    text = fakes.TOML + "[tuned]\nrate_hz = 0.5\np95_s = 2\nhold_s = 30\n"
    one = fakes.read(tmp_path, text)
    content = run_file.document("tiny", [one], cells(one), "", NOW)
    assert content["experiments"]["tiny"]["tuned"]["hold_s"] == 30.0


def test_saving_replaces_the_whole(tmp_path):
    run_file.save(tmp_path, {"a": 1, "b": "x" * 1000})
    run_file.save(tmp_path, {"a": 2})
    assert json.loads((tmp_path / "run.json").read_text()) == {"a": 2}
    assert [path.name for path in tmp_path.iterdir()] == ["run.json"]


def test_latest_moves_to_the_newest_run(tmp_path):
    for name in ("one", "two"):
        folder = run_file.create(tmp_path, name, NOW)
        run_file.point_latest(folder)
    assert (tmp_path / "latest").readlink().name == "20261122T1015Z-two"
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "20261122T1015Z-one",
        "20261122T1015Z-two",
        "latest",
    ]


def test_the_experiments_are_kept_as_they_were_written(tmp_path):
    run_file.copy_sources(tmp_path, [fakes.read(tmp_path)])
    assert (tmp_path / "experiments" / "tiny.toml").read_text() == fakes.TOML


def test_a_full_disk_leaves_what_was_there(tmp_path, monkeypatch):
    run_file.save(tmp_path, {"a": 1})

    def full(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(run_file.os, "fsync", full)
    with pytest.raises(
        run_file.StorageError, match=r"run\.json: cannot be written: No space left .* make room, then run"
    ):
        run_file.save(tmp_path, {"a": 2})
    assert json.loads((tmp_path / "run.json").read_text()) == {"a": 1}


def test_a_folder_that_cannot_be_filled_is_one_line(tmp_path):
    (tmp_path / "experiments").write_text("in the way")
    with pytest.raises(run_file.StorageError, match=r"cannot be written to: File exists; nothing was measured"):
        run_file.copy_sources(tmp_path, [fakes.read(tmp_path)])


def test_a_thousand_runs_a_minute_are_too_many(tmp_path, monkeypatch):
    monkeypatch.setattr(run_file, "range", lambda *_: range(1), raising=False)
    (tmp_path / "20261122T1015Z-x-0").mkdir()
    with pytest.raises(InputError, match=r"exists a thousand times"):
        run_file.create(tmp_path, "x", NOW)


def test_where_nothing_can_be_locked_nothing_is(tmp_path, monkeypatch):
    monkeypatch.setattr(run_file, "fcntl", None)
    with run_file.lock(tmp_path), run_file.lock(tmp_path):
        pass


def test_a_folder_that_is_gone_cannot_be_locked(tmp_path):
    with (
        pytest.raises(InputError, match=r"No such file or directory, expected the folder of a run"),
        run_file.lock(tmp_path / "none"),
    ):
        pass


def test_a_floor_that_is_not_wanted_is_not_an_empty_one(tmp_path):
    one = fakes.read(tmp_path)
    assert run_file.document("tiny", [one], cells(one), "", NOW)["floor"] == {}
    assert run_file.document("tiny", [one], cells(one), "", NOW, with_floor=False)["floor"] is None
