"""The worked notebooks: the reader's numbers in the first cell, and all that follows from them."""

import ast
import math
import re

import numpy as np
import pytest

from analysis import charts_checked, charts_choice, charts_worked, costs, notebook, tune_charts, worked
from analysis.load import BadRunError, open_run
from analysis.results import evaluated
from tests.analysis.fake_run import make

SOURCES = [one for one in sorted(notebook.SOURCES.glob("*.py")) if "which" in one.stem]
NUMBERS = {"rate_hz": 0.5, "p95_s": 2.0, "clients": 20_000, "rtt_s": 0.06, "most_empty": 0.3, "proxy_timeout_s": 60.0}
# For another reader: a busy feed, few clients, no proxy.
OTHERS = {"rate_hz": 8.0, "p95_s": 30.0, "clients": 300, "rtt_s": 0.2, "most_empty": 0.05, "proxy_timeout_s": 20}


@pytest.fixture(scope="module")
def reference():
    return evaluated(open_run(costs.REFERENCE))


@pytest.fixture(scope="module")
def mine(reference):
    return worked.ask(reference, **NUMBERS)


@pytest.fixture
def told(monkeypatch):
    """Charts as their words and their table: drawing pixels is another test's."""
    monkeypatch.setattr(
        worked, "_picture", lambda name, drawn: notebook.say(f"{name}: {drawn.title} {drawn.sentence} {drawn.table}")
    )


def parts(source):
    """A notebook's text before its first cell of code, that cell, and what follows."""
    before, first, after = re.split(r"(?<=\n)# %%\n", source.read_text(), maxsplit=2)
    return before, first, f"# %%\n{after}"


def shown(source, **numbers):
    """Run a notebook with other numbers in its first cell; what each later cell shows, as text."""
    _, first, after = parts(source)
    for name, value in numbers.items():
        first, found = re.subn(rf"(?m)^{name} = .*$", f"{name} = {value!r}", first)
        assert found == 1, name
    space, seen = {}, []
    for node in ast.parse(first + after).body:
        code = ast.unparse(node)
        if isinstance(node, ast.Expr):
            seen.append((code, str(eval(code, space))))
        else:
            exec(code, space)
    return seen


_SEEN: dict = {}


def usual(source):
    """What it shows for NUMBERS, run once."""
    if source.stem not in _SEEN:
        _SEEN[source.stem] = shown(source, **NUMBERS)
    return _SEEN[source.stem]


@pytest.fixture(autouse=True)
def named(monkeypatch):
    monkeypatch.setenv(notebook.RUN, str(costs.REFERENCE))


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.stem)
def test_the_first_cell_is_numbers_with_a_comment_each(source):
    before, first, _ = parts(source)
    assert "first cell" in before
    lines = first.strip().splitlines()
    assert all(re.fullmatch(r"\w+ = (\S+|None)  # .+", line) for line in lines), lines
    assert {line.split(" ")[0] for line in lines} >= {*NUMBERS, "trace"}
    for line in lines:
        ast.literal_eval(line.split("  # ")[0].partition(" = ")[2])


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.stem)
def test_no_result_is_written_down(source):
    _, _, after = parts(source)
    code = [node for node in ast.walk(ast.parse(after)) if isinstance(node, ast.Constant)]
    assert [node.value for node in code if isinstance(node.value, int | float)] == []


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.stem)
def test_other_numbers_make_everything_else(source, told):
    before, after = usual(source), shown(source, **OTHERS)
    assert len(before) == len(after) >= 8
    # the measured cells of the costs are the same for everybody
    fixed = {"worked.check_costs(mine)"}
    same = [code for (code, one), (_, other) in zip(before, after, strict=True) if one == other and code not in fixed]
    assert same == []


