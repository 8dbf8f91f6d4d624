"""Is a right recommendation called right, and a wrong one wrong: too long, too short, not safe, not measured."""

import math
from dataclasses import replace

import pytest

from analysis import proof, proof_page
from analysis.load import BadRunError, open_run
from analysis.proof import Expected, Point, Question
from analysis.prose import Estimate
from analysis.results import evaluate
from tests.analysis.tuned_run import HELD, HOLD_S, POLLED, RIGHT_S, tuned_run


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    return evaluate(open_run(tuned_run(tmp_path_factory.mktemp("tuned") / "run")))


def told(results, polled=None, held=None):
    """The run's claims as if its tables said something else."""
    experiments = {name: dict(about) for name, about in results.run.experiments.items()}
    experiments["poll_interval"]["tuned"] = POLLED | (polled or {})
    experiments["hold_timeout"]["tuned"] = HELD | (held or {})
    run = replace(results.run, meta={**results.run.meta, "experiments": experiments})
    return proof.claims(replace(results, run=run))


def test_right_settings_hold_and_every_figure_is_in_the_askers_time(results):
    interval, hold = proof.claims(results)
    assert (interval.verdict, hold.verdict) == ("holds", "holds")
    point = interval.point
    assert point.setting_s == pytest.approx(RIGHT_S, rel=1e-5)
    assert interval.expected == Expected(pytest.approx(2.0), pytest.approx(math.exp(-0.5 * RIGHT_S)), 1 / RIGHT_S)
    assert point.p95_s.value == pytest.approx(2.0, rel=0.02)
    assert point.p95_s.low < point.p95_s.value < point.p95_s.high
    assert point.empty_ratio.value == pytest.approx(interval.expected.empty_ratio, abs=0.02)
    assert point.requests_hz == pytest.approx(1 / RIGHT_S, rel=0.01)
    assert hold.point.requests_hz == pytest.approx(hold.expected.requests_hz, rel=0.03)
    assert hold.expected.requests_hz == pytest.approx(0.02 / (1 - math.exp(-0.6)))


def test_loopbacks_transit_makes_room_for_the_askers(results):
    """0.1 ms of floor are 0.4 ms of the asker's, whose own transit is put on instead."""
    without, _ = proof.claims(results)
    within, _ = told(results, {"transit_s": 0.03})
    assert within.point.p95_s.low == pytest.approx(without.point.p95_s.low + 0.03)
    measured_ms = float(results.cells.loc[results.cells["cell"] == without.point.cell, "delivery_ms_p95"].iloc[0])
    assert without.point.p95_s.value == pytest.approx(4 * (measured_ms - 0.1) / 1e3)


def test_intervals_are_95_per_cent_for_all_claims_together(results):
    claim, _ = proof.claims(results)
    row = results.cells[results.cells["cell"] == claim.point.cell].iloc[0]
    alone_s = 4 * (row["delivery_ms_p95"] - row["delivery_ms_p95_low"]) / 1e3
    assert claim.point.p95_s.value - claim.point.p95_s.low == pytest.approx(alone_s * 2.2414 / 1.95996, rel=1e-3)


def test_an_interval_that_is_ten_per_cent_too_long_misses_the_goal(results):
    claim, _ = told(results, {"interval_s": 1.1 * RIGHT_S})
    assert claim.verdict.startswith("misses the goal: p95 +")
    assert not claim.holds


def test_an_interval_that_is_ten_per_cent_too_short_is_dear(results):
    claim, _ = told(results, {"interval_s": 0.9 * RIGHT_S})
    assert claim.verdict.startswith("dear: requests +1")
    assert claim.best.setting_s == pytest.approx(RIGHT_S, rel=0.06)
    assert claim.requests_over == pytest.approx(1 / 0.9 - 1, abs=0.06)
    assert not claim.holds


def test_a_hold_shorter_than_is_safe_is_dear_and_a_longer_one_is_refused(results):
    _, claim = told(results, held={"hold_s": 0.8 * HOLD_S})
    assert claim.verdict.startswith("dear: requests +1")
    assert claim.best.setting_s == pytest.approx(HOLD_S)
    _, claim = told(results, held={"hold_s": 1.25 * HOLD_S})
    assert claim.verdict == "longer than the 30 s that are safe"


def test_what_a_longer_hold_would_save_is_said(results):
    _, claim = proof.claims(results)
    assert claim.longer_saves == pytest.approx(1 - (1 - math.exp(-0.6)) / (1 - math.exp(-0.75)), abs=0.03)
    assert not claim.points[-1].safe
    (row,) = proof_page.table([claim]).rows
    assert row[-2].small == "37.5 s, not safe".replace(" ", "\N{NO-BREAK SPACE}")


