"""Costs out of made-up runs whose costs one knows."""

import json

import numpy as np
import pandas as pd
import pytest

from analysis import costs
from analysis.load import BadRunError

A, B = 40.0, 90.0  # us of a request, of an event


def row(cell, transport, repeat=1, *, status="ok", experiment="poll_interval", **metrics):
    return {
        "experiment": experiment,
        "cell": cell,
        "repeat": repeat,
        "transport": transport,
        "status": status,
        **metrics,
    }


def busy(transport, cell, requests, repeat=1, *, status="ok", scale=1.0):
    return row(
        cell, transport, repeat, status=status, deliveries=1000.0, requests_per_event=requests,
        server_cpu_us_per_delivery=scale * (A * (0 if np.isnan(requests) else requests) + B),
        bytes_up_per_event=80.0 * np.nan_to_num(requests), bytes_down_per_event=90.0 * np.nan_to_num(requests) + 400.0,
        segments_per_event=3.0 * np.nan_to_num(requests, nan=2 / 3),
    )  # fmt: skip


def idle(transport, held=10_000.0):
    return row(
        f"{transport}/idle", transport, experiment="connection_cost", server_cpu_us_per_connection=300.0,
        connect_bytes=170.0, server_bytes_per_connection=held, idle_bytes_per_minute=96.0,
    )  # fmt: skip


ROWS = (
    *(busy("polling", f"polling/{p}", p, r) for p in (0.2, 1.0, 5.0) for r in (1, 2)),
    *(busy("long_polling", f"long_polling/{p}", p, r) for p in (1.0, 2.0) for r in (1, 2)),
    *(busy("sse", "sse", np.nan, r, scale=s) for r, s in ((1, 0.9), (2, 1.1))),
    *(idle(name) for name in ("polling", "long_polling", "sse")),
)


def write(folder, rows=ROWS, *, shared=(), started="2026-11-24T10:00:00Z", tls=(), machine=None, settings=None):
    folder.mkdir(parents=True)
    frame = pd.DataFrame(list(rows))
    frame.to_csv(folder / "summary.csv", index=False)
    cells = [
        {
            "experiment": one.experiment, "cell": one.cell,
            "settings": {
                "feed.topics": 1 if one.cell in shared else "per_subscriber", "load.subscribers": 100,
                "feed.payload_bytes": 256, "server.heartbeat_s": 5, "tls": "1.3" if one.cell in tls else "off",
                **(settings or {}).get(one.cell, {}),
            },
        }
        for one in frame.itertuples()
    ]  # fmt: skip
    labels = {"polling": True, "long_polling": True, "sse": False, "stomp_tcp": False}
    meta = {
        "started": started, "cells": cells, "machine": machine or {"cpu": "a made-up one", "cores_logical": 2},
        "transports": {name: {"label": name.upper(), "pulls": pulls} for name, pulls in labels.items()},
    }  # fmt: skip
    (folder / "run.json").write_text(json.dumps(meta))
    return folder


def test_a_line_through_the_cells_parts_requests_from_events(tmp_path):
    found = costs.of_run(write(tmp_path / "run")).by_transport
    polling = found["polling"]
    assert polling.cpu_us_per_request.value == pytest.approx(A)
    assert polling.cpu_us_per_event.value == pytest.approx(B)
    assert polling.bytes_up_per_request.value == pytest.approx(80)
    assert polling.bytes_down_per_event.value == pytest.approx(400)
    assert polling.held_bytes.value == 10_000
    assert np.isnan(polling.held_bytes.low)  # one repeat has no interval
    sse = found["sse"]
    assert sse.cpu_us_per_request == costs.NOTHING
    assert sse.cpu_us_per_event.value == pytest.approx(B)
    assert sse.cpu_us_per_event.low < 0.9 * B < 1.1 * B < sse.cpu_us_per_event.high
    assert sse.idle_bytes_per_minute.value == 96
    assert sse.heartbeat_s == 5


