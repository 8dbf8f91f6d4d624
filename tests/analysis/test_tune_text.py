"""The tuner's sentences: the issue's example whole, and every other thing that may have to be said."""

import argparse

import numpy as np
import pytest

from analysis import __main__ as program
from analysis import traffic, tune, tune_text
from analysis.demand import PRICES, Prices
from analysis.flips import Flip
from analysis.predict import Goals, Situation
from analysis.traces import Trace
from analysis.tune_options import Asked, arguments, asked
from analysis.tuner import answer
from tests.analysis.made_up_costs import made_up

EXAMPLE = """\
20,000 clients, 0.5 events/s each (Poisson) of 256 B, round trip 60 ms, a proxy that cuts after
  60 s. Asked: p95 at most 2 s and at most 30 % of answers empty.

HTTP polling every 2.07 s: 95 % of updates within 2 s, 35 % of answers empty, 9,640 requests/s,
  0.964 cores. At most 30 % empty would need 2.41 s, and then p95 is 2.32 s: both together cannot be
  had by polling at a fixed interval.
HTTP long polling, hold 30 s (the proxy cuts at 60 s): 95 % of updates within 0.03 s, at most
  0.09 s, practically no empty answer, 10,000 requests/s, 1.2 cores, 20,000 open connections in
  191 MiB.
Push, a heartbeat every 15 s: 95 % of updates within 0.03 s, 20,000 open connections. Server-Sent
  Events 0.2 cores, 191 MiB.

What we would choose: Server-Sent Events. Of what meets all goals it costs least, 0.0185 an hour
  (52 % bytes sent, 43 % cores and 5 % memory). Long polling costs 2.6 times that. Not fit: HTTP
  polling (35% of answers empty, at most 30% was asked).
It flips to polling when p95 may be more than 4.35 s; to polling when there are more than 1.81
  events/s each; to long polling when a GB sent costs more than 0.208; and at 3 more.
Costs made up for a test. Brackets: what the 95 % intervals of the measured costs allow."""


def said(situation, goals, *, spread=0.0, prices=PRICES, trace=None, remarks=()):
    text = tune_text.screen(answer(Asked(situation, goals, made_up(spread), prices, trace, remarks)))
    lines = text.splitlines()
    assert len(lines) <= 24
    assert max(map(len, lines)) <= 100
    return " ".join(line.strip() for line in lines)


def test_the_example_of_the_manual():
    situation = Situation(0.5, 20_000, 0.06, proxy_s=60)
    assert tune_text.screen(answer(Asked(situation, Goals({0.95: 2.0}, 0.3), made_up(), PRICES))) == EXAMPLE


def test_both_goals_that_can_be_had():
    text = said(Situation(0.5), Goals({0.95: 3.0}, 0.3))
    assert "Every interval from 2.41 s to 3.13 s meets all goals." in text
    assert "Not fit" not in text


def test_a_goal_that_nothing_meets():
    text = said(Situation(0.5, 100, 0.2), Goals({0.95: 0.05}))
    assert (
        "No transport meets the goals. The nearest is Server-Sent Events: p95 0.1 s, at most 0.05 s was asked." in text
    )
    assert "One transit alone, half the round trip and the service, takes 0.1 s." in text
    assert "It misses the goal as fast as answers come: a round trip is 0.2 s." in text


def test_costs_that_overlap_are_said_to():
    text = said(Situation(1.2, 1000, 0.0), Goals({"max": 2.0}), spread=0.5)
    assert "cannot be told apart from it by the measured costs" in text
    assert "the costs cannot tell)" in text


def test_what_never_flips_is_said():
    text = said(Situation(0.5), Goals({}, 0.9), prices=Prices(0.0, 1.0, 0.0))
    assert "It does not flip" in text
    assert "Of what meets the goal it costs least" in text
    assert "(100 % memory)" in text


def test_several_delays_and_a_spread():
    text = said(Situation(0.5, rtt_spread=0.5), Goals({"mean": 2.0, "max": 9.0, 0.99: 8.0}))
    assert "mean at most 2 s, max at most 9 s and p99 at most 8 s" in text
    assert "(±50% each way)" in text
    assert "mean (the others in proportion) may be" in text


def test_bursts_want_an_adaptive_policy():
    schedule = traffic.bursty(0.5, 400, 500, np.random.default_rng(1), on_s=30, off_s=300, run_in_s=100)
    trace = Trace(np.linspace(0, 3600, 1000), np.zeros(1000, int), ("",), ("line 3: bad", "1 of 1001 rows left out"))
    text = said(Situation(0.5, trace=schedule), Goals({0.95: 1.0}), trace=trace, remarks=trace.bad)
    assert "fewer than at the fixed interval" in text
    assert "(a trace of 1,000 events in 60 minutes)" in text
    assert "Trace: 1 of 1001 rows left out." in text


def test_next_to_nothing_is_said_as_such():
    text = said(Situation(0.001, 5), Goals({0.95: 2.0}))
    assert "under 0.001 cores" in text
    assert " a year (" in text


def test_an_adaptive_policy_is_said_though_too_much_is_empty_all_the_same():
    schedule = traffic.bursty(0.05, 400, 1500, np.random.default_rng(1), on_s=30, off_s=900, run_in_s=100)
    trace = Trace(np.linspace(0, 3600, 1000), np.zeros(1000, int), ("",), ())
    text = said(Situation(0.05, trace=schedule), Goals({0.95: 2.0}, 0.01), trace=trace)
    assert "fewer than at the fixed interval" in text


