"""What a request, an event and a held connection cost, learned from measured runs, each with its interval.

The server's CPU over a pull transport's window is ``requests x a + events x b``: cells with other intervals or holds
have other shares of both, so a straight line through the repeats, in requests per event, gives a (its slope) and b (its
intercept). The same holds for bytes. A push transport has no requests: its figures are per event. Memory and idle bytes
come from cells that publish nothing; cells whose subscribers publish, too, or see the latest state only, tell of
something else and are left out. The rule it keeps: nothing is assumed; what no run has measured is NaN, and
``Costs.source`` says where the rest is from.
"""

from __future__ import annotations

import csv
import json
import platform
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import stdtrit

from analysis.errors import BadRunError

REFERENCE = Path(__file__).parent.parent / "results" / "reference"
LEVEL = 0.95


class Estimate(NamedTuple):
    """A figure and the interval it is in with 95 % confidence; NaN where it is not known."""

    value: float
    low: float
    high: float

    def times(self, factor: float) -> Estimate:
        """Scale by a known, positive factor."""
        return Estimate(self.value * factor, self.low * factor, self.high * factor)


UNKNOWN = Estimate(np.nan, np.nan, np.nan)
NOTHING = Estimate(0.0, 0.0, 0.0)


@dataclass(frozen=True, slots=True)
class Cost:
    """One transport's costs at the server: CPU in us, bytes on the wire (TCP payload), memory in B.

    ``cpu_us_per_request`` and ``bytes_*_per_request`` are those of a request whether it brings an event or not (0 for
    push); ``*_per_event`` come on top, for each delivery of ``payload_bytes`` of data. ``idle_bytes_per_minute`` is
    what a push connection costs with a heartbeat each ``heartbeat_s``.
    """

    transport: str
    label: str
    pulls: bool
    payload_bytes: int
    heartbeat_s: float
    cpu_us_per_request: Estimate
    cpu_us_per_event: Estimate
    bytes_up_per_request: Estimate
    bytes_down_per_request: Estimate
    bytes_up_per_event: Estimate
    bytes_down_per_event: Estimate
    segments_per_request: Estimate
    segments_per_event: Estimate
    connect_cpu_us: Estimate
    connect_bytes: Estimate
    held_bytes: Estimate
    idle_bytes_per_minute: Estimate


@dataclass(frozen=True, slots=True)
class Costs:
    """Costs by transport; ``source`` is a sentence that says which run they are from, ``here`` whether it ran here."""

    by_transport: Mapping[str, Cost]
    source: str
    here: bool


def newest(results: Path, *, shared: bool = False, tls: str = "off") -> Costs:
    """Read the costs of the newest run below ``results`` that measured them, else of the committed reference.

    ``shared`` takes events of one topic that many subscribers share (encoded once, written often), else each has its
    own. Raises BadRunError when not even the reference can be read.
    """
    runs = sorted((path.parent for path in results.glob("*/summary.csv")), key=_started, reverse=True)
    return first_complete([run for run in runs if not run.is_symlink()], shared=shared, tls=tls)[1]


def first_complete(runs: Iterable[Path], *, shared: bool = False, tls: str = "off") -> tuple[Path, Costs]:
    """Read the costs of the first of ``runs`` that measured them, else of the committed reference; which, and they.

    Raises BadRunError when not even the reference can be read.
    """
    for folder in [*(run for run in runs if run.resolve() != REFERENCE.resolve()), REFERENCE]:
        try:
            found = of_run(folder, shared=shared, tls=tls)
        except BadRunError:
            if folder == REFERENCE:
                raise
            continue
        whole = replace(found, by_transport=_whole(found.by_transport))
        if _complete(whole):
            return folder, whole
    over, remedy = ("", "") if tls == "off" else (f" over TLS {tls}", f' ARGS="--set tls={tls}"')
    raise BadRunError(
        f"{REFERENCE}: no costs of polling, long polling and a push transport{over} in it; run make bench{remedy}"
    )


def of_run(folder: Path, *, shared: bool = False, tls: str = "off") -> Costs:
    """Read the costs out of one run's ``summary.csv`` and ``run.json``. Raises BadRunError."""
    try:
        meta = json.loads((folder / "run.json").read_text(encoding="utf-8"))
        found = _by_transport(meta, _rows(folder / "summary.csv", meta), shared=shared, tls=tls)
    except (OSError, ValueError, KeyError, csv.Error) as error:
        raise BadRunError(f"{folder}: {error}; expected a run with run.json and summary.csv") from None
    here = _same_machine(meta.get("machine", {}))
    return Costs(found, _sentence(folder, meta, here=here), here)