def test_a_setting_that_was_not_run_is_not_measured(results):
    claim, _ = told(results, {"interval_s": 1.02 * RIGHT_S})
    assert claim.verdict == "not measured"
    assert not claim.holds


def point(share, p95=2.0, *, half=0.01, status="ok", requests=None, hourly=math.nan, safe=True):
    requests = 1 / share if requests is None else requests
    estimate = Estimate(p95, p95 - half, p95 + half)
    return Point(f"c{share}", share, share, safe, status, estimate, Estimate(0.5), requests, hourly)


def claim(*points, most_s=math.inf, recommended_s=1.0):
    question = Question(1.0, 2.0)
    knob = proof.KNOBS[0]
    return proof.Claim("x", "Polling", knob, question, recommended_s, most_s, Expected(2.0, 0.5, 1.0), points)


@pytest.mark.parametrize(
    ("points", "verdict"),
    [
        ([point(0.9, 1.8), point(1.0), point(1.1, 2.2)], "holds"),
        ([point(0.9, 1.8), point(1.0, half=0.07), point(1.1, 2.2)], "too noisy"),
        ([point(0.9, 1.8), point(1.0, half=math.nan), point(1.1, 2.2)], "too noisy"),
        ([point(0.9, 1.8), point(1.0, 2.03, half=0.04), point(1.1, 2.2)], "holds"),  # within its interval
        ([point(0.9, 1.8), point(1.0, 2.03), point(1.1, 2.2)], "misses the goal: p95 +1.5 %"),
        ([point(0.9, 1.8), point(1.0, math.nan), point(1.1, 2.2)], "not measured"),
        ([point(0.9, 1.8), point(1.0, requests=0.0), point(1.1, 2.2)], "not measured"),
        ([point(0.9, 1.8), point(1.0, status="invalid: late; very"), point(1.1, 2.2)], "invalid: late"),
        ([], "not measured"),
        ([point(1.0)], "meets the goal; no grid beside it"),
        ([point(0.9, 1.8), point(1.0), point(1.1, 2.2, status="invalid: late")], "no longer setting was measured"),
        ([point(1.0), point(1.1, 2.2)], "no shorter setting was measured"),
        ([point(0.9, 1.8), point(1.0), point(1.04, 2.005)], "holds"),  # 4 % may be saved
        ([point(0.9, 1.8), point(1.0), point(1.1, 2.005)], "dear: requests +10.0 % against 1.1 s"),
        ([point(0.9, 1.8), point(1.0), point(1.1, 2.005, safe=False), point(1.2, 3)], "holds"),
    ],
)
def test_verdicts(points, verdict):
    assert claim(*points).verdict == verdict


def test_the_price_is_read_off_a_line_through_the_grid():
    """Each cell's CPU is off by 6 %; 4 % fewer requests save 4 % of the price, not what the noise says."""
    shares, noise = (0.8, 0.9, 1.0, 1.04, 1.25), (1.06, 0.94, 1.06, 0.94, 1.06)
    points = [point(s, 2.0 * s - 0.08, hourly=n / s) for s, n in zip(shares, noise, strict=True)]
    found = claim(*points)
    assert found.best.share == 1.04
    assert found.price_over == pytest.approx(0.04, abs=0.02)
    assert found.line[2] == pytest.approx(0.07, abs=0.03)
    assert found.verdict == "holds"


def test_a_price_that_hardly_follows_requests_decides_by_itself():
    steep = [point(s, p, hourly=(1 / s) ** 3) for s, p in ((0.8, 1.6), (0.9, 1.8), (1.0, 2.0), (1.04, 2.0), (1.25, 3))]
    assert claim(*steep).verdict.startswith("dear: price +")


@pytest.mark.parametrize("table", [{"rate_hz": "x", "p95_s": 1}, {"rate_hz": 1.0}, {"rate_hz": 0, "p95_s": 1.0}])
def test_a_table_that_is_none_is_one_line(table):
    with pytest.raises(BadRunError, match=r"here: tuned = .* expected numbers: rate_hz, p95_s and scale above 0"):
        Question.of(table, "here")


def test_a_run_that_was_not_tuned_claims_nothing(tmp_path):
    assert proof.claims(evaluate(open_run(tuned_run(tmp_path / "run", {}, {}, shares=(1.0,), holds=())))) == ()
    assert proof_page.headline(()) == "No setting that the tuner recommends was run"


def test_as_text(results):
    text = list(proof_page.lines(told(results, {"interval_s": 0.9 * RIGHT_S})))
    assert len(text) == 3
    assert "0.5/s, p95 2 s" in text[1]
    assert "dear: requests" in text[1]
    assert text[2].endswith("holds")
    assert proof_page.headline(proof.claims(results)) == "2 of 2 recommended settings hold"
