"""What an estimate is worth: its interval and its n, from clusters and repeats, never sqrt(n) of raw samples.

Consecutive latencies are correlated (METHODOLOGY rule 7): what is independent is a topic (or, where topics are shared,
a batch of the window; see ``analysis.measured``) and a repeat. Every statistic is made linear, its residuals are summed
by cluster, and the spread of those sums is the error:

- mean and ratio: R = sum A / sum B, residual of a cluster e = A - R B, Var R = sum over repeats of c/(c-1) sum
  (e - mean e)^2 / (sum B)^2, with c the repeat's clusters (Cochran, Sampling Techniques, 6.3; CR1 in regression);
- quantile: the same for the share of samples at or below it, and the interval's ends are the quantiles at that share
  plus and minus its error (Woodruff 1952), so that no density has to be estimated;
- repeats: when their spread is beyond what the clusters explain (F test, 1 %), something differs from one process
  to the next, and the repeats are the clusters, with their few degrees of freedom. A quantile's interval is then
  Student's over the repeats' own quantiles: of a share it would soon reach from the least sample to the largest;
- a number measured once a repeat: Student's interval over the repeats, none from a single one.

95 % intervals throughout. Checked by coverage on correlated synthetic data.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy import stats

from analysis import statistic
from analysis.measured import Floats, Ints, Measured, Sample
from analysis.metrics import METRICS, Metric
from analysis.statistic import Maximum, Mean, Number, Pooled, Quantile, Ratio, Repeats, quantile

LEVEL = 0.95
_REPEATS_DIFFER = 0.01  # level of the test whether repeats differ by more than their clusters explain


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value with its 95 % interval, its standard error and how many samples it is from; NaN where there is none."""

    value: float
    low: float
    high: float
    error: float
    n: int


@dataclass(frozen=True, slots=True)
class Spread:
    """A standard error, the degrees of freedom it was estimated with, and whether the repeats were the clusters."""

    error: float
    freedom: float
    by_repeat: bool = False

    @property
    def reach(self) -> float:
        """Half of a 95 % interval by Student's t."""
        return float(self.error * stats.t.ppf((1 + LEVEL) / 2, self.freedom)) if self.freedom > 0 else float("nan")


_NONE = Spread(float("nan"), 0)


def spread(over: Floats, under: Floats, repeat: Ints) -> Spread:
    """Spread of sum ``over`` / sum ``under``, both by cluster; ``repeat`` says which repeat a cluster is of.

    A single cluster tells nothing; then the repeats must, and a single repeat has no spread (NaN).
    """
    base = under.sum()
    if not base:
        return _NONE
    return deviation(over - over.sum() / base * under, repeat, float(base))


def deviation(residual: Floats, repeat: Ints, base: float) -> Spread:
    """Spread of sum ``residual`` / ``base`` from independent clusters, as the module's head says."""
    count = np.bincount(repeat)
    sums = np.bincount(repeat, weights=residual)
    many = count > 1
    centred = (residual - (sums / np.maximum(count, 1))[repeat]) ** 2
    scale = np.where(many, count / np.maximum(count - 1, 1), np.nan)
    within = Spread(
        float(np.sqrt((scale * np.bincount(repeat, weights=centred)).sum()) / abs(base)), int(count.sum() - len(count))
    )
    if len(count) < 2:
        return within if many.all() else _NONE
    apart = sums - sums.mean()
    between = Spread(float(np.sqrt(len(count) / (len(count) - 1) * (apart**2).sum()) / abs(base)), len(count) - 1, True)
    if not many.all() or within.error == 0:
        return between
    limit = stats.f.ppf(1 - _REPEATS_DIFFER, between.freedom, within.freedom)
    return between if (between.error / within.error) ** 2 > limit else within


def share_spread(pooled: Pooled, at: float) -> Spread:
    """Spread of the share of samples at or below ``at``."""
    below = np.searchsorted(pooled.ascending, at, side="right")
    clusters = len(pooled.repeat)
    over = np.bincount(pooled.cluster[:below], minlength=clusters).astype(np.float64)
    return spread(over, np.bincount(pooled.cluster, minlength=clusters).astype(np.float64), pooled.repeat)


