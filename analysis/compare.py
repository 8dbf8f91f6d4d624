"""Two runs, compared: which differences are real, with intervals, and of which nothing can be told.

The rule it keeps: cells are matched by experiment and name, repeats that are not ``ok`` are left out, and every figure
gets one of four words. *worse* or *better*: its interval is beyond what matters and beyond what so many figures show by
chance (``analysis.contrast``). *same*: its interval is within what matters. *cannot tell*: neither, and how many
repeats would settle it. What matters is a table (``MARGINS``): a tenth of a duration, as repeats on one machine may be
apart (METHODOLOGY rule 8), more where the instrument itself was slower or faster in one of the runs, and nothing within
its floor (rule 9). Faults and cells that fail are facts and need no statistics.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from analysis.checks import FAULTS
from analysis.contrast import FALSE, FEWEST, MANY, Contrast, contrast, discovered, moderated
from analysis.load import BadRunError, Cell, Run, open_run
from analysis.measured import Floats
from analysis.metrics import BY_NAME, METRICS, Metric
from analysis.results import evaluate
from analysis.statistic import Count, Maximum

WORSE, BETTER, SAME, UNKNOWN = "worse", "better", "same", "cannot tell"
STATUS = "status"  # the "metric" of a cell that failed in one run only


@dataclass(frozen=True, slots=True)
class Margin:
    """What does not matter: a share of the figure, and an amount in its unit (the larger of the two counts).

    ``drifts``: it is a duration, and moves when the machine is slower.
    """

    share: float
    amount: float = 0.0
    drifts: bool = False


_DURATION, _AMOUNT, _RATIO = Margin(0.10, drifts=True), Margin(0.05), Margin(0.05, 0.01)
MARGINS: Mapping[str, Margin] = {"ms": _DURATION, "s": _DURATION, "us": _DURATION, "B": _AMOUNT, "B/min": _AMOUNT}


@dataclass(frozen=True, slots=True)
class Side:
    """A run, and its rows of summary.csv as this program computes them (one a cell and repeat)."""

    run: Run
    summary: pd.DataFrame

    def rows(self, key: tuple[str, str]) -> pd.DataFrame:
        """The repeats of one cell, by repeat."""
        rows = self.summary[(self.summary["experiment"] == key[0]) & (self.summary["cell"] == key[1])]
        return rows.set_index("repeat").sort_index()

    def cells(self) -> dict[tuple[str, str], tuple[Cell, ...]]:
        """The repeats of every measured cell, references left out."""
        return {key: cells for key, cells in self.run.groups().items() if cells[0].role == "measure"}


@dataclass(frozen=True, slots=True)
class Figure:
    """One metric of one cell in both runs; NaN where there is no such number.

    ``ratio`` is B over A and ``difference`` B - A, with 95 % intervals. ``margin`` is what does not matter, as a ratio
    (or, where there is none, as a difference). ``needs``: repeats that would settle it; 0: no number of them would.
    """

    experiment: str
    cell: str
    transport: str
    metric: str
    a: float = math.nan
    b: float = math.nan
    ratio: float = math.nan
    ratio_low: float = math.nan
    ratio_high: float = math.nan
    difference: float = math.nan
    difference_low: float = math.nan
    difference_high: float = math.nan
    margin: float = math.nan
    repeats_a: int = 0
    repeats_b: int = 0
    paired: bool = False
    p: float = math.nan
    verdict: str = UNKNOWN
    why: str = ""
    needs: int = 0


COLUMNS = tuple(Figure.__dataclass_fields__)


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two runs and what is to be said of them; ``notes`` are what else differs, a sentence each."""

    a: Run
    b: Run
    figures: tuple[Figure, ...]
    notes: tuple[str, ...]

    def of(self, *verdicts: str) -> tuple[Figure, ...]:
        """The figures with these verdicts."""
        return tuple(one for one in self.figures if one.verdict in verdicts)

    @property
    def verdict(self) -> str:
        """In one word: worse when anything is; a comparison that could tell nothing says so."""
        return next((word for word in (WORSE, BETTER, SAME) if self.of(word)), UNKNOWN)

    @property
    def table(self) -> pd.DataFrame:
        """The columns of compare.csv."""
        rows = [[getattr(one, name) for name in COLUMNS] for one in self.figures]
        return pd.DataFrame(rows, columns=list(COLUMNS))


@dataclass(frozen=True, slots=True)
class _Pair:
    """A figure before its verdict: its values by repeat, whether they are paired, and its contrast."""

    figure: Figure
    scale: float  # A's mean: what a ratio is turned into a difference with; NaN where the contrast is a difference
    margin: float  # in the contrast's scale
    contrast: Contrast


