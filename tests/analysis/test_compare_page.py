"""What a comparison shows: lines, a CSV, a page that fetches nothing, a picture; and the command around it."""

import dataclasses
import json

import numpy as np
import pandas as pd
import pytest

from analysis import __main__ as command
from analysis.charts_compare import headline, times
from analysis.compare import BETTER, SAME, UNKNOWN, WORSE, Figure, compare
from analysis.compare_page import lines, reasons, write
from tests.analysis import fake_run
from tests.analysis.pairs import grid, sides
from tests.analysis.test_report import Page

CELL = "sse/load.subscribers=100"
SMALL = grid(subscribers=(100,), transports=("sse", "polling", "websocket", "stomp_tcp"))
SHIFT = {(CELL, "delivery_ms_p50"): 2.5, (CELL, "transit_ms_p50"): 2.2, (CELL, "bytes_up_per_event"): 0.5}


@pytest.fixture(scope="module")
def found():
    from pathlib import Path

    pair = sides(np.random.default_rng(40), Path("/made/up"), SMALL, repeats=6, shift=SHIFT, spread=0.3)
    return compare(*pair, notes=["a <script>note</script>"])


def test_only_what_is_real_is_printed_and_the_rest_is_counted(found):
    said = list(lines(found))
    assert said[0].startswith("A: a (2026-11-22T10:15:00Z, revision 0123456789)")
    assert said[2] == "mind: a <script>note</script>"
    real = [line for line in said if line.endswith(("  worse", "  better"))]
    assert len(real) == 3
    assert any("Sse, subscribers 100: delivery latency, p50" in line and "times" in line for line in real)
    assert said[-1].startswith("verdict: WORSE: 2 worse, 1 better, ")
    assert said[-1].endswith(f"of {len(found.figures)} figures in 4 cells")
    assert sum(count for _, count in reasons(found)) == len(found.of(UNKNOWN))


def test_the_page_fetches_nothing_and_escapes(found, tmp_path):
    path = write(found, tmp_path / "deep" / "er")
    page = Page(path.read_text())
    assert not page.open
    assert "script" not in page.tags
    assert "a <script>note</script>" in page.words
    assert page.tags.count("svg") == 1
    assert "http" not in path.read_text().replace("http-equiv", "")
    assert "2 figures are worse (most: delivery latency, p50, " in page.words
    assert sorted(one.name for one in path.parent.iterdir()) == [
        "compare.csv", "compare.html", "compare.png", "compare.svg"
    ]  # fmt: skip


def test_the_csv_has_every_figure(found, tmp_path):
    table = pd.read_csv(write(found, tmp_path).parent / "compare.csv")
    assert len(table) == len(found.figures)
    assert set(table["verdict"]) <= {WORSE, BETTER, SAME, UNKNOWN}
    row = table[(table["cell"] == CELL) & (table["metric"] == "delivery_ms_p50")].iloc[0]
    assert row["ratio_low"] < row["ratio"] < row["ratio_high"]
    assert row["b"] / row["a"] == pytest.approx(row["ratio"])
    assert row["difference"] == pytest.approx(row["b"] - row["a"])


@pytest.mark.parametrize("figures", ["none real", "all unknown", "none"])
def test_there_is_a_picture_whatever_was_found(found, tmp_path, figures):
    chosen = {
        "none real": found.of(SAME, UNKNOWN),
        "all unknown": found.of(UNKNOWN),
        "none": (),
    }[figures]
    other = dataclasses.replace(found, figures=chosen)
    assert write(other, tmp_path).exists()
    assert "figures are the same" in headline(other) or "Nothing can be told" in headline(other)


def test_facts_without_a_ratio_have_their_line(found):
    fact = Figure("fan_out", CELL, "sse", "status", verdict=WORSE, why="B failed: the server died")
    lost = Figure("fan_out", CELL, "sse", "lost", a=0.0, b=7.0, difference=7.0, verdict=WORSE)
    said = "\n".join(lines(dataclasses.replace(found, figures=(fact, lost))))
    assert "status" in said
    assert "worse: B failed: the server died" in said
    assert headline(dataclasses.replace(found, figures=(fact,))) == "1 figure is worse"


def test_ratios_in_words():
    words = [times(Figure("", "", "", "", ratio=ratio)) for ratio in (1.25, 0.8, 3.14, 1.0)]
    assert words == ["+25.0 %", "\N{MINUS SIGN}20.0 %", "3.14 times", "+0 %"]


# The command ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    where = tmp_path_factory.mktemp("runs") / "one"
    return fake_run.make(where, ("poll_interval",), transports=("polling",), repeats=2, scale=0.2)


def copied(folder, where, change=None):
    """The same run in another folder, its run.json changed."""
    where.mkdir()
    (where / "cells").symlink_to(folder / "cells")
    meta = json.loads((folder / "run.json").read_text())
    if change:
        change(meta)
    (where / "run.json").write_text(json.dumps(meta))
    return where


def test_a_run_beside_its_copy_is_the_same(folder, tmp_path, capsys):
    other = copied(folder, tmp_path / "other")
    assert command.main(["compare", str(folder), str(other)]) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[-1].startswith("verdict: SAME: ")
    assert out[-2] == f"comparison: {other}/report/compare-one/compare.html"


def test_something_worse_is_exit_code_1(folder, tmp_path, capsys):
    other = copied(folder, tmp_path / "other", lambda meta: meta["cells"][0].update(status="failed", why="it died"))
    assert command.main(["compare", str(folder), str(other), "--out", str(tmp_path / "out")]) == 1
    assert capsys.readouterr().out.splitlines()[-1].startswith("verdict: WORSE: 1 worse, ")
    assert (tmp_path / "out" / "compare.csv").exists()
    assert command.main(["compare", str(other), str(folder), "--out", str(tmp_path / "out")]) == 0


def test_a_comparison_that_tells_nothing_does_not_pass(folder, tmp_path, capsys):
    def late(meta):
        for cell in meta["cells"]:
            cell["load"]["late_ms_p99"] = 5000.0

    other = copied(folder, tmp_path / "other", late)
    assert command.main(["compare", str(folder), str(other)]) == 1
    assert capsys.readouterr().out.splitlines()[-1].startswith("verdict: CANNOT TELL: ")


@pytest.mark.parametrize("bad", ["nowhere", "itself", "out"])
def test_bad_input_is_one_line_and_exit_code_2(folder, tmp_path, capsys, bad):
    other = copied(folder, tmp_path / "other")
    arguments = {
        "nowhere": [str(folder), str(tmp_path / "gone")],
        "itself": [str(folder), str(folder)],
        "out": [str(folder), str(other), "--out", "/dev/null/x"],
    }[bad]
    assert command.main(["compare", *arguments]) == 2
    assert capsys.readouterr().err.count("\n") == 1
