"""The proof in the report: its section, its two pictures, and nothing of it where nothing was tuned."""

import pytest

from analysis import charts_proof, proof, report
from analysis.load import open_run
from analysis.results import evaluate
from tests.analysis.tuned_run import HELD, POLLED, RIGHT_S, SHARES, tuned_run


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    return evaluate(open_run(tuned_run(tmp_path_factory.mktemp("tuned") / "run")))


def test_the_report_has_a_section_with_a_row_for_each_setting(results):
    text = report.write(results).read_text()
    assert text.count('<section id="tuned">') == 1
    section = text.split('<section id="tuned">')[1].split("</section>")[0]
    assert section.count("<tr>") == 1 + 2
    assert "2 of 2 recommended settings hold" in section
    assert section.count("<figure") == 2
    assert "Its grid is drawn in" in text
    charts = {path.stem for path in (results.run.folder / "report" / "charts").glob("*.svg")}
    assert charts == {"tuned_interval", "tuned_hold"}


def test_the_headline_says_what_was_found(results):
    interval, hold = charts_proof.draw(proof.claims(results))
    assert interval.drawn.title.startswith("The recommended interval is the longest that is fresh enough, in 1 of 1")
    assert hold.drawn.title.startswith("The recommended hold is the cheapest that is safe")
    table = interval.drawn.table
    assert list(table["share"].round(3)) == list(SHARES)
    assert table["in_time"].tolist()[:4] == [True] * 4
    assert not table["in_time"].tolist()[-1]
    assert (table["p95_s"] / table["p95_s_predicted"]).between(0.97, 1.03).all()


def test_a_wrong_setting_is_in_the_headline(tmp_path):
    folder = tuned_run(tmp_path / "run", POLLED | {"interval_s": 0.9 * RIGHT_S}, shares=(0.8, 0.9, 1.0, 1.1), holds=())
    (interval,) = charts_proof.draw(proof.claims(evaluate(open_run(folder))))
    assert interval.drawn.title == "The recommended interval is where it should be in 0 of 1 workloads"
    assert "What does not hold: 0.5/s, p95 2 s: dear: requests +1" in interval.drawn.sentence


def test_one_setting_alone_is_a_row_and_no_picture(tmp_path):
    folder = tuned_run(tmp_path / "run", POLLED, HELD, shares=(1.0,), holds=())
    results = evaluate(open_run(folder))
    text = report.write(results).read_text()
    assert "meets the goal; no grid beside it" in text
    assert not list(charts_proof.draw(proof.claims(results)))
    assert list((folder / "report" / "charts").glob("*.svg"))  # those of every other run


def test_where_nothing_was_tuned_there_is_no_section(tmp_path):
    folder = tuned_run(tmp_path / "run", {}, {}, shares=(0.9, 1.0), holds=())
    assert 'id="tuned"' not in report.write(evaluate(open_run(folder))).read_text()
