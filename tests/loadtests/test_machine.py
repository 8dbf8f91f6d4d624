"""The machine's description: present, plain JSON, and without names of people or hosts."""

from __future__ import annotations

import getpass
import json
import platform
import subprocess

import pytest

from loadtests import machine

CPUINFO = (
    "processor\t: 0\nvendor_id\t: AuthenticAMD\nmodel name\t: AMD EPYC 7B13\n\nprocessor\t: 1\nmodel name\t: other\n"
)


def test_the_processor_is_found_in_cpuinfo():
    assert machine.cpu_model(CPUINFO) == "AMD EPYC 7B13"
    assert machine.cpu_model("Hardware\t: BCM2711\n") == "BCM2711"
    assert machine.cpu_model("processor : 0\n") == ""


@pytest.mark.parametrize(
    ("cpus", "server", "load"),
    [([0, 1], [0], [1]), ([2, 5, 6, 7], [2], [5, 6, 7]), ([3], [3], [3]), ([], [], [])],
)
def test_server_and_load_share_no_core_where_there_are_two(cpus, server, load):
    assert machine.divide(cpus) == (server, load)


def test_the_description_is_json_and_names_nobody():
    described = machine.describe()
    text = json.dumps(described)
    assert set(described) == {"machine", "versions", "git", "clock"}
    assert described["machine"]["cores_logical"] >= 1
    assert described["versions"]["python"] == platform.python_version()
    assert "locust" in described["versions"]
    assert described["clock"]["monotonic"] is True
    assert f'"{platform.node()}"' not in text
    assert f'"{getpass.getuser()}"' not in text


@pytest.fixture
def git(tmp_path):
    """A new repository in ``tmp_path``, and its git."""

    def git(*arguments):
        identity = ["-c", "user.name=x", "-c", "user.email=x@y", "-c", "commit.gpgsign=false"]
        subprocess.run(["git", "-C", str(tmp_path), *identity, *arguments], check=True, capture_output=True)

    git("init")
    return git


def test_the_revision_and_whether_the_tree_differs(tmp_path, git):
    (tmp_path / "file").write_text("a")
    git("add", "file")
    git("commit", "-m", "one")
    clean = machine.git(tmp_path)
    assert len(clean["revision"]) == 40
    assert clean["dirty"] is False
    (tmp_path / "file").write_text("b")
    assert machine.git(tmp_path) == {"revision": clean["revision"], "dirty": True}


def test_no_repository_is_no_revision(tmp_path, monkeypatch):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert machine.git(tmp_path) == {"revision": None, "dirty": None}


def test_of_two_revisions_only_what_measures_counts(tmp_path, git, monkeypatch):
    monkeypatch.setattr(machine, "_REPOSITORY", tmp_path)
    revisions = []
    for path in ("servers/sse.py", "README.md", "loadtests/cell.py"):
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text("changed")
        git("add", ".")
        git("commit", "-m", path)
        revisions.append(machine.git(tmp_path)["revision"])
    first, documented, measures = revisions
    assert not machine.code_differs(first, documented)
    assert machine.code_differs(documented, measures)
    assert not machine.code_differs(first, 40 * "0"), "not known"


def test_without_git_nothing_is_known_and_nothing_fails(tmp_path, git, monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert machine.git(tmp_path) == {"revision": None, "dirty": None}
    assert not machine.code_differs("a", "b")


def test_what_the_system_does_not_say_is_left_out(tmp_path, monkeypatch):
    monkeypatch.setattr(machine, "_CPUINFO", tmp_path / "none")
    monkeypatch.setattr(machine, "_GOVERNOR", tmp_path / "none")
    monkeypatch.setattr(machine.platform, "processor", lambda: "")
    monkeypatch.setattr(machine.psutil, "cpu_count", lambda logical: None)
    found = machine.machine()
    assert found["cpu"] == platform.machine()
    assert not {"governor", "cores_physical"} & found.keys()


def test_a_library_that_is_not_there_has_no_version(monkeypatch):
    monkeypatch.setattr(machine, "_LIBRARIES", ("numpy", "no-such-library"))
    assert set(machine.versions()) == {"python", "implementation", "numpy"}
