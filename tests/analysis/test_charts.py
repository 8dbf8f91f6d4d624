import numpy as np
import pytest

from analysis import charts
from analysis.charts import CHARTS
from tests.analysis.frames_of import comparison, frames, poll, push, row


def drawn(name, of):
    return {picture.chart.name: picture.drawn for picture in charts.draw(of)}.get(name)


def texts(figure):
    return [text.get_text() for axes in figure.axes for text in axes.texts] + [text.get_text() for text in figure.texts]


def idle(transport, **more):
    base = {"feed.rate_hz": 0.0, "connect_ms_p50": 0.4, "connect_tcp_ms_p50": 0.1, "connect_upgrade_ms_p50": 0.3}
    base |= {"server_user_bytes_per_connection": 20_000.0, "server_kernel_bytes_per_connection": 3_000.0}
    base |= {"server_bytes_per_connection": 23_000.0, "idle_bytes_per_minute": 60.0}
    return row("connection_cost", transport, **(base | more))


def held(hold_s, gap_s, **more):
    base = {
        "long_polling.hold_s": hold_s,
        "long_polling.gap_s": gap_s,
        "feed.rate_hz": 1.0,
        "delivery_ms_mean": 1 + 100 * gap_s,
    }
    return row(
        "hold_timeout",
        "long_polling",
        **(base | {"delivery_ms_p95": 1 + 400 * gap_s, "empty_ratio": np.exp(-hold_s)} | more),
    )


def state(interval_s, schedule):
    base = {"polling.mode": "latest", "feed.schedule": schedule, "feed.rate_hz": 2.0, "polling.interval_s": interval_s}
    return row("latest_state", "polling", **base, delivery_ms_mean=100.0, delivery_ms_p95=200.0, empty_ratio=0.5)


INTERVALS = (0.1, 0.5, 1.0, 2.0)


def policy(name, requests, p95, **more):
    base = {"polling.policy": name, "polling.interval_s": 1.0, "polling.longest_s": 2.2, "feed.rate_hz": 1.0}
    base |= {"delivery_ms_mean": p95 / 2, "delivery_ms_p95": p95, "empty_ratio": 0.7, "requests_per_event": requests}
    return row("adaptive", "polling", **(base | more))


EVERYTHING = [
    *(policy(name, 1.0, 900.0) for name in ("fixed_rate", "backoff")),
    *(
        push(name, p50, **{"load.subscribers": n})
        for n in (10, 100, 1000)
        for name, p50 in (("sse", 0.5), ("websocket", 0.4))
    ),
    *(push("polling", 250.0, **{"load.subscribers": n, "requests_per_event": 0.4}) for n in (10, 100, 1000)),
    *(poll(interval_s) for interval_s in INTERVALS),
    *(held(hold_s, gap_s) for hold_s in (0.5, 2.0) for gap_s in (0.0, 0.5)),
    *(idle(name) for name in ("sse", "websocket")),
    row("upstream", "sse", **{"feed.publisher": "subscribers", "echo_ms_p50": 0.3, "publish_bytes": 385.0}),
    *(state(interval_s, schedule) for schedule in ("constant", "poisson") for interval_s in (0.25, 1.0)),
]
AGREED = [
    {"experiment": "latest_state", "cell": one["cell"], "transport": "polling", "quantity": quantity, "unit": "",
     "measured": 0.5, "half_width": 0.01, "verdict": "agrees"}
    for one in EVERYTHING if one["experiment"] == "latest_state"
    for quantity in ("unique_published", "unique_received", "in_step")
]  # fmt: skip


def test_a_full_run_has_every_chart_and_an_empty_one_has_none():
    assert {picture.chart.name for picture in charts.draw(frames(EVERYTHING, agreement=AGREED, replayed=AGREED))} == {
        chart.name for chart in CHARTS
    }
    assert not list(charts.draw(frames([row()])))