def test_answers_are_the_tuners(told):
    interval, hold, transport = (dict(usual(source)) for source in SOURCES)
    assert "every 2.07 s: 95 % of updates within 2 s" in interval["worked.poll_interval(mine)"]
    assert "at most 30 % empty would need 2.41 s" in interval["worked.poll_interval(mine)"].lower()
    assert "hold 30 s (the proxy cuts at 60 s)" in hold["worked.hold_timeout(mine)"]
    assert "What we would choose: " in transport["worked.transport(mine)"]
    for seen in (interval, hold, transport):
        assert "Costs from the committed reference run" in seen["worked.question(mine)"]


def test_a_trace_takes_the_place_of_the_rate(tmp_path, told):
    path = tmp_path / "events.csv"
    rng = np.random.default_rng(1)
    times = np.cumsum(rng.choice([0.2, 30.0], 2000, p=[0.9, 0.1]))
    path.write_text("".join(f"{at:.3f}\n" for at in times))
    seen = dict(shown(SOURCES[0], **{**NUMBERS, "rate_hz": None, "trace": str(path)}))
    assert "a trace of 2,000 events" in seen["worked.question(mine)"]
    assert "Your events do not come evenly" in seen["worked.check_polling(mine)"]


@pytest.mark.parametrize(
    ("numbers", "says"),
    [
        ({"rate_hz": -1}, "rate_hz = -1, expected events per second of a client, such as 0.5"),
        ({"rate_hz": None}, "rate_hz = None, expected events"),
        ({"p95_s": "2 s"}, "p95_s = '2 s', expected seconds, such as 2.0"),
        ({"p95_s": math.nan}, "p95_s = nan"),
        ({"clients": True}, "clients = True"),
        ({"most_empty": 30}, "most_empty = 30, expected a share between 0 and 1"),
        ({"rtt_s": -0.1, "clients": 0}, "clients = 0, expected a number of at least 1, such as 20_000; rtt_s = -0.1,"),
        ({"proxy_timeout_s": 0}, "proxy_timeout_s = 0, expected seconds, such as 60, or None"),
        ({"core_hour": -1}, "core_hour = -1, expected a price"),
        ({"trace": "none.csv"}, "trace: none.csv: No such file"),
        ({"trace": 3}, "trace: "),
    ],
)
def test_numbers_that_make_no_sense_are_one_line(reference, numbers, says):
    with pytest.raises(worked.BadNumbersError) as caught:
        worked.ask(reference, **{**NUMBERS, **numbers})
    assert str(caught.value).startswith("first cell: ")
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)
    # what IPython shows in a traceback's stead
    assert caught.value._render_traceback_() == [str(caught.value)]


@pytest.mark.parametrize(
    "chart",
    [
        charts_worked.waiting, charts_worked.asking, charts_worked.cleverer, charts_worked.holding,
        charts_worked.cutting, charts_worked.crossing, charts_choice.freshness,
        charts_choice.paying, charts_choice.flipping,
    ],
    ids=lambda chart: chart.__name__,
)  # fmt: skip
@pytest.mark.parametrize("changed", [{}, {"rtt_s": 0}, {"p95_s": 0.001}, {"rate_hz": 1e-5}, {"rate_hz": 5e4}], ids=str)
def test_a_chart_is_drawn_of_any_numbers(reference, chart, changed):
    drawn = chart(answered(reference, **changed))
    assert drawn.title
    assert drawn.sentence.endswith(".")
    assert "nan" not in f"{drawn.title} {drawn.sentence}"
    assert len(drawn.table) or chart is charts_choice.flipping


_KEPT: dict = {}


def answered(reference, **changed):
    key = str(changed)
    if key not in _KEPT:
        _KEPT[key] = worked.ask(reference, **{**NUMBERS, **changed}).answer
    return _KEPT[key]


def test_waits_are_the_formulas(mine):
    drawn = charts_worked.waiting(mine.answer)
    at = drawn.table.set_index("share")["within_s"]
    period = (2.0 - 0.03) / 0.95
    assert at[0.95] == pytest.approx(2.0)
    assert at[0.5] == pytest.approx(0.03 + period / 2)
    assert drawn.sentence == "The longest interval that is fresh enough: (2 s - 0.03 s) / 0.95 = 2.07 s."


