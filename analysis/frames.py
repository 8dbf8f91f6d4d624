"""What the charts and the report are drawn from: tidy frames of one run, and the questions they ask of them.

``cells`` has one row per measured cell over its repeats: ``experiment, cell, transport, status`` (``ok`` or
``invalid: why``, …), every setting by its dotted name, and each metric with ``_low`` and ``_high`` (results format;
METHODOLOGY rule 7). The rule it keeps: nothing here knows a transport or an experiment by name; a run describes
itself, and a chart is drawn where an experiment varies what the chart is about.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pandas as pd

from analysis import drawn, pace_words
from analysis.prose import Estimate, plain
from analysis.results import Results
from analysis.style import Look, looks

Row = Mapping[Any, Any]
Drawn = drawn.Drawn  # what a chart of frames returns
_SHARED = ("feed", "load", "server", "tls")  # sections of settings that hold for every transport
Latencies = Callable[[str, str], npt.NDArray[np.float64]]


@dataclass(frozen=True, slots=True)
class Frames:
    """One run.

    ``latencies(experiment, cell)``: delivery latencies of the windows of all repeats, ms; empty when no rows are kept.
    """

    labels: dict[str, str]
    pulls: frozenset[str]
    cells: pd.DataFrame
    references: pd.DataFrame
    floor: Mapping[str, Mapping[str, Any]]
    agreement: pd.DataFrame
    latencies: Latencies
    replayed: pd.DataFrame = field(default_factory=pd.DataFrame)
    looks: dict[str, Look] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.looks.update(looks(self.labels))

    @classmethod
    def read(cls, results: Results) -> Self:
        """The frames of an evaluated run: its cells with all their settings, references apart."""
        run = results.run
        settings = {(cell.experiment, cell.cell): cell.settings for cell in run.cells}
        keys = zip(results.cells["experiment"], results.cells["cell"], strict=True)
        chosen = pd.DataFrame([dict(settings.get(key, {})) for key in keys], index=results.cells.index)
        fresh = [name for name in chosen if is_setting(str(name)) and name not in results.cells]
        cells = pd.concat([results.cells, chosen[fresh]], axis=1)
        measured = cells["role"] == "measure"
        names = dict.fromkeys([*run.transports, *cells["transport"]])
        return cls(
            labels={name: run.label(name) for name in names},
            pulls=frozenset(name for name in names if run.pulls(name)),
            cells=cells[measured].reset_index(drop=True),
            references=cells[~measured].reset_index(drop=True),
            floor=run.floor,
            agreement=results.agreement,
            latencies=results.latencies_ms,
            replayed=results.replayed,
        )

    def of(self, experiment: str) -> pd.DataFrame:
        """The cells of one experiment."""
        return self.cells[self.cells["experiment"] == experiment]

    def experiments(self) -> list[str]:
        """The experiments that have cells, in the order of the run."""
        return list(dict.fromkeys(self.cells["experiment"]))

    def floor_ms(self, transports: Iterable[str]) -> float:
        """The highest floor among ``transports`` (median transit against an immediate server, ms); NaN if none."""
        known = [real(self.floor.get(name, {}).get("transit_ms_p50")) for name in transports]
        return max((value for value in known if math.isfinite(value)), default=math.nan)


def real(value: Any) -> float:
    """A number as a float, anything else as NaN."""
    return float(value) if isinstance(value, int | float) else math.nan


def is_setting(column: str) -> bool:
    """Whether a column is a setting: its name has a section, or it is the one that holds for all of them."""
    return "." in column or column == "tls"


def plain_text(cells: pd.DataFrame) -> pd.DataFrame:
    """The cells without TLS, all of them where none is without: what a chart draws that does not speak of TLS."""
    secured = cells["tls"].map(secure) if "tls" in cells else pd.Series(False, cells.index)
    return cells if secured.all() else cells[~secured]


def secure(tls: Any) -> bool:
    """Whether a cell's ``tls`` names a version; runs from before there was TLS have none."""
    return isinstance(tls, str) and tls != "off"


def over_tls(row: Row) -> str:
    """``TLS 1.3``; empty where there is none."""
    return f"TLS {row['tls']}" if secure(row.get("tls")) else ""


