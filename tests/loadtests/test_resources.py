"""Resources: what a process has used, in the columns of the results format."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
import threading
import time

import pytest

import loadtests
from loadtests import resources
from loadtests.resources import Sampler, cpu_ns, family, kernel_bytes, parse_kernel_bytes, read

SOCKSTAT = "sockets: used 16\nTCP: inuse 1 orphan 0 tw 0 alloc 1 mem 257\nUDP: inuse 0 mem 9\n"
MEMINFO = "MemTotal:       24684100 kB\nSlab:             180036 kB\nSReclaimable:     154012 kB\n"


@pytest.fixture
def child():
    code = "import time; print('up', flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as process:
        process.stdout.readline()  # Python is up: it has its memory
        yield process
        process.kill()


def test_kernel_memory_is_tcp_pages_and_slab():
    assert parse_kernel_bytes(SOCKSTAT, MEMINFO, 4096) == 257 * 4096 + 180036 * 1024


@pytest.mark.parametrize(("sockets", "memory"), [("", MEMINFO), (SOCKSTAT, ""), ("TCP: inuse 1", MEMINFO), ("", "")])
def test_kernel_memory_that_is_not_told_is_none(sockets, memory):
    assert parse_kernel_bytes(sockets, memory, 4096) is None


def test_cpu_time_counts_threads_that_have_ended():
    before = cpu_ns(os.getpid())
    thread = threading.Thread(target=lambda: sum(range(1_000_000)))
    thread.start()
    thread.join()
    used = time.process_time_ns()
    assert before < cpu_ns(os.getpid())
    assert cpu_ns(os.getpid()) == pytest.approx(used, rel=0.2, abs=20_000_000)


def test_a_sample_is_one_of_the_process_asked_for(child):
    sample = read(child.pid, "server", "ready", 5)
    assert (sample.process, sample.pid, sample.mark, sample.kernel_bytes) == ("server", child.pid, "ready", 5)
    assert sample.rss_bytes > 1_000_000
    assert sample.threads == 1
    assert sample.fds is None or sample.fds >= 3
    assert abs(sample.at_ns - time.monotonic_ns()) < 60_000_000_000


def test_without_proc_the_same_comes_from_psutil(child, monkeypatch, tmp_path):
    exact = read(child.pid, "server", "", None)
    monkeypatch.setattr(resources, "_PROC", tmp_path)
    monkeypatch.setattr(resources, "_CPU_CLOCK", None)
    coarse = read(child.pid, "server", "", kernel_bytes())
    assert coarse.kernel_bytes is None
    assert coarse.rss_bytes == pytest.approx(exact.rss_bytes, rel=0.5)
    assert coarse.threads == exact.threads
    assert coarse.cpu_ns <= exact.cpu_ns + 1_000_000_000


def test_the_file_has_the_columns_of_the_results_format(child, tmp_path):
    with Sampler(tmp_path / "resources.csv") as sampler:
        sampler.watch("server", [child.pid])
        sampler.sample("ready")
        sampler.watch("load", [os.getpid()])
        sampler.sample("from")
        sampler.sample()
    with (tmp_path / "resources.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    documented = str(loadtests.__doc__).partition("resources.csv\n")[2]
    assert all(column in documented for column in rows[0])
    assert [(row["mark"], row["process"]) for row in rows] == [
        ("ready", "server"),
        ("from", "server"),
        ("from", "load"),
        ("", "server"),
        ("", "load"),
    ]
    assert int(rows[2]["cpu_ns"]) <= int(rows[4]["cpu_ns"])


def test_a_process_that_has_ended_is_left_out(child, tmp_path):
    child.kill()
    child.wait()
    with Sampler(tmp_path / "resources.csv") as sampler:
        sampler.watch("server", [child.pid])
        sampler.sample("to")
    assert (tmp_path / "resources.csv").read_text().count("\n") == 1
    assert family(child.pid) == []


def test_a_family_is_a_process_and_what_it_started(child):
    assert child.pid in family(os.getpid())
    assert family(child.pid) == [child.pid]
