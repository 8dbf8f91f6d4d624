"""The verb ``plan`` of the command line: what a million clients ask of the servers.

The rule it keeps: the answer names where its costs are from and what it assumes, and prints an interval beside every
figure that has one. It exits with 0, or with 2 and one line when it cannot answer.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from analysis import costs, literature, plan, units
from analysis.costs import Costs
from analysis.demand import allowed
from analysis.regime import kind_of
from analysis.situation_options import prices, situation_arguments
from analysis.tuning import QUANTILE, Choice, Goals, Situation, choices, chosen, seconds

EXAMPLES = """examples:
  python -m analysis plan --clients 1e6 --rate 0.1 --p95 2s --reconnect-within 60s
  python -m analysis plan --clients 20k --rate 0.5 --proxy-timeout 60s --server-cores 8
"""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags of ``plan``."""
    situation_arguments(parser, 1e6, "1e6")
    add = parser.add_argument
    add("--rate", type=units.rate, required=True, help="events per second of each client")
    add("--p95", type=units.seconds, default=2.0, help="how late is too late (2s)")
    add("--proxy-timeout", type=units.seconds, help="of what stands between (nothing)")
    add("--reconnect-within", type=units.seconds, default=60.0, help="everybody comes back within (60s)")
    add("--server-cores", type=units.cores, default=4.0, help="of one server (4)")
    add("--server-memory", type=units.size, default=16 * 2.0**30, help="of one server (16GiB)")
    add("--server-files", type=units.count, default=100_000, help="open files of one server, one a connection (100k)")
    add("--utilisation", type=units.share, default=0.5, help="share of the cores that may be busy (50%%)")


@dataclass(frozen=True, slots=True)
class Asked:
    """What is planned for: the situation, how fresh events must be, and the size of one server."""

    situation: Situation
    p95_s: float
    server: plan.Server

    @property
    def goals(self) -> Goals:
        """As the tuner has them."""
        return Goals({QUANTILE: self.p95_s})


def plan_verb(options: argparse.Namespace) -> int:
    """Say what so many clients ask of the servers, in ordinary times and in a storm, beside what others published."""
    known = costs.newest(options.results, shared=options.shared, tls=options.tls)
    situation = Situation(
        options.rate, options.clients, options.rtt, payload_bytes=int(options.payload_bytes),
        proxy_s=options.proxy_timeout,
    )  # fmt: skip
    server = plan.Server(options.server_cores, options.utilisation, options.server_memory, options.server_files)
    asked = Asked(situation, options.p95, server)
    found = choices(situation, asked.goals, known, prices(options))
    made = plan.plans(found, known, server=server, within_s=options.reconnect_within)
    print("\n".join(lines(asked, made, known)))
    return 0


# In words -----------------------------------------------------------------------------------------------------


def lines(asked: Asked, made: list[plan.Plan], known: Costs) -> Iterator[str]:
    """The whole answer: the choice first, then what all servers do and hold, a storm, others' figures, assumptions."""
    given, server = asked.situation, asked.server
    yield (
        f"{units.short(given.clients)} clients, {given.rate_hz:g} events/s each of {given.payload_bytes} B,"
        f" round trip {1e3 * given.rtt_s:g} ms. Asked: 95 % of events within {asked.p95_s:g} s."
    )
    yield f"{_choice(made, asked.goals)} Brackets: {allowed(known)}."
    yield "\nWhat all servers together do"
    yield from _table([WORK, *map(_work, made)])
    yield (
        f"\nWhat they hold, and how many they are: each {server.cores:g} cores, of which {server.utilisation:.0%} may"
        f" be busy, {units.bytes_text(server.memory_bytes)}, {units.short(server.descriptors)} open files"
    )
    yield from _table([HELD, *map(_held, made)])
    storms = [(one, one.storm) for one in made if one.storm is not None]
    if storms:
        yield f"\nA storm: a restart cuts everybody off, and all come back within {storms[0][1].within_s:g} s"
        yield from _table([STORM, *(_storm(one, storm) for one, storm in storms)])
    found = literature.rows(known)
    yield "\nThe same arithmetic beside what others have published"
    yield from _table([("", "published", "predicted", "predicted/published"), *map(_published, found)])
    for why in dict.fromkeys(row.row.why for row in found if row.row.why and not 0.8 < row.ratio < 1.25):
        yield f"  differs: {why}"
    yield f"\nAssumed\n  {known.source}"
    yield from (f"  {assumption}" for assumption in plan.ASSUMPTIONS)


