import ast
import json
import runpy
import sys
from types import SimpleNamespace

import pytest

from analysis import costs, notebook
from analysis.load import BadRunError, open_run
from analysis.results import evaluate, evaluated
from tests.analysis.fake_run import make

SOURCES = sorted(notebook.SOURCES.glob("*.py"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return make(tmp_path_factory.mktemp("notebook") / "run", repeats=1, scale=0.2)


@pytest.fixture(scope="module")
def results(folder):
    return evaluate(open_run(folder))


def test_there_are_seven():
    assert [source.stem for source in SOURCES] == [
        "1_first_look", "2_poll_intervals", "3_hold_timeouts", "4_connection_cost",
        "5_which_poll_interval", "6_which_hold_timeout", "7_which_transport",
    ]  # fmt: skip


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.stem)
def test_a_notebook_is_prose_and_calls(source):
    text = source.read_text()
    allowed = (ast.ImportFrom, ast.Assign, ast.Expr)
    assert [type(node).__name__ for node in ast.parse(text).body if not isinstance(node, allowed)] == []
    assert text.startswith("# %% [markdown]\n# # ")
    assert "**Next:**" in text.split("# %%")[-1]


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.stem)
def test_a_notebook_runs_on_a_run(source, folder, monkeypatch):
    monkeypatch.setenv(notebook.RUN, str(folder))
    assert runpy.run_path(str(source))["results"].run.folder == folder.resolve()


@pytest.mark.parametrize("source", SOURCES[:4], ids=lambda source: source.stem)
def test_a_notebook_runs_on_a_run_that_has_nothing_for_it(source, tmp_path, monkeypatch):
    folder = make(tmp_path / "run", ("fan_out",), transports=("sse",), repeats=1, scale=0.2)
    monkeypatch.setenv(notebook.RUN, str(folder))
    assert runpy.run_path(str(source))


def test_a_chart_is_shown_with_its_sentence_and_fetches_nothing(results):
    shown = notebook.show(results, "poll_interval")
    html = shown._repr_html_()
    assert str(shown).startswith("Half the poll interval")
    assert html.startswith("<svg")
    assert str(shown) in html.replace("&#39;", "'")
    assert "http" not in html.partition(">")[2].split("<p>")[0]


def test_a_chart_the_run_cannot_draw_says_what_is_missing(tmp_path):
    run = open_run(make(tmp_path / "run", ("fan_out",), transports=("sse",), repeats=1, scale=0.2))
    shown = notebook.show(evaluate(run), "hold_timeout")
    assert "cannot answer" in str(shown)
    assert "long_polling.hold_s" in str(shown)


def test_a_chart_that_does_not_exist_is_refused_with_those_that_do(results):
    with pytest.raises(ValueError, match=r"no chart 'nope'; there are frontier, .*connection"):
        notebook.show(results, "nope")


def test_tables_have_the_columns_that_the_run_has(results):
    frame = notebook.cells(results, "polling.interval_s", "delivery_ms_mean", "no_such_metric")
    assert list(frame.columns) == ["experiment", "status", "polling.interval_s", "delivery_ms_mean"]
    assert frame["polling.interval_s"].notna().all()
    assert notebook.cells(results, "no_such_metric").empty
    assert set(notebook.agreement(results, "poll_interval")["quantity"]) >= {"delivery_ms_mean", "empty_ratio"}


def test_without_the_tools_one_line_says_what_to_do(folder, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "jupytext", None)
    assert notebook.execute(open_run(folder)) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "jupytext" in said
    assert "`make notebooks` installs it" in said


def test_every_notebook_is_executed_on_the_named_run_into_a_page(folder, monkeypatch, capsys):
    seen = []

    class Client:
        def __init__(self, source, **options):
            self.source, self.options, self.manager = source, options, SimpleNamespace()

        def create_kernel_manager(self):
            return self.manager

        def execute(self, env):
            seen.append((self.source.stem, env[notebook.RUN], self.options["kernel_name"], self.manager.transport))

    exporter = SimpleNamespace(from_notebook_node=lambda source: (f"<p>{source.stem}</p>", {}))
    monkeypatch.setitem(sys.modules, "jupytext", SimpleNamespace(read=lambda source: source))
    monkeypatch.setitem(sys.modules, "nbclient", SimpleNamespace(NotebookClient=Client))
    monkeypatch.setitem(sys.modules, "nbconvert", SimpleNamespace(HTMLExporter=lambda **_: exporter))
    run = open_run(folder)
    assert notebook.execute(run) == 0
    assert seen == [(source.stem, str(run.folder), "python3", "ipc") for source in SOURCES]
    page = (folder / "report" / "notebooks" / "1_first_look.html").read_text()
    assert page.startswith("<!doctype html>")
    assert "<p>1_first_look</p>" in page
    assert len(capsys.readouterr().out.splitlines()) == 7
    assert json.loads((folder / "run.json").read_text())["name"] == "fake"


def test_a_cell_that_fails_is_one_line(folder, monkeypatch):
    class CellExecutionError(Exception):
        evalue = "first cell: rate_hz = -1, expected events per second"

    class Client:
        def __init__(self, source, **options): ...

        def create_kernel_manager(self):
            return SimpleNamespace()

        def execute(self, env):
            raise CellExecutionError

    tools = SimpleNamespace(NotebookClient=Client, exceptions=SimpleNamespace(CellExecutionError=CellExecutionError))
    monkeypatch.setitem(sys.modules, "jupytext", SimpleNamespace(read=lambda source: source))
    monkeypatch.setitem(sys.modules, "nbclient", tools)
    monkeypatch.setitem(sys.modules, "nbconvert", SimpleNamespace())
    with pytest.raises(BadRunError, match=r"1_first_look\.py: first cell: rate_hz = -1, expected") as caught:
        notebook.execute(open_run(folder))
    assert "\n" not in str(caught.value)


def test_a_run_kept_without_its_rows_says_where_the_theory_is():
    kept = evaluated(open_run(costs.REFERENCE))
    assert "in its report.html" in str(notebook.agreement(kept, "poll_interval"))
    assert len(notebook.cells(kept, "polling.interval_s", "delivery_ms_mean")) == 12
