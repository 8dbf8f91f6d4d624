"""Progress: lines when nobody watches, a bar when somebody does, and an honest estimate."""

from __future__ import annotations

import io

import pytest

from loadtests.progress import Progress, duration


class Terminal(io.StringIO):
    def isatty(self):
        return True


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def test_elsewhere_than_on_a_terminal_every_cell_is_a_line():
    out, clock = io.StringIO(), Clock()
    progress = Progress([10, 10, 10], out, clock)
    progress.start("a/r1")
    clock.now = 20
    progress.end("a/r1", "done")
    progress.start("b/r1")
    clock.now = 25
    progress.end("b/r1", "failed", "the server died")
    progress.close()
    assert out.getvalue() == (
        "1/3 a/r1  done  20.0 s, 40 s left\n2/3 b/r1  failed: the server died  5.0 s, 12 s left\n"
    )


def test_the_estimate_follows_what_cells_really_took():
    clock = Clock()
    progress = Progress([5, 10, 20], io.StringIO(), clock)
    assert progress.left_s() == 35
    progress.start("a")
    clock.now = 10
    progress.end("a", "done")
    assert progress.left_s() == pytest.approx(60), "twice as slow as thought: 2 * (10 + 20)"


def test_a_terminal_gets_a_bar_that_leaves_nothing_but_failures_behind():
    out, clock = Terminal(), Clock()
    progress = Progress([1, 1], out, clock)
    progress.start("a")
    assert out.getvalue().endswith("[........................] 0/2 a, 2 s left")
    progress.end("a", "done")
    progress.start("b")
    assert "[############............] 1/2 b" in out.getvalue()
    progress.end("b", "failed", "why")
    progress.close()
    assert [line.rpartition("\x1b[K")[2] for line in out.getvalue().split("\n")] == ["b  failed: why", ""]


def test_no_cells_is_no_division_by_zero():
    progress = Progress([], Terminal(), Clock())
    progress.start("floor")
    assert progress.left_s() == 0


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "0 s"), (59.4, "59 s"), (59.6, "1 min 00 s"), (200, "3 min 20 s"), (3900, "1 h 05 min")],
)
def test_durations_are_written_for_people(seconds, text):
    assert duration(seconds) == text
