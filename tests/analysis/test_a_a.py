"""The A/A script counts what it says it counts; the runs themselves are stood in for."""

import importlib.util
import sys
from pathlib import Path

import pandas as pd
import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "a_a.py"


@pytest.fixture
def script(monkeypatch, tmp_path):
    spec = importlib.util.spec_from_file_location("a_a", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "measured", lambda _experiment, _out: tmp_path)
    monkeypatch.setattr(sys, "argv", ["a_a.py", "--pairs", "2"])
    return module


def table(*verdicts, judged=True):
    return pd.DataFrame(
        {"cell": "c", "metric": "m", "a": 1.0, "b": 2.0, "verdict": verdicts, "p": 0.5 if judged else float("nan")}
    )


@pytest.mark.parametrize(
    ("found", "ends"),
    [
        (table(*["same"] * 19, "worse"), (0, "false alarms in 5.00% of the figures judged")),
        (table(*["same"] * 18, "worse", "better"), (1, "false alarms in 10.00% of the figures judged")),
        (table("cannot tell", judged=False), (1, "no repeat was valid: nothing is shown")),
    ],
)
def test_false_alarms_are_counted_over_all_pairs(script, monkeypatch, capsys, found, ends):
    monkeypatch.setattr(script, "compared", lambda _a, _b: found)
    assert script.main() == ends[0]
    assert ends[1] in capsys.readouterr().out


def test_its_experiment_can_be_read():
    from loadtests.experiment import read

    one = read(SCRIPT.with_suffix(".toml"))
    assert one.repeats >= 3
