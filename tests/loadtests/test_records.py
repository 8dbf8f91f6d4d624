"""Spools: whole rows whatever happens to the process or the disk, and Parquet made of them."""

from __future__ import annotations

import subprocess
import sys

import pyarrow.parquet as pq
import pytest

from loadtests.records import DELIVERY, Connection, Spool, Spools, read_connections, read_integers, to_parquet

ROW = (3, 0, 7, 1, 10, 11, 12, 300)


def test_rows_come_back_as_they_were_written(tmp_path):
    with Spools(tmp_path / "spool", 2) as spools:
        spools.deliver(ROW)
        spools.answer((3, 1, 2, 200, 1, 80, 400))
        spools.connection(Connection(subscriber=3, attempt=0, started_ns=5, why="stopped"))
        spools.flush()
        spools.deliver(ROW)
    assert to_parquet(tmp_path / "spool", tmp_path) == {"deliveries": 2, "responses": 1, "connections": 1}
    assert pq.read_table(tmp_path / "deliveries.parquet").to_pylist()[1] == dict(zip(DELIVERY, ROW, strict=True))
    (connection,) = pq.read_table(tmp_path / "connections.parquet").to_pylist()
    assert (connection["why"], connection["tls_ns"]) == ("stopped", None)
    assert not list(tmp_path.glob("*.part"))


def test_every_flushed_block_is_shown_and_counted():
    spool, seen = Spool(None, 2), []
    spool.observer = seen.append
    spool.flush()
    spool.extend((1, 2))
    spool.extend((3, 4))
    spool.flush()
    assert spool.rows == 2
    assert [block.tolist() for block in seen] == [[[1, 2], [3, 4]]]
    spool.close()


def test_a_short_last_row_is_dropped(tmp_path):
    path = tmp_path / "0.deliveries"
    spool = Spool(path, 8)
    spool.extend(ROW)
    spool.close()
    path.write_bytes(path.read_bytes() + b"123")
    assert read_integers([path], DELIVERY).num_rows == 1
    lines = tmp_path / "0.connections"
    lines.write_bytes(b'{"subscriber":1,"attempt":0,"started_ns":5}\n{"subscr')
    assert read_connections([lines]).num_rows == 1
    assert read_integers([], DELIVERY).num_rows == 0


@pytest.mark.skipif(sys.platform == "win32", reason="no limit on a file's size there")
def test_a_full_disk_leaves_whole_rows_and_is_an_error(tmp_path):
    # A limit on the size of files is a disk that fills up in the middle of a row.
    code = (
        "import resource, sys\nfrom pathlib import Path\nfrom loadtests.records import Spool\n"
        "spool = Spool(Path(sys.argv[1]), 8)\nresource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "for _ in range(20):\n    spool.extend(range(8))\nspool.flush()"
    )
    path = tmp_path / "0.deliveries"
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=False)
    assert done.stderr.endswith("OSError: [Errno 28] No space left on device\n")
    assert path.stat().st_size == 1000 // 64 * 64
    assert read_integers([path], DELIVERY).column("bytes").to_pylist() == [7] * 15
