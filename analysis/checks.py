"""Whether a cell is fit to be concluded from: CHECKS pronounces ``ok`` or ``invalid: why``, CAVEATS say what to mind.

The rule it keeps (METHODOLOGY rule 8): an invalid cell is shown with its reason and passes nothing; zero samples is a
failure, not a pass; nothing is removed. A row of a table is a function from what was measured to a sentence, or to
nothing. Warnings are values, in the manner of hyperfine and pyperf: what was seen, and what to do about it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from analysis.load import Cell, Run
from analysis.measured import Measured, Sample
from analysis.statistic import quantile
from analysis.uncertainty import contradiction

BUSY = 0.9  # of one core
LATE_MS = 2.0
LATE_SHARE = 0.1  # of the median latency
FAULTS = ("lost", "duplicated", "reordered", "corrupted")


@dataclass(frozen=True, slots=True)
class Check:
    """A reason for which a cell is invalid: its name, what it asks for, and the sentence when that is not so."""

    name: str
    asks: str
    fails: Callable[[Measured], str]


@dataclass(frozen=True, slots=True)
class Caveat:
    """Something to mind: where (an experiment's cell and repeat, or ``run``), what was seen, and what to do."""

    where: str
    seen: str
    remedy: str


def status(cell: Cell, measured: Measured | None, damage: str = "") -> str:
    """``ok``, ``invalid: why``, ``failed: why`` or ``skipped: why``: a repeat's status, on its own.

    ``damage`` is what is wrong with the files of a cell that was done.
    """
    if cell.status in ("failed", "skipped"):
        return f"{cell.status}: {cell.why or 'no reason was recorded'}"
    if cell.status != "done":
        return "skipped: the run ended before it"
    if damage:
        return f"failed: {damage}"
    if measured is None:
        return "failed: no measurement window was recorded"
    reasons = [reason for check in CHECKS if (reason := check.fails(measured))]
    return f"invalid: {'; '.join(reasons)}" if reasons else "ok"


def together(statuses: Sequence[str], repeats: Sequence[Measured], floor_ms: float = 0.0) -> str:
    """The status of a cell over its repeats: the worst of theirs; ``invalid`` too when they contradict each other.

    ``floor_ms`` is the transport's floor: what lies within it belongs to the instrument and contradicts nothing
    (METHODOLOGY rule 9).
    """
    worst = min(statuses, key=lambda one: _SEVERITY.index(one.split(":")[0]))
    bad = sum(one != "ok" for one in statuses)
    if worst != "ok":
        return worst if bad == len(statuses) else f"{worst} ({bad} of {len(statuses)} repeats)"
    return f"invalid: {found}" if (found := _contradiction(repeats, floor_ms)) else "ok"


_SEVERITY = ("failed", "skipped", "invalid", "ok")


def _contradiction(repeats: Sequence[Measured], floor_ms: float) -> str:
    """Say which medians differ beyond their errors, by more than lateness is allowed to be and than the floor."""
    apart = contradiction(repeats, _headline) if repeats else None
    if apart is None or apart[1] - apart[0] <= max(LATE_SHARE * apart[0], floor_ms):
        return ""
    return f"repeats contradict each other: medians {apart[0]:.3g} and {apart[1]:.3g} ms, beyond 3 standard errors"


def _headline(m: Measured) -> Sample:
    """The latency a cell is about: of what its subscribers published, until they had it back; else of deliveries."""
    return m.upstream.samples["echo"] if m.cell.publishes_upstream else m.latency


def _median_ms(m: Measured) -> float:
    values = _headline(m).values
    return float(np.median(values)) if len(values) else 0.0


def _too_late(what: str, late_ms: float, m: Measured) -> str:
    allowed = max(LATE_MS, LATE_SHARE * _median_ms(m))
    return f"{what} {late_ms:.3g} ms late, more than {allowed:.3g} ms" if late_ms > allowed else ""


def busiest(m: Measured, process: str) -> float:
    """Share of a core that the busiest process of a kind used over the window; 0 when it was not sampled."""
    before, after = (m.marks.get((process, mark), {}) for mark in ("from", "to"))
    spans = [(before[pid], after[pid]) for pid in before.keys() & after.keys()]
    shares = (
        (end.cpu_ns - start.cpu_ns) / (end.at_ns - start.at_ns) for start, end in spans if end.at_ns > start.at_ns
    )
    return max(shares, default=0.0)


def _verified(m: Measured) -> str:
    failed = m.cell.verify.get("failed")
    return f"verification failed: {failed}" if failed else ""


def _subscribed(m: Measured) -> str:
    there = min(m.connected, int(m.cell.load.get("subscribed", m.connected)))
    return f"{there} of {m.cell.subscribers} subscribers subscribed" if there < m.cell.subscribers else ""


def _samples(m: Measured) -> str:
    if m.owed:
        return "" if len(_headline(m).values) else "no deliveries where events were owed"
    return "" if m.connected else "no connections"


def _load_busy(m: Measured) -> str:
    share = busiest(m, "load")
    return f"a load process used {share:.0%} of its core" if share > BUSY else ""


def _load_late(m: Measured) -> str:
    return _too_late("the load process's loop was (p99)", float(m.cell.load.get("late_ms_p99") or 0.0), m)


def _clocks(m: Measured) -> str:
    bound_ms = m.cell.clock_bound_ns / 1e6
    if not bound_ms or not len(m.latency.values) or _median_ms(m) >= bound_ms:
        return ""
    return f"the median latency, {_median_ms(m):.3g} ms, lies within what the clocks are known to (± {bound_ms:.3g} ms)"


def _publish_late(m: Measured) -> str:
    values = np.sort(m.publish.values)
    if not len(values):
        return ""
    # p99 where the sample carries it, else the furthest quantile with 20 samples beyond it (rule 8), or the median.
    q = min(0.99, max(0.5, 1 - 20 / len(values)))
    return _too_late(f"events were published (p{100 * q:.3g})", quantile(values, q), m)


def _faults(m: Measured) -> str:
    found = [f"{int(n)} {name}" for name in FAULTS if (n := getattr(m.faults, name)) > 0]
    return f"against the owed feed: {', '.join(found)}" if found else ""


def _published(m: Measured) -> str:
    failed = m.upstream.failed
    return f"{failed} publishes did not go out, were refused or not acknowledged" if failed else ""


CHECKS: tuple[Check, ...] = (
    Check("verified", "the server delivered a feed exactly, before timing", _verified),
    Check("subscribed", "every subscriber was subscribed", _subscribed),
    Check("samples", "something was measured", _samples),
    Check("load_busy", f"no load process used more than {BUSY:.0%} of a core", _load_busy),
    Check("load_late", "the load process read when there was something to read", _load_late),
    Check("publish_late", "the server published when events were due", _publish_late),
    Check("clocks", "latencies are longer than the server's clock is uncertain", _clocks),
    Check("published", "what subscribers were to publish went out and was accepted", _published),
    Check("faults", "nothing was lost, duplicated, reordered or corrupted", _faults),
)


# Caveats -------------------------------------------------------------------------------------------------------


def _server_busy(m: Measured) -> tuple[str, str] | None:
    share = busiest(m, "server")
    if share <= BUSY:
        return None
    return f"the server used {share:.0%} of a core", "read its latency as that of a saturated server, or lower the load"


def _failures(m: Measured) -> tuple[str, str] | None:
    failures = m.cell.load.get("failures") or {}
    if not failures:
        return None
    said = ", ".join(f"{count} x {reason}" for reason, count in failures.items())
    return f"connections failed: {said}", "see the cell's server.log and locust.log"


def _refused(m: Measured) -> tuple[str, str] | None:
    if not m.refused:
        return None
    said = f"{m.refused} of {int(m.responses.sum())} answers were refusals or errors (neither 200, 204 nor 304)"
    return said, "see responses.parquet for their statuses; they count as requests, never as empty"


def _backwards(m: Measured) -> tuple[str, str] | None:
    negative = int((m.latency.values < 0).sum())
    if not negative:
        return None
    return f"{negative} deliveries came before they were due", "compare the clocks: only one host's are comparable"


def _unverified(m: Measured) -> tuple[str, str] | None:
    if m.cell.verify:
        return None
    why = f": {m.cell.unverified}" if m.cell.unverified else ""
    return f"the server was not verified before timing{why}", "run python -m loadtests verify against it"


def _other_clock(m: Measured) -> tuple[str, str] | None:
    if not m.cell.clock_bound_ns:
        return None
    seen = f"the server's clock is another one: latencies are right to ± {m.cell.clock_bound_ns / 1e6:.3g} ms"
    return seen, "claim no difference smaller than that"


CELL_CAVEATS: tuple[Callable[[Measured], tuple[str, str] | None], ...] = (
    _server_busy,
    _failures,
    _refused,
    _backwards,
    _unverified,
    _other_clock,
)


def cell_caveats(m: Measured) -> list[Caveat]:
    """What to mind about one repeat."""
    where = f"{m.cell.cell} (repeat {m.cell.repeat})"
    return [Caveat(where, *found) for caveat in CELL_CAVEATS if (found := caveat(m))]


def _shared_core(run: Run) -> tuple[str, str] | None:
    shared = [c for c in run.cells if set(c.cpus.get("server") or ()) & set(c.cpus.get("load") or ())]
    if not shared:
        return None
    return "server and load shared a core: each took time from the other", "measure on a machine with two cores or more"


def _loaded(run: Run) -> tuple[str, str] | None:
    machine = run.meta.get("machine") or {}
    average = machine.get("load_average")
    now = average[0] if isinstance(average, list) and average else average
    if not isinstance(now, int | float) or now <= BUSY:
        return None
    return f"the load average was {now:.2f} at the start", "close what else runs and measure again"


def _no_floor(run: Run) -> tuple[str, str] | None:
    if run.floor:
        return None
    if any(experiment.get("target") for experiment in run.experiments.values()):
        return "beside a target the instrument's own cost is not measured", "see python -m loadtests floor"
    return "the instrument's own cost was not measured", "leave out --no-floor"


RUN_CAVEATS: tuple[Callable[[Run], tuple[str, str] | None], ...] = (_shared_core, _loaded, _no_floor)


def run_caveats(run: Run) -> list[Caveat]:
    """What to mind about the run as a whole."""
    return [Caveat("run", *found) for caveat in RUN_CAVEATS if (found := caveat(run))]
