import json

import pytest

from analysis.load import BadRunError, open_run
from tests.analysis import fake_run


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    where = tmp_path_factory.mktemp("run") / "run"
    return fake_run.make(where, ("poll_interval", "connection_cost"), repeats=2, scale=0.2)


def rewritten(folder, tmp_path, change):
    """A run folder with the same cells, and its run.json changed."""
    meta = json.loads((folder / "run.json").read_text())
    change(meta)
    (tmp_path / "run.json").write_text(json.dumps(meta))
    (tmp_path / "cells").symlink_to(folder / "cells")
    return tmp_path


def test_a_run_describes_itself(folder):
    run = open_run(folder)
    assert run.axes == ("polling.interval_s",)
    assert run.label("sse") == "Server-Sent Events"
    assert run.label("carrier_pigeon") == "carrier_pigeon"
    assert (run.pulls("polling"), run.pulls("sse"), run.pulls("carrier_pigeon")) == (True, False, False)


def test_groups_hold_the_repeats_in_the_order_of_the_axis(folder):
    groups = open_run(folder).groups()
    sweep = [cells for (experiment, _), cells in groups.items() if experiment == "poll_interval"]
    assert [cells[0].settings["polling.interval_s"] for cells in sweep] == [0.1, 0.25, 0.5, 1.0, 2.0, 5.0]
    assert {tuple(cell.repeat for cell in cells) for cells in sweep} == {(1, 2)}


def test_rows_are_read_with_their_types(folder):
    cell = open_run(folder).cells[0]
    assert (cell.deliveries().dtypes == "int64").all()
    assert set(cell.resources()["mark"]) == {"ready", "verified", "subscribed", "from", "to", "drained"}
    assert cell.connections()["tls_ns"].isna().all()
    assert str(cell.connections()["tcp_ns"].dtype) == "Int64"


def test_a_shared_topic_and_a_topic_for_each(folder):
    by_experiment = {cell.experiment: cell for cell in open_run(folder).cells}
    assert by_experiment["poll_interval"].topics == by_experiment["poll_interval"].subscribers == 10
    assert by_experiment["connection_cost"].topics == 1


def test_a_killed_run_has_cells_without_window_and_files(folder, tmp_path):
    def killed(meta):
        keep = ("id", "experiment", "cell", "repeat", "transport", "settings")
        meta["cells"] = [{key: meta["cells"][0][key] for key in keep} | {"id": "gone", "status": "pending"}]
        meta["finished"] = None

    (cell,) = open_run(rewritten(folder, tmp_path, killed)).cells
    assert (cell.status, cell.window, cell.role) == ("pending", None, "measure")
    assert [len(read()) for read in (cell.deliveries, cell.responses, cell.connections, cell.resources)] == [0] * 4


def test_a_torn_last_line_of_resources_is_dropped(folder, tmp_path):
    cell = open_run(folder).cells[0]
    torn = tmp_path / "cells" / cell.id
    torn.mkdir(parents=True)
    text = (cell.folder / "resources.csv").read_text()
    (torn / "resources.csv").write_text(text + "1,to,server,100,1,2,3,4,5,6,7\n")
    (tmp_path / "run.json").write_text((folder / "run.json").read_text())
    assert len(open_run(tmp_path).cells[0].resources()) == len(cell.resources())


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "cannot be read as JSON"),
        ("[]", "format = None"),
        ('{"format": "1"}', "format = '1'"),
        ('{"format": 2}', "format = 2, but this program reads up to 1"),
        ('{"format": 1, "cells": [{"id": "x"}]}', "KeyError: 'experiment'"),
        ('{"format": 1, "cells": [7]}', "a cell cannot be read"),
        ('{"format": 1, "cells": null}', "a cell cannot be read"),
    ],
)
def test_what_is_no_run_is_one_line(tmp_path, text, says):
    (tmp_path / "run.json").write_text(text)
    with pytest.raises(BadRunError) as caught:
        open_run(tmp_path)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_folder_without_a_run(tmp_path):
    with pytest.raises(BadRunError, match=r"no run\.json here"):
        open_run(tmp_path / "nowhere")


def test_a_broken_parquet_file_is_named(folder, tmp_path):
    cell = open_run(folder).cells[0]
    broken = tmp_path / "cells" / cell.id
    broken.mkdir(parents=True)
    (broken / "deliveries.parquet").write_bytes(b"PAR1 and no more")
    (tmp_path / "run.json").write_text((folder / "run.json").read_text())
    with pytest.raises(BadRunError, match=r"deliveries\.parquet: cannot be read as Parquet"):
        open_run(tmp_path).cells[0].deliveries()
