import math

import pytest

from analysis import metrics
from analysis.load import open_run
from analysis.measured import measure
from tests.analysis import fake_run
from tests.analysis.rows import S, cell

NAN = pytest.approx(math.nan, nan_ok=True)
# what summary.csv holds at least
AT_LEAST = {
    "deliveries", "delivery_ms_mean", "delivery_ms_p50", "delivery_ms_p95", "delivery_ms_p99",
    "delivery_ms_p999", "delivery_ms_max", "publish_delay_ms_p50", "publish_delay_ms_p99", "transit_ms_p50",
    "age_s_mean", "responses", "empty_responses", "empty_ratio", "requests_per_event", "heartbeats",
    "bytes_up_per_event", "bytes_down_per_event", "segments_per_event", "connect_ms_p50", "connect_ms_p99",
    "connect_bytes", "server_cpu_us_per_delivery", "load_cpu_us_per_delivery", "server_cpu_us_per_connection",
    "server_bytes_per_connection", "idle_bytes_per_minute", "lost", "duplicated", "reordered", "corrupted",
    "missed",
}  # fmt: skip


def of(made, *, pulls=False):
    return metrics.values([measure(made, pulls=pulls)])


def test_every_metric_of_the_format_has_a_row_that_says_what_it_means():
    assert set(metrics.BY_NAME) >= AT_LEAST
    assert len(metrics.BY_NAME) == len(metrics.METRICS)
    assert all(row.meaning and row.label and row.better in ("lower", "higher", "") for row in metrics.METRICS)


def test_latencies_one_knows_by_heart(tmp_path):
    """1 … 100 ms, once each: mean 50.5, median 50.5; a p95 needs 400 samples, so it stays empty."""
    rows = [(0, 0, i, 10_000 + 50 * i, 10_000 + 50 * i, 10_000 + 51 * i) for i in range(1, 101)]
    found = of(cell(tmp_path, rows, published={"t0": 100}))
    assert found["deliveries"] == 100
    assert found["delivery_ms_mean"] == found["delivery_ms_p50"] == pytest.approx(50.5)
    assert found["delivery_ms_max"] == 100
    assert found["delivery_ms_p95"] == NAN
    assert found["lost"] == 0


def test_a_p95_from_400_samples(tmp_path):
    rows = [(0, 0, i, 10_000 + i, 10_000 + i, 10_000 + 2 * i) for i in range(1, 401)]
    found = of(cell(tmp_path, rows))
    assert found["delivery_ms_p95"] == pytest.approx(380.05)
    assert found["delivery_ms_p99"] == NAN


def test_responses_apply_to_transports_that_ask(tmp_path):
    made = cell(tmp_path, [(0, 0, 1, 11000, 11000, 11001)], [(0, 11001, 1), (0, 12000, 0), (0, 13000, 0)])
    asked = of(made, pulls=True)
    assert (asked["responses"], asked["empty_responses"], asked["requests_per_event"]) == (3, 2, 3)
    assert asked["empty_ratio"] == pytest.approx(2 / 3)
    assert asked["heartbeats"] == NAN
    pushed = of(made, pulls=False)
    assert [pushed[name] for name in ("responses", "empty_responses", "empty_ratio", "requests_per_event")] == [NAN] * 4


def test_no_answers_give_no_ratio(tmp_path):
    found = of(cell(tmp_path, [(0, 0, 1, 11000, 11000, 11001)]), pulls=True)
    assert found["responses"] == 0
    assert found["empty_ratio"] == NAN


def test_bytes_and_cpu_of_the_window_are_shared_out(tmp_path):
    rows = [(0, 0, 1, 9999, 9999, 10001), (0, 0, 2, 11000, 11000, 11001)]  # both received in the window
    marks = [(0, "from", "server", 1, 0, 1, 1, 1, 1), (9, "to", "server", 1, 50_000, 1, 1, 1, 1)]
    bytes_of = {"up": 10, "down": 600, "segments_up": 1, "segments_down": 2}
    found = of(cell(tmp_path, rows, resources=marks, load={"window_bytes": bytes_of}))
    assert found["server_cpu_us_per_delivery"] == 25
    assert found["load_cpu_us_per_delivery"] == NAN
    assert (found["bytes_up_per_event"], found["bytes_down_per_event"], found["segments_per_event"]) == (5, 300, 1.5)


