"""Traces as people have them: headings, zones, units, clients, and rows that cannot be read."""

import numpy as np
import pytest

from analysis import traces


@pytest.fixture
def write(tmp_path):
    def write(text):
        path = tmp_path / "events.csv"
        path.write_text(text, encoding="utf-8")
        return path

    return write


@pytest.mark.parametrize(
    ("text", "times"),
    [
        ("5\n7\n6.5\n", [0, 1.5, 2]),
        ("seconds\n5\n7\n", [0, 2]),
        ("2026-11-24T10:00:00Z\n2026-11-24T10:00:01.5Z\n", [0, 1.5]),
        ("\ufefftimestamp,amount\n2026-11-24 10:00:00,3\n2026-11-24 10:01:00,4\n", [0, 60]),
        ("time\n2026-11-24T10:00:00+01:00\n2026-11-24T09:00:02+00:00\n", [0, 2]),
        ("1764000000000\n1764000000250\n", [0, 0.25]),
        ("1764000000000000000\n1764000000500000000\n", [0, 0.5]),
        ("anything\n1\n2\n", [0, 1]),
        ("\n1\n\n2\n", [0, 1]),
    ],
)
def test_times(write, text, times):
    trace = traces.read(write(text))
    assert trace.times_s == pytest.approx(times, abs=1e-6)
    assert trace.clients == 1
    assert trace.bad == ()


@pytest.mark.parametrize("text", ["1,a\n2,b\n4,a\n", "user,time\na,1\nb,2\na,4\n"])
def test_clients(write, text):
    trace = traces.read(write(text))
    assert trace.names == ("a", "b")
    assert trace.client.tolist() == [0, 0, 1]
    assert trace.times_s.tolist() == [0, 3, 1]
    assert trace.rate_hz == pytest.approx(3 / 2 / 3)


def test_bad_rows_are_named_and_counted(write):
    rows = [str(i) for i in range(200)]
    rows[10] = "yesterday"
    rows[20] = "nan"
    rows[30:36] = ["x"] * 6
    trace = traces.read(write("\n".join(rows)))
    assert len(trace.times_s) == 192
    assert trace.bad[0] == "line 11: 'yesterday', expected ISO 8601 or seconds"
    assert trace.bad[1].startswith("line 21: 'nan'")
    assert len(trace.bad) == traces.NAMED + 1
    assert trace.bad[-1] == "8 of 200 rows left out"


def test_a_row_without_its_client_is_bad(write):
    trace = traces.read(write("".join(f"{i},a\n" for i in range(30)) + "31\n"))
    assert trace.bad == ("line 31: no column for whose it is", "1 of 31 rows left out")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "no rows"),
        ("a,b\n1,2\n", "columns a, b, expected one named time"),
        ("time\n", "no usable row"),
        ("1\nx\n", "line 2: 'x', expected ISO 8601 or seconds; 1 of 2 rows left out"),
    ],
)
def test_what_is_no_trace(write, text, says):
    with pytest.raises(traces.TraceError, match="events") as caught:
        traces.read(write(text))
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_no_file_and_no_text(tmp_path):
    with pytest.raises(traces.TraceError, match="No such file"):
        traces.read(tmp_path / "none.csv")
    (tmp_path / "binary.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(traces.TraceError, match="expected a CSV"):
        traces.read(tmp_path / "binary.csv")


def test_too_short_says_how_long(write):
    trace = traces.read(write("".join(f"{10 * i}\n" for i in range(100))))
    assert trace.too_short_for(0.5) == ""
    assert trace.too_short_for(0.95) == (
        "100 events are too few for p95, which needs 400: at this rate about 66 minutes instead of 16.5 minutes"
    )


def test_a_schedule_for_the_simulator(write):
    trace = traces.read(write("".join(f"{i * 0.5},{i % 2}\n" for i in range(400))))
    schedule = trace.schedule(run_in_s=2.0)
    inside = (schedule.due_s >= 0) & (schedule.due_s < schedule.end_s)
    assert inside.sum() == 400
    assert schedule.topics >= 64
    assert np.diff(schedule.topic).min() >= 0
