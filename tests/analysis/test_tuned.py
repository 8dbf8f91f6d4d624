"""What ``tune --write`` writes, and a live run held against it."""

import json
import math
import tomllib
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from analysis import __main__ as program
from analysis import tune_write, tuned
from analysis.demand import PRICES
from analysis.load import BadRunError
from analysis.predict import Goals, Situation
from analysis.prose import Estimate
from analysis.traces import Trace
from analysis.tune_options import Asked
from analysis.tuner import answer
from loadtests import experiment
from tests.analysis.made_up_costs import made_up
from tests.analysis.tuned_run import RIGHT_S, tuned_run


def written(tmp_path, situation, goals, trace=None):
    path, beside = tune_write.write(answer(Asked(situation, goals, made_up(), PRICES, trace)), tmp_path / "tuned.toml")
    return path, tomllib.loads(path.read_text()), json.loads(beside.read_text())


def test_time_is_scaled_and_predictions_with_it(tmp_path):
    """Interval 1.97/0.95 s: scaled to 0.5 s; empty ratios stay, latencies shrink, a round trip becomes a gap."""
    path, toml, said = written(tmp_path, Situation(0.5, 20_000, 0.06), Goals({0.95: 2.0}))
    interval = 1.97 / 0.95
    scale = interval / 0.5
    assert said["scale"] == pytest.approx(scale)
    assert f"scaled by {scale:.6g}" in path.read_text()
    assert toml["polling"] == {"policy": "fixed_rate", "interval_s": pytest.approx(0.5)}
    assert toml["feed"]["rate_hz"] == pytest.approx(0.5 * scale, rel=1e-5)
    assert toml["long_polling"] == {
        "hold_s": pytest.approx(30 / scale, 1e-5),
        "gap_s": pytest.approx(0.06 / scale, 1e-4),
    }
    polling, held, sse = said["cells"]
    assert polling["p95_s"] == pytest.approx(0.95 * 0.5)
    assert polling["mean_s"] == pytest.approx(0.25)
    assert polling["empty_ratio"] == pytest.approx(math.exp(-0.5 * interval))
    assert polling["requests_hz"] == pytest.approx(2 * toml["load"]["subscribers"])
    gap, rate = 0.06 / scale, 0.5 * scale
    cycle = gap + math.exp(-rate * gap) / rate
    assert held["mean_s"] == pytest.approx(gap**2 / 2 / cycle)
    assert sse == {
        "transport": "sse",
        "settings": {},
        "mean_s": 0.0,
        "p95_s": 0.0,
        "empty_ratio": None,
        "requests_hz": None,
    }


def test_the_experiment_is_one(tmp_path):
    path, *_ = written(tmp_path, Situation(3.0), Goals({0.95: 0.4}, 0.5))
    found = experiment.read(path)
    assert found.transports == ("polling", "long_polling", "sse")
    assert found.on_axis("polling.interval_s") == (pytest.approx((0.4 - 0.03) / 0.95, rel=1e-5),)


def test_a_trace_is_played_where_it_is_busiest(tmp_path):
    rng = np.random.default_rng(1)
    times = np.sort(np.concatenate([rng.uniform(0, 3600, 300), rng.uniform(1000, 1100, 700)]))
    trace = Trace(times - times[0], np.zeros(1000, int), ("",), ())
    situation = Situation(trace.rate_hz, trace=trace.schedule(60.0))
    _, toml, said = written(tmp_path, situation, Goals({0.95: 2.0}), trace)
    due = np.loadtxt(tmp_path / "tuned.csv")
    assert toml["feed"]["trace"] == "tuned.csv"
    assert (np.diff(due) >= 0).all()
    assert due[0] >= 0
    window = toml["load"]["warmup_s"] + toml["load"]["measure_s"]
    assert window <= due[-1] + 1e-3
    assert len(due) > 500  # the busy stretch is in it
    fixed = said["cells"][0]
    assert fixed["p95_s"] == pytest.approx(0.95 * toml["polling"]["interval_s"], rel=0.01)
    if "also" in toml:
        assert toml["also"][0]["polling"]["policy"] in {"backoff", "learning"}


def test_what_cannot_be_written_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(BadRunError, match="cannot be written"):
        written(tmp_path / "file", Situation(1.0), Goals({0.95: 2.0}))


