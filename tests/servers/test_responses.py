import json
from email.utils import parsedate_to_datetime
from types import SimpleNamespace

import pytest

from servers import responses
from servers.feed import Event
from servers.responses import JSON, Problem, answer_bytes, bad_parameter, connection_line, date_line, events_body


def split(data):
    head, _, body = data.partition(b"\r\n\r\n")
    line, *fields = head.split(b"\r\n")
    return line, dict(field.split(b": ", 1) for field in fields), body


def test_an_answer_is_complete():
    line, fields, body = split(answer_bytes(200, b"", JSON, b"{}"))
    assert line == b"HTTP/1.1 200 OK"
    assert fields[b"Content-Type"] == b"application/json"
    assert (fields[b"Content-Length"], body) == (b"2", b"{}")
    assert parsedate_to_datetime(fields[b"Date"].decode()).tzinfo is not None


@pytest.mark.parametrize("status", [204, 304])
def test_no_length_where_there_is_no_body(status):
    _, fields, body = split(answer_bytes(status, b"", b"", b""))
    assert b"Content-Length" not in fields
    assert body == b""


@pytest.mark.parametrize(
    ("version", "keep_alive", "line"),
    [((1, 1), True, b""), ((1, 1), False, b"Connection: close\r\n"), ((1, 0), True, b"Connection: keep-alive\r\n")],
)
def test_connection(version, keep_alive, line):
    assert connection_line(SimpleNamespace(version=version, keep_alive=keep_alive)) == line


def test_the_date_moves_on(monkeypatch):
    monkeypatch.setattr(responses.time, "time", lambda: 784111777.9)
    assert date_line() == b"Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"  # the example of RFC 9110, section 5.6.7
    monkeypatch.setattr(responses.time, "time", lambda: 784111778.0)
    assert date_line() == b"Date: Sun, 06 Nov 1994 08:49:38 GMT\r\n"


def test_a_problem_names_what_is_wrong():
    problem = json.loads(bad_parameter("after", "x" * 1000, "a number").body())
    assert problem["title"] == "Bad Request"
    assert (problem["status"], problem["parameter"], problem["expected"]) == (400, "after", "a number")
    assert problem["value"] == "x" * 200
    assert json.loads(Problem(410, "gone", newest=3).body())["newest"] == 3


def test_events_body():
    events = [Event("t0", seq, 0, 0, b'{"seq": %d}' % seq) for seq in (3, 4)]
    assert json.loads(events_body(events)) == {"events": [{"seq": 3}, {"seq": 4}], "last": 4}


@pytest.mark.parametrize(("most_bytes", "last"), [(0, 1), (40, 1), (180, 1), (300, 2), (10_000, 5)])
def test_an_answer_of_many_events_stops_where_it_is_full(most_bytes, last):
    events = [Event("t0", seq, 0, 0, json.dumps({"seq": seq, "pad": "x" * 100}).encode()) for seq in range(1, 6)]
    body = events_body(events, most_bytes)
    assert [event["seq"] for event in json.loads(body)["events"]] == list(range(1, last + 1))
    assert json.loads(body)["last"] == last
    assert len(body) <= most_bytes or last == 1
