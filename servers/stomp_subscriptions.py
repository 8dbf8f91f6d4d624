"""What a STOMP subscription is made of: the MESSAGE frames it gets, and the account of its acknowledgements.

The rule: a MESSAGE depends on the event, the subscription's id, the version and whether it must be acknowledged, and
on nothing else, so that a thousand connections with a subscription of the same id share its bytes. The ``ack`` header
of 1.2 is therefore ``SEQ/ID`` and no serial number (source: STOMP 1.2, MESSAGE, ACK, NACK).
"""

from __future__ import annotations

from dataclasses import dataclass

from servers.feed import Encode, Event, Topic
from servers.stomp_frames import V10, V12, Frame, ProtocolError, escape
from servers.subscription import Subscription

DESTINATION = "/topic/"
ACK_MODES = ("auto", "client", "client-individual")


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
        return b"%b%bmessage-id:%b-%d\ncontent-length:%d\n\n%b\0" % (
            head, ack_line, name, event.seq, len(event.json), event.json,
        )  # fmt: skip

    return encode


class Ledger:
    """Which deliveries past ``floor`` are settled. ``cumulative`` (ack:client): one settles all before it too."""

    __slots__ = ("_cumulative", "_settled", "floor")

    def __init__(self, floor: int, *, cumulative: bool) -> None:
        self.floor = floor  # the newest seq up to which everything is settled
        self._cumulative = cumulative
        self._settled: set[int] = set()

    def check(self, seq: int, newest: int) -> None:
        """Raise ProtocolError unless ``seq`` was delivered and waits for its ACK or NACK."""
        if not self.floor < seq <= newest or seq in self._settled:
            raise ProtocolError(f"message {seq} is not waiting, expected one past {self.floor} and up to {newest}")

    def settle(self, seq: int, newest: int) -> None:
        """Take an ACK or a NACK; a message refused is not sent again. Raises as ``check``."""
        self.check(seq, newest)
        if self._cumulative:
            self.floor = seq
            return
        self._settled.add(seq)
        while self.floor + 1 in self._settled:
            self.floor += 1
            self._settled.remove(self.floor)


@dataclass(frozen=True, slots=True)
class Subscribed:
    """One live SUBSCRIBE; ``ledger`` is None for ack:auto."""

    subscription: Subscription
    ledger: Ledger | None

    @property
    def topic(self) -> Topic:
        """The topic it follows."""
        return self.subscription.topic


def read_ack(frame: Frame, version: str, subscribed: dict[str, Subscribed]) -> tuple[Subscribed, Ledger, int]:
    """Find what an ACK or NACK settles, by the headers of its version; ProtocolError when there is no such delivery."""
    if version == V12:
        text = required(frame, "id")
        seq, _, identity = text.partition("/")
    else:
        text = required(frame, "message-id")
        topic, _, seq = text.rpartition("-")
        if version == V10 and "subscription" not in frame.headers:
            # 1.0 names the message alone; a topic has one subscription then, or the first is meant.
            identity = next((key for key, held in subscribed.items() if held.topic.name == topic), "")
        else:
            identity = required(frame, "subscription")
    held = subscribed.get(identity)
    if held is None or not (seq.isascii() and seq.isdigit() and len(seq) < 19):
        raise ProtocolError(f"{frame.command} of {text[:64]!r}: no such message in a subscription of this connection")
    if held.ledger is None:
        raise ProtocolError(f"{frame.command} of {text[:64]!r}: its subscription is ack:auto")
    held.ledger.check(int(seq), held.topic.newest)
    return held, held.ledger, int(seq)


def required(frame: Frame, name: str) -> str:
    """Return a header that must be there; ProtocolError when it is not."""
    value = frame.headers.get(name)
    if value is None:
        raise ProtocolError(f"{frame.command} without the header {name}, which it requires")
    return value


def topic_of(destination: str) -> str:
    """Return the topic of a destination; ProtocolError unless it is ``/topic/NAME``."""
    name = destination.removeprefix(DESTINATION)
    if name == destination or not name:
        raise ProtocolError(f"destination {destination[:64]!r}, expected {DESTINATION}NAME")
    return name
