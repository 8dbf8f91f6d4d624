"""Numbers in words: how a measured value, its interval and its unit read in a sentence, a label or a table.

The rule it keeps: a number is never written more precisely than its interval allows, and what was not measured is
said (``not measured``), never written as 0. Pure functions; METHODOLOGY rule 7 ("an estimate travels with its
interval").
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from numbers import Real
from typing import Any, Self

NOT_MEASURED = "not measured"


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value and its 95 % interval, in the unit of its column; NaN where there is none."""

    value: float
    low: float = math.nan
    high: float = math.nan

    @classmethod
    def of(cls, row: Mapping[Any, Any], column: str) -> Self:
        """Read ``column``, ``column_low`` and ``column_high`` of a row of cells.csv; absent or empty becomes NaN."""
        return cls(*(_real(row.get(name)) for name in (column, f"{column}_low", f"{column}_high")))

    @property
    def known(self) -> bool:
        """Whether there is a value at all."""
        return math.isfinite(self.value)

    @property
    def half(self) -> float:
        """The interval's longer arm, NaN without an interval."""
        return max(self.high - self.value, self.value - self.low)

    def scaled(self, factor: float) -> Self:
        """The same estimate in another unit."""
        return type(self)(self.value * factor, self.low * factor, self.high * factor)

    def text(self, unit: str = "", space: str = " ") -> str:
        """``501 ms (±4)``; without an interval ``501 ms``; ``not measured`` without a value."""
        if not self.known:
            return NOT_MEASURED
        body = f"{number(self.value)}{space if unit else ''}{unit}"
        return f"{body} (±{_arm(self.value, self.half)})" if math.isfinite(self.half) else body

    def percent(self) -> str:
        """A ratio in percent: ``36.8 % (±0.4)``."""
        return self.scaled(100.0).text("%")

    def separated_from(self, other: Estimate) -> bool:
        """Whether the two intervals do not touch; without intervals nothing is told apart."""
        return self.high < other.low or other.high < self.low


def _real(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        return math.nan


def _decimals(value: float) -> int:
    """Decimals that leave three significant figures; a value that rounds up a decade needs one fewer."""
    if value == 0 or not math.isfinite(value):
        return 0
    return min(6, max(0, 2 - math.floor(math.log10(abs(float(f"{value:.2e}"))))))


def _arm(value: float, half: float) -> str:
    """An interval's arm with the decimals of its value, or more when it would read as 0."""
    if half == 0:
        return "0"
    decimals = _decimals(value)
    if half > 0 and round(half, decimals) == 0:
        decimals = min(6, -math.floor(math.log10(half)))
    text = f"{half:,.{decimals}f}"
    return text if text.strip("0.") else "0"


def number(value: float) -> str:
    """Three significant figures, thousands set apart, never an exponent; ``not measured`` for NaN."""
    if math.isnan(value):
        return NOT_MEASURED
    if math.isinf(value):
        return "∞" if value > 0 else "\N{MINUS SIGN}∞"
    return f"{value:,.{_decimals(value)}f}".replace("-", "\N{MINUS SIGN}")


def plain(value: Any) -> str:
    """A setting as it was written: ``0.25``, ``10``, ``per_subscriber``; thousands set apart."""
    if isinstance(value, bool) or not isinstance(value, Real):
        return str(value)
    return f"{float(value):,.10g}".replace("-", "\N{MINUS SIGN}")


def size(value: float) -> str:
    """Bytes in the unit that suits them: ``812 B``, ``31.2 KiB``, ``1.50 MiB``."""
    if math.isnan(value):
        return NOT_MEASURED
    for unit, factor in (("MiB", 2**20), ("KiB", 2**10)):
        if abs(value) >= factor:
            return f"{number(value / factor)} {unit}"
    return f"{number(value)} B"


def listing(items: Iterable[str], word: str = "and") -> str:
    """``a, b and c``."""
    *most, last = [*items] or [""]
    return f"{', '.join(most)} {word} {last}" if most else last


def times(ratio: float) -> str:
    """A factor in words that do not promise digits it has not: ``1.4 times``, ``12 times``, ``1,200 times``."""
    if not math.isfinite(ratio):
        return NOT_MEASURED
    digits = 1 if ratio < 10 else 0
    rounded = ratio if ratio < 100 else float(f"{ratio:.2g}")
    return f"{rounded:,.{digits}f} times"
