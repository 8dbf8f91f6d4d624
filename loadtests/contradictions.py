"""What is right key by key in an experiment and cannot be measured together: each is one line, with the remedy."""

from __future__ import annotations

from collections.abc import Mapping

from loadtests.clients.offered import SCHEDULES
from loadtests.settings import InputError, Value, show

__all__ = ["refuse_contradictions"]


def refuse_contradictions(file: str, values: Mapping[str, tuple[Value, ...]]) -> None:
    """Look at all values of a grid, by dotted key; raises InputError."""
    schedules = values["feed.schedule"]
    if "trace" in schedules and "feed.trace" not in values:
        raise InputError(f"{file}: feed.schedule = trace, expected feed.trace to name a CSV file of due times")
    _refuse_upstream(file, values)
    holds = values.get("long_polling.hold_s", (0,))
    caps = values.get("server.max_hold_s", (float("inf"),))
    if max(map(float, holds)) > min(map(float, caps)):
        raise InputError(
            f"{file}: long_polling.hold_s = {show(max(map(float, holds)))} is beyond"
            f" server.max_hold_s = {show(min(map(float, caps)))}; lower the one or raise the other"
        )


_UPSTREAM: tuple[tuple[str, tuple[Value, ...], str], ...] = (
    ("feed.topics", ("per_subscriber",), '"per_subscriber"'),
    ("feed.schedule", tuple(SCHEDULES), " or ".join(f'"{name}"' for name in SCHEDULES)),
    ("feed.payload", ("text",), '"text"'),
)
"""What subscribers publish: key, what it may be, and how that is written."""


def _refuse_upstream(file: str, values: Mapping[str, tuple[Value, ...]]) -> None:
    """Refuse ways to publish where nobody does, and what subscribers cannot publish."""
    publishers = values.get("feed.publisher", ("server",))
    idle = [key for key in values if key.startswith("upstream.")]
    if publishers == ("server",):
        if idle:
            raise InputError(
                f'{file}: {idle[0]}: nobody publishes upstream; set feed.publisher = "subscribers" or remove it'
            )
        return
    if len(publishers) > 1:
        raise InputError(f"{file}: feed.publisher names both; make two experiments of it, they have other metrics")
    for key, accepted, expected in _UPSTREAM:
        for value in values[key]:
            if value not in accepted:
                raise InputError(
                    f'{file}: {key} = {show(value)}, expected {expected} where feed.publisher = "subscribers"'
                )
    if not all(values["feed.rate_hz"]):
        raise InputError(f'{file}: feed.rate_hz = 0, expected more than 0 where feed.publisher = "subscribers"')
