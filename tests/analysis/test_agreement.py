import dataclasses
import json
import shutil
import types

import numpy as np
import pytest

from analysis.agreement import agreement
from analysis.findings import COLUMNS, Finding
from analysis.load import open_run
from analysis.measured import measure
from analysis.replay import replay, speaks_of
from tests.analysis import fake_run
from tests.analysis.rows import cell

QUANTITIES = ("delivery_ms_mean", "delivery_ms_p95", "empty_ratio")


def table(run):
    groups = {
        key: [measure(one, pulls=True) for one in cells] for key, cells in run.groups().items() if speaks_of(cells[0])
    }
    return agreement(run, groups, replay(run, groups))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    where = tmp_path_factory.mktemp("run") / "run"
    return fake_run.make(where, ("poll_interval", "hold_timeout", "fan_out"), repeats=2, scale=0.5, seed=3)


@pytest.fixture(scope="module")
def found(folder):
    return table(open_run(folder))


def test_every_swept_cell_has_three_quantities_and_others_have_none(found):
    assert tuple(found.columns) == COLUMNS
    assert set(found["experiment"]) == {"poll_interval", "hold_timeout"}  # fan_out shares a topic
    assert not found["cell"].str.contains("reference").any()
    assert found.groupby(["experiment", "cell"])["quantity"].apply(tuple).map(lambda q: q == QUANTITIES).all()
    assert found["cell"].nunique() == 6 + 12


def test_what_was_simulated_by_the_rules_agrees_or_is_too_noisy_to_tell(found):
    assert (found["verdict"] != "differs").all()
    assert (found["verdict"] == "agrees").mean() > 0.5
    # errors are what they say: differences are a few of them at most
    assert found["z"].abs().max() < 6
    assert found["z"].std() == pytest.approx(1, abs=0.7)


def test_the_realised_schedule_explains_more_than_the_closed_form(found):
    held = found[(found["experiment"] == "hold_timeout") & found["cell"].str.contains("gap_s=0.5")]
    means = held[held["quantity"] == "delivery_ms_mean"]
    realised = (means["measured"] - means["theory"]).abs().mean()
    closed = (means["measured"] - means["closed_form"]).abs().mean()
    assert realised < closed / 2


def test_a_half_width_is_three_standard_errors(found):
    known = found[np.isfinite(found["z"])]
    assert (known["z"] * known["half_width"] / 3).to_numpy() == pytest.approx(
        (known["measured"] - known["theory"]).to_numpy()
    )


