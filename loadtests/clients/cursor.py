"""Where to resume when the server no longer, or not yet, holds what lies behind the cursor (wire contract: 410)."""

from __future__ import annotations

import re

from loadtests.clients import Progress
from loadtests.clients.lifetime import Lost

__all__ = ["held", "refused"]

_BOUND = re.compile(r"\b(oldest|newest)\b\W{1,4}([0-9]{1,18})(?![0-9])")


def held(after: int, refusal: str) -> int:
    """Return the cursor nearest to ``after`` that the log of a server with this refusal can serve.

    ``refusal`` names ``oldest`` and ``newest`` in any notation (JSON, headers, prose); otherwise ``after`` stays.
    Events that are gone are then lost, and counted so; nothing is asked for twice.
    """
    bounds = {name: int(seq) for name, seq in _BOUND.findall(refusal)}
    if bounds.keys() != {"oldest", "newest"}:
        return after
    return max(0, bounds["oldest"] - 1, min(after, bounds["newest"]))


def refused(progress: Progress, refusal: str, why: str) -> Lost:
    """Move the cursor to where the refusal allows, and return what ends the session.

    The next connection follows at once when that helped: a full log drops an event for each it takes, and a cursor at
    its very end does not last long.
    """
    before = progress.after
    if before is not None:
        progress.after = held(before, refusal)
    return Lost(why, prompt=progress.after != before)