def test_silences_longer_than_a_day():
    trace = traffic.poisson(1e-6, 50, 1e5, np.random.default_rng(1))
    text = said(
        Situation(1e-6, trace=trace),
        Goals({0.95: 1.0}, 0.01),
        trace=Trace(np.array([0, 1e5]), np.zeros(2, int), ("",), ()),
    )
    assert "cannot be had at a fixed interval of a day or less" in text


# The command line ---------------------------------------------------------------------------------------------


@pytest.fixture
def csv(tmp_path):
    path = tmp_path / "events.csv"
    path.write_text("time\n" + "\n".join(str(at) for at in np.cumsum(np.random.default_rng(1).exponential(2, 1000))))
    return path


def parsed(*flags):
    parser = argparse.ArgumentParser()
    arguments(parser)
    return parser.parse_args(flags)


def test_quantities_as_people_type_them(tmp_path):
    one = asked(parsed(
        "--rate", "2k", "--p50", "60ms", "--p99", "1.5", "--mean", "1s", "--max", "1min", "--empty", "30%",
        "--clients", "20k", "--rtt", "40ms", "--proxy-timeout", "60s", "--payload-bytes", "4KiB", "--service", "1ms",
        "--results", str(tmp_path), "--core-hour", "1",
    ))  # fmt: skip
    assert one.goals == Goals({0.5: 0.06, 0.99: 1.5, "mean": 1.0, "max": 60.0}, 0.3)
    assert one.situation == Situation(2000, 20_000, 0.04, 0.0, 0.001, 4096, 60.0)
    assert one.prices == PRICES._replace(core_hour=1.0)


def test_a_trace_brings_its_own_rate(tmp_path, csv):
    one = asked(parsed("--trace", str(csv), "--p95", "2s", "--results", str(tmp_path)))
    assert one.situation.clients == 1000
    assert one.situation.rate_hz == pytest.approx(0.5, rel=0.1)
    csv.write_text("time,client\n" + "\n".join(f"{at},{at % 7}" for at in range(1000)))
    assert asked(parsed("--trace", str(csv), "--p95", "2s", "--results", str(tmp_path))).situation.clients == 7


BAD = [
    ((), "no goal; expected how late is too late"),
    (("--p95", "2s"), "expected --rate"),
    (("--rate", "1", "--trace", "x.csv", "--p95", "2s"), "expected --rate"),
    (("--trace", "nowhere.csv", "--p95", "2s"), "--trace nowhere.csv: No such file"),
    (("--trace", "CSV", "--p99", "2s"), "1000 events are too few for p99, which needs 2,000"),
    (("--rate", "soon", "--p95", "2s"), "argument --rate: 'soon', expected events per second such as"),
    (("--rate", "1", "--p95", "-1s"), "expected one argument"),
    (("--rate", "1", "--p95", "0"), "expected a time such as 2s"),
    (("--rate", "1", "--empty", "120%"), "expected a share between 0 and 1"),
    (("--rate", "1", "--p95", "2s", "--clients", "0"), "a number of at least 1"),
    (("--rate", "1", "--p95", "2s", "--rtt-spread", "9"), "coefficient of variation"),
    (("--rate", "1", "--p95", "2s", "--tls", "1.3"), "push transport over TLS 1.3 in it; run make bench"),
    (("--rate", "1", "--p95", "2s", "--tls", "2"), "invalid choice: '2'"),
    (("--rate", "1", "--p95", "2s", "--core-hour", "x"), "expected a price"),
]


@pytest.mark.parametrize(("flags", "says"), BAD)
def test_bad_input_gets_one_line(flags, says, csv, tmp_path, capsys):
    flags = [str(csv) if flag == "CSV" else flag for flag in flags]
    try:
        code = program.main(["tune", *flags, "--results", str(tmp_path)])
    except SystemExit as stopped:
        code = stopped.code
    assert code == 2
    printed = capsys.readouterr().err.strip()
    assert says in printed
    assert "\n" not in printed


def test_events_at_one_moment_are_no_trace(tmp_path, csv, capsys):
    csv.write_text("time\n" + "5\n" * 1000)
    assert program.main(["tune", "--trace", str(csv), "--p95", "2s", "--results", str(tmp_path)]) == 2
    assert "all events are at one moment" in capsys.readouterr().err


@pytest.mark.parametrize(("p95", "code"), [("2s", 0), ("1ms", 1)])
def test_the_exit_code_says_whether_the_goals_are_met(p95, code, tmp_path, capsys):
    assert program.main(["tune", "--rate", "0.5", "--p95", p95, "--results", str(tmp_path), "--no-page"]) == code
    assert "HTTP polling" in capsys.readouterr().out
    assert "examples" in tune.EXAMPLES


@pytest.mark.parametrize(
    ("share", "says"),
    [(0.0001, "under 0.05 %"), (0.0042, "0.42 %"), (0.354, "35 %"), (0.9918, "99.2 %"), (0.9993, "99.9 %"),
     (0.99996, "over 99.95 %"), (1.0, "100 %")],
)  # fmt: skip
def test_a_share_is_not_rounded_to_all_or_nothing(share, says):
    assert tune_text.percent(share) == says


def test_large_values_have_no_exponent():
    assert tune_text.flip(Flip("staleness", 1420.0, 710.0, "polling", 805.0, 2600.0), "p95") == (
        "to polling when p95 may be more than 1,420 s (from 805 to 2,600 the costs cannot tell)"
    )
