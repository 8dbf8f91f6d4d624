"""The STOMP subscriber, over WebSocket (a path) or TCP (none): every MESSAGE is an event (STOMP 1.2, 1.1, 1.0).

The rule: over WebSocket a frame we send is one text message, and a frame we receive may be cut anywhere; over TCP bytes
are bytes. All else is one conversation: CONNECT, SUBSCRIBE with a receipt, MESSAGEs, DISCONNECT with a receipt. A
heart-beat is due by MAX() of what both sides said ("Heart-beating"). The frames are in ``stomp_frames``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from itertools import combinations

from loadtests.clients import (
    Beat,
    Client,
    Command,
    Connected,
    Data,
    Emit,
    Input,
    Mark,
    Progress,
    ProtocolError,
    Publish,
    Published,
    Send,
    Stop,
    Subscriber,
    Timer,
    Wake,
)
from loadtests.clients.cursor import refused
from loadtests.clients.event import row_maker
from loadtests.clients.lifetime import Lost, Session, Stopped, data_or_leave, persistent
from loadtests.clients.stomp_frames import SUBSCRIPTION, VERSIONS, Frames, encode
from loadtests.clients.websocket_frames import BINARY, TEXT
from loadtests.clients.websocket_upgrade import Channel, Closed, leave, upgrade

__all__ = ["Options", "client"]

# Every choice of versions, newest first, as accept-version has it.
_OFFERS = tuple(",".join(some) for size in (3, 2, 1) for some in combinations(VERSIONS, size))
_ERROR_BYTES = 4096  # of the body of an ERROR, looked at for what the server says it holds
_SUBSCRIBED, _BYE, _PUBLISHED = "subscribed", "bye", "published-"  # the receipts we ask for; a number follows the last
# What acknowledges a MESSAGE: (header of ACK, header of MESSAGE it is copied from), by version ("ACK").
_ACK = {
    "1.2": (("id", "ack"),),
    "1.1": (("message-id", "message-id"), ("subscription", "subscription")),
    "1.0": (("message-id", "message-id"),),
}


@dataclass(frozen=True, slots=True)
class Options:
    """The TOML section ``[stomp]``."""

    heart_beat_send_s: float = field(
        default=0.0, metadata={"help": "offer to send a heart-beat this often (0: never)", "min": 0.0}
    )
    heart_beat_receive_s: float = field(
        default=0.0, metadata={"help": "ask for a heart-beat this often (0: none)", "min": 0.0}
    )
    ack: str = field(
        default="auto",
        metadata={"help": "acknowledge every MESSAGE, unless auto", "choices": ("auto", "client", "client-individual")},
    )
    pipelined: bool = field(
        default=False, metadata={"help": "send SUBSCRIBE right behind CONNECT, without waiting for CONNECTED"}
    )
    receipt: bool = field(
        default=True, metadata={"help": "ask for a RECEIPT of SUBSCRIBE; without it CONNECTED counts as subscribed"}
    )
    versions: str = field(default=_OFFERS[0], metadata={"help": "the versions to offer", "choices": _OFFERS})

    def offered(self) -> tuple[str, ...]:
        """Return the versions one by one, newest first."""
        return tuple(self.versions.split(","))


@dataclass(slots=True)
class _HeartBeats:
    """When a heart-beat is due, ours and theirs; intervals of 0 are none. Times in ns."""

    send_ns: int
    receive_ns: int
    sent_ns: int = 0
    heard_ns: int = 0

    def agree(self, header: str, at_ns: int) -> None:
        """Settle both intervals by the server's heart-beat header (in ms: what it can send, what it wants)."""
        found = re.fullmatch(r"([0-9]{1,12}),([0-9]{1,12})", header)
        if not found:
            raise ProtocolError(f"heart-beat {header[:40]!r}, expected two whole numbers (Heart-beating)")
        theirs, wanted = (int(part) * 1_000_000 for part in found.groups())
        self.send_ns = max(self.send_ns, wanted) if self.send_ns and wanted else 0
        self.receive_ns = max(self.receive_ns, theirs) if self.receive_ns and theirs else 0
        self.sent_ns = at_ns

    def send_due_ns(self) -> int:
        """Return when we have to send: a tenth early, because at the interval's end it has to be there."""
        return self.sent_ns + self.send_ns * 9 // 10

    def silent_ns(self) -> int:
        """Return when the server is given up: after two intervals, the margin of error the specification asks for."""
        return self.heard_ns + 2 * self.receive_ns

    def wake(self) -> tuple[Wake, ...]:
        """Return the command that wakes us at the next of the two."""
        due = [self.send_due_ns()] if self.send_ns else []
        if self.receive_ns:
            due.append(self.silent_ns())
        return (Wake(min(due)),) if due else ()


