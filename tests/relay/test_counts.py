"""What the relay did is what analysis counts, event by event, on every transport; and nothing hides a wait."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from tests.relay.pipeline import PULLS, TRANSPORTS, measure

TOML = """
transports = ["{transport}"]
[feed]
topics = 5                        # two subscribers each
rate_hz = 100.0
payload_bytes = 200
[load]
subscribers = 10
warmup_s = 0.3
measure_s = {measure_s}
"""
# Several events in an answer, so that there are neighbours to swap.
PACE = {"polling": "[polling]\ninterval_s = 0.1\n", "long_polling": "[long_polling]\ngap_s = 0.05\n"}
MEASURE_S = 2.4  # 2,000 deliveries carry a p99
DELAY_S, STALL_S, STALL_AT_S = 0.05, 0.25, 1.0
FAULTS = (
    "--drop=0.01", "--repeat=0.008", "--swap=0.012", "--flip=0.015",
    f"--delay={DELAY_S}", f"--stall={STALL_S}", f"--stall-at={STALL_AT_S}",
)  # fmt: skip


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_what_the_relay_did_is_what_analysis_counts(transport, tmp_path):
    toml = TOML.format(transport=transport, measure_s=MEASURE_S) + PACE.get(transport, "")
    relayed = measure(tmp_path, toml, FAULTS)  # once for all three: a cell takes six seconds
    every_fault_is_counted_exactly(relayed)
    what_is_missing_is_what_was_taken(relayed)
    no_delivery_hides_the_delay_or_the_stall(relayed)


def every_fault_is_counted_exactly(relayed):
    """A flipped event is corrupted *and* lost, for it never came intact; an unreadable body is asked for again."""
    done = {fault: len(relayed.done(fault)) for fault in ("drop", "repeat", "swap", "flip", "spoil")}
    assert all(done[fault] for fault in ("drop", "repeat", "swap", "flip"))
    assert bool(done["spoil"]) == (relayed.cell.transport in PULLS)
    expected = {
        "lost": done["drop"] + done["flip"],
        "duplicated": done["repeat"],
        "reordered": done["swap"],
        "corrupted": done["flip"] + done["spoil"],
    }
    assert {name: relayed.summary[name] for name in expected} == expected
    assert relayed.summary["status"].startswith("invalid: ")
    for name, count in expected.items():
        assert f"{count} {name}" in relayed.summary["status"]


def what_is_missing_is_what_was_taken(relayed):
    came = relayed.deliveries
    got = Counter(zip("t" + came["topic"].astype(str), came["seq"], came["subscriber"], strict=True))
    owed = [
        (topic, seq, subscriber)
        for subscriber in range(10)
        for topic in (f"t{subscriber % 5}",)
        for seq in range(1, relayed.cell.published[topic] + 1)
    ]
    assert sorted(one[:2] for one in owed if not got[one]) == relayed.done("drop", "flip")
    assert sorted(one[:2] for one in owed if got[one] > 1) == relayed.done("repeat")


def no_delivery_hides_the_delay_or_the_stall(relayed):
    """Bounds that hold on the busiest machine: what was due while all stood still came when it went on, or later."""
    came, window, stall = relayed.deliveries, relayed.cell.window, relayed.note("stall")
    came = came[(came["seq"] > 0) & (came["due_ns"] >= window.from_ns)].drop_duplicates(["subscriber", "seq"])
    due_ns = came["due_ns"].to_numpy()
    stalled = (due_ns >= stall["from_ns"]) & (due_ns < stall["to_ns"])
    least_ms = 1e3 * DELAY_S + np.where(stalled, stall["to_ns"] - due_ns, 0) / 1e6
    latency_ms = (came["received_ns"].to_numpy() - due_ns) / 1e6
    assert stalled.sum() > 150
    assert (latency_ms >= least_ms - 1e-3).all()  # 1 us: what a clock in seconds rounds away
    p99_ms = np.quantile(least_ms, 0.99, method="lower")
    assert p99_ms == pytest.approx(1e3 * (DELAY_S + STALL_S - 0.01 * MEASURE_S), abs=15)  # S - 0.01 W; dues are seeded
    assert relayed.summary["delivery_ms_p99"] >= p99_ms - 1e-3
