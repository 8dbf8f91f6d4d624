"""Requests beside the measurement: one answer, or one line that says what came instead."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from loadtests.access import Access
from loadtests.control import ControlError, ask, publish, set_feed

ANSWERS = {
    "/stats": (200, b'{"published": {}}'),
    "/list": (200, b"[1]"),
    "/text": (200, b"fine"),
    "/gone": (410, b'{"oldest": 3}'),
    "/feed": (200, b"{}"),
    "/publish/x": (202, b'{"seq": 4}'),
    "/publish/odd": (202, b'{"seq": "4"}'),
}


@pytest.fixture
def server():
    seen = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            seen.append((self.command, self.path, body))
            status, answer = ANSWERS[self.path]
            self.send_response(status)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        do_PUT = do_POST = do_GET  # noqa: N815 - http.server finds them by these names

        def log_message(self, *_):
            pass

    listening = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{listening.server_port}", seen
    listening.shutdown()
    listening.server_close()
    thread.join()


def test_the_answers_object_is_returned(server):
    url, seen = server
    assert ask(Access(url), "GET", "/stats") == {"published": {}}
    assert seen == [("GET", "/stats", b"")]


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("/gone", r"GET http://.*/gone: status 410, expected 2xx: \{\"oldest\": 3\}"),
        ("/list", r"answered '\[1\]', expected a JSON object"),
        ("/text", r"answered 'fine', expected a JSON object"),
    ],
)
def test_another_answer_is_quoted(server, path, message):
    with pytest.raises(ControlError, match=message):
        ask(Access(server[0]), "GET", path)


def test_a_server_that_is_not_there_is_named(server):
    with pytest.raises(ControlError, match=r"GET http://127\.0\.0\.1:1/stats: .*refused"):
        ask(Access("http://127.0.0.1:1"), "GET", "/stats")


def test_the_feed_is_set_by_the_wire_contract(server):
    url, seen = server
    set_feed(Access(url), 5, 9)
    assert [(method, path, json.loads(body)) for method, path, body in seen] == [
        ("PUT", "/feed", {"epoch_ns": 5, "stop_ns": 9})
    ]


def test_publishing_returns_the_seq(server):
    url, seen = server
    assert publish(Access(url), "x", "dätum") == 4
    assert seen[0] == ("POST", "/publish/x", "dätum".encode())
    with pytest.raises(ControlError, match=r"expected a whole number as seq"):
        publish(Access(url), "odd", "")
