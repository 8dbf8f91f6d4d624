"""The tuner's answer in words: one screen of plain sentences, every figure computed from what was asked.

The rule it keeps: a sentence is written only where it is true: what cannot be had is said with both figures, what the
costs cannot tell is said so, and an interval stands beside every cost that has one.
"""

from __future__ import annotations

import math
import re
import textwrap
from collections.abc import Iterator, Mapping

from analysis import traces, units
from analysis.demand import Prices, allowed
from analysis.demand import priced as priced_demand
from analysis.flips import FURTHEST, NONE, Flip
from analysis.policies import FixedRate
from analysis.predict import Choice, Goals, name_of, polling, seconds
from analysis.prose import listing
from analysis.regime import BROWSERS, kind_of
from analysis.tuner import Answer
from analysis.tuning import QUANTILE, best_interval_s

WIDTH = 100
LITTLE, HOURS = 1e-3, 8760
FLIPS = 3  # the nearest ones that are said
GLUE = "\N{NO-BREAK SPACE}"
NEVER = 5e-4  # an empty ratio below this is practically none
SETTINGS: Mapping[str, str] = {"polling.interval_s": "every", "long_polling.hold_s": "hold"}


def screen(answer: Answer) -> str:
    """The answer on one screen."""
    return "\n".join(line for part in paragraphs(answer) for line in _wrapped(part))


def _wrapped(part: str) -> list[str]:
    """Lines of ``WIDTH``, a number and its unit on the same."""
    kept = re.sub(r"(\d) (s|ms|%|B|KiB|MiB|GiB|TiB)\b", f"\\1{GLUE}\\2", re.sub(r"(\d) %", f"\\1{GLUE}%", part))
    lines = textwrap.wrap(kept, WIDTH, subsequent_indent="  ", break_on_hyphens=False, break_long_words=False)
    return [line.replace(GLUE, " ") for line in lines] or [""]


def paragraphs(answer: Answer) -> Iterator[str]:
    """Each is a line, or several when it is long; an empty one sets apart."""
    yield situation(answer)
    yield ""
    if answer.polling is not None:
        yield polls(answer, answer.polling)
    if answer.adaptive is not None and answer.polling is not None:
        yield adapted(answer, answer.adaptive, answer.polling)
    if answer.long_polling is not None:
        yield holds(answer, answer.long_polling)
    if answer.pushes:
        yield pushes(answer)
    yield ""
    yield choice(answer)
    yield flipping(answer)
    yield f"{sentence(answer.asked.costs.source)} Brackets: {allowed(answer.asked.costs)}."


# What was asked -----------------------------------------------------------------------------------------------


def situation(answer: Answer) -> str:
    """Traffic, network and goals."""
    asked = answer.asked
    given = asked.situation
    rate = f"{given.rate_hz:.3g} events/s each"
    if asked.trace is None:
        events = f"{rate} (Poisson)"
    else:
        length = traces.duration(asked.trace.length_s)
        events = f"{rate} (a trace of {len(asked.trace.times_s):,} events in {length})"
    between = "" if given.proxy_s is None else f", a proxy that cuts after {seconds(given.proxy_s)}"
    spread = f" (±{given.rtt_spread:.0%} each way)" if given.rtt_spread else ""
    remarks = "".join(f" Trace: {remark}." for remark in asked.remarks[-1:])
    return (
        f"{units.short(given.clients)} clients, {events} of {given.payload_bytes} B, round trip"
        f" {1e3 * given.rtt_s:g} ms{spread}{between}. Asked: {goals(asked.goals)}.{remarks}"
    )


def goals(wanted: Goals) -> str:
    """The goals, as a list."""
    parts = [f"{name_of(goal)} at most {seconds(wanted_s)}" for goal, wanted_s in wanted.latency_s.items()]
    if wanted.empty_ratio is not None:
        parts.append(f"at most {percent(wanted.empty_ratio)} of answers empty")
    return listing(parts)


# What each transport gives ------------------------------------------------------------------------------------


def polls(answer: Answer, one: Choice) -> str:
    """Polling at a fixed interval, and what both goals would need."""
    said = (
        f"{one.label} every {seconds(float(one.settings['polling.interval_s']))}: {freshness(one, answer.asked.goals)},"
        f" {empties(one)}, {requests(one)}, {cores(one)}."
    )
    return f"{said} {window}" if (window := interval_window(answer)) else said


