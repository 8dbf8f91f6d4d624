"""A target with nothing of ours in it, for tests: the wire contract's small endpoints over ``http.server``.

Its clock, its feed and what it refuses are what the test sets; every request is kept in ``seen``.
"""

from __future__ import annotations

import contextlib
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

HEALTH = {
    "ready": True,
    "contract": 1,
    "transports": ["sse", "polling"],
    "limits": {},
    "feed": {"state": "running", "topics": 1, "schedule": "poisson", "rate_hz": 5.0, "payload_bytes": 256},
}


class FakeTarget:
    def __init__(self, **feed):
        self.health = json.loads(json.dumps(HEALTH))
        self.health["feed"] |= feed
        self.published = {"t0": 7, "verify-x": 3}
        self.ahead_ns = 0
        self.clock_body = None
        self.missing = set()
        self.seen = []
        self.url = ""

    def answer(self, method, path, body):
        self.seen.append((method, path, json.loads(body) if method == "PUT" else body))
        if path.partition("?")[0] in self.missing:
            return 404, {}
        if path == "/clock":
            return 200, self.clock_body or {"now_ns": time.monotonic_ns() + self.ahead_ns}
        if path == "/stats":
            return 200, {"published": dict(self.published), "drops": {}} if self.published is not None else {
                "drops": {}
            }
        if path == "/feed":
            return 200, {}
        return 200, self.health


@contextlib.contextmanager
def serving(target):
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # head and body are two packets: the second would wait 40 ms for an ACK

        def do_GET(self):
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            status, answer = target.answer(self.command, self.path, body)
            text = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        do_PUT = do_POST = do_GET  # noqa: N815 - http.server finds them by these names

        def log_message(self, *_):
            pass

    listening = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    target.url = f"http://127.0.0.1:{listening.server_port}"
    try:
        yield target
    finally:
        listening.shutdown()
        listening.server_close()
        thread.join()
