"""All of it at COMMIT, none of it at ABORT, and never without bounds."""

import pytest

from servers.stomp_frames import ProtocolError
from servers.stomp_transactions import MOST_BYTES, MOST_FRAMES, MOST_OPEN, Transactions


def test_commit_does_everything_in_order_and_abort_nothing():
    done = []
    held = Transactions()
    for name in ("a", "b"):
        held.begin(name)
        for number in range(3):
            held.add(name, 1, lambda what=(name, number): done.append(what))
    assert done == []
    held.abort("a")
    held.commit("b")
    assert done == [("b", 0), ("b", 1), ("b", 2)]
    held.begin("a")  # the name is free again
    held.commit("a")
    assert len(done) == 3


def test_names():
    held = Transactions()
    held.begin("a")
    for mistake in (
        lambda: held.begin("a"),
        lambda: held.add("b", 0, print),
        lambda: held.commit("b"),
        lambda: held.abort("b"),
    ):
        with pytest.raises(ProtocolError, match="open"):
            mistake()
    held.clear()
    with pytest.raises(ProtocolError):
        held.commit("a")


def test_bounds():
    held = Transactions()
    for number in range(MOST_OPEN):
        held.begin(str(number))
    with pytest.raises(ProtocolError):
        held.begin("more")
    held.add("0", MOST_BYTES, print)
    with pytest.raises(ProtocolError):
        held.add("1", 1, print)
    held.abort("0")
    for _ in range(MOST_FRAMES):
        held.add("1", 1, print)
    with pytest.raises(ProtocolError):
        held.add("2", 0, print)
