"""The twelve workloads: what they span, that the tuner itself answers them, and how long it takes to prove it."""

import tomllib

import pytest

from analysis import __main__ as program
from analysis import tune_write, workloads
from analysis.workloads import WORKLOADS
from loadtests import experiment
from loadtests.grid import cells, estimate_s
from tests.analysis.made_up_costs import made_up


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("workloads")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(workloads.costs, "newest", lambda _results: made_up())
        assert program.main(["workloads", "--out", str(folder)]) == 0
    return folder


def test_they_span_the_rates_and_the_goals():
    assert len(WORKLOADS) == 12
    assert {one.rate_hz for one in WORKLOADS} >= {0.01, 20.0}
    assert {one.p95_s for one in WORKLOADS} >= {0.2, 30.0}
    assert len({one.name for one in WORKLOADS}) == 12


def test_each_is_an_experiment_with_a_grid_around_the_answer(written):
    for one in WORKLOADS:
        found = experiment.read(written / f"{one.name}.toml")
        answer = (one.p95_s - one.rtt_s / 2) / 0.95
        assert found.tuned["interval_s"] == pytest.approx(answer, rel=1e-5)
        assert (found.tuned["rate_hz"], found.tuned["p95_s"]) == (one.rate_hz, one.p95_s)
        live = [share * answer / float(found.tuned["scale"]) for share in tune_write.AROUND["polling.interval_s"]]
        assert found.values["polling.interval_s"] == pytest.approx(live, rel=1e-5)
        assert found.values["feed.rate_hz"] == (pytest.approx(one.rate_hz * float(found.tuned["scale"]), rel=1e-5),)


def test_loopback_itself_is_the_round_trip(written):
    for one in WORKLOADS:
        toml = tomllib.loads((written / f"{one.name}.toml").read_text())
        assert 0.4e-3 < toml["tuned"]["round_trip_s"] / toml["tuned"]["scale"] < 0.6e-3
        assert toml.get("long_polling", {}).get("gap_s", 0.0) == 0.0


def test_holds_are_tuned_where_they_can_run_out(written):
    held = [one for one in WORKLOADS if "long_polling" in experiment.read(written / f"{one.name}.toml").transports]
    assert [(one.rate_hz, one.p95_s) for one in held] == [
        (0.01, 10.0), (0.01, 30.0), (0.1, 3.0), (0.1, 30.0), (0.5, 1.0), (0.5, 10.0),
    ]  # fmt: skip
    found = experiment.read(written / f"{held[0].name}.toml")
    assert found.tuned["hold_s"] == found.tuned["hold_most_s"] == pytest.approx(16.0)  # 0.8 of the proxy's 20 s
    assert len(found.values["long_polling.hold_s"]) == 5


def test_every_cell_has_samples_enough_and_all_take_less_than_28_minutes(written):
    total_s = 0.0
    for one in WORKLOADS:
        for cell in cells(experiment.read(written / f"{one.name}.toml")):
            s = cell.settings
            assert s["feed.rate_hz"] * s["load.subscribers"] * s["load.measure_s"] > 2000
            total_s += estimate_s(cell)
    assert total_s < 28 * 60
