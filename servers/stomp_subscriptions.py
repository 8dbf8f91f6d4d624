"""What a STOMP subscription is made of: the MESSAGE frames it gets, and the account of its acknowledgements.

The rule of messages: a MESSAGE depends on the event, the subscription's id, the version and whether it must be
acknowledged, and on nothing else, so that a thousand connections with a subscription of the same id share its bytes.
The ``ack`` header of 1.2 is therefore ``SEQ/ID`` and no serial number (source: STOMP 1.2, MESSAGE, ACK, NACK).

The rule of acknowledgements: a topic is a log that everybody reads, not a queue that hands each message to one. ACK and
NACK settle a message in the account of one subscription and change nothing for anybody else. Nothing is sent twice
on one subscription, neither after a NACK (which discards, one of the three choices STOMP leaves a server) nor because
an ACK is missing. What a client has not settled when its connection ends it gets again by asking for it: it subscribes
anew with ``after:`` the last seq it has settled. So the account lives as long as the subscription, and a message can be
settled for as long as the log holds it, the newest ``UNACKNOWLEDGED`` at most.
"""

from __future__ import annotations

from dataclasses import dataclass

from servers.feed import Encode, Event, Feed, Headers, Topic
from servers.stomp_frames import V10, V11, V12, Frame, ProtocolError, escape
from servers.subscription import Subscription

DESTINATION = "/topic/"
# 1.0: "The valid values for ack are auto … and client".
ACK_MODES = {V12: (_ALL := ("auto", "client", "client-individual")), V11: _ALL, V10: ("auto", "client")}
UNACKNOWLEDGED = 10_000  # messages of one subscription that can still be settled
NAME_CHARS = 255  # of a subscription's id and of a transaction's: they are kept, and ids are sent with every MESSAGE

# What a MESSAGE says by itself; every other header of a SEND is the user's and "MUST be passed through" (SEND).
OWN_HEADERS = frozenset(
    ["destination", "content-length", "content-type", "receipt", "transaction", "subscription", "message-id", "ack"]
)


def message_encoder(topic: str, identity: str | None, version: str, *, ack: bool) -> Encode:
    """Return what makes a MESSAGE of an event; ``identity`` is the subscription's id, None for a 1.0 one without."""
    name = topic.encode()  # the contract's alphabet: nothing to escape
    written = b"" if identity is None else escape(identity, version).encode()
    head = b"MESSAGE\n"
    if identity is not None:
        head += b"subscription:%b\n" % written
    head += b"destination:%b%b\ncontent-type:application/json\n" % (DESTINATION.encode(), name)
    needs_ack = ack and version == V12  # 1.1 and 1.0 acknowledge by message-id

    def encode(event: Event) -> bytes:
        ack_line = b"ack:%d/%b\n" % (event.seq, written) if needs_ack else b""
        users = user_lines(event.headers, version) if event.headers else b""
        return b"%b%bmessage-id:%b-%d\ncontent-length:%d\n%b\n%b\0" % (
            head, ack_line, name, event.seq, len(event.json), users, event.json,
        )  # fmt: skip

    return encode


def user_lines(headers: Headers, version: str) -> bytes:
    """Return the lines of a publisher's own headers; behind the server's, so that none of them can be mistaken."""
    return "".join(f"{escape(name, version)}:{escape(value, version)}\n" for name, value in headers).encode()


def user_headers(frame: Frame, most_bytes: int) -> Headers:
    """Return what a SEND wants passed through; ProtocolError past ``most_bytes`` in all: the log keeps them."""
    headers = tuple((name, value) for name, value in frame.headers.items() if name not in OWN_HEADERS)
    if headers and sum(len(name.encode()) + len(value.encode()) for name, value in headers) > most_bytes:
        raise ProtocolError(f"headers of your own of more than {most_bytes} bytes in all", reason="header_too_big")
    return headers


class Ledger:
    """Which messages of a topic a subscription has settled, those up to ``after`` to begin with.

    ``cumulative`` (ack:client): one settles all before it too.
    """

    __slots__ = ("_cumulative", "_settled", "_topic", "floor")

    def __init__(self, topic: Topic, after: int, *, cumulative: bool) -> None:
        self.floor = after  # the newest seq up to which everything is settled
        self._topic = topic
        self._cumulative = cumulative
        self._settled = 0  # bit n: floor + 1 + n is settled; so 10,000 of them take 1.25 kB

    def waits(self, seq: int) -> bool:
        """Whether ``seq`` was delivered and waits for its ACK or NACK."""
        self._raise_floor(max(self._topic.oldest - 1, self._topic.newest - UNACKNOWLEDGED))
        return self.floor < seq <= self._topic.newest and not self._settled >> (seq - self.floor - 1) & 1

    def check(self, seq: int) -> None:
        """Raise ProtocolError unless ``seq`` waits."""
        if not self.waits(seq):
            newest = self._topic.newest
            raise ProtocolError(f"message {seq} is not waiting, expected one past {self.floor} and up to {newest}")

    def settle(self, seq: int) -> None:
        """Take an ACK or a NACK; nothing happens when it is settled already."""
        if self._cumulative:
            self._raise_floor(seq)
        elif seq > self.floor:
            self._settled |= 1 << (seq - self.floor - 1)
            self._raise_floor(self.floor)

    def _raise_floor(self, floor: int) -> None:
        if floor > self.floor:
            self._settled >>= floor - self.floor
            self.floor = floor
        ones = (self._settled ^ (self._settled + 1)).bit_length() - 1  # settled right above the floor
        self._settled >>= ones
        self.floor += ones


