"""One STOMP conversation, broker side, whatever carries it: bytes of frames in, frames out (STOMP 1.0, 1.1, 1.2).

The rule: a frame is carried out or the conversation ends. Whatever is wrong gets one ERROR with ``message`` (and
``receipt-id`` when the frame asked for a receipt), then the connection closes; no frame behind the mistake is looked
at. A RECEIPT says that the frame has been carried out, so it comes last. Each command is a row of ``COMMANDS``.

Time: CONNECT has to be there within ``handshake_s``, every later frame within ``request_s`` of its first byte, however
diligently its bytes trickle in; and a peer that promised heart-beats is given up after twice the agreed interval ("the
receiver SHOULD be tolerant and take into account an error margin"). What we owe is sent a tenth early.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass

from servers.feed import (
    BadTopicError,
    FeedError,
    GoneError,
    ScheduledTopicError,
    TopicLimitError,
    UnknownTopicError,
)
from servers.outlet import Outlet
from servers.site import MAX_SEQ, Site
from servers.stomp_connect import agree
from servers.stomp_frames import V10, V12, Decoder, Frame, Limits, ProtocolError, encode
from servers.stomp_subscriptions import (
    ACK_MODES,
    Ledger,
    Sending,
    Subscribed,
    message_encoder,
    read_ack,
    read_send,
    required,
    required_name,
    topic_of,
)
from servers.stomp_transactions import Action, Transactions
from servers.subscription import Subscription

TURN_NS = 10**6  # of one peer's frames, before everybody else has a turn
_LF = b"\n"

# What a refusal of the feed is counted as.
_REASON: dict[type[FeedError], str] = {
    BadTopicError: "bad_topic",
    UnknownTopicError: "unknown_topic",
    ScheduledTopicError: "scheduled_topic",
    GoneError: "gone",
    TopicLimitError: "too_many_topics",
}


@dataclass(frozen=True, slots=True)
class Carrier:
    """What frames travel on. ``form`` names what ``wrap`` depends on.

    ``hang_up`` closes once everything is flushed; it is told the reason of an ERROR, or nothing after DISCONNECT.
    ``pause`` and ``resume`` are about reading.
    """

    outlet: Outlet
    form: Hashable
    wrap: Callable[[bytes], bytes]
    hang_up: Callable[[str], None]
    pause: Callable[[], None]
    resume: Callable[[], None]


class Session:
    """The conversation. ``receive`` takes bytes, ``sweep`` the time, ``end`` stops all subscriptions."""

    __slots__ = (
        "_beat_ns",
        "_begun_ns",
        "_carrier",
        "_decoder",
        "_expect_ns",
        "_feed",
        "_heard_ns",
        "_sent_ns",
        "_site",
        "_subscribed",
        "_transactions",
        "_waiting",
        "connected",
        "ended",
    )  # fmt: skip

    def __init__(self, site: Site, carrier: Carrier) -> None:
        limits = site.limits
        self.connected = False
        self.ended = False
        self._site = site
        self._feed = site.feed
        self._carrier = carrier
        self._decoder = Decoder(Limits(limits.headers, limits.header_bytes, limits.publish_bytes))
        self._heard_ns = self._sent_ns = site.feed.clock()
        self._begun_ns = self._heard_ns  # of CONNECT: when we met; of a frame: its first byte; 0: none
        self._beat_ns = 0  # we send something at least this often; 0: no matter
        self._expect_ns = 0  # the peer does
        self._subscribed: dict[str, Subscribed] = {}
        self._transactions = Transactions()
        self._waiting = False  # frames that have come, for the loop to return to them

    @property
    def expects_beats(self) -> bool:
        """Whether the peer has promised heart-beats."""
        return self._expect_ns > 0

    def receive(self, data: bytes) -> None:
        """Take bytes: frames, pieces of frames, heart-beats."""
        if not self.ended:
            self._go_on(self._decoder.feed(data))

    def _go_on(self, frames: Iterator[Frame]) -> None:
        """Carry frames out, some at a time: a client that floods us is slow, and others are not late.

        While some wait the carrier gives us nothing.
        """
        more = not self.ended and self._carry_out(frames)
        if more:
            asyncio.get_running_loop().call_soon(self._go_on, frames)
        if more != self._waiting:
            self._waiting = more
            (self._carrier.pause if more else self._carrier.resume)()

    def _carry_out(self, frames: Iterator[Frame]) -> bool:
        """Carry out what one turn has time for; returns whether there may be more."""
        self._heard_ns = now_ns = self._feed.clock()
        try:
            for frame in frames:
                self._begun_ns = 0
                self._take(frame)
                if self.ended or self._feed.clock() - now_ns >= TURN_NS:
                    return not self.ended
        except ProtocolError as error:
            self._fail(error)
        if self.connected:
            self._begun_ns = (self._begun_ns or now_ns) if self._decoder.partial else 0
        return False

    def end(self) -> None:
        """Write nothing from now on; open transactions are "implicitly aborted" (BEGIN)."""
        self.ended = True
        for held in self._subscribed.values():
            held.subscription.end()
        self._subscribed.clear()
        self._transactions.clear()

    def sweep(self, now_ns: int) -> None:
        """Send a heart-beat when one is due; end with a peer that lets us wait."""
        if self.ended:
            return
        if self._begun_ns and self._overdue(now_ns):
            return
        if self._expect_ns and now_ns - self._heard_ns > 2 * self._expect_ns:
            self._carrier.outlet.drop("heartbeat_timeout")  # it is dead, so there is nobody to tell
        elif self._beat_ns:
            # An event is as good as a heart-beat, and the topic knows when it had its last.
            last_ns = max(self._sent_ns, *(held.topic.last_ns for held in self._subscribed.values()), 0)
            if now_ns - last_ns >= self._beat_ns * 9 // 10:  # a sweep early rather than one late
                self._sent_ns = now_ns
                self._carrier.outlet.write(self._carrier.wrap(_LF))

    def _overdue(self, now_ns: int) -> bool:
        """Whether CONNECT, or the end of a later frame, is; if so the conversation has been ended."""
        limits = self._site.limits
        seconds = limits.request_s if self.connected else limits.handshake_s
        if now_ns - self._begun_ns < seconds * 1e9:
            return False
        if self.connected:
            self._fail(ProtocolError(f"a frame not complete within {seconds:g} s", reason="request_timeout"))
        else:
            self._fail(ProtocolError(f"no CONNECT within {seconds:g} s", reason="handshake_timeout"))
        return True

    def _write(self, command: str, headers: dict[str, str]) -> None:
        self._sent_ns = self._feed.clock()
        self._carrier.outlet.write(self._carrier.wrap(encode(Frame(command, headers), self._decoder.version)))

    def _fail(self, error: ProtocolError) -> None:
        """Say ERROR, count it, and close ("MUST then close the connection just after")."""
        self.end()
        self._site.counters.drops[error.reason] += 1
        self._carrier.outlet.write(self._carrier.wrap(error_frame(error, self._decoder.version)))
        self._carrier.hang_up(error.reason)

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
            self._carrier.hang_up("")

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
        heartbeat_ms = max(1, round(self._site.limits.heartbeat_s * 1000))
        agreed = agree(frame, heartbeat_ms, getattr(self._site.options, "login", None))
        self._beat_ns, self._expect_ns = agreed.send_ms * 10**6, agreed.expect_ms * 10**6
        self._decoder.version = agreed.version
        self.connected = True
        self._write("CONNECTED", agreed.answer)

    def subscribe(self, frame: Frame) -> None:
        """SUBSCRIBE: replay past ``after``, then live."""
        destination = required(frame, "destination")
        topic = self._feed.topic(topic_of(destination))
        identity = self._identity(frame)
        key = destination if identity is None else identity
        if key in self._subscribed:
            raise ProtocolError(f"id {key[:64]!r} is in use by another subscription of this connection")
        most = self._site.limits.subscriptions
        if len(self._subscribed) >= most:
            raise ProtocolError(f"more than {most} subscriptions of one connection", reason="too_many_subscriptions")
        version, mode = self._decoder.version, frame.headers.get("ack", "auto")
        if mode not in ACK_MODES[version]:
            raise ProtocolError(f"ack is {mode[:32]!r}, expected one of {' '.join(ACK_MODES[version])}")
        after = _cursor(frame)
        ack = mode != "auto"
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
        settled = topic.newest if after is None else after
        ledger = Ledger(topic, settled, cumulative=mode == "client") if ack else None
        self._subscribed[key] = Subscribed(subscription, ledger)

    def _identity(self, frame: Frame) -> str | None:
        """The subscription's id: required, but for 1.0, where the destination may stand for it."""
        if self._decoder.version == V10 and "id" not in frame.headers:
            return None
        return required_name(frame, "id")

    def _overtaken(self, error: GoneError) -> None:
        failure = _refusal(error, None)
        failure.reason = "overtaken"
        self._fail(failure)

    def unsubscribe(self, frame: Frame) -> None:
        """UNSUBSCRIBE; in 1.0 "it requires either a destination header or an id header"."""
        key = self._identity(frame)
        if key is None:
            key = required(frame, "destination")
            if key not in self._subscribed:
                name = topic_of(key)
                key = next((other for other, held in self._subscribed.items() if held.topic.name == name), key)
        held = self._subscribed.pop(key, None)
        if held is None:
            raise ProtocolError(f"UNSUBSCRIBE of {key[:64]!r}: no such subscription")
        held.subscription.end()

    def send(self, frame: Frame) -> None:
        """SEND: publish the body."""
        self._act(frame, read_send(frame, self._feed, self._site.limits.header_bytes))

    def settle(self, frame: Frame) -> None:
        """ACK or NACK: settle a message, or with ack:client all up to it."""
        self._act(frame, read_ack(frame, self._decoder.version, self._subscribed))

    def _act(self, frame: Frame, action: Action) -> None:
        """Do it now, or when the transaction it belongs to is committed; refused it is now if it can be known."""
        transaction = frame.headers.get("transaction")
        if transaction is None:
            action.run()
        else:
            action.check()
            self._transactions.add(transaction, action)

    def begin(self, frame: Frame) -> None:
        """BEGIN: open a transaction."""
        self._transactions.begin(required_name(frame, "transaction"))

    def commit(self, frame: Frame) -> None:
        """COMMIT: do what it held back, all of it or nothing."""
        actions = self._transactions.end(required(frame, "transaction"))
        self._feed.check({action.topic: None for action in actions if isinstance(action, Sending)})
        for action in actions:
            action.check()
        for action in actions:
            action.run()

    def abort(self, frame: Frame) -> None:
        """ABORT: forget what it held back."""
        self._transactions.end(required(frame, "transaction"))

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


def error_frame(error: ProtocolError, version: str = V12) -> bytes:
    """Encode the ERROR: the mistake in ``message`` and as text, what helps to find the frame, and the receipt's id."""
    body = f"{error.message}\n".encode()
    receipt = {} if error.receipt is None else {"receipt-id": error.receipt}
    standard = {"content-type": "text/plain", "content-length": str(len(body))}
    return encode(Frame("ERROR", {"message": error.message} | receipt | error.headers | standard, body), version)


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
    return ProtocolError(str(error), ends, receipt, reason=_REASON[type(error)])
