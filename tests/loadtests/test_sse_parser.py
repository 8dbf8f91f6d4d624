"""The event stream parser against the vectors, however the bytes are cut, and its short cut against the general way."""

import base64
import json
import random
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from loadtests.clients import ProtocolError, sse_parser
from loadtests.clients.sse_parser import EventStream

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "sse.json").read_text())
UNSET = 4242


def read(*chunks, stream=None):
    stream = stream or EventStream(b"", UNSET)
    events = [event for chunk in chunks for event in stream.feed(chunk)]
    return events, stream


def texts(events):
    return [[part.decode(errors="replace") for part in event] for event in events]


def pieces(data, sizes):
    at = 0
    while at < len(data):
        size = next(sizes)
        yield data[at : at + size]
        at += size


@pytest.mark.parametrize("cut", ["whole", "bytewise", "random"])
@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["name"])
def test_vectors(vector, cut):
    data = base64.b64decode(vector["b64"])
    chance = random.Random(vector["name"])
    for _ in range(20 if cut == "random" else 1):
        sizes = {
            "whole": iter([len(data)]),
            "bytewise": iter([1] * len(data)),
            "random": (chance.randint(1, 7) for _ in data),
        }[cut]
        events, stream = read(*pieces(data, sizes))
        assert texts(events) == vector["events"]
        assert stream.retry_ms == (UNSET if vector["retry"] is None else vector["retry"])


def test_the_vectors_are_there():
    assert len(VECTORS) >= 38


def test_comments_are_counted_and_are_no_events():
    events, stream = read(b":\n\n: beat\n\ndata: x\n:mid\n\n")
    assert texts(events) == [["message", "x", ""]]
    assert stream.comments == 3


def test_the_last_event_id_is_kept_over_a_reconnection_until_it_is_replaced():
    _, first = read(b"id: 7\ndata: x\n\nid: 8\ndata: unfinished")
    assert first.last_id == b"7"
    events, second = read(b":\n\ndata: y\n\n", stream=EventStream(first.last_id, first.retry_ms))
    assert events == [(b"message", b"y", b"7")]
    assert second.last_id == b"7"


@pytest.mark.parametrize(
    ("digits", "retry_ms"),
    [(b"0", 0), (b"0010", 10), (b"9" * 5000, 10**12), (b"0" * 5000 + b"5", 5), (b"1.5", UNSET), (b"\xd9\xa1", UNSET)],
)
def test_reconnection_times(digits, retry_ms):
    assert read(b"retry: " + digits + b"\n\n")[1].retry_ms == retry_ms


@pytest.mark.parametrize("size", [1000, 65536])
def test_a_line_of_a_megabyte_in_small_pieces(size):
    line = b"data: " + b"x" * 1_000_000
    events, _ = read(*pieces(line + b"\n\n", iter(lambda: size, 0)))
    assert events == [(b"message", line[6:], b"")]


@pytest.mark.parametrize("endless", [b"x" * 65536, b"data: " + b"x" * 65530 + b"\n"])
def test_an_event_without_end_is_the_peers_mistake(endless):
    _, stream = read(b"\n")
    for _ in range(255):
        assert stream.feed(endless) == []
    with pytest.raises(ProtocolError, match="over 16 MiB"):
        read(endless, endless, stream=stream)


USUAL = b'id: 17\ndata: {"a": 1}\n\n'
# Bytes that matter to the grammar, close together, so that hypothesis meets the odd cases.
FRAGMENTS = st.sampled_from((
    USUAL, USUAL * 3, b"id: 1\n", b"id: \0\n", b"id\n", b"data: x\n", b"data:\n", b"data: \n", b"data\n", b"event: e\n",
    b"\n", b"\n\n", b"\r", b"\r\n", b":\n\n", b"retry: 5\n", b"\xef\xbb\xbf", b"x", b" ", b": ", b"data: a\rdata: b\n",
))  # fmt: skip
STREAMS = st.lists(st.lists(FRAGMENTS, min_size=1).map(b"".join) | st.binary(max_size=8))


def general(chunks):
    """What the general parser alone makes of it."""
    stream = EventStream(b"", UNSET)
    return [event for chunk in chunks for event in stream._general(chunk)], stream


@settings(max_examples=400)
@example([b"\n", b"id: 1\ndata: \n\n"])
@example([b"\n", b"id: 1\ndata: x\n\n\n"])
@example([b"\r", b"\n" + USUAL])
@example([b"data: y\n", USUAL])
@given(STREAMS)
def test_the_short_cut_gives_what_the_general_parser_gives(chunks):
    events, stream = read(*chunks)
    expected, other = general(chunks)
    assert events == expected
    assert (stream.last_id, stream.retry_ms, stream.comments) == (other.last_id, other.retry_ms, other.comments)


@settings(max_examples=200)
@given(STREAMS, st.integers(1, 9))
def test_how_the_bytes_are_cut_makes_no_difference(chunks, size):
    data = b"".join(chunks)
    whole, one = read(data)
    cut, other = read(*pieces(data, iter(lambda: size, 0)))
    assert cut == whole
    assert (one.last_id, one.retry_ms, one.comments) == (other.last_id, other.retry_ms, other.comments)


def test_the_short_cut_is_taken(monkeypatch):
    _, stream = read(b"retry: 5\n\n")
    monkeypatch.setattr(EventStream, "_general", None)
    assert stream.feed(USUAL * 2) == [(b"message", b'{"a": 1}', b"17")] * 2
    assert sse_parser._usual(USUAL + b":\n\n") is None
