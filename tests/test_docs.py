"""What the pages under docs/ promise: their commands, keys, columns and links exist."""

import re
from pathlib import Path

import pytest

from analysis.metrics import BY_NAME
from loadtests import experiment
from loadtests.__main__ import main

ROOT = Path(__file__).parents[1]
PAGES = sorted((ROOT / "docs").glob("*.md"))
TARGETS = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


@pytest.fixture(params=PAGES, ids=lambda page: page.stem)
def page(request):
    return request.param.read_text()


def test_there_is_a_page_on_limitations():
    assert ROOT / "docs" / "how-it-can-mislead-you.md" in PAGES


def test_points_are_numbered_without_a_gap(page):
    numbers = [int(number) for number in re.findall(r"^(\d+)\. ", page, re.MULTILINE)]
    assert numbers == list(range(1, len(numbers) + 1))


def test_make_commands_have_their_targets(page):
    assert set(re.findall(r"`make ([a-z]+)", page)) <= TARGETS


def test_settings_are_keys_that_exist(page):
    settings = re.findall(r"--set ([a-z_]+(?:\.[a-z_]+)?=[\w.]+)", page)
    assert settings
    experiment.read(experiment.find("fan_out"), assignments=settings)


def test_columns_are_metrics(page):
    named = set(re.findall(r"`((?:delivery|publish_delay|server|connect|segments)_[a-z0-9_]*)`", page))
    assert named - {"connect_ms"} <= BY_NAME.keys()


def test_verbs_exist(page, capsys):
    for verb in set(re.findall(r"python -m loadtests ([a-z]+)", page)):
        with pytest.raises(SystemExit) as ended:
            main([verb, "--help"])
        assert ended.value.code == 0


def test_links_lead_somewhere(page):
    assert [link for link in re.findall(r"\]\(([^)#:]+)\)", page) if not (ROOT / "docs" / link).exists()] == []
