"""What a failure is called where people read it: short, printable, like counted with like, no secret in it.

The words are often the peer's (a status line, an ERROR's message), and a peer may say anything.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

__all__ = ["count", "presentable"]

_LONGEST = 200
_KINDS = 500  # of failures that are told apart; a peer that invents reasons must not fill the memory
_LONG_NUMBER = re.compile(r"(?<!RFC )\d{4,}")


def presentable(reason: str, secrets: Sequence[str] = ()) -> str:
    """Return the reason as it may be shown."""
    for secret in secrets:
        reason = reason.replace(secret, "***")
    reason = reason[:_LONGEST] + ("…" if len(reason) > _LONGEST else "")
    return "".join(char if char.isprintable() else f"\\x{ord(char):02x}" for char in reason)


def count(failures: Counter[str], reason: str) -> None:
    """Count a presentable reason. Long numbers (cursors, times) are left out, so that like counts with like."""
    name = _LONG_NUMBER.sub("N", reason)
    failures[name if name in failures or len(failures) < _KINDS else "other failures"] += 1
