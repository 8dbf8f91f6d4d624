"""What a run comes to, in one line for a person and in JUnit XML for continuous integration.

The rule it keeps: both say what the exit code says. A cell that is not ``ok``, a gate that does not hold and an
experiment that measured nothing are failures; a run without cells has a failure of its own. The XML is the form that
Jenkins, GitLab and the actions of GitHub read (``testsuites`` > ``testsuite`` > ``testcase`` > ``failure``, ``error``
or ``skipped``): a suite for each experiment, in it a case for each cell's status and for each gate. It is well-formed
whatever names and reasons contain: what XML 1.0 cannot carry (section 2.2, Char) is replaced.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree as ET

from analysis.gates import Gate
from analysis.load import Cell
from analysis.results import Results

_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_KINDS = {"invalid": "failure", "failed": "error", "skipped": "skipped"}
NOTHING = "nothing measured"


@dataclass(frozen=True, slots=True)
class Case:
    """One testcase: its name, how long measuring took in s, and what is wrong (kind: element name; empty: nothing)."""

    name: str
    seconds: float = 0.0
    kind: str = ""
    said: str = ""


def line(results: Results) -> str:
    """``verdict: PASS: …`` or ``verdict: FAIL: …``, always one line."""
    told = [_cells(results), *_gates(results)]
    if results.unmeasured:
        told.append(f"{NOTHING} in {', '.join(results.unmeasured)}")
    return " ".join(f"verdict: {'PASS' if results.ok else 'FAIL'}: {'; '.join(told)}".split())


def _cells(results: Results) -> str:
    total = len(results.cells)
    if not total:
        return f"{NOTHING}: the run has no cells"
    kinds = [str(status).partition(":")[0] for status in results.cells["status"]]
    bad = [f"{kinds.count(kind)} of {total} cells {kind}" for kind in dict.fromkeys(kinds) if kind != "ok"]
    return ", ".join(bad) if bad else f"{total} of {total} cells ok"


def _gates(results: Results) -> Iterator[str]:
    total, broken = len(results.gates), [gate for gate in results.gates if not gate.holds]
    if broken:
        first = broken[0]
        more = f", and {len(broken) - 1} more" if len(broken) > 1 else ""
        holds = "does not hold" if len(broken) == 1 else "do not hold"
        yield f"{len(broken)} of {total} gates {holds} ({first.cell or first.experiment}: {first.why}{more})"
    elif total:
        yield f"{total} of {total} gates hold"


def write_junit(results: Results, path: Path) -> None:
    """Write the XML, whole or not at all, and its folder where there is none. Raises ``OSError``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.part")
    draft.write_bytes(junit(results))
    draft.replace(path)


def junit(results: Results) -> bytes:
    """The JUnit XML of a run."""
    root = ET.Element("testsuites", name=clean(results.run.name))
    suites = [(name, list(_cases(results, name))) for name in _experiments(results)]
    if not suites:
        suites = [(results.run.name, [Case("cells", kind="failure", said=f"{NOTHING}: the run has no cells")])]
    for name, cases in suites:
        suite = _counted(ET.SubElement(root, "testsuite", name=clean(name)), cases)
        suite.set("timestamp", clean(str(results.run.meta.get("started") or "")).removesuffix("Z"))
        for case in cases:
            _append(suite, name, case)
    _counted(root, [case for _, cases in suites for case in cases])
    ET.indent(root)
    text: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return text + b"\n"


def clean(text: str) -> str:
    """The text with what XML cannot carry replaced."""
    return _NOT_XML.sub("\N{REPLACEMENT CHARACTER}", text)


def _experiments(results: Results) -> list[str]:
    return list(dict.fromkeys([*results.run.experiments, *results.cells["experiment"]]))


def _cases(results: Results, experiment: str) -> Iterator[Case]:
    took = {key: sum(map(_seconds, cells)) for key, cells in results.run.groups().items()}
    if experiment in results.unmeasured:
        yield Case("measured", kind="failure", said=NOTHING)
    for row in results.cells[results.cells["experiment"] == experiment].to_dict("records"):
        status = str(row["status"])
        kind = "" if status == "ok" else _KINDS.get(status.partition(":")[0], "failure")
        yield Case(str(row["cell"]), took.get((experiment, row["cell"]), 0.0), kind, "" if status == "ok" else status)
    for gate in results.gates:
        if gate.experiment == experiment:
            yield _gate_case(gate)


def _gate_case(gate: Gate) -> Case:
    name = f"{gate.cell or 'no cell'}: {gate.name} {gate.condition}"
    return Case(name) if gate.holds else Case(name, kind="failure", said=gate.why)


def _seconds(cell: Cell) -> float:
    return (cell.window.drained_ns - cell.window.epoch_ns) / 1e9 if cell.window else 0.0


def _counted(element: ET.Element, cases: list[Case]) -> ET.Element:
    """Set the attributes that consumers read instead of counting."""
    element.set("tests", str(len(cases)))
    for attribute, kind in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        element.set(attribute, str(sum(case.kind == kind for case in cases)))
    element.set("time", f"{sum(case.seconds for case in cases):.3f}")
    return element


def _append(suite: ET.Element, experiment: str, case: Case) -> None:
    element = ET.SubElement(
        suite, "testcase", classname=clean(f"pushbench.{experiment}"), name=clean(case.name), time=f"{case.seconds:.3f}"
    )
    if case.kind:
        # The message is what lists show; the text is what opens when a case is looked at. Both say all there is.
        told = ET.SubElement(element, case.kind, message=clean(case.said))
        told.text = clean(case.said)
        if case.kind != "skipped":
            told.set("type", "failed" if case.kind == "error" else "expectation")