class _Refused(Lost):
    """The server sent ERROR; ``details`` is all that it said."""

    def __init__(self, message: str, details: str) -> None:
        super().__init__(f"ERROR {message}")
        self.details = details


class _Conversation:
    """What is said on one connection apart from MESSAGEs: frames in, commands out.

    ``channel`` is the WebSocket it runs over, None over TCP.
    """

    __slots__ = (
        "_awaited",
        "_channel",
        "_destination",
        "_host",
        "_login",
        "_options",
        "_progress",
        "beats",
        "frames",
        "stopping",
    )

    def __init__(self, subscriber: Subscriber, options: Options, progress: Progress, channel: Channel | None) -> None:
        self._options = options
        self._progress = progress
        self._host = progress.who.address.host
        self._login = dict(zip(("login", "passcode"), progress.who.login or (), strict=False))
        self._channel = channel
        self._destination = f"/topic/{subscriber.topic}"
        self.frames = Frames(self._destination, options.offered(), lean=options.ack == "auto")
        self.beats = _HeartBeats(round(options.heart_beat_send_s * 1e9), round(options.heart_beat_receive_s * 1e9))
        self._awaited = [_SUBSCRIBED] if options.receipt else []
        self.stopping = False

    def send(self, *frames: bytes) -> Send:
        """Return the command that sends frames: over WebSocket each is a text message."""
        if self._channel:
            return Send(b"".join(self._channel.send(TEXT, frame).data for frame in frames))
        return Send(b"".join(frames))

    def connect(self) -> Send:
        """Open: CONNECT, and SUBSCRIBE right behind it when that is asked for."""
        milliseconds = f"{self.beats.send_ns // 1_000_000},{self.beats.receive_ns // 1_000_000}"
        headers = (("accept-version", self._options.versions), ("host", self._host), ("heart-beat", milliseconds))
        frame = encode("CONNECT", (*headers, *self._login.items()), "")
        return self.send(frame, self._subscribe()) if self._options.pipelined else self.send(frame)

    def _subscribe(self) -> bytes:
        headers = [("id", SUBSCRIPTION), ("destination", self._destination), ("ack", self._options.ack)]
        if self._progress.after is not None:
            headers.append(("after", str(self._progress.after)))
        if self._options.receipt:
            headers.append(("receipt", _SUBSCRIBED))
        return encode("SUBSCRIBE", headers, self.frames.version)

    def answer(
        self, command: str, headers: Mapping[str, str], body: bytes | memoryview, at_ns: int
    ) -> tuple[Command, ...]:
        """Return what a frame other than MESSAGE asks for; raise ``Lost`` for ERROR, ``Stopped`` when all is said."""
        if command == "CONNECTED":
            self.beats.agree(headers.get("heart-beat", "0,0"), at_ns)
            said = () if self._options.pipelined else (self.send(self._subscribe()),)
            marks = () if self._options.receipt else (self._subscribed(at_ns),)
            return (*said, *marks, *self.beats.wake())
        if command == "ERROR":
            text = bytes(body[:_ERROR_BYTES]).decode("utf-8", "replace").strip()
            raise _Refused(headers.get("message", "without message"), f"{dict(headers)} {text}")
        receipt = headers["receipt-id"]
        if receipt not in self._awaited:
            raise ProtocolError(f"RECEIPT for {receipt[:40]!r}, expected {' or '.join(self._awaited) or 'none'}")
        self._awaited.remove(receipt)
        if receipt == _SUBSCRIBED:
            return (self._subscribed(at_ns),)
        if receipt.startswith(_PUBLISHED):
            return (Published(int(receipt.removeprefix(_PUBLISHED)), at_ns),)
        if self._channel is None:
            raise Stopped
        return self._channel.close()

    def _subscribed(self, at_ns: int) -> Mark:
        self._progress.subscribed_ns = at_ns
        return Mark("subscribed", at_ns)

    def acknowledge(self, messages: list[Mapping[str, str]], at_ns: int) -> Send:
        """Acknowledge every message of a read, in one send."""
        version = self.frames.version
        self.beats.sent_ns = at_ns
        try:
            acks = [[(name, headers[source]) for name, source in _ACK[version]] for headers in messages]
        except KeyError as error:
            raise ProtocolError(f"MESSAGE without {error.args[0]}, expected one to acknowledge (ACK)") from error
        return self.send(*(encode("ACK", headers, version) for headers in acks))

    def publish(self, wanted: Publish) -> Send:
        """SEND data to our own topic; its RECEIPT, where one is asked for, says that the server has taken it."""
        headers = [("destination", self._destination), ("content-length", str(len(wanted.data)))]
        if wanted.receipt:
            headers.append(("receipt", f"{_PUBLISHED}{wanted.number}"))
            self._awaited.append(headers[-1][1])
        self.beats.sent_ns = wanted.at_ns
        return self.send(encode("SEND", headers, self.frames.version, wanted.data))

    def beat(self, at_ns: int) -> tuple[Command, ...]:
        """Send a heart-beat when it is due; raise ``Lost`` when theirs is overdue."""
        beats = self.beats
        if beats.receive_ns and at_ns >= beats.silent_ns():
            raise Lost(f"no heart-beat in {2 * beats.receive_ns // 1_000_000} ms")
        if not beats.send_ns or at_ns < beats.send_due_ns():
            return beats.wake()
        beats.sent_ns = at_ns
        return (self.send(b"\n"), *beats.wake())

    def disconnect(self) -> Send:
        """Say goodbye: the receipt tells that the server has taken everything before it ("DISCONNECT")."""
        self.stopping = True
        self._awaited.append(_BYE)
        return self.send(encode("DISCONNECT", [("receipt", _BYE)], self.frames.version))


