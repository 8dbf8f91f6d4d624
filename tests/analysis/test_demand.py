"""What holding a push connection is charged, by hand."""

from dataclasses import replace

import pytest

from analysis.costs import Estimate
from analysis.demand import HEADER_BYTES, Load, demand
from analysis.predict import Goals, Situation, push
from tests.analysis.made_up_costs import cost

MEASURED_EACH_S, BYTES_A_MINUTE = 2.0, 240.0  # so 8 B a heartbeat, both ways
BEATS = replace(
    cost("sse", pulls=False), heartbeat_s=MEASURED_EACH_S,
    idle_bytes_per_minute=Estimate(BYTES_A_MINUTE, BYTES_A_MINUTE, BYTES_A_MINUTE),
)  # fmt: skip


@pytest.mark.parametrize("beat_s", [MEASURED_EACH_S, 15.0, 30.0])
def test_a_heartbeat_is_charged_as_often_as_it_is_recommended(beat_s):
    asked = demand(BEATS, Load(0.0, 0.0, heartbeat_s=beat_s), 1000, payload_bytes=256)
    each_way = (BYTES_A_MINUTE * MEASURED_EACH_S / 60 / 2 + HEADER_BYTES) / beat_s
    assert asked.down_bps.value == pytest.approx(8 * 1000 * each_way)
    assert asked.up_bps.value == pytest.approx(8 * 1000 * each_way)


def test_without_a_recommendation_it_is_charged_as_it_was_measured():
    asked = demand(BEATS, Load(0.0, 0.0), 1000, payload_bytes=256)
    same = demand(BEATS, Load(0.0, 0.0, heartbeat_s=MEASURED_EACH_S), 1000, payload_bytes=256)
    assert asked == same


def test_the_tuner_charges_the_heartbeat_that_it_recommends():
    for proxy_s, beat_s in ((None, 15.0), (10.0, 8.0)):
        found = push(Situation(1e-9, 1000, proxy_s=proxy_s), Goals(), BEATS)
        assert found.settings["server.heartbeat_s"] == beat_s
        by_hand = demand(BEATS, Load(0.0, 1e-9, heartbeat_s=beat_s), 1000, payload_bytes=256)
        assert found.demand.down_bps == by_hand.down_bps


def test_a_pull_transport_has_no_heartbeats():
    asked = demand(cost("polling", pulls=True), Load(0.0, 0.0), 1000, payload_bytes=256)
    assert asked.down_bps.value == 0
