"""The verb ``workloads``: twelve questions put to the tuner, and for each an experiment that tests the answer.

Event rates over three and a half decades, goals over two; each answer is run for real amid a fine grid of settings
around it (``analysis.tune_write``), and ``analysis.proof`` says of each whether it is where it should be. The rule it
keeps: nothing here is an answer. A row is a question alone; the setting is the tuner's own, each time anew.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from analysis import costs, tune_write
from analysis.costs import Costs
from analysis.demand import PRICES
from analysis.predict import Goals, Situation
from analysis.tune_options import Asked
from analysis.tuner import Answer
from analysis.tuning import QUANTILE, Choice, choices, chosen

EXAMPLES = """examples:
  python -m analysis workloads && python -m loadtests run --name workloads workloads/*.toml
  python -m analysis tuned results/latest
"""


class Workload(NamedTuple):
    """One client's events per second, how late is too late (p95), the round trip, and the proxy's time-out if any.

    The round trip is about what loopback's own, half a millisecond, is when time is scaled: nothing stands for it.
    """

    rate_hz: float
    p95_s: float
    rtt_s: float
    proxy_s: float | None = None

    @property
    def name(self) -> str:
        """The experiment's name."""
        return f"rate_{self.rate_hz:g}_p95_{self.p95_s:g}s"


WORKLOADS: tuple[Workload, ...] = (
    Workload(0.01, 10.0, 0.026, proxy_s=20.0),
    Workload(0.01, 30.0, 0.08),
    Workload(0.1, 3.0, 0.008),
    Workload(0.1, 30.0, 0.03, proxy_s=10.0),
    Workload(0.5, 1.0, 0.002, proxy_s=5.0),
    Workload(0.5, 10.0, 0.01, proxy_s=10.0),
    Workload(2.0, 0.5, 0.0005),
    Workload(2.0, 5.0, 0.005),
    Workload(5.0, 0.2, 0.0005),
    Workload(5.0, 2.0, 0.002),
    Workload(20.0, 0.2, 0.0005),
    Workload(20.0, 1.0, 0.001),
)


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags of ``workloads``."""
    add = parser.add_argument
    add("--out", type=Path, default=Path("workloads"), metavar="DIR", help="where the experiments go (workloads)")
    add("--results", type=Path, default=Path("results"), metavar="DIR", help="where measured runs lie (results)")


def workloads_verb(options: argparse.Namespace) -> int:
    """Write an experiment for each of the twelve."""
    known = costs.newest(options.results)
    for number, one in enumerate(WORKLOADS, start=1):
        path, _ = tune_write.write(answered(one, known, seed=number), options.out / f"{one.name}.toml", grid=True)
        print(path)
    print(f"live: python -m loadtests run --name workloads {options.out}/*.toml, then")
    print("      python -m analysis report, and python -m analysis tuned results/latest")
    return 0


def answered(one: Workload, known: Costs, seed: int = 1) -> Answer:
    """The tuner's answer to one question: its poll interval, and its hold where a hold can run out at all."""
    situation = Situation(one.rate_hz, rtt_s=one.rtt_s, proxy_s=one.proxy_s, seed=seed)
    asked = Asked(situation, Goals({QUANTILE: one.p95_s}), known, PRICES)
    found = list(_pulling(one, choices(situation, asked.goals, known)))
    return Answer(asked, tuple(found), chosen(found, asked.goals), (), ())


def _pulling(one: Workload, found: list[Choice]) -> Iterator[Choice]:
    """What has a setting to be tuned."""
    for choice in found:
        hold_s = float(choice.settings.get("long_polling.hold_s", 0.0))
        if choice.transport == "polling" or 0 < one.rate_hz * hold_s < tune_write.EVENTS_MATTER:
            yield choice
