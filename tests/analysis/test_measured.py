import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from analysis.checks import cell_caveats
from analysis.measured import BATCHES, first_receipts, measure
from analysis.metrics import values
from tests.analysis.rows import MS, S, cell


def receipts(*pairs):
    """Rows of (subscriber, seq) received one after the other."""
    return pd.DataFrame(
        [{"subscriber": i, "seq": seq, "received_ns": at} for at, (i, seq) in enumerate(pairs)],
        columns=["subscriber", "seq", "received_ns"],
        dtype=np.int64,
    )


@pytest.mark.parametrize(
    ("pairs", "kept", "reordered"),
    [
        ([], [], 0),
        ([(0, 1), (0, 2), (1, 1), (1, 2)], [(0, 1), (0, 2), (1, 1), (1, 2)], 0),
        ([(1, 1), (0, 1), (1, 2), (0, 2)], [(0, 1), (0, 2), (1, 1), (1, 2)], 0),  # interleaved is not out of order
        ([(0, 1), (0, 1), (0, 2)], [(0, 1), (0, 2)], 0),
        ([(0, 2), (0, 1), (0, 3)], [(0, 2), (0, 1), (0, 3)], 1),
        ([(0, 3), (0, 1), (0, 2), (0, 3)], [(0, 3), (0, 1), (0, 2)], 2),  # a repeat of 3 counts as no reordering
        ([(0, 9), (1, 1), (1, 2)], [(0, 9), (1, 1), (1, 2)], 0),  # another subscriber's highest is not mine
        ([(0, 0), (0, 1)], [(0, 1)], 0),  # corrupted
    ],
)
def test_first_receipts(pairs, kept, reordered):
    rows, late = first_receipts(receipts(*pairs))
    assert list(zip(rows["subscriber"], rows["seq"], strict=True)) == kept
    assert late == reordered


def test_the_window_is_by_due_time_and_responses_by_their_end(tmp_path):
    m = measure(
        cell(
            tmp_path,
            [
                (0, 0, 1, 9999, 9999, 10001),
                (0, 0, 2, 10000, 10001, 10004),
                (0, 0, 3, 19999, 19999, 25000),
                (0, 0, 4, 20000, 20000, 20001),
            ],
            [(0, 9999, 1), (0, 10000, 0), (0, 19999, 2), (0, 20000, 0)],
        ),
        pulls=True,
    )
    assert sorted(m.latency.values) == [4, 5001]
    assert sorted(m.transit.values) == [3, 5001]
    assert m.received == 2  # 10,001 and 10,004: what CPU and bytes of the window were spent on
    assert (m.responses.sum(), m.empty.sum()) == (2, 1)


@pytest.mark.parametrize("status", [301, 307, 400, 404, 408, 410, 429, 500, 502, 503])
def test_a_refusal_is_a_request_and_never_an_empty_answer(tmp_path, status):
    answers = [(0, 11_000, 1), (0, 12_000, 0), (0, 13_000, 0), (0, 14_000, 0)]
    one = cell(tmp_path, [(0, 0, 1, 10_500, 10_500, 11_000)], answers, transport="polling", published={"t0": 1})
    path = tmp_path / "responses.parquet"
    table = pq.read_table(path)
    statuses = pa.array([200, 204, 304, status], pa.int64())
    pq.write_table(table.set_column(table.column_names.index("status"), "status", statuses), path)
    m = measure(one, pulls=True)
    assert (m.responses.sum(), m.empty.sum(), m.refused) == (4, 2, 1)
    found = values([m])
    assert (found["refused_responses"], found["empty_responses"], found["empty_ratio"]) == (1, 2, 0.5)
    assert found["requests_per_event"] == 4
    (caveat,) = [c for c in cell_caveats(m) if "refusals" in c.seen]
    assert caveat.seen == "1 of 4 answers were refusals or errors (neither 200, 204 nor 304)"


def test_publish_delay_counts_an_event_once(tmp_path):
    rows = [(i, 0, seq, 11000 + seq, 11002 + seq, 11003 + seq) for i in range(3) for seq in (1, 2)]
    m = measure(cell(tmp_path, rows, settings={"load.subscribers": 3}), pulls=False)
    assert list(m.publish.values) == [2, 2]
    assert len(m.latency.values) == 6


