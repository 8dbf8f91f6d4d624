"""The flags every question about a situation has: how many clients, how far away, which costs, at which prices."""

from __future__ import annotations

import argparse
from pathlib import Path

from analysis import units
from analysis.demand import PRICES, Prices

RESULTS = Path("results")


def situation_arguments(parser: argparse.ArgumentParser, clients: float | None, told: str) -> None:
    """Declare them; ``clients`` is how many there are when nothing is said, ``told`` the same in words."""
    add = parser.add_argument
    add("--clients", type=units.count, default=clients, help=f"how many clients ({told})")
    add("--rtt", type=units.pause, default=0.06, help="round trip (60ms)")
    add("--payload-bytes", type=units.size, default=256, help="of an event's data (256)")
    add("--shared", action="store_true", help="all clients follow one topic: an event is encoded once")
    add("--tls", choices=("off", "1.2", "1.3"), default="off", help="take the costs measured with TLS (off)")
    add("--results", type=Path, default=RESULTS, metavar="DIR", help="where measured runs lie (results)")
    add("--core-hour", type=units.price, default=PRICES.core_hour, help="price of a core for an hour (%(default)s)")
    add("--gib-hour", type=units.price, default=PRICES.gib_hour, help="price of a GiB for an hour (%(default)s)")
    add("--gb-sent", type=units.price, default=PRICES.gb_sent, help="price of a GB sent (%(default)s)")


def prices(options: argparse.Namespace) -> Prices:
    """The reader's prices."""
    return Prices(options.core_hour, options.gib_hour, options.gb_sent)
