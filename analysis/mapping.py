"""The verb ``map`` of the command line: the regime map as a picture, with the table behind it."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Iterator
from pathlib import Path

from analysis import costs, drawn
from analysis.charts_regime import regime_map
from analysis.errors import BadRunError
from analysis.predict import Situation
from analysis.regime import regimes
from analysis.situation_options import prices, situation_arguments
from analysis.style import house, settle

NAME = "regime_map"
EXAMPLES = """examples:
  python -m analysis map --clients 20k --rtt 60ms --out map
  python -m analysis map --clients 1e6 --tls 1.3 --core-hour 0.02
"""
PANELS = (("each client has its own events", False), ("all get the same events (one shared topic)", True))


def map_verb(options: argparse.Namespace) -> int:
    """Draw the regime map into ``--out``: SVG, PNG and the table behind them."""
    with _writing(options.out):
        options.out.mkdir(parents=True, exist_ok=True)  # known before anything is computed
    maps = []
    for heading, shared in PANELS:
        known = costs.newest(options.results, shared=shared, tls=options.tls)
        situation = Situation(1.0, options.clients, options.rtt, payload_bytes=int(options.payload_bytes))
        maps.append((heading, regimes(situation, known, prices=prices(options))))
    with house():
        picture = regime_map(maps)
        settle(picture.figure)
    with _writing(options.out):
        drawn.save(NAME, picture, options.out)
    print(picture.title)
    print(picture.sentence)
    print(f"map: {options.out / 'charts' / f'{NAME}.png'}")
    return 0


@contextlib.contextmanager
def _writing(out: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise BadRunError(f"--out {out}: cannot be written ({error.strerror})") from None


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags of ``map``."""
    situation_arguments(parser, 20_000, "20,000")
    parser.add_argument(
        "--out", type=Path, default=Path("map"), metavar="DIR", help="where charts/ and tables/ go (map)"
    )
