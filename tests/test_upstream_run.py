"""The upstream direction as a whole: subscribers publish by every kind of way, and the figures come out at the end."""

import csv
import json
import subprocess
import sys
from pathlib import Path

import pytest

from analysis.load import open_run
from analysis.results import evaluate

ROOT = Path(__file__).parents[1]
EXPERIMENT = """
transports = ["sse", "websocket", "stomp_tcp"]
[feed]
publisher = "subscribers"
topics = "per_subscriber"
rate_hz = 20.0
[load]
subscribers = 10
warmup_s = 0.2
measure_s = 1
[upstream]
keep_alive = false
receipt = true
"""


def run(*command, cwd):
    whole = [sys.executable, "-m", *command]
    return subprocess.run(
        whole, cwd=cwd, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=100, check=False
    )


def measured(folder, tls):
    """Run and report; the run's folder, its rows by transport, what the report printed."""
    (folder / "up.toml").write_text(f'tls = "{tls}"\n{EXPERIMENT}')
    done = run("loadtests", "run", "up.toml", "--out", "results", "--no-floor", cwd=folder)
    assert done.returncode == 0, done.stderr
    latest = folder / "results" / "latest"
    said = run("analysis", "report", str(latest), cwd=folder)
    with (latest / "summary.csv").open() as file:
        return latest, {row["transport"]: row for row in csv.DictReader(file)}, said


def everybody_hears_back_what_it_published_and_nothing_is_lost(latest, rows, said):
    for row in rows.values():
        assert float(row["publishes"]) > 100
        assert (row["lost"], row["duplicated"], row["corrupted"], row["publish_failures"]) == ("0",) * 4
        assert 0 < float(row["upstream_ms_p50"]) < float(row["echo_ms_p50"])
        assert float(row["server_cpu_us_per_publish"]) > 0
        assert row["publish_delay_ms_p50"] == "", "the server has no schedule to be late by"
    for cell in json.loads((latest / "run.json").read_text())["cells"]:
        assert any(check.startswith("publish by ") for check in cell["verify"]["checks"])
        assert cell["load"]["failures"] == {}


def the_same_is_published_by_every_way_and_costs_what_its_protocol_adds(latest, rows, said):
    assert len({row["publishes"] for row in rows.values()}) == 1, "the schedule is the seed's"
    assert float(rows["websocket"]["publish_bytes"]) == 256 + 8
    assert 256 + 40 < float(rows["stomp_tcp"]["publish_bytes"]) < 256 + 100
    assert float(rows["sse"]["publish_bytes"]) > 256 + 100


def what_acknowledges_and_what_does_not(latest, rows, said):
    assert float(rows["sse"]["acknowledged_ms_p50"]) > float(rows["sse"]["upstream_ms_p50"])
    assert float(rows["stomp_tcp"]["acknowledged_ms_p50"]) > 0
    assert rows["websocket"]["acknowledged_ms_p50"] == ""


def the_report_has_its_chart_and_its_table(latest, rows, said):
    assert "echo ms" in said.stdout
    page = (latest / "report" / "report.html").read_text()
    assert "To publish 256 B takes" in page or "Nothing can be concluded" in page
    assert "heard back, p50" in page
    assert (latest / "report" / "charts" / "up-upstream.svg").exists()


@pytest.mark.parametrize("tls", ["off", "1.3"])
def test_subscribers_publish_and_the_figures_come_out(tls, tmp_path):
    found = measured(tmp_path, tls)  # one run for all of it: a fixture would be set up by every worker
    everybody_hears_back_what_it_published_and_nothing_is_lost(*found)
    the_same_is_published_by_every_way_and_costs_what_its_protocol_adds(*found)
    what_acknowledges_and_what_does_not(*found)
    the_report_has_its_chart_and_its_table(*found)


def test_a_target_is_published_to_twice_and_every_topic_goes_on_where_it_stood(tmp_path):
    (tmp_path / "up.toml").write_text(EXPERIMENT.replace('["sse", "websocket", "stomp_tcp"]', '["sse"]\nrepeats = 2'))
    command = [sys.executable, "-m", "servers", "sse", "--port", "0", "--rate", "50"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as server:
        try:
            url = json.loads(server.stdout.readline())["http"]
            target = ("--target", url, "--out", "results", "--no-floor")
            done = run("loadtests", "run", "up.toml", *target, cwd=tmp_path)
        finally:
            server.terminate()
    assert done.returncode == 0, done.stderr
    latest = tmp_path / "results" / "latest"
    evaluate(open_run(latest)).write()
    with (latest / "summary.csv").open() as file:
        first, second = csv.DictReader(file)
    for row in (first, second):
        assert float(row["publishes"]) > 100
        assert (row["lost"], row["corrupted"], row["publish_failures"]) == ("0", "0", "0")
        assert row["server_cpu_us_per_publish"] == "", "only our own process can be asked"