def client(subscriber: Subscriber, options: Options) -> Client:
    """Return the generator of one subscriber."""
    return persistent(subscriber, partial(_session, subscriber, options), pushed=True)


def _session(subscriber: Subscriber, options: Options, progress: Progress, connected: Connected) -> Session:
    channel: Channel | None = None
    first, at_ns = b"", connected.at_ns
    more: list[Command] = []
    if subscriber.path:
        names = [f"v{version.replace('.', '')}.stomp" for version in options.offered()]
        channel = yield from upgrade(progress, subprotocols=names)
        first, at_ns = channel.first, channel.upgraded.at_ns
        more.append(channel.upgraded)
    talk = _Conversation(subscriber, options, progress, channel)
    more.append(talk.connect())
    frames, beats, row, attempt = talk.frames, talk.beats, row_maker(subscriber), progress.attempt
    acknowledging = options.ack != "auto"
    unacknowledged: list[Mapping[str, str]] = []
    why: Closed | Lost | ProtocolError | None = None
    event: Input = Data(memoryview(first), at_ns)
    while True:
        rows = Emit()
        if isinstance(event, Data):
            at_ns = beats.heard_ns = event.at_ns
            try:
                # Over TCP a read is one piece of frames; over WebSocket each message is.
                for opcode, payload in channel.messages.feed(event.view) if channel else ((BINARY, event.view),):
                    if channel and opcode > BINARY:
                        more += channel.control(opcode, payload)
                        continue
                    for command, headers, body in frames.feed(payload):
                        if command == "MESSAGE":
                            rows.append(row(body, attempt, at_ns))
                            if acknowledging and not talk.stopping:
                                unacknowledged.append(headers)
                        else:
                            more += talk.answer(command, headers, body, at_ns)
                if channel and channel.messages.broken:
                    raise channel.messages.broken
                if unacknowledged:
                    more.append(talk.acknowledge(unacknowledged, at_ns))
                    unacknowledged.clear()
            except (Closed, Lost, ProtocolError) as error:
                why = error
            if rows:
                progress.after = rows[-1][3] or progress.after  # seq; 0 is a corrupted one
            if frames.beats:
                more.append(Beat(frames.beats))
                frames.beats = 0
            if why:
                if channel:
                    more += channel.close(why)
                if isinstance(why, _Refused):
                    why = refused(progress, why.details, str(why))
                yield from leave(why, rows, *more, stopping=talk.stopping)
        elif isinstance(event, Stop):
            if not frames.version:
                raise Stopped
            more += (talk.disconnect(), Wake(0))  # nothing follows DISCONNECT
        elif isinstance(event, Timer):
            more += talk.beat(event.at_ns)
        elif isinstance(event, Publish):
            more.append(talk.publish(event))
        elif talk.stopping:
            raise Stopped
        else:
            data_or_leave(event)
        if more:
            event = yield rows, *more
            more.clear()
        else:
            event = yield rows