def test_the_fastest_and_the_slowest_are_named_with_the_factor_between_them():
    said = drawn("latency", frames([push("sse", 0.4), push("polling", 250.0)]))
    assert (
        said.title
        == "Server-Sent Events delivers in 0.400 ms at the median; HTTP polling needs 250 ms, 620 times as long"
    )
    assert "0.400 ms (±0.008)" in said.sentence
    assert "longest tail is that of HTTP polling: p99 750 ms" in said.sentence


def test_transports_whose_intervals_touch_are_not_ranked():
    said = drawn("latency", frames([push("sse", 0.400), push("websocket", 0.405)]))
    assert "no difference can be shown" in said.title
    assert "WebSocket cannot be told from Server-Sent Events" in said.sentence


def test_an_invalid_cell_is_hollow_with_its_reason_and_is_not_concluded_from():
    said = drawn("latency", frames([push("sse", 0.4), push("websocket", 0.1, status="invalid: the clock stood still")]))
    assert "WebSocket 0.1" not in said.sentence
    assert said.title.startswith("Server-Sent Events delivers")
    assert said.sentence.endswith("Not concluded from: 1 cell of WebSocket, drawn hollow.")
    assert any("the clock stood still" in text for text in texts(said.figure))


@pytest.mark.parametrize("name", [chart.name for chart in CHARTS if not chart.simulated])
def test_without_a_valid_cell_every_chart_says_that_nothing_can_be_concluded(name):
    said = drawn(name, frames([{**one, "status": "invalid: late"} for one in EVERYTHING], agreement=AGREED))
    assert said.title == "No valid cell: nothing can be concluded"
    assert said.sentence.startswith("No valid cell")


def test_a_failed_cell_is_counted_though_it_has_no_numbers():
    failed = row(
        transport="websocket", status="failed: the server died", **{"load.subscribers": 100, "feed.rate_hz": 10.0}
    )
    said = drawn("latency", frames([push("sse", 0.4), push("polling", 250.0), failed]))
    assert said.sentence.endswith("Failed or skipped: 1 cell of WebSocket.")


def test_side_by_side_takes_the_row_nearest_to_100_subscribers():
    rows = [push(name, n / 100, **{"load.subscribers": n}) for n in (10, 100, 1000) for name in ("sse", "websocket")]
    assert set(drawn("latency", frames(rows)).table["load.subscribers"]) == {100}


def test_a_sweep_of_one_transport_stands_beside_nobody():
    assert drawn("latency", frames([poll(interval_s, delivery_ms_p50=1.0) for interval_s in INTERVALS])) is None


def test_percentiles_go_no_further_than_twenty_samples_carry():
    of = frames([push("sse", 0.4), push("websocket", 0.5)], sample=np.linspace(0.1, 1, 2000))
    (axes,) = drawn("latency", of).figure.axes
    assert max(line.get_xdata()[-1] for line in axes.lines if len(line.get_xdata()) > 1) == pytest.approx(100)


def test_the_floor_is_a_band_with_its_height():
    of = frames(
        [push("sse", 0.4), push("websocket", 0.5)],
        floor={"sse": {"transit_ms_p50": 0.05}, "websocket": {"transit_ms_p50": 0.07}},
    )
    assert "floor of the instrument: 0.07 ms" in texts(drawn("latency", of).figure)
    assert not any(
        "floor" in text for text in texts(drawn("latency", frames([push("sse", 0.4), push("websocket", 0.5)])).figure)
    )


def test_the_poll_sweep_says_what_the_agreement_table_says():
    rows = [poll(interval_s) for interval_s in INTERVALS]
    agree = [comparison(interval_s, "agrees") for interval_s in INTERVALS]
    said = drawn("poll_interval", frames(rows, agreement=agree))
    assert said.title == "Half the poll interval, as the model says in all 4 comparisons"
    assert "at an interval of 1 s the mean is 500 ms (±10), and 36.8 % (±0.7) of answers are empty" in said.sentence


