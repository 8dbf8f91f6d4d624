"""One STOMP conversation, broker side, whatever carries it: bytes of frames in, frames out (STOMP 1.0, 1.1, 1.2).

The rule: a frame is carried out or the conversation ends. Whatever is wrong gets one ERROR with ``message`` (and
``receipt-id`` when the frame asked for a receipt), then the connection closes; no frame behind the mistake is looked
at. A RECEIPT says that the frame has been carried out, so it comes last. Each command is a row of ``COMMANDS``.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from functools import partial

from servers.feed import TOPIC, BadTopicError, FeedError, GoneError, ScheduledTopicError
from servers.outlet import Outlet
from servers.site import MAX_SEQ, Site
from servers.stomp_frames import V10, VERSIONS, Decoder, Frame, Limits, ProtocolError, encode
from servers.stomp_subscriptions import ACK_MODES, Ledger, Subscribed, message_encoder, read_ack, required, topic_of
from servers.stomp_transactions import Transactions
from servers.subscription import Subscription

CONNECT_NS = 10 * 10**9  # for the CONNECT frame
SUBSCRIPTIONS = 1000  # of one connection
_HEART_BEAT = re.compile(r"([0-9]{1,9}),([0-9]{1,9})")
_LF = b"\n"

_sessions = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Carrier:
    """What frames travel on. ``form`` names what ``wrap`` depends on; ``hang_up`` closes once everything is flushed."""

    outlet: Outlet
    form: Hashable
    wrap: Callable[[bytes], bytes]
    hang_up: Callable[[], None]


class Session:
    """The conversation. ``receive`` takes bytes, ``sweep`` the time, ``end`` stops all subscriptions."""

    __slots__ = (
        "_beat_ns",
        "_carrier",
        "_decoder",
        "_expect_ns",
        "_feed",
        "_heard_ns",
        "_sent_ns",
        "_site",
        "_subscribed",
        "_transactions",
        "connected",
        "ended",
    )  # fmt: skip

    def __init__(self, site: Site, carrier: Carrier) -> None:
        self.connected = False
        self.ended = False
        self._site = site
        self._feed = site.feed
        self._carrier = carrier
        self._decoder = Decoder(Limits(body_bytes=site.limits.publish_bytes))
        self._heard_ns = self._sent_ns = site.feed.clock()
        self._beat_ns = 0  # we send something at least this often; 0: no matter
        self._expect_ns = 0  # the peer does
        self._subscribed: dict[str, Subscribed] = {}
        self._transactions = Transactions()

    @property
    def expects_beats(self) -> bool:
        """Whether the peer has promised heart-beats."""
        return self._expect_ns > 0

    def receive(self, data: bytes) -> None:
        """Take bytes: frames, pieces of frames, heart-beats."""
        self._heard_ns = self._feed.clock()
        if self.ended:
            return
        try:
            for frame in self._decoder.feed(data):
                self._take(frame)
                if self.ended:
                    return
        except ProtocolError as error:
            self._fail(error)

    def end(self) -> None:
        """Write nothing from now on; open transactions are aborted ("treated as if they were")."""
        self.ended = True
        for held in self._subscribed.values():
            held.subscription.end()
        self._subscribed.clear()
        self._transactions.clear()

    def sweep(self, now_ns: int) -> None:
        """Send a heart-beat when one is due; cut off a peer whose own are overdue, or that never said CONNECT."""
        if self.ended:
            return
        silence_ns = now_ns - self._heard_ns
        if not self.connected:
            if silence_ns >= CONNECT_NS:
                self._carrier.outlet.drop("connect_timeout")
        elif self._expect_ns and silence_ns > 2 * self._expect_ns:  # the specification wants an error margin
            self._carrier.outlet.drop("heartbeat_timeout")
        elif self._beat_ns:
            # An event is as good as a heart-beat, and the topic knows when it had its last.
            last_ns = max(self._sent_ns, *(held.topic.last_ns for held in self._subscribed.values()), 0)
            if now_ns - last_ns >= self._beat_ns * 9 // 10:  # a sweep early rather than one late
                self._sent_ns = now_ns
                self._carrier.outlet.write(self._carrier.wrap(_LF))

    def _write(self, command: str, headers: dict[str, str]) -> None:
        self._sent_ns = self._feed.clock()
        self._carrier.outlet.write(self._carrier.wrap(encode(Frame(command, headers), self._decoder.version)))

    def _fail(self, error: ProtocolError) -> None:
        receipt = {} if error.receipt is None else {"receipt-id": error.receipt}
        self.end()
        self._write("ERROR", {"message": error.message} | receipt | error.headers)
        self._carrier.hang_up()

    def _take(self, frame: Frame) -> None:
        receipt = frame.headers.get("receipt")
        try:
            self._obey(frame)
        except FeedError as error:
            raise _refusal(error, receipt) from error
        except ProtocolError as error:
            error.receipt = receipt
            raise
        if receipt is not None and not self.ended and frame.command not in OPENING:
            self._write("RECEIPT", {"receipt-id": receipt})
        if frame.command == "DISCONNECT":
            self.end()
            self._carrier.hang_up()

    def _obey(self, frame: Frame) -> None:
        obey = COMMANDS.get(frame.command)
        if obey is None or (frame.command == "NACK" and self.connected and self._decoder.version == V10):
            raise ProtocolError(f"unknown command {frame.command[:32]!r}, expected one of {' '.join(COMMANDS)}")
        if self.connected == (frame.command in OPENING):
            expected = "no second CONNECT" if self.connected else "CONNECT first"
            raise ProtocolError(f"{frame.command} out of order, expected {expected}")
        obey(self, frame)

    def connect(self, frame: Frame) -> None:
        """CONNECT or STOMP: agree on version and heart-beats."""
        offered = [name.strip() for name in frame.headers.get("accept-version", V10).split(",")]
        version = next((name for name in VERSIONS if name in offered), None)
        if version is None:
            ours = ",".join(reversed(VERSIONS))
            raise ProtocolError(
                f"accept-version is {','.join(offered)[:64]!r}, expected one of {ours}", {"version": ours}
            )
        if version != V10:
            required(frame, "host")
        theirs = _HEART_BEAT.fullmatch(text := frame.headers.get("heart-beat", "0,0"))
        if theirs is None:
            raise ProtocolError(f"heart-beat is {text[:32]!r}, expected two numbers of ms, like 0,0")
        ours_ms = max(1, round(self._site.limits.heartbeat_s * 1000))
        # "the sending interval is MAX(cx, sy)", and no heart-beats in a direction where either is 0.
        self._expect_ns, self._beat_ns = (max(int(ms), ours_ms) * 10**6 if int(ms) else 0 for ms in theirs.groups())
        self._decoder.version = version
        self.connected = True
        answer = {"version": version, "session": f"session-{next(_sessions)}", "server": "pushbench"}
        self._write("CONNECTED", answer | {"heart-beat": f"{ours_ms},{ours_ms}"})

    def subscribe(self, frame: Frame) -> None:
        """SUBSCRIBE: replay past ``after``, then live."""
        destination = required(frame, "destination")
        topic = self._feed.topic(topic_of(destination))
        identity = self._identity(frame)
        key = destination if identity is None else identity
        if key in self._subscribed:
            raise ProtocolError(f"id {key[:64]!r} is in use by another subscription of this connection")
        if len(self._subscribed) >= SUBSCRIPTIONS:
            raise ProtocolError(f"more than {SUBSCRIPTIONS} subscriptions of one connection")
        mode = frame.headers.get("ack", "auto")
        if mode not in ACK_MODES:
            raise ProtocolError(f"ack is {mode[:32]!r}, expected one of {' '.join(ACK_MODES)}")
        after = _cursor(frame)
        version, ack = self._decoder.version, mode != "auto"
        message = message_encoder(topic.name, identity, version, ack=ack)
        wrap = self._carrier.wrap
        subscription = Subscription(
            self._carrier.outlet,
            topic,
            after,
            ("stomp", version, identity, ack, self._carrier.form),
            lambda event: wrap(message(event)),
            overtaken=self._overtaken,
        )
        floor = topic.newest if after is None else after
        ledger = Ledger(floor, cumulative=mode == "client") if ack else None
        self._subscribed[key] = Subscribed(subscription, ledger)

    def _identity(self, frame: Frame) -> str | None:
        """The subscription's id: required, but for 1.0, where the destination may stand for it."""
        return frame.headers.get("id") if self._decoder.version == V10 else required(frame, "id")

    def _overtaken(self, error: GoneError) -> None:
        self._site.counters.drops["overtaken"] += 1
        self._fail(_refusal(error, None))

    def unsubscribe(self, frame: Frame) -> None:
        """UNSUBSCRIBE."""
        key = self._identity(frame)
        if key is None:
            key = required(frame, "destination")
        held = self._subscribed.pop(key, None)
        if held is None:
            raise ProtocolError(f"UNSUBSCRIBE of {key[:64]!r}: no such subscription")
        held.subscription.end()

    def send(self, frame: Frame) -> None:
        """SEND: publish the body. What a COMMIT would refuse is refused here, so that it stays all or nothing."""
        name = topic_of(required(frame, "destination"))
        try:
            data = frame.body.decode()
        except UnicodeDecodeError as error:
            raise ProtocolError(f"body of SEND is not UTF-8: {error.reason} at byte {error.start}") from error
        if not TOPIC.fullmatch(name):
            raise BadTopicError(f"topic {name[:64]!r}, expected {TOPIC.pattern}")
        if name in self._feed.topics and self._feed.topics[name].scheduled:
            raise ScheduledTopicError(f"topic {name} is filled by the schedule, expected one of your own to SEND to")
        self._act(frame, partial(self._feed.publish, name, data))

    def settle(self, frame: Frame) -> None:
        """ACK or NACK: settle a message, or with ack:client all up to it."""
        held, ledger, seq = read_ack(frame, self._decoder.version, self._subscribed)
        self._act(frame, lambda: ledger.settle(seq, held.topic.newest))

    def _act(self, frame: Frame, action: Callable[[], object]) -> None:
        """Do it now, or when the transaction it belongs to is committed."""
        transaction = frame.headers.get("transaction")
        if transaction is None:
            action()
        else:
            self._transactions.add(transaction, len(frame.body), action)

    def begin(self, frame: Frame) -> None:
        """BEGIN: open a transaction."""
        self._transactions.begin(required(frame, "transaction"))

    def commit(self, frame: Frame) -> None:
        """COMMIT: do what it held back."""
        self._transactions.commit(required(frame, "transaction"))

    def abort(self, frame: Frame) -> None:
        """ABORT: forget what it held back."""
        self._transactions.abort(required(frame, "transaction"))

    def disconnect(self, _frame: Frame) -> None:
        """DISCONNECT: hear no more; its RECEIPT is still to come."""


