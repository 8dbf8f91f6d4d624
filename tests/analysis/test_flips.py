"""Borders that one can work out by hand: only cores cost, a request 100 us and a pushed event 20 us."""

import math

import numpy as np
import pytest

from analysis import flips, traffic
from analysis.demand import Prices
from analysis.predict import Goals, Situation
from tests.analysis.made_up_costs import EVENT_US, REQUEST_US, made_up

CORES_ALONE = Prices(1.0, 0.0, 0.0)


def found(situation, goals, *, spread=0.0, prices=CORES_ALONE):
    return {(one.axis, one.factor > 1): one for one in flips.flips(situation, goals, made_up(spread), prices)}


def test_push_gives_way_to_polling_where_a_request_brings_five_events():
    """Polling costs 100 us/P, push 20 us x rate: equal at rate = 5/P."""
    borders = found(Situation(0.5, 1000, 0.0), Goals({"max": 2.0}))
    rate = borders["rate", True]
    assert rate.value == pytest.approx(REQUEST_US / EVENT_US / 2.0, rel=0.003)
    assert rate.to == "polling"
    assert rate.low == pytest.approx(rate.value, rel=0.01)
    assert rate.high == pytest.approx(rate.value, rel=0.01)
    staleness = borders["staleness", True]
    assert staleness.value == pytest.approx(REQUEST_US / EVENT_US / 0.5, rel=0.003)
    assert ("rate", False) not in borders
    assert ("core_hour", True) not in borders  # the only price: everything is dearer alike


def test_costs_that_are_not_sure_blur_the_border_on_both_sides():
    """Costs ±20 %: unsure from 1.2 x 20 us x rate = 0.8 x 50 us until 0.8 x 20 us x rate = 1.2 x 50 us."""
    rate = found(Situation(0.5, 1000, 0.0), Goals({"max": 2.0}), spread=0.2)["rate", True]
    assert rate.low == pytest.approx(2.5 * 0.8 / 1.2, rel=0.01)
    assert rate.high == pytest.approx(2.5 * 1.2 / 0.8, rel=0.01)


def test_nothing_meets_a_goal_below_a_transit():
    staleness = found(Situation(0.5, 1000, 0.2), Goals({"max": 2.0}))["staleness", False]
    assert staleness.to == flips.NONE
    assert staleness.value == pytest.approx(0.1, rel=0.003)


def test_a_price_can_flip_it():
    """Push holds 10 kB a client as polling does, so memory cannot; from 2.5 events/s on polling is cheaper in cores."""
    borders = found(Situation(5.0, 1000, 0.0), Goals({"max": 2.0}), prices=Prices(1.0, 1.0, 0.0))
    assert borders["rate", False].to == "push"
    assert ("gib_hour", True) not in borders


def test_on_a_trace_the_rate_is_how_fast_it_is_played():
    trace = traffic.poisson(0.5, 200, 100.0, np.random.default_rng(1), run_in_s=10)
    rate = found(Situation(0.5, 1000, 0.0, trace=trace), Goals({"max": 2.0}))["rate", True]
    assert rate.value == pytest.approx(REQUEST_US / EVENT_US / 2.0, rel=0.1)
    assert math.isfinite(rate.high)
