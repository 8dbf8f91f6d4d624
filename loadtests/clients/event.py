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
    """The body of a poll's 200: the events, undecoded so that one bad event spoils no other, and the last one's seq.

    ``last`` is 0 in a foreign server's way to say that there is nothing.
    """

    events: list[msgspec.Raw]
    last: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]


_decode = msgspec.json.Decoder(Event).decode
_decode_batch = msgspec.json.Decoder(_Batch).decode


def row_maker(subscriber: Subscriber) -> Callable[[bytes | memoryview, int, int], Row]:
    """Make ``row(json, attempt, at_ns)`` for one subscriber: a delivery row in the order of ``records.DELIVERY``.

    ``json`` (bytes, or a view of them that nothing keeps) is one event; ``bytes`` of the row is its length.
    ``subscriber.checked`` False leaves the checksum alone (a foreign feed).
    """
    key = (subscriber.topic, subscriber.checked)
    topic = _TOPICS[key] if key in _TOPICS else _TOPICS.setdefault(key, _Topic(*key))
    return _Reader(subscriber.index, subscriber.topic_index, topic).row


class _Topic:
    """What the subscribers of a topic share: the newest event that was checked.

    They get the same bytes one after the other; what equals bytes that were just found right, every one, is right.
    """

    __slots__ = ("_checked", "_crc", "_name", "due_ns", "raw", "sent_ns", "seq")

    def __init__(self, name: str, checked: bool) -> None:
        self._name = name
        self._checked = checked
        self._crc = crc32(f"{name}|".encode())  # the checksum runs over topic|seq|text: its beginning never changes
        self.raw = b""
        self.seq = self.due_ns = self.sent_ns = 0

    def check(self, raw: bytes) -> bool:
        """Whether this is an event of the topic and intact; it is the newest then."""
        try:
            raw.decode()  # msgspec does not look into members it does not know
            event = _decode(raw)
            data = event.data
            if event.topic != self._name:
                return False
            if self._checked:
                crc = crc32(data[19:].encode(), crc32(b"%d|" % event.seq, self._crc))
                if data[:19] != f'{{"crc32":"{crc:08x}"':
                    return False
        except (msgspec.MsgspecError, UnicodeError, RecursionError):  # the last: nested a thousand deep
            return False
        self.raw, self.seq, self.due_ns, self.sent_ns = raw, event.seq, event.due_ns, event.sent_ns
        return True


class _Reader:
    """Makes the rows of one subscriber; small, because a thousand of them take turns in the processor's caches."""

    __slots__ = ("_index", "_topic", "_topic_index")

    def __init__(self, index: int, topic_index: int, topic: _Topic) -> None:
        self._index = index
        self._topic_index = topic_index
        self._topic = topic

    def row(self, json: bytes | memoryview, attempt: int, at_ns: int) -> Row:
        """The delivery row of one event."""
        raw, topic = bytes(json), self._topic
        if raw == topic.raw or topic.check(raw):
            return (
                self._index, attempt, self._topic_index, topic.seq, topic.due_ns, topic.sent_ns, at_ns, len(raw)
            )  # fmt: skip
        return (self._index, attempt, self._topic_index, 0, 0, 0, at_ns, len(raw))


_TOPICS: dict[tuple[str, bool], _Topic] = {}


def batch_reader(subscriber: Subscriber) -> Callable[[bytes, int, int], tuple[Emit, int]]:
    """Make ``read(body, attempt, at_ns)`` for the body of a poll's 200: the rows and ``last``, the new cursor.

    A body that is no such JSON is one corrupted row and cursor 0. An event counts its own bytes, not the body's.
    """
    row = row_maker(subscriber)

    def read(body: bytes, attempt: int, at_ns: int) -> tuple[Emit, int]:
        try:
            batch = _decode_batch(body)
        except (msgspec.MsgspecError, RecursionError):
            return Emit((row(body, attempt, at_ns),)), 0
        return Emit([row(memoryview(event), attempt, at_ns) for event in batch.events]), batch.last

    return read