def beside_tls(frames: Frames, cells: pd.DataFrame, column: str) -> pd.DataFrame:
    """``side_by_side`` of the cells without TLS, and of the same settings with it: each transport's together."""
    chosen = side_by_side(frames, plain_text(cells), column)
    if chosen.empty or "tls" not in cells:
        return chosen
    shared = [name for name in varied(cells) if name.split(".")[0] in _SHARED and name != "tls"]
    alike = known(cells, column).merge(chosen[shared].drop_duplicates()) if shared else known(cells, column)
    both = [*rows(chosen), *(row for row in rows(alike) if secure(row["tls"]))]
    order = list(frames.labels)
    found = pd.DataFrame(both).drop_duplicates(["transport", "tls"])
    rank = found["transport"].map(order.index) * 10 + found["tls"].map(lambda tls: float(tls) if secure(tls) else 0.0)
    return found.iloc[rank.argsort(kind="stable")].reset_index(drop=True)


def has(cells: pd.DataFrame, *columns: str) -> bool:
    """Whether some row has a value in every one of ``columns``."""
    return all(name in cells for name in columns) and bool(cells[list(columns)].notna().all(axis=1).any())


def known(cells: pd.DataFrame, *columns: str) -> pd.DataFrame:
    """The rows that have a value in every one of ``columns``; none when a column is missing."""
    if not all(name in cells for name in columns):
        return cells.iloc[:0]
    return cells[cells[list(columns)].notna().all(axis=1)]


def from_server(cells: pd.DataFrame) -> pd.DataFrame:
    """The cells whose events are the server's own, and not published by their subscribers."""
    return cells[cells["feed.publisher"] != "subscribers"] if "feed.publisher" in cells else cells


def values(cells: pd.DataFrame, column: str) -> list[Any]:
    """The distinct values of a setting, ascending (mixed types by their text); empty when there is no such column."""
    distinct = list(cells[column].dropna().unique()) if column in cells else []
    return sorted(
        distinct, key=lambda value: (isinstance(value, str), value if not isinstance(value, str) else 0, str(value))
    )


def varied(cells: pd.DataFrame) -> list[str]:
    """The dotted settings that take more than one value for one and the same transport: the experiment's axes."""
    settings = [name for name in cells.columns if is_setting(name)]
    return [name for name in settings if any(len(values(group, name)) > 1 for _, group in cells.groupby("transport"))]


def ok(row: Row) -> bool:
    """Whether a cell may be concluded from."""
    return bool(row["status"] == "ok")


def rows(cells: pd.DataFrame) -> list[dict[Any, Any]]:
    """The rows as mappings."""
    return cells.to_dict("records")


def side_by_side(frames: Frames, cells: pd.DataFrame, column: str) -> pd.DataFrame:
    """One row per transport at equal settings, at those shared settings that show the most transports with ``column``.

    Among equals the one with more ``ok`` cells, then the one nearest to 100 subscribers. A transport that is swept
    over an option of its own is there with its first cell.
    """
    cells = known(cells, column)
    if cells.empty or swept_alone(cells):
        return cells.iloc[:0]
    shared = [name for name in varied(cells) if name.split(".")[0] in _SHARED]
    groups = [group for _, group in cells.groupby(shared, dropna=False)] if shared else [cells]

    def rank(group: pd.DataFrame) -> tuple[int, int, bool, float]:
        crowd = real(float(group["load.subscribers"].iloc[0])) if has(group, "load.subscribers") else 100.0
        return (
            group["transport"].nunique(),
            int((group["status"] == "ok").sum()),
            not ("tls" in group and group["tls"].map(secure).any()),
            -abs(math.log(max(crowd, 1.0) / 100.0)),
        )

    best = max(groups, key=rank, default=cells)
    order = {name: place for place, name in enumerate(frames.labels)}
    return best.drop_duplicates("transport").sort_values("transport", key=lambda names: names.map(order))


def swept_alone(cells: pd.DataFrame) -> bool:
    """Whether the experiment sweeps an option of one transport: then there is nobody to stand beside."""
    own = [name for name in varied(cells) if name.split(".")[0] not in _SHARED]
    return bool(own) and len(values(cells, "transport")) == 1


def series(cells: pd.DataFrame, x: str) -> Iterator[tuple[str, pd.DataFrame]]:
    """The curves of a sweep over ``x``: (label, rows by ascending x), one for each combination of others."""
    others = [name for name in varied(cells) if name != x]
    for key, group in cells.groupby(others, dropna=False) if others else [((), cells)]:
        yield _series_label(dict(zip(others, key, strict=True)), x), group.sort_values(x)


