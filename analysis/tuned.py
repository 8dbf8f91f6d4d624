"""The verb ``tuned``: a run of ``tuned.toml`` beside ``tuned.json``, predicted against measured, with a verdict a row.

What the run says of itself, by its ``[tuned]``, is held against its grid too (``analysis.proof``), sidecar or not.

The rule it keeps: 5 % may be between them (a ratio: 0.01, a latency: 2 ms, where that is more: what loopback and Python
take). A difference beyond that is ``differs`` when the measured interval does not reach the prediction, and ``too
noisy`` when it does. One transit of loopback is taken from the run's floor and added to the prediction.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from analysis import proof, proof_page
from analysis.load import BadRunError, Run, open_run
from analysis.prose import Estimate
from analysis.results import Results, evaluate

TOLERANCE, RATIO, LATENCY_MS = 0.05, 0.01, 2.0
EXAMPLES = """examples:
  python -m analysis tune --rate 0.5 --p95 2s --write tuned.toml && python -m loadtests run tuned.toml
  python -m analysis tuned results/latest tuned.json
  python -m analysis tuned results/latest
"""
# What is compared: key of the sidecar, column of cells.csv, unit, factor from the one to the other.
QUANTITIES: tuple[tuple[str, str, str, float], ...] = (
    ("mean_s", "delivery_ms_mean", "ms", 1e3),
    ("p95_s", "delivery_ms_p95", "ms", 1e3),
    ("empty_ratio", "empty_ratio", "", 1.0),
    ("requests_hz", "responses", "1/s", 1.0),
)


@dataclass(frozen=True, slots=True)
class Row:
    """One quantity of one cell."""

    cell: str
    quantity: str
    unit: str
    predicted: float
    measured: Estimate
    status: str = "ok"

    @property
    def tolerance(self) -> float:
        """How far apart they may be."""
        least = {"ms": LATENCY_MS, "": RATIO}.get(self.unit, 0.0)
        return max(TOLERANCE * abs(self.predicted), least)

    @property
    def verdict(self) -> str:
        """``agrees``, ``differs``, ``too noisy``, or why the cell does not count."""
        if self.status != "ok":
            return self.status.partition(";")[0]
        apart = abs(self.measured.value - self.predicted)
        if not math.isfinite(apart):
            return "not measured"
        if apart <= self.tolerance:
            return "agrees"
        inside = self.measured.low <= self.predicted <= self.measured.high
        return "too noisy" if inside else "differs"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what ``tuned`` reads."""
    parser.add_argument("run", type=Path, help="the run of tuned.toml: a folder")
    parser.add_argument("predictions", type=Path, nargs="?", help="tuned.json, as tune --write wrote it")


def tuned_verb(options: argparse.Namespace) -> int:
    """Print the tables; 1 when something differs, does not hold or did not measure, else 0."""
    results = evaluate(open_run(options.run))
    claims = proof.claims(results)
    if options.predictions is None and not claims:
        raise BadRunError(f"{options.run}: nothing in it was tuned; expected a run of what tune --write has written")
    held = options.predictions is None or _beside(results, options.predictions)
    if claims:
        print("\n".join(proof_page.lines(claims)))
        print(f"\n{proof_page.headline(claims)}")
    return 0 if held and all(one.holds for one in claims) else 1


def _beside(results: Results, path: Path) -> bool:
    """Print the predictions beside the run; whether none differs and some agree."""
    found = list(rows(results, read(path)))
    print("\n".join(table(found)))
    bad = [row for row in found if row.verdict not in {"agrees", "too noisy"}]
    count = sum(row.verdict == "agrees" for row in found)
    print(
        f"\n{count} of {len(found)} predictions agree with the live run; {len(bad)} do not"
        f" (within {TOLERANCE:.0%}; a ratio within {RATIO:g}, a latency within {LATENCY_MS:g} ms where that is more)\n"
    )
    return bool(count) and not bad


def read(path: Path) -> Mapping[str, Any]:
    """Read the sidecar. Raises BadRunError."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        cells = [(str(cell["transport"]), dict(cell["settings"]), float(cell["p95_s"])) for cell in found["cells"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        reason = getattr(error, "strerror", None) or f"{type(error).__name__}: {error}"
        raise BadRunError(f"{path}: {reason}; expected the tuned.json that tune --write has written") from None
    if not cells:
        raise BadRunError(f"{path}: no cells; expected the tuned.json that tune --write has written")
    return dict(found)


def rows(results: Results, predicted: Mapping[str, Any]) -> Iterator[Row]:
    """Every prediction beside its cell. Raises BadRunError when the run is of another experiment."""
    run = results.run
    for one in predicted["cells"]:
        name = _cell(run, one)
        row = results.cells[results.cells["cell"] == name].iloc[0].to_dict()
        windows = float(row["repeats"]) * float(_settings(run, name)["load.measure_s"])
        for key, column, unit, factor in QUANTITIES:
            if one.get(key) is None:
                continue
            measured = Estimate.of(row, column)
            expected = factor * float(one[key])
            if unit == "ms":
                expected += _transit_ms(run, one["transport"])
            if column == "responses":
                measured = measured.scaled(1 / windows) if windows else measured
            yield Row(name, key, unit, expected, measured, str(row["status"]))


def _cell(run: Run, one: Mapping[str, Any]) -> str:
    for cell in run.cells:
        same = all(_same(cell.settings.get(key), value) for key, value in one["settings"].items())
        if cell.transport == one["transport"] and same:
            return cell.cell
    raise BadRunError(
        f"{run.folder}: no cell of {one['transport']} with {one['settings']}; expected a run of its tuned.toml"
    )


def _same(have: Any, want: Any) -> bool:
    return math.isclose(have, want, rel_tol=1e-5) if isinstance(have, float | int) else bool(have == want)


def _settings(run: Run, name: str) -> Mapping[str, Any]:
    return next(cell.settings for cell in run.cells if cell.cell == name)


def _transit_ms(run: Run, transport: str) -> float:
    return float(run.floor.get(transport, {}).get("transit_ms_p50") or 0.0)


def table(found: list[Row]) -> Iterator[str]:
    """The rows as text."""
    width = max(len(row.cell) for row in found)
    yield f"  {'cell':<{width}}  {'quantity':<12}{'predicted':>12}{'measured':>12}  {'95 % interval':<20}verdict"
    for row in found:
        interval = f"{row.measured.low:.4g} to {row.measured.high:.4g}" if math.isfinite(row.measured.low) else ""
        unit = f" {row.unit}" if row.unit else ""
        yield (
            f"  {row.cell:<{width}}  {row.quantity.removesuffix('_s'):<12}{row.predicted:>12.4g}"
            f"{row.measured.value:>12.4g}  {interval + unit if interval else unit:<20}{row.verdict}"
        )