def test_a_hold_beyond_the_proxy_is_cut(reference):
    seldom = answered(reference, rate_hz=0.01)
    table = charts_worked.cutting(seldom).table
    below, beyond = (table[table["hold_s"] < 60], table[table["hold_s"] > 60.01])
    assert (below["cut"] == 0).all()
    # no event within the time-out: e^(-0.01 x 60)
    assert beyond["cut"].to_numpy() == pytest.approx(math.exp(-0.6), abs=0.03)
    assert (beyond["longest_s"] > below["longest_s"].max() + 0.3).all()
    assert charts_worked.cutting(answered(reference, proxy_timeout_s=None)) is None


def test_polling_asks_less_from_one_event_an_interval_on(mine):
    drawn = charts_worked.crossing(mine.answer)
    border = drawn.table[drawn.table["held_hz"] > drawn.table["polled_hz"]]["rate_hz"].min()
    # 1/C = 1/P: the event comes, and the gap behind it
    assert border == pytest.approx(1 / (2.07 - 0.06), rel=0.13)  # a step of the grid is 12 %


def test_a_measured_run_lies_on_the_formulas(tmp_path, reference):
    run = open_run(make(tmp_path / "run", ("poll_interval", "hold_timeout"), repeats=1, scale=0.2))
    measured = evaluated(run)
    for name in ("polling", "long_polling"):
        drawn = charts_checked.forms(measured, name, 1.0, 0.3)
        assert len(drawn.table) >= 4
        assert (drawn.table["empty_ratio"] - drawn.table["empty_formula"]).abs().max() < 0.12  # a window of seconds
        assert drawn.sentence.partition(". ")[0].endswith(f"in {len(drawn.table)} cells")


def test_a_cell_beside_the_formula_is_seen(reference):
    cells = reference.cells.copy()
    one = cells["cell"] == "polling/polling.interval_s=1"
    for end in ("", "_low", "_high"):
        cells.loc[one, f"delivery_ms_p95{end}"] *= 1.4
        cells.loc[one, f"empty_ratio{end}"] += 0.2
    other = type(reference)(reference.run, reference.summary, cells, reference.agreement, reference.replayed, (), ())
    assert "at most 40 % from the formula, empty answers 2" in charts_checked.forms(other, "polling", 1, 0.3).title
    assert "40 %" not in charts_checked.forms(reference, "polling", 1, 0.3).title


def test_without_such_cells_the_reference_is_taken_and_said(tmp_path, told):
    run = open_run(make(tmp_path / "run", ("fan_out",), transports=("sse",), repeats=1, scale=0.2))
    mine = worked.ask(evaluated(run), **NUMBERS)
    assert "these are the committed reference's" in str(worked.check_polling(mine))
    assert "Costs from the committed reference run" in str(worked.question(mine))
    assert mine.costed.run.folder == costs.REFERENCE.resolve()


def test_costs_lie_on_their_lines(mine):
    drawn = charts_checked.costs(mine.costed, mine.answer.asked.costs)
    ratio = drawn.table["measured_us"] / drawn.table["line_us"]
    assert len(ratio) > 12
    assert ratio.median() == pytest.approx(1, abs=0.1)


def test_a_run_without_rows_is_read_from_its_tables(reference, tmp_path):
    assert len(reference.cells) > 40
    assert "delivery_ms_p95_low" in reference.cells
    bare = tmp_path / "run"
    bare.mkdir()
    (bare / "run.json").write_text((costs.REFERENCE / "run.json").read_text())
    with pytest.raises(BadRunError, match="raw rows were left out, and its tables cannot be read"):
        evaluated(open_run(bare))


def test_a_chart_is_shown_with_its_sentence_else_what_stands_in_its_stead(mine, reference):
    picture = worked.draw(mine, tune_charts.hold)
    assert picture._repr_html_().startswith("<svg")
    assert "hold of 30 s" in str(picture)
    free = worked.ask(reference, **{**NUMBERS, "proxy_timeout_s": None})
    assert str(worked.draw(free, charts_worked.cutting, "nothing between")) == "nothing between"
