"""The tuner's page, its charts and the tables behind them, on costs one knows."""

import json
import math

import numpy as np
import pytest

from analysis import __main__ as program
from analysis import charts_choice, charts_tradeoff, pareto, style, traffic, tune, tune_charts, tune_page
from analysis.demand import PRICES
from analysis.load import BadRunError
from analysis.predict import Goals, Situation
from analysis.traces import Trace
from analysis.tune_options import Asked
from analysis.tuner import answer
from tests.analysis.made_up_costs import made_up, measured_once


def answered(situation, goals, trace=None, spread=0.0):
    return answer(Asked(situation, goals, made_up(spread=spread), PRICES, trace))


@pytest.fixture(scope="module")
def example():
    return answered(Situation(0.5, 20_000, 0.06, proxy_s=60), Goals({0.95: 2.0}, 0.3))


def test_the_page_says_it_all_and_fetches_nothing(example, tmp_path):
    page = tune_page.write(example, tmp_path)
    text = page.read_text()
    assert "Every 2.07 s" in text or "every 2.07 s" in text
    assert text.count("<figure") == 5
    assert "http://" not in text.replace("http://www.w3.org", "")
    assert "<script" not in text
    assert "What is assumed" in text
    for name in ("cost", "tradeoff", "interval", "hold", "sensitivity"):
        assert (tmp_path / "charts" / f"{name}.png").stat().st_size > 10_000
        assert (tmp_path / "charts" / f"{name}.svg").exists()
        assert (tmp_path / "tables" / f"{name}.csv").exists()
    assert len((tmp_path / "tables" / "choices.csv").read_text().splitlines()) == 4


def test_costs_that_were_measured_once_make_a_page_too(tmp_path):
    situation = Situation(0.5, 20_000, 0.06)
    found = answer(Asked(situation, Goals({0.95: 2.0}), measured_once(), PRICES, None))
    text = tune_page.write(found, tmp_path).read_text()
    assert "50% of CPU and memory, 5% of bytes, where a figure was measured once" in text
    assert text.count("<figure") == 5
    assert "nan" not in text.lower().replace("nanos", "")
    for one in found.found:
        assert one.demand.hourly.low < one.demand.hourly.value < one.demand.hourly.high


def test_the_front_holds_what_nothing_beats():
    late = np.array([1.0, 2.0, 3.0, 2.0, 0.5])
    cost = np.array([5.0, 3.0, 4.0, 6.0, 9.0])
    assert pareto.front(late, cost).tolist() == [True, True, False, False, True]


def test_candidates_are_on_the_frontier_of_the_methodology(example):
    frame = pareto.candidates(example)
    fixed = frame[frame["family"] == "poll, fixed interval"]
    period = (fixed["p95_s"] - 0.03) / 0.95
    assert fixed["empty_ratio"].to_numpy() == pytest.approx(np.exp(-0.5 * period))
    assert fixed["requests_hz"].to_numpy() == pytest.approx(20_000 / period)
    # on Poisson events no adaptive policy is cheaper than a fixed interval of the same p95
    adaptive = frame[frame["family"] == "poll, back-off"]
    at = (adaptive["p95_s"] - 0.03) / 0.95
    assert (adaptive["requests_hz"] >= 0.99 * 20_000 / at).all()


def test_sweeps_and_titles_say_what_was_found(example):
    assert (
        "No fixed interval meets both: fresh up to 2.07 s, few empty answers from 2.41 s on"
        in tune_charts.interval(example).title
    )
    assert "practically no answer empty" in tune_charts.hold(example).title
    assert "Server-Sent Events: 95 % of updates within 0.03 s" in charts_tradeoff.tradeoff(example).title
    both = answered(Situation(0.5), Goals({0.95: 3.0}, 0.3))
    assert "Polling meets the goals with intervals from 2.41 s to 3.13 s" in tune_charts.interval(both).title
    never = answered(Situation(0.5, rtt_s=0.2), Goals({0.95: 0.15}))
    assert "shorter than a round trip" in tune_charts.interval(never).title
    empty = answered(Situation(0.5), Goals({}, 0.3))
    assert "from 2.41 s on" in tune_charts.interval(empty).title
    polled = answered(Situation(5.0, 1000), Goals({0.95: 20.0}))
    assert (
        "HTTP polling, every 21 s: the cheapest way to have 95 % of updates within 20 s"
        in charts_tradeoff.tradeoff(polled).title
    )


def test_what_if(example):
    cases = {case.name: case for case in pareto.scenarios(example)}
    interval = {name: case.polling.settings["polling.interval_s"] for name, case in cases.items()}
    assert interval["round trips take 3 times as long"] == pytest.approx((2 - 0.09) / 0.95)
    assert interval["updates must come twice as soon"] == pytest.approx((1 - 0.03) / 0.95)
    assert cases["round trips take 3 times as long"].old_interval.quantiles_s[0.95] == pytest.approx(2.06)
    assert cases["there are 10 times the clients"].best.demand.cores.value == pytest.approx(
        10 * cases["as it is now"].best.demand.cores.value
    )
    assert cases["events come twice as often"].best.demand.cores.value == pytest.approx(
        2 * cases["as it is now"].best.demand.cores.value
    )
    flipped = answered(Situation(2.0, 1000), Goals({0.95: 2.0}))
    assert (
        "it becomes push when events come half as often or when updates must come twice as soon"
        in tune_charts.sensitivity(flipped).title
    )


