"""The locustfile as a Locust user knows it: classes by name, our options, statistics on the page."""

import json
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest

from loadtests.transports import TRANSPORTS

ROOT = Path(__file__).parents[2]


@contextmanager
def server(*arguments):
    command = [sys.executable, "-m", "servers", *arguments, "--port", "0", "--tcp-port", "0", "--rate", "50"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as program:
        try:
            yield json.loads(program.stdout.readline())
        finally:
            program.terminate()


def locust(*arguments):
    command = [sys.executable, "-m", "locust", "-f", "loadtests/locustfile.py", "--headless", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)


def entries(done):
    return {entry["name"]: entry for entry in json.loads(done.stdout)}


@pytest.fixture(scope="module")
def ready():
    with server("all") as said:
        yield said


@pytest.mark.parametrize("transport", TRANSPORTS.values(), ids=lambda transport: transport.name)
def test_every_transport_has_its_user_class(ready, transport, tmp_path):
    done = locust(
        "--host", ready["http"], "--tcp", ready["tcp"], "-u", "3", "-r", "50", "-t", "4s", "--json",
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
    done = locust(
        "--host", ready["http"], "-u", "4", "-r", "50", "-t", "3s", "--processes", "2", "--json",
        "--subscribers-per-user", "2", "--spool", str(tmp_path), "WebSocketSubscriber",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    said = [json.loads(path.read_text()) for path in sorted(tmp_path.glob("*.status.json"))]
    assert [(one["worker"], one["subscribers"]) for one in said] == [(0, 4), (1, 4)]
    assert all(one["deliveries"] > 0 and one["ended"] for one in said)


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
    done = locust(
        "--host", said["http"], "--tcp", said["tcp"], "--ca-file", said["tls"]["ca_file"], *secrets,
        "-u", "3", "-r", "50", "-t", "4s", "--json", "--polling-interval-s", "0.1", "--spool", str(tmp_path),
        transport.user,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert entries(done)["delivery"]["num_requests"] > 30
    rows = [json.loads(line) for line in (tmp_path / "0.connections").read_text().splitlines()]
    assert len(rows) == 3
    assert all(row["tcp_ns"] < row["tls_ns"] < row["subscribed_ns"] for row in rows)


def test_without_them_it_is_a_named_failure_and_no_secret_is_shown(guarded):
    said, _ = guarded
    common = ("--host", said["http"], "--tcp", said["tcp"], "-u", "2", "-r", "50", "-t", "2s", "--json")
    for more, user, expected in (
        ((), "SSESubscriber", "TLS handshake: certificate not accepted"),
        (("--insecure",), "SSESubscriber", "status 401"),
        (("--insecure",), "StompTCPSubscriber", "ERROR"),
        (("--ca-file", "no-such-file"), "SSESubscriber", "load.ca_file = no-such-file: No such file"),
    ):
        done = locust(*common, *more, user)
        assert done.returncode != 0
        assert expected in done.stderr + done.stdout
        assert "Traceback" not in done.stderr
        assert "s3cr3t" not in done.stderr + done.stdout
