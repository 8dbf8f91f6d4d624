"""A load process for the runner's tests: waits for its plan, subscribes, receives two events, ends on SIGTERM.

Arguments: the plan's path, and how it misbehaves: ``dies`` once subscribed, ``alone`` never subscribes everybody.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path

from loadtests.records import Spools

PLAN = Path(sys.argv[1])
MODE = sys.argv[2] if len(sys.argv) > 2 else "well"
ENDED = []
signal.signal(signal.SIGTERM, lambda *_: ENDED.append(True))


def report(spool, subscribers, subscribed, *, window=None, ended=False):
    status = {
        "worker": 0, "pid": os.getpid(), "subscribers": subscribers, "subscribed": subscribed, "deliveries": 2,
        "responses": 0, "failures": {"refused": 1} if MODE == "alone" else {}, "late_ms_p50": 0.1, "late_ms_p99": 0.2,
        "window": window, "ended": ended,
    }  # fmt: skip
    partial = spool / "0.part"
    partial.write_text(json.dumps(status))
    partial.replace(spool / "0.status.json")


while not PLAN.exists() and not ENDED:
    time.sleep(0.005)
plan = json.loads(PLAN.read_text())
spool, wanted = Path(plan["spool"]), plan["subscribers"]
with Spools(spool) as spools:
    report(spool, wanted, wanted - 1 if MODE == "alone" else wanted)
    if MODE == "dies":
        sys.exit("the load process had an accident")
    while not (spool / "window.json").exists() and not ENDED:
        time.sleep(0.005)
    if not ENDED:
        window = json.loads((spool / "window.json").read_text())
        for seq in (1, 2):
            spools.deliver((0, 0, 0, seq, window["from_ns"], window["from_ns"] + 1, window["from_ns"] + 2, 100))
        spools.flush()
    while not ENDED:
        time.sleep(0.005)
    report(spool, wanted, wanted, window={"up": 10, "down": 20, "segments_up": 1, "segments_down": 2}, ended=True)
