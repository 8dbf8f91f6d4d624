"""What the worked notebooks call: take a reader's own numbers, answer with the tuner's functions, show and tell.

``ask`` makes a ``Mine`` of the numbers in a notebook's first cell; everything else takes that. The rule it keeps: no
figure is written down anywhere, so that other numbers make another page; numbers that make no sense are one line, in a
notebook too. Costs are those of the run named, else the committed reference's, and the page says which.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from markupsafe import Markup

from analysis import charts_checked, costs, models, style, traces, tune_text, units
from analysis.demand import PRICES, Prices
from analysis.drawn import Drawn
from analysis.load import BadRunError, open_run
from analysis.notebook import Shown, say, shown
from analysis.predict import Choice, Goals, Situation, seconds
from analysis.results import Results, evaluated
from analysis.traces import Trace, TraceError
from analysis.tune_options import Asked, run_in_s
from analysis.tuner import Answer, answer
from analysis.tuning import QUANTILE

Number = float | None


class BadNumbersError(BadRunError):
    """Numbers of a first cell that make no sense; a notebook shows the message alone, without a traceback."""

    def _render_traceback_(self) -> list[str]:
        return [str(self)]


@dataclass(frozen=True, slots=True)
class Rule:
    """What a number may be: between ``least`` and ``most``; ``spare``: None will do."""

    least: float
    most: float
    expected: str
    spare: bool = False


RULES: Mapping[str, Rule] = {
    "rate_hz": Rule(1e-6, 1e6, "events per second of a client, such as 0.5"),
    "p95_s": Rule(1e-6, 1e7, "seconds, such as 2.0"),
    "most_empty": Rule(1e-9, 1 - 1e-9, "a share between 0 and 1, such as 0.3, or None", spare=True),
    "clients": Rule(1, 1e12, "a number of at least 1, such as 20_000"),
    "rtt_s": Rule(0, 1e7, "seconds, such as 0.06, or 0"),
    "proxy_timeout_s": Rule(1e-6, 1e7, "seconds, such as 60, or None", spare=True),
    "core_hour": Rule(0, 1e6, "a price, such as 0.04"),
    "gib_hour": Rule(0, 1e6, "a price, such as 0.005"),
    "gb_sent": Rule(0, 1e6, "a price, such as 0.05"),
}


@dataclass(frozen=True, slots=True)
class Mine:
    """A reader's answer; ``results`` is the run named, ``costed`` the one its costs were measured in."""

    answer: Answer
    results: Results
    costed: Results


def ask(
    results: Results, *, rate_hz: Number, p95_s: float, clients: float, rtt_s: float, most_empty: Number = None,
    proxy_timeout_s: Number = None, trace: str | None = None, core_hour: float = PRICES.core_hour,
    gib_hour: float = PRICES.gib_hour, gb_sent: float = PRICES.gb_sent,
) -> Mine:  # fmt: skip
    """Answer for these numbers (s, Hz, shares); a ``trace`` replaces the rate. Raises BadNumbersError."""
    events = None if trace is None else _events(trace)
    rate = rate_hz if events is None else events.rate_hz
    given = {
        "rate_hz": rate, "p95_s": p95_s, "most_empty": most_empty, "clients": clients, "rtt_s": rtt_s,
        "proxy_timeout_s": proxy_timeout_s, "core_hour": core_hour, "gib_hour": gib_hour, "gb_sent": gb_sent,
    }  # fmt: skip
    if bad := [f"{name} = {value!r}, expected {RULES[name].expected}" for name, value in given.items()
               if not _fits(value, RULES[name])]:  # fmt: skip
        raise BadNumbersError(f"first cell: {'; '.join(bad)}")
    assert rate is not None  # noqa: S101  its rule
    goals = Goals({QUANTILE: p95_s}, most_empty)
    situation = Situation(
        rate, clients, rtt_s, proxy_s=proxy_timeout_s,
        trace=None if events is None else events.schedule(run_in_s(events, goals)),
    )  # fmt: skip
    folder, known = costs.first_complete([results.run.folder])
    costed = results if folder == results.run.folder else evaluated(open_run(folder))
    asked = Asked(situation, goals, known, Prices(core_hour, gib_hour, gb_sent), events, events.bad if events else ())
    return Mine(answer(asked), results, costed)


def _fits(value: object, rule: Rule) -> bool:
    if value is None:
        return rule.spare
    return isinstance(value, int | float) and not isinstance(value, bool) and rule.least <= value <= rule.most


def _events(trace: str) -> Trace:
    try:
        return traces.usable(Path(trace), [QUANTILE])
    except (TraceError, TypeError) as error:
        raise BadNumbersError(f"first cell: trace: {error}") from None


# Shown ----------------------------------------------------------------------------------------------------------


def draw(mine: Mine, chart: Callable[[Answer], Drawn | None], otherwise: str = "") -> Shown:
    """A chart of the reader's answer with its sentence; ``otherwise`` where there is nothing to draw."""
    with style.house():
        drawn = chart(mine.answer)
        if drawn is not None:
            style.settle(drawn.figure)
    return say(otherwise) if drawn is None else _picture(chart.__name__, drawn)


