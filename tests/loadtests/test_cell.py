"""One cell, on fake programs: what is written down when all goes well, and when it does not."""

from __future__ import annotations

import csv
import dataclasses
import json
import time
from types import SimpleNamespace

import psutil
import pyarrow.parquet as pq
import pytest

from loadtests import cell as module
from loadtests.access import Access
from loadtests.cell import CellError, blank, collect, load_command, measure, server_command, summary
from loadtests.control import ControlError
from loadtests.feeds import OwnFeed
from loadtests.grid import cells
from loadtests.process import ProgramError
from loadtests.target import of_table
from loadtests.verify import VerifyError
from tests.loadtests import fakes
from tests.loadtests.fake_target import FakeTarget, serving

CPUS = {"server": [], "load": []}


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(module, "_STATUS_S", 0.02)
    monkeypatch.setattr(module, "_SETTLE_NS", 50_000_000)


@pytest.fixture
def patience_ends(monkeypatch):
    """Time flies, but not before the load has spoken: that is for the machine to say."""
    said = []

    def statuses(spool, look=module.statuses):
        found = look(spool)
        said.extend(found)
        return found

    def monotonic(now=time.monotonic):
        return now() + (1000 if said else 0)

    monkeypatch.setattr(module, "statuses", statuses)
    fake = SimpleNamespace(monotonic=monotonic, monotonic_ns=time.monotonic_ns, sleep=time.sleep)
    monkeypatch.setattr(module, "time", fake)


@pytest.fixture
def tiny(tmp_path):
    cell = cells(fakes.read(tmp_path))[0]
    return cell, blank(cell), tmp_path / "cell"


def status(**changes):
    return {
        "subscribers": 1, "subscribed": 1, "deliveries": 5, "responses": 0, "failures": {"x": 1}, "late_ms_p50": 0.1,
        "late_ms_p99": None, "window": {"up": 1, "down": 2}, "ended": True,
    } | changes  # fmt: skip


def test_a_cell_leaves_its_rows_its_resources_and_its_record(tiny):
    cell, record, folder = tiny
    measure(cell, record, folder, CPUS, fakes.programs())
    collect(record, folder)
    assert sorted(path.name for path in folder.iterdir()) == [
        "connections.parquet", "deliveries.parquet", "locust.log", "resources.csv", "responses.parquet", "server.log",
    ]  # fmt: skip
    assert pq.read_table(folder / "deliveries.parquet").column("seq").to_pylist() == [1, 2]
    window = record["window"]
    assert window["from_ns"] == window["epoch_ns"]
    assert window["to_ns"] - window["from_ns"] == 300_000_000
    assert window["drained_ns"] >= window["to_ns"] + 300_000_000
    assert record["published"] == {"t0": 2}, "what the verification published is no part of the feed"
    assert record["server"]["stats"]["feed"] == {"epoch_ns": window["epoch_ns"], "stop_ns": window["stop_ns"]}
    assert record["load"]["window_bytes"] == {"up": 10, "down": 20, "segments_up": 1, "segments_down": 2}
    assert record["verify"]["checks"] == ["backlog"]
    json.dumps(record)


def test_a_throw_away_authority_is_trusted_but_not_written_down(tiny):
    cell, record, folder = tiny
    trusted = []

    def verify(_transport, access):
        trusted.append(access.ca_file)
        return fakes.verified(_transport, access)

    measure(cell, record, folder, CPUS, fakes.programs("tls", verify=verify))
    assert trusted == ["/nowhere/authority.pem"]
    assert record["server"]["ready"]["tls"] == {"versions": ["1.3"]}
    assert "authority.pem" not in json.dumps(record)


