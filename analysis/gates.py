"""``[expect]``: conditions that an experiment puts on its own metrics; the run fails when one does not hold.

``delivery_ms_p99 = "<= 1000 * polling.interval_s + 50"``: one comparison with an arithmetic expression of numbers and
of the cell's settings by dotted name; ``sse.delivery_ms_p99`` is about the cells of one transport. The rules it keeps:

1. It is arithmetic and nothing else (a whitelist of syntax; nothing is called).
2. A gate is about the measured cells that have every setting it names and to which its metric can apply. What was not
   measured, or not validly, does not hold, and neither does a gate that is about no cell.
3. The *estimate* is compared, not an end of its interval: a demand is put on what was measured, many metrics have no
   interval from a single repeat, and a margin belongs into the bound, where it is seen. A bound inside the interval is
   said (``close``): such a gate may fall the other way next time.
"""

from __future__ import annotations

import argparse
import ast
import math
import operator
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from analysis.load import Cell, Run, read_run
from analysis.metrics import BY_NAME, applies

_ARITHMETIC: Mapping[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv,
}  # fmt: skip
_SIGNS: Mapping[type[ast.unaryop], Callable[[float], float]] = {ast.USub: operator.neg, ast.UAdd: operator.pos}
_COMPARISONS: Mapping[type[ast.cmpop], Callable[[float, float], bool]] = {
    ast.Lt: operator.lt, ast.LtE: operator.le, ast.Gt: operator.gt, ast.GtE: operator.ge, ast.Eq: operator.eq,
}  # fmt: skip


class GateError(Exception):
    """The condition cannot be evaluated; the message says what was read and what was expected."""


@dataclass(frozen=True, slots=True)
class Condition:
    """One comparison: its operator, the expression of its bound, and the settings named in it."""

    compare: Callable[[float, float], bool]
    bound: ast.expr
    settings: frozenset[str]


@dataclass(frozen=True, slots=True)
class Gate:
    """A condition on one cell (empty: on no cell), the measured value, the bound, whether it holds, and why not.

    ``close``: the bound lies within the measured value's 95 % interval.
    """

    experiment: str
    cell: str
    name: str
    condition: str
    measured: float
    bound: float
    holds: bool
    why: str
    close: bool = False


def gates(run: Run, rows: Iterable[Mapping[str, Any]]) -> Iterator[Gate]:
    """Every gate of a run on every cell it is about; ``rows`` are those of cells.csv. Never raises."""
    by_cell = {(row["experiment"], row["cell"]): row for row in rows}
    for experiment, name, condition in _written(run):
        try:
            about = _about(run, experiment, name, condition)
        except GateError as error:
            yield Gate(experiment, "", name, condition, math.nan, math.nan, holds=False, why=str(error))
            continue
        for cell in about:
            yield gate(by_cell[experiment, cell.cell], cell.settings, name, condition)


def mistakes(run: Run) -> Iterator[str]:
    """What is wrong with the gates of a run before anything is measured, a line each."""
    for experiment, name, condition in _written(run):
        try:
            for cell in _about(run, experiment, name, condition):
                _bound(parse(condition), cell.settings)
        except GateError as error:
            yield f'{experiment}.toml: expect.{name} = "{condition}": {error}'


def gate(row: Mapping[str, Any], settings: Mapping[str, Any], name: str, condition: str) -> Gate:
    """Evaluate one condition on a row of cells.csv; never raises."""
    metric = name.rpartition(".")[2]
    measured, low, high = (float(row.get(f"{metric}{end}", math.nan)) for end in ("", "_low", "_high"))
    bound, holds, why = math.nan, False, ""
    try:
        wanted = parse(condition)
        bound = _bound(wanted, settings)
        holds = wanted.compare(measured, bound)
        why = "" if holds else f"{metric} = {measured:.6g}, expected {condition} (= {bound:.6g})"
    except GateError as error:
        why = str(error)
    if row["status"] != "ok":
        holds, why = False, f"the cell is {row['status']}"
    elif metric not in row:
        holds, why = False, f"there is no metric {metric}"
    elif math.isnan(measured):
        holds, why = False, f"{metric} has no samples, or too few"
    close = low <= bound <= high and low < high
    return Gate(row["experiment"], row["cell"], name, condition, measured, bound, holds, why, close)