def _by_transport(meta: Mapping[str, Any], rows: Sequence[_Row], *, shared: bool, tls: str) -> dict[str, Cost]:
    rows = [row for row in rows if row.secured == tls and row.plain]
    found = {}
    for name, transport in meta.get("transports", {}).items():
        own = [row for row in rows if row.transport == name]
        busy = [row for row in own if row.figure("deliveries") > 0]
        most = max((row.subscribers for row in busy), default=0)
        apart = [row for row in busy if row.apart]
        together = [row for row in busy if not row.apart and row.subscribers == most]
        idle = [row for row in own if np.isnan(row.figure("deliveries"))]
        if apart and (together or not shared):
            found[name] = _cost(name, transport, _sound(apart), _sound(together) if shared else None, _sound(idle))
    return found


@dataclass(frozen=True, slots=True)
class _Row:
    """One repeat of a cell: its line of summary.csv, and its settings of run.json."""

    line: Mapping[str, str]
    settings: Mapping[str, Any]

    def figure(self, name: str) -> float:
        """A metric; NaN where there is none."""
        return float(self.line.get(name) or np.nan)

    @property
    def transport(self) -> str:
        return self.line["transport"]

    @property
    def status(self) -> str:
        return self.line["status"]

    @property
    def apart(self) -> bool:
        """Whether each subscriber has events of its own."""
        return bool(self.settings.get("feed.topics", 1) == "per_subscriber")

    @property
    def plain(self) -> bool:
        """Whether it was measured, and its subscribers only listened, to every event."""
        return (
            not self.status.startswith(("failed", "skipped"))
            and self.settings.get("feed.publisher") != "subscribers"
            and self.settings.get("polling.mode", "cursor") == "cursor"
        )

    @property
    def payload_bytes(self) -> int:
        return int(self.settings.get("feed.payload_bytes", 256))

    @property
    def subscribers(self) -> int:
        return int(self.settings.get("load.subscribers", 1))

    @property
    def heartbeat_s(self) -> float:
        return float(self.settings.get("server.heartbeat_s", 15.0))

    @property
    def secured(self) -> str:
        return str(self.settings.get("tls", "off"))


def _rows(path: Path, meta: Mapping[str, Any]) -> list[_Row]:
    """The lines of summary.csv, read by the standard library: pandas takes longer to load than a tuner to answer."""
    settings = {(one["experiment"], one["cell"]): one["settings"] for one in meta.get("cells", [])}
    with path.open(encoding="utf-8", newline="") as file:
        found = [_Row(line, settings.get((line["experiment"], line["cell"]), {})) for line in csv.DictReader(file)]
    if not found:
        raise ValueError(f"{path.name} has no rows")
    return found


def _sound(rows: Sequence[_Row]) -> Sequence[_Row]:
    """Keep the repeats that are ``ok``; where there is none, invalid ones have to do: they bound, if badly."""
    return [row for row in rows if row.status == "ok"] or rows


def _cost(
    name: str, transport: Mapping[str, Any], apart: Sequence[_Row], together: Sequence[_Row] | None,
    idle: Sequence[_Row],
) -> Cost:  # fmt: skip
    """``apart`` are cells with a topic each, ``together`` those of a shared topic whose events are wanted, if any."""
    pulls = bool(transport.get("pulls"))
    busy = apart if together is None else together

    def line(column: str) -> tuple[Estimate, Estimate]:
        if not pulls:
            return NOTHING, mean(_column(busy, column))
        request, event = straight(_column(apart, "requests_per_event"), _column(apart, column))
        if together is None:
            return request, event
        # A request costs what it costs; what is left is the shared event's.
        left = mean(_column(busy, column) - request.value * _column(busy, "requests_per_event"))
        return request, Estimate(*(max(0.0, one) if np.isfinite(one) else one for one in left))

    cpu, up, down, segments = (
        line(column)
        for column in ("server_cpu_us_per_delivery", "bytes_up_per_event", "bytes_down_per_event", "segments_per_event")
    )
    return Cost(
        transport=name, label=str(transport.get("label", name)), pulls=pulls,
        payload_bytes=busy[0].payload_bytes,
        heartbeat_s=idle[0].heartbeat_s if idle else np.nan,
        cpu_us_per_request=cpu[0], cpu_us_per_event=cpu[1],
        bytes_up_per_request=up[0], bytes_up_per_event=up[1],
        bytes_down_per_request=down[0], bytes_down_per_event=down[1],
        segments_per_request=segments[0], segments_per_event=segments[1],
        connect_cpu_us=mean(_column(idle, "server_cpu_us_per_connection")),
        connect_bytes=mean(_column(idle, "connect_bytes")),
        held_bytes=mean(_column(idle, "server_bytes_per_connection")),
        idle_bytes_per_minute=NOTHING if pulls else mean(_column(idle, "idle_bytes_per_minute")),
    )  # fmt: skip


