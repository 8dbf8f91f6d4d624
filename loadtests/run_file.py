"""run.json and the folder around it: what ran where, and how each cell ended.

Rule: the document is whole at any moment. It lists every cell as pending from the start and is replaced atomically
after each, so a run that was interrupted or killed says what it has and what it lacks.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from loadtests import FORMAT, cell, machine
from loadtests.experiment import Experiment
from loadtests.grid import Cell
from loadtests.settings import InputError
from loadtests.transports import TRANSPORTS


def create(out: Path, name: str, now: datetime) -> Path:
    """Make the run's folder ``<UTC>-<name>`` in ``out`` (a number behind it when it is taken)."""
    stem = f"{now:%Y%m%dT%H%MZ}-{name}"
    try:
        out.mkdir(parents=True, exist_ok=True)
        for number in range(1, 1000):
            folder = out / (stem if number == 1 else f"{stem}-{number}")
            with contextlib.suppress(FileExistsError):
                folder.mkdir()
                return folder
    except OSError as error:
        raise InputError(f"--out {out}: {error.strerror}; name a folder that can be written to") from None
    raise InputError(f"--out {out}: {stem} exists a thousand times; clear the folder out")


def document(
    name: str, experiments: Sequence[Experiment], cells: Sequence[Cell], command: str, now: datetime
) -> dict[str, Any]:
    """Return run.json as it is before the first cell."""
    return {
        "format": FORMAT,
        "name": name,
        "started": stamp(now),
        "finished": None,
        "command": command,
        "seed": experiments[0].seed,
        **machine.describe(),
        "transports": {
            row.name: {"label": row.label, "specification": row.specification, "pulls": row.pulls}
            for row in TRANSPORTS.values()
            if any(one.transport == row.name for one in cells)
        },
        "experiments": {one.name: _experiment(one) for one in experiments},
        "floor": {},
        "cells": [cell.blank(one) for one in cells],
    }


def save(folder: Path, content: dict[str, Any]) -> None:
    """Replace run.json."""
    partial = folder / "run.json.part"
    partial.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    partial.replace(folder / "run.json")


def copy_sources(folder: Path, experiments: Sequence[Experiment]) -> None:
    """Keep the experiments as they were written."""
    (folder / "experiments").mkdir()
    for one in experiments:
        (folder / "experiments" / f"{one.name}.toml").write_text(one.source, encoding="utf-8")


def point_latest(folder: Path) -> None:
    """Let ``latest`` beside the run's folder lead to it; a file system without links goes without."""
    link = folder.parent / "latest"
    partial = folder.parent / f".latest.{os.getpid()}"
    with contextlib.suppress(OSError):
        partial.symlink_to(folder.name)
        partial.replace(link)


def stamp(now: datetime) -> str:
    """Write a moment in UTC to the second (ISO 8601)."""
    return now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _experiment(experiment: Experiment) -> dict[str, Any]:
    return {
        "title": experiment.title,
        "question": experiment.question,
        "axes": {axis: list(experiment.on_axis(axis)) for axis in experiment.axes},
        "expect": dict(experiment.expect),
        "seed": experiment.seed,
        "repeats": experiment.repeats,
    }