def parse(condition: str) -> Condition:
    """Read ``<= 1000 * polling.interval_s + 50``. Raises ``GateError``."""
    try:
        tree = ast.parse(f"measured {condition}", mode="eval").body
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        raise GateError(f'"{condition}" cannot be read; expected a comparison such as "<= 50"') from None
    if not isinstance(tree, ast.Compare) or len(tree.ops) != 1 or not isinstance(tree.left, ast.Name):
        raise GateError(f'"{condition}" is not one comparison; expected such as "<= 50"')
    compare = _COMPARISONS.get(type(tree.ops[0]))
    if compare is None:
        raise GateError(f'"{condition}" compares otherwise than by <, <=, >, >=, ==')
    try:
        return Condition(compare, tree.comparators[0], frozenset(_names(tree.comparators[0])))
    except RecursionError:
        raise GateError(f'"{condition}" is nested too deeply') from None


def _written(run: Run) -> Iterator[tuple[str, str, str]]:
    for experiment, about in run.experiments.items():
        expect = about.get("expect")
        for name, condition in (expect if isinstance(expect, Mapping) else {}).items():
            yield experiment, str(name), str(condition)


def _about(run: Run, experiment: str, name: str, condition: str) -> list[Cell]:
    """The measured cells of an experiment that a gate is about, at least one. Raises ``GateError``."""
    transport, _, metric = name.rpartition(".")
    if metric not in BY_NAME:
        close = get_close_matches(metric, BY_NAME, 1)
        raise GateError(f"there is no metric {metric}; {f'did you mean {close[0]}?' if close else 'see METRICS'}")
    if transport and transport not in run.transports:
        raise GateError(f"no cell is of transport {transport}; there are {', '.join(run.transports)}")
    cells = [repeats[0] for (of, _), repeats in run.groups().items() if of == experiment]
    cells = [cell for cell in cells if cell.role == "measure" and transport in ("", cell.transport)]
    settings = parse(condition).settings
    if unknown := sorted(name for name in settings if not any(name in cell.settings for cell in cells)):
        raise GateError(f"{unknown[0]} is no setting of any cell it is about")
    about = [cell for cell in cells if settings <= cell.settings.keys()]
    about = [cell for cell in about if applies(BY_NAME[metric], cell, pulls=run.pulls(cell.transport))]
    if not about:
        raise GateError(f"it is about no cell: {metric} applies to none that was planned")
    return about


def _bound(condition: Condition, settings: Mapping[str, Any]) -> float:
    try:
        return float(_number(condition.bound, settings))
    except (ZeroDivisionError, OverflowError, RecursionError) as error:
        raise GateError(f"{ast.unparse(condition.bound)} has no value: {error}") from None


def _names(node: ast.expr) -> Iterator[str]:
    """Walk the whitelist: the settings an expression names. Raises ``GateError`` at anything else."""
    match node:
        case ast.Constant(value=int() | float() as number) if not isinstance(number, bool):
            return
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _ARITHMETIC:
            yield from _names(left)
            yield from _names(right)
        case ast.UnaryOp(op=op, operand=operand) if type(op) in _SIGNS:
            yield from _names(operand)
        case ast.Name() | ast.Attribute():
            yield ast.unparse(node)
        case _:
            raise GateError(f'"{ast.unparse(node)}" is not arithmetic; expected numbers, settings and + - * /')


def _number(node: ast.expr, settings: Mapping[str, Any]) -> float:
    match node:
        case ast.BinOp(left=left, op=op, right=right):
            return _ARITHMETIC[type(op)](_number(left, settings), _number(right, settings))
        case ast.UnaryOp(op=op, operand=operand):
            return _SIGNS[type(op)](_number(operand, settings))
        case ast.Constant(value=int() | float() as number):
            return number
        case _:
            return _setting(ast.unparse(node), settings)


def _setting(name: str, settings: Mapping[str, Any]) -> float:
    found = settings.get(name)
    if isinstance(found, bool) or not isinstance(found, int | float):
        raise GateError(f"{name} is no number among the cell's settings")
    return found


EXAMPLES = """examples:
  python -m analysis gates < results/latest/run.json
  python -m analysis gates < results/reference/run.json
"""


def arguments(_parser: argparse.ArgumentParser) -> None:
    """``gates`` has no flags."""


def gates_verb(_options: argparse.Namespace) -> int:
    """Read a run.json that is yet to be measured from standard input; say what is wrong with its gates, a line each."""
    found = list(mistakes(read_run(sys.stdin.read(), Path("standard input"))))
    for mistake in found:
        print(mistake, file=sys.stderr)
    return 2 if found else 0