def test_resources_are_sampled_at_every_mark(tiny):
    cell, record, folder = tiny
    measure(cell, record, folder, CPUS, fakes.programs())
    with (folder / "resources.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    marks = [row["mark"] for row in rows if row["process"] == "server" and row["mark"]]
    assert marks == ["ready", "verified", "subscribed", "from", "to", "drained"]
    at = {row["mark"]: int(row["at_ns"]) for row in rows if row["process"] == "load"}
    assert at["from"] >= record["window"]["from_ns"]
    assert at["to"] >= record["window"]["to_ns"]


@pytest.mark.parametrize(
    ("server", "load", "error", "why"),
    [
        ("broken", "well", ProgramError, r"server ended by itself \(exit 1\): no such thing as a port 99999"),
        ("dies", "well", ProgramError, r"server ended by itself \(exit 3\)"),
        ("well", "dies", ProgramError, r"locust ended by itself \(exit 1\): the load process had an accident"),
    ],
)
def test_a_cell_that_cannot_be_measured_says_why_and_leaves_no_process(tiny, server, load, error, why):
    cell, record, folder = tiny
    with pytest.raises(error, match=why):
        measure(cell, record, folder, CPUS, fakes.programs(server, load))
    left = [child for child in psutil.Process().children(recursive=True) if child.status() != psutil.STATUS_ZOMBIE]
    assert left == []
    collect(record, folder)
    assert (folder / "deliveries.parquet").exists(), "what there was is kept"


def test_who_does_not_subscribe_in_time_fails_the_cell(tiny, patience_ends):
    cell, record, folder = tiny
    with pytest.raises(CellError, match=r"2 of 3 subscribers had subscribed after 20\..* s; failures: refused \(1\)"):
        measure(cell, record, folder, CPUS, fakes.programs("well", "alone"))


def test_no_subscriber_connects_before_the_server_is_verified(tiny):
    cell, record, folder = tiny

    def refuse(*_):
        assert not (folder / "spool" / "plan.json").exists()
        raise VerifyError("sse: order: expected events 4, 5, got 5, 4")

    with pytest.raises(VerifyError):
        measure(cell, record, folder, CPUS, fakes.programs(verify=refuse))
    assert not (folder / "spool" / "plan.json").exists()


def test_a_load_process_that_breaks_off_fails_the_cell(tiny, monkeypatch):
    cell, record, folder = tiny
    monkeypatch.setattr(module, "_STOP_S", 0.0)
    said = module.statuses
    monkeypatch.setattr(module, "statuses", lambda spool: [one | {"ended": False} for one in said(spool)])
    with pytest.raises(CellError, match=r"0 of 1 load processes ended in good order"):
        measure(cell, record, folder, CPUS, fakes.programs())


def test_a_feed_without_events_begins_when_the_window_is_over(tmp_path):
    cell = cells(fakes.read(tmp_path, fakes.TOML + "[feed]\nrate_hz = 0\n"))[0]
    record = blank(cell)
    measure(cell, record, tmp_path / "cell", CPUS, fakes.programs())
    to_ns = record["window"]["to_ns"]
    assert record["server"]["stats"]["feed"] == {"epoch_ns": to_ns, "stop_ns": to_ns + 1}
    assert "--rate" not in server_command(cell)


def test_load_processes_are_summed_and_the_worst_lateness_counts():
    both = summary([status(), status(late_ms_p50=0.3, late_ms_p99=4.0, failures={"x": 2, "y": 1})])
    assert (both["subscribed"], both["deliveries"]) == (2, 10)
    assert both["failures"] == {"x": 3, "y": 1}
    assert (both["late_ms_p50"], both["late_ms_p99"]) == (0.3, 4.0)
    assert both["window_bytes"] == {"up": 2, "down": 4}


def test_window_bytes_that_a_process_does_not_know_are_not_known():
    assert summary([status(), status(window=None)])["window_bytes"] is None
    assert summary([status(window={"up": None, "down": 2})])["window_bytes"] == {"up": None, "down": 2}
    assert summary([])["window_bytes"] is None


def test_command_lines_follow_the_cells_settings(tmp_path):
    text = 'transports = ["sse"]\nseed = 4\n[feed]\nrate_hz = 2\ntopics = "per_subscriber"\n[server]\nheartbeat_s = 3\n'
    text += "[load]\nsubscribers = 10\nsubscribers_per_user = 4\nworkers = 2\nspawn_rate_hz = 100\n"
    cell = cells(fakes.read(tmp_path, text))[0]
    server = " ".join(server_command(cell)[1:])
    assert server.startswith("-m servers sse --port 0 --tcp-port 0 --control --seed 4 ")
    assert "--rate 2 " in server
    assert server.endswith("--heartbeat 3 --topics 10")
    load = " ".join(load_command(cell, tmp_path / "plan.json"))
    assert "--headless -u 3 -r 25 " in load, "3 users hold 10 subscribers, 4 each"
    assert load.endswith("--processes 2 SSESubscriber")


OWN = """transports = ["stomp_tcp"]
[feed]
publisher = "subscribers"
topics = "per_subscriber"
rate_hz = 4
[load]
subscribers = 30
[upstream]
receipt = true
"""


def test_where_subscribers_publish_the_server_has_no_feed_of_its_own(tmp_path):
    cell = cells(fakes.read(tmp_path, OWN))[0]
    server = " ".join(server_command(cell))
    assert server.endswith("--published-topics 40")
    assert not {"--rate", "--topics", "--schedule", "--payload-bytes"} & set(server.split())


def test_the_plan_says_how_long_to_wait_and_how_to_come_back(tmp_path):
    text = fakes.TOML + "connect_timeout_s = 1\nbackoff_s = 0.1\ninsecure = true\n"
    cell = cells(fakes.read(tmp_path, 'tls = "1.2"\n' + text))[0]
    assert " --tls --tls-version 1.2 " in " ".join(server_command(cell))
    plan = module._plan(cell, OwnFeed(Access("https://h:1", None, "1.2"), cell.settings, {}), tmp_path)
    assert (plan["after"], plan["cursors"]) == (0, {})
    assert plan["tls"] == {"version": "1.2", "ca_file": None, "insecure": False}
    assert plan["timeouts"] == {"connect_s": 1.0, "handshake_s": 10.0, "response_s": 10.0}
    assert plan["backoff"] == {"first_s": 0.1, "max_s": 30.0}
    assert plan["target"] is None


@pytest.fixture
def foreign():
    target = FakeTarget()
    with serving(target):
        yield target, of_table({"url": target.url})


def test_a_target_is_measured_without_a_server_of_ours(tiny, foreign):
    cell, record, folder = tiny
    target, place = foreign
    measure(cell, record, folder, CPUS, fakes.programs(server="broken"), target=place)
    collect(record, folder)
    assert not (folder / "server.log").exists()
    assert record["cpus"] == {"server": [], "load": []}
    assert record["owed_from"] == {"t0": 7}
    with (folder / "resources.csv").open(newline="") as file:
        assert {row["process"] for row in csv.DictReader(file)} == {"load"}
    assert ("GET", "/clock", b"") in target.seen


def refused(status):
    def verify(*_):
        raise ControlError(f"POST /publish: status {status}", status)

    return verify


def test_a_target_that_lets_nobody_publish_is_measured_unverified(tiny, foreign):
    cell, record, folder = tiny
    measure(cell, record, folder, CPUS, fakes.programs(verify=refused(405)), target=foreign[1])
    assert (record["verify"], record["unverified"]) == ({}, "POST /publish: status 405")


def test_other_failures_of_a_verification_fail_the_cell(tiny, foreign):
    cell, record, folder = tiny
    with pytest.raises(ControlError):
        measure(cell, record, folder, CPUS, fakes.programs(verify=refused(500)), target=foreign[1])


def test_a_server_of_ours_must_let_us_publish(tiny):
    cell, record, folder = tiny
    with pytest.raises(ControlError):
        measure(cell, record, folder, CPUS, fakes.programs(verify=refused(405)))


def test_a_killed_program_is_the_reason_and_not_what_followed(tiny):
    cell, record, folder = tiny

    def kill(*_):
        (server,) = [one for one in psutil.Process().children() if "fake_server.py" in " ".join(one.cmdline())]
        server.kill()
        raise ControlError("POST /publish: Connection refused")

    with pytest.raises(ProgramError, match=r"^server was killed \(SIGKILL\)"):
        measure(cell, record, folder, CPUS, fakes.programs(verify=kill))


def test_a_server_that_dies_in_the_window_fails_the_cell_there_and_then(tmp_path):
    cell = cells(fakes.read(tmp_path, fakes.TOML.replace("measure_s = 0.3", "measure_s = 30")))[0]
    record = blank(cell)
    with pytest.raises(ProgramError, match=r"server ended by itself \(exit 3\)"):
        measure(cell, record, tmp_path / "cell", CPUS, fakes.programs(server="dies"))
    assert record["window"]


def test_who_publishes_is_verified_in_that_too(tiny, monkeypatch):
    cell, record, _ = tiny
    cell = dataclasses.replace(cell, settings=cell.settings | {"feed.publisher": "subscribers"})
    monkeypatch.setattr(module, "publishing", lambda *_: ["publish"])
    module._verify(cell, record, Access("http://h"), fakes.programs(), foreign=False)
    assert record["verify"]["checks"] == ["backlog", "publish"]


@pytest.mark.parametrize(("limit", "delivered", "slept"), [(0, 7, [0.02]), (1, 9, [1.5, 1.5, 1.5])])
def test_a_queue_is_waited_for_until_a_whole_pause_brings_nothing(tmp_path, monkeypatch, limit, delivered, slept):
    text = f'transports = ["polling"]\n[polling]\ninterval_s = 1\nlimit = {limit}\n'
    (cell,) = cells(fakes.read(tmp_path, text))
    clock, pauses = [0.0], []

    def sleep(seconds):
        pauses.append(seconds)
        clock[0] += seconds

    # an event a second for two seconds
    monkeypatch.setattr(module, "summary", lambda _: {"deliveries": 7 + min(2, int(clock[0]))})
    monkeypatch.setattr(module, "statuses", lambda _: [])
    monkeypatch.setattr(module, "_sleep_until", lambda _: None)
    monkeypatch.setattr(module.time, "sleep", sleep)
    module._drain(cell, {"window": {"stop_ns": 0}}, tmp_path, [])
    assert pauses == slept
    assert module.summary([])["deliveries"] == delivered
