"""The simulator beside live runs, on runs that clients made which one follows one by one (no simulator in them)."""

import types
from dataclasses import replace

import numpy as np
import pytest

from analysis import findings, realised, replay, simulate
from analysis.agreement import agreement
from analysis.measured import measure
from tests.analysis import fake_run
from tests.analysis.rows import cell

N, END = 400, 20.0
PERIOD, DELTA = 0.8, 0.005
RUN = types.SimpleNamespace(floor={"polling": {"round_trip_ms_p50": 2e3 * DELTA}})
BASE = {"feed.topics": "per_subscriber", "load.subscribers": N, "feed.rate_hz": 1.5, "polling.interval_s": PERIOD}


def feed(schedule, seed=5):
    rng = np.random.default_rng(seed)
    if schedule == "poisson":
        return [fake_run.poisson(rng, 1.5, END) for _ in range(N)]
    return [np.arange(phase, END, 1 / 1.5) for phase in rng.uniform(0, 1 / 1.5, N)]


def polled(folder, schedule, seed=6, *, limit=0, latest=False, period=PERIOD):
    """A cell of pollers; with ``latest`` or ``limit`` they see the newest event of an answer, or the oldest ones."""
    rng, deliveries, responses = np.random.default_rng(seed), [], []
    for i, due in enumerate(feed(schedule)):
        seen = 0
        for snapshot in np.arange(rng.uniform(0, period), END + 30 * period, period):
            pending = np.arange(seen, np.searchsorted(due, snapshot, side="right"))
            taken = pending[-1:] if latest else pending[: limit or None]
            seen = taken[-1] + 1 if len(taken) else seen
            received = 1e3 * (snapshot + DELTA)
            deliveries += [(i, i, int(k) + 1, 1e3 * due[k], 1e3 * due[k], received) for k in taken]
            responses.append((i, received, len(taken)))
    chosen = {
        "polling.interval_s": period,
        "feed.schedule": schedule,
        "polling.mode": "latest" if latest else "cursor",
        "polling.limit": limit,
    }
    one = cell(folder, deliveries, responses, transport="polling", settings=BASE | chosen)
    return measure(replace(one, cell=f"polling/{folder.name}"), pulls=True)


@pytest.fixture(scope="module")
def groups(tmp_path_factory):
    folder = tmp_path_factory.mktemp("replay")
    cells = {
        "batch": polled(folder / "batch", "poisson"),
        "single": polled(folder / "single", "poisson", limit=1, period=PERIOD / 2),
        "state": polled(folder / "state", "poisson", latest=True),
        "ticks": polled(folder / "ticks", "constant", latest=True),
    }
    return {("e", name): [one] for name, one in cells.items()}


@pytest.fixture(scope="module")
def found(groups):
    return findings.table(groups, replay.replay(RUN, groups))


def test_every_kind_of_poller_is_simulated(found):
    quantities = found.groupby("cell")["quantity"].apply(list).to_dict()
    asked = ["delivery_ms_mean", "delivery_ms_p95", "empty_ratio"]
    assert quantities == {
        "batch": asked, "single": asked,
        "state": [*asked, "unique_published", "in_step"],
        "ticks": [*asked, "unique_published", "in_step"],
    }  # fmt: skip


def test_the_simulator_says_what_they_did(found):
    assert found[found["verdict"] == "differs"][["cell", "quantity", "theory", "measured"]].to_dict("records") == []
    assert (found["verdict"] == "agrees").mean() > 0.7
    assert found["z"].abs().max() < 5


@pytest.mark.parametrize(
    ("how", "cells"),
    [
        ({"limit": 0}, {"single"}),
        ({"latest": False}, {"state", "ticks"}),
        ({"policy": replay.POLICIES["fixed_rate"](1.2 * PERIOD)}, {"batch", "state", "ticks"}),
    ],
)
def test_a_broken_simulator_turns_the_table_red(groups, monkeypatch, how, cells):
    sound = simulate.pull
    policy = how.pop("policy", None)
    monkeypatch.setattr(
        simulate, "pull", lambda plan, chosen, *given, **kept: sound(plan, policy or chosen, *given, **kept | how)
    )
    found = findings.table(groups, replay.replay(RUN, groups))
    assert cells <= set(found.loc[found["verdict"] == "differs", "cell"])


def test_theory_holds_the_same_to_three_percent_and_names_both_of_bozdags_ratios(groups):
    table = agreement(RUN, groups, replay.replay(RUN, groups)).set_index(["cell", "quantity"])
    assert "differs" not in set(table["verdict"])
    tau = 1 / 1.5
    ticks = table.loc["ticks"]
    assert ticks.loc["unique_published", "closed_form"] == pytest.approx(tau / PERIOD)
    assert ticks.loc["unique_received", "closed_form"] == pytest.approx(1.0)  # slower than the publisher: all is news
    assert ticks.loc["unique_published", "measured"] == pytest.approx(tau / PERIOD, abs=0.02)
    assert "empty_ratio" not in ticks.index
    mean = table.loc[("single", "delivery_ms_mean")]
    assert mean["tolerance"] == pytest.approx(0.03 * mean["theory"])


def test_the_ticks_that_nobody_saw_are_filled_in(groups):
    plan = findings.schedule_of(groups["e", "ticks"], groups)
    due = np.concatenate(feed("constant"))
    assert len(plan.due_s) == pytest.approx(len(due), abs=N)  # of each topic's last ticks one may be unseen
    assert plan.due_s[plan.topic == 3] == pytest.approx(feed("constant")[3][: (plan.topic == 3).sum()], abs=1e-6)


def test_a_random_feed_is_taken_from_a_cell_that_saw_all_of_it(groups):
    plan = findings.schedule_of(groups["e", "state"], groups)
    assert plan.due_s == pytest.approx(np.concatenate(feed("poisson")), abs=1e-6)
    alone = {("e", "state"): groups["e", "state"]}
    assert findings.schedule_of(groups["e", "state"], alone) is None
    assert replay.replay(RUN, alone) == {}
    batch = groups["e", "batch"][0]
    faster = replace(batch, cell=replace(batch.cell, settings=batch.cell.settings | {"feed.rate_hz": 3.0}))
    other = {**alone, ("e", "batch"): [faster]}
    assert replay.replay(RUN, other).keys() == {("e", "batch")}


def test_in_step_is_from_a_receipt_to_the_next_event_within_the_window():
    plan = realised.Schedule(np.array([9.0, 12.0, 15.0, 19.0]), np.zeros(4, int), 1, 10.0, 20.0)
    rows = fake([(1, 9.0, 11.0), (3, 15.0, 15.5), (4, 19.0, 19.25)])
    seen = types.SimpleNamespace(cell=types.SimpleNamespace(topics=1, window=None, deliveries=lambda: rows))
    # 11 to 12, nothing while the second was missed, 15.5 to 19, 19.25 to the end
    assert replay._in_step_s([seen], plan) == pytest.approx([1 + 3.5 + 0.75])


def fake(rows):
    import pandas as pd

    return pd.DataFrame(
        [(0, 0, 0, seq, due * 1e9, due * 1e9, received * 1e9, 1) for seq, due, received in rows],
        columns=["subscriber", "connection", "topic", "seq", "due_ns", "sent_ns", "received_ns", "bytes"],
    ).astype("int64")


def test_who_asks_all_the_time_is_not_simulated(tmp_path):
    one = cell(tmp_path, [(0, 0, 1, 11_000, 11_000, 11_001)], settings=BASE | {"polling.interval_s": 0.0})
    key = ("e", "c")
    assert replay.replay(RUN, {key: [measure(one, pulls=True)]}) == {}
