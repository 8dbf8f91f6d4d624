"""What subscribers published, by hand: every latency, count and loss is one that can be added up on paper."""

from __future__ import annotations

import numpy as np
import pytest

from analysis import checks, metrics
from analysis.measured import measure
from tests.analysis.rows import S, cell

OWN = {"feed.publisher": "subscribers", "feed.topics": "per_subscriber", "feed.rate_hz": 5.0}
# subscriber, seq, due_ms, sent_ms, acknowledged_ms, status
POSTS = [
    (0, 2, 9_000, 9_001, 9_005, 202),  # warm-up
    (0, 3, 10_000, 10_001, 10_007, 202),
    (0, 4, 15_000, 15_400, 15_408, 202),  # held up: counts from when it was due
    (1, 2, 19_999, 20_001, 20_003, 202),  # due within, sent behind
]
# subscriber, topic, seq, due_ms (when the server took it), sent_ms, received_ms
ECHOES = [
    (0, 0, 2, 9_002, 9_002, 9_003),
    (0, 0, 3, 10_004, 10_004, 10_010),
    (0, 0, 4, 15_404, 15_404, 15_410),
    (1, 1, 2, 20_002, 20_002, 20_004),
]


def published(tmp_path, posts=POSTS, echoes=ECHOES, **changes):
    settings = OWN | {"load.subscribers": 2} | changes.pop("settings", {})
    return measure(cell(tmp_path, echoes, publishes=posts, settings=settings, **changes), pulls=False)


def test_latencies_count_from_when_it_was_due_in_the_window(tmp_path):
    samples = published(tmp_path).upstream.samples
    assert sorted(samples["up"].values) == [3, 4, 404]
    assert sorted(samples["acknowledged"].values) == [4, 7, 408]
    assert sorted(samples["echo"].values) == [5, 10, 410]
    assert list(samples["bytes"].values) == [300] * 3
    assert list(samples["answer_bytes"].values) == [100] * 3


def test_counts_are_of_the_window(tmp_path):
    m = published(tmp_path)
    assert (m.upstream.planned, m.upstream.sent, m.upstream.failed) == (3, 2, 0)
    assert len(m.publish.values) == 0, "an event is due when the server takes it: that is no punctuality"
    assert len(m.latency.values) == 2


def test_samples_are_clustered_by_subscriber_where_there_are_enough(tmp_path):
    posts = [(i, 2, 12_000 + i, 12_001 + i, None, 0) for i in range(12)]
    echoes = [(i, i, 2, 12_001 + i, 12_001 + i, 12_002 + i) for i in range(12)]
    m = published(tmp_path, posts, echoes, settings={"load.subscribers": 12})
    assert sorted(m.upstream.samples["echo"].cluster) == list(range(12))
    assert m.upstream.samples["echo"].clusters == 12
    assert len(m.upstream.samples["acknowledged"].values) == 0, "the way has none: empty, not 0"
    assert np.isnan(metrics.values([m])["acknowledged_ms_p50"])


def test_what_nobody_refused_and_did_not_come_back_is_lost(tmp_path):
    m = published(tmp_path, echoes=ECHOES[:2])
    assert (m.faults.lost, m.faults.duplicated, m.faults.corrupted) == (2, 0, 0)
    assert "2 lost" in checks.status(m.cell, m)


def test_nothing_came_back_at_all_is_all_lost_whatever_the_server_counts(tmp_path):
    assert published(tmp_path, echoes=[]).faults.lost == 4
    assert published(tmp_path, echoes=[], published={}).faults.lost == 4


def test_what_failed_is_a_failure_and_not_owed(tmp_path):
    posts = [*POSTS, (1, 0, 12_000, 12_001, None, 503), (1, 0, 13_000, None, None, -1)]
    m = published(tmp_path, posts)
    assert (m.upstream.planned, m.upstream.failed, m.faults.lost) == (5, 2, 0)
    assert "2 publishes did not go out, were refused or not acknowledged" in checks.status(m.cell, m)


def test_a_seq_that_was_published_twice_came_back_to_the_later_one(tmp_path):
    frames = [(0, 2, 11_000, 11_001, None, 0), (0, 2, 12_000, 12_001, None, 0)]
    m = published(tmp_path, frames, [(0, 0, 2, 12_002, 12_002, 12_003)])
    assert list(m.upstream.samples["echo"].values) == [3]
    assert m.faults.lost == 1


def test_costs_are_divided_by_what_went_out_in_the_window(tmp_path):
    resources = [
        (10 * S, "from", "server", 1, 1_000_000, 5000, 1, 1, 700),
        (20 * S, "to", "server", 1, 1_300_000, 5000, 1, 1, 700),
    ]
    load = {"window_bytes": {"up": 800, "down": 500, "segments_up": 4, "segments_down": 4}}
    found = metrics.values([published(tmp_path, resources=resources, load=load)])
    assert found["server_cpu_us_per_publish"] == pytest.approx(150)
    assert found["bytes_up_per_publish"] == pytest.approx(400)
    assert found["bytes_down_per_publish"] == pytest.approx(250)
    assert found["publish_bytes"] == pytest.approx(300)
    assert found["echo_ms_mean"] == pytest.approx(425 / 3)
    assert (found["publishes"], found["publish_failures"]) == (3, 0)


def test_where_nobody_publishes_all_of_it_is_empty(tmp_path):
    m = measure(cell(tmp_path, [(0, 0, 1, 10_000, 10_001, 10_002)]), pulls=False)
    found = metrics.values([m])
    assert all(np.isnan(found[metric.name]) for metric in metrics.UPSTREAM)
    assert not np.isnan(found["delivery_ms_mean"])


def test_a_connection_that_only_publishes_is_no_subscriber(tmp_path):
    rows = [{"subscriber": 0, "started_ns": 0, "tcp_ns": 1_000_000}]
    m = published(tmp_path, connections=[*rows, {**rows[0], "purpose": "publish"}])
    assert m.connected == 1


def test_nothing_heard_is_invalid(tmp_path):
    m = published(tmp_path, posts=[], echoes=[])
    assert "no deliveries where events were owed" in checks.status(m.cell, m)


def test_repeats_are_compared_by_what_they_are_about(tmp_path):
    slow = [(i, 2, 12_000, 12_001, None, 0) for i in range(12)]
    taken = [(i, i, 2, 12_001, 12_001, 12_002) for i in range(12)]
    late = [(i, i, 2, 12_901, 12_901, 12_902) for i in range(12)]  # as quick from the server on, and 900 ms up
    both = [
        published(tmp_path / str(k), slow, echoes, settings={"load.subscribers": 12}, repeat=k)
        for k, echoes in enumerate((taken, late), start=1)
    ]
    assert checks.together(["ok", "ok"], both).startswith("invalid: repeats contradict each other: medians 2 and 902")
