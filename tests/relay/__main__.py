"""``python -m tests.relay [faults] -- COMMAND…``: start a server, relay its connections, and say READY in its place."""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import signal
import subprocess
import sys
from pathlib import Path

from tests.relay.faults import FAULTS, Ledger, Odds
from tests.relay.wire import Plan, listen, new_loop


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.relay", description=__doc__)
    for fault in FAULTS:
        parser.add_argument(f"--{fault}", type=float, default=0.0, metavar="SHARE", help=f"of events to {fault}")
    parser.add_argument("--delay", type=float, default=0.0, metavar="S", help="every byte from the server, this late")
    parser.add_argument("--stall", type=float, default=0.0, metavar="S", help="hold all traffic once, this long")
    parser.add_argument("--stall-at", type=float, default=0.0, metavar="S", help="when, after the feed's epoch")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--ledger", type=Path, required=True, help="file for what was done, a line of JSON each")
    parser.add_argument("command", nargs="+", help="the server's command line")
    return parser.parse_args()


async def _run(plan: Plan, server: subprocess.Popen[bytes]) -> None:
    assert server.stdout is not None
    ready = json.loads(server.stdout.readline())
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    loop.add_reader(server.stdout, stop.set)  # READY was all that it had to say: this is its end
    scheme, _, address = ready["http"].partition("://")
    ready["http"] = f"{scheme}://{await listen(plan, address)}"
    if ready["tcp"]:
        ready["tcp"] = await listen(plan, ready["tcp"], bare_stomp=True)
    gc.freeze()
    gc.disable()  # a collection would be a delay that nobody asked for
    print(json.dumps(ready), flush=True)
    await stop.wait()


def main() -> int:
    """Run until told to end, or until the server does; returns the server's exit code."""
    given = _parse()
    odds = Odds(*(getattr(given, fault) for fault in FAULTS), seed=given.seed)
    plan = Plan(odds, Ledger(given.ledger), given.delay, given.stall, given.stall_at)
    server = subprocess.Popen(given.command, stdout=subprocess.PIPE)
    try:
        with asyncio.Runner(loop_factory=new_loop) as loop:
            loop.run(_run(plan, server))
    finally:
        server.terminate()
        code = server.wait()
        late_us = sorted(round(1e6 * late, 1) for late in plan.late_s)
        if late_us:
            plan.ledger.note("late", us_p50=late_us[len(late_us) // 2], us_p99=late_us[len(late_us) * 99 // 100])
    return code


if __name__ == "__main__":
    sys.exit(main())
