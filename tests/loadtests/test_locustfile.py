"""The locustfile as a Locust user knows it: classes by name, our options, statistics on the page."""

import json
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

from loadtests.access import Access
from loadtests.cell import statuses, summary
from loadtests.process import running, stop
from loadtests.records import read_publishes
from loadtests.transports import TRANSPORTS
from loadtests.upstream import open_topics, upstream

ROOT = Path(__file__).parents[2]


@contextmanager
def server(*arguments):
    command = [sys.executable, "-m", "servers", *arguments, "--port", "0", "--tcp-port", "0", "--rate", "50"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as program:
        try:
            yield json.loads(program.stdout.readline())
        finally:
            program.terminate()


LOCUST = (sys.executable, "-m", "locust", "-f", str(ROOT / "loadtests" / "locustfile.py"), "--headless")


def locust(*arguments):
    return subprocess.run([*LOCUST, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)


def locust_until(enough, *arguments):
    """Run until it is enough, and not for a time: how soon that is is for the machine to say."""
    command = [*LOCUST, *arguments]
    deadline = time.monotonic() + 40
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        while process.poll() is None and not enough() and time.monotonic() < deadline:
            time.sleep(0.02)
        process.terminate()
        out, err = process.communicate(timeout=20)
    return subprocess.CompletedProcess(command, process.returncode, out, err)


def delivers(spool, subscribers):
    """A condition: everybody has subscribed, and some ten events each have come."""

    def enough():
        said = summary(statuses(spool))
        return said["subscribed"] == subscribers and said["deliveries"] > 10 * subscribers

    return enough


def entries(done):
    return {entry["name"]: entry for entry in json.loads(done.stdout)}


@pytest.fixture(scope="module")
def ready():
    with server("all") as said:
        yield said


@pytest.mark.parametrize("transport", TRANSPORTS.values(), ids=lambda transport: transport.name)
def test_every_transport_has_its_user_class(ready, transport, tmp_path):
    done = locust_until(
        delivers(tmp_path, 3),
        "--host", ready["http"], "--tcp", ready["tcp"], "-u", "3", "-r", "50", "--json",
        "--polling-interval-s", "0.1", "--spool", str(tmp_path), transport.user,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    statistics = entries(done)
    assert statistics["delivery"]["num_requests"] > 30
    assert statistics["delivery"]["num_failures"] == 0
    assert ("response" in statistics) == transport.pulls
    # what Locust counted is what was written down
    assert (tmp_path / "0.deliveries").stat().st_size == statistics["delivery"]["num_requests"] * 8 * 8


def test_locusts_processes_share_the_subscribers_out(ready, tmp_path):
    done = locust_until(
        delivers(tmp_path, 8),
        "--host", ready["http"], "-u", "4", "-r", "50", "--processes", "2", "--json",
        "--subscribers-per-user", "2", "--spool", str(tmp_path), "WebSocketSubscriber",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    said = [json.loads(path.read_text()) for path in sorted(tmp_path.glob("*.status.json"))]
    assert [(one["worker"], one["subscribers"]) for one in said] == [(0, 4), (1, 4)]
    assert all(one["deliveries"] > 0 and one["ended"] for one in said)


def until(condition, load, patience_s=20):
    deadline = time.monotonic() + patience_s
    while not condition():
        load.insist()
        assert time.monotonic() < deadline, load.log.read_text()
        time.sleep(0.02)


def whole(path, content):
    path.with_suffix(".part").write_text(json.dumps(content))
    path.with_suffix(".part").rename(path)


def test_a_cells_users_wait_for_the_plan_and_publish_within_the_window(ready, tmp_path):
    where, spool = Access(ready["http"], ready["tcp"]), tmp_path
    way = {"feed.schedule": "constant", "feed.rate_hz": 50.0, "feed.payload_bytes": 200}
    command = (*LOCUST, "-u", "3", "-r", "50", "--cell", str(spool / "plan.json"), "SSESubscriber")
    with running("locust", command, tmp_path / "locust.log", []) as load:
        plan = {"transport": "sse", **where.plan(), "topics": 2, "subscribers": 2, "spool": str(spool)}
        whole(spool / "plan.json", plan | {"upstream": upstream(way, open_topics(where, 2))})
        until(lambda: summary(statuses(spool))["subscribed"] == 2, load)
        assert summary(statuses(spool))["publishes"] == 0
        epoch_ns = time.monotonic_ns() + 400_000_000
        window = {"epoch_ns": epoch_ns, "from_ns": epoch_ns, "to_ns": epoch_ns + 400_000_000}
        whole(spool / "window.json", window)
        until(lambda: summary(statuses(spool))["deliveries"] == 40, load)
        stop(load, 8)
    (said,) = statuses(spool)
    assert (said["ended"], said["subscribers"], said["publishes"], said["failures"]) == (True, 2, 40, {})
    assert said["window"]["up"] > 40 * 200
    due_ns = read_publishes([spool / "0.publishes"])["due_ns"].to_pylist()
    assert epoch_ns <= min(due_ns) <= max(due_ns) < window["to_ns"]


@pytest.mark.parametrize(
    ("broken", "why"),
    [
        ({"token_file": "nowhere"}, "load.token_file = nowhere: No such file or directory"),
        ({"transport": "stomp_tcp", "tcp": None}, "needs the broker's own port: --tcp HOST:PORT"),
    ],
)
def test_a_plan_that_cannot_be_carried_out_is_one_clear_line(broken, why, tmp_path):
    whole(tmp_path / "plan.json", {"transport": "sse", "http": "http://127.0.0.1:9", "subscribers": 1} | broken)
    user = TRANSPORTS[broken.get("transport", "sse")].user
    done = locust("-u", "1", "-r", "1", "-t", "1s", "--cell", str(tmp_path / "plan.json"), user)
    assert done.returncode == 1
    assert done.stderr.rstrip().endswith(why)
    assert "Traceback" not in done.stderr


def test_an_unreachable_server_is_a_failure_not_a_traceback():
    done = locust("--host", "http://127.0.0.1:9", "-u", "1", "-r", "1", "-t", "1s", "--json", "SSESubscriber")
    assert done.returncode == 1
    assert "ECONNREFUSED" in done.stderr + done.stdout
    assert "Traceback" not in done.stderr


def test_a_missing_host_is_one_clear_line():
    done = locust("-u", "1", "-r", "1", "-t", "1s", "SSESubscriber")
    assert done.returncode != 0
    assert "--host is missing" in done.stderr


@pytest.fixture(scope="module")
def guarded(tmp_path_factory):
    """A server with TLS, a token and a login; the flags that let one in."""
    folder = tmp_path_factory.mktemp("secrets")
    (folder / "token").write_text("s3cr3t-t0k3n\n")
    (folder / "login").write_text("somebody:s3cr3t-p4ss\n")
    secrets = ("--token-file", str(folder / "token"), "--login-file", str(folder / "login"))
    with server("all", "--tls", *secrets) as said:
        yield said, secrets


@pytest.mark.parametrize("transport", TRANSPORTS.values(), ids=lambda transport: transport.name)
def test_every_transport_speaks_tls_and_shows_its_credentials(guarded, transport, tmp_path):
    said, secrets = guarded
    done = locust_until(
        delivers(tmp_path, 3),
        "--host", said["http"], "--tcp", said["tcp"], "--ca-file", said["tls"]["ca_file"], *secrets,
        "-u", "3", "-r", "50", "--json", "--polling-interval-s", "0.1", "--spool", str(tmp_path),
        transport.user,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert entries(done)["delivery"]["num_requests"] > 30
    rows = [json.loads(line) for line in (tmp_path / "0.connections").read_text().splitlines()]
    assert len(rows) == 3
    assert all(row["tcp_ns"] < row["tls_ns"] < row["subscribed_ns"] for row in rows)


@pytest.mark.parametrize(
    ("more", "user", "expected"),
    [
        ((), "SSESubscriber", "TLS handshake: certificate not accepted"),
        (("--insecure",), "SSESubscriber", "status 401"),
        (("--insecure",), "StompTCPSubscriber", "ERROR"),
        (("--ca-file", "no-such-file"), "SSESubscriber", "load.ca_file = no-such-file: No such file"),
    ],
)
def test_without_them_it_is_a_named_failure_and_no_secret_is_shown(guarded, more, user, expected, tmp_path):
    said, _ = guarded
    done = locust_until(
        lambda: summary(statuses(tmp_path))["failures"],
        "--host", said["http"], "--tcp", said["tcp"], "-u", "2", "-r", "50", "--json", "--spool", str(tmp_path),
        *more, user,
    )  # fmt: skip
    assert done.returncode != 0
    assert expected in done.stderr + done.stdout
    assert "Traceback" not in done.stderr
    assert "s3cr3t" not in done.stderr + done.stdout