WORK = ("", "setting", "requests/s", "busy cores", "bandwidth in", "out", "an hour costs")
HELD = ("", "open connections (= open files)", "memory", "servers", "because of their")
STORM = ("", "connections/s", "cores for that", "bandwidth out", "all cores of those servers need at least")


def _choice(made: list[plan.Plan], goals: Goals) -> str:
    """Which costs least, and what comes next."""
    best = chosen([one.choice for one in made], goals)
    first = next(one for one in made if one.choice is best)
    said = f"{best.label}, {_setting(best)}"
    many = f"{units.ranged(first.servers, whole=True)} server{'s' * (first.servers.high > 1)}"
    if not best.meets:
        return f"Nothing is as fresh as that. The nearest is {said}: {'; '.join(best.misses)}."
    others = [one for one in made if one.choice.meets and kind_of(one.choice) != kind_of(best)]
    next_ = min(others, key=lambda one: one.demand.hourly.value, default=None)
    dearer = "" if next_ is None else (
        f" {next_.choice.label} would cost {next_.demand.hourly.value / best.demand.hourly.value:.2g} times as much."
    )  # fmt: skip
    return f"Cheapest: {said}, on {many}, for {units.ranged(best.demand.hourly)} an hour.{dearer}"


def _work(one: plan.Plan) -> tuple[str, ...]:
    asked = one.demand
    return (
        one.choice.label,
        _setting(one.choice) + ("" if one.choice.meets else " (too late)"),
        units.short(asked.requests_hz) if asked.requests_hz else "none",
        units.ranged(asked.cores),
        *(units.ranged(bps, said=units.bits_text) for bps in (asked.up_bps, asked.down_bps)),
        units.ranged(asked.hourly),
    )


def _held(one: plan.Plan) -> tuple[str, ...]:
    return (
        one.choice.label,
        units.short(one.descriptors) if one.descriptors else "none: a new one each time",
        units.ranged(one.demand.memory_bytes, said=units.bytes_text) if one.descriptors else "",
        units.ranged(one.servers, whole=True),
        one.decided_by,
    )


def _storm(one: plan.Plan, storm: plan.Storm) -> tuple[str, ...]:
    return (
        one.choice.label,
        units.short(storm.connects_hz),
        units.ranged(storm.cores),
        units.ranged(storm.down_bps, said=units.bits_text),
        f"{units.ranged(storm.drain_s)} s",
    )


def _setting(choice: Choice) -> str:
    for key, word in SETTINGS.items():
        if key in choice.settings:
            return f"{word} {seconds(float(choice.settings[key]))}"
    return ""


SETTINGS: Mapping[str, str] = {
    "polling.interval_s": "every", "long_polling.hold_s": "hold", "server.heartbeat_s": "heartbeat",
}  # fmt: skip


def _published(row: literature.Row) -> tuple[str, ...]:
    low, high = row.row.published
    said = f"{low:g}" if low == high else f"{low:g} to {high:g}"
    return (
        f"{row.row.source.partition(',')[0]}: {row.row.situation}",
        f"{said} {row.row.unit}",
        f"{units.ranged(row.predicted)} {row.row.unit}",
        f"{row.ratio:.2g}",
    )


def _table(rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    """Columns as wide as they must be; the first at the left, numbers at the right."""
    held = list(rows)
    widths = [max(len(row[i]) for row in held) for i in range(len(held[0]))]
    for row in held:
        first, *rest = (text.ljust(width) if i == 0 else text.rjust(width)
                        for i, (text, width) in enumerate(zip(row, widths, strict=True)))  # fmt: skip
        yield "  " + "  ".join([first, *rest]).rstrip()
