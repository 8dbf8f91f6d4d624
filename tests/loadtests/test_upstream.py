"""Every way to publish against every server over real sockets, byte by byte; and what a cell's publishers are told."""

from __future__ import annotations

import itertools
import json
import random
import subprocess
import sys
import time

import msgspec
import pytest

from loadtests.access import Access
from loadtests.clients import Begin
from loadtests.control import ask
from loadtests.drivers.blocking import Rows, run
from loadtests.records import PUBLISH, Spools, read_publishes, to_parquet
from loadtests.transports import TRANSPORTS
from loadtests.upstream import Upstream, open_topics, upstream, ways, with_publisher
from loadtests.verify import client, subscriber

READS = {"whole": lambda: 256 * 1024, "bytewise": lambda: 1, "1 to 7": lambda: random.randint(1, 7)}
WAYS = [(name, way) for name, row in TRANSPORTS.items() for way in ways(row)]
COUNT = 20
SETTINGS = {"feed.schedule": "poisson", "feed.rate_hz": 5.0, "feed.payload_bytes": 300}
TOPICS = (f"way{i}" for i in itertools.count())


@pytest.fixture(scope="module")
def server():
    command = [sys.executable, "-m", "servers", "all", "--port", "0", "--tcp-port", "0", "--control"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        said = json.loads(process.stdout.readline())
        yield Access(said["http"], said["tcp"])
        process.terminate()
    assert process.returncode == 0


def column(rows, name):
    return [row[PUBLISH.index(name)] for row in rows.publishes]


@pytest.mark.parametrize("read", READS)
@pytest.mark.parametrize(("name", "way"), WAYS, ids=lambda value: value if isinstance(value, str) else "")
def test_what_is_published_comes_back_whole_and_in_order(server, name, way, read):
    row, topic, rows = TRANSPORTS[name], next(TOPICS), Rows()
    ask(server, "POST", f"/publish/{topic}", b"opened")
    who = subscriber(row, server, topic, 1)
    way = msgspec.structs.replace(way, rate_hz=2000.0, payload_bytes=200)
    began_ns = time.monotonic_ns()
    begin = Begin(began_ns, began_ns, began_ns + COUNT * 500_000)
    listening, publisher = with_publisher(row, who, client(row, who, interval_s=0.005), way, server.http, begin=begin)
    if publisher:
        sent = run(publisher, rows, until=lambda: len(rows.publishes) >= COUNT, timeout_s=10, read_bytes=READS[read])
        assert sent.failures == ()
    done = run(
        listening,
        rows,
        until=lambda: len(rows.publishes) >= COUNT and len(rows.deliveries) >= COUNT,
        timeout_s=10,
        read_bytes=READS[read],
    )
    assert done.failures == ()
    wanted = list(range(2, COUNT + 2))
    assert [delivery[3] for delivery in rows.deliveries] == wanted, "0 would be a wrong checksum"
    assert column(rows, "seq") == wanted
    assert set(column(rows, "status")) == {0 if row.duplex else 202}
    assert all((at > 0) == way.acknowledged(row) for at in column(rows, "acknowledged_ns"))
    taken_ns = [delivery[5] for delivery in rows.deliveries]
    order = zip(column(rows, "due_ns"), column(rows, "sent_ns"), taken_ns, strict=True)
    assert all(due <= sent <= taken for due, sent, taken in order)
    assert all(200 < size < 500 for size in column(rows, "bytes_sent"))
    assert len(rows.connections) == 1 + (0 if publisher is None else 1 if way.keep_alive else COUNT)


def test_a_frame_costs_eight_bytes_and_a_post_its_header(server):
    def overhead(name):
        row, topic, rows = TRANSPORTS[name], next(TOPICS), Rows()
        ask(server, "POST", f"/publish/{topic}", b"opened")
        way = Upstream(payload_bytes=300)
        begin = Begin(1, time.monotonic_ns(), time.monotonic_ns() + 1_000_000)
        who = subscriber(row, server, topic, 1)
        listening, publisher = with_publisher(row, who, client(row, who), way, server.http, begin=begin)
        run(publisher or listening, rows, until=lambda: bool(rows.publishes), timeout_s=5)
        return column(rows, "bytes_sent")[0] - 300

    assert overhead("websocket") == 8  # 2 + 2 of length + 4 of masking key (RFC 6455 5.2)
    assert 100 < overhead("sse") < 200


def test_topics_exist_from_their_first_event_on_and_are_opened_once_more(server):
    assert open_topics(server, 3) == (1, 1, 1)
    assert open_topics(server, 2) == (2, 2), "a target that has run before"
    published = ask(server, "GET", "/stats")["published"]
    assert (published["u0"], published["u2"]) == (2, 1)


def test_the_plan_tells_what_the_publishers_do():
    told = upstream(SETTINGS | {"upstream.receipt": True}, (1, 7))
    assert msgspec.convert(told, Upstream) == Upstream("poisson", 5.0, 300, keep_alive=True, receipt=True, after=(1, 7))


def test_what_never_came_is_null_in_the_table(tmp_path):
    with Spools(tmp_path) as spools:
        spools.publish((0, 2, 10, 20, 30, 202, 400, 150))
        spools.publish((0, 0, 40, 0, 0, -1, 0, 0))
    names = ("sent_ns", "acknowledged_ns", "status", "bytes_sent", "bytes_received")
    assert read_publishes([tmp_path / "0.publishes"]).select(names).to_pylist() == [
        dict(zip(names, (20, 30, 202, 400, 150), strict=True)),
        dict(zip(names, (None, None, -1, None, None), strict=True)),
    ]
    assert to_parquet(tmp_path, tmp_path)["publishes"] == 2


def test_where_nobody_publishes_there_is_no_file(tmp_path):
    with Spools(tmp_path):
        pass
    assert "publishes" not in to_parquet(tmp_path, tmp_path)
    assert not (tmp_path / "publishes.parquet").exists()