def test_shared_topics_are_clustered_by_time_and_separate_ones_by_topic(tmp_path):
    shared = [(i, 0, 1, 10001, 10001, 10002) for i in range(12)] + [(i, 0, 2, 19999, 19999, 20001) for i in range(12)]
    m = measure(cell(tmp_path / "a", shared, settings={"load.subscribers": 12}), pulls=False)
    assert set(m.latency.cluster) == {0, BATCHES - 1}
    apart = [(i, i, 1, 10001, 10001, 10002) for i in range(12)]
    own = {"load.subscribers": 12, "feed.topics": "per_subscriber"}
    m = measure(cell(tmp_path / "b", apart, settings=own), pulls=False)
    assert sorted(m.latency.cluster) == list(range(12))


def test_age_is_the_exact_integral(tmp_path):
    # Held: seq 1 (due 9 s) from before the window on, seq 2 (due 14 s) from 15 s on: age 1…6 s over 5 s, twice.
    m = measure(cell(tmp_path, [(0, 0, 1, 9000, 9000, 9500), (0, 0, 2, 14000, 14000, 15000)]), pulls=False)
    assert list(m.age.values) == pytest.approx([3.5])


def test_age_ignores_an_older_event_that_comes_late_and_the_time_before_the_first(tmp_path):
    # Seq 2 (due 14 s) at 15 s; seq 1 (due 9 s) at 16 s changes nothing: age 1…6 s over the 5 s it holds something.
    m = measure(cell(tmp_path, [(0, 0, 2, 14000, 14000, 15000), (0, 0, 1, 9000, 9000, 16000)]), pulls=False)
    assert list(m.age.values) == pytest.approx([3.5])


def test_age_is_averaged_by_subscriber(tmp_path):
    rows = [(0, 0, 1, 9000, 9000, 9500), (1, 0, 1, 9000, 9000, 19000)]
    m = measure(cell(tmp_path, rows, settings={"load.subscribers": 2}), pulls=False)
    assert list(m.age.values) == pytest.approx([6, 10.5])


def faults(tmp_path, rows, published, **settings):
    m = measure(cell(tmp_path, rows, published=published, settings=settings), pulls=False)
    return m.faults


def test_faults_are_against_the_owed_feed(tmp_path):
    rows = [(0, 0, seq, 11000, 11000, 11000 + at) for at, seq in enumerate([1, 3, 2, 2, 0])]
    found = faults(tmp_path, rows, {"t0": 5})
    assert (found.lost, found.duplicated, found.reordered, found.corrupted) == (2, 1, 1, 1)
    assert np.isnan(found.missed)


def test_every_subscriber_is_owed_its_topic(tmp_path):
    found = faults(
        tmp_path, [(0, 0, 1, 11000, 11000, 11001)], {"t0": 1, "t1": 3}, **{"load.subscribers": 4, "feed.topics": 2}
    )
    assert found.lost == 0 + 3 + 1 + 3  # subscribers 0 … 3 on topics 0, 1, 0, 1


def test_nothing_received_of_what_was_published_is_all_lost(tmp_path):
    assert faults(tmp_path, [], {"t0": 7}).lost == 7


def test_a_foreign_feed_is_owed_from_the_first_received(tmp_path):
    rows = [(0, 0, seq, 11000, 11000, 11000 + seq) for seq in (5, 6, 9)]
    assert faults(tmp_path, rows, {}).lost == 2


def test_latest_state_misses_and_does_not_lose(tmp_path):
    found = faults(tmp_path, [(0, 0, 3, 11000, 11000, 11001)], {"t0": 3}, **{"polling.mode": "latest"})
    assert found.missed == 2
    assert np.isnan(found.lost)


def test_connecting_by_phase(tmp_path):
    base = {"subscriber": 0, "started_ns": 0, "bytes_up_subscribed": 10, "bytes_down_subscribed": 20, "heartbeats": 3}
    rows = [
        base | {"tcp_ns": 1_000_000, "upgraded_ns": 3_000_000, "subscribed_ns": 7_000_000},
        base | {"tcp_ns": 1_000_000, "tls_ns": 2_000_000, "upgraded_ns": 5_000_000},
        base | {"tcp_ns": 1_000_000, "subscribed_ns": 4_000_000},
        base | {"bytes_up_subscribed": None},  # never connected
        base | {"attempt": 1, "tcp_ns": 99_000_000},  # a reconnection is another matter
    ]
    m = measure(cell(tmp_path, connections=rows, settings={"load.subscribers": 4}), pulls=False)
    assert m.connected == 4
    assert list(m.connect["tcp"].values) == [1, 1, 1]
    assert list(m.connect["upgrade"].values) == [2, 3]
    assert list(m.connect["subscribe"].values) == [4, 3]
    assert list(m.connect["ready"].values) == [7, 5, 4]
    assert list(m.connect["bytes"].values) == [30, 30, 30]
    assert m.heartbeats == 15


