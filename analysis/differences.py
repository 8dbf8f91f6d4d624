"""What else differs between two runs: machine, versions, revision, seed, settings, cells, and the instrument's speed.

The rule it keeps: a difference of figures is put down to what was changed only when nothing else was, so everything
else that differs is named, a sentence each. The floor is the control: it is measured in each run, on the same tape and
against a server that answers at once; when it moved, the machine (or the load generator) did, not the server.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

import numpy as np

from analysis.load import Run
from analysis.prose import listing, plain

FAR_H = 1.0  # runs further apart than this many hours are said to be
_DRIFTED = math.log(1.05)
_MACHINE = ("cpu", "architecture", "cores_logical", "cores_usable", "memory_bytes", "system", "kernel")
_NAMED = 4  # so many cells are named, the rest counted


def drift(a: Run, b: Run) -> float:
    """How much slower the instrument was in B than in A, as a logarithm: median over transports of its CPU per event.

    0 where the floor was not measured in both.
    """
    both = [[run.floor.get(name, {}).get("cpu_us_per_delivery") or 0 for run in (a, b)] for name in a.floor]
    logs = [math.log(after / before) for before, after in both if before > 0 and after > 0]
    return float(np.median(logs)) if logs else 0.0


def notes(a: Run, b: Run) -> Iterator[str]:
    """Everything that differs besides the figures, a sentence each."""
    yield from _named("machine", _only(a.meta.get("machine"), _MACHINE), _only(b.meta.get("machine"), _MACHINE))
    yield from _named("versions", _mapping(a.meta.get("versions")), _mapping(b.meta.get("versions")))
    yield from _revisions(a, b)
    if a.meta.get("seed") != b.meta.get("seed"):
        yield f"different seeds ({a.meta.get('seed')}, {b.meta.get('seed')}): other events, so nothing is paired"
    yield from _apart(a, b)
    yield from _cells(a, b)
    yield from _settings(a, b)
    moved = drift(a, b)
    if not (a.floor and b.floor):
        yield "no floor in both runs: a slower machine cannot be told from a slower server"
    elif abs(moved) > _DRIFTED:
        how = f"{abs(math.expm1(moved)):.0%} {'slower' if moved > 0 else 'faster'}"
        yield f"the instrument itself was {how} in B (floor): durations must differ by so much more to matter"


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _only(value: Any, keys: tuple[str, ...]) -> dict[str, Any]:
    return {key: _mapping(value).get(key) for key in keys}


def _named(what: str, a: Mapping[str, Any], b: Mapping[str, Any]) -> Iterator[str]:
    changed = [f"{key} {a.get(key)} -> {b.get(key)}" for key in dict.fromkeys([*a, *b]) if a.get(key) != b.get(key)]
    if changed:
        yield f"different {what}: {listing(changed)}"


def _revisions(a: Run, b: Run) -> Iterator[str]:
    revisions = [str(_mapping(run.meta.get("git")).get("revision") or "unknown")[:10] for run in (a, b)]
    if revisions[0] != revisions[1]:
        yield f"different revisions: {revisions[0]} -> {revisions[1]}"
    dirty = [name for name, run in (("A", a), ("B", b)) if _mapping(run.meta.get("git")).get("dirty")]
    if dirty:
        yield f"{listing(dirty)} had changes that were not committed"


def _apart(a: Run, b: Run) -> Iterator[str]:
    try:
        started = [datetime.fromisoformat(str(run.meta.get("started"))) for run in (a, b)]
        hours = abs((started[1] - started[0]).total_seconds()) / 3600
    except (ValueError, TypeError):
        return
    if hours > FAR_H:
        far = f"{hours:.0f} hours" if hours < 48 else f"{hours / 24:.0f} days"
        yield f"the runs are {far} apart: what a machine drifts in that time is in no interval; measure them in turn"


def _cells(a: Run, b: Run) -> Iterator[str]:
    cells = [list(run.groups()) for run in (a, b)]
    for name, here, there in (("A", *cells), ("B", *cells[::-1])):
        if alone := [f"{experiment}: {cell}" for experiment, cell in here if (experiment, cell) not in there]:
            yield f"only in {name}: {_some(alone)}"


def _settings(a: Run, b: Run) -> Iterator[str]:
    """Settings that differ in cells of one name: they are another question."""
    there = b.groups()
    changed: dict[str, list[str]] = {}
    for key, cells in a.groups().items():
        if key not in there:
            continue
        before, after = cells[0].settings, there[key][0].settings
        for name in dict.fromkeys([*before, *after]):
            if before.get(name) != after.get(name):
                said = f"{name} {plain(before.get(name))} -> {plain(after.get(name))}"
                changed.setdefault(said, []).append(f"{key[0]}: {key[1]}")
    for said, where in changed.items():
        yield f"different settings: {said} ({_some(where)})"


def _some(names: list[str]) -> str:
    return listing([*names[:_NAMED], *([f"{len(names) - _NAMED} more"] if len(names) > _NAMED else [])])