@pytest.mark.parametrize("counted", [{}, {"window_bytes": None}, {"window_bytes": {"up": None, "down": None}}])
def test_bytes_the_kernel_did_not_count_are_empty(tmp_path, counted):
    found = of(cell(tmp_path, [(0, 0, 1, 11000, 11000, 11001)], load=counted))
    assert found["bytes_up_per_event"] == NAN
    assert found["segments_per_event"] == NAN


def test_idle_connections(tmp_path):
    marks = [
        (0, "verified", "server", 1, 0, 1000, 1, 1, 500), (0, "subscribed", "server", 1, 30_000, 5000, 1, 1, 1300),
    ]  # fmt: skip
    held = [{"subscriber": i, "started_ns": 0, "tcp_ns": S, "heartbeats": 1} for i in range(2)]
    made = cell(
        tmp_path, connections=held, resources=marks, load={"window_bytes": {"up": 100, "down": 20}},
        settings={"feed.rate_hz": 0.0, "load.subscribers": 2},
    )  # fmt: skip
    found = of(made)
    assert found["idle_bytes_per_minute"] == 360  # 60 B a connection in 10 s
    assert found["server_user_bytes_per_connection"] == 2000
    assert found["server_kernel_bytes_per_connection"] == 200  # half of 800 over two connections
    assert found["server_bytes_per_connection"] == 2200
    assert found["server_cpu_us_per_connection"] == 15
    assert found["heartbeats"] == 2
    assert [found[name] for name in ("deliveries", "delivery_ms_mean", "lost", "bytes_up_per_event")] == [NAN] * 4


def test_repeats_are_pooled_and_percentiles_never_averaged(tmp_path):
    def repeat(name, latency_ms):
        rows = [(0, 0, i, 10_000 + i, 10_000 + i, 10_000 + i + latency_ms) for i in range(1, 100)]
        return measure(cell(tmp_path / name, rows), pulls=False)

    found = metrics.values([repeat("a", 1), repeat("b", 1), repeat("c", 100)])
    assert found["delivery_ms_p50"] == 1
    assert found["delivery_ms_mean"] == pytest.approx(34)
    assert found["deliveries"] == 297


def test_a_whole_run_has_the_answers_it_was_made_with(tmp_path):
    run = open_run(fake_run.make(tmp_path, ("fan_out", "poll_interval", "hold_timeout"), repeats=1, scale=0.2))
    by_cell = {c.cell: metrics.values([measure(c, pulls=run.pulls(c.transport))]) for c in run.cells}
    websocket = by_cell["websocket/load.subscribers=100"]
    # 0.2 ms transit, 0.05 ms publish delay, 10 us for each before it (49.5 on average), 0.02 ms of jitter
    assert websocket["delivery_ms_mean"] == pytest.approx(0.2 + 0.05 + 0.495 + 0.02, rel=0.02)
    assert websocket["publish_delay_ms_p50"] == NAN  # fewer than 40 events
    assert websocket["server_cpu_us_per_delivery"] == pytest.approx(8)
    assert websocket["load_cpu_us_per_delivery"] == pytest.approx(5)
    assert websocket["server_bytes_per_connection"] == pytest.approx(23_000)
    assert websocket["connect_bytes"] == 520
    polled = by_cell["polling/polling.interval_s=0.5"]
    assert polled["responses"] == pytest.approx(80, abs=10)
    held = by_cell["long_polling/long_polling.hold_s=25.0/long_polling.gap_s=0.0"]
    assert held["delivery_ms_p50"] == pytest.approx(0.2)
    assert all(found["lost"] == found["duplicated"] == found["reordered"] == 0 for found in by_cell.values())