def _series_label(others: Mapping[str, Any], x: str) -> str:
    """What sets a curve apart: its policy where there are several, and other settings by their values."""
    policy = []
    if pace_words.POLICY in others:
        policy = [pace_words.told(others, pauses=x != pace_words.INTERVAL)]
        others = {name: value for name, value in others.items() if name not in pace_words.SETTINGS}
    return ", ".join([*policy, *(f"{setting_name(name)} {setting(name, value)}" for name, value in others.items())])


_UNITS = {"_s": " s", "_hz": "/s", "_ms": " ms", "_bytes": " B"}


def setting_name(name: str) -> str:
    """``long_polling.gap_s`` -> ``gap``: the last part, without its unit, as words."""
    last = name.rsplit(".", 1)[-1]
    for suffix in _UNITS:
        last = last.removesuffix(suffix)
    return last.replace("_", " ")


def setting(name: str, value: Any) -> str:
    """A setting's value with the unit its name carries: ``0.5 s``, ``10/s``."""
    unit = next((text for suffix, text in _UNITS.items() if name.endswith(suffix)), "")
    return f"{plain(value)}{unit}"


def conditions(cells: pd.DataFrame) -> str:
    """The conditions all of ``cells`` share, for a subtitle: subscribers, event rate, topics, payload."""
    found = {name: values(cells, name) for name, _, _ in _CONDITIONS}
    words = ((found[name], one, many) for name, one, many in _CONDITIONS)
    said = [
        (one if at[0] == 1 else many).format(plain(at[0]).replace("_", " ")) for at, one, many in words if len(at) == 1
    ]
    tls = values(cells, "tls")
    return " · ".join([*said, *([over_tls({"tls": tls[0]})] if len(tls) == 1 and secure(tls[0]) else [])])


_CONDITIONS = (  # setting, words for 1, words for any other value
    ("load.subscribers", "1 subscriber", "{} subscribers"),
    ("feed.rate_hz", "1 event/s", "{} events/s"),
    ("feed.topics", "1 topic", "topics: {}"),
    ("feed.payload_bytes", "1 B payload", "{} B payload"),
)


def not_ok(frames: Frames, cells: pd.DataFrame, limit: int = 3) -> list[str]:
    """What a chart's foot says about the hollow points: which, and why."""
    bad = [row for row in rows(cells) if not ok(row)]
    notes = [f"hollow: {cell_name(frames, row)}: {row['status']}" for row in bad[:limit]]
    return [*notes, f"and {len(bad) - limit} more hollow points, see the list of cells"] if len(bad) > limit else notes


def cell_name(frames: Frames, row: Row) -> str:
    """A cell in words: its transport's label; the cell's own name follows where that says more."""
    return ", ".join(
        filter(None, [frames.labels.get(str(row["transport"]), str(row["transport"])), cell_settings(row)])
    )


def cell_settings(row: Row) -> str:
    """A cell's settings out of its name, ``transport/key=value/…``: ``hold 2 s, gap 0.5 s``; names of its own stay."""
    told = (row.get("experiment"), row["transport"])
    pairs = [part.partition("=") for part in str(row["cell"]).split("/") if part not in told]
    paced = {name: value for name, _, value in pairs if name in pace_words.SETTINGS}
    policy = [pace_words.told(paced)] if pace_words.POLICY in paced else []
    left = [pair for pair in pairs if not (policy and pair[0] in paced)]
    return ", ".join([*policy, *(_told(name, value) if value else name for name, _, value in left)])


def _told(name: str, value: str) -> str:
    """``hold 2 s``; ``TLS 1.3``, ``no TLS``."""
    if name == "tls":
        return over_tls({"tls": value}) or "no TLS"
    return f"{setting_name(name)} {setting(name, _literal(value))}"


def _literal(value: str) -> Any:
    try:
        return float(value)
    except ValueError:
        return value


def tidy(cells: pd.DataFrame, settings: list[str], metrics: list[str]) -> pd.DataFrame:
    """The table behind a chart: which cell, its settings, and the metrics with their intervals, as far as known."""
    columns = ["experiment", "cell", "transport", "status", *settings]
    columns += [f"{name}{end}" for name in metrics for end in ("", "_low", "_high")]
    return cells[[name for name in dict.fromkeys(columns) if name in cells]].reset_index(drop=True)


def estimates(cells: pd.DataFrame, column: str) -> list[Estimate]:
    """``column`` of every row, with its interval."""
    return [Estimate.of(row, column) for row in rows(cells)]