@dataclass(frozen=True, slots=True)
class Subscribed:
    """One live SUBSCRIBE; ``ledger`` is None for ack:auto."""

    subscription: Subscription
    ledger: Ledger | None

    @property
    def topic(self) -> Topic:
        """The topic it follows."""
        return self.subscription.topic


@dataclass(frozen=True, slots=True)
class Settling:
    """What ACK and NACK do."""

    ledger: Ledger
    seq: int
    size_bytes: int = 0

    def check(self) -> None:
        """Raise ProtocolError when the message does not wait (any more)."""
        self.ledger.check(self.seq)

    def run(self) -> None:
        """Settle it."""
        self.ledger.settle(self.seq)


@dataclass(frozen=True, slots=True)
class Sending:
    """What SEND does: publish ``data``, which is text because an event is JSON."""

    feed: Feed
    topic: str
    data: str
    headers: Headers
    size_bytes: int

    def check(self) -> None:
        """Raise FeedError when the topic takes no publications."""
        self.feed.check((self.topic,))

    def run(self) -> None:
        """Publish it."""
        self.feed.publish(self.topic, self.data, self.headers)


def read_send(frame: Frame, feed: Feed, most_header_bytes: int) -> Sending:
    """Read a SEND; ProtocolError when it cannot become an event."""
    topic = topic_of(required(frame, "destination"))
    headers = user_headers(frame, most_header_bytes)
    try:
        data = frame.body.decode()
    except UnicodeDecodeError as error:
        raise ProtocolError(f"body of SEND is not UTF-8: {error.reason} at byte {error.start}") from error
    size = len(frame.body) + sum(len(name) + len(value) for name, value in headers)
    return Sending(feed, topic, data, headers, size)


def read_ack(frame: Frame, version: str, subscribed: dict[str, Subscribed]) -> Settling:
    """Find what an ACK or NACK settles, by the headers of its version; ProtocolError when there is no such delivery."""
    if version == V12:
        text = required(frame, "id")
        digits, _, identity = text.partition("/")
        topic = None
    else:
        text = required(frame, "message-id")
        topic, _, digits = text.rpartition("-")
        identity = required(frame, "subscription") if version == V11 else frame.headers.get("subscription", "")
    seq = int(digits) if digits.isascii() and digits.isdigit() and len(digits) < 19 else 0
    if topic is not None and not identity:
        held = _acknowledged_by_1_0(topic, seq, subscribed)
    else:
        held = subscribed.get(identity)
    if held is None or not seq or topic not in (None, held.topic.name):
        raise ProtocolError(f"{frame.command} of {text[:64]!r}: no such message in a subscription of this connection")
    if held.ledger is None:
        raise ProtocolError(f"{frame.command} of {text[:64]!r}: its subscription is ack:auto")
    held.ledger.check(seq)
    return Settling(held.ledger, seq)


def _acknowledged_by_1_0(topic: str, seq: int, subscribed: dict[str, Subscribed]) -> Subscribed | None:
    """1.0 names the message alone: of the subscriptions to its topic, the first in which it waits is meant."""
    all_held = [held for held in subscribed.values() if held.topic.name == topic]
    waiting = (held for held in all_held if held.ledger is not None and held.ledger.waits(seq))
    return next(waiting, all_held[0] if all_held else None)


def required(frame: Frame, name: str) -> str:
    """Return a header that must be there; ProtocolError when it is not."""
    value = frame.headers.get(name)
    if value is None:
        raise ProtocolError(f"{frame.command} without the header {name}, which it requires")
    return value


def required_name(frame: Frame, name: str) -> str:
    """Return the header that names a subscription or a transaction; ProtocolError when it is missing or too long."""
    value = required(frame, name)
    if len(value) > NAME_CHARS:
        raise ProtocolError(
            f"{name} of {len(value)} characters, expected at most {NAME_CHARS}", reason="header_too_big"
        )
    return value


def topic_of(destination: str) -> str:
    """Return the topic of a destination; ProtocolError unless it is ``/topic/NAME``."""
    name = destination.removeprefix(DESTINATION)
    if name == destination or not name:
        raise ProtocolError(f"destination {destination[:64]!r}, expected {DESTINATION}NAME")
    return name
