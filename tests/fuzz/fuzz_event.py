"""Fuzz what reads events: rows, whatever comes; an event that passes is what the standard library reads in it, too."""

import contextlib
import json
import zlib

from fuzzing import expand, instrumented, main, spell

with instrumented():
    from loadtests.clients import Address, Subscriber
    from loadtests.clients.event import SEQ, batch_reader, row_maker

REST = ',"price":"12 \\u20ac"}'
DATA = f'{{"crc32":"{zlib.crc32(f"t0|7|{REST}".encode()):08x}"{REST}'
GOOD = json.dumps({"topic": "t0", "seq": 7, "due_ns": 5, "sent_ns": 6, "data": DATA}).encode()
WORDS = [
    GOOD, b"{", b"}", b"[", b"]", b",", b":", b'"', b'"topic":"t0"', b'"seq":', b'"due_ns":', b'"sent_ns":', b'"data":',
    json.dumps(DATA).encode(), b"7", b"-1", b"1e400", b"NaN", b"null", b"true", b"9223372036854775808",
    b"1" * 5000, b"0.5", b"\\ud800", b"\xff", b"\0", b"[" * 5000, b'{"a":' * 5000, b'{"events":[', b'],"last":7}',
    b'{"events":[],"last":0}',
    b'"events":', b'"last":', b'{"topic":"t0","seq":7,"due_ns":5,"sent_ns":6,"more":', GOOD[:-1] + b',"more":',
]  # fmt: skip
SEEDS = [
    spell(WORDS, *parts)
    for parts in (
        (GOOD,),
        (b'{"events":[', GOOD, b",", GOOD, b'],"last":7}'),
        (b'{"events":[],"last":0}',),
        (WORDS[-2], b"[" * 5000),
        (WORDS[-1], b'{"a":' * 5000, b"7"),
        (b'{"events":[', b"[" * 5000, b'],"last":7}'),
        (b"{", b'"topic":"t0"', b",", b'"seq":', b"7", b",", b'"due_ns":', b"1" * 5000),
    )
]
WHO = Subscriber(3, "t0", 0, Address("h", 1))
FOREIGN = Subscriber(3, "t0", 0, Address("h", 1), checked=False)


def check(data: bytes) -> None:
    """No first byte says anything here."""
    wire = expand(data, WORDS)
    one = row_maker(WHO)(memoryview(wire), 2, 99)
    assert (one[0], one[1], one[2], one[6], one[7]) == (3, 2, 0, 99, len(wire))
    assert all(-(2**63) <= value < 2**63 for value in one)
    if one[SEQ]:
        event = json.loads(wire)
        assert (event["topic"], event["seq"], event["due_ns"], event["sent_ns"]) == ("t0", one[3], one[4], one[5])
        assert zlib.crc32(f"t0|{one[SEQ]}|{event['data'][19:]}".encode()) == int(event["data"][10:18], 16)
        assert row_maker(FOREIGN)(wire, 2, 99) == one
    rows, last = batch_reader(WHO)(wire, 2, 99)
    assert 0 <= last < 2**63
    assert all(row[6] == 99 for row in rows)
    if last:
        with contextlib.suppress(RecursionError, ValueError):  # what is in an event is looked at when it is its turn
            assert len(rows) == len(json.loads(wire)["events"])


if __name__ == "__main__":
    main(check, SEEDS)