def test_a_miss_of_the_model_is_said_with_both_numbers():
    rows = [poll(interval_s) for interval_s in INTERVALS]
    table = [comparison(0.1, "agrees"), comparison(1.0, "differs", measured=700.0), comparison(2.0, "too noisy")]
    said = drawn("poll_interval", frames(rows, agreement=table))
    assert "but the model misses 1 of 3 comparisons" in said.title
    assert "delivery_ms_mean 700 against 500 (interval 1 s" in said.sentence


@pytest.mark.parametrize(
    ("verdicts", "words"),
    [
        ([], "not compared with the model"),
        (["too noisy"] * 3, "too short"),
        (["agrees", "too noisy"], "in 1 of 2 comparisons, the rest too noisy"),
    ],
)
def test_a_model_is_not_praised_for_what_was_not_shown(verdicts, words):
    rows = [poll(interval_s) for interval_s in INTERVALS]
    table = [comparison(interval_s, verdict) for interval_s, verdict in zip(INTERVALS, verdicts, strict=False)]
    assert words in drawn("poll_interval", frames(rows, agreement=table)).title


def test_an_invalid_cells_agreement_does_not_count():
    rows = [poll(0.5), poll(1.0), poll(2.0, status="invalid: late")]
    said = drawn("poll_interval", frames(rows, agreement=[comparison(0.5, "agrees"), comparison(2.0, "differs")]))
    assert said.title.endswith("as the model says in the one comparison")


def test_the_models_curve_goes_through_points_that_follow_it():
    panels = drawn("poll_interval", frames([poll(interval_s) for interval_s in INTERVALS])).figure.axes
    mean, empty = panels[0].lines[0], panels[1].lines[0]
    assert mean.get_ydata()[-1] == pytest.approx(1000, rel=0.001)
    assert empty.get_ydata()[0] == pytest.approx(np.exp(-0.1), abs=0.001)


def test_the_hold_sweep_has_a_curve_for_each_gap_and_takes_its_transit_from_the_reference():
    rows = [held(hold_s, gap_s) for hold_s in (0.5, 2.0) for gap_s in (0.0, 0.5)]
    reference = {"experiment": "hold_timeout", "transport": "long_polling", "delivery_ms_mean": 3.0}
    said = drawn("hold_timeout", frames(rows, references=[reference]))
    labels = texts(said.figure)
    assert any("gap 0.5 s: mean" in text for text in labels)
    assert any("gap 0 s" in text for text in labels)
    assert said.figure.axes[0].lines[0].get_ydata()[0] == pytest.approx(3.0)


def test_a_transport_without_requests_has_no_bar_of_length_0():
    said = drawn("per_event", frames([push("sse", 0.4), push("polling", 250.0, requests_per_event=0.4)]))
    assert texts(said.figure).count("none: pushed") == 1
    assert "HTTP polling asks 0.400 (±0.008) times" in said.sentence


def test_a_connection_is_told_by_its_extremes():
    said = drawn(
        "connection", frames([idle("sse"), idle("websocket", connect_ms_p50=0.9, server_bytes_per_connection=46_000.0)])
    )
    assert (
        said.title
        == "A connection: up to 0.900 ms to open, 44.9 KiB of server memory to hold and 60.0 B a minute when idle"
    )
    assert "To hold: from 22.5 KiB (Server-Sent Events) to 44.9 KiB (WebSocket)." in said.sentence


def test_the_frontier_takes_pull_points_only_at_the_sweeps_own_rate_and_says_where_push_is_from():
    rows = [*(poll(interval_s) for interval_s in INTERVALS), push("sse", 0.4), push("long_polling", 0.6)]
    said = drawn("frontier", frames(rows))
    assert set(said.table["transport"]) == {"polling", "sse"}
    assert any("Server-Sent Events at 10/s" in text for text in texts(said.figure))
    slow = row(
        "hold_timeout",
        "long_polling",
        **{"feed.rate_hz": 1.0, "delivery_ms_mean": 0.6, "bytes_up_per_event": 150.0, "bytes_down_per_event": 450.0},
    )
    assert set(drawn("frontier", frames([*rows, slow])).table["transport"]) == {"polling", "sse", "long_polling"}


