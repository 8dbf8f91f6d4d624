"""A foreign server: ``http.server`` and nothing of ours, with a clock of its own. It feeds t0 and takes no publishes.

``python foreign_server.py AHEAD_S [stats]`` prints its address; its clock is AHEAD_S ahead, it counts with ``stats``.
"""

from __future__ import annotations

import contextlib
import json
import sys
import threading
import time
import zlib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

AHEAD_NS = round(float(sys.argv[1]) * 1e9)
COUNTS = "stats" in sys.argv[2:]
PERIOD_S = 0.05
EVENTS: list[str] = []
CHANGED = threading.Condition()


def now_ns() -> int:
    return time.monotonic_ns() + AHEAD_NS


def publish_for_ever() -> None:
    while True:
        time.sleep(PERIOD_S)
        due_ns, seq = now_ns(), len(EVENTS) + 1
        rest = ',"price":101.25}'
        data = f'{{"crc32":"{zlib.crc32(f"t0|{seq}|{rest}".encode()):08x}"{rest}'
        event = {"topic": "t0", "seq": seq, "due_ns": due_ns, "sent_ns": now_ns(), "data": data}
        with CHANGED:
            EVENTS.append(json.dumps(event))
            CHANGED.notify_all()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # head and body are two packets: the second would wait 40 ms for an ACK

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        given = parse_qs(url.query)
        after = int(given.get("after", [str(len(EVENTS))])[0])
        if url.path == "/health":
            feed = {
                "state": "running",
                "topics": 1,
                "schedule": "constant",
                "rate_hz": 1 / PERIOD_S,
                "payload_bytes": 36,
            }
            self.answer({"ready": True, "contract": 1, "transports": ["sse", "polling"], "limits": {}, "feed": feed})
        elif url.path == "/clock":
            self.answer({"now_ns": now_ns()})
        elif url.path == "/stats" and COUNTS:
            self.answer({"published": {"t0": len(EVENTS)}, "connections": {}, "bytes_written": 0, "drops": {}})
        elif url.path == "/poll/t0":
            fresh = EVENTS[after:]
            if fresh:
                self.answer_text(f'{{"events": [{", ".join(fresh)}], "last": {after + len(fresh)}}}')
            else:
                self.send_response(204)
                self.end_headers()
        elif url.path == "/sse/t0":
            self.stream(after)
        else:
            self.send_error(404)

    def stream(self, seq: int) -> None:
        self.close_connection = True
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.flush()
        while True:
            with CHANGED:
                while len(EVENTS) == seq:
                    CHANGED.wait()
            for event in EVENTS[seq:]:
                seq += 1
                self.wfile.write(f"id: {seq}\ndata: {event}\n\n".encode())

    def answer(self, content: object) -> None:
        self.answer_text(json.dumps(content))

    def answer_text(self, text: str) -> None:
        body = text.encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass

    def handle(self) -> None:
        with contextlib.suppress(ConnectionError):
            super().handle()


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=publish_for_ever, daemon=True).start()
    print(f"http://127.0.0.1:{server.server_port}", flush=True)
    server.serve_forever()
