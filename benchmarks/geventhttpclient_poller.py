"""The poller to stand beside ours: N greenlets that ask without pause through geventhttpclient, and count.

``python geventhttpclient_poller.py URL POLLERS SECONDS`` prints ``{"polls": N, "cpu_us_per_poll": X}``. It decodes
nothing and records nothing.
"""

import json
import sys
import time
from urllib.parse import urlsplit

import gevent
from geventhttpclient import HTTPClient


def main() -> None:
    """Poll, and print what a poll cost this process."""
    url, pollers, seconds = urlsplit(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
    polls = 0

    def poll() -> None:
        nonlocal polls
        client = HTTPClient(url.hostname, url.port, concurrency=1)
        while True:
            client.get(f"{url.path}?{url.query}").read()
            polls += 1

    for _ in range(pollers):
        gevent.spawn(poll)
    gevent.sleep(1)
    before, start = polls, time.process_time()
    gevent.sleep(seconds)
    spent = time.process_time() - start
    print(json.dumps({"polls": polls - before, "cpu_us_per_poll": spent / (polls - before) * 1e6}))


main()
