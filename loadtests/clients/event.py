"""One event: decoded, checked, and turned into a delivery row (wire contract: "The event").

The rule: whatever a server sends as an event becomes a row. One that does not decode, names another topic, or fails its
checksum becomes a row with seq 0, *corrupted*, and is counted; it never stops the client. The checksum covers the seq,
the topic and the data but for its first nineteen characters, and those are compared: every byte of it is checked.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated
from zlib import crc32

import msgspec

from loadtests.clients import Emit, Subscriber

__all__ = ["SEQ", "Event", "Row", "batch_reader", "row_maker"]

Row = tuple[int, int, int, int, int, int, int, int]
SEQ = 3  # where a row has its sequence number; 0 there says "corrupted"

# What a row can hold (signed 64-bit); seq counts from 1.
_Seq = Annotated[int, msgspec.Meta(ge=1, le=2**63 - 1)]
_Time = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]


class Event(msgspec.Struct, gc=False):
    """The event as it stands on the wire; times in ns on the server's monotonic clock."""

    topic: str
    seq: _Seq
    due_ns: _Time
    sent_ns: _Time
    data: str


class _Batch(msgspec.Struct):
    """The body of a poll's 200: the events, undecoded so that one bad event spoils no other, and the last one's seq."""

    events: list[msgspec.Raw]
    last: _Seq


_decode = msgspec.json.Decoder(Event).decode
_decode_batch = msgspec.json.Decoder(_Batch).decode


def row_maker(subscriber: Subscriber) -> Callable[[bytes | memoryview, int, int], Row]:
    """Make ``row(json, attempt, at_ns)`` for one subscriber: a delivery row in the order of ``records.DELIVERY``.

    ``json`` (bytes, or a view of them that nothing keeps) is one event; ``bytes`` of the row is its length.
    ``subscriber.checked`` False leaves the checksum alone (a foreign feed).
    """
    index, topic, topic_index, checked = subscriber.index, subscriber.topic, subscriber.topic_index, subscriber.checked

    def row(json: bytes | memoryview, attempt: int, at_ns: int) -> Row:
        try:
            event = _decode(json)
            if event.topic == topic and (not checked or _intact(topic, event.seq, event.data)):
                return (index, attempt, topic_index, event.seq, event.due_ns, event.sent_ns, at_ns, len(json))
        except (msgspec.MsgspecError, UnicodeError):
            pass
        return (index, attempt, topic_index, 0, 0, 0, at_ns, len(json))

    return row


def _intact(topic: str, seq: int, data: str) -> bool:
    """Whether ``data`` is what the server wrote for this topic and seq."""
    crc = crc32(f"{topic}|{seq}|{data[19:]}".encode())
    return data[10:18] == crc.to_bytes(4, "big").hex() and data[:10] == '{"crc32":"' and data[18] == '"'


def batch_reader(subscriber: Subscriber) -> Callable[[bytes, int, int], tuple[Emit, int]]:
    """Make ``read(body, attempt, at_ns)`` for the body of a poll's 200: the rows and ``last``, the new cursor.

    A body that is no such JSON is one corrupted row and cursor 0. An event counts its own bytes, not the body's.
    """
    row = row_maker(subscriber)

    def read(body: bytes, attempt: int, at_ns: int) -> tuple[Emit, int]:
        try:
            batch = _decode_batch(body)
        except msgspec.MsgspecError:
            return Emit((row(body, attempt, at_ns),)), 0
        return Emit([row(memoryview(event), attempt, at_ns) for event in batch.events]), batch.last

    return read