def tampered(folder, tmp_path, change):
    """The run with every delivery of its polling cells passed through ``change``."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    copy = tmp_path / "run"
    shutil.copytree(folder, copy, ignore=lambda _, names: [name for name in names if name.startswith("fan_out")])
    meta = json.loads((copy / "run.json").read_text())
    meta["cells"] = [one for one in meta["cells"] if one["experiment"] == "poll_interval"]
    (copy / "run.json").write_text(json.dumps(meta))
    for one in meta["cells"]:
        path = copy / "cells" / one["id"] / "deliveries.parquet"
        pq.write_table(pa.Table.from_pandas(change(pq.read_table(path).to_pandas())), path)
    return open_run(copy)


def test_a_latency_that_is_a_tenth_too_long_differs(folder, tmp_path):
    def later(rows):
        return rows.assign(received_ns=rows["received_ns"] + (rows["received_ns"] - rows["due_ns"]) // 10)

    found = table(tampered(folder, tmp_path, later))
    p95 = found[found["quantity"] == "delivery_ms_p95"]
    assert "agrees" not in set(p95["verdict"])
    assert "differs" in set(p95["verdict"])


@pytest.mark.parametrize(
    ("measured", "error", "verdict"),
    [
        (100.0, 0.5, "agrees"),
        (102.9, 0.99, "agrees"),
        (103.1, 0.99, "differs"),
        (100.0, 1.01, "too noisy"),
        (132.6, 9.9, "too noisy"),
        (132.8, 9.9, "differs"),
        (200.0, float("nan"), "too noisy"),
        (100.0, float("nan"), "too noisy"),
    ],
)
def test_verdicts_on_a_latency(measured, error, verdict):
    assert Finding("delivery_ms_mean", "ms", 100.0, 100.0, measured, error).verdict == verdict


def test_verdicts_on_a_ratio_are_absolute():
    assert Finding("empty_ratio", "", 0.5, 0.5, 0.509, 0.003).verdict == "agrees"
    assert Finding("empty_ratio", "", 0.5, 0.5, 0.511, 0.003).verdict == "differs"
    assert Finding("empty_ratio", "", 0.001, 0.001, 0.002, 0.004).verdict == "too noisy"


def test_without_reference_and_floor_only_what_needs_no_delta_is_said(folder):
    run = open_run(folder)
    blind = dataclasses.replace(
        run,
        meta=dict(run.meta) | {"floor": {}},
        cells=tuple(c for c in run.cells if c.experiment == "hold_timeout" and c.role == "measure"),
    )
    assert set(table(blind)["quantity"]) == {"empty_ratio"}


@pytest.mark.parametrize(
    "change",
    [
        {"feed.schedule": "trace"}, {"feed.topics": 1}, {"feed.rate_hz": 0.0}, {"polling.keep_alive": False},
        {"load.subscribers": 5},
    ],
)  # fmt: skip
def test_what_the_forms_do_not_speak_of(tmp_path, change):
    spoken = {"feed.topics": "per_subscriber", "load.subscribers": 20, "polling.interval_s": 1.0}
    assert speaks_of(cell(tmp_path, settings=spoken))
    assert not speaks_of(cell(tmp_path, settings=spoken | change))


def test_a_cell_without_deliveries_is_left_to_the_checks(tmp_path, folder):
    spoken = {"feed.topics": "per_subscriber", "load.subscribers": 20, "polling.interval_s": 1.0}
    empty = measure(cell(tmp_path, settings=spoken), pulls=True)
    assert len(agreement(open_run(folder), {("e", "c"): [empty]}, {})) == 0


def test_a_polled_echo_is_predicted_from_the_way_up_the_transit_and_half_an_interval(tmp_path):
    # 12 subscribers publish each second from 10 s on; 3 ms up, polled each 1,000 ms, 0 to 900 ms of waiting by phase.
    posts, echoes = [], []
    for i in range(12):
        for k in range(10):
            due = 10_000 + 1000 * k + 83 * i
            posts.append((i, k + 2, due, due + 1, due + 4, 202))
            echoes.append((i, i, k + 2, due + 3, due + 3, due + 3 + (83 * 7 * i + 91 * k) % 1000))
    settings = {
        "feed.publisher": "subscribers", "feed.topics": "per_subscriber", "load.subscribers": 12, "feed.rate_hz": 1.0,
        "polling.interval_s": 1.0, "polling.policy": "fixed_rate",
    }  # fmt: skip
    one = cell(tmp_path, echoes, publishes=posts, transport="polling", settings=settings)
    assert speaks_of(one)
    run = types.SimpleNamespace(floor={"polling": {"round_trip_ms_p50": 0.4}})
    found = agreement(run, {("e", "c"): [measure(one, pulls=True)]}, {}).set_index("quantity")
    assert set(found.index) == {"echo_ms_mean", "echo_ms_p95", "empty_ratio"}
    assert found.loc["echo_ms_mean", "theory"] == pytest.approx(3 + 0.2 + 500)
    assert found.loc["echo_ms_p95", "theory"] == pytest.approx(3 + 0.2 + 950)
    assert found.loc["echo_ms_mean", "measured"] == pytest.approx(
        np.mean([e[5] - p[2] for e, p in zip(echoes, posts, strict=False)])
    )


def test_adaptive_policies_are_held_against_the_simulator(folder, tmp_path):
    """A back-off that never lengthens its pause is a fixed rate: the simulator must find what fixed pollers did."""
    run = tampered(folder, tmp_path, lambda rows: rows)
    meta = json.loads((run.folder / "run.json").read_text())
    for one in meta["cells"]:
        pause = one["settings"]["polling.interval_s"]
        one["settings"] |= {"polling.policy": "backoff", "polling.factor": 1.0, "polling.longest_s": pause}
    (run.folder / "run.json").write_text(json.dumps(meta))
    found = table(open_run(run.folder))
    assert found.groupby("cell")["quantity"].apply(tuple).map(lambda q: q == QUANTITIES).all()
    assert (found["verdict"] != "differs").all()
    assert (found["verdict"] == "agrees").sum() >= 4
    assert found["z"].abs().max() < 5
    # and a back-off that does is not what was measured
    for one in meta["cells"]:
        one["settings"] |= {"polling.factor": 3.0, "polling.longest_s": 9 * one["settings"]["polling.interval_s"]}
    (run.folder / "run.json").write_text(json.dumps(meta))
    assert "differs" in set(table(open_run(run.folder))["verdict"])
