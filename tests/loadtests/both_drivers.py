"""One client through either driver: its connection rows, and the failures that were counted."""

from __future__ import annotations

import time

import gevent
import msgspec

from loadtests.drivers import blocking
from loadtests.drivers.eventloop import EventLoop
from loadtests.records import Connection, Spools


def through_blocking(client, context, folder):
    rows = blocking.Rows()
    outcome = blocking.run(client, rows, until=lambda: False, timeout_s=5, context=context)
    return rows.connections, list(outcome.failures)


def through_blocking_bytewise(client, context, folder):
    rows = blocking.Rows()
    outcome = blocking.run(client, rows, until=lambda: False, timeout_s=5, read_bytes=1, context=context)
    return rows.connections, list(outcome.failures)


def through_eventloop(client, context, folder):
    loop = EventLoop(Spools(folder), context=context)
    link = loop.start(client, 0)
    deadline = time.monotonic() + 5
    while not link.ended:
        assert time.monotonic() < deadline, "the client did not come to its end"
        gevent.sleep(0.002)
    loop.spools.close()
    lines = (folder / "0.connections").read_bytes().splitlines()
    return [msgspec.json.decode(line, type=Connection) for line in lines], list(loop.failures.elements())


DRIVERS = (through_eventloop, through_blocking, through_blocking_bytewise)
