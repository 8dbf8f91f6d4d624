"""Where a refused cursor goes, for every notation of the refusal."""

from __future__ import annotations

import pytest

from loadtests.clients import Progress
from loadtests.clients.cursor import held, refused
from tests.loadtests.by_hand import subscriber


@pytest.mark.parametrize(
    ("after", "refusal", "resumed"),
    [
        (3, '{"oldest": 5, "newest": 9}', 4),  # behind: some are lost
        (12, "oldest:5\nnewest:9", 9),  # beyond: the server has begun anew
        (7, "oldest=5, newest=9", 7),
        (3, "oldest 1 newest 0", 0),  # nothing published yet
        (3, "{'oldest': '5', 'newest': '9'}", 4),
        (3, "oldest 5", 3),
        (3, "oldest 0 newest 9", 3),
        (0, "oldest 0 newest 0", 0),  # never below the first
        (3, f"oldest 5 newest {10**30}", 3),  # no number that a cursor can be
        (3, "coldest 5, newest 9", 3),
        (3, "", 3),
    ],
)
def test_a_refused_cursor_moves_into_what_is_held(after, refusal, resumed):
    assert held(after, refusal) == resumed


@pytest.mark.parametrize(
    ("after", "refusal", "resumed", "prompt"),
    [(3, "oldest 5 newest 9", 4, True), (3, "no", 3, False), (None, "oldest 5 newest 9", None, False)],
)
def test_the_next_connection_follows_at_once_when_moving_helped(after, refusal, resumed, prompt):
    progress = Progress(after, subscriber(), subscriber())
    lost = refused(progress, refusal, "why")
    assert (progress.after, lost.why, lost.failed, lost.retry_ns) == (resumed, "why", True, 0)
    assert lost.prompt is prompt
