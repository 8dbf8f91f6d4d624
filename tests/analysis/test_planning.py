"""The planner, the literature and the regime map, on costs that one knows."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from analysis import __main__ as program
from analysis import charts_regime, costs, literature, plan, regime, tuning, units
from analysis.costs import NOTHING, Cost, Costs, Estimate

PUSH_US, REQUEST_US = 20.0, 100.0


def sure(value):
    return Estimate(value, value, value)


def cost(name, *, pulls, request=REQUEST_US, event=PUSH_US, held=10_000.0, spread=0.0):
    def ranging(value):
        return Estimate(value, value * (1 - spread), value * (1 + spread))

    return Cost(
        transport=name, label=name.upper(), pulls=pulls, payload_bytes=256, heartbeat_s=15.0,
        cpu_us_per_request=ranging(request) if pulls else NOTHING, cpu_us_per_event=ranging(event),
        bytes_up_per_request=sure(80) if pulls else NOTHING, bytes_down_per_request=sure(90) if pulls else NOTHING,
        bytes_up_per_event=NOTHING, bytes_down_per_event=sure(400), segments_per_request=sure(3) if pulls else NOTHING,
        segments_per_event=sure(2), connect_cpu_us=sure(300), connect_bytes=sure(300), held_bytes=sure(held),
        idle_bytes_per_minute=NOTHING if pulls else sure(96),
    )  # fmt: skip


def made_up(spread=0.0, **push):
    rows = [
        cost("polling", pulls=True, event=0.0, spread=spread), cost("long_polling", pulls=True, spread=spread),
        cost("sse", pulls=False, spread=spread, **push), cost("websocket", pulls=False, spread=spread, **push),
    ]  # fmt: skip
    return Costs({row.transport: row for row in rows}, "costs made up for a test", here=True)


def test_a_plan_by_hand():
    known = made_up()
    situation = tuning.Situation(0.1, 1_000_000, 0.0)
    found = tuning.choices(situation, tuning.Goals({0.95: 1.9}), known)
    made = {one.choice.transport: one for one in plan.plans(found, known, server=plan.Server(), within_s=100)}
    polling = made["polling"]  # every 2 s: 500,000 requests/s of 100 us
    assert polling.demand.requests_hz == pytest.approx(500_000)
    assert polling.demand.cores.value == pytest.approx(50)
    assert polling.demand.down_bps.value == pytest.approx(8 * (500_000 * (90 + 3 * 20) + 100_000 * (400 + 2 * 20)))
    assert polling.servers.value == 25  # 4 cores of which half may be busy
    sse = made["sse"]
    assert sse.demand.cores.value == pytest.approx(2)
    assert sse.demand.memory_bytes.value == pytest.approx(1e10)
    assert sse.descriptors == 1_000_000
    assert sse.servers.value == 10  # not its cores or memory: its open files
    assert sse.storm.connects_hz == pytest.approx(10_000)
    assert sse.storm.cores.value == pytest.approx(3)
    assert sse.storm.drain_s.value == pytest.approx(300 / (10 * 4 - 2))  # the cores that are not busy anyway
    assert sse.storm.down_bps.value == pytest.approx(8 * 10_000 * 150)
    assert (polling.decided_by, sse.decided_by) == ("cores", "open files")
    assert plan.plans(found, known, server=plan.Server(), within_s=None)[0].storm is None


def test_a_slow_poller_opens_a_connection_each_time():
    known = made_up()
    found = tuning.choices(tuning.Situation(0.01, 1000, 0.0), tuning.Goals({0.95: 190.0}), known)
    polling = next(one for one in found if one.transport == "polling")
    assert polling.demand.connections == 0
    assert polling.demand.cores.value == pytest.approx(1000 / 200 * (REQUEST_US + 300) * 1e-6)


def test_what_others_published_stands_beside_what_we_predict():
    rows = literature.rows(costs.newest(Path("none")))
    grigorik = rows[0]
    assert grigorik.predicted.value == pytest.approx(166.67, rel=1e-3)
    assert grigorik.ratio == pytest.approx(0.998, abs=1e-3)
    assert all(row.row.why for row in rows if not 0.8 < row.ratio < 1.25)
    assert {"Lubbers & Greco 2010", "Centrifugo, MigratoryData"} <= {row.row.source for row in rows}
    threshold = next(row for row in rows if row.row.source.startswith("Pimentel"))
    assert threshold.predicted.value == pytest.approx(125, abs=1)


@pytest.fixture(scope="module")
def small():
    return {"rate_hz": np.geomspace(0.01, 100, 13), "staleness_s": np.geomspace(0.2, 30, 8)}


def test_the_border_lies_where_a_poll_costs_what_its_events_do(small):
    """By money without memory and bytes: push when 1/P requests of 100 us cost more than the rate's events of 20 us."""
    prices = tuning.Prices(1.0, 0.0, 0.0)
    m = regime.regimes(tuning.Situation(1.0, 1000, 0.0), made_up(), prices=prices, **small)
    for i, wanted_s in enumerate(small["staleness_s"]):
        for j, rate in enumerate(small["rate_hz"]):
            period = wanted_s / 0.95
            cheaper = REQUEST_US / period < PUSH_US * rate
            assert regime.KINDS[m.best[i, j]] == ("polling" if cheaper else "push")
    assert m.sure.all()
    assert charts_regime.border_events(m) == pytest.approx(REQUEST_US / PUSH_US * 0.95, rel=0.6)
    assert (m.dearer >= 1).all()


