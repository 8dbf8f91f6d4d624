"""``[expect]``: conditions that an experiment puts on its own metrics; the run fails when one does not hold.

``delivery_ms_p99 = "<= 1000 * polling.interval_s + 50"``: one comparison with an arithmetic expression of numbers and
of the cell's settings by dotted name. The rule it keeps: it is arithmetic and nothing else (a whitelist of syntax;
nothing is called), and what was not measured, or not validly, never holds.
"""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

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
class Gate:
    """A condition on one cell: the measured value, the bound it was compared with, whether it holds, and why not."""

    experiment: str
    cell: str
    metric: str
    condition: str
    measured: float
    bound: float
    holds: bool
    why: str


def gate(row: Mapping[str, Any], settings: Mapping[str, Any], metric: str, condition: str) -> Gate:
    """Evaluate one condition on a row of cells.csv; never raises."""
    measured = float(row.get(metric, math.nan))
    bound, holds, why = math.nan, False, ""
    try:
        compare, bound = _evaluate(condition, settings)
        holds = compare(measured, bound)
        why = "" if holds else f"{metric} = {measured:.6g}, expected {condition} (= {bound:.6g})"
    except GateError as error:
        why = str(error)
    if row["status"] != "ok":
        holds, why = False, f"the cell is {row['status']}"
    elif metric not in row:
        holds, why = False, f"there is no metric {metric}"
    elif math.isnan(measured):
        holds, why = False, f"{metric} has no samples, or too few"
    return Gate(row["experiment"], row["cell"], metric, condition, measured, bound, holds, why)


def _evaluate(condition: str, settings: Mapping[str, Any]) -> tuple[Callable[[float, float], bool], float]:
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
        return compare, float(_number(tree.comparators[0], settings))
    except (ZeroDivisionError, OverflowError, RecursionError) as error:
        raise GateError(f'"{condition}" has no value: {error}') from None


def _number(node: ast.expr, settings: Mapping[str, Any]) -> float:
    match node:
        case ast.Constant(value=int() | float() as number) if not isinstance(number, bool):
            return number
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _ARITHMETIC:
            return _ARITHMETIC[type(op)](_number(left, settings), _number(right, settings))
        case ast.UnaryOp(op=op, operand=operand) if type(op) in _SIGNS:
            return _SIGNS[type(op)](_number(operand, settings))
        case ast.Name() | ast.Attribute():
            return _setting(ast.unparse(node), settings)
    raise GateError(f'"{ast.unparse(node)}" is not arithmetic; expected numbers, settings and + - * /')


def _setting(name: str, settings: Mapping[str, Any]) -> float:
    found = settings.get(name)
    if isinstance(found, bool) or not isinstance(found, int | float):
        raise GateError(f"{name} is no number among the cell's settings")
    return found
