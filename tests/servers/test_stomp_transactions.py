"""All of it at COMMIT, none of it at ABORT, and never without bounds."""

from dataclasses import dataclass

import pytest

from servers.stomp_frames import ProtocolError
from servers.stomp_transactions import MOST_BYTES, MOST_FRAMES, MOST_OPEN, Transactions


@dataclass
class Held:
    name: object = None
    size_bytes: int = 0

    def check(self) -> None:
        pass

    def run(self) -> None:
        pass


def test_what_is_held_back_comes_out_in_order():
    held = Transactions()
    for name in ("a", "b"):
        held.begin(name)
        for number in range(3):
            held.add(name, Held((name, number)))
    held.end("a")
    assert [action.name for action in held.end("b")] == [("b", 0), ("b", 1), ("b", 2)]
    held.begin("a")  # the name is free again
    assert held.end("a") == []


def test_names():
    held = Transactions()
    held.begin("a")
    for mistake in (lambda: held.begin("a"), lambda: held.add("b", Held()), lambda: held.end("b")):
        with pytest.raises(ProtocolError, match="open"):
            mistake()
    held.clear()
    with pytest.raises(ProtocolError):
        held.end("a")


def test_bounds():
    held = Transactions()
    for number in range(MOST_OPEN):
        held.begin(str(number))
    with pytest.raises(ProtocolError) as error:
        held.begin("more")
    assert error.value.reason == "too_many_transactions"
    held.add("0", Held(size_bytes=MOST_BYTES))
    with pytest.raises(ProtocolError) as error:
        held.add("1", Held(size_bytes=1))
    assert error.value.reason == "too_many_transactions"
    held.end("0")
    for _ in range(MOST_FRAMES):
        held.add("1", Held(size_bytes=1))
    with pytest.raises(ProtocolError):
        held.add("2", Held())
    held.end("1")
    held.add("2", Held(size_bytes=MOST_BYTES))
