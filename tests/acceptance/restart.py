"""A server is killed with kill -9 in the middle of a feed and started again: every subscriber resumes, nothing is lost.

``python tests/acceptance/restart.py [--subscribers 500] [--transports sse,websocket] [--tls 1.3]``, with the real
programs on their real ports. The second server has the first one's seed, epoch and end on its command line, and so its
log (wire contract). Every subscriber must then have received 1 … N, each once and in order, over a new connection. Exit
code 0 when that is so.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import socket
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import pandas as pd
import trustme

from loadtests import cell as one_cell
from loadtests import experiment, records
from loadtests.access import Access
from loadtests.control import ask, set_feed
from loadtests.feeds import OwnFeed
from loadtests.grid import Cell, cells
from loadtests.process import ready, running, stop
from loadtests.transports import TRANSPORTS

TOML = """transports = ["{transport}"]
reference = false
[feed]
rate_hz = {rate_hz}
[load]
subscribers = {subscribers}
backoff_s = 0.2
backoff_max_s = 1
"""
CLIENTS = {
    "polling": "[polling]\ninterval_s = 0.5\n",
    "long_polling": "[long_polling]\nhold_s = 10\n",
    "sse": "[sse]\nretry_s = 0.2\n",
}


@dataclass(frozen=True)
class Counted:
    """What the subscribers of one transport received, against 1 … ``published``."""

    transport: str
    subscribers: int
    published: int
    resumed: int  # subscribers that received something over a later connection than their first
    lost: int
    duplicated: int
    reordered: int
    corrupted: int

    @property
    def good(self) -> bool:
        """Whether everybody came back and has everything."""
        wrong = self.lost + self.duplicated + self.reordered + self.corrupted
        return not wrong and self.published > 0 and self.resumed == self.subscribers


def free_port() -> int:
    """Return a port that is free now."""
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as listening:
        return int(listening.getsockname()[1])


def certificate(folder: Path) -> tuple[str, list[str]]:
    """Make a certificate that both servers use; returns its authority's file and the server's flags."""
    authority = trustme.CA()
    made = authority.issue_cert("127.0.0.1", "localhost")
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    made.private_key_pem.write_to_path(str(folder / "key.pem"))
    for number, part in enumerate(made.cert_chain_pems):
        part.write_to_path(str(folder / "certificate.pem"), append=number > 0)
    flags = ["--tls-certificate", str(folder / "certificate.pem"), "--tls-key", str(folder / "key.pem")]
    return str(folder / "ca.pem"), flags


def interrupted(
    transport: str, subscribers: int, folder: Path, *, rate_hz: float = 10, feed_s: float = 6, tls: str = ""
) -> Counted:
    """Run a feed of ``feed_s`` seconds whose server is killed after a third of them."""
    text = TOML.format(transport=transport, subscribers=subscribers, rate_hz=rate_hz) + CLIENTS.get(transport, "")
    path = folder / "restart.toml"
    path.write_text(text)
    (one,) = cells(experiment.read(path))
    ca_file, flags = certificate(folder) if tls else (None, [])
    flags += ["--tls-version", tls] if tls else []
    ports = free_port(), free_port()
    server = [sys.executable, "-m", "servers", transport, "--port", str(ports[0]), "--tcp-port", str(ports[1])]
    server += ["--rate", str(rate_hz), "--seed", "1", "--control", *flags]
    base = f"{'https' if tls else 'http'}://127.0.0.1:{ports[0]}"
    access = Access(base, f"127.0.0.1:{ports[1]}", tls_version=tls, ca_file=ca_file)
    spool = folder / "spool"
    spool.mkdir()
    command = one_cell.load_command(one, spool / "plan.json")
    with running("locust", command, folder / "locust.log", []) as load:
        with running("server", server, folder / "server.log", []) as first:
            ready(first, 20)
            subscribe(one, access, spool, load)
            epoch_ns = time.monotonic_ns() + 200_000_000
            stop_ns = epoch_ns + round(feed_s * 1e9)
            set_feed(access, epoch_ns, stop_ns)
            time.sleep(0.2 + feed_s / 3)
            first.process.kill()
            first.process.wait()
        again = [*server, "--epoch-ns", str(epoch_ns), "--stop-ns", str(stop_ns)]
        with running("server", again, folder / "server-again.log", []) as second:
            ready(second, 20)
            time.sleep(max(0.0, (stop_ns - time.monotonic_ns()) / 1e9))
            published = int(ask(access, "GET", "/stats")["published"]["t0"])
            wait_for(spool, published * subscribers)
            stop(load, 8)
    records.to_parquet(spool, folder)
    return count(transport, subscribers, published, folder)


def subscribe(one: Cell, access: Access, spool: Path, load: one_cell.Program) -> None:
    """Give the load its plan and wait until everybody has subscribed."""
    plan = one_cell._plan(one, OwnFeed(access, one.settings, {}), spool)
    one_cell._write(spool / "plan.json", plan)
    one_cell._wait_subscribed(one, spool, [load])


def wait_for(spool: Path, deliveries: int, patience_s: float = 20.0) -> None:
    """Wait until so many deliveries have been written down, and a moment longer for what should not come."""
    deadline = time.monotonic() + patience_s
    while one_cell.summary(one_cell.statuses(spool))["deliveries"] < deliveries and time.monotonic() < deadline:
        time.sleep(0.1)
    time.sleep(1)


def count(transport: str, subscribers: int, published: int, folder: Path) -> Counted:
    """Compare every subscriber's deliveries, in the order in which they came, with 1 … ``published``."""
    rows = pd.read_parquet(folder / "deliveries.parquet")
    lost = duplicated = reordered = resumed = 0
    for subscriber in range(subscribers):
        mine = rows[(rows["subscriber"] == subscriber) & (rows["seq"] > 0)]
        seqs = mine["seq"].tolist()
        lost += len(set(range(1, published + 1)) - set(seqs))
        duplicated += len(seqs) - len(set(seqs))
        reordered += sum(b < a for a, b in itertools.pairwise(seqs))
        resumed += int((mine["connection"] > 0).any())
    corrupted = int((rows["seq"] == 0).sum())
    return Counted(transport, subscribers, published, resumed, lost, duplicated, reordered, corrupted)


def main(arguments: Sequence[str] | None = None) -> int:
    """Do so with every transport asked for, and print the counts."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--subscribers", type=int, default=500, help="how many (default 500)")
    parser.add_argument("--transports", default=",".join(TRANSPORTS), help="which (default: all)")
    parser.add_argument("--tls", choices=("1.2", "1.3"), default="", help="over TLS of this version")
    given = parser.parse_args(arguments)
    good = True
    for transport in given.transports.split(","):
        with tempfile.TemporaryDirectory() as folder:
            counted = interrupted(transport, given.subscribers, Path(folder), tls=given.tls)
        print(json.dumps(asdict(counted)), flush=True)
        good = good and counted.good
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