def interval_window(answer: Answer) -> str:
    """Which intervals meet all goals, or that none does, with both figures; empty when there is but one goal."""
    asked, given = answer.asked, answer.asked.situation
    shortest_s, longest_s = best_interval_s(given, asked.goals)
    if asked.goals.latency_s and longest_s < given.round_trip_s:
        return f"It misses the goal as fast as answers come: a round trip is {seconds(given.round_trip_s)}."
    if asked.goals.empty_ratio is None or not asked.goals.latency_s:
        return ""
    share = percent(asked.goals.empty_ratio)
    if math.isinf(shortest_s):
        return f"At most {share} empty cannot be had at a fixed interval of a day or less."
    at = polling(given, asked.goals, asked.costs.by_transport["polling"], FixedRate(shortest_s), asked.prices)
    if at.meets:
        return f"Every interval from {seconds(shortest_s)} to {seconds(longest_s)} meets all goals."
    late = listing(
        f"{name_of(goal)} is {seconds(at.latency_s(goal))}"
        for goal, wanted_s in asked.goals.latency_s.items()
        if at.latency_s(goal) > wanted_s
    )
    return (
        f"At most {share} empty would need {seconds(shortest_s)}, and then {late}: both together cannot be had by"
        " polling at a fixed interval."
    )


def adapted(answer: Answer, one: Choice, fixed: Choice) -> str:
    """An adaptive policy beside the fixed interval."""
    saved = 1 - one.requests_hz / fixed.requests_hz
    return (
        f"{one.label}, {policy(one)}: {freshness(one, answer.asked.goals, most=True)}, {empties(one)},"
        f" {requests(one)}, {saved:.0%} fewer than at the fixed interval, {cores(one)}."
    )


def policy(one: Choice) -> str:
    """An adaptive policy and its settings."""
    numbers = {key.removeprefix("polling."): value for key, value in one.settings.items() if key != "polling.policy"}
    words = ", ".join(
        f"{name.removesuffix('_s')} {seconds(float(value)) if name.endswith('_s') else f'{float(value):.3g}'}"
        for name, value in numbers.items()
    )
    return f"{one.settings['polling.policy']} ({words})"


def holds(answer: Answer, one: Choice) -> str:
    """Long polling."""
    hold_s = float(one.settings["long_polling.hold_s"])
    proxy_s = answer.asked.situation.proxy_s
    inside = "" if proxy_s is None else f" (the proxy cuts at {seconds(proxy_s)})"
    return (
        f"{one.label}, hold {seconds(hold_s)}{inside}: {freshness(one, answer.asked.goals, most=True)}, {empties(one)},"
        f" {requests(one)}, {cores(one)}, {held(one)}."
    )


def pushes(answer: Answer) -> str:
    """The push transports together: they give the same and cost differently."""
    first = answer.pushes[0]
    each = "; ".join(
        f"{one.label} {cores(one)}, {units.bytes_text(one.demand.memory_bytes.value)}" for one in answer.pushes
    )
    return (
        f"Push, a heartbeat every {seconds(float(first.settings['server.heartbeat_s']))}:"
        f" {freshness(first, answer.asked.goals)}, {units.short(first.demand.connections)} open connections. {each}."
    )


def freshness(one: Choice, wanted: Goals, *, most: bool = False) -> str:
    """The latencies that were asked for, else the p95; ``most``: and the longest."""
    asked = list(wanted.latency_s) or [QUANTILE]
    parts = [
        f"{100 * goal:g} % of updates within {seconds(one.latency_s(goal))}"
        if isinstance(goal, float)
        else f"{'mean' if goal == 'mean' else 'at most'} {seconds(one.latency_s(goal))}"
        for goal in asked
    ]
    if most and "max" not in asked:
        parts.append(f"at most {seconds(one.max_s)}")
    return ", ".join(parts)


def empties(one: Choice) -> str:
    """The empty answers."""
    if one.empty_ratio < NEVER:
        return "practically no empty answer"
    return f"{percent(one.empty_ratio)} of answers empty"


def requests(one: Choice) -> str:
    """The requests of everybody."""
    return f"{rate(one.requests_hz)} requests/s"


def rate(value: float) -> str:
    """Three digits, and thousands as people say them: 9,640 and 0.482."""
    return f"{float(f'{value:.3g}'):,.0f}" if value >= 100 else f"{value:.3g}"


def cores(one: Choice) -> str:
    """Busy server cores with their interval."""
    if one.demand.cores.high < LITTLE:
        return f"under {LITTLE:g} cores"
    return f"{units.ranged(one.demand.cores)} cores"


def held(one: Choice) -> str:
    """Connections and their memory."""
    return (
        f"{units.short(one.demand.connections)} open connections in {units.bytes_text(one.demand.memory_bytes.value)}"
    )


def percent(share: float) -> str:
    """35 %, 0.4 %, 99.8 %, and what is practically nothing or all as such."""
    if share < NEVER:
        return f"under {100 * NEVER:g} %"
    if share > 0.99:
        return f"{100 * share:.3g} %" if share <= 1 - NEVER or share == 1 else f"over {100 * (1 - NEVER):g} %"
    return f"{100 * share:.0f} %" if share >= 0.01 else f"{100 * share:.2g} %"


# What we would choose -----------------------------------------------------------------------------------------