OPENING = frozenset({"CONNECT", "STOMP"})

COMMANDS: dict[str, Callable[[Session, Frame], None]] = {
    "CONNECT": Session.connect,
    "STOMP": Session.connect,
    "SEND": Session.send,
    "SUBSCRIBE": Session.subscribe,
    "UNSUBSCRIBE": Session.unsubscribe,
    "ACK": Session.settle,
    "NACK": Session.settle,
    "BEGIN": Session.begin,
    "COMMIT": Session.commit,
    "ABORT": Session.abort,
    "DISCONNECT": Session.disconnect,
}


def _cursor(frame: Frame) -> int | None:
    """Read the header ``after``, the contract's cursor."""
    text = frame.headers.get("after")
    if text is None:
        return None
    if text.isascii() and text.isdigit() and len(text) <= 19 and int(text) <= MAX_SEQ:
        return int(text)
    raise ProtocolError(f"after is {text[:32]!r}, expected a whole number of at least 0")


def _refusal(error: FeedError, receipt: str | None) -> ProtocolError:
    """What the feed refuses, as STOMP says it; a cursor outside the log with the log's ends."""
    ends = {"oldest": str(error.oldest), "newest": str(error.newest)} if isinstance(error, GoneError) else None
    return ProtocolError(str(error), ends, receipt)
