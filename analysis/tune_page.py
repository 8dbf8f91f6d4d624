"""The tuner's answer as a page: ``tune.html`` with charts, choices and what was assumed; fetches nothing."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from pathlib import Path

from markupsafe import Markup

from analysis import charts, report, style, tune_charts, tune_text, units
from analysis.charts import Chart, Picture
from analysis.frames import Drawn
from analysis.load import BadRunError
from analysis.planning import ranged
from analysis.predict import seconds
from analysis.report_tables import Entry, Table
from analysis.tuner import Answer
from analysis.tuning import QUANTILE

# Name, question, what draws it, what must have costs for it.
CHARTS: tuple[tuple[str, str, Callable[[Answer], Drawn], str], ...] = (
    ("tradeoff", "What does freshness cost?", tune_charts.tradeoff, "best"),
    ("interval", "Which poll interval?", tune_charts.interval, "polling"),
    ("hold", "Which hold time-out?", tune_charts.hold, "long_polling"),
    ("sensitivity", "What if things change?", tune_charts.sensitivity, "polling"),
)
HEADS = (
    ("", ""), ("setting", ""), ("p95", "s"), ("mean", "s"), ("at most", "s"), ("empty", ""), ("requests", "1/s"),
    ("cores", "95 % interval"), ("memory", ""), ("down", ""), ("connections", ""), ("an hour", "95 % interval"),
    ("goals", ""),
)  # fmt: skip


def write(answer: Answer, folder: Path) -> Path:
    """Write ``tune.html``, ``charts/`` and ``tables/``; the page's path. Raises BadRunError."""
    try:
        pictures = [(picture, report.inline(charts.save(picture, folder), picture)) for picture in _pictures(answer)]
        tune_charts.choices_table(answer.found).to_csv(folder / "tables" / "choices.csv", index=False)
        page = folder / "tune.html"
        page.write_text(render(answer, pictures), encoding="utf-8")
    except OSError as error:
        raise BadRunError(f"--out {folder}: cannot be written ({error.strerror})") from None
    return page


def _pictures(answer: Answer) -> Iterator[Picture]:
    for name, question, draw, needs in CHARTS:
        if getattr(answer, needs) is None:
            continue
        with style.house():
            drawn = draw(answer)
            style.settle(drawn.figure)
        yield Picture(Chart(name, question, (), lambda _frames, _cells: None), "", drawn)


def render(answer: Answer, pictures: list[tuple[Picture, Markup]]) -> str:
    """The page's text."""
    head, _, *said = tune_text.paragraphs(answer)
    context = {
        "asked": head,
        "verdict": ("good" if answer.best.meets else "bad", tune_text.choice(answer)),
        "said": [text for text in said if text and text != tune_text.choice(answer)],
        "pictures": pictures,
        "table": _table(answer),
        "assumptions": assumptions(answer),
        "remarks": answer.asked.remarks,
    }
    return report.environment().get_template("tune.html.j2").render(context)


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
    yield "clients ask at independent moments, over connections that stand (asking less than once a minute: a new one)"
    yield "costs grow in proportion to requests, events and connections, as measured on one server (Python, asyncio)"
    yield f"{tune_text.sentence(asked.costs.source).removesuffix('.')}"
    prices = asked.prices
    yield f"a core-hour costs {prices.core_hour:g}, a GiB-hour {prices.gib_hour:g}, a GB sent {prices.gb_sent:g}"
    if given.proxy_s is not None:
        yield f"what stands between cuts after {seconds(given.proxy_s)} of silence; holds take 80 % of that at most"


def _table(answer: Answer) -> Table:
    rows = []
    for one in answer.found:
        asked, empty = one.demand, one.empty_ratio
        setting = tune_text.named(one).removeprefix(one.label).strip(", ")
        kind = "best" if one is answer.best else ""
        texts = (
            setting, f"{one.quantiles_s[QUANTILE]:.3g}", f"{one.mean_s:.3g}", f"{one.max_s:.3g}",
            "" if math.isnan(empty) else tune_text.percent(empty),
            tune_text.rate(one.requests_hz) if one.requests_hz else "",
            ranged(asked.cores), units.bytes_text(asked.memory_bytes.value), units.bits_text(asked.down_bps.value),
            units.short(asked.connections), ranged(asked.hourly), "met" if one.meets else "; ".join(one.misses),
        )  # fmt: skip
        rows.append((Entry(one.label, kind="name"), *(Entry(text, kind=kind) for text in texts)))
    return Table(HEADS, tuple(rows))
