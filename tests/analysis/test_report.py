import html.parser
import json
import re

import pytest

from analysis import report
from analysis.load import open_run
from analysis.results import evaluate
from tests.analysis.fake_run import make

EVIL = "<script>alert(1)</script>\" onload='x' -->"
VOID = {"meta", "br", "img", "link", "hr"}


class Page(html.parser.HTMLParser):
    """What a browser would see: tags, attributes, text; and whether every tag is closed by its own."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes, self.text, self.open = [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if not self.open or self.open[-1] != "style":
            self.text.append(data)

    @property
    def words(self):
        return " ".join(" ".join(self.text).split())


def written(folder, change=None):
    """The report of a run folder, after ``change`` has had its run.json: (text, page)."""
    if change:
        meta = json.loads((folder / "run.json").read_text())
        change(meta)
        (folder / "run.json").write_text(json.dumps(meta))
    text = report.write(evaluate(open_run(folder))).read_text()
    return text, Page(text)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = make(tmp_path_factory.mktemp("whole") / "run", repeats=1, scale=0.2)
    return folder, *written(folder)


@pytest.fixture(scope="module")
def spoiled(tmp_path_factory):
    """A run whose every word is hostile, a third of its cells failed and a third late."""

    def spoil(meta):
        for place, cell in enumerate(meta["cells"]):
            if place % 3 == 0:
                cell |= {"status": "failed", "why": EVIL}
            if place % 3 == 1:
                cell["load"] |= {"late_ms_p99": 5000.0, "failures": {EVIL: 2}}
        meta["transports"]["sse"]["label"] = EVIL
        meta["experiments"]["poll_interval"] |= {"title": EVIL, "question": EVIL, "expect": {"lost": "== 0"}}
        meta["machine"]["cpu"] = EVIL
        meta["command"] = ["python", "-m", "loadtests", "run", EVIL]
        meta["name"] = EVIL

    folder = make(tmp_path_factory.mktemp("spoiled") / "run", ("fan_out", "poll_interval"), repeats=1, scale=0.2)
    return written(folder, spoil)


def test_the_page_fetches_nothing(whole):
    _, text, page = whole
    assert not re.search(r"(?i)https?:|//[a-z]+\.[a-z]|@import|<link|<script|<iframe|<img", text)
    links = [value for name, value in page.attributes if name in ("href", "src", "xlink:href", "action")]
    assert links
    assert all(value.startswith("#") for value in links)
    assert all(target.startswith("#") for target in re.findall(r"url\((.*?)\)", text))
    assert ("content", "default-src 'none'; style-src 'unsafe-inline'; img-src data:") in page.attributes


def test_the_page_is_well_formed_and_its_anchors_lead_somewhere(whole):
    _, _, page = whole
    assert not page.open
    ids = [value for name, value in page.attributes if name == "id"]
    anchors = [value[1:] for name, value in page.attributes if name == "href"]
    assert anchors
    assert set(anchors) <= set(ids)


def test_every_chart_is_in_the_page_and_beside_it(whole):
    folder, _, page = whole
    charts = {path.stem for path in (folder / "report" / "charts").glob("*.svg")}
    assert len(charts) >= 7
    assert charts == {path.stem for path in (folder / "report" / "charts").glob("*.png")}
    tables = {path.stem for path in (folder / "report" / "tables").glob("*.csv")}
    assert tables == charts | {"theory-measured", "simulator-measured", "simulator-closed_forms"}
    assert page.tags.count("figure") == page.tags.count("svg") == len(charts)


def test_the_page_stays_below_three_megabytes(whole):
    assert len(whole[1].encode()) < 3_000_000


def test_the_page_says_what_was_asked_measured_and_how_to_repeat_it(whole):
    _, _, page = whole
    for words in (
        "What poll interval buys what freshness?",
        "The transports side by side",
        "Theory and measurement",
        "Simulator and measurement",
        "Simulator and closed forms",
        "How far away may a long poller be?",
        "The floor of the instrument",
        "python -m loadtests run --suite default",
        "Made-up CPU",
        "received - due",
    ):
        assert words in page.words


def test_colours_follow_the_page(whole):
    _, text, _ = whole
    svg = text[text.index("<svg") : text.index("</svg>")]
    assert "var(--ink, #1b1f24)" in svg
    assert "prefers-color-scheme: dark" in text


def test_only_report_is_written_and_writing_again_leaves_nothing_behind(tmp_path):
    folder = make(tmp_path / "run", ("connection_cost",), transports=("sse", "websocket"), repeats=1, scale=0.2)
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    text, _ = written(folder)
    stale = folder / "report" / "charts" / "of_yesterday.svg"
    stale.write_text("stale")
    assert written(folder)[0] == text
    assert not stale.exists()
    after = {path: path.stat().st_mtime_ns for path in folder.rglob("*") if "report" not in path.parts}
    assert {path: at for path, at in after.items() if path != folder} == {
        path: at for path, at in before.items() if path != folder
    }


def test_what_a_run_says_is_escaped(spoiled):
    text, page = spoiled
    assert "script" not in page.tags
    assert not [name for name, _ in page.attributes if name.startswith("on")]
    assert EVIL not in text
    assert EVIL in page.words
    assert not page.open


def test_bad_cells_are_counted_named_and_explained(spoiled):
    _, page = spoiled
    assert re.search(r"\d+ of 24 cells are ok; \d+ failed and \d+ invalid", page.words)
    assert "Not concluded from" in page.words
    assert "5e+03 ms late" in page.words or "5,000 ms late" in page.words or "5000 ms late" in page.words


def test_expectations_stand_with_their_verdict(spoiled):
    _, page = spoiled
    assert "Expectations" in page.words
    assert "lost == 0" in page.words


def test_a_run_without_a_valid_cell_says_that_nothing_can_be_concluded(tmp_path):
    def fail(meta):
        for cell in meta["cells"]:
            cell |= {"status": "failed", "why": "the server died"}
        meta["cells"][0]["window"] = None

    folder = make(tmp_path / "run", ("connection_cost",), transports=("sse", "websocket"), repeats=1, scale=0.2)
    _, page = written(folder, fail)
    assert "Nothing can be concluded from this run: none of its 2 cells is valid." in page.words
    assert "the server died" in page.words


def test_a_run_that_never_began_has_a_report(tmp_path):
    folder = make(tmp_path / "run", ("fan_out",), transports=("sse",), repeats=1, scale=0.2)
    _, page = written(folder, lambda meta: meta.update(cells=[], floor={}, machine={}, versions={}, command=[]))
    assert "Nothing can be concluded" in page.words
    assert "There is no chart" in page.words


def test_one_transport_and_one_experiment_are_enough(tmp_path):
    folder = make(tmp_path / "run", ("fan_out",), transports=("websocket",), repeats=1, scale=0.2)
    _, page = written(folder)
    assert "All 3 cells are ok." in page.words
    assert "WebSocket" in page.words


def test_nothing_to_compare_with_a_model_has_no_table_of_the_simulator(tmp_path):
    folder = make(tmp_path / "run", ("fan_out",), transports=("websocket",), repeats=1, scale=0.2)
    _, page = written(folder)
    assert "Simulator" not in page.words
    assert not (folder / "report" / "tables" / "simulator-closed_forms.csv").exists()
