"""Going on with a run that was interrupted or killed: what is left of it, whether this is the place, what to set aside.

Rule 1: everything comes out of the run's own folder. The experiments may have changed since; the cells have not.
Rule 2: what was measured stays. A finished cell is not touched. What there is of another one is moved aside, under a
name of its own that run.json gives, and then it is measured afresh.
Rule 3: figures of one run stand side by side, so they come from one machine and one code. Another machine, or other
servers or load generator, is refused; what may matter less is noted in run.json.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from loadtests import cell as one_cell
from loadtests import machine, run_file
from loadtests.cell import Record
from loadtests.grid import Cell
from loadtests.settings import InputError
from loadtests.transports import TRANSPORTS

KILLED = "the run was killed in the middle of it"

_SAME_MACHINE = ("cpu", "architecture", "system", "cores_logical", "cores_usable")
_NOTED = ("machine", "versions")
_PASSING = ("load_average",)
"""What differs from one minute to the next."""


def reopen(folder: Path, command: str, now: datetime) -> dict[str, Any]:
    """Return the run's document, ready to go on: what differs from when it began is noted in ``resumed``.

    Raises InputError when it is no run, or must not be gone on with here.
    """
    content = run_file.load(folder)
    here = machine.describe()
    if found := _elsewhere(content, here):
        raise InputError(f"--resume {folder}: {found}; figures of one run must be comparable: measure it afresh")
    unknown = {one["transport"] for one in content["cells"]} - set(TRANSPORTS)
    if unknown:
        raise InputError(f"--resume {folder}: {min(unknown)}: no such transport here; measure it afresh")
    noted = {"at": run_file.stamp(now), "command": command, "git": here["git"], "differs": _differences(content, here)}
    content.setdefault("resumed", []).append(noted)
    content["finished"] = None
    return content


def cell_of(record: Record) -> Cell:
    """Return the cell of a record in run.json."""
    names = ("experiment", "transport", "repeat", "seed", "role", "settings")
    return Cell(name=record["cell"], **{name: record[name] for name in names})


def set_aside(record: Record, folder: Path) -> None:
    """Move what there is of a cell that did not end well out of the way, rows included, and blank its record.

    ``folder`` is where the cell will be measured. Does nothing to a cell that was never begun.
    """
    kept = list(record.get("aside") or ())
    named = {one["folder"] for one in kept}
    # A run that was killed again before this cell ended has folders that run.json does not name yet.
    left = sorted(path.name for path in folder.parent.glob(f"{folder.name}.aside-*") if path.name not in named)
    kept += [{"folder": name, "status": "failed", "why": KILLED} for name in left]
    fresh = one_cell.blank(cell_of(record))
    if folder.exists():
        one_cell.collect(record, folder)
        number = 1
        while (aside := folder.with_name(f"{folder.name}.aside-{number}")).exists():
            number += 1
        known = {key: value for key, value in record.items() if key not in fresh and key != "aside"}
        ended = {"status": "failed", "why": record["why"] or KILLED}
        folder.rename(aside)
        kept.append({"folder": aside.name, **ended, **known})
    record.clear()
    record |= fresh | ({"aside": kept} if kept else {})


def _elsewhere(content: Mapping[str, Any], here: Mapping[str, Any]) -> str:
    """Say why figures measured here could not stand beside those of the run; nothing when they can."""
    then, now = content["machine"], here["machine"]
    for key in _SAME_MACHINE:
        if then.get(key) != now.get(key):
            return f"it was begun on another machine: {key} was {then.get(key)}, is {now.get(key)}"
    before, after = content["git"]["revision"], here["git"]["revision"]
    if before and after and before != after and machine.code_differs(before, after):
        return f"servers or loadtests are not what they were: git revision was {before[:10]}, is {after[:10]}"
    return ""


def _differences(content: Mapping[str, Any], here: Mapping[str, Any]) -> list[str]:
    """Say what is not as it was when the run began."""
    found = [
        f"{part}.{key} was {content[part].get(key)}, is {here[part].get(key)}"
        for part in _NOTED
        for key in dict.fromkeys([*content[part], *here[part]])
        if key not in _PASSING and content[part].get(key) != here[part].get(key)
    ]
    if content["git"] != here["git"] or here["git"]["dirty"]:
        found.append(f"git was {_revision(content)}, is {_revision(here)}")
    return found


def _revision(content: Mapping[str, Any]) -> str:
    git = content["git"]
    return f"{(git['revision'] or 'unknown')[:10]}{' with changes' if git['dirty'] else ''}"