def test_headlines_claim_no_more_than_the_costs_can_tell(example):
    assert "clearly fewer server cores than polling takes for 2 s" in charts_tradeoff.tradeoff(example).title
    given, goals = example.asked.situation, example.asked.goals
    vague = answered(given, goals, spread=0.9)
    assert "cannot tell their server cores apart" in charts_tradeoff.tradeoff(vague).title
    assert vague.rivals
    assert f"(or {vague.rivals[0].label}: the costs cannot tell)" in tune_charts.sensitivity(vague).title
    assert "the costs cannot tell" in charts_choice.paying(vague).title
    assert "cannot tell" not in tune_charts.sensitivity(example).title


def test_ten_times_the_clients_do_not_squash_the_rest(example):
    """Prices are those of 1,000 clients: the same bar whether there are 20,000 or 200,000."""
    drawn = tune_charts.sensitivity(example)
    price = drawn.figure.axes[2]
    widths = [bar.get_width() for bar in price.patches]
    assert widths[4] == pytest.approx(widths[0])
    assert widths[0] == pytest.approx(example.polling.demand.hourly.value / 20)
    table = drawn.table.set_index("what_if")
    assert table.loc["there are 10 times the clients", "polling_hourly"] == pytest.approx(widths[0] * 200)


def test_the_interval_chart_names_its_band_and_the_hold_its_reason(example):
    def said(drawn):
        return " ".join(text.get_text() for axes in drawn.figure.axes for text in axes.texts)

    assert "2.07 s to 2.41 s: neither" in said(tune_charts.interval(example))
    assert "fresh enough up to 2.07 s" in said(tune_charts.interval(example))
    assert "every 2.07 s" in said(tune_charts.interval(example))
    why = " ".join(text.get_text() for text in tune_charts.hold(example).figure.texts)
    assert "RFC 6202, section 5.5" in why
    near = answered(Situation(0.5, proxy_s=20), Goals({0.95: 2.0}, 0.3))
    assert "16 s is 80% of what the proxy allows" in " ".join(t.get_text() for t in tune_charts.hold(near).figure.texts)


def test_on_a_trace_the_page_is_drawn_too(tmp_path):
    schedule = traffic.bursty(0.5, 400, 500, np.random.default_rng(1), on_s=30, off_s=300, run_in_s=100)
    trace = Trace(np.linspace(0, 3600, 1000), np.zeros(1000, int), ("",), ("line 3: bad",))
    found = answered(Situation(0.5, trace=schedule), Goals({0.95: 1.0}), trace)
    frame = pareto.candidates(found)
    assert "poll, learned rate" in set(frame["family"])
    assert "what comes is like the trace" in tune_page.write(found, tmp_path).read_text()


def test_a_page_that_cannot_be_written_is_one_line(example, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(BadRunError, match="cannot be written"):
        tune_page.write(example, tmp_path / "file" / "x")


def test_json_for_programs(example, tmp_path, capsys):
    said = json.loads(json.dumps(tune.as_json(example), allow_nan=False))
    assert said["choices"][said["choice"]]["transport"] == "sse"
    assert said["choices"][0]["p95_s"] == pytest.approx(2.0)
    assert said["choices"][0]["misses"] == ["35% of answers empty, at most 30% was asked"]
    assert math.isclose(said["flips"][0]["factor"] * 2.0, said["flips"][0]["value"])
    flags = [
        "tune",
        "--rate",
        "0.5",
        "--p95",
        "2s",
        "--results",
        str(tmp_path),
        "--out",
        str(tmp_path / "out"),
        "--json",
    ]
    assert program.main(flags) == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out)["meets"]
    assert "tune.html" in printed.err


@pytest.mark.filterwarnings("error")
def test_the_hold_of_a_busy_feed_is_laid_out():
    """Hardly an answer is empty there: what was asked, 5 %, lies far above the curve and must be within the axes."""
    busy = answered(Situation(8.0, 300, 0.2, proxy_s=20), Goals({0.95: 30.0}, 0.05))
    with style.house():
        drawn = tune_charts.hold(busy)
        style.settle(drawn.figure)
    assert drawn.figure.axes[0].get_ylim()[1] > 5


def test_the_answer_is_there_before_the_page_is_drawn(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    out = str(tmp_path / "file" / "x")
    assert program.main(["tune", "--rate", "0.5", "--p95", "2s", "--results", str(tmp_path), "--out", out]) == 2
    printed = capsys.readouterr()
    assert "What we would choose" in printed.out
    assert "cannot be written" in printed.err
