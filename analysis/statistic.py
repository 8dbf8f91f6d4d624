"""What a metric can be: a mean, a quantile, a ratio, …, over the samples of one repeat or of several pooled.

The rule it keeps: a quantile q needs 20/(1 - q) samples (METHODOLOGY rule 8); over repeats samples are pooled,
percentiles are never averaged (rule 6); what does not apply is NaN, never 0. A statistic is data that says what it is
of, so that ``analysis.uncertainty`` can give each its interval.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from analysis.measured import Floats, Ints, Measured, Sample


class Pooled(NamedTuple):
    """The samples of all repeats: ascending values, the cluster of each, and the repeat each cluster is of."""

    ascending: Floats
    cluster: Ints
    repeat: Ints


class Totals(NamedTuple):
    """A ratio's two sums by cluster, and the repeat each cluster is of."""

    over: Floats
    under: Floats
    repeat: Ints


Repeats = Sequence[Measured]


@dataclass(frozen=True, slots=True)
class Mean:
    """The mean of all samples."""

    of: Callable[[Measured], Sample]


@dataclass(frozen=True, slots=True)
class Quantile:
    """The ``q`` quantile of all samples; none with fewer than 20/(1 - q) of them."""

    of: Callable[[Measured], Sample]
    q: float


@dataclass(frozen=True, slots=True)
class Maximum:
    """The largest of all samples. It has no interval: what was not seen may be larger."""

    of: Callable[[Measured], Sample]


@dataclass(frozen=True, slots=True)
class Ratio:
    """A sum over a sum, both by cluster."""

    over: Callable[[Measured], Floats]
    under: Callable[[Measured], Floats]
    applies: Callable[[Measured], bool]


@dataclass(frozen=True, slots=True)
class Number:
    """One number a repeat (memory, CPU): its mean over repeats."""

    of: Callable[[Measured], float]


@dataclass(frozen=True, slots=True)
class Count:
    """A count: its sum over repeats. It is what happened, so it has no interval."""

    of: Callable[[Measured], float]


Statistic = Mean | Quantile | Maximum | Ratio | Number | Count


def pool(repeats: Repeats, of: Callable[[Measured], Sample]) -> Pooled:
    """Put the samples of all repeats together; clusters of different repeats stay different."""
    samples = [of(one) for one in repeats]
    starts = np.cumsum([0, *(sample.clusters for sample in samples)])
    values = np.concatenate([sample.values for sample in samples])
    cluster = np.concatenate([s.cluster + start for s, start in zip(samples, starts[:-1], strict=True)])
    order = np.argsort(values, kind="stable")
    repeat = np.repeat(np.arange(len(samples)), [sample.clusters for sample in samples])
    return Pooled(values[order], cluster[order], repeat)


def totals(repeats: Repeats, ratio: Ratio) -> Totals:
    """Put both sums of all repeats together, by cluster."""
    overs = [ratio.over(one) for one in repeats]
    repeat = np.repeat(np.arange(len(overs)), [len(over) for over in overs])
    return Totals(np.concatenate(overs), np.concatenate([ratio.under(one) for one in repeats]), repeat)


def quantile(values: Floats, q: float) -> float:
    """Quantile of ascending ``values``, linear between order statistics (as numpy's default); NaN of none."""
    if not len(values):
        return float("nan")
    at = (len(values) - 1) * min(max(q, 0.0), 1.0)
    low = int(at)
    high = min(low + 1, len(values) - 1)
    return float(values[low] + (values[high] - values[low]) * (at - low))


def enough(n: int, q: float) -> bool:
    """Whether ``n`` samples carry quantile ``q``: at least 20/(1 - q) of them (METHODOLOGY rule 8)."""
    return n * (1 - q) >= 20 - 1e-9  # 1 - 0.95 is not quite 0.05


def value(statistic: Statistic, repeats: Repeats, pools: dict[Any, Pooled] | None = None) -> float:
    """The statistic over one repeat or several pooled; NaN where it does not apply or has too few samples.

    ``pools`` keeps what has been pooled already, by accessor: several metrics share one sample.
    """
    pools = {} if pools is None else pools
    match statistic:
        case Mean(of) | Quantile(of) | Maximum(of):
            if of not in pools:
                pools[of] = pool(repeats, of)
            return _of_samples(statistic, pools[of].ascending)
        case Ratio():
            if not all(statistic.applies(one) for one in repeats):
                return float("nan")
            over, under, _ = totals(repeats, statistic)
            return float(over.sum() / under.sum()) if under.sum() else float("nan")
        case Number(of) | Count(of):
            known = [number for number in map(of, repeats) if not np.isnan(number)]
            if not known:
                return float("nan")
            return float(sum(known)) / (len(known) if isinstance(statistic, Number) else 1)


def _of_samples(statistic: Mean | Quantile | Maximum, values: Floats) -> float:
    match statistic:
        case Quantile(_, q):
            return quantile(values, q) if enough(len(values), q) else float("nan")
        case Maximum():
            return float(values[-1]) if len(values) else float("nan")
        case Mean():
            return float(values.mean()) if len(values) else float("nan")
