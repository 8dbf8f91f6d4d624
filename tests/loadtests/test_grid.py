"""The cells: every combination once a repeat, in an order that the seed decides."""

from __future__ import annotations

from collections import Counter

import pytest

from loadtests import experiment
from loadtests.grid import REFERENCE_HOLD_S, beyond_s, cells, drain_s, estimate_s, queues

TWO_CLIENTS = """
transports = ["polling", "sse", "long_polling"]
repeats = 3
seed = 7
reference = false
[feed]
rate_hz = [1, 2]
[polling]
interval_s = [0.1, 0.5, 2]
"""


@pytest.fixture
def read(tmp_path):
    def _read(text):
        path = tmp_path / "two.toml"
        path.write_text(text)
        return experiment.read(path)

    return _read


def test_a_clients_axis_multiplies_only_its_own_transports(read):
    ordered = cells(read(TWO_CLIENTS))
    assert Counter(cell.transport for cell in ordered if cell.repeat == 1) == {
        "polling": 6,
        "sse": 2,
        "long_polling": 2,
    }


def test_a_repeat_is_a_block_that_holds_every_cell_once(read):
    ordered = cells(read(TWO_CLIENTS))
    assert [cell.repeat for cell in ordered] == [1] * 10 + [2] * 10 + [3] * 10
    names = [[cell.name for cell in ordered if cell.repeat == repeat] for repeat in (1, 2, 3)]
    assert set(names[0]) == set(names[1]) == set(names[2])
    assert all(len(set(block)) == 10 for block in names)


def test_the_order_is_shuffled_by_the_seed_and_by_nothing_else(read):
    order = [cell.id for cell in cells(read(TWO_CLIENTS))]
    assert order == [cell.id for cell in cells(read(TWO_CLIENTS))]
    other = [cell.id for cell in cells(read(TWO_CLIENTS.replace("seed = 7", "seed = 8")))]
    assert order != other
    assert sorted(order) == sorted(other)
    blocks = [[id_.rpartition("-")[0] for id_ in order[start : start + 10]] for start in (0, 10, 20)]
    assert blocks[0] != blocks[1], "each repeat has an order of its own"


def test_a_repeat_has_the_same_events_everywhere_and_the_next_one_fresh_ones(read):
    for cell in cells(read(TWO_CLIENTS)):
        assert cell.seed == 7 + cell.repeat - 1


def test_a_cell_is_named_by_its_axes_and_its_id_is_a_file_name(read):
    cell = next(cell for cell in cells(read(TWO_CLIENTS)) if cell.settings.get("polling.interval_s") == 0.5)
    assert cell.label.startswith("two/polling/feed.rate_hz=")
    assert cell.label.endswith("/polling.interval_s=0.5/r1")
    assert cell.id == cell.label.replace("/", "-")


def test_settings_are_dotted_and_options_are_the_clients_own(read):
    cell = next(cell for cell in cells(read(TWO_CLIENTS)) if cell.transport == "polling")
    assert cell.settings["transport"] == "polling"
    assert cell.settings["load.subscribers"] == 50
    assert cell.options()["interval_s"] == cell.settings["polling.interval_s"]
    assert not any("." in name for name in cell.options())
    assert not any(key.startswith("long_polling.") for key in cell.settings)


def test_server_keys_of_one_transport_reach_no_other(read):
    ordered = cells(read('transports = ["sse", "websocket"]\n[server]\ndeflate = [true, false]\nheartbeat_s = 3'))
    assert Counter(cell.transport for cell in ordered) == {"sse": 1, "websocket": 2}
    assert all(cell.settings["server.heartbeat_s"] == 3 for cell in ordered)
    assert not any("server.deflate" in cell.settings for cell in ordered if cell.transport == "sse")


def test_a_sweep_of_long_polling_has_one_reference_for_each_feed_and_load(read):
    text = 'transports = ["long_polling"]\nrepeats = 2\n[feed]\nrate_hz = [1, 2]\n[long_polling]\nhold_s = [1, 2, 5]'
    ordered = cells(read(text))
    references = [cell for cell in ordered if cell.role == "reference"]
    assert len(ordered) == 2 * (6 + 2)
    assert {(cell.repeat, cell.settings["feed.rate_hz"]) for cell in references} == {(1, 1), (1, 2), (2, 1), (2, 2)}
    for cell in references:
        assert (cell.settings["long_polling.hold_s"], cell.settings["long_polling.gap_s"]) == (REFERENCE_HOLD_S, 0)
        assert "reference" in cell.name
    assert len({cell.id for cell in ordered}) == len(ordered)


def test_the_drain_lasts_a_pollers_longest_pause(read):
    for cell in cells(read(TWO_CLIENTS)):
        pause_s = cell.settings.get("polling.interval_s", 0)
        assert drain_s(cell) == pytest.approx(0.3 if cell.transport == "sse" else 0.5 + pause_s)
    gap = cells(read('transports = ["long_polling"]\n[long_polling]\ngap_s = 0.4\nhold_s = 25'))[0]
    assert drain_s(gap) == pytest.approx(0.9), "the hold ends with an event or without one: it delays nothing"


def test_a_cell_is_estimated_at_more_than_its_window(read):
    cell = cells(
        read('transports = ["sse"]\n[load]\nwarmup_s = 2\nmeasure_s = 5\nsubscribers = 100\nspawn_rate_hz = 50')
    )
    assert estimate_s(cell[0]) == pytest.approx(1.5 + 2 + 2 + 5 + 0.3)


def test_what_two_grids_have_in_common_is_measured_once(read):
    text = 'transports = ["sse", "long_polling"]\n[load]\nsubscribers = [10, 100]\n[long_polling]\nhold_s = [1, 2]\n'
    text += '[[also]]\ntls = ["off", "1.3"]\nload.subscribers = 100\n'
    ordered = cells(read(text))
    assert len({cell.id for cell in ordered}) == len(ordered)
    assert {(c.settings["load.subscribers"], c.settings["tls"]) for c in ordered} == {
        (10, "off"),
        (100, "off"),
        (100, "1.3"),
    }
    assert Counter(cell.transport for cell in ordered) == {"sse": 3, "long_polling": 6 + 3}
    assert all("tls=" in cell.name for cell in ordered)


def test_the_feed_of_a_state_goes_on_behind_the_window_so_that_its_last_events_are_replaced(read):
    cursor, latest = (
        cells(read(f'transports = ["polling"]\n[polling]\nmode = "{mode}"\ninterval_s = 2'))[0]
        for mode in ("cursor", "latest")
    )
    assert (beyond_s(cursor), beyond_s(latest)) == (0, pytest.approx(2.5))
    assert estimate_s(latest) - estimate_s(cursor) == pytest.approx(2.5)


def test_who_is_answered_an_event_at_a_time_may_have_a_queue(read):
    few, all_, held = (
        cells(read(f'transports = ["{name}"]\n[{name}]\nlimit = {limit}'))[0]
        for name, limit in (("polling", 1), ("polling", 0), ("long_polling", 2))
    )
    assert (queues(few), queues(all_), queues(held)) == (True, False, True)
