"""run.json and the folder around it: what ran where, and how each cell ended.

Rule 1: the document is whole at any moment. It lists every cell as pending from the start and is replaced atomically
after each, so a run that was interrupted or killed says what it has and what it lacks.
Rule 2: one runner at a time works on a run. It holds a lock that ends with its process, however that ends.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from loadtests import FORMAT, cell, machine
from loadtests.experiment import Experiment
from loadtests.grid import Cell
from loadtests.settings import InputError
from loadtests.transports import TRANSPORTS

try:
    import fcntl
except ImportError:  # pragma: no cover - Windows
    fcntl = None  # type: ignore[assignment]


class StorageError(Exception):
    """What was measured cannot be written down; the message says where, why and what to do."""


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
    name: str,
    experiments: Sequence[Experiment],
    cells: Sequence[Cell],
    command: str,
    now: datetime,
    *,
    with_floor: bool = True,
) -> dict[str, Any]:
    """Return run.json as it is before the first cell. A floor of None is not wanted, an empty one not measured yet."""
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
        "floor": {} if with_floor else None,
        "resumed": [],
        "cells": [cell.blank(one) for one in cells],
    }


def save(folder: Path, content: dict[str, Any]) -> None:
    """Replace run.json; raises StorageError, and the one that was there stays."""
    partial = folder / "run.json.part"
    try:
        with partial.open("w", encoding="utf-8") as file:
            file.write(json.dumps(content, indent=1) + "\n")
            file.flush()
            os.fsync(file.fileno())  # a full disk says so now, not when the new file has taken the old one's place
        partial.replace(folder / "run.json")
    except OSError as error:
        raise StorageError(
            f"{folder / 'run.json'}: cannot be written: {error.strerror}; what was measured before is kept:"
            f" make room, then run --resume {folder}"
        ) from None


def load(folder: Path) -> dict[str, Any]:
    """Return run.json of a run to go on with; raises InputError when there is none, or it is of another format."""
    path = folder / "run.json"
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"--resume {folder}: {path}: {error.strerror}, expected the folder of a run") from None
    except ValueError:
        content = None
    version = content.get("format") if isinstance(content, dict) else None
    if version != FORMAT or not isinstance(content, dict):
        raise InputError(f"--resume {folder}: run.json has format {version}, expected {FORMAT}; measure it afresh")
    return content


@contextlib.contextmanager
def lock(folder: Path) -> Iterator[None]:
    """Hold the run; raises InputError when another runner does. Where the system has no such lock, it is not held."""
    if fcntl is None:
        yield
        return
    try:
        held = os.open(folder, os.O_RDONLY)  # the folder itself: nothing to clear away, and let go of at any end
    except OSError as error:
        raise InputError(f"{folder}: {error.strerror}, expected the folder of a run") from None
    try:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError(f"{folder}: another runner is at work on this run; let it end, or end it") from None
        yield
    finally:
        os.close(held)


def copy_sources(folder: Path, experiments: Sequence[Experiment]) -> None:
    """Keep the experiments as they were written; raises StorageError."""
    try:
        (folder / "experiments").mkdir()
        for one in experiments:
            (folder / "experiments" / f"{one.name}.toml").write_text(one.source, encoding="utf-8")
    except OSError as error:
        raise StorageError(f"{folder}: cannot be written to: {error.strerror}; nothing was measured") from None


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
        **({"target": dict(experiment.target)} if experiment.target else {}),
        **({"tuned": dict(experiment.tuned)} if experiment.tuned else {}),
    }