def test_the_frontier_weighs_the_shortest_poll_interval_against_the_freshest_transport():
    said = drawn("frontier", frames([*(poll(interval_s) for interval_s in INTERVALS), push("sse", 0.5)]))
    polled = "HTTP polling each 0.1 s moves 8.9 times the bytes of Server-Sent Events"
    assert said.title == f"{polled} and still delivers 100 times as late"


def test_more_subscribers_are_told_from_the_fewest_to_the_most():
    rows = [push("sse", n / 1000, **{"load.subscribers": n}) for n in (10, 100, 1000)]
    said = drawn("subscribers", frames(rows))
    assert said.title == "At 1,000 subscribers the median is 1.00 ms (Server-Sent Events)"
    assert "0.0100 ms (±0.0002) with 10, 1.00 ms (±0.02) with 1,000, at 8.00 µs (±0.16) of server CPU" in said.sentence


@pytest.mark.filterwarnings("error")
def test_without_a_floor_or_a_reference_the_hold_sweep_is_still_drawn():
    rows = [held(hold_s, gap_s) for hold_s in (0.5, 2.0) for gap_s in (0.0, 0.5)]
    labels = [text for text in texts(drawn("hold_timeout", frames(rows)).figure) if text.startswith("gap")]
    assert "gap 0 s: mean" in labels


def test_equal_bytes_are_not_told_as_a_factor():
    assert "about as much" in drawn("per_event", frames([push("sse", 0.4), push("websocket", 0.5)])).title


def test_a_label_with_a_dollar_is_drawn_and_not_parsed(tmp_path):
    of = frames([push("sse", 0.4), push("websocket", 0.5)])
    of.labels["sse"] = "$\\frac{1$ <b>"
    for picture in charts.draw(of):
        charts.save(picture, tmp_path)
    assert (tmp_path / "charts" / "fan_out-latency.svg").exists()


def test_saving_twice_gives_the_same_bytes_and_files_stay_in_the_folder(tmp_path):
    rows = [push(name, 0.5, experiment="../../up") for name in ("sse", "websocket")]
    (picture, *_) = [one for one in charts.draw(frames(rows)) if one.chart.name == "latency"]
    assert "/" not in picture.name
    assert charts.save(picture, tmp_path) == charts.save(picture, tmp_path)
    names = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.*"))
    assert names == [f"charts/{picture.name}.png", f"charts/{picture.name}.svg", f"tables/{picture.name}.csv"]


def test_the_state_chart_says_what_is_seen_and_what_is_asked_in_vain():
    states = [one for one in EVERYTHING if one["experiment"] == "latest_state"]
    said = drawn("latest_state", frames(states, agreement=AGREED))
    assert "With a tick each 0.5 s: polled every 0.25 s, 50% of the events are seen" in said.sentence
    assert "12 agrees" in said.sentence
    assert len(said.figure.axes) == 2
    assert drawn("latest_state", frames(states)) is None, "nothing was held against theory"


def test_how_far_away_is_half_the_data_interval():
    said = drawn("distance", frames([held(0.5, 0.0)], replayed=[{"verdict": "agrees"}]))
    assert "Up to 125 ms one way" in said.title
    assert said.table.loc[said.table["one_way_ms"] == 120, "long_polling_constant_ms"].item() == pytest.approx(
        120, rel=0.03
    )


def test_policies_are_compared_with_the_fixed_interval_of_much_the_same_p95():
    cells = [policy("backoff", 0.55, 870.0), policy("fixed_rate", 1.0, 950.0), policy("fixed_rate", 9.0, 99.0)]
    found = drawn("policies", frames(cells))
    assert found.title == "Back-off polling asks 45 % less often than a fixed interval: p95 870 instead of 950 ms"
    assert "back-off 1 to 2.2 s, rate 1/s asks 0.550 (±0.011) times for each event" in found.sentence
    assert drawn("policies", frames(cells[1:])) is None
    assert drawn("poll_interval", frames(cells[:2])) is None  # two points of two policies are no curve
