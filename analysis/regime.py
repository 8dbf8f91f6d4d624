"""The regime map: over event rate and tolerated staleness, which transport with which setting costs least.

The rule it keeps: every point is what the tuner would choose there (``analysis.tuning``), from measured costs and the
reader's prices; where the costs' intervals of the best two transports overlap the point is *unsure*, and drawn so. A
border is no sharper than the measurements it comes from.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from analysis.costs import Costs
from analysis.demand import PRICES, Prices
from analysis.tuning import QUANTILE, Choice, Goals, Situation, cheapest, choices

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

RATES_HZ = np.geomspace(1e-3, 100, 61)
STALENESS_S = np.geomspace(0.05, 300, 46)
KINDS = ("polling", "long polling", "push")
BROWSERS = ("polling", "long_polling", "sse", "websocket", "stomp_websocket")  # what a web page can speak


@dataclass(frozen=True, slots=True)
class Regimes:
    """The map. ``best[i, j]`` indexes ``KINDS`` at ``staleness_s[i]``, ``rate_hz[j]``; -1 where none is fresh enough.

    ``sure`` is False where the costs of another kind cannot be told from the best's. ``dearer`` is how many times
    dearer the best of another kind is; ``hourly`` the price of the best.
    """

    rate_hz: Floats
    staleness_s: Floats
    best: Ints
    sure: Mask
    dearer: Floats
    hourly: Floats
    situation: Situation
    source: str


def regimes(
    situation: Situation, costs: Costs, *, transports: tuple[str, ...] = BROWSERS, prices: Prices = PRICES,
    rate_hz: Floats = RATES_HZ, staleness_s: Floats = STALENESS_S,
) -> Regimes:  # fmt: skip
    """Return the map for this situation's clients, network and payload; its rate and trace play no part."""
    known = [name for name in transports if name in costs.by_transport]
    costs = replace(costs, by_transport={name: costs.by_transport[name] for name in known})
    shape = (len(staleness_s), len(rate_hz))
    best, sure = np.full(shape, -1), np.ones(shape, bool)
    dearer, hourly = np.full(shape, np.nan), np.full(shape, np.nan)
    for i, wanted_s in enumerate(staleness_s):
        goals = Goals({QUANTILE: float(wanted_s)})
        for j, rate in enumerate(rate_hz):
            here = replace(situation, rate_hz=float(rate), trace=None)
            found = [one for one in choices(here, goals, costs, prices) if one.meets]
            if not found:
                continue
            first = cheapest(found)
            kind = kind_of(first)
            others = [one.demand.hourly for one in found if kind_of(one) != kind]
            best[i, j], hourly[i, j] = KINDS.index(kind), first.demand.hourly.value
            sure[i, j] = all(other.low > first.demand.hourly.high for other in others)
            if others:
                dearer[i, j] = min(other.value for other in others) / first.demand.hourly.value
    return Regimes(rate_hz, staleness_s, best, sure, dearer, hourly, situation, costs.source)


def kind_of(choice: Choice) -> str:
    """The kind a choice is of: push transports cost nearly the same, and differ in other things than cost."""
    return {"polling": "polling", "long_polling": "long polling"}.get(choice.transport, "push")
