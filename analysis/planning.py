"""The verbs ``plan`` and ``map`` of the command line: what a million clients ask, and where which transport pays.

The rule it keeps: the answer names where its costs are from and what it assumes, and prints an interval beside every
figure that has one. It exits with 0, or with 2 and one line when it cannot answer.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterable, Iterator
from pathlib import Path

from analysis import charts, costs, literature, plan, units
from analysis.charts import Chart, Picture
from analysis.charts_regime import regime_map
from analysis.costs import Costs, Estimate
from analysis.demand import PRICES, Prices
from analysis.load import BadRunError
from analysis.regime import regimes
from analysis.style import house, settle
from analysis.tuning import QUANTILE, Goals, Situation, choices

RESULTS = Path("results")
EXAMPLES = """examples:
  python -m analysis plan --clients 1e6 --rate 0.1 --p95 2s --reconnect-within 60s
  python -m analysis map --clients 20k --rtt 60ms --out map
"""
HEADINGS = ("", "setting", "requests/s", "cores", "memory", "down", "connections", "servers", "per hour")


def situation_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what is common to every question about a situation."""
    add = parser.add_argument
    add("--clients", type=units.count, default=1e6, help="how many clients (1e6)")
    add("--rtt", type=units.pause, default=0.06, help="round trip (60ms)")
    add("--payload-bytes", type=units.size, default=256, help="of an event's data (256)")
    add("--shared", action="store_true", help="all clients follow one topic: an event is encoded once")
    add("--tls", choices=("off", "1.2", "1.3"), default="off", help="take the costs measured with TLS (off)")
    add("--results", type=Path, default=RESULTS, metavar="DIR", help="where measured runs lie (results)")
    add("--core-hour", type=units.price, default=PRICES.core_hour, help="price of a core for an hour (%(default)s)")
    add("--gib-hour", type=units.price, default=PRICES.gib_hour, help="price of a GiB for an hour (%(default)s)")
    add("--gb-sent", type=units.price, default=PRICES.gb_sent, help="price of a GB sent (%(default)s)")


def plan_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags of ``plan``."""
    situation_arguments(parser)
    add = parser.add_argument
    add("--rate", type=units.rate, required=True, help="events per second of each client")
    add("--p95", type=units.seconds, default=2.0, help="how late is too late (2s)")
    add("--proxy-timeout", type=units.seconds, help="of what stands between (nothing)")
    add("--reconnect-within", type=units.seconds, default=60.0, help="everybody comes back within (60s)")
    add("--server-cores", type=units.cores, default=4.0, help="of one server (4)")
    add("--server-memory", type=units.size, default=16 * 2.0**30, help="of one server (16GiB)")
    add("--server-files", type=units.count, default=100_000, help="open files of one server, one a connection (100k)")
    add("--utilisation", type=units.share, default=0.5, help="share of the cores that may be busy (50%%)")


def plan_verb(options: argparse.Namespace) -> int:
    """Say what so many clients ask of the servers, in ordinary times and in a storm, beside what others published."""
    known = costs.newest(options.results, shared=options.shared, tls=options.tls)
    situation = Situation(
        options.rate,
        options.clients,
        options.rtt,
        payload_bytes=int(options.payload_bytes),
        proxy_s=options.proxy_timeout,
    )
    found = choices(situation, Goals({QUANTILE: options.p95}), known, _prices(options))
    server = plan.Server(options.server_cores, options.utilisation, options.server_memory, options.server_files)
    made = plan.plans(found, known, server=server, within_s=options.reconnect_within)
    print("\n".join(lines(situation, options.p95, made, known)))
    return 0


def map_verb(options: argparse.Namespace) -> int:
    """Draw the regime map into ``--out``: SVG, PNG and the table behind them."""
    maps = []
    for heading, shared in (("each client has its own events", False), ("all share a topic", True)):
        known = costs.newest(options.results, shared=shared, tls=options.tls)
        situation = Situation(1.0, options.clients, options.rtt, payload_bytes=int(options.payload_bytes))
        maps.append((heading, regimes(situation, known, prices=_prices(options))))
    with house():
        drawn = regime_map(maps)
        settle(drawn.figure)
    try:
        charts.save(Picture(MAP, "", drawn), options.out)
    except OSError as error:
        raise BadRunError(f"--out {options.out}: cannot be written ({error.strerror})") from None
    print(drawn.title)
    print(drawn.sentence)
    print(f"map: {options.out / 'charts' / 'regime_map.png'}")
    return 0


def map_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags of ``map``."""
    situation_arguments(parser)
    parser.set_defaults(clients=20_000)
    parser.add_argument(
        "--out", type=Path, default=Path("map"), metavar="DIR", help="where charts/ and tables/ go (map)"
    )


