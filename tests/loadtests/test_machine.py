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


def test_the_revision_and_whether_the_tree_differs(tmp_path):
    def git(*arguments):
        identity = ["-c", "user.name=x", "-c", "user.email=x@y", "-c", "commit.gpgsign=false"]
        subprocess.run(["git", "-C", str(tmp_path), *identity, *arguments], check=True, capture_output=True)

    git("init")
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


def test_a_library_that_is_not_there_has_no_version(monkeypatch):
    monkeypatch.setattr(machine, "_LIBRARIES", ("numpy", "no-such-library"))
    assert set(machine.versions()) == {"python", "implementation", "numpy"}
