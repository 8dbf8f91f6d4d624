"""A server that is killed and started again loses nobody anything; the long form is ``tests/acceptance/restart.py``."""

from __future__ import annotations

import pytest

from loadtests.transports import TRANSPORTS
from tests.acceptance import restart


@pytest.mark.parametrize(
    ("transport", "tls"), [*((name, "") for name in TRANSPORTS), ("websocket", "1.3"), ("stomp_tcp", "1.2")]
)
def test_every_subscriber_resumes_and_has_everything(transport, tls, tmp_path):
    counted = restart.interrupted(transport, 20, tmp_path, feed_s=2.5, tls=tls)
    assert counted.good, counted


def test_what_is_missing_or_too_much_is_counted(tmp_path):
    rows = [(0, 0, 1), (0, 1, 3), (0, 1, 2), (0, 1, 2), (1, 0, 0), (1, 0, 1)]
    frame = restart.pd.DataFrame(rows, columns=["subscriber", "connection", "seq"])
    frame.to_parquet(tmp_path / "deliveries.parquet")
    counted = restart.count("sse", 2, 4, tmp_path)
    assert (counted.lost, counted.duplicated, counted.reordered, counted.corrupted) == (1 + 3, 1, 1, 1)
    assert counted.resumed == 1
    assert not counted.good
