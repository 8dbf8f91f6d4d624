"""The relay by itself: it finds every event, however the bytes are cut, and spoils what it says it spoils."""

from __future__ import annotations

import json

import pytest

from tests.relay.faults import FAULTS, Event, Ledger, Meddler, Odds, breaks_json, flipped
from tests.relay.framings import Wire

HEAD = b"HTTP/1.1 200 OK\r\nDate: today\r\n"
EVENTS = [
    b'{"topic": "t1", "seq": %d, "due_ns": 5, "sent_ns": 6,' % n
    + b' "data": "{\\"crc32\\":\\"0badcafe\\",\\"n\\":\\"Z\xc3\xbc\\"}"}'
    for n in range(1, 5)
]
LONG = EVENTS[0].replace(b"\xc3\xbc", b"\xc3\xbc" * 40_000)


def poll(*events):
    body = b'{"events": [%b], "last": 4}' % b", ".join(events)
    return HEAD + b"Content-Length: %d\r\n\r\n%b" % (len(body), body)


def chunk(data):
    return b"%x\r\n%b\r\n" % (len(data), data)


def sse(*events):
    blocks = [b"retry: 1000\n\n", *(b"id: 1\ndata: %b\n\n" % event for event in events), b":\n\n"]
    return HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + b"".join(map(chunk, blocks)) + b"0\r\n\r\n"


def frame(payload, first=0x81):
    size = len(payload)
    if size > 0xFFFF:
        return bytes((first, 127)) + size.to_bytes(8) + payload
    return bytes((first, 126)) + size.to_bytes(2) + payload if size > 125 else bytes((first, size)) + payload


def message(event):
    return b"MESSAGE\ndestination:/topic/t1\ncontent-length:%d\n\n%b\0" % (len(event), event)


def upgraded(protocol, *frames):
    return b"HTTP/1.1 101 Switching Protocols\r\n%b\r\n%b" % (protocol, b"".join(frames))


CONNECTED = b"CONNECTED\nversion:1.2\n\n\0"
STREAMS = {
    "polling": b"".join(
        (
            HEAD + b"Content-Length: 0\r\n\r\n",
            b"HTTP/1.1 204 No Content\r\n\r\n",
            HEAD + b"content-length: 2\r\n\r\n{}",
            poll(*EVENTS[:2]),
            poll(),
            poll(*EVENTS[2:]),
        )
    ),
    "sse": sse(*EVENTS),
    "websocket": upgraded(b"", frame(b"", 0x89), *map(frame, EVENTS), frame(LONG, 0x01), frame(b"\x03\xe9", 0x88)),
    "stomp_websocket": upgraded(
        b"Sec-WebSocket-Protocol: v12.stomp\r\n",
        frame(CONNECTED),
        frame(b"\n"),
        *(frame(message(one)) for one in EVENTS),
    ),
    "stomp_tcp": CONNECTED + b"\n\n" + b"".join(map(message, EVENTS)) + b"\n",
}


@pytest.fixture
def wire(tmp_path):
    def make(transport, **odds):
        meddler = Meddler(Odds(**odds), Ledger(tmp_path / "ledger"), 1)
        return Wire(meddler, bare_stomp=transport == "stomp_tcp")

    return make


def noted(tmp_path):
    lines = (tmp_path / "ledger").read_text().splitlines()
    return [(line["fault"], line["topic"], line["seq"]) for line in map(json.loads, lines)]


@pytest.mark.parametrize("step", [1, 7, 1 << 20])
@pytest.mark.parametrize("transport", STREAMS)
def test_without_faults_every_byte_passes(wire, transport, step):
    stream, relay = STREAMS[transport], wire(transport)
    out = [piece for at in range(0, len(stream), step) for piece in relay.feed(stream[at : at + step])]
    assert b"".join(out) == stream


