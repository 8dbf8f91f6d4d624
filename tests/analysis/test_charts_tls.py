"""TLS in charts and tables: what it adds, on runs whose additions one knows; runs from before it are as they were."""

import math

import numpy as np
import pytest

from analysis import charts, report_tables
from analysis.charts_cost import round_trips
from analysis.frames import Frames, beside_tls, cell_settings, conditions, plain_text, varied
from analysis.load import open_run
from analysis.results import evaluate
from tests.analysis import fake_run

VERSIONS = ("off", "1.2", "1.3")


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    folder = fake_run.make(
        tmp_path_factory.mktemp("run") / "run", ("fan_out", "connection_cost"), scale=0.8, repeats=1, tls=VERSIONS,
        transports=("polling", "sse", "websocket", "stomp_tcp"),
    )  # fmt: skip
    return evaluate(open_run(folder))


@pytest.fixture(scope="module")
def frames(results):
    return Frames.read(results)


def drawn(frames, name):
    (found,) = [one.drawn for one in charts.draw(frames) if one.name == name]
    return found


def texts(figure):
    return [text.get_text() for axes in figure.axes for text in axes.texts]


def test_the_handshake_is_a_phase_of_its_own(results):
    idle = results.cells[results.cells["experiment"] == "connection_cost"].set_index(["transport", "tls"])
    assert math.isnan(idle.loc[("sse", "off"), "connect_tls_ms_p50"])
    assert idle.loc[("sse", "1.3"), "connect_tls_ms_p50"] == pytest.approx(1.2, rel=0.05)
    assert idle.loc[("sse", "1.2"), "connect_tls_ms_p50"] == pytest.approx(1.5, rel=0.05)
    assert np.allclose(idle["connect_upgrade_ms_p50"].dropna(), 0.3, rtol=0.05)


def test_the_connection_chart_sets_tls_beside_plain(frames):
    chart = drawn(frames, "connection_cost-connection")
    names = [label.get_text() for label in chart.figure.axes[0].get_yticklabels()]
    assert names[:4] == ["HTTP polling", "TLS 1.2", "TLS 1.3", "Server-Sent Events"]
    assert len(chart.table) == 12
    assert "TLS 1.3 adds 1.2" in chart.sentence
    assert "276 KiB of server memory" in chart.sentence
    assert chart.figure.axes[0].get_xlabel() == "light to dark: TCP, TLS, HTTP, subscribe"
    opened = [text for text in texts(chart.figure) if text.endswith(" RTT")]
    assert [text.rsplit(", ", 1)[1] for text in opened] == [f"{n} RTT" for n in (2, 4, 3) * 4]


@pytest.mark.parametrize(
    ("upgrade", "pipelined", "trips"),
    [(True, None, (2, 3, 4)), (False, True, (2, 3, 4)), (False, False, (3, 4, 5)), (True, True, (3, 4, 5)),
     (True, False, (4, 5, 6))],
    ids=["SSE, WebSocket, a poll", "STOMP/TCP", "STOMP/TCP waiting", "STOMP/WebSocket", "STOMP/WebSocket waiting"],
)  # fmt: skip
def test_round_trips_are_those_of_the_methodology(upgrade, pipelined, trips):
    row = {"connect_upgrade_ms_p50": 0.3 if upgrade else math.nan, "stomp.pipelined": pipelined}
    assert tuple(round_trips(row | {"tls": tls}) for tls in ("off", "1.3", "1.2")) == trips
    assert round_trips(row) == trips[0]


def test_subscribers_over_tls_stand_beside_those_without(frames):
    chart = drawn(frames, "fan_out-subscribers")
    assert "Server-Sent Events over TLS 1.3 " in chart.sentence
    assert "With as many subscribers" in chart.sentence
    (line,) = [line for line in chart.figure.axes[0].lines if list(line.get_xdata()) == [10, 100, 1000]][:1]
    assert len(line.get_ydata()) == 3  # one point for each number of subscribers: the plain ones


def test_charts_that_do_not_speak_of_tls_leave_it_out(frames):
    for name in ("frontier", "fan_out-latency"):
        assert "TLS" not in drawn(frames, name).sentence
    assert "tls" in varied(frames.of("fan_out"))
    assert set(plain_text(frames.of("fan_out"))["tls"]) == {"off"}
    only = frames.of("connection_cost")
    only = only[only["tls"] == "1.3"]
    assert len(plain_text(only)) == len(only)
    assert conditions(only).endswith(" · TLS 1.3")


def test_bytes_per_event_are_shown_for_both(frames):
    chosen = beside_tls(frames, frames.of("fan_out"), "bytes_down_per_event")
    assert list(chosen["tls"]) == ["off", "1.2", "1.3"] * 4
    assert set(chosen["load.subscribers"]) == {100}
    assert "over" not in drawn(frames, "fan_out-per_event").title


def test_tables_name_it(frames, results):
    names = [row[0].text for row in report_tables.numbers(frames, "connection_cost").rows]
    assert sorted(names[:3]) == ["HTTP polling, TLS 1.2", "HTTP polling, TLS 1.3", "HTTP polling, no TLS"]
    assert cell_settings({"experiment": "e", "transport": "sse", "cell": "sse/tls=1.3"}) == "TLS 1.3"
    decided = report_tables.decision(frames)
    held = next(i for i, (head, _) in enumerate(decided.heads) if head == "memory per connection")
    assert {row[held].text for row in decided.rows} == {"22.5 KiB"}  # the table at a glance is of plain cells


def test_a_run_from_before_tls_is_as_it_was(tmp_path):
    folder = fake_run.make(tmp_path / "run", ("connection_cost",), transports=("sse", "websocket"), scale=0.8)
    frames = Frames.read(evaluate(open_run(folder)))
    chart = drawn(frames, "connection_cost-connection")
    assert [label.get_text() for label in chart.figure.axes[0].get_yticklabels()] == ["Server-Sent Events", "WebSocket"]
    assert "TLS" not in chart.sentence