def test_a_shared_topic_leaves_the_event_what_its_requests_did_not_take(tmp_path):
    rows = [
        *ROWS,
        *(busy("polling", "together", 0.5, r, scale=0.5) for r in (1, 2)),
        busy("sse", "together", np.nan, scale=0.1),
    ]
    found = costs.of_run(write(tmp_path / "run", rows, shared=("together",)), shared=True).by_transport
    assert found["polling"].cpu_us_per_request.value == pytest.approx(A)
    assert found["polling"].cpu_us_per_event.value == pytest.approx(0.5 * (A * 0.5 + B) - A * 0.5)
    assert found["sse"].cpu_us_per_event.value == pytest.approx(0.1 * B)
    assert "long_polling" not in found  # it was not measured so


def test_invalid_cells_count_only_where_there_is_nothing_better(tmp_path):
    rows = [
        *ROWS,
        busy("sse", "sse", np.nan, 3, status="invalid: late", scale=9),
        busy("sse", "sse", np.nan, 4, status="failed: x"),
    ]
    assert costs.of_run(write(tmp_path / "a", rows)).by_transport["sse"].cpu_us_per_event.value == pytest.approx(B)
    poor = [one | {"status": "invalid: late"} if one["transport"] == "sse" else one for one in ROWS]
    assert costs.of_run(write(tmp_path / "b", poor)).by_transport["sse"].cpu_us_per_event.value == pytest.approx(B)


@pytest.mark.parametrize("setting", [{"feed.publisher": "subscribers"}, {"polling.mode": "latest"}])
def test_cells_that_tell_of_something_else_are_left_out(tmp_path, setting):
    rows = [
        *ROWS,
        *(busy(name, f"{name}/other", requests, scale=9) for name, requests in (("polling", 1), ("sse", np.nan))),
    ]
    other = {f"{name}/other": setting for name in ("polling", "sse")}
    found = costs.of_run(write(tmp_path / "run", rows, settings=other)).by_transport
    assert found == costs.of_run(write(tmp_path / "plain")).by_transport


def test_tls_has_costs_of_its_own(tmp_path):
    run = write(tmp_path / "run", tls=("sse",))
    assert "sse" not in costs.of_run(run).by_transport
    assert set(costs.of_run(run, tls="1.3").by_transport) == {"sse"}


def test_the_newest_run_that_knows_enough_wins(tmp_path):
    write(tmp_path / "old", started="2026-01-01T00:00:00Z")
    write(tmp_path / "newer", started="2026-02-01T00:00:00Z")
    write(tmp_path / "newest", ROWS[:6], started="2026-03-01T00:00:00Z")  # polling alone
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "summary.csv").write_text("")
    found = costs.newest(tmp_path)
    assert "(newer;" in found.source
    assert "another machine" in found.source
    assert not found.here


def test_a_transport_whose_connections_were_not_measured_has_no_price(tmp_path):
    rows = [*ROWS, busy("stomp_tcp", "stomp_tcp", np.nan)]
    write(tmp_path / "run", rows)
    assert "stomp_tcp" in costs.of_run(tmp_path / "run").by_transport
    assert set(costs.newest(tmp_path).by_transport) == {"polling", "long_polling", "sse"}


def test_without_a_run_of_ones_own_it_says_that_the_reference_speaks(tmp_path):
    found = costs.newest(tmp_path)
    assert "committed reference" in found.source
    assert "make bench" in found.source
    assert found.by_transport["polling"].cpu_us_per_request.low > 0


@pytest.mark.parametrize("spoil", ["run.json", "summary.csv"])
def test_a_folder_that_is_no_run(tmp_path, spoil):
    folder = write(tmp_path / "run")
    (folder / spoil).unlink()
    with pytest.raises(BadRunError, match="expected a run"):
        costs.of_run(folder)


def test_lines_and_means_that_cannot_be_told():
    nan = float("nan")
    assert costs.mean(np.array([nan])) is costs.UNKNOWN
    assert costs.straight(np.array([1.0, 1.0, 1.0]), np.array([1.0, 2.0, 3.0])) == (costs.UNKNOWN, costs.UNKNOWN)
    assert costs.straight(np.array([1.0, 2.0]), np.array([1.0, 2.0]))[0] is costs.UNKNOWN
    slope, intercept = costs.straight(np.array([1.0, 2.0, 3.0]), np.array([0.0, 2.0, 4.0]))
    assert slope.value == pytest.approx(2)
    assert intercept.value == 0  # a cost is not below nothing