# Beside a run ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("unit", "predicted", "measured", "verdict"),
    [
        ("ms", 100.0, (104.9, 104.0, 106.0), "agrees"),
        ("ms", 100.0, (106.0, 105.5, 106.5), "differs"),
        ("ms", 100.0, (106.0, 99.0, 113.0), "too noisy"),
        ("ms", 0.1, (2.0, 1.9, 2.1), "agrees"),  # what loopback and Python take
        ("", 0.35, (0.366, 0.365, 0.367), "agrees"),
        ("", 0.35, (0.37, 0.365, 0.375), "differs"),
        ("1/s", 600.0, (500.0, math.nan, math.nan), "differs"),
        ("ms", 1.0, (math.nan, math.nan, math.nan), "not measured"),
    ],
)
def test_verdicts(unit, predicted, measured, verdict):
    assert tuned.Row("cell", "q", unit, predicted, Estimate(*measured)).verdict == verdict


def a_run(tmp_path, status="ok", mean=250.0):
    settings = {"polling.interval_s": 0.5, "load.measure_s": 10.0}
    cell = SimpleNamespace(cell="polling", transport="polling", settings=settings)
    run = SimpleNamespace(experiments={}, cells=[cell], floor={"polling": {"transit_ms_p50": 0.5}}, folder=tmp_path)
    row = {"cell": "polling", "repeats": 2, "status": status, "empty_ratio": 0.35, "responses": 12_000.0}
    for name, value in (("mean", mean), ("p95", 475.0)):
        row |= {
            f"delivery_ms_{name}": value,
            f"delivery_ms_{name}_low": value - 1,
            f"delivery_ms_{name}_high": value + 1,
        }
    return SimpleNamespace(run=run, cells=pd.DataFrame([row]))


CELL = {
    "transport": "polling", "settings": {"polling.interval_s": 0.5}, "mean_s": 0.25, "p95_s": 0.475,
    "empty_ratio": 0.35, "requests_hz": 600.0,
}  # fmt: skip


def verdict(monkeypatch, tmp_path, capsys, results, cells=(CELL,)):
    (tmp_path / "tuned.json").write_text(json.dumps({"cells": list(cells)}))
    monkeypatch.setattr(tuned, "open_run", lambda _folder: None)
    monkeypatch.setattr(tuned, "evaluate", lambda _run: results)
    return program.main(["tuned", str(tmp_path), str(tmp_path / "tuned.json")]), capsys.readouterr()


def test_a_run_beside_its_predictions(monkeypatch, tmp_path, capsys):
    code, printed = verdict(monkeypatch, tmp_path, capsys, a_run(tmp_path))
    assert code == 0
    assert "4 of 4 predictions agree with the live run; 0 do not" in printed.out
    assert "250.5" in printed.out  # loopback's own transit on top
    code, printed = verdict(monkeypatch, tmp_path, capsys, a_run(tmp_path, mean=270.0))
    assert code == 1
    assert "differs" in printed.out
    code, printed = verdict(monkeypatch, tmp_path, capsys, a_run(tmp_path, status="invalid: late; and more"))
    assert code == 1
    assert "invalid: late\n" in printed.out


def test_a_run_of_something_else(monkeypatch, tmp_path, capsys):
    other = {**CELL, "settings": {"polling.interval_s": 0.7}}
    code, printed = verdict(monkeypatch, tmp_path, capsys, a_run(tmp_path), (other,))
    assert code == 2
    assert "expected a run of its tuned.toml" in printed.err


@pytest.mark.parametrize("text", ["", "{}", '{"cells": []}', '{"cells": [{"transport": "sse"}]}'])
def test_a_sidecar_that_is_none(text, tmp_path):
    (tmp_path / "tuned.json").write_text(text)
    with pytest.raises(BadRunError, match="expected the tuned"):
        tuned.read(tmp_path / "tuned.json")
    with pytest.raises(BadRunError, match="No such file"):
        tuned.read(tmp_path / "none.json")


# By what it says of itself ----------------------------------------------------------------------------------------


def test_a_run_says_of_itself_whether_its_settings_hold(tmp_path, capsys):
    folder = tuned_run(tmp_path / "run")
    assert program.main(["tuned", str(folder)]) == 0
    assert capsys.readouterr().out.endswith("2 of 2 recommended settings hold\n")
    text = (folder / "run.json").read_text()
    (folder / "run.json").write_text(text.replace(f'"interval_s": {RIGHT_S}', f'"interval_s": {0.9 * RIGHT_S}'))
    assert program.main(["tuned", str(folder)]) == 1
    printed = capsys.readouterr().out
    assert "dear: requests" in printed
    assert printed.endswith("1 of 2 recommended settings hold\n")


def test_a_run_in_which_nothing_was_tuned(tmp_path, capsys):
    folder = tuned_run(tmp_path / "run", {}, {}, shares=(1.0,), holds=())
    assert program.main(["tuned", str(folder)]) == 2
    assert "nothing in it was tuned; expected a run of what tune --write has written" in capsys.readouterr().err