def estimate(metric: Metric, repeats: Repeats, pools: dict[Any, Pooled] | None = None) -> Estimate:
    """A metric over the repeats of a cell, pooled (``pools`` as in ``statistic.value``)."""
    pools = {} if pools is None else pools
    kind = metric.statistic
    value = statistic.value(kind, repeats, pools)
    if np.isnan(value):
        return Estimate(value, value, value, value, 0)
    match kind:
        case Quantile(of, q):
            return _quantile(pools[of], q, value)
        case Mean(of):
            pooled = pools[of]
            clusters = len(pooled.repeat)
            sums = np.bincount(pooled.cluster, weights=pooled.ascending, minlength=clusters)
            counts = np.bincount(pooled.cluster, minlength=clusters).astype(np.float64)
            return _symmetric(value, spread(sums.astype(np.float64), counts, pooled.repeat), len(pooled.ascending))
        case Ratio():
            totals = statistic.totals(repeats, kind)
            return _symmetric(value, spread(*totals), int(totals.under.sum()))
        case Number(of):
            known = np.array([number for number in map(of, repeats) if not np.isnan(number)])
            return _symmetric(value, _student(known), len(known))
        case Maximum(of):
            return Estimate(value, np.nan, np.nan, np.nan, len(pools[of].ascending))
        case _:
            return Estimate(value, np.nan, np.nan, np.nan, len(repeats))


def estimates(repeats: Repeats) -> dict[str, Estimate]:
    """Every metric over the repeats of a cell."""
    pools: dict[Any, Pooled] = {}
    return {metric.name: estimate(metric, repeats, pools) for metric in METRICS}


def columns(found: dict[str, Estimate]) -> dict[str, float]:
    """The columns of cells.csv: each metric, then ``_low``, ``_high`` and ``_n``."""
    row: dict[str, float] = {}
    for name, one in found.items():
        row |= {name: one.value, f"{name}_low": one.low, f"{name}_high": one.high, f"{name}_n": one.n}
    return row


def contradiction(repeats: Repeats, of: Callable[[Measured], Sample]) -> tuple[float, float] | None:
    """Medians of the two repeats that are furthest apart, when they contradict each other; else None.

    Compared are their shares below the common median, share ± 3 standard errors: a median itself jumps where many
    samples are alike (long polling with a gap). Three errors, as everywhere where two figures are compared: of 95 %
    intervals one pair in 200 does not overlap by chance, and a run has hundreds of pairs.
    """
    middle = quantile(statistic.pool(repeats, of).ascending, 0.5)
    found = []
    for repeat in repeats:
        pooled = statistic.pool([repeat], of)
        error = share_spread(pooled, middle).error
        if not np.isnan(error):
            share = np.searchsorted(pooled.ascending, middle, side="right") / len(pooled.ascending)
            found.append((share, error, quantile(pooled.ascending, 0.5)))
    if len(found) < 2:
        return None
    late, early = min(found, key=lambda one: one[0] + 3 * one[1]), max(found, key=lambda one: one[0] - 3 * one[1])
    return (early[2], late[2]) if early[0] - late[0] > 3 * (early[1] + late[1]) else None


def _student(once_a_repeat: Floats) -> Spread:
    """Spread of the mean of numbers that each repeat has one of."""
    return spread(once_a_repeat, np.ones(len(once_a_repeat)), np.arange(len(once_a_repeat)))


def _symmetric(value: float, error: Spread, n: int) -> Estimate:
    return Estimate(value, value - error.reach, value + error.reach, error.error, n)


def _quantile(pooled: Pooled, q: float, value: float) -> Estimate:
    """Woodruff's interval; the standard error is half the distance one error of the share up and down."""
    error = share_spread(pooled, value)
    if np.isnan(error.error):
        return Estimate(value, np.nan, np.nan, np.nan, len(pooled.ascending))
    if error.by_repeat:
        repeat = pooled.repeat[pooled.cluster]
        each = np.array([quantile(pooled.ascending[repeat == one], q) for one in np.unique(repeat)])
        found = _symmetric(value, _student(each), len(pooled.ascending))
        return replace(found, low=max(found.low, float(pooled.ascending[0])))
    low, high = (quantile(pooled.ascending, q + way * error.reach) for way in (-1, 1))
    below, above = (quantile(pooled.ascending, q + way * error.error) for way in (-1, 1))
    return Estimate(value, low, high, (above - below) / 2, len(pooled.ascending))
