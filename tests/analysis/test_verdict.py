"""The one line and the XML say what the exit code says, whatever a run is called and however it ended."""

import dataclasses
import json
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis import verdict
from analysis.gates import Gate
from analysis.load import open_run
from analysis.results import evaluate
from tests.analysis import fake_run

NAN = float("nan")


def gate(name="delivery_ms_p99", condition="<= 5", why="", cell="sse", experiment="connection_cost"):
    return Gate(experiment, cell, name, condition, 12.3, 5.0, holds=not why, why=why)


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    folder = fake_run.make(
        tmp_path_factory.mktemp("run") / "run", ("connection_cost",), transports=("sse", "websocket"), scale=0.2
    )
    return evaluate(open_run(folder))


def changed(results, statuses=(), gates=(), experiments=None):
    cells = results.cells.assign(status=[*statuses, *results.cells["status"][len(statuses) :]])
    run = results.run
    if experiments:
        run = dataclasses.replace(run, meta={**run.meta, "experiments": {name: {} for name in experiments}})
    return dataclasses.replace(results, run=run, cells=cells, gates=tuple(gates))


def empty(results):
    return dataclasses.replace(
        results,
        run=dataclasses.replace(results.run, meta={**results.run.meta, "experiments": {}}, cells=()),
        cells=results.cells.iloc[:0],
        summary=results.summary.iloc[:0],
    )


def suites(results):
    return ET.fromstring(verdict.junit(results))


def test_all_well(results):
    good = changed(results, gates=[gate()])
    assert good.ok
    assert verdict.line(good) == "verdict: PASS: 2 of 2 cells ok; 1 of 1 gates hold"
    root = suites(good)
    assert root.tag == "testsuites"
    (suite,) = root
    assert suite.attrib == {
        "name": "connection_cost", "tests": "3", "failures": "0", "errors": "0", "skipped": "0",
        "time": suite.get("time"), "timestamp": "2026-11-22T10:15:00",
    }  # fmt: skip
    assert [(case.get("classname"), case.get("name"), len(case)) for case in suite] == [
        ("pushbench.connection_cost", "sse", 0),
        ("pushbench.connection_cost", "websocket", 0),
        ("pushbench.connection_cost", "sse: delivery_ms_p99 <= 5", 0),
    ]
    # Warm-up 2 s, window 4 s, drained 6 s later; two repeats.
    assert float(suite[0].get("time")) == pytest.approx(24.0)
    assert float(suite.get("time")) == pytest.approx(48.0)


def test_every_kind_of_failure_is_said_and_counted(results):
    said = "delivery_ms_p99 = 12.3, expected <= 5 (= 5)"
    bad = changed(
        results,
        ["invalid: 3 lost", "failed: the server died"],
        [gate(why=said), gate("lost", "== 0"), gate("age_s_mean", why="it is about no cell", cell="")],
        ["connection_cost", "fan_out"],
    )
    assert not bad.ok
    assert verdict.line(bad) == (
        "verdict: FAIL: 1 of 2 cells invalid, 1 of 2 cells failed; "
        f"2 of 3 gates do not hold (sse: {said}, and 1 more); nothing measured in fan_out"
    )
    held, other = suites(bad)
    children = [(case.get("name"), child.tag, child.get("message")) for case in held for child in case]
    assert children == [
        ("sse", "failure", "invalid: 3 lost"),
        ("websocket", "error", "failed: the server died"),
        ("sse: delivery_ms_p99 <= 5", "failure", said),
        ("no cell: age_s_mean <= 5", "failure", "it is about no cell"),
    ]
    assert (held.get("tests"), held.get("failures"), held.get("errors")) == ("5", "3", "1")
    assert [child.get("message") for case in other for child in case] == ["nothing measured"]
    assert {name: suites(bad).get(name) for name in ("tests", "failures", "errors", "skipped")} == {
        "tests": "6", "failures": "4", "errors": "1", "skipped": "0",
    }  # fmt: skip


def test_skipped_cells_are_skipped_and_do_not_pass(results):
    skipped = changed(results, ["skipped: interrupted"])
    assert verdict.line(skipped).startswith("verdict: FAIL: 1 of 2 cells skipped")
    assert suites(skipped).get("skipped") == "1"
    assert suites(skipped)[0][0][0].tag == "skipped"


def test_a_run_without_cells_fails(results):
    nothing = empty(results)
    assert not nothing.ok
    assert verdict.line(nothing) == "verdict: FAIL: nothing measured: the run has no cells"
    assert suites(nothing).get("failures") == "1"


def test_a_reason_of_several_lines_is_one_line(results):
    line = verdict.line(changed(results, gates=[gate(why="a\nb\r\n\tc")]))
    assert line.splitlines() == [line]


@settings(deadline=None)
@given(st.text(), st.text())
def test_whatever_names_and_reasons_contain_the_xml_is_well_formed(results, name, why):
    odd = changed(results, [f"invalid: {why}"], [gate(name, why, why or "x")], ["connection_cost", name])
    root = suites(odd)
    assert root[0][0][0].get("message") is not None
    assert verdict.junit(odd).decode("utf-8")


def test_two_readers_agree_that_it_is_xml(results, tmp_path):
    path = tmp_path / "junit.xml"
    verdict.write_junit(changed(results, ["invalid: \x00\x1b]]>&<"], [gate(why="\ud800")]), path)
    assert [one.name for one in tmp_path.iterdir()] == ["junit.xml"]
    import xml.sax

    xml.sax.parse(str(path), xml.sax.ContentHandler())
    assert ET.parse(path).getroot()[0][0][0].get("message") == "invalid: \ufffd\ufffd]]>&<"


def test_nothing_delivered_where_events_were_owed_fails(tmp_path):
    folder = fake_run.make(tmp_path / "run", ("fan_out",), transports=("sse",), repeats=1, scale=0.2)
    meta = json.loads((folder / "run.json").read_text())
    meta["cells"] = meta["cells"][:1]
    (folder / "run.json").write_text(json.dumps(meta))
    path = folder / "cells" / meta["cells"][0]["id"] / "deliveries.parquet"
    import pyarrow.parquet as pq

    pq.write_table(pq.read_table(path).slice(0, 0), path)
    results = evaluate(open_run(folder))
    assert verdict.line(results).startswith("verdict: FAIL: 1 of 1 cells invalid")
