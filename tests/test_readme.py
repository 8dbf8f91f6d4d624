"""What the README promises: its commands exist, its files are there, and bad ground is said in one clear line."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
BLOCKS = "\n".join(re.findall(r"^```\n(.*?)^```", README, re.DOTALL | re.MULTILINE))
TARGETS = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
MAKE = pytest.mark.skipif(shutil.which("make") is None, reason="needs make")


def make(folder, *arguments):
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, folder)
    return subprocess.run(["make", *arguments], cwd=folder, capture_output=True, text=True, timeout=30, check=False)


def test_the_first_thirty_lines_show_a_chart_and_two_commands():
    head = README.splitlines()[:30]
    assert any(line.startswith("![") for line in head)
    assert sum(line.startswith("make ") for line in head) == 2


def test_every_make_command_has_its_target():
    named = set(re.findall(r"\bmake ([a-z]+)", README))
    assert named
    assert named <= TARGETS


@pytest.mark.parametrize("program", ["servers", "loadtests", "analysis"])
def test_every_program_says_what_it_does_and_ends_in_two_examples(program):
    done = subprocess.run(
        [sys.executable, "-m", program, "--help"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.rpartition("examples:")[2].count(f"python -m {program} ") == 2


def test_every_python_command_is_one_the_program_knows():
    commands = re.findall(r"python -m (loadtests|analysis) ([a-z]+)", BLOCKS)
    assert commands
    for program, verb in commands:
        subprocess.run([sys.executable, "-m", program, verb, "--help"], cwd=ROOT, capture_output=True, check=True)


def test_every_link_leads_somewhere():
    links = re.findall(r"\]\(([^)#:]+)\)", README)
    assert len(links) > 3
    assert [link for link in links if not (ROOT / link).exists()] == []


@MAKE
def test_an_older_or_missing_python_is_said_in_one_line(tmp_path):
    done = make(tmp_path, "bench", "PYTHON=no-such-python")
    assert done.returncode == 2
    assert "no-such-python is missing or older than 3.11" in done.stderr.splitlines()[0]


@MAKE
def test_a_missing_venv_module_is_said_in_one_line(tmp_path):
    python = tmp_path / "python"
    python.write_text('#!/bin/sh\ncase "$2" in *ensurepip*) exit 1;; esac\n')
    python.chmod(0o755)
    done = make(tmp_path, "bench", f"PYTHON={python}")
    assert done.returncode == 2
    assert "apt install python3-venv" in done.stderr.splitlines()[0]
    assert not (tmp_path / ".venv").exists()