def _picture(name: str, drawn: Drawn) -> Shown:
    return shown(name, drawn)


def question(mine: Mine) -> Shown:
    """What was asked, and where the costs are from."""
    answered = mine.answer
    return say(f"{tune_text.situation(answered)} {tune_text.sentence(answered.asked.costs.source)}")


def poll_interval(mine: Mine) -> Shown:
    """Which interval, what it gives and costs, and whether an adaptive policy does better."""
    answered = mine.answer
    assert answered.polling is not None  # noqa: S101  complete costs have polling
    said = tune_text.polls(answered, answered.polling)
    if answered.adaptive is not None:
        said += f" {tune_text.adapted(answered, answered.adaptive, answered.polling)}"
    return say(said)


def hold_timeout(mine: Mine) -> Shown:
    """Which hold, what it gives and costs."""
    answered = mine.answer
    assert answered.long_polling is not None  # noqa: S101  complete costs have long polling
    return say(tune_text.holds(answered, answered.long_polling))


def transport(mine: Mine) -> Shown:
    """Which transport, why, and what it costs."""
    return say(tune_text.choice(mine.answer))


def flips(mine: Mine) -> Shown:
    """Where the choice flips."""
    return say(tune_text.flipping(mine.answer))


def choices(mine: Mine) -> Shown:
    """Every transport with its best setting, in figures."""
    found = mine.answer.found
    rows = [
        {
            "setting": tune_text.named(one).removeprefix(one.label).strip(", "),
            "mean": seconds(one.mean_s), "p95": seconds(one.quantiles_s[QUANTILE]),
            "empty answers": "" if math.isnan(one.empty_ratio) else tune_text.percent(one.empty_ratio),
            "requests/s": tune_text.rate(one.requests_hz) if one.requests_hz else "",
            "cores": units.ranged(one.demand.cores), "memory": units.bytes_text(one.demand.memory_bytes.value),
            "an hour": units.ranged(one.demand.hourly), "goals": "met" if one.meets else "; ".join(one.misses),
        }
        for one in found
    ]  # fmt: skip
    frame = pd.DataFrame(rows, index=[one.label for one in found])
    with pd.option_context("display.max_colwidth", None):  # a setting is not cut short
        return Shown(frame.to_string(), Markup(frame.to_html(border=0)))  # noqa: S704  pandas escapes what is in a cell


# Checked --------------------------------------------------------------------------------------------------------


def check_polling(mine: Mine) -> Shown:
    """The formulas of polling beside measured cells, with the reader's interval among them."""
    one, given = mine.answer.polling, mine.answer.asked.situation
    assert one is not None  # noqa: S101  complete costs have polling
    interval_s = float(one.settings["polling.interval_s"])
    period_s = float(models.fixed_rate_period_s(interval_s, given.round_trip_s))
    return _checked(mine, "polling", given.rate_hz * period_s, one)


def check_long_polling(mine: Mine) -> Shown:
    """The formulas of long polling beside measured cells, with the reader's hold among them."""
    one, given = mine.answer.long_polling, mine.answer.asked.situation
    assert one is not None  # noqa: S101  complete costs have long polling
    hold_s = float(one.settings["long_polling.hold_s"])
    return _checked(mine, "long_polling", given.rate_hz * (hold_s + given.round_trip_s), one)


def _checked(mine: Mine, name: str, expected: float, one: Choice) -> Shown:
    for results in _own_then_reference(mine):
        with style.house():
            drawn = charts_checked.forms(results, name, expected, one.empty_ratio)
            if drawn is not None:
                style.settle(drawn.figure)
        if drawn is not None:
            said = [drawn.sentence, *_apart(mine, results, expected, one)]
            return _picture(name, Drawn(drawn.figure, drawn.title, " ".join(said), drawn.table))
    return say("Neither the run nor the reference has a cell that these formulas speak of.")


def _own_then_reference(mine: Mine) -> Iterator[Results]:
    yield mine.results
    yield evaluated(open_run(costs.REFERENCE))


def _apart(mine: Mine, results: Results, expected: float, one: Choice) -> list[str]:
    """What to say of the reference in the run's stead, and of a trace that is burstier than the formula."""
    said = []
    if results.run.folder != mine.results.run.folder:
        said.append("The run named has no such cell: these are the committed reference's.")
    form = tune_text.percent(math.exp(-expected))
    if mine.answer.asked.trace is not None and form != tune_text.percent(one.empty_ratio):
        said.append(
            f"Your events do not come evenly: {tune_text.percent(one.empty_ratio)} of answers empty, where the formula"
            f" for even luck says {form}."
        )
    return said


def check_costs(mine: Mine) -> Shown:
    """The costs the answer was computed from, beside the cells they were learned from."""
    with style.house():
        drawn = charts_checked.costs(mine.costed, mine.answer.asked.costs)
        if drawn is not None:
            style.settle(drawn.figure)
    if drawn is None:
        return say("The costs' run has no cell with a topic each and CPU measured.")
    return _picture("costs", drawn)
