"""What the notebooks call, and how they are run: open a run, show a chart with its sentence, execute the sources.

The rule it keeps: notebooks are prose and calls, every function lives in a module; they are kept as text (jupytext's
percent format) and executed anew, so no output is ever committed. The run is named by ``PUSHBENCH_RUN``, else it is
``results/latest``.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import pandas as pd
from markupsafe import Markup, escape

from analysis import charts, drawn, style
from analysis.charts import CHARTS
from analysis.drawn import Drawn
from analysis.frames import Frames, cell_name, has, is_setting, known, rows
from analysis.load import BadRunError, Run, open_run
from analysis.pages import inline
from analysis.results import Results, evaluated

RUN = "PUSHBENCH_RUN"
SOURCES = Path(__file__).parent / "notebooks"
_CELL_S = 600  # longest time one cell may take
_TOOLS = ("jupytext", "nbclient", "nbconvert")


@dataclass(frozen=True, slots=True)
class Shown:
    """Something to look at: HTML for a notebook, text everywhere else."""

    text: str
    html: Markup

    def _repr_html_(self) -> str:
        return str(self.html)

    def __str__(self) -> str:
        return self.text


def opened() -> Results:
    """The run named by ``PUSHBENCH_RUN`` (else ``results/latest``), evaluated. Raises ``BadRunError``."""
    return evaluated(open_run(Path(os.environ.get(RUN, "results/latest"))))


def show(results: Results, name: str) -> Shown:
    """A chart of CHARTS by its name, with its sentence; where several experiments have it, the first."""
    frames = Frames.read(results)
    chart = next((chart for chart in CHARTS if chart.name == name), None)
    if chart is None:
        raise ValueError(f"no chart {name!r}; there are {', '.join(chart.name for chart in CHARTS)}")
    picture = next(charts.draw(frames, [chart]), None)
    if picture is None:
        return say(f"This run cannot answer “{chart.question}”: it lacks {', '.join(chart.needs)}, or what to compare.")
    return shown(picture.name, picture.drawn)


def shown(name: str, found: Drawn) -> Shown:
    """A chart that was drawn, with its sentence where that says more than its title."""
    said = "" if found.sentence == f"{found.title}." else Markup("<p>{}</p>").format(found.sentence)
    return Shown(found.sentence, inline(drawn.svg(name, found), found) + said)


def say(text: str) -> Shown:
    """A sentence, to stand where a chart would."""
    return Shown(text, Markup("<p>{}</p>").format(text))


def cells(results: Results, *columns: str) -> pd.DataFrame:
    """The measured cells that have the first of ``columns`` and any metric among them, with those the run has."""
    frames = Frames.read(results)
    frame = known(frames.cells, columns[0])
    metrics = [name for name in columns if not is_setting(name) and has(frame, name)]
    frame = frame.dropna(subset=metrics, how="all") if metrics else frame
    names = pd.Index([cell_name(frames, row) for row in rows(frame)], name="cell")
    apart = ["experiment"] if len(set(frame["experiment"])) > 1 else []
    return frame[[*apart, "status", *(name for name in columns if has(frame, name))]].set_index(names).round(4)


def agreement(results: Results, experiment: str) -> pd.DataFrame | Shown:
    """Theory beside measurement for one experiment; it takes the raw rows."""
    if not results.run.has_rows:
        return say("The raw rows of this run were left out: theory beside measurement is in its report.html.")
    frames = Frames.read(results)
    found = results.agreement[results.agreement["experiment"] == experiment]
    names = pd.Index([cell_name(frames, row) for row in rows(found)], name="cell")
    return found.drop(columns=["experiment", "transport", "cell"]).set_index(names).round(4)


EXAMPLES = """examples:
  python -m analysis notebooks results/latest
  python -m analysis notebooks results/reference
"""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what ``notebooks`` reads."""
    latest = Path("results/latest")
    parser.add_argument("run", type=Path, nargs="?", default=latest, help=f"a run folder (default {latest})")


def notebooks_verb(options: argparse.Namespace) -> int:
    """Execute the notebooks on the run."""
    return execute(open_run(options.run))


def execute(run: Run) -> int:
    """Execute every notebook on ``run`` into ``report/notebooks/*.html``; exit code 0, or 2 without the tools.

    Raises BadRunError where a cell does: a notebook's numbers that make no sense are one line, too.
    """
    try:
        tools = [importlib.import_module(name) for name in _TOOLS]
    except ImportError as error:
        print(f"python -m analysis: notebooks need {error.name}; `make notebooks` installs it", file=sys.stderr)
        return 2
    folder = run.folder / "report" / "notebooks"
    folder.mkdir(parents=True, exist_ok=True)
    for source in sorted(SOURCES.glob("*.py")):
        page = folder / f"{source.stem}.html"
        page.write_text(_page(source, run, *tools), encoding="utf-8")
        print(page)
    return 0


def _page(source: Path, run: Run, jupytext: ModuleType, nbclient: ModuleType, nbconvert: ModuleType) -> str:
    """One notebook, executed, as a page that fetches nothing."""
    notebook = jupytext.read(source)
    client = nbclient.NotebookClient(notebook, timeout=_CELL_S, kernel_name="python3")
    if os.name == "posix":  # a socket of ours alone, not a port that others on this machine could connect to
        client.create_kernel_manager().transport = "ipc"
    try:
        client.execute(env={**os.environ, RUN: str(run.folder)})
    except nbclient.exceptions.CellExecutionError as error:
        raise BadRunError(f"{source.name}: {error.evalue}") from None
    body, _ = nbconvert.HTMLExporter(template_name="basic").from_notebook_node(notebook)
    return _PAGE.format(title=escape(source.stem), style=Markup(_STYLE), body=Markup(body))  # noqa: S704 - nbconvert's own HTML


_PAGE = Markup(
    '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title><style>{style}</style></head>'
    "<body>{body}</body></html>"
)
_STYLE = f"""
body {{ max-width: 1100px; margin: 24px auto; padding: 0 20px;
  color: {style.INK}; font: 15px/1.5 system-ui, sans-serif; }}
pre {{ background: #f6f8fa; padding: 8px 12px; overflow-x: auto; }} svg {{ width: 100%; height: auto; }}
table {{ border-collapse: collapse; border: 0; font-size: 13px; display: block; overflow-x: auto; }}
td, th {{ padding: 3px 9px; border: 0; border-bottom: 1px solid {style.GRID}; text-align: right; white-space: nowrap; }}
td:last-child {{ white-space: normal; }}
.anchor-link, .prompt, .jp-InputPrompt, .jp-OutputPrompt {{ display: none; }}
"""
