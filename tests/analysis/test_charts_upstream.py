"""The chart of the upstream direction: ways by name, headline and sentence from ``ok`` rows, nothing where none is."""

from __future__ import annotations

import numpy as np
import pytest

from analysis import charts, report_tables
from analysis.charts_upstream import way
from tests.analysis.frames_of import frames, push, row


def sent(transport, echo, size, acknowledged=None, **more):
    base = {"feed.publisher": "subscribers", "feed.payload_bytes": 256, "load.subscribers": 100}
    base |= {"echo_ms_p50": echo, "echo_ms_p95": 3 * echo, "upstream_ms_p50": echo / 2, "publish_bytes": size}
    base |= {"bytes_up_per_publish": size + 1.0, "bytes_down_per_publish": 400.0, "server_cpu_us_per_publish": size / 2}
    base |= {
        "delivery_ms_p50": echo / 2,
        "delivery_ms_mean": echo,
        "bytes_up_per_event": 1.0,
        "bytes_down_per_event": 2,
    }
    base |= {} if acknowledged is None else {"acknowledged_ms_p50": acknowledged}
    return row("upstream", transport, **(base | more))


FRAME = sent("websocket", 0.25, 264.0)
POST = sent("sse", 0.34, 385.0, 0.37, **{"upstream.keep_alive": True})
NEW = sent("sse", 2.2, 404.0, 2.3, **{"upstream.keep_alive": False})


def drawn(of):
    return {picture.chart.name: picture.drawn for picture in charts.draw(of)}


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"upstream.keep_alive": True}, "POST"),
        ({"upstream.keep_alive": np.False_}, "POST, new connection"),
        ({"upstream.receipt": False, "upstream.keep_alive": np.nan}, "SEND"),
        ({"upstream.receipt": True}, "SEND, RECEIPT"),
        ({"acknowledged_ms_p50": 0.3}, "POST"),
        ({}, "frame"),
    ],
)
def test_a_way_is_named_by_the_settings_that_choose_it(settings, name):
    assert way(settings) == name


def test_the_leanest_and_the_fattest_way_are_named_and_how_soon_it_comes_back():
    said = drawn(frames([FRAME, POST, NEW]))["upstream"]
    assert said.title == (
        "To publish 256 B takes 264 B by WebSocket (frame), 404 B by Server-Sent Events (POST, new connection);"
        " it is heard back after 0.250 ms at best"
    )
    assert said.sentence.startswith("Heard back at the median: WebSocket (frame) 0.250 ms (±0.005), Server-Sent Events")
    assert "Acknowledged at the median: Server-Sent Events (POST) 0.370 ms" in said.sentence
    assert "frame" not in said.sentence.split("Acknowledged")[1].split(".")[0], "nothing acknowledges a frame"
    assert list(said.table["echo_ms_p50"]) == [0.34, 2.2, 0.25], "by transport in the order of the run, then by way"


def test_rows_carry_their_figures():
    figure = drawn(frames([FRAME, POST]))["upstream"].figure
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert texts == ["0.340, 1.02", "0.250, 0.750"]
    labels = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert labels == ["Server-Sent Events\nPOST", "WebSocket\nframe"]


def test_an_invalid_cell_is_not_concluded_from():
    said = drawn(frames([POST, sent("websocket", 0.1, 200.0, status="invalid: late")]))["upstream"]
    assert "WebSocket" not in said.title
    assert said.sentence.endswith("Not concluded from: 1 cell of WebSocket, drawn hollow.")
    assert drawn(frames([row("upstream", "sse", **{"feed.publisher": "subscribers"})])) == {}


def test_no_other_chart_mixes_it_with_what_the_server_publishes():
    both = frames([FRAME, POST, push("sse", 0.2), push("websocket", 0.3)])
    found = drawn(both)
    assert set(found["latency"].table["experiment"]) == {"fan_out"}
    assert set(found["frontier"].table["experiment"]) == {"fan_out"}
    assert list(drawn(frames([FRAME, POST]))) == ["upstream"]


def test_its_table_shows_what_became_of_a_publish_and_the_overview_leaves_it_out():
    both = frames([FRAME, POST, push("sse", 0.2), push("websocket", 0.3)])
    heads = [head for head, _ in report_tables.numbers(both, "upstream").heads]
    assert {"heard back, p50", "acknowledged, p50", "bytes of a publish"} <= set(heads)
    assert "p50 delivery latency" not in heads
    sources = {source for _, source in report_tables.decision(both).heads}
    assert sources == {"", "fan_out"}
