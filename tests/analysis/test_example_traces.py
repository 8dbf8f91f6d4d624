"""The example traces: the same bytes each time, read without a remark, and of the kind they say they are."""

from datetime import datetime

import numpy as np
import pytest

from analysis import __main__ as program
from analysis import example_traces, traces
from analysis.example_traces import EXAMPLES

BY_NAME = {one.name: one for one in EXAMPLES}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("traces") / "out"
    assert program.main(["traces", "--out", str(folder)]) == 0
    return folder


@pytest.fixture(scope="module")
def read(folder):
    return {name: traces.usable(folder / f"{name}.csv", [0.5, 0.95, 0.99]) for name in BY_NAME}


def test_the_verb_writes_them_and_says_what_they_are(folder, capsys):
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert program.main(["traces", "--out", str(folder)]) == 0
    said = capsys.readouterr().out
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert sorted(before) == sorted(f"{name}.csv" for name in BY_NAME)
    assert all(one.says in said for one in EXAMPLES)
    assert "tune --trace" in said.splitlines()[-1]
    assert max(len(content) for content in before.values()) < 1.2e6


@pytest.mark.parametrize("one", EXAMPLES, ids=lambda one: one.name)
def test_another_seed_makes_another_of_the_same_kind(one):
    first, again, other = (example_traces.text(one, seed) for seed in (1, 1, 2))
    assert first == again
    assert first != other
    assert first.splitlines()[0] == other.splitlines()[0]
    assert len(other) == pytest.approx(len(first), rel=0.25)


@pytest.mark.parametrize("name", BY_NAME)
def test_it_is_read_without_a_remark(read, name):
    trace = read[name]
    assert trace.bad == ()
    assert 2_000 < len(trace.times_s) < 40_000


def test_columns_and_clocks_differ(folder):
    heads = {name: (folder / f"{name}.csv").read_text().splitlines()[:2] for name in BY_NAME}
    assert {name: head for name, (head, _) in heads.items()} == {
        "chat_room": "time,room", "ticker": "seconds", "order_status": "time,client,status",
        "deploy_notifications": "time,topic,step",
    }  # fmt: skip
    assert heads["chat_room"][1].partition(",")[0].endswith("Z")
    assert "+01:00," in heads["order_status"][1]


def shares(times_s, edges):
    counts, _ = np.histogram(times_s, edges)
    return counts / counts.sum()


def test_talk_is_bursty_and_has_its_evening(read):
    chat = read["chat_room"]
    assert chat.clients == 8
    hours = shares(chat.times_s / 3600, np.arange(25))
    assert hours[18:22].sum() > 4 * hours[6:10].sum()
    busiest = chat.times_s[chat.client == np.bincount(chat.client).argmax()]
    gaps = np.diff(busiest)
    assert gaps.std() / gaps.mean() > 1.5  # 1 for Poisson events
    # a remark has 0.75 replies: about 4 remarks for each that starts a talk
    assert 12_000 < len(chat.times_s) < 20_000


def test_the_ticker_is_busy_at_both_ends_and_in_runs(read):
    ticker = read["ticker"]
    parts = shares(ticker.times_s, np.linspace(0, 6.5 * 3600, 14))
    assert min(parts[0], parts[-1]) > 2 * parts[6]
    assert (np.diff(ticker.times_s) < 0.25).mean() == pytest.approx(0.6, abs=0.1)  # 1.5 of 2.5 follow at once
    assert ticker.clients == 1


def test_an_order_has_seven_states_in_their_order(folder, read):
    orders = read["order_status"]
    assert orders.clients == 1500
    assert (np.bincount(orders.client) == len(example_traces.STATUSES)).all()
    rows = [line.split(",") for line in (folder / "order_status.csv").read_text().splitlines()[1:]]
    assert [status for _, client, status in rows if client == "order-0042"] == list(example_traces.STATUSES)
    waits_min = np.diff(orders.times_s.reshape(1500, 7), axis=1) / 60
    assert np.median(waits_min, axis=0) == pytest.approx([1, 2, 15, 5, 10, 2.5], rel=0.1)


def test_nobody_deploys_at_night_or_at_a_weekend(folder, read):
    rows = (folder / "deploy_notifications.csv").read_text().splitlines()[1:]
    moments = [datetime.fromisoformat(row.partition(",")[0]) for row in rows]
    assert {moment.weekday() for moment in moments} == set(range(5))
    assert {moment.hour for moment in moments} <= set(range(9, 19))
    assert read["deploy_notifications"].length_s > 25 * 86_400
    assert read["deploy_notifications"].clients == 6


def test_a_batch_begins_anew():
    batch, place = example_traces._batches(np.array([2, 1, 3]))
    assert batch.tolist() == [0, 0, 1, 2, 2, 2]
    assert place.tolist() == [0, 1, 0, 0, 1, 2]
    assert example_traces._within(np.array([0.0, 5, 0, 0, 1, 2]), place).tolist() == [0, 5, 0, 0, 1, 3]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [(["--out", "FILE"], "cannot be written"), (["--seed", "-1"], "--seed -1: expected a number of at least 0")],
)
def test_what_cannot_be_done_is_one_line(tmp_path, capsys, arguments, says):
    (tmp_path / "file").write_text("")
    assert program.main(["traces", *(str(tmp_path / "file") if one == "FILE" else one for one in arguments)]) == 2
    said = capsys.readouterr().err
    assert says in said
    assert said.count("\n") == 1
