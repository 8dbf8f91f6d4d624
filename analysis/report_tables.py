"""The report's tables as values: heads, and rows of cells that carry their text, their interval and how they stand.

The rule it keeps: a number stands with its interval (METHODOLOGY rule 7), an empty cell is empty and never 0, and the
best of a column is marked only where its interval sets it apart from another. Pure functions of the run's frames; the
template only lays out.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from analysis import simulated as simulator
from analysis.frames import Frames, Row, cell_settings, from_server, has, ok, real, rows, side_by_side
from analysis.metrics import METRICS, UPSTREAM
from analysis.pages import Entry, Table
from analysis.prose import Estimate, number, size
from analysis.results import Results


@dataclass(frozen=True, slots=True)
class Decision:
    """A column of the decision table: its head, the columns that are summed, and how the value is written."""

    head: str
    columns: tuple[str, ...]
    say: Callable[[float], str]
    beside: str = "delivery_ms_p50"  # the cell is chosen where this was measured


def _ms(value: float) -> str:
    return f"{number(value)} ms"


def _us(value: float) -> str:
    return f"{number(value)} µs"


DECISIONS: tuple[Decision, ...] = (
    Decision("median latency", ("delivery_ms_p50",), _ms),
    Decision("p99 latency", ("delivery_ms_p99",), _ms),
    Decision("requests per event", ("requests_per_event",), number),
    Decision("bytes per event", ("bytes_up_per_event", "bytes_down_per_event"), size),
    Decision("server CPU per delivery", ("server_cpu_us_per_delivery",), _us),
    Decision("to connect, median", ("connect_ms_p50",), _ms, "idle_bytes_per_minute"),
    Decision("memory per connection", ("server_bytes_per_connection",), size, "idle_bytes_per_minute"),
    Decision("idle bytes per minute", ("idle_bytes_per_minute",), size, "idle_bytes_per_minute"),
)
_LATENCY = (
    "delivery_ms_mean",
    "delivery_ms_p50",
    "delivery_ms_p95",
    "delivery_ms_p99",
    "delivery_ms_max",
    "age_s_mean",
)
_COST = ("empty_ratio", "requests_per_event", "bytes_up_per_event", "bytes_down_per_event")
_CPU = ("server_cpu_us_per_delivery", "load_cpu_us_per_delivery")
_HELD = ("connect_ms_p50", "connect_ms_p99", "connect_tls_ms_p50", "connect_bytes", "server_cpu_us_per_connection")
_HELD_MEMORY = ("server_user_bytes_per_connection", "server_kernel_bytes_per_connection", "idle_bytes_per_minute")
_FAULTS = ("lost", "missed")
_PUBLISHED = (*(metric.name for metric in UPSTREAM), *_FAULTS)
_EVENTS, _IDLE = ("deliveries", *_LATENCY, *_COST, *_CPU, *_FAULTS), (*_HELD, *_HELD_MEMORY)


def decision(frames: Frames) -> Table:
    """A row per transport, a column per question, each from the experiment that shows most transports side by side."""
    shown = []
    for column in DECISIONS:
        chosen = _most(frames, column)
        found = {row["transport"]: (row, _summed(row, column.columns)) for row in rows(chosen)}
        if any(estimate.known for _, estimate in found.values()):
            shown.append((column, ", ".join(dict.fromkeys(chosen["experiment"])), found))
    body = []
    for name, label in frames.labels.items():
        entries = [_decided(column, found, name) for column, _, found in shown]
        if any(entry.text for entry in entries):
            body.append((Entry(label, kind="name"), *entries))
    return Table((("transport", ""), *((column.head, source) for column, source, _ in shown)), tuple(body))


def _most(frames: Frames, column: Decision) -> pd.DataFrame:
    """The side by side of the experiment with most transports in which the column was measured."""
    found = [side_by_side(frames, from_server(frames.of(name)), column.beside) for name in frames.experiments()]
    found = [chosen for chosen in found if has(chosen, column.columns[0])]
    return max(found, key=len, default=frames.cells.iloc[:0])


def _summed(row: Row, columns: Sequence[str]) -> Estimate:
    """One column with its interval; a sum of several has none of its own."""
    return Estimate.of(row, columns[0]) if len(columns) == 1 else Estimate(sum(real(row.get(name)) for name in columns))


def _decided(column: Decision, found: Mapping[str, tuple[Row, Estimate]], name: str) -> Entry:
    if name not in found or not found[name][1].known:
        return Entry("")
    row, estimate = found[name]
    if not ok(row):
        return Entry(column.say(estimate.value), str(row["status"]).partition(":")[0], "bad")
    valid = [other for candidate, other in found.values() if ok(candidate) and other.known]
    best = min(valid, key=lambda other: other.value)
    apart = any(other.separated_from(best) for other in valid) and not estimate.separated_from(best)
    return Entry(column.say(estimate.value), _arm(estimate), "best" if apart else "")


def _arm(estimate: Estimate) -> str:
    text = estimate.text()
    return text[text.index("±") : -1] if "±" in text else ""


def numbers(frames: Frames, experiment: str) -> Table:
    """Every cell of an experiment with the metrics it has; columns that are empty throughout are left out."""
    cells = frames.of(experiment)
    wanted: tuple[str, ...] = _EVENTS if has(cells, "delivery_ms_p50") else _IDLE
    wanted = _PUBLISHED if has(cells, "echo_ms_p50") else wanted
    shown = [metric for name in wanted for metric in METRICS if metric.name == name and has(cells, name)]
    heads = (("cell", ""), ("status", ""), *((metric.label, metric.unit) for metric in shown))
    body = []
    for row in rows(cells):
        estimates = [Estimate.of(row, metric.name) for metric in shown]
        entries = [Entry(number(one.value) if one.known else "", _arm(one)) for one in estimates]
        body.append((Entry(_name(frames, row), kind="name"), _status(row), *entries))
    return Table(heads, tuple(body))


def _name(frames: Frames, row: Row) -> str:
    label = frames.labels.get(str(row["transport"]), str(row["transport"]))
    return ", ".join(filter(None, (label, cell_settings(row))))


def _status(row: Row) -> Entry:
    status = str(row["status"]).partition(":")[0]
    return Entry(status, kind="" if status == "ok" else "bad")


def agreement(frames: Frames, experiment: str) -> Table:
    """Theory beside measurement: the prediction for the realised schedule, the closed form, the measurement, z."""
    found = (
        frames.agreement[frames.agreement["experiment"] == experiment] if len(frames.agreement) else frames.agreement
    )
    heads = (
        ("cell", ""), ("quantity", ""), ("theory", "realised schedule"), ("closed form", ""), ("measured", ""),
        ("half-width", "3 standard errors"), ("z", ""), ("tolerance", ""), ("verdict", ""),
    )  # fmt: skip
    body = []
    for row in rows(found):
        values = [real(row[name]) for name in ("theory", "closed_form", "measured", "half_width", "z", "tolerance")]
        entries = [Entry(_figure(value)) for value in values]
        quantity = f"{row['quantity']} ({row['unit']})" if row["unit"] else str(row["quantity"])
        verdict = Entry(str(row["verdict"]), kind=_KINDS.get(str(row["verdict"]), ""))
        body.append((Entry(_name(frames, row), kind="name"), Entry(quantity), *entries, verdict))
    return Table(heads, tuple(body))


_QUANTITIES = {
    "delivery_ms_mean": ("mean", "ms"),
    "delivery_ms_p95": ("p95", "ms"),
    "empty_ratio": ("empty ratio", ""),
    "unique_published": ("seen of published", ""),
    "in_step": ("in step", "share of time"),
    "requests_per_event": ("requests per event", ""),
}
_KINDS = {"agrees": "good", "differs": "bad"}


def replayed(frames: Frames, experiment: str) -> Table:
    """Simulator beside measurement: a row per cell; of each quantity simulated, measured, and how far apart."""
    found = frames.replayed
    found = found[found["experiment"] == experiment] if len(found) else found
    shown = [name for name in _QUANTITIES if len(found) and name in set(found["quantity"])]
    heads: list[tuple[str, str]] = [("cell", "")]
    for name in shown:
        label, unit = _QUANTITIES[name]
        heads += [(label, f"simulated{', ' * bool(unit)}{unit}"), ("", "measured"), ("", "difference")]
    body = []
    for _, group in found.groupby("cell", sort=False) if shown else ():
        by_name = {row["quantity"]: row for row in rows(group)}
        entries = [entry for name in shown for entry in _apart(by_name.get(name))]
        body.append((Entry(_name(frames, rows(group)[0]), kind="name"), *entries))
    return Table(tuple(heads), tuple(body))


def _apart(row: Row | None) -> tuple[Entry, Entry, Entry]:
    """Simulated, measured with its half-width, and the difference with its verdict: in %, of a ratio absolute."""
    if row is None:
        return Entry(""), Entry(""), Entry("")
    theory, measured, half = (real(row[name]) for name in ("theory", "measured", "half_width"))
    verdict = str(row["verdict"])
    apart = measured - theory
    said = _signed(100 * apart / theory, " %") if row["unit"] and theory else _signed(apart, "", 3)
    arm = f"± {_figure(half)}" if math.isfinite(half) else ""
    return Entry(_figure(theory)), Entry(_figure(measured), arm), Entry(said, verdict, _KINDS.get(verdict, ""))


def _signed(value: float, unit: str, digits: int = 1) -> str:
    return f"{round(value, digits) + 0.0:+.{digits}f}{unit}".replace("-", "\N{MINUS SIGN}")


def simulated(found: Iterable[simulator.Row]) -> Table:
    """Simulator beside closed forms: a row per case; of each quantity how far apart, and beneath it both."""
    cases: dict[tuple[str, str], dict[str, simulator.Row]] = {}
    for row in found:
        cases.setdefault((row.case, row.settings), {})[row.quantity] = row
    shown = [name for name in _QUANTITIES if any(name in of for of in cases.values())]
    units = {row.quantity: row.unit for of in cases.values() for row in of.values()}
    heads = [("case", ""), ("settings", ""), ("events", "")]
    heads += [(_QUANTITIES[name][0], f"form, simulated{', ' * bool(units[name])}{units[name]}") for name in shown]
    body = [
        (
            Entry(name, kind="name"), Entry(settings, kind="text"), Entry(f"{next(iter(of.values())).n:,}"),
            *(_difference(of.get(quantity)) for quantity in shown),
        )
        for (name, settings), of in cases.items()
    ]  # fmt: skip
    return Table(tuple(heads) if cases else (), tuple(body))


def _difference(row: simulator.Row | None) -> Entry:
    """``+0.12 % ± 0.40``, green within a hundredth; beneath it what the closed form says, and the simulator."""
    if row is None:
        return Entry("")
    noisy = "too noisy: " if row.verdict == "too noisy" else ""
    said = f"{_signed(100 * row.difference, ' %', 2)} ± {100 * row.half_width:.2f}".replace(" ", "\N{NO-BREAK SPACE}")
    return Entry(said, f"{noisy}{_figure(row.closed)}, {_figure(row.simulated)}", _KINDS.get(row.verdict, ""))


def _figure(value: float) -> str:
    """A number of the agreement table: what is as good as 0 reads as 0, not as a row of zeros."""
    if not math.isfinite(value):
        return ""
    return "0" if abs(value) < 1e-6 else number(value)


def faulty(results: Results) -> Table:
    """Each repeat that is not ``ok``, and each cell whose repeats contradict each other, with the reason in full."""
    repeats = [row for row in rows(results.summary) if row["status"] != "ok"]
    named = {(row["experiment"], row["cell"]) for row in repeats}
    cells = [
        row for row in rows(results.cells) if row["status"] != "ok" and (row["experiment"], row["cell"]) not in named
    ]
    heads = (("experiment", ""), ("cell", ""), ("repeat", ""), ("status", ""), ("why", ""))
    return Table(heads, tuple(_fault(row) for row in (*repeats, *cells)))


def _fault(row: Row) -> tuple[Entry, ...]:
    named = (Entry(str(row["experiment"])), Entry(str(row["cell"]), kind="name"), Entry(str(row.get("repeat", "all"))))
    return (*named, _status(row), Entry(_why(row), kind="text"))


def _why(row: Row) -> str:
    return str(row["status"]).partition(": ")[2]


def gates(results: Results) -> Table:
    """What the experiments demanded of their own metrics, and whether it held."""
    body = []
    for gate in results.gates:
        small = gate.why or ("the bound lies within the interval: it may fall the other way" if gate.close else "")
        verdict = Entry("holds" if gate.holds else "does not hold", small, "good" if gate.holds else "bad")
        asked = Entry(f"{gate.name} {gate.condition}", kind="text")
        body.append(
            (
                Entry(f"{gate.experiment}: {gate.cell or 'no cell'}", kind="name"),
                asked,
                Entry(_figure(gate.measured)),
                Entry(_figure(gate.bound)),
                verdict,
            )
        )
    return Table((("cell", ""), ("expected", ""), ("measured", ""), ("bound", ""), ("", "")), tuple(body))


def floor(frames: Frames) -> Table:
    """The instrument's own cost by transport: what no measurement here can go below."""
    keys = list(dict.fromkeys(key for row in frames.floor.values() for key in row))
    body = [
        (Entry(frames.labels.get(name, name), kind="name"), *(Entry(_value(row.get(key))) for key in keys))
        for name, row in frames.floor.items()
    ]
    return Table((("transport", ""), *((key.replace("_", " "), "") for key in keys)), tuple(body))


def facts(named: Mapping[str, Any]) -> list[tuple[str, str]]:
    """A nested record of run.json as (dotted name, text)."""
    found: list[tuple[str, str]] = []
    for name, value in named.items():
        if isinstance(value, Mapping):
            found += [(f"{name}.{key}", text) for key, text in facts(value)]
        else:
            found.append((str(name), _value(value)))
    return found


def _value(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, list | tuple):
        return ", ".join(_value(one) for one in value)
    if isinstance(value, float):
        return number(value)
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def definitions(used: Iterable[str]) -> list[tuple[str, str, str, str]]:
    """(column, label, unit, meaning) of each metric that the run has a value of."""
    present = set(used)
    return [(m.name, m.label, m.unit, m.meaning) for m in METRICS if m.name in present]