MAP = Chart("regime_map", "Where does which transport pay?", (), lambda _frames, _cells: None)


def _prices(options: argparse.Namespace) -> Prices:
    return Prices(options.core_hour, options.gib_hour, options.gb_sent)


# In words -----------------------------------------------------------------------------------------------------


def lines(situation: Situation, p95_s: float, made: list[plan.Plan], known: Costs) -> Iterator[str]:
    """The whole answer."""
    yield (
        f"{units.short(situation.clients)} clients, {situation.rate_hz:g} events/s each of {situation.payload_bytes} B,"
        f" round trip {1e3 * situation.rtt_s:g} ms; 95 % of events within {p95_s:g} s"
    )
    yield ""
    yield from _table([HEADINGS, *(_row(one) for one in made)])
    yield ""
    storms = [(one, one.storm) for one in made if one.storm is not None]
    if storms:
        yield f"everybody comes back within {storms[0][1].within_s:g} s:"
        rows = [("", "connections/s", "cores for that", "the usual cores alone would take")]
        rows += [
            (one.choice.label, units.short(storm.connects_hz), ranged(storm.cores), f"{ranged(storm.drain_s)} s")
            for one, storm in storms
        ]
        yield from _table(rows)
        yield ""
    yield "beside what others have published:"
    yield from _table([("what", "published", "predicted", "ratio"), *map(_published, literature.rows(known))])
    for one in dict.fromkeys(
        row.row.why for row in literature.rows(known) if row.row.why and not 0.8 < row.ratio < 1.25
    ):
        yield f"  differs: {one}"
    yield ""
    yield f"{known.source}; in brackets what their 95 % intervals allow"
    for assumption in plan.ASSUMPTIONS:
        yield f"assumed: {assumption}"


def _row(one: plan.Plan) -> tuple[str, ...]:
    asked, settings = one.demand, one.choice.settings
    misses = "" if one.choice.meets else " (too late)"
    return (
        one.choice.label,
        _setting(settings) + misses,
        units.short(asked.requests_hz) if asked.requests_hz else "",
        ranged(asked.cores),
        units.bytes_text(asked.memory_bytes.value) if asked.connections else "",
        units.bits_text(asked.down_bps.value),
        units.short(asked.connections),
        ranged(one.servers, whole=True),
        f"{one.demand.hourly.value:.3g}",
    )


def _setting(settings: object) -> str:
    assert isinstance(settings, dict)  # noqa: S101  what tuning writes
    for key, word in (
        ("polling.interval_s", "each"),
        ("long_polling.hold_s", "hold"),
        ("server.heartbeat_s", "heartbeat"),
    ):
        if key in settings:
            return f"{word} {float(settings[key]):.3g} s"
    return ", ".join(f"{key.rpartition('.')[2]} {value}" for key, value in settings.items())


def _published(row: literature.Row) -> tuple[str, ...]:
    low, high = row.row.published
    said = f"{low:g}" if low == high else f"{low:g} to {high:g}"
    return (
        f"{row.row.source.partition(',')[0]}: {row.row.situation}",
        f"{said} {row.row.unit}",
        f"{ranged(row.predicted)} {row.row.unit}",
        f"{row.ratio:.2g}",
    )


def ranged(estimate: Estimate, *, whole: bool = False) -> str:
    """Write ``1.47 (1.18-1.76)``; without an interval, or one that rounds to nothing, the value alone."""
    form = "{:,.0f}".format if whole else units.short
    if not math.isfinite(estimate.value):
        return "not measured"
    low, high = form(estimate.low), form(estimate.high)
    return form(estimate.value) if low == high else f"{form(estimate.value)} ({low}-{high})"


def _table(rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    """Columns as wide as they must be; the first at the left, numbers at the right."""
    held = list(rows)
    widths = [max(len(row[i]) for row in held) for i in range(len(held[0]))]
    for row in held:
        first, *rest = (text.ljust(width) if i == 0 else text.rjust(width)
                        for i, (text, width) in enumerate(zip(row, widths, strict=True)))  # fmt: skip
        yield "  " + "  ".join([first, *rest]).rstrip()
