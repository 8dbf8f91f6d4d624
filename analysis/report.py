"""One self-contained ``report/report.html`` for a run: questions, charts, sentences, numbers, provenance.

The rule it keeps: the page fetches nothing. Style and charts are inline, there is no script and no address of another
place in it, and a content security policy says so to the browser. Everything that came out of a run is escaped, for
labels and reasons are somebody else's words. It writes under ``report/`` alone, which can be deleted.
"""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd
from markupsafe import Markup

from analysis import charts, charts_proof, pages, proof, proof_page, report_tables, simulated
from analysis.charts import Picture
from analysis.checks import Caveat
from analysis.frames import Frames
from analysis.prose import listing
from analysis.results import Results

_TEMPLATE = "report.html.j2"


def write(results: Results) -> Path:
    """Write ``report/`` of the run anew (charts, tables, report.html) and return the page's path."""
    folder = results.run.folder / "report"
    for derived in ("charts", "tables"):
        shutil.rmtree(folder / derived, ignore_errors=True)
    frames = Frames.read(results)
    found = proof.claims(results)
    drawn = [*charts_proof.draw(found), *charts.draw(proof_page.others(frames, found))]
    pictures = [(picture, pages.inline(charts.save(picture, folder), picture.drawn)) for picture in drawn]
    _tables(results, folder / "tables")
    folder.mkdir(parents=True, exist_ok=True)
    page = folder / "report.html"
    page.write_text(render(results, frames, pictures), encoding="utf-8")
    return page


def _tables(results: Results, folder: Path) -> None:
    """Write the tables that are no chart's: theory and simulator beside measurement, and beside each other."""
    found = {
        "theory-measured": results.agreement,
        "simulator-measured": results.replayed,
        "simulator-closed_forms": pd.DataFrame([_record(row) for row in _simulated(results)]),
    }
    for name, frame in found.items():
        if len(frame):
            folder.mkdir(parents=True, exist_ok=True)
            frame.to_csv(folder / f"{name}.csv", index=False, float_format="%.9g")


def _simulated(results: Results) -> tuple[simulated.Row, ...]:
    """The simulator beside closed forms, where something of the run was held against either."""
    return simulated.rows() if len(results.replayed) or len(results.agreement) else ()


def _record(row: simulated.Row) -> dict[str, Any]:
    return asdict(row) | {"difference": row.difference, "verdict": row.verdict}


def render(results: Results, frames: Frames, pictures: list[tuple[Picture, Markup]]) -> str:
    """The page's text. ``pictures``: each chart with its inline SVG."""
    return pages.environment().get_template(_TEMPLATE).render(_context(results, frames, pictures))


def _context(results: Results, frames: Frames, pictures: list[tuple[Picture, Markup]]) -> dict[str, Any]:
    meta = results.run.meta
    tuned = proof.claims(results)
    used = [str(name) for name in results.cells if results.cells[name].notna().any()]
    return {
        "name": results.run.name,
        "when": listing(filter(None, (str(meta.get(key) or "") for key in ("started", "finished"))), "to"),
        "verdict": verdict(results),
        "headlines": [(picture.name, picture.drawn.title) for picture, _ in pictures],
        "tuned": tuned and (proof_page.headline(tuned), proof_page.meaning(), proof_page.table(tuned)),
        "proof": [pair for pair in pictures if pair[0].chart in charts_proof.CHARTS],
        "swept": proof_page.swept(tuned),
        "decision": report_tables.decision(proof_page.others(frames, tuned)),
        "overview": [pair for pair in pictures if _of_the_run(pair[0].chart, pair[0].experiment)],
        "distances": [pair for pair in pictures if pair[0].chart.simulated],
        "sections": [_section(results, frames, name, pictures) for name in _experiments(results)],
        "simulated": report_tables.simulated(_simulated(results)),
        "gates": report_tables.gates(results),
        "faulty": report_tables.faulty(results),
        "caveats": [caveat for caveat in results.caveats if not _place(results, caveat)],
        "floor": report_tables.floor(frames),
        "facts": [(title, report_tables.facts(_mapping(meta.get(key)))) for key, title in _FACTS],
        "command": command(meta),
        "folder": results.run.folder.name,
        "definitions": report_tables.definitions(used),
    }


_FACTS = (("machine", "Machine"), ("versions", "Versions"), ("git", "Revision"), ("clock", "Clock"))


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _of_the_run(chart: charts.Chart, experiment: str) -> bool:
    """Whether a picture is of the run as a whole, and in no section of its own."""
    return not experiment and not chart.simulated and chart not in charts_proof.CHARTS


def _experiments(results: Results) -> list[str]:
    """Experiments of the run's plan, then any that only its cells name."""
    return list(dict.fromkeys([*results.run.experiments, *results.cells["experiment"]]))


def _section(results: Results, frames: Frames, name: str, pictures: list[tuple[Picture, Markup]]) -> dict[str, Any]:
    about = results.run.experiments.get(name, {})
    return {
        "name": name,
        "title": str(about.get("title") or name),
        "question": str(about.get("question") or ""),
        "pictures": [pair for pair in pictures if pair[0].experiment == name],
        "numbers": report_tables.numbers(frames, name),
        "agreement": report_tables.agreement(frames, name),
        "replayed": report_tables.replayed(frames, name),
        "caveats": [caveat for caveat in results.caveats if _place(results, caveat) == name],
    }


def _place(results: Results, caveat: Caveat) -> str:
    """The experiment a caveat belongs beside: the only one with such a cell; empty for the run's, or one of several."""
    cell = caveat.where.partition(" (repeat")[0]
    owners = {one.experiment for one in results.run.cells if one.cell == cell}
    return owners.pop() if len(owners) == 1 else ""


def verdict(results: Results) -> tuple[str, str]:
    """(``good`` or ``bad``, what may be concluded from this run at all)."""
    total, bad = len(results.cells), results.cells[results.cells["status"] != "ok"]
    broken = [gate for gate in results.gates if not gate.holds]
    if not total or len(bad) == total:
        return "bad", f"Nothing can be concluded from this run: none of its {total} cells is valid."
    said = (
        f"All {total} cells are ok."
        if bad.empty
        else f"{total - len(bad)} of {total} cells are ok; {_kinds(bad['status'])}. They are drawn hollow."
    )
    if broken:
        said += f" {len(broken)} of {len(results.gates)} expectations do not hold."
    return ("bad" if len(bad) or broken else "good"), said


def _kinds(statuses: Any) -> str:
    kinds = [str(status).partition(":")[0] for status in statuses]
    return listing(f"{kinds.count(kind)} {kind}" for kind in dict.fromkeys(kinds))


def command(meta: Mapping[str, Any]) -> str:
    """The command that repeats the run, as it would be typed; empty when it was not recorded."""
    recorded = meta.get("command") or ""
    return shlex.join(str(part) for part in recorded) if isinstance(recorded, list) else str(recorded)
