"""The regime map: over event rate and tolerated staleness, which transport with which setting costs least.

The rule it keeps: every point is what the tuner would choose there (``analysis.tuning``), from measured costs and the
reader's prices; where the costs' intervals of the best two transports overlap the point is *unsure*, and drawn so. A
border is no sharper than the measurements it comes from.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from analysis.costs import Costs
from analysis.demand import PRICES, Prices
from analysis.predict import judged
from analysis.tuning import QUANTILE, Choice, Goals, Situation, cheapest, choices, fixed_interval

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

RATES_HZ = np.geomspace(1e-3, 100, 101)
STALENESS_S = np.geomspace(0.05, 300, 77)
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
    prices: Prices = PRICES


def regimes(
    situation: Situation, costs: Costs, *, transports: tuple[str, ...] = BROWSERS, prices: Prices = PRICES,
    rate_hz: Floats | None = None, staleness_s: Floats | None = None,
) -> Regimes:  # fmt: skip
    """Return the map for this situation's clients, network and payload; its rate and trace play no part."""
    rate_hz = RATES_HZ if rate_hz is None else rate_hz
    staleness_s = STALENESS_S if staleness_s is None else staleness_s
    known = {name: costs.by_transport[name] for name in transports if name in costs.by_transport}
    unhurried = replace(costs, by_transport={name: cost for name, cost in known.items() if name != "polling"})
    shape = (len(staleness_s), len(rate_hz))
    best, sure = np.full(shape, -1), np.ones(shape, bool)
    dearer, hourly = np.full(shape, np.nan), np.full(shape, np.nan)
    for j, rate in enumerate(rate_hz):
        here = replace(situation, rate_hz=float(rate), trace=None)
        # what the others are set to, and cost, does not depend on how late is too late
        others = choices(here, Goals({QUANTILE: math.inf}), unhurried, prices)
        for i, wanted_s in enumerate(staleness_s):
            goals = Goals({QUANTILE: float(wanted_s)})
            found = [judged(one, goals) for one in others]
            if "polling" in known:
                found.append(fixed_interval(here, goals, known["polling"], prices))
            fit = [one for one in found if one.meets]
            if not fit:
                continue
            first = cheapest(fit)
            kind = kind_of(first)
            rest = [one.demand.hourly for one in fit if kind_of(one) != kind]
            best[i, j], hourly[i, j] = KINDS.index(kind), first.demand.hourly.value
            sure[i, j] = all(other.low > first.demand.hourly.high for other in rest)
            if rest:
                dearer[i, j] = min(other.value for other in rest) / first.demand.hourly.value
    return Regimes(rate_hz, staleness_s, best, sure, dearer, hourly, situation, costs.source, prices)


def kind_of(choice: Choice) -> str:
    """The kind a choice is of: push transports cost nearly the same, and differ in other things than cost."""
    return {"polling": "polling", "long_polling": "long polling"}.get(choice.transport, "push")
