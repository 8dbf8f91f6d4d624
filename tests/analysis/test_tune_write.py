"""The experiment around an answer: its grid, what it says was asked, and what is carried over from the question."""

import pytest

from analysis import __main__ as program
from analysis import flips, tune_write
from analysis.demand import PRICES
from analysis.load import BadRunError
from analysis.predict import Goals, Situation
from analysis.tune_options import Asked
from analysis.tuner import answer
from loadtests import experiment
from tests.analysis.made_up_costs import made_up

INTERVAL = "polling.interval_s"


def test_a_grid_around_the_answer_and_what_was_asked(tmp_path):
    found = answer(Asked(Situation(0.5, rtt_s=0.06), Goals({0.95: 2.0}), made_up(), PRICES, tls="1.3"))
    path, _ = tune_write.write(found, tmp_path / "tuned.toml", grid=True)
    one = experiment.read(path)
    interval_s, scale = 1.97 / 0.95, 1.97 / 0.95 / 0.5
    assert one.values["polling.interval_s"] == pytest.approx([0.5 * share for share in tune_write.AROUND[INTERVAL]])
    assert one.values["long_polling.hold_s"] == (pytest.approx(30 / scale),)  # 15 events a hold: any longer is alike
    assert one.tuned == {
        "rate_hz": 0.5, "p95_s": 2.0, "scale": pytest.approx(scale, rel=1e-5), "transit_s": 0.03, "round_trip_s": 0.06,
        "interval_s": pytest.approx(interval_s, rel=1e-5), "hold_s": 30.0, "hold_most_s": 30.0,
    }  # fmt: skip
    assert one.values["tls"] == ("1.3",)
    assert one.title == "Tuned for 0.5 events/s, p95 2 s"
    slow = answer(Asked(Situation(0.1, rtt_s=0.06, proxy_s=20.0), Goals({0.95: 2.0}), made_up(), PRICES))
    path, _ = tune_write.write(slow, tmp_path / "slow.toml", grid=True)
    one = experiment.read(path)
    assert len(one.values["long_polling.hold_s"]) == 5
    assert one.tuned["hold_most_s"] == 16.0


def test_one_topic_for_all_where_that_was_asked(tmp_path):
    found = answer(Asked(Situation(0.5), Goals({0.95: 2.0}), made_up(), PRICES, shared=True))
    path, _ = tune_write.write(found, tmp_path / "tuned.toml")
    one = experiment.read(path)
    assert one.values["feed.topics"] == (1,)
    assert one.values["load.subscribers"] == (tune_write.SHARED_MOST,)
    assert one.values["polling.interval_s"] == (pytest.approx(0.5),)


def test_what_cannot_be_judged_is_not_said_to_be(tmp_path, monkeypatch):
    """A mean, a trace or round trips that vary have no grid, and no table either."""
    monkeypatch.setattr(flips, "flips", lambda *_: [])  # where it flips is not written, and takes seconds to find
    for situation, goals in (
        (Situation(0.5), Goals({"mean": 2.0})),
        (Situation(0.5), Goals({0.95: 2.0, 0.99: 3.0})),
        (Situation(0.5, rtt_spread=0.5), Goals({0.95: 2.0})),
    ):
        asked = Asked(situation, goals, made_up(), PRICES)
        with pytest.raises(BadRunError, match="--grid: expected --rate and --p95 alone"):
            tune_write.refuse_grid(asked, tmp_path / "x.toml")
        path, _ = tune_write.write(answer(asked), tmp_path / "x.toml")
        assert experiment.read(path).tuned == {}
    with pytest.raises(BadRunError, match="--grid: expected --write TOML with it"):
        tune_write.refuse_grid(Asked(Situation(0.5), Goals({0.95: 2.0}), made_up(), PRICES), None)


def test_the_command_line_says_how_to_run_what_it_has_written(tmp_path, capsys):
    flags = ["tune", "--rate", "0.5", "--p95", "2s", "--results", str(tmp_path), "--no-page", "--grid"]
    assert program.main(flags) == 2
    assert "--grid: expected --write TOML with it" in capsys.readouterr().err
    assert program.main([*flags, "--write", str(tmp_path / "t.toml")]) == 0
    live = f"live: python -m loadtests run {tmp_path / 't.toml'}, then python -m analysis tuned results/latest"
    assert capsys.readouterr().out.splitlines()[-1].startswith(live)
    assert experiment.read(tmp_path / "t.toml").tuned
