"""Everything else that differs between two runs is named, in a sentence."""

import math

import pytest

from analysis.differences import drift, notes
from tests.analysis.pairs import grid, run_of

SSE = grid(subscribers=(10,), transports=("sse",))


def told(tmp_path, cells=SSE, **b):
    return list(notes(run_of(tmp_path / "a", SSE), run_of(tmp_path / "b", cells, **b)))


def floor(us):
    return {"sse": {"cpu_us_per_delivery": us}, "polling": {"cpu_us_per_delivery": None}}


def test_two_runs_alike_have_no_notes(tmp_path):
    assert told(tmp_path) == []


@pytest.mark.parametrize(
    ("b", "says"),
    [
        ({"machine": {"cpu": "Other"}}, "different machine: cpu None -> Other"),
        ({"versions": {"aiohttp": "4.0"}}, "different versions: aiohttp None -> 4.0"),
        ({"git": {"revision": "fedcba9876543210", "dirty": False}}, "different revisions: 0123456789 -> fedcba9876"),
        ({"git": {"revision": "0123456789abcdef", "dirty": True}}, "B had changes that were not committed"),
        ({"seed": 9}, "different seeds (1, 9): other events, so nothing is paired"),
        ({"started": "2026-11-22T16:15:00Z"}, "the runs are 6 hours apart: what a machine drifts in that time is in"),
        ({"started": "2026-11-29T10:15:00Z"}, "the runs are 7 days apart"),
        ({"floor": {}}, "no floor in both runs: a slower machine cannot be told from a slower server"),
        ({"floor": floor(3.6)}, "the instrument itself was 20% slower in B (floor): durations must differ by so much"),
        ({"floor": floor(2.4)}, "the instrument itself was 20% faster in B"),
    ],
)
def test_what_differs_is_named(tmp_path, b, says):
    (note,) = told(tmp_path, **b)
    assert note.startswith(says)


def test_odd_metadata_is_no_reason_to_stop(tmp_path):
    assert told(tmp_path, started=None, machine=7, versions=None) == []


def test_cells_and_settings_that_differ_are_named(tmp_path):
    ((experiment, name, transport, settings),) = SSE
    more = [(experiment, name, transport, settings | {"load.subscribers": 20})]
    more += grid(subscribers=range(1, 7), transports=("polling",))
    found = told(tmp_path, more)
    assert found == [
        f"only in B: {', '.join(f'fan_out: polling/load.subscribers={n}' for n in (1, 2, 3, 4))} and 2 more",
        "different settings: load.subscribers 10 -> 20 (fan_out: sse/load.subscribers=10)",
    ]


def test_drift_is_the_median_over_transports(tmp_path):
    a = run_of(tmp_path / "a", SSE, floor={str(i): {"cpu_us_per_delivery": 2.0} for i in range(3)})
    b = run_of(tmp_path / "b", SSE, floor={str(i): {"cpu_us_per_delivery": us} for i, us in enumerate((2, 3, 90))})
    assert drift(a, b) == pytest.approx(math.log(1.5))
    assert drift(b, a) == pytest.approx(-math.log(1.5))
    assert drift(a, run_of(tmp_path / "c", SSE, floor={})) == 0.0
