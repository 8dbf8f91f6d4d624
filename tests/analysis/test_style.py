import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure

from analysis import style
from analysis.prose import Estimate


def test_a_transport_keeps_its_colour_and_marker_when_others_are_added():
    few, many = style.looks(["polling", "sse"]), style.looks(["polling", "sse", "seventh"])
    assert few == {name: many[name] for name in few}


def test_sixteen_transports_all_look_different():
    assert len(set(style.looks([f"t{i}" for i in range(16)]).values())) == 16


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_labels_never_touch_and_stay_in_place_when_there_is_room(wanted):
    gap = 0.05
    placed = style.spread(wanted, gap)
    ordered = sorted(placed)
    assert all(b - a >= gap - 1e-9 for a, b in itertools.pairwise(ordered))
    assert min(placed) >= -1e-9
    assert max(placed) <= 1 + 1e-9
    assert [i for _, i in sorted((w, i) for i, w in enumerate(wanted))] == sorted(
        range(len(wanted)), key=lambda i: placed[i]
    )


def test_labels_that_do_not_touch_are_not_moved():
    assert style.spread([0.9, 0.1, 0.5], 0.1) == pytest.approx([0.9, 0.1, 0.5])


def test_labels_that_touch_are_moved_about_their_middle():
    assert style.spread([0.5, 0.5, 0.5], 0.1) == pytest.approx([0.4, 0.5, 0.6])


@pytest.mark.parametrize(("value", "text"), [(0.1, "0.1"), (1.0, "1"), (1000.0, "1,000"), (0.001, "0.001")])
def test_ticks_are_written_as_people_write_them(value, text):
    assert style.plain_tick(value) == text


def test_ticks_that_would_touch_give_way_to_the_larger():
    assert style.thinned([0.1, 0.25, 0.5, 1, 2, 5]) == [0.1, 0.25, 0.5, 1, 2, 5]
    assert style.thinned([1, 1.01, 1000]) == [1.01, 1000]
    assert style.thinned([2.0]) == [2.0]


def test_a_log_axis_shows_a_decade_even_for_one_value_or_none():
    for values in ([5.0], [], [0.0, -1.0]):
        axes = Figure().add_subplot()
        style.log_y(axes, values)
        low, high = axes.get_ylim()
        assert high / low >= 10


def test_a_cell_that_is_not_ok_is_hollow():
    axes = Figure().add_subplot()
    look = style.Look("#0072b2", "D")
    style.dot(axes, 1.0, Estimate(2.0, 1.0, 3.0), look, ok=True)
    style.dot(axes, 1.0, Estimate(2.0, 1.0, 3.0), look, ok=False)
    full, hollow = axes.lines
    assert full.get_markerfacecolor() == look.colour
    assert hollow.get_markerfacecolor() == style.PAPER
    assert hollow.get_markeredgecolor() == look.colour


def test_what_was_not_measured_is_not_drawn():
    axes = Figure().add_subplot()
    style.dot(axes, 1.0, Estimate(float("nan")), style.Look("#0072b2", "D"))
    assert not axes.lines
    assert not axes.collections


def test_a_title_grows_the_figure_and_not_the_margins():
    short, _ = style.frame("short", "beneath")
    tall, _ = style.frame("a very long headline " * 12, "beneath")
    assert tall.get_figheight() > short.get_figheight()


def test_the_house_style_leaves_nothing_behind():
    import matplotlib as mpl

    before = dict(mpl.rcParams)
    with style.house("salt"):
        assert mpl.rcParams["svg.hashsalt"] == "salt"
    assert dict(mpl.rcParams) == before
