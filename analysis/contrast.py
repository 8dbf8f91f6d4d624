"""Two sets of repeats of one figure: their ratio, its interval, and whether it is beyond what matters.

What is independent between two runs is a repeat: a fresh server, fresh processes, a moment of its own. So the repeat is
the unit here, and what a run's clusters say within one repeat (``analysis.uncertainty``) is not enough: another process
differs for reasons that no topic of this one shows. In steps:

- scale: logarithms, so that an effect is a ratio; figures that can be 0 are differences;
- pairing: repeats that had the same events are subtracted one from the other, which takes the events' luck out
  (METHODOLOGY rule 5); else the two means are compared;
- few repeats: a spread from two or three repeats is mostly luck. The same figure was measured in many cells, so each
  cell's spread is moderated by all of them (Smyth 2004, "limma": an inverse chi-squared prior fitted to the cells'
  variances adds its degrees of freedom to the cell's own). Moderation here may widen an interval, never narrow it
  below the cell's own spread;
- what matters: a margin around "no difference". *Real* is an interval beyond the margin, *the same* one within it,
  and anything else cannot be told. Slow drifts between two runs are smaller than the margin or are no figures at all;
- many figures: p values against the margin go through Benjamini and Hochberg (1995), so that of the figures called
  real at most one in twenty is false, and where nothing differs, in nineteen comparisons of twenty none is called.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import optimize, special, stats

from analysis.measured import Floats
from analysis.uncertainty import LEVEL

FALSE = 1 - LEVEL  # share of false ones among the figures called real
FEWEST = 2  # repeats on each side: a single one says nothing of the next
MANY = 100  # more repeats than this are not proposed
_CELLS = 4  # with fewer spreads than this no prior is fitted
_LARGEST = 1e6


@dataclass(frozen=True, slots=True)
class Contrast:
    """An effect (B over A as a logarithm, or B minus A) from repeats.

    ``variance`` is that of one repeat, with ``freedom`` degrees of freedom; ``weight`` times it is the effect's.
    """

    effect: float
    variance: float
    weight: float
    freedom: float

    @property
    def error(self) -> float:
        """Standard error of the effect."""
        return math.sqrt(self.weight * self.variance)

    @property
    def reach(self) -> float:
        """Half of its 95 % interval."""
        return float(self.error * stats.t.ppf((1 + LEVEL) / 2, self.freedom))

    def beyond(self, margin: float) -> float:
        """The p value of "it is within the margin": small where the whole interval lies beyond it."""
        distance = abs(self.effect) - margin
        if distance <= 0:
            return 1.0
        return float(2 * stats.t.sf(distance / self.error, self.freedom)) if self.error else 0.0

    def within(self, margin: float) -> bool:
        """Whether the whole 95 % interval lies within the margin."""
        return abs(self.effect) + self.reach <= margin

    def needed(self, margin: float) -> int | None:
        """How many repeats a side would settle it, were the effect what it seems; None: more than ``MANY``."""
        distance = abs(abs(self.effect) - margin)
        repeats = np.arange(FEWEST, MANY + 1)
        quantile = stats.t.ppf((1 + LEVEL) / 2, np.maximum(self.freedom, repeats - 1))
        enough = repeats[quantile * np.sqrt(2 / repeats * self.variance) < distance]
        return int(enough[0]) if len(enough) else None


def contrast(a: Floats, b: Floats, *, paired: bool) -> Contrast:
    """The effect of going from ``a`` to ``b``, one value a repeat, at least ``FEWEST`` on each side."""
    effect = float(b.mean() - a.mean())
    if paired:
        # Halved: the variance of one repeat on one side, as below, so that cells of both kinds can be moderated alike.
        return Contrast(effect, float((b - a).var(ddof=1)) / 2, 2 / len(a), len(a) - 1)
    freedom = len(a) + len(b) - 2
    within = float(((a - a.mean()) ** 2).sum() + ((b - b.mean()) ** 2).sum())
    return Contrast(effect, within / freedom, 1 / len(a) + 1 / len(b), freedom)


def moderated(contrasts: Sequence[Contrast]) -> list[Contrast]:
    """The same figure's contrasts in all cells, each with its variance moderated by all."""
    known = [one for one in contrasts if one.variance > 0]
    if len(known) < _CELLS:
        return list(contrasts)
    freedom, variance = prior(np.array([one.variance for one in known]), np.array([one.freedom for one in known]))
    most = sum(one.freedom for one in known)
    return [_moderated(one, freedom, variance, most) for one in contrasts]


def _moderated(one: Contrast, freedom: float, variance: float, most: float) -> Contrast:
    share = 1.0 if math.isinf(freedom) else freedom / (freedom + one.freedom)
    shrunk = share * variance + (1 - share) * one.variance
    return Contrast(one.effect, max(shrunk, one.variance), one.weight, min(freedom + one.freedom, most))


def prior(variances: Floats, freedoms: Floats) -> tuple[float, float]:
    """Degrees of freedom and scale of the prior that the variances seem to be drawn from (Smyth 2004, section 6.2).

    Infinitely many where the variances differ no more than their degrees of freedom make them.
    """
    half = freedoms / 2
    logs = np.log(variances) - special.digamma(half) + np.log(half)
    rest = float(logs.var(ddof=1) - special.polygamma(1, half).mean())
    if rest <= special.polygamma(1, _LARGEST):
        return math.inf, float(np.exp(logs.mean()))
    at = float(optimize.brentq(lambda x: special.polygamma(1, x) - rest, 1e-8, _LARGEST))
    return 2 * at, float(np.exp(logs.mean() + special.digamma(at) - np.log(at)))


def discovered(p: Floats, share: float = FALSE) -> npt.NDArray[np.bool_]:
    """Which of the p values Benjamini and Hochberg call real when a ``share`` of those called may be false."""
    order = np.argsort(p, kind="stable")
    low = np.flatnonzero(p[order] <= share * np.arange(1, len(p) + 1) / max(1, len(p)))
    found = np.zeros(len(p), dtype=bool)
    found[order[: low[-1] + 1 if len(low) else 0]] = True
    return found
