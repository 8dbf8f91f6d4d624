"""Where a refused cursor goes, for every notation of the refusal."""

from __future__ import annotations

import pytest

from loadtests.clients import Progress
from loadtests.clients.cursor import held, refused
from loadtests.clients.lifetime import RECONNECT_NS


@pytest.mark.parametrize(
    ("after", "refusal", "resumed"),
    [
        (3, '{"oldest": 5, "newest": 9}', 4),  # behind: some are lost
        (12, "oldest:5\nnewest:9", 9),  # beyond: the server has begun anew
        (7, "oldest=5, newest=9", 7),
        (3, "oldest 1 newest 0", 0),  # nothing published yet
        (3, "{'oldest': '5', 'newest': '9'}", 4),
        (3, "oldest 5", 3),
        (3, "coldest 5, newest 9", 3),
        (3, "", 3),
    ],
)
def test_a_refused_cursor_moves_into_what_is_held(after, refusal, resumed):
    assert held(after, refusal) == resumed


@pytest.mark.parametrize(
    ("after", "refusal", "resumed", "retry_ns"),
    [(3, "oldest 5 newest 9", 4, 0), (3, "no", 3, RECONNECT_NS), (None, "oldest 5 newest 9", None, RECONNECT_NS)],
)
def test_the_next_connection_follows_at_once_when_moving_helped(after, refusal, resumed, retry_ns):
    progress = Progress(after)
    lost = refused(progress, refusal, "why")
    assert (progress.after, lost.why, lost.failed, lost.retry_ns) == (resumed, "why", True, retry_ns)
