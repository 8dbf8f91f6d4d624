"""An experiment is a question in TOML, read into frozen dataclasses; a list is an axis.

Rule 1: nothing written is ignored: an unknown key, a value out of range or a section that applies to no transport is an
``InputError`` that names file, key, value, expectation and remedy in one line.
Rule 2: overrides (a suite's table, ``--set``) are merged in before values are checked, so they are checked alike.
Rule 3: a grid is the product of its axes. What is wanted beside it, a table ``[[also]]`` says: the experiment with
these keys replaced is measured too (one size over TLS, and not every size).
"""

from __future__ import annotations

import functools
import itertools
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from loadtests import target
from loadtests.contradictions import refuse_contradictions
from loadtests.settings import (
    ANYWHERE,
    SECTIONS,
    TOP,
    TUNED,
    InputError,
    Key,
    Value,
    accept,
    did_you_mean,
    expectation,
    section_names,
    sections,
    show,
)
from loadtests.transports import TRANSPORTS

FOLDER = Path(__file__).parent / "experiments"
SUITES = ("default", "full", "smoke")
"""``default`` is every experiment with its plain values, but for those that say ``default = false``; another suite, the
experiments with a table of its name."""

_FREE = ("expect", "target", "tuned")
"""Tables that are no settings of a cell: what is expected, whom it is measured against, which question it answers."""

_FILES = {name for keys in SECTIONS.values() for name, key in keys.items() if key.file}

_METRIC = Key(str, None, 'a condition on the metric, such as "<= 50"')
_URL = Key(str, None, "where the server is, or a transport of it; {topic} stands for the topic")


@dataclass(frozen=True, slots=True)
class Grid:
    """What is combined with what: some of the transports, and each dotted key's values in order."""

    transports: tuple[str, ...]
    values: Mapping[str, tuple[Value, ...]]


@dataclass(frozen=True, slots=True)
class Experiment:
    """One question. ``values`` holds each dotted key's values in order; ``also`` are the grids beside that one.

    ``axes`` names the keys written as a list, and those in which one of ``also`` differs.
    ``tuned`` is what a tuner was asked and has recommended (``settings.TUNED``); nothing here reads it.
    """

    name: str
    source: str
    title: str
    question: str
    transports: tuple[str, ...]
    repeats: int
    seed: int
    reference: bool
    values: Mapping[str, tuple[Value, ...]]
    axes: tuple[str, ...]
    expect: Mapping[str, str]
    target: Mapping[str, str]
    also: tuple[Grid, ...] = ()
    tuned: Mapping[str, Value] = field(default_factory=dict)

    @property
    def grids(self) -> tuple[Grid, ...]:
        """All grids, the experiment's own first."""
        return Grid(self.transports, self.values), *self.also

    def on_axis(self, axis: str) -> tuple[Value, ...]:
        """Return every value a key has anywhere in the experiment."""
        return tuple(dict.fromkeys(value for grid in self.grids for value in grid.values.get(axis, ())))


def available() -> list[str]:
    """Return the names of the experiments that come with the program, in order."""
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


def in_suite(suite: str) -> list[str]:
    """Return the names of the experiments of a suite."""
    written = {name: _document(find(name))[1] for name in available()}
    return [name for name, table in written.items() if table.get(suite, suite == "default") is not False]


def find(name: str) -> Path:
    """Return the file of an experiment given by name or by path."""
    path = Path(name)
    if path.suffix == ".toml":
        if path.is_file():
            return path
        raise InputError(f"{name}: no such file; give an experiment's path, or its name without .toml")
    if name in available():
        return FOLDER / f"{name}.toml"
    raise InputError(f"{name}: no such experiment; {did_you_mean(name, available())}")


def read(path: Path, *, suite: str = "default", assignments: Iterable[str] = ()) -> Experiment:
    """Read one experiment; ``assignments`` are ``KEY=VALUE`` in TOML's syntax, bare words being text.

    Raises InputError.
    """
    source, written = _document(path)
    written = _anchored(written, path.parent)
    overrides = [_anchored(assigned(assignment), Path()) for assignment in assignments]
    document = {key: value for key, value in written.items() if key not in SUITES}
    _refuse_idle_sections(path.name, document)
    document = _merged(document, _suite(path.name, written, suite))
    also = document.pop("also", [])
    if not isinstance(also, list) or not all(isinstance(table, dict) for table in also):
        raise InputError(f"{path.name}: also = {show(also)}, expected tables: [[also]]")
    for override in overrides:
        document = _merged(document, override)
    also = document.pop("also", also)
    of_cells = [{key: value for key, value in one.items() if key not in {*TOP, *_FREE, "also"}} for one in overrides]
    besides = [functools.reduce(_merged, of_cells, table) for table in also]
    return _experiment(path, source, document, besides)