@dataclass(frozen=True, slots=True)
class _Instrument:
    """What is the instrument's: how much slower it was in B (a logarithm), and the transport's floor."""

    drift: float
    floor_ms: float

    def margin(self, metric: Metric, a: float, positive: bool) -> float:
        """What does not matter beside a figure of ``a``: as a logarithm where the figures are positive."""
        allowed = MARGINS.get(metric.unit, _RATIO)
        amount = {"ms": self.floor_ms, "s": self.floor_ms / 1e3}.get(metric.unit, allowed.amount)
        if not positive:
            return max(allowed.share * abs(a), amount)
        drifted = abs(self.drift) if allowed.drifts else 0.0
        return max(math.log1p(allowed.share) + drifted, math.log1p(amount / a))


def side(folder: Path) -> Side:
    """Open a run: from its raw rows, or, where they were left out, from its summary.csv. Raises ``BadRunError``."""
    run = open_run(folder)
    if run.has_rows:
        return Side(run, evaluate(run).summary)
    path = run.folder / "summary.csv"
    try:
        return Side(run, pd.read_csv(path).reindex(columns=[*_HEAD, *BY_NAME]))
    except (OSError, ValueError) as error:
        why = str(error).splitlines()[0]
        raise BadRunError(f"{folder}: neither raw rows nor a summary.csv that can be read ({why})") from None


_HEAD = ["experiment", "cell", "repeat", "transport", "status", "role"]


def compare(a: Side, b: Side, notes: Iterable[str] = (), drift: float = 0.0) -> Comparison:
    """Every figure of the cells that both runs have. ``drift``: how much slower the instrument was, as a logarithm.

    Raises ``BadRunError`` when no cell is in both.
    """
    in_a, in_b = a.cells(), b.cells()
    common = [key for key in in_a if key in in_b]
    if not common:
        raise BadRunError(f"{a.run.name} and {b.run.name} have no cell in common; compare runs of one experiment")
    told: list[Figure] = []
    pairs: list[_Pair] = []
    for key in common:
        match = _Match(in_a[key], in_b[key], a.rows(key), b.rows(key))
        instrument = _Instrument(drift, _floor_ms(a.run, b.run, in_a[key][0].transport))
        told += _facts(match)
        for metric in compared():
            figure, before, after = match.values(metric)
            if figure.why:
                told.append(figure)
            elif len(before):
                pairs.append(_pair(figure, before, after, instrument))
    return Comparison(a.run, b.run, _ordered([*told, *_judged(pairs)], common), tuple(notes))


def compared() -> list[Metric]:
    """The metrics that are compared: those where less or more is better; totals and extremes tell nothing."""
    return [metric for metric in METRICS if metric.better and not isinstance(metric.statistic, Count | Maximum)]


@dataclass(frozen=True, slots=True)
class _Match:
    """A cell in both runs: its repeats as planned, and as measured (rows of summary.csv by repeat)."""

    in_a: tuple[Cell, ...]
    in_b: tuple[Cell, ...]
    a: pd.DataFrame
    b: pd.DataFrame

    def figure(self, metric: str, **values: Any) -> Figure:
        """A figure of this cell."""
        cell = self.in_a[0]
        return Figure(cell.experiment, cell.cell, cell.transport, metric, **values)

    def values(self, metric: Metric) -> tuple[Figure, Floats, Floats]:
        """A metric's values by repeat, from the repeats that are ok; a figure with a reason when they do not suffice.

        They are paired, and in the same order, when all of one run's repeats have the same events in the other.
        """
        before, after = (rows.loc[rows["status"] == "ok", metric.name].dropna() for rows in (self.a, self.b))
        same = [repeat for repeat in before.index.intersection(after.index) if self._same_events(int(repeat))]
        paired = len(same) == min(len(before), len(after)) >= FEWEST
        if paired:
            before, after = before.loc[same], after.loc[same]
        known: dict[str, Any] = {"repeats_a": len(before), "repeats_b": len(after), "paired": paired}
        why = self._lacking(metric.name, len(before), len(after))
        if why:
            known |= {"a": before.mean(), "b": after.mean(), "why": why, "needs": FEWEST}
        return self.figure(metric.name, **known), before.to_numpy(float), after.to_numpy(float)

    def _lacking(self, name: str, before: int, after: int) -> str:
        """Why there are too few values; empty when there are enough, or the metric applies to neither run."""
        absent = [bool(rows[name].isna().all()) for rows in (self.a, self.b)]
        if all(absent) or min(before, after) >= FEWEST:
            return ""
        for side, rows, count in (("A", self.a, before), ("B", self.b, after)):
            bad = [str(status) for status in rows["status"] if status != "ok"]
            if count < FEWEST and bad:
                return f"{len(bad)} of {len(rows)} repeats in {side} {bad[0]}"
        if any(absent):
            return f"not measured in {'A' if absent[0] else 'B'}"
        return f"one repeat says nothing of the next: needs at least {FEWEST} on each side"

    def _same_events(self, repeat: int) -> bool:
        """Whether a repeat had the same events in both runs: the same seed, and the same feed for as long."""
        of = [cell for cells in (self.in_a, self.in_b) for cell in cells if cell.repeat == repeat]
        if len(of) != 2 or of[0].seed != of[1].seed:
            return False
        keys = {key for cell in of for key in cell.settings if key.startswith("feed.")}
        keys |= {"load.subscribers", "load.warmup_s", "load.measure_s"}
        return all(of[0].settings.get(key) == of[1].settings.get(key) for key in keys)


