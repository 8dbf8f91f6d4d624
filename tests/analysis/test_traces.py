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
        ("time\r\n3\r\n5\r\n", [0, 2]),
        ("amount;time\n7;2026-11-24T10:00:02Z\n9;2026-11-24T10:00:00Z\n", [0, 2]),
        ("\n\nt\tamount\n1\t4\n2,5\t4\n", [0, 1.5]),
        ("1764000000,25;a\n1764000000,75;a\n", [0, 0.5]),
        ("due_s,n\n3,1\n1,2\n2,3\n", [0, 1, 2]),
        ("time_ms\n0\n250\n", [0, 0.25]),
        ("timestamp_us,n\n1764000000000000,1\n1764000001000000,2\n", [0, 1]),
        ("2026-11-24T23:59:59-05:00\n2026-11-25T05:00:00Z\n", [0, 1]),
        ('"time","n"\n"5","a, b"\n"7","c"\n', [0, 2]),
    ],
)
def test_times(write, text, times):
    trace = traces.read(write(text))
    assert trace.times_s == pytest.approx(times, abs=1e-6)
    assert trace.clients == 1
    assert trace.bad == ()


@pytest.mark.parametrize(
    "text", ["1,a\n2,b\n4,a\n", "user,time\na,1\nb,2\na,4\n", "a|1\nb|2\na|4\n", "t;id;n\n4;a;x\n1;a;y\n2;b;z\n"]
)
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


@pytest.mark.parametrize(
    ("usual", "odd", "says"),
    [
        ("2026-11-24T10:00:{:02}Z", "2026-11-24 10:00:07", "is a time without a zone, expected a time with its zone"),
        ("2026-11-24T10:00:{:02}", "2026-11-24T10:00:07+01:00", "is a time with its zone, expected a time without"),
        ("17640000{:02}", "7", "is seconds from a beginning, expected a time since 1970"),
        ("17640000{:02}", "0", "is seconds from a beginning, expected a time since 1970"),
        ("2026-11-24T10:00:{:02}Z", "1764000000", "is a time since 1970, expected a time with its zone"),
    ],
)
def test_a_time_of_another_kind_than_most_is_bad(write, usual, odd, says):
    trace = traces.read(write("".join(f"{usual.format(i)}\n" for i in range(30)) + odd))
    assert len(trace.times_s) == 30
    assert trace.length_s == pytest.approx(29)
    assert trace.bad[0].startswith(f"line 31: '{odd}' {says}")
    assert trace.bad[1] == "1 of 31 rows left out"


def test_half_of_them_of_another_kind_is_no_trace(write):
    text = "".join(f"2026-11-24T10:00:{i:02}{'Z' if i % 2 else ''}\n" for i in range(60))
    with pytest.raises(traces.TraceError, match="30 of 60 rows left out") as caught:
        traces.read(write(text))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"\xff\xfe1\x00\n\x00", "byte 0xff is not UTF-8 text"),
        (b"\x89PNG\r\n\x1a\n\x00\x00", "byte 0x89 is not UTF-8 text"),
        (b"PK\x03\x04\x00\x00\x00\n\x01\x02\n", "rows left out"),
        (b"time\n1\n2\n\xe9\n", "byte 0xe9 is not UTF-8 text"),
        (b"1\n2\n" + b"9" * 200_000 + b"\n", "line 3: more than 65,536 characters"),
        (b'[{"time": 1}, ' + b'{"time": 2}, ' * 20_000 + b"]", "line 1: more than 65,536 characters"),
        (b'time,n\n1,a\n2,"b\n' + b"3,c\n" * 50, "line 3: a quote that does not close"),
        (b'time,n\n1,a\n2,"b\n' + b"3,c\n" * 50_000, "line 3: a quote that does not close"),
        (b'time,n\n1,a\n2,"b" c\n', "line 3: "),
        (b",".join(b"column%d" % i for i in range(900)) + b"\n1\n", "expected one named time"),
        (b"\n\r\n \n", "no rows"),
        (b"\xef\xbb\xbf", "no rows"),
        (b"time\n" + b"\x00\n" * 9, "'\\x00', expected ISO 8601"),
        (b"2\n1e400\n", "line 2: '1e400', expected ISO 8601 or seconds"),
    ],
)
def test_one_clear_line_for_what_is_no_trace(tmp_path, content, says):
    path = tmp_path / "events.csv"
    path.write_bytes(content)
    with pytest.raises(traces.TraceError) as caught:
        traces.read(path)
    said = str(caught.value)
    assert said.startswith(f"{path}")
    assert says in said
    assert "expected" in said
    assert said.isprintable()
    assert len(said) - len(str(path)) < 500


def test_a_folder_is_no_trace(tmp_path):
    with pytest.raises(traces.TraceError, match="Is a directory; expected a CSV file"):
        traces.read(tmp_path)


def test_a_row_in_several_lines_is_named_by_its_first(write):
    trace = traces.read(write('time,n\n1,"a\nb\nc"\nx,d\n' + "2,e\n" * 20))
    assert trace.bad == ("line 5: 'x', expected ISO 8601 or seconds", "1 of 22 rows left out")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("7\n", "there is one event; expected times that differ"),
        ("7\n7\n7\n", "all events are at one moment; expected times that differ"),
        ("".join(f"{i}\n" for i in range(399)), "399 events are too few for p95, which needs 400"),
    ],
)
def test_what_is_of_no_use(write, text, says):
    with pytest.raises(traces.TraceError, match=says):
        traces.usable(write(text), [0.5, 0.95])


def test_what_is_of_use(write):
    assert len(traces.usable(write("".join(f"{i}\n" for i in range(400))), [0.95]).times_s) == 400
