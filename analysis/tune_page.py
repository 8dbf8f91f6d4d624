"""The tuner's answer as a page: ``tune.html`` with charts, choices and what was assumed; fetches nothing."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup

from analysis import charts_choice, charts_tradeoff, drawn, pages, style, tune_charts, tune_text, units, varying
from analysis.costs import Estimate
from analysis.demand import allowed
from analysis.drawn import Drawn
from analysis.errors import BadRunError
from analysis.pages import Entry, Table
from analysis.predict import seconds
from analysis.tune_text import GLUE
from analysis.tuner import Answer
from analysis.tuning import QUANTILE

# Name, question, what draws it, what must have costs for it.
CHARTS: tuple[tuple[str, str, Callable[[Answer], Drawn], str], ...] = (
    ("cost", "What does an hour of each way cost?", charts_choice.paying, "best"),
    ("tradeoff", "What does freshness cost?", charts_tradeoff.tradeoff, "best"),
    ("interval", "Which poll interval?", tune_charts.interval, "polling"),
    ("hold", "Which hold time-out?", tune_charts.hold, "long_polling"),
    ("sensitivity", "What if things change?", tune_charts.sensitivity, "polling"),
)
# What the page's own words mean, for a reader who meets them here first.
WORDS = (
    (
        "polling",
        "every client asks again and again, at an interval; an answer brings all that is new, or nothing (empty)",
    ),
    (
        "long polling",
        "the question waits at the server until something is new, at most for the hold; then the client asks again",
    ),
    (
        "push",
        "a connection stays open and the server writes to it (SSE, WebSocket, STOMP); heartbeats keep it",
    ),
    (
        "p95, 95 % of updates within …",
        "how late updates are, from when they happen until the client has them: 95 of 100 are no later than that",
    ),
    ("cores", "processor cores of the servers that are busy on average; in brackets what the measured costs allow"),
    (
        "price of an hour",
        "of the servers for all clients, in the currency of the prices given (below): cores, memory and bytes sent",
    ),
    ("SSE, STOMP", "Server-Sent Events: an answer over HTTP that never ends; STOMP: a messaging protocol"),
    ("Poisson", "events come at random, independent of each other, at a steady average rate"),
    ("transit, round trip", "one way through the network, and there and back"),
)
SHORT = 15  # figures up to here are kept on a line
HEADS = (
    ("", ""), ("setting", ""), ("p95", "s"), ("mean", "s"), ("at most", "s"), ("empty", ""), ("requests", "1/s"),
    ("cores", "95 % interval"), ("memory", ""), ("bandwidth out", ""), ("connections", ""),
    ("price an hour", "95 % interval"), ("goals", ""),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Picture:
    """A chart on the page: its name among the files, the question it answers, and how it is drawn in line."""

    name: str
    question: str
    drawn: Drawn
    svg: Markup


def write(answer: Answer, folder: Path) -> Path:
    """Write ``tune.html``, ``charts/`` and ``tables/``; the page's path. Raises BadRunError."""
    try:
        pictures = list(_pictures(answer, folder))
        tune_charts.choices_table(answer.found).to_csv(folder / "tables" / "choices.csv", index=False)
        page = folder / "tune.html"
        page.write_text(render(answer, pictures), encoding="utf-8")
    except OSError as error:
        raise BadRunError(f"--out {folder}: cannot be written ({error.strerror})") from None
    return page


def _pictures(answer: Answer, folder: Path) -> Iterator[Picture]:
    for name, question, draw, needs in CHARTS:
        if getattr(answer, needs) is None:
            continue
        with style.house():
            found = draw(answer)
            style.settle(found.figure)
        yield Picture(name, question, found, pages.inline(drawn.save(name, found, folder), found))


def render(answer: Answer, pictures: list[Picture]) -> str:
    """The page's text."""
    head, _, *said = tune_text.paragraphs(answer)
    context = {
        "asked": re.sub(r"\bp(\d+) at most", r"p\1 (\1 % of updates) at most", head),
        "verdict": ("good" if answer.best.meets else "bad", tune_text.choice(answer)),
        "said": [text for text in said if text and text != tune_text.choice(answer)],
        "pictures": pictures,
        "table": _table(answer),
        "assumptions": assumptions(answer),
        "remarks": answer.asked.remarks,
        "words": WORDS,
    }
    return pages.environment().get_template("tune.html.j2").render(context)


def assumptions(answer: Answer) -> Iterator[str]:
    """What the answer takes for granted."""
    asked = answer.asked
    given = asked.situation
    yield (
        "updates are independent of each other (Poisson) and the same for every client"
        if asked.trace is None
        else "what comes is like the trace; long traces are judged on stretches of them, spread evenly"
    )
    yield f"both ways take as long: one transit is half the round trip of {1e3 * given.rtt_s:g} ms, and the service"
    if given.rtt_spread:
        yield (
            f"each way takes a time that varies (log-normal, ±{given.rtt_spread:.0%}), in all that is said here;"
            f" such a law has no longest: “at most” is the longest of {varying.DRAWS:,}"
        )
    yield "clients ask at independent moments, over connections that stand (asking less than once a minute: a new one)"
    yield "costs grow in proportion to requests, events and connections, as measured on one server (Python, asyncio)"
    if answer.pushes:
        beat_s = float(answer.pushes[0].settings["server.heartbeat_s"])
        yield f"a push connection sends a heartbeat every {seconds(beat_s)}, 40 B of headers each way included"
    yield f"{tune_text.sentence(asked.costs.source).removesuffix('.')}"
    yield f"an interval of a cost is {allowed(asked.costs)}"
    prices = asked.prices
    yield f"a core-hour costs {prices.core_hour:g}, a GiB-hour {prices.gib_hour:g}, a GB sent {prices.gb_sent:g}"
    if given.proxy_s is not None:
        yield f"what stands between cuts after {seconds(given.proxy_s)} of silence; holds take 80 % of that at most"


def _table(answer: Answer) -> Table:
    rows = []
    for one in answer.found:
        asked, empty = one.demand, one.empty_ratio
        setting = tune_text.named(one).removeprefix(one.label).strip(", ")
        entries = (
            (setting, ""), (f"{one.quantiles_s[QUANTILE]:.3g}", ""), (f"{one.mean_s:.3g}", ""),
            (f"{one.max_s:.3g}", ""),
            ("" if math.isnan(empty) else tune_text.percent(empty), ""),
            (tune_text.rate(one.requests_hz) if one.requests_hz else "", ""), _ranged(asked.cores),
            (units.bytes_text(asked.memory_bytes.value), ""), (units.bits_text(asked.down_bps.value), ""),
            (units.short(asked.connections), ""), _ranged(asked.hourly),
        )  # fmt: skip
        kind = "best" if one is answer.best else ""
        figures = (
            Entry(text.replace(" ", GLUE) if len(text) < SHORT else text, small, kind) for text, small in entries
        )
        goals = Entry("met" if one.meets else "; ".join(one.misses), kind=kind)
        rows.append((Entry(one.label, kind="name"), *figures, goals))
    return Table(HEADS, tuple(rows))


def _ranged(estimate: Estimate) -> tuple[str, str]:
    """The value, and what the costs' intervals allow in small print."""
    value, _, interval = units.ranged(estimate).partition(" (")
    return value, interval.removesuffix(")").replace("-", "\N{NON-BREAKING HYPHEN}")