def _facts(match: _Match) -> Iterator[Figure]:
    """What needs no statistics: a cell that failed in one run only, and faults that one run has."""
    sides = (match.a, match.b)
    counts = {"repeats_a": len(match.a), "repeats_b": len(match.b)}
    failed = [[one for one in rows["status"].astype(str) if one.startswith("failed")] for rows in sides]
    if bool(failed[0]) != bool(failed[1]):
        why = f"A {failed[0][0]}" if failed[0] else f"B {failed[1][0]}"
        yield match.figure(STATUS, verdict=BETTER if failed[0] else WORSE, why=why, **counts)
    for name in FAULTS:
        before, after = (float(rows[name].sum()) for rows in sides)
        if before == after == 0 or any(rows[name].isna().all() for rows in sides):
            continue
        verdict = WORSE if not before else BETTER if not after else UNKNOWN
        why = "" if verdict != UNKNOWN else "both runs have some; mend that first"
        yield match.figure(name, a=before, b=after, difference=after - before, verdict=verdict, why=why, **counts)


def _pair(figure: Figure, a: Floats, b: Floats, instrument: _Instrument) -> _Pair:
    """Contrast two sets of repeats: on a logarithmic scale, unless something is not positive."""
    positive = bool((a > 0).all() and (b > 0).all())
    on, back = (np.log, np.exp) if positive else (np.asarray, float)
    found = contrast(on(a), on(b), paired=figure.paired)
    middle, after = (float(back(on(values).mean())) for values in (a, b))
    margin = instrument.margin(BY_NAME[figure.metric], middle, positive)
    known = replace(figure, a=middle, b=after, margin=math.exp(margin) if positive else margin)
    return _Pair(known, middle if positive else math.nan, margin, found)


def _judged(pairs: list[_Pair]) -> list[Figure]:
    """Moderate the spreads metric by metric, then judge all figures together."""
    kinds: dict[tuple[str, bool], list[int]] = {}
    for i, one in enumerate(pairs):
        kinds.setdefault((one.figure.metric, math.isnan(one.scale)), []).append(i)
    contrasts = [one.contrast for one in pairs]
    for (_, differences), places in kinds.items():
        if not differences:  # ratios of one metric are alike from cell to cell; differences are not
            for i, found in zip(places, moderated([contrasts[i] for i in places]), strict=True):
                contrasts[i] = found
    p = np.array([found.beyond(one.margin) for one, found in zip(pairs, contrasts, strict=True)])
    real = discovered(p)
    return [_verdict(*each, len(pairs)) for each in zip(pairs, contrasts, p.tolist(), real.tolist(), strict=True)]


def _verdict(one: _Pair, found: Contrast, p: float, real: bool, figures: int) -> Figure:
    verdict, why, needs = UNKNOWN, "", 0
    if real:
        better = (found.effect < 0) == (BY_NAME[one.figure.metric].better == "lower")
        verdict = BETTER if better else WORSE
    elif found.within(one.margin):
        verdict = SAME
    elif p <= FALSE:
        why = f"beyond what matters, but of {figures} figures some are by chance"
        needs = max(one.figure.repeats_a, one.figure.repeats_b) + 1
    else:
        needs = found.needed(one.margin) or 0
        why = f"needs about {needs} repeats" if needs else f"needs more than {MANY} repeats"
    figure = replace(one.figure, p=p, verdict=verdict, why=why, needs=needs)
    effect, low, high = found.effect, found.effect - found.reach, found.effect + found.reach
    if math.isnan(one.scale):
        return replace(figure, difference=effect, difference_low=low, difference_high=high)
    ratio, ratio_low, ratio_high = map(_exp, (effect, low, high))
    return replace(
        figure, ratio=ratio, ratio_low=ratio_low, ratio_high=ratio_high, difference=one.scale * (ratio - 1),
        difference_low=one.scale * (ratio_low - 1), difference_high=one.scale * (ratio_high - 1),
    )  # fmt: skip


def _exp(value: float) -> float:
    return math.exp(min(value, 700.0))  # an interval from two repeats may reach beyond what a float holds


def _ordered(figures: list[Figure], cells: list[tuple[str, str]]) -> tuple[Figure, ...]:
    place = {key: i for i, key in enumerate(cells)}
    metrics = {name: i for i, name in enumerate((STATUS, *BY_NAME))}
    return tuple(sorted(figures, key=lambda one: (place[one.experiment, one.cell], metrics[one.metric])))


def _floor_ms(a: Run, b: Run, transport: str) -> float:
    """What belongs to the instrument of a transport, in ms: the larger floor of the two runs."""
    known = (run.floor.get(transport, {}).get("transit_ms_p50") for run in (a, b))
    return max((float(value) for value in known if isinstance(value, int | float)), default=0.0)
