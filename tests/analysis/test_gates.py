import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.gates import Gate, gate, gates, mistakes
from analysis.load import read_run

ROW = {"experiment": "e", "cell": "c", "status": "ok", "delivery_ms_p99": 540.0, "empty_ratio": math.nan}
SETTINGS = {"polling.interval_s": 0.5, "load.subscribers": 10, "feed.topics": "per_subscriber", "tls": True}


def holds(condition, metric="delivery_ms_p99", **row):
    return gate(ROW | row, SETTINGS, metric, condition)


@pytest.mark.parametrize(
    ("condition", "bound"),
    [
        ("<= 1000 * polling.interval_s + 50", 550),
        ("< 541", 541),
        (">= 540", 540),
        ("== 540", 540),
        ("> -(1 - 2) * 3 / 2", 1.5),
        ("<= 54 * load.subscribers", 540),
    ],
)
def test_conditions_that_hold(condition, bound):
    found = holds(condition)
    assert found == Gate("e", "c", "delivery_ms_p99", condition, 540.0, bound, holds=True, why="")


def test_one_that_does_not_says_both_numbers():
    found = holds("<= 1000 * polling.interval_s")
    assert not found.holds
    assert found.why == "delivery_ms_p99 = 540, expected <= 1000 * polling.interval_s (= 500)"


@pytest.mark.parametrize(
    ("condition", "says"),
    [
        ("", "not one comparison"),
        ("50", "cannot be read"),
        ("+ 50", "not one comparison"),
        ("<= 1 <= 2", "not one comparison"),
        ("in (1, 2)", "compares otherwise"),
        ("<= __import__('os').getpid()", "not arithmetic"),
        ("<= 9 ** 9 ** 9", "not arithmetic"),
        ("<= [1][0]", "not arithmetic"),
        ("<= True", "not arithmetic"),
        ("<= 'a'", "not arithmetic"),
        ("<= 1 / 0", "has no value"),
        ("<= polling.interval", "polling.interval is no number"),
        ("<= feed.topics", "feed.topics is no number"),
        ("<= tls", "tls is no number"),
        ("<= " + "(" * 500 + "1" + ")" * 500, "cannot be read"),
        ("<= " + "-" * 5000 + "1", ""),
        ("<= polling.interval_s.real.f()", "not arithmetic"),
    ],
)
def test_what_is_no_condition_does_not_hold(condition, says):
    found = holds(condition)
    assert not found.holds
    assert says in found.why


def test_a_bound_within_the_interval_is_close():
    assert holds("<= 541", delivery_ms_p99_low=530.0, delivery_ms_p99_high=550.0).close
    assert not holds("<= 551", delivery_ms_p99_low=530.0, delivery_ms_p99_high=550.0).close
    assert not holds("<= 540", delivery_ms_p99_low=540.0, delivery_ms_p99_high=540.0).close  # a count: it is certain
    assert not holds("<= 541").close  # a single repeat has no interval


def test_what_was_not_measured_never_holds():
    assert holds("<= 1", "empty_ratio").why == "empty_ratio has no samples, or too few"
    assert holds("<= 1", "beauty").why == "there is no metric beauty"
    assert holds("<= 9999", status="invalid: 3 lost").why == "the cell is invalid: 3 lost"


@settings(deadline=None)
@given(st.text(max_size=40))
def test_garbage_gives_a_gate(condition):
    assert isinstance(holds(condition), Gate)


# Which cells a gate is about -------------------------------------------------------------------------------------


def planned(expect, tmp_path):
    """A run of two transports at two rates, one of them idle, yet to be measured."""
    cells = [
        {
            "id": f"{transport}-{rate}", "experiment": "e", "cell": f"{transport}/{rate}", "repeat": 1,
            "transport": transport, "status": "pending", "role": role,
            "settings": {"feed.rate_hz": rate} | ({"polling.interval_s": 0.5} if transport == "polling" else {}),
        }
        for transport, rate, role in (
            ("polling", 1.0, "measure"), ("polling", 0.0, "measure"), ("sse", 1.0, "measure"), ("sse", 2.0, "reference")
        )
    ]  # fmt: skip
    meta = {
        "format": 1, "transports": {"polling": {"pulls": True}, "sse": {"pulls": False}},
        "experiments": {"e": {"expect": expect}}, "cells": cells,
    }  # fmt: skip
    return read_run(json.dumps(meta), tmp_path / "run.json")


@pytest.mark.parametrize(
    ("name", "condition", "cells"),
    [
        ("delivery_ms_p99", "<= 5", ["polling/1.0", "sse/1.0"]),  # where events are published
        ("empty_ratio", "<= 5", ["polling/1.0", "polling/0.0"]),  # where there are answers
        ("connect_ms_p50", "<= 5", ["polling/1.0", "polling/0.0", "sse/1.0"]),
        ("sse.delivery_ms_p99", "<= 5", ["sse/1.0"]),
        ("delivery_ms_p99", "<= 1000 * polling.interval_s", ["polling/1.0"]),  # that have the setting
    ],
)
def test_a_gate_is_about_the_cells_it_can_apply_to(name, condition, cells, tmp_path):
    run = planned({name: condition}, tmp_path)
    rows = [{"experiment": "e", "cell": cell.cell, "status": "ok", name: 1.0} for cell in run.cells]
    assert sorted(one.cell for one in gates(run, rows)) == sorted(cells)
    assert list(mistakes(run)) == []


@pytest.mark.parametrize(
    ("name", "condition", "says"),
    [
        ("delivery_ms_p9", "<= 5", "there is no metric delivery_ms_p9; did you mean delivery_ms_p99?"),
        ("beauty", "<= 5", "there is no metric beauty; see METRICS"),
        ("carrier_pigeon.lost", "== 0", "no cell is of transport carrier_pigeon; there are polling, sse"),
        ("lost", "<= polling.interval", "polling.interval is no setting of any cell it is about"),
        ("sse.lost", "<= polling.interval_s", "polling.interval_s is no setting of any cell it is about"),
        ("sse.empty_ratio", "<= 0.5", "it is about no cell: empty_ratio applies to none that was planned"),
        ("lost", "0", '"0" cannot be read; expected a comparison such as "<= 50"'),
        ("lost", "<= 1 / feed.rate_hz", ""),
        ("connect_ms_p50", "<= 1 / feed.rate_hz", "1 / feed.rate_hz has no value: float division by zero"),
    ],
)
def test_a_mistaken_gate_is_told_before_the_run_and_fails_after_it(name, condition, says, tmp_path):
    run = planned({name: condition}, tmp_path)
    found = list(mistakes(run))
    assert found == ([f'e.toml: expect.{name} = "{condition}": {says}'] if says else [])
    rows = [{"experiment": "e", "cell": cell.cell, "status": "ok", name.rpartition(".")[2]: 0.1} for cell in run.cells]
    assert all(one.holds for one in gates(run, rows)) == (not says)


def test_a_gate_on_a_run_that_ended_before_its_cells_does_not_hold(tmp_path):
    run = planned({"lost": "== 0"}, tmp_path)
    rows = [{"experiment": "e", "cell": c.cell, "status": "skipped: the run ended before it"} for c in run.cells]
    assert [one.holds for one in gates(run, rows)] == [False, False]