def choice(answer: Answer) -> str:
    """The choice and why; or that there is none, and the nearest."""
    best, wanted = answer.best, answer.asked.goals
    if not best.meets:
        return nearest(answer)
    many = len(wanted.latency_s) + (wanted.empty_ratio is not None) > 1
    said = (
        f"What we would choose: {named(best)}. Of what meets {'all goals' if many else 'the goal'} it costs least,"
        f" {priced(best)} ({parts(answer, best)})."
    )
    if answer.rivals:
        told = listing(f"{named(one)} at {priced(one)}" for one in answer.rivals)
        said += f" {told} cannot be told apart from it by the measured costs."
    dearer = [one for one in answer.found if one.meets and one is not best and one not in answer.rivals]
    # the cheapest of each other kind
    others = {kind_of(one): one for one in sorted(dearer, key=lambda one: -one.demand.hourly.value)}
    if kinds := [
        (kind, one) for kind, one in others.items() if kind not in {kind_of(best), *map(kind_of, answer.rivals)}
    ]:
        said += f" {listing(f'{kind} {_times(one, best)}' for kind, one in kinds).capitalize()} that."
    if missing := [one for one in answer.found if not one.meets]:
        said += f" Not fit: {listing(f'{one.label} ({one.misses[0]})' for one in missing)}."
    if best.transport not in BROWSERS:
        said += " A web page cannot speak it."
    return said


def _times(one: Choice, best: Choice) -> str:
    return f"costs {rate(float(f'{one.demand.hourly.value / best.demand.hourly.value:.2g}'))} times"


def parts(answer: Answer, one: Choice) -> str:
    """What the price is made of, the largest first."""
    asked = one.demand
    each = {
        name: priced_demand(
            asked, Prices(0, 0, 0)._replace(**{field: getattr(answer.asked.prices, field)})
        ).hourly.value
        for name, field in (("cores", "core_hour"), ("memory", "gib_hour"), ("bytes sent", "gb_sent"))
    }
    ordered = sorted(each.items(), key=lambda pair: -pair[1])
    return listing(f"{percent(value / asked.hourly.value)} {name}" for name, value in ordered if value)


def priced(one: Choice) -> str:
    """The price with its interval: of an hour, or of a year where that is next to nothing."""
    if one.demand.hourly.high < LITTLE:
        return f"{units.ranged(one.demand.hourly.times(HOURS))} a year"
    return f"{units.ranged(one.demand.hourly)} an hour"


def nearest(answer: Answer) -> str:
    """What comes nearest when nothing meets the goals."""
    best, asked = answer.best, answer.asked
    said = f"No transport meets the goals. The nearest is {named(best)}: {'; '.join(best.misses)}."
    delta_s = asked.situation.delta_s
    if any(wanted_s < delta_s for wanted_s in asked.goals.latency_s.values()):
        said += f" One transit alone, half the round trip and the service, takes {seconds(delta_s)}."
    return said


def named(one: Choice) -> str:
    """A choice with its setting."""
    if one.settings.get("polling.policy", "fixed_rate") != "fixed_rate":
        return f"{one.label}, {policy(one)}"
    for key, word in SETTINGS.items():
        if key in one.settings:
            return f"{one.label}, {word} {seconds(float(one.settings[key]))}"
    return one.label


def flipping(answer: Answer) -> str:
    """Where the choice flips, the nearest borders first."""
    if not answer.flips:
        return (
            "It does not flip: the same kind of transport is chosen with the rate, the tolerated delay or a price"
            f" {FURTHEST:g} times larger or smaller."
        )
    shown = answer.flips[:FLIPS]
    more = f"; and at {len(answer.flips) - len(shown)} more" if len(answer.flips) > len(shown) else ""
    first, *others = [*map(name_of, answer.asked.goals.latency_s)] or [""]
    goal = f"{first} (the others in proportion)" if others else first
    return f"It flips {'; '.join(flip(one, goal) for one in shown)}{more}."


WHEN: Mapping[str, tuple[str, str]] = {
    "rate": ("when there are", " events/s each"),
    "staleness": ("when {goal} may be", " s"),
    "core_hour": ("when a core-hour costs", ""),
    "gib_hour": ("when a GiB-hour of memory costs", ""),
    "gb_sent": ("when a GB sent costs", ""),
}


def flip(one: Flip, goal: str) -> str:
    """One border: where, to what, and between which values the costs cannot tell."""
    words, unit = WHEN[one.axis]
    to = "to nothing that meets the goals" if one.to == NONE else f"to {one.to}"
    side = "more" if one.factor > 1 else "less"
    said = f"{to} {words.format(goal=goal)} {side} than {rate(one.value)}{unit}"
    if one.to == NONE or one.high <= 1.01 * one.low:
        return said
    if one.low > 0 and math.isfinite(one.high):
        return f"{said} (from {rate(one.low)} to {rate(one.high)} the costs cannot tell)"
    return f"{said} ({f'from {rate(one.low)} on' if one.low > 0 else f'below {rate(one.high)}'} the costs cannot tell)"


def sentence(text: str) -> str:
    """A clause as a sentence."""
    return f"{text[:1].upper()}{text[1:]}{'' if text.endswith('.') else '.'}"
