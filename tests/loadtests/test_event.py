"""Events: what is well becomes a row, what is not becomes a corrupted row, and nothing becomes an exception."""

import json
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtests.clients import Address, Subscriber
from loadtests.clients.event import SEQ, batch_reader, row_maker

SUBSCRIBER = Subscriber(index=3, topic="t7", topic_index=7, address=Address("127.0.0.1", 1))
CORRUPTED = (3, 2, 7, 0, 0, 0, 99)


def data(topic="t7", seq=17, text=',"a":"ü\\n"}'):
    return f'{{"crc32":"{zlib.crc32(f"{topic}|{seq}|{text}".encode()):08x}"{text}'


def event(**changes):
    fields = {"topic": "t7", "seq": 17, "due_ns": 5, "sent_ns": 6, "data": data()} | changes
    return json.dumps(fields).encode()


def row(text, subscriber=SUBSCRIBER):
    return row_maker(subscriber)(text, 2, 99)


def test_an_event_becomes_a_row():
    assert row(event()) == (3, 2, 7, 17, 5, 6, 99, len(event()))


def test_a_view_is_as_good_as_bytes():
    text = event()
    assert row(memoryview(b"xx" + text + b"y")[2:-1]) == row(text)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        event()[:-1],
        event() + b"x",
        event(topic="t8"),
        event(topic="t8", data=data(topic="t8")),
        event(seq=18),
        event(seq=0, data=data(seq=0)),
        event(seq=-1, data=data(seq=-1)),
        event(seq=2**63, data=data(seq=2**63)),
        event(seq=1.5),
        event(due_ns=2**64),
        event(data=data().upper()),
        event(data=data().replace("ü", "u")),
        event(data="X" + data()[1:]),
        event(data=data()[:18] + "'" + data()[19:]),
        event(data=""),
        event(data="short"),
        event(data=data()[:18]),
        event(data=data() + " "),
        event(data="\ud800" * 30),
        b"\xff" + event(),
    ],
)
def test_what_is_not_well_is_corrupted(text):
    assert row(text) == (*CORRUPTED, len(text))


def test_a_foreign_feed_needs_no_checksum_but_the_right_topic():
    foreign = Subscriber(index=3, topic="t7", topic_index=7, address=Address("127.0.0.1", 1), checked=False)
    assert row(event(data="x"), foreign)[3] == 17
    assert row(event(data="x", topic="t8"), foreign)[3] == 0


@given(st.binary())
def test_garbage_is_a_corrupted_row(text):
    assert row(text) == (*CORRUPTED, len(text))


@given(st.text(), st.integers(1, 2**63 - 1))
def test_every_text_and_seq_survives(text, seq):
    text = text.encode(errors="ignore").decode()
    assert row(event(seq=seq, data=data(seq=seq, text=text)))[3] == seq


@given(st.integers(0, len(event()) - 1), st.integers(1, 255))
def test_no_changed_byte_goes_unseen(place, change):
    # ... but for the times, which no checksum covers, and for what JSON lets one write in two ways
    text = bytearray(event())
    text[place] ^= change
    got = row(bytes(text))
    assert got[3] == 0 or json.loads(bytes(text))["data"] == data()


def test_a_batch_is_one_row_an_event_with_its_own_length():
    one, two = event(), event(seq=18, due_ns=7, data=data(seq=18))
    rows, last = batch_reader(SUBSCRIBER)(b'{"events": [%b , %b], "last": 18}' % (one, two), 2, 99)
    assert rows == [row(one), row(two)]
    assert last == 18


def test_a_bad_event_in_a_batch_spoils_no_other():
    bad, good = event(topic="t8"), event()
    rows, last = batch_reader(SUBSCRIBER)(b'{"events": [{}, %b, %b], "last": 17}' % (bad, good), 2, 99)
    assert [one[3] for one in rows] == [0, 0, 17]
    assert last == 17


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"events": [], "last": -1}', b'{"events": {}, "last": 1}'])
def test_a_body_that_is_no_batch_is_one_corrupted_row(body):
    assert batch_reader(SUBSCRIBER)(body, 2, 99) == ([(*CORRUPTED, len(body))], 0)


@pytest.mark.parametrize("nested", [b"[" * 100_000, b'{"a":' * 100_000, b"[" * 100_000 + b"]" * 100_000])
def test_what_is_nested_beyond_all_measure_is_a_corrupted_row(nested):
    unknown = b'{"topic":"t7","seq":7,"due_ns":5,"sent_ns":6,"data":"x","more":' + nested + b"}"
    for raw in (nested, unknown):
        assert row_maker(SUBSCRIBER)(raw, 0, 9)[SEQ] == 0
    rows, last = batch_reader(SUBSCRIBER)(b'{"events":[' + unknown + b'],"last":7}', 0, 9)
    assert ([row[SEQ] for row in rows], last) in (([0], 7), ([0], 0))


def test_a_foreign_servers_empty_list_is_no_event():
    assert batch_reader(SUBSCRIBER)(b'{"events":[],"last":0}', 0, 9) == ([], 0)