def only(experiment: Experiment, transports: Iterable[str]) -> Experiment:
    """Keep the transports named, in the experiment's order, and what is expected of them."""
    wanted = set(transports)
    if unknown := sorted(wanted - set(TRANSPORTS)):
        raise InputError(f"--transports {unknown[0]}: no such transport; {did_you_mean(unknown[0], TRANSPORTS)}")

    def narrowed(transports: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(name for name in transports if name in wanted)

    also = tuple(replace(grid, transports=narrowed(grid.transports)) for grid in experiment.also)
    gone = tuple(f"{name}." for name in TRANSPORTS if name not in wanted)
    expect = {name: bound for name, bound in experiment.expect.items() if not name.startswith(gone)}
    return replace(experiment, transports=narrowed(experiment.transports), also=also, expect=expect)


def aimed(experiment: Experiment, url: str, tcp: str | None) -> Experiment:
    """Aim at a server that somebody else has started, whatever the file's own target is."""
    given = {"url": url} | ({"tcp": tcp} if tcp else {})
    for name, value in given.items():
        target.check_address("", {"url": "--target", "tcp": "--tcp"}[name], value)
    return replace(experiment, target=given)


def assigned(assignment: str) -> dict[str, Any]:
    """Turn ``load.subscribers=200`` into ``{"load": {"subscribers": 200}}``."""
    dotted, sign, text = assignment.partition("=")
    names = [name.strip() for name in dotted.split(".")]
    if not sign or not all(names) or not text.strip():
        raise InputError(f"--set {assignment}: expected KEY=VALUE, such as load.subscribers=200")
    try:
        value: Any = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text.strip()
    nested: dict[str, Any] = {names[-1]: value}
    for name in reversed(names[:-1]):
        nested = {name: nested}
    return nested


def leading_comment(source: str) -> str:
    """Return the comment lines at the head of a file as one text."""
    head = itertools.takewhile(lambda line: line.startswith("#"), source.splitlines())
    return " ".join(line.lstrip("# ").rstrip() for line in head).strip()


def _document(path: Path) -> tuple[str, dict[str, Any]]:
    try:
        source = path.read_text(encoding="utf-8")
        return source, tomllib.loads(source)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError(f"{path.name}: cannot be read as TOML: {str(error).splitlines()[0]}") from None


def _suite(file: str, written: Mapping[str, Any], suite: str) -> Mapping[str, Any]:
    """Return what a suite replaces; ``default`` may be false, which says that it is left out of ``make bench``."""
    table = written.get(suite, {})
    if isinstance(table, dict):
        return table
    if (suite, table) == ("default", False):
        return {}
    raise InputError(f"{file}: {suite} = {show(table)}, expected a table: [{suite}]")


def _anchored(table: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Return a table whose files are named from here, not from ``folder``; tables within it too."""

    def anchored(name: str, value: Any) -> Any:
        if isinstance(value, dict):
            return _anchored(value, folder)
        if isinstance(value, list):
            return [anchored(name, one) for one in value]
        return str(folder / value) if name in _FILES and isinstance(value, str) else value

    return {name: anchored(name, value) for name, value in table.items()}


def _merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(below)
    for key, value in above.items():
        old = merged.get(key)
        merged[key] = _merged(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return merged


def _refuse_idle_sections(file: str, document: Mapping[str, Any]) -> None:
    """Refuse a client's section that none of the file's own transports reads (--transports may drop some later)."""
    named = document.get("transports")
    used = {TRANSPORTS[name].client for name in named if name in TRANSPORTS} if isinstance(named, list) else set()
    for transport in TRANSPORTS.values():
        if transport.client in document and transport.client not in used:
            raise InputError(
                f"{file}: [{transport.client}] applies to none of the transports;"
                f' add "{transport.name}" to transports or remove the section'
            )


def _experiment(
    path: Path, source: str, document: Mapping[str, Any], besides: Iterable[Mapping[str, Any]]
) -> Experiment:
    file = path.name
    head = {name: _one(file, name, key, document.get(name)) for name, key in TOP.items()}
    settings = {name: value for name, value in document.items() if name not in {*TOP, *_FREE}}
    free = {name: document.get(name, {}) for name in _FREE}
    for name, table in free.items():
        if not isinstance(table, dict):
            raise InputError(f"{file}: {name} = {show(table)}, expected a table: [{name}]")
    own, axes = _grid(file, settings, [*TOP, "transports", *ANYWHERE], [*section_names(), *_FREE, "also"])
    also = []
    for table in besides:
        grid, swept = _grid(file, _merged(settings, table), ["transports", *ANYWHERE], section_names())
        also.append(grid)
        different = [key for key in grid.values if grid.values[key] != own.values.get(key)]
        axes = list(dict.fromkeys([*axes, *swept, *different]))
    swept_hold = any(axis.startswith("long_polling.") for axis in axes)
    return Experiment(
        name=path.stem,
        source=source,
        title=str(head["title"] or path.stem.replace("_", " ").capitalize()),
        question=str(head["question"] or leading_comment(source)),
        transports=own.transports,
        repeats=int(head["repeats"] or 0),
        seed=int(head["seed"] or 0),
        # The model of long polling needs one transit that was not measured in the cell it predicts.
        reference=bool(swept_hold if head["reference"] is None else head["reference"]),
        values=own.values,
        axes=tuple(axes),
        expect=_texts(file, "expect", _METRIC, _of_transports(file, free["expect"])),
        target=_targets(file, free["target"]),
        tuned=_tuned(file, free["tuned"]) if "tuned" in document else {},
        also=tuple(also),
    )


def _grid(file: str, document: Mapping[str, Any], top: Iterable[str], known: Iterable[str]) -> tuple[Grid, list[str]]:
    """Return the grid of a document that holds settings only, and the keys written as a list.

    ``top`` and ``known`` are the keys and tables that may be in the place it comes from.
    """
    transports = _transports(file, document.get("transports"))
    tables = {name: table for name, table in document.items() if isinstance(table, dict)}
    single = {name: value for name, value in document.items() if name not in tables and name != "transports"}
    for name, value in single.items():
        if name in section_names():
            raise InputError(f"{file}: {name} = {show(value)}, expected a table: [{name}]")
    _refuse_unknown(file, "", single, top)
    _refuse_unknown(file, "table ", tables, known)
    values: dict[str, tuple[Value, ...]] = {}
    axes: list[str] = []

    def take(dotted: str, key: Key, table: Mapping[str, Any], name: str) -> None:
        if name in table:
            values[dotted] = _values(file, dotted, key, table[name])
            axes.extend([dotted] if isinstance(table[name], list) else [])
        elif key.default is not None:
            values[dotted] = (key.default,)

    for name, key in ANYWHERE.items():
        take(name, key, single, name)
    for section, keys in sections(transports, tables).items():
        table = tables.get(section, {})
        _refuse_unknown(file, f"{section}.", table, keys)
        for name, key in keys.items():
            take(f"{section}.{name}", key, table, name)
    refuse_contradictions(file, values)
    return Grid(transports, values), axes


def _refuse_unknown(file: str, prefix: str, table: Mapping[str, Any], known: Iterable[str]) -> None:
    names = list(known)
    for name in table:
        if name not in names:
            raise InputError(f"{file}: {prefix}{name} is not a key that exists; {did_you_mean(name, names)}")


def _value(file: str, dotted: str, key: Key, value: object) -> Value:
    try:
        accepted = accept(key, value)
    except ValueError as expected:
        raise InputError(f"{file}: {dotted} = {show(value)}, expected {expected}") from None
    if key.file and not Path(str(accepted)).is_file():
        raise InputError(f"{file}: {dotted} = {accepted}, expected a file that is there")
    return accepted


def _values(file: str, dotted: str, key: Key, written: object) -> tuple[Value, ...]:
    values = tuple(_value(file, dotted, key, value) for value in (written if isinstance(written, list) else [written]))
    if not values:
        raise InputError(f"{file}: {dotted} = [], expected at least one value; remove the key to get its default")
    if len(set(values)) < len(values):
        raise InputError(f"{file}: {dotted} names a value twice; every value of an axis is a cell, so name it once")
    return values


def _one(file: str, dotted: str, key: Key, value: object) -> Value | None:
    return key.default if value is None else _value(file, dotted, key, value)


def _transports(file: str, written: object) -> tuple[str, ...]:
    expected = f"a list of transports ({', '.join(TRANSPORTS)})"
    if not isinstance(written, list) or not written or not all(isinstance(name, str) for name in written):
        shown = "is missing" if written is None else f"= {show(written)}"
        raise InputError(f"{file}: transports {shown}, expected {expected}")
    for name in written:
        if name not in TRANSPORTS:
            raise InputError(f"{file}: transports names {name}, expected {expected}; {did_you_mean(name, TRANSPORTS)}")
    return tuple(dict.fromkeys(written))


def _texts(file: str, section: str, key: Key, table: Mapping[str, Any]) -> dict[str, str]:
    return {name: str(_value(file, f"{section}.{name}", key, value)) for name, value in table.items()}


def _of_transports(file: str, expect: Mapping[str, Any]) -> dict[str, Any]:
    """Turn ``[expect.sse] lost = "== 0"`` into ``{"sse.lost": "== 0"}``."""
    tables = {name: table for name, table in expect.items() if isinstance(table, dict)}
    _refuse_unknown(file, "expect.", tables, TRANSPORTS)
    flat = {name: value for name, value in expect.items() if name not in tables}
    return flat | {f"{name}.{metric}": value for name, table in tables.items() for metric, value in table.items()}


def _targets(file: str, table: Mapping[str, Any]) -> dict[str, str]:
    _refuse_unknown(file, "target.", table, target.KEYS)
    texts = _texts(file, "target", _URL, table)
    for name, value in texts.items():
        target.check_address(f"{file}: target.", name, value)
    return texts


def _tuned(file: str, table: Mapping[str, Any]) -> dict[str, Value]:
    """Read what was asked and recommended; a table that is there says at least what was asked."""
    _refuse_unknown(file, "tuned.", table, TUNED)
    for name in ("rate_hz", "p95_s"):
        if name not in table:
            raise InputError(f"{file}: tuned.{name} is missing, expected {expectation(TUNED[name])}")
    found = {name: _one(file, f"tuned.{name}", key, table.get(name)) for name, key in TUNED.items()}
    return {name: value for name, value in found.items() if value is not None}