@pytest.mark.parametrize("transport", STREAMS)
def test_every_event_can_be_dropped_and_nothing_else_is(wire, tmp_path, transport):
    out = b"".join(wire(transport, drop=1.0).feed(STREAMS[transport]))
    left = STREAMS[transport]
    if transport == "polling":
        left = left.replace(poll(*EVENTS[:2]), poll()).replace(poll(*EVENTS[2:]), poll())
    else:
        for event in EVENTS:
            whole = {
                "sse": chunk(b"id: 1\ndata: %b\n\n" % event),
                "websocket": frame(event),
                "stomp_tcp": message(event),
            }
            left = left.replace(whole.get(transport, frame(message(event))), b"", 1)
    assert out == left
    assert noted(tmp_path) == [("drop", "t1", seq) for seq in range(1, 5)]


@pytest.mark.parametrize("transport", STREAMS)
def test_every_event_can_be_repeated(wire, tmp_path, transport):
    out = b"".join(wire(transport, repeat=1.0).feed(STREAMS[transport]))
    assert [out.count(event) for event in EVENTS] == [2, 2, 2, 2]
    assert noted(tmp_path) == [("repeat", "t1", seq) for seq in range(1, 5)]


@pytest.mark.parametrize("transport", STREAMS)
def test_neighbours_are_swapped_in_pairs(wire, tmp_path, transport):
    out = b"".join(wire(transport, swap=1.0).feed(STREAMS[transport]))
    assert sorted(EVENTS, key=out.index) == [EVENTS[1], EVENTS[0], EVENTS[3], EVENTS[2]]
    assert noted(tmp_path) == [("swap", "t1", 1), ("swap", "t1", 3)]


def test_an_event_whose_neighbour_does_not_come_is_let_go_and_not_in_the_ledger(wire, tmp_path):
    relay = wire("stomp_tcp", swap=1.0)
    assert relay.feed(message(EVENTS[0])) == []
    assert [event.raw for event in relay.meddler.release()] == [message(EVENTS[0])]
    assert relay.meddler.held is None
    out = b"".join(wire("polling", swap=1.0).feed(poll(EVENTS[0])))
    assert out == poll(EVENTS[0]), "a body of one event has no neighbours"
    assert noted(tmp_path) == []


@pytest.mark.parametrize("number", range(30))
def test_a_flip_changes_one_byte_of_what_a_checksum_guards(number):
    before = Event(b"<", EVENTS[3], b">")
    after = flipped(before, number)
    assert (after.before, after.after, len(after.json)) == (b"<", b">", len(before.json))
    assert sum(a != b for a, b in zip(before.json, after.json, strict=True)) == 1
    after.json.decode()  # WebSocket would close over what is not UTF-8
    try:
        read = json.loads(after.json)
    except ValueError:
        read = None
    assert breaks_json(number) == (read is None)
    assert read is None or {"topic", "seq", "data", "due_ns", "sent_ns"} == read.keys()


def test_an_unreadable_body_has_one_fault_and_is_whole_when_it_is_asked_for_again(wire, tmp_path):
    seed = next(n for n in range(100) if breaks_json(Odds(flip=1.0, seed=n).draw(1, "t1", 1)[1]))
    relay = wire("polling", flip=1.0, seed=seed)
    out = b"".join(relay.feed(poll(EVENTS[0])))
    assert len(out) == len(poll(EVENTS[0])) != out.count(EVENTS[0])
    assert relay.feed(poll(EVENTS[0])) == [poll(EVENTS[0])]
    assert noted(tmp_path) == [("spoil", "t1", 1)]


def test_topics_that_are_not_scheduled_are_left_alone(wire, tmp_path):
    event = EVENTS[0].replace(b'"t1"', b'"verify-0a"')
    for fault in FAULTS:
        assert wire("stomp_tcp", **{fault: 1.0}).feed(message(event)) == [message(event)]
    assert noted(tmp_path) == []


def test_the_odds_are_kept_and_repeat():
    odds = Odds(0.01, 0.005, 0.01, 0.01, seed=3)
    drawn = [odds.draw(1, "t0", seq) for seq in range(1, 20_001)]
    share = {fault: sum(one[0] == fault for one in drawn) / 20_000 for fault in FAULTS}
    assert share == pytest.approx({"drop": 0.01, "repeat": 0.005, "swap": 0.01, "flip": 0.01}, abs=0.003)
    assert drawn == [odds.draw(1, "t0", seq) for seq in range(1, 20_001)]
    assert drawn != [odds.draw(2, "t0", seq) for seq in range(1, 20_001)]