def test_costs_that_are_not_sure_make_a_border_that_is_not(small):
    m = regime.regimes(tuning.Situation(1.0, 1000, 0.0), made_up(spread=0.5), **small)
    assert 0 < m.sure.mean() < 1
    drawn = charts_regime.regime_map([("made up", m)])
    assert "events or more fit into the delay you tolerate, else push" in drawn.title
    assert len(drawn.table) == 13 * 8
    assert set(drawn.table["best"]) == {"polling", "push"}


def test_no_border_is_said_and_nothing_fresh_enough_is_left_blank(small):
    dear = regime.regimes(tuning.Situation(1.0, 1000, 0.0), made_up(event=1e6), **small)
    assert "One kind of transport is cheapest" in charts_regime.regime_map([("a", dear)]).title
    late = regime.regimes(tuning.Situation(1.0, 1000, 1.0), made_up(), **small)
    assert (late.best[small["staleness_s"] < 0.5] == -1).all()


def test_a_border_of_one_map_is_not_said_of_the_other(small):
    both = regime.regimes(tuning.Situation(1.0, 1000, 0.0), made_up(), **small)
    late = (small["staleness_s"] >= 10)[:, None]
    flat = replace(both, best=np.where(late, regime.KINDS.index("polling"), regime.KINDS.index("push")) + 0 * both.best)
    drawn = charts_regime.regime_map([("apart", flat), ("together", both)])
    assert "where together, about" in drawn.title
    assert drawn.sentence.startswith("apart: polling is cheaper for rare events from ")
    assert charts_regime.regime_map([("apart", flat)]).title.startswith("Poll when you can wait")


def test_the_map_says_white_only_where_it_is_and_names_only_regions_with_room(small):
    fresh = regime.regimes(tuning.Situation(1.0, 1000, 0.0), made_up(spread=0.5), **small)
    late = regime.regimes(tuning.Situation(1.0, 1000, 1.0), made_up(), **small)

    def said(m):
        figure = charts_regime.regime_map([("a", m)]).figure
        return " ".join(text.get_text() for text in figure.texts)

    assert "White" in said(late)
    assert "White" not in said(fresh)
    assert "a GB sent 0.05" in said(fresh)
    inside = np.zeros((50, 50), bool)
    inside[10:16, 5:45] = True
    across, up = charts_regime._roomiest(inside, 0.5, 0.1)
    assert (across, up) == pytest.approx((0.5, 0.26), abs=0.03)
    assert charts_regime._roomiest(inside, 0.5, 0.2) is None


