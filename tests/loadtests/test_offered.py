"""What is published and when: lengths, checksums, and schedules one can predict."""

from __future__ import annotations

import json
from itertools import islice, pairwise
from zlib import crc32

import pytest

from loadtests.clients import Address, Subscriber
from loadtests.clients.event import row_maker
from loadtests.clients.offered import LEAST_BYTES, dues, texts, write

SECOND = 1_000_000_000


def test_a_constant_schedule_keeps_its_period_from_a_phase_of_its_own():
    first = list(islice(dues("constant", 4.0, 1, 0), 4))
    assert [later - earlier for earlier, later in pairwise(first)] == [SECOND // 4] * 3
    assert 0 <= first[0] < SECOND // 4
    assert first[0] != next(dues("constant", 4.0, 1, 1))


def test_a_poisson_schedule_has_its_rate_and_its_coefficient_of_variation():
    due = list(islice(dues("poisson", 5.0, 1, 3), 20_000))
    gaps = [(later - earlier) / SECOND for earlier, later in zip([0, *due], due, strict=False)]
    mean = sum(gaps) / len(gaps)
    assert mean == pytest.approx(0.2, rel=0.03)
    assert sum((gap - mean) ** 2 for gap in gaps) / len(gaps) == pytest.approx(mean**2, rel=0.06)
    assert min(gaps) >= 0


def test_dues_follow_from_seed_and_subscriber_alone():
    assert list(islice(dues("poisson", 1.0, 1, 7), 5)) == list(islice(dues("poisson", 1.0, 1, 7), 5))
    assert next(dues("poisson", 1.0, 1, 7)) != next(dues("poisson", 1.0, 2, 7))
    assert next(dues("poisson", 1.0, 1, 7)) != next(dues("poisson", 1.0, 1, 8))


@pytest.mark.parametrize("payload_bytes", [LEAST_BYTES, 64, 256, 4096])
def test_data_is_json_as_long_as_asked_and_carries_its_checksum(payload_bytes):
    for text in texts(payload_bytes, 1):
        data = write("u3", 12, text)
        assert len(data) == payload_bytes
        assert json.loads(data)["crc32"] == f"{crc32(b'u3|12|' + data[19:]):08x}"


def test_what_is_written_passes_the_subscribers_check_and_only_under_its_seq():
    row = row_maker(Subscriber(0, "u3", 3, Address("127.0.0.1", 1)))
    data = write("u3", 2, texts(64, 1)[0]).decode()
    event = {"topic": "u3", "seq": 2, "due_ns": 5, "sent_ns": 6, "data": data}
    assert row(json.dumps(event).encode(), 0, 9)[3] == 2
    assert row(json.dumps(event | {"seq": 3}).encode(), 0, 9)[3] == 0
