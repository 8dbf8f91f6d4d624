"""A server that keeps just enough of the wire contract for the runner's tests: READY, PUT /feed, GET /stats.

Its one argument says how it misbehaves: ``dies`` after the feed was set, ``silent`` never gets ready, ``broken`` ends
at once. With ``tls`` it says that it has a throw-away certificate (and speaks plain HTTP all the same).
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

MODE = sys.argv[1] if len(sys.argv) > 1 else "well"
FEED: dict[str, int] = {}


class Handler(BaseHTTPRequestHandler):
    def do_PUT(self):
        FEED.update(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.answer({})
        if MODE == "dies":
            threading.Timer(0.05, os._exit, (3,)).start()

    def do_GET(self):
        self.answer({"published": {"t0": 2, "verify-x": 3}, "connections": {}, "feed": FEED})

    def answer(self, content):
        body = json.dumps(content).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


if MODE == "broken":
    sys.exit("no such thing as a port 99999")
server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
if MODE == "silent":
    time.sleep(60)
url = f"http://127.0.0.1:{server.server_port}"
tls = {"versions": ["1.3"], "ca_file": "/nowhere/authority.pem"} if MODE == "tls" else None
said = {"ready": True, "pid": os.getpid(), "http": url, "tcp": None, "tls": tls, "transports": ["sse"]}
print(json.dumps(said), flush=True)
server.serve_forever()