def test_the_flat_border_of_rare_events_is_told():
    """By bytes alone: a heartbeat each 15 s costs what a poll of as many bytes costs, however rare the events are."""
    axes = {"rate_hz": np.geomspace(1e-4, 10, 21), "staleness_s": np.geomspace(0.2, 2000, 30)}
    m = regime.regimes(tuning.Situation(1.0, 1000, 0.0), made_up(), prices=tuning.Prices(1.0, 0.0, 1.0), **axes)
    at_s = charts_regime.flat_s(m)
    assert np.isfinite(at_s)
    polled = m.best[:, 0] == regime.KINDS.index("polling")
    assert polled[m.staleness_s > at_s].all()
    assert not polled[m.staleness_s < at_s].any()
    assert "you can wait" in charts_regime.regime_map([("a", m)]).title
    sloped = regime.regimes(tuning.Situation(1.0, 1000, 0.0), made_up(), prices=tuning.Prices(1.0, 0.0, 0.0), **axes)
    assert np.isnan(charts_regime.flat_s(sloped))


def test_plan_on_the_command_line(tmp_path, capsys):
    arguments = ["plan", "--clients", "1e6", "--rate", "0.1", "--p95", "2s", "--results", str(tmp_path)]
    assert program.main(arguments) == 0
    said = capsys.readouterr().out
    assert "1 M clients, 0.1 events/s each of 256 B" in said
    assert "every 2.07 s" in said
    assert "all come back within 60 s" in said
    assert "Centrifugo" in said
    assert "committed reference" in said
    assert all(assumption in said for assumption in plan.ASSUMPTIONS)


def test_what_is_too_late_is_said(tmp_path, capsys):
    assert program.main(["plan", "--rate", "1", "--p95", "10ms", "--rtt", "60ms", "--results", str(tmp_path)]) == 0
    assert "(too late)" in capsys.readouterr().out


def test_the_map_on_the_command_line(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(regime, "RATES_HZ", np.geomspace(0.01, 10, 5))
    out = tmp_path / "map"
    assert program.main(["map", "--results", str(tmp_path), "--out", str(out)]) == 0
    for name in ("charts/regime_map.png", "charts/regime_map.svg", "tables/regime_map.csv"):
        assert (out / name).stat().st_size > 1000
    assert "regime_map.png" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["plan"], "--rate"),
        (["plan", "--rate", "soon"], "events per second such as"),
        (["plan", "--rate", "1", "--p95", "0"], "a time such as"),
        (["map", "--clients", "none"], "a number of at least 1"),
    ],
)
def test_bad_input(capsys, arguments, says):
    with pytest.raises(SystemExit) as caught:
        program.main(arguments)
    assert caught.value.code == 2
    assert says in capsys.readouterr().err


def test_bad_places(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert program.main(["map", "--results", str(tmp_path), "--out", str(tmp_path / "file" / "x")]) == 2
    assert "cannot be written" in capsys.readouterr().err
    assert program.main(["plan", "--rate", "1", "--tls", "1.3", "--results", str(tmp_path)]) == 2
    assert "no costs of" in capsys.readouterr().err


def test_ranges():
    nan = float("nan")
    assert units.ranged(Estimate(1.47, 1.18, 1.76)) == "1.47 (1.18-1.76)"
    assert units.ranged(sure(2.0)) == "2"
    assert units.ranged(Estimate(nan, nan, nan)) == "not measured"
    assert units.ranged(Estimate(17, 14, 19), whole=True) == "17 (14-19)"


def test_the_plan_begins_with_what_costs_least(tmp_path, capsys):
    assert program.main(["plan", "--rate", "0.1", "--p95", "2s", "--results", str(tmp_path)]) == 0
    first, second, *_ = capsys.readouterr().out.splitlines()
    assert first.endswith("Asked: 95 % of events within 2 s.")
    assert second.startswith("Cheapest: ")
    assert "servers, for" in second
    assert "times as much" in second
    assert program.main(["plan", "--rate", "1", "--p95", "10ms", "--results", str(tmp_path)]) == 0
    assert capsys.readouterr().out.splitlines()[1].startswith("Nothing is as fresh as that. The nearest is ")
