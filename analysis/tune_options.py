"""The command line of ``tune``: traffic, network, goals and prices as a person types them, into what the tuner takes.

The rule it keeps: what cannot be answered is refused in one line that says what was read and what was expected, before
anything is computed. Defaults are printed with the answer, so that nobody is tuned to a network he does not have.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

from analysis import costs, traces, units
from analysis.costs import Costs
from analysis.demand import Prices
from analysis.errors import BadRunError
from analysis.predict import Goals, Situation
from analysis.situation_options import prices, situation_arguments
from analysis.traces import Trace, TraceError

CLIENTS = 1000
RUN_IN = 50.0  # tolerated delays that a policy with a memory is given before what counts
EXAMPLES = """examples:
  python -m analysis tune --rate 0.5 --p95 2s --empty 30% --clients 20000 --rtt 60ms --proxy-timeout 60s
  python -m analysis tune --trace events.csv --p95 2s --write tuned.toml
"""
# Flag, what it is in ``Goals.latency_s``, in words.
LATENCIES: tuple[tuple[str, str | float, str], ...] = (
    ("p50", 0.5, "half of the updates"),
    ("p90", 0.9, "90 %% of the updates"),
    ("p95", 0.95, "95 %% of the updates"),
    ("p99", 0.99, "99 %% of the updates"),
    ("mean", "mean", "an update, on average,"),
    ("max", "max", "every update"),
)


@dataclass(frozen=True, slots=True)
class Asked:
    """A question whole: ``trace`` is the file's, ``remarks`` what its reader has to say of it.

    ``tls`` and ``shared`` say which measured costs were asked for, and how the answer is run for real.
    """

    situation: Situation
    goals: Goals
    costs: Costs
    prices: Prices
    trace: Trace | None = None
    remarks: tuple[str, ...] = ()
    tls: str = "off"
    shared: bool = False


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags of ``tune``."""
    situation_arguments(parser, None, f"{CLIENTS}, or as many as the trace names")
    add = parser.add_argument
    add("--rate", type=units.rate, help="events per second of each client: Poisson")
    add("--trace", type=Path, metavar="CSV", help="event times instead: a column of timestamps, perhaps one of clients")
    for flag, _, words in LATENCIES:
        add(f"--{flag}", type=units.seconds, metavar="TIME", help=f"{words} within this time")
    add("--empty", type=units.share, metavar="SHARE", help="of the answers that may bring nothing, such as 30%%")
    add("--rtt-spread", type=units.spread, default=0.0, help="coefficient of variation of each way (0)")
    add("--service", type=units.pause, default=0.0, help="what the server takes for an answer (0)")
    add("--proxy-timeout", type=units.seconds, help="of what stands between (nothing)")
    add("--write", type=Path, metavar="TOML", help="write an experiment that runs the answer, and its predictions")
    add("--grid", action="store_true", help="with --write: a fine grid of settings around the answer, too")
    add("--out", type=Path, default=Path("tuned"), metavar="DIR", help="where the page and its charts go (tuned)")
    add("--no-page", action="store_true", help="print the answer alone")
    add("--json", action="store_true", help="print the answer as JSON")


def asked(options: argparse.Namespace) -> Asked:
    """Put the question together. Raises BadRunError, in one line, for one that cannot be answered."""
    goals = _goals(options)
    if (options.rate is None) == (options.trace is None):
        raise BadRunError("tune: expected --rate (events per second of each client, such as 0.5) or --trace CSV, one")
    trace = None if options.trace is None else _trace(options.trace, goals)
    clients = options.clients or (trace.clients if trace and trace.clients > 1 else CLIENTS)
    situation = Situation(
        rate_hz=options.rate if trace is None else trace.rate_hz, clients=clients, rtt_s=options.rtt,
        rtt_spread=options.rtt_spread, service_s=options.service, payload_bytes=int(options.payload_bytes),
        proxy_s=options.proxy_timeout,
        trace=None if trace is None else trace.schedule(run_in_s(trace, goals)),
    )  # fmt: skip
    known = costs.newest(options.results, shared=options.shared, tls=options.tls)
    remarks = () if trace is None else trace.bad
    return Asked(situation, goals, known, prices(options), trace, remarks, options.tls, options.shared)


def _goals(options: argparse.Namespace) -> Goals:
    given = {goal: getattr(options, flag) for flag, goal, _ in LATENCIES if getattr(options, flag) is not None}
    if not given and options.empty is None:
        raise BadRunError(
            "tune: no goal; expected how late is too late (--p95 2s) or how many empty answers (--empty 30%)"
        )
    return Goals(given, options.empty)


def _trace(path: Path, goals: Goals) -> Trace:
    try:
        return traces.usable(path, [goal for goal in goals.latency_s if isinstance(goal, float)])
    except TraceError as error:
        raise BadRunError(f"--trace {error}") from None


def run_in_s(trace: Trace, goals: Goals) -> float:
    """What a policy is given to learn from: some tolerated delays, but no more than a tenth of what there is."""
    delay_s = max(goals.latency_s.values(), default=1 / trace.rate_hz)
    return min(RUN_IN * delay_s, trace.length_s / 10)


__all__ = ["EXAMPLES", "Asked", "arguments", "asked", "run_in_s"]
