"""CPU per delivery and per poll beside two yardsticks: a bare C epoll loop, and geventhttpclient.

``python benchmarks/compare.py [--rounds 5]`` alternates ours and theirs, one processor for the server and one for the
load, and prints every round, medians and ratios. Absolute figures drift with the hour on a shared machine; the ratios
of one call hold. Needs a C compiler (cc) for the first, the [dev] extras for the second.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

HERE = Path(__file__).parent
SUBSCRIBERS, RATE_HZ, POLLERS, SECONDS = 1000, 10.0, 100, 5
CPUS = sorted(os.sched_getaffinity(0))


@contextmanager
def server(transport: str, *arguments: str) -> Iterator[str]:
    """One of our servers on the first processor; its address."""
    command = [sys.executable, "-m", "servers", transport, "--port", "0", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=HERE.parent) as program:
        os.sched_setaffinity(program.pid, CPUS[:1])
        try:
            yield json.loads(program.stdout.readline())["http"] if program.stdout else ""
        finally:
            program.terminate()


def yardstick(command: list[str]) -> dict[str, float]:
    """Run a yardstick on the last processor."""
    pin = lambda: os.sched_setaffinity(0, CPUS[-1:])  # noqa: E731
    done = subprocess.run(command, check=True, capture_output=True, text=True, preexec_fn=pin)
    return json.loads(done.stdout)


def ours(experiment: str, out: Path) -> list[dict[str, str]]:
    """Run one of our experiments and return its summary rows, none of them invalid."""
    run = [sys.executable, "-m", "loadtests", "run", str(HERE / experiment), "--out", str(out), "--no-floor"]
    subprocess.run(run, check=True, capture_output=True, cwd=HERE.parent)
    report = [sys.executable, "-m", "analysis", "report", str(out / "latest")]
    subprocess.run(report, check=False, capture_output=True, cwd=HERE.parent)  # 1 says "not ok", which is printed below
    with (out / "latest" / "summary.csv").open() as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        if row["status"] != "ok":
            print(f"  {row['transport']} {row.get('feed.topics', '')}: {row['status']}", file=sys.stderr)
    return rows


def deliveries(rounds: int, scratch: Path) -> dict[str, list[float]]:
    """Microseconds by series: the C loop's, and our load's and server's per transport and kind of topic."""
    reader, series = scratch / "epoll_reader", defaultdict(list)
    subprocess.run([shutil.which("cc") or "cc", "-O2", "-o", str(reader), str(HERE / "epoll_reader.c")], check=True)
    for _ in range(rounds):
        for kind, topics in (("1", 1), ("per_subscriber", SUBSCRIBERS)):
            with server("websocket", "--rate", str(RATE_HZ), "--topics", str(topics)) as address:
                port = address.rpartition(":")[2]
                cost = yardstick([str(reader), port, str(SUBSCRIBERS), str(topics), str(SECONDS)])
                series[f"topics={kind}: C epoll loop"].append(cost["cpu_us_per_message"])
        for row in ours("cpu_per_delivery.toml", scratch / "runs"):
            name = f"topics={row['feed.topics']}: {row['transport']}"
            series[f"{name}, load"].append(float(row["load_cpu_us_per_delivery"]))
            series[f"{name}, server"].append(float(row["server_cpu_us_per_delivery"]))
    return series


def polls(rounds: int, scratch: Path) -> dict[str, list[float]]:
    """Microseconds by series: geventhttpclient's and our load's per poll."""
    series = defaultdict(list)
    for _ in range(rounds):
        with server("polling", "--rate", "2") as address:
            url = f"{address}/poll/t0?after=0&limit=1"
            script = str(HERE / "geventhttpclient_poller.py")
            cost = yardstick([sys.executable, script, url, str(POLLERS), str(SECONDS)])
            series["geventhttpclient"].append(cost["cpu_us_per_poll"])
        for row in ours("cpu_per_poll.toml", scratch / "runs"):
            for side in ("load", "server"):
                cost = float(row[f"{side}_cpu_us_per_delivery"]) / float(row["requests_per_event"])
                series[f"polling, {side}"].append(cost)
    return series


def table(series: dict[str, list[float]], base: str) -> None:
    """Print each series with its median and its ratio to the yardstick of the same kind."""
    for name, values in series.items():
        kind = name.partition(": ")[0] + ": " if ": " in name else ""
        median = statistics.median(values)
        ratio = median / statistics.median(series[kind + base])
        rounds = " ".join(f"{value:6.2f}" for value in values)
        print(f"  {name:<50} {rounds}   median {median:6.2f} us   {ratio:5.2f} x {base}")


def main() -> int:
    """Alternate, and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5, help="alternations (default 5)")
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as folder:
        if shutil.which("cc"):
            print(f"CPU per delivery, {SUBSCRIBERS} subscribers x {RATE_HZ:g} events a second")
            table(deliveries(rounds, Path(folder)), "C epoll loop")
        else:
            print("CPU per delivery: skipped: needs a C compiler (cc)")
        print(f"CPU per poll, {POLLERS} pollers that never pause")
        table(polls(rounds, Path(folder)), "geventhttpclient")
    return 0


if __name__ == "__main__":
    sys.exit(main())