def _column(rows: Sequence[_Row], name: str) -> npt.NDArray[np.float64]:
    return np.array([row.figure(name) for row in rows], np.float64)


def mean(values: npt.NDArray[np.float64]) -> Estimate:
    """Mean of repeats with Student's interval; one repeat alone has a value and no interval."""
    values = values[np.isfinite(values)]
    if not len(values):
        return UNKNOWN
    middle = float(values.mean())
    if len(values) < 2:
        return Estimate(middle, np.nan, np.nan)
    half = _student(len(values) - 1) * float(values.std(ddof=1)) / np.sqrt(len(values))
    return Estimate(middle, max(0.0, middle - half), middle + half)


def _student(freedom: int) -> float:
    """How many standard errors make the interval."""
    return float(stdtrit(freedom, (1 + LEVEL) / 2))


def straight(x: npt.NDArray[np.float64], y: npt.NDArray[np.float64]) -> tuple[Estimate, Estimate]:
    """Slope and intercept of a least-squares line with Student's intervals, neither below 0, as no cost is.

    Fewer than three points, or all at one x, know neither.
    """
    fine = np.isfinite(x) & np.isfinite(y)
    x, y = x[fine], y[fine]
    n = len(x)
    if n < 3 or np.ptp(x) < 0.05 * x.mean():
        return UNKNOWN, UNKNOWN
    middle, spread = float(x.mean()), float(((x - x.mean()) ** 2).sum())
    slope = float(((x - middle) * y).sum()) / spread
    intercept = float(y.mean()) - slope * middle
    variance = float(((y - intercept - slope * x) ** 2).sum()) / (n - 2)
    t = _student(n - 2)

    def bounded(value: float, error: float) -> Estimate:
        return Estimate(max(0.0, value), max(0.0, value - t * error), max(0.0, value + t * error))

    return (
        bounded(slope, float(np.sqrt(variance / spread))),
        bounded(intercept, float(np.sqrt(variance * (1 / n + middle**2 / spread)))),
    )


def _whole(by_transport: Mapping[str, Cost]) -> dict[str, Cost]:
    """The transports of which everything was measured, memory too; what of others is missing has no price."""
    return {
        name: cost
        for name, cost in by_transport.items()
        if np.isfinite([getattr(cost, field).value for field in COST_FIELDS]).all()
    }


def _complete(costs: Costs) -> bool:
    """Whether a tuner can do with it: both pull transports and a push transport."""
    pulls = {name for name, cost in costs.by_transport.items() if cost.pulls}
    return {"polling", "long_polling"} <= pulls and bool(costs.by_transport.keys() - pulls)


def _started(folder: Path) -> str:
    try:
        return str(json.loads((folder / "run.json").read_text(encoding="utf-8")).get("started", ""))
    except (OSError, ValueError):
        return ""


def _same_machine(machine: Mapping[str, Any]) -> bool:
    return machine.get("cpu") == _cpu() and machine.get("kernel") == platform.release()


def _cpu() -> str:
    try:
        lines: Iterable[str] = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = ()
    named = (
        line.partition(":")[2].strip() for line in lines if line.startswith(("model name", "Hardware", "cpu model"))
    )
    return next(named, platform.processor() or platform.machine())


def _sentence(folder: Path, meta: Mapping[str, Any], *, here: bool) -> str:
    machine, when = meta.get("machine", {}), str(meta.get("started", ""))[:10]
    what = f"{machine.get('cpu', 'an unknown processor')}, {machine.get('cores_logical', '?')} cores"
    if folder.resolve() == REFERENCE.resolve():
        return f"costs from the committed reference run ({when}; {what}), not from this machine: run make bench here"
    return f"costs measured {'on this machine' if here else 'on another machine'} ({folder.name}; {what})"


COST_FIELDS = tuple(field.name for field in fields(Cost) if field.type == "Estimate")
