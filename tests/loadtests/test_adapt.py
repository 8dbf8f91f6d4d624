"""What gives way to a target, and what is refused before anything is measured."""

from __future__ import annotations

import json

import pytest

from loadtests import experiment
from loadtests.adapt import adapt, prepare
from loadtests.grid import cells
from loadtests.settings import InputError
from tests.loadtests.fake_target import HEALTH, FakeTarget, serving

TOML = """transports = ["sse", "polling"]
[feed]
rate_hz = [1, 5]
topics = 4
[load]
subscribers = 3
[server]
heartbeat_s = 2
"""


@pytest.fixture
def read(tmp_path):
    def _read(text=TOML, url="http://h"):
        path = tmp_path / "x.toml"
        path.write_text(text)
        return experiment.aimed(experiment.read(path), url, None)

    return _read


def health(**feed):
    said = json.loads(json.dumps(HEALTH))
    said["feed"] |= feed
    return said


def test_the_feed_is_the_targets_and_every_difference_a_line(read):
    one, lines = adapt(read(), health())
    assert one.values["feed.rate_hz"] == (5.0,)
    assert one.values["feed.topics"] == (1,)
    assert "server.heartbeat_s" not in one.values
    assert lines == [
        "x.toml: feed.topics = 4, but the target feeds 1",
        "x.toml: feed.rate_hz = [1, 5], but the target feeds 5",
        "x.toml: server.heartbeat_s = 2 is the target's own affair: left out",
    ]
    assert len(cells(one)) == 2
    assert adapt(read('transports = ["sse"]\n[feed]\nrate_hz = 5'), health())[1] == []


def test_a_topic_for_each_subscriber_stays_where_the_target_has_as_many(read):
    text = 'transports = ["sse"]\n[feed]\ntopics = "per_subscriber"\n[load]\nsubscribers = 3'
    assert adapt(read(text), health(topics=3))[0].values["feed.topics"] == ("per_subscriber",)
    assert adapt(read(text), health(topics=2))[0].values["feed.topics"] == (2,)


def test_silence_is_kept_while_the_feed_waits(read):
    text = 'transports = ["sse"]\n[feed]\nrate_hz = 0'
    assert adapt(read(text), health(state="waiting"))[0].values["feed.rate_hz"] == (0.0,)
    one, lines = adapt(read(text), health())
    assert one.values["feed.rate_hz"] == (5.0,)
    assert lines == ["x.toml: feed.rate_hz = 0, but the target feeds 5"]


def test_a_feed_that_is_not_described_stays_the_experiments(read):
    one, lines = adapt(read(), {"contract": 1})
    assert one.values["feed.rate_hz"] == (1.0, 5.0)
    assert [line for line in lines if "feed" in line] == []


def test_tls_follows_the_targets_address(read):
    axis = 'transports = ["sse"]\ntls = ["off", "1.2", "1.3"]'
    beside = 'transports = ["sse"]\n[[also]]\ntls = "1.3"'
    plain = 'transports = ["sse"]'
    assert adapt(read(axis), health())[0].values["tls"] == ("off",)
    assert adapt(read(axis, "https://h"), health())[0].values["tls"] == ("1.2", "1.3")
    assert adapt(read(plain, "https://h"), health())[0].values["tls"] == ("1.3",)
    one, lines = adapt(read(beside), health())
    assert one.also == ()
    assert lines[-1] == "x.toml: tls = 1.3, but the target is http://h"
    assert len(cells(adapt(read(beside, "https://h"), health())[0])) == 1
    with pytest.raises(InputError, match=r"x\.toml: tls = 1\.3, but the target is http://h: give its https address"):
        adapt(read('transports = ["sse"]\ntls = "1.3"'), health())


@pytest.mark.parametrize(
    ("change", "transports", "message"),
    [
        ({"contract": 2}, '["sse"]', r"it speaks version 2 of the wire contract, expected 1"),
        ({}, '["sse", "websocket"]', r"transports names websocket, .* sse, polling; choose with --transports sse$"),
        ({}, '["websocket"]', r"names websocket, but the target serves sse, polling; choose another experiment"),
        ({"transports": ["stomp_tcp"]}, '["stomp_tcp"]', r"stomp_tcp needs the target's own port: --tcp HOST:PORT"),
        ({"feed": {"state": "stopped"}}, '["sse"]', r"its feed has ended, and a feed runs once: start"),
    ],
)  # fmt: skip
def test_what_cannot_be_measured_there_is_refused_at_once(read, change, transports, message):
    target = FakeTarget()
    target.health |= change
    with serving(target), pytest.raises(InputError, match=message):
        prepare([read(f"transports = {transports}", target.url)])


def test_experiments_without_a_target_are_left_alone(read, tmp_path):
    path = tmp_path / "y.toml"
    path.write_text('transports = ["sse"]')
    plain, target = experiment.read(path), FakeTarget()
    with serving(target):
        prepared, lines = prepare([plain, read(url=target.url), read(url=target.url)])
    assert prepared[0] is plain
    assert len(lines) == 3, "each line is said once"


def test_a_target_that_is_not_there_is_one_line(read):
    with pytest.raises(
        InputError, match=r"^--target http://127\.0\.0\.1:1: GET http://127\.0\.0\.1:1/health: .*refused"
    ):
        prepare([read(url="http://127.0.0.1:1")])