def test_resources_between_marks(tmp_path):
    rows = [
        (0, "from", "server", 1, 1_000_000, 5000, 1, 1, 700), (0, "from", "load", 2, 0, 1, 1, 1, 700),
        (0, "from", "load", 3, 10_000, 1, 1, 1, 700), (5, "", "server", 1, 1_500_000, 9999, 1, 1, 999),
        (9, "to", "server", 1, 3_000_000, 8000, 1, 1, 1700), (9, "to", "load", 2, 4_000, 1, 1, 1, 1700),
        (9, "to", "load", 3, 20_000, 1, 1, 1, 1700), (9, "drained", "load", 2, 9_000, 1, 1, 1, None),
    ]  # fmt: skip
    m = measure(cell(tmp_path, resources=rows), pulls=False)
    assert m.cpu_us("server", "from", "to") == 2000
    assert m.cpu_us("load", "from", "to") == 14
    assert m.rss_bytes("from", "to") == 3000
    assert m.kernel_bytes("from", "to") == 1000
    assert np.isnan(m.cpu_us("load", "from", "drained"))  # process 3 has gone, and its time with it
    assert np.isnan(m.cpu_us("server", "ready", "to"))
    assert np.isnan(m.kernel_bytes("from", "drained"))


def test_a_cell_not_measured_to_its_end_is_nothing(tmp_path):
    assert measure(cell(tmp_path, status="failed"), pulls=False) is None
    assert measure(cell(tmp_path, window=None), pulls=False) is None
    assert measure(cell(tmp_path), pulls=False).cell.window.length_s * S == 10 * S


def test_a_feed_that_was_joined_and_goes_on_owes_what_lies_between(tmp_path):
    rows = [(0, 0, seq, 11000 + seq, 11000 + seq, 11001 + seq) for seq in (5, 6, 8, 9, 10, 11)]
    joined = {"published": {"t0": 9}, "owed_from": {"t0": 5}}
    m = measure(cell(tmp_path, rows, **joined), pulls=False)
    assert m.faults.lost == 1, "7 of 6 … 9; 5 was replayed, 10 and 11 came after the count"
    assert measure(cell(tmp_path, [], **joined), pulls=False).faults.lost == 4


DAY_MS = 86_400_000


def end(at_ms, offset_ms, bound_ms=0.5):
    return {"at_ns": at_ms * MS, "offset_ns": round(offset_ms * MS), "bound_ns": round(bound_ms * MS)}


def test_times_of_another_clock_are_brought_onto_ours_with_its_drift(tmp_path):
    # A server's clock a day ahead that gains 2 ms from 10 s to 20 s; every delivery takes 7 ms.
    clock = {"start": end(10_000, DAY_MS), "end": end(20_000, DAY_MS + 2)}
    rows = [(0, 0, 0, 0, 0, 12_000)]  # corrupted: it has no times
    for seq, received in enumerate((11_000, 15_000, 19_000), 1):
        sent = received - 7
        theirs = sent + DAY_MS + 2 * (sent - 10_000) / 10_000
        rows.append((0, 0, seq, theirs, theirs, received))
    one = cell(tmp_path, rows, published={"t0": 3}, clock=clock)
    m = measure(one, pulls=False)
    assert list(m.latency.values) == pytest.approx([7, 7, 7], abs=1e-3)
    assert m.faults.corrupted == 1
    assert one.clock_bound_ns == 500_000


def test_a_clock_that_may_be_ours_is_left_alone(tmp_path):
    clock = {"start": end(10_000, 0.4), "end": end(20_000, -0.4)}
    one = cell(tmp_path, [(0, 0, 1, 11_000, 11_000, 11_003)], clock=clock)
    assert list(measure(one, pulls=False).latency.values) == [3]
    assert one.clock_bound_ns == 0
