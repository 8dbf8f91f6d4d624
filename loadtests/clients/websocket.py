"""The WebSocket subscriber: every text message is an event (RFC 6455, RFC 7692).

The rule: what a read brought is one ``Emit``. Pings are answered and counted as heartbeats; a close frame is answered,
and the next connection resumes behind the last event (``after``). The handshake is in ``websocket_upgrade``, the frames
are in ``websocket_frames``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

from loadtests.clients import (
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
    Stop,
    Subscriber,
    Timer,
    Wake,
)
from loadtests.clients.cursor import refused
from loadtests.clients.event import SEQ, row_maker
from loadtests.clients.lifetime import Lost, Session, Stopped, data_or_leave, persistent
from loadtests.clients.websocket_frames import BINARY, PING, TEXT, single
from loadtests.clients.websocket_upgrade import Closed, Offer, leave, upgrade

__all__ = ["Options", "client"]

_SERVER_BITS = (0, 8, 9, 10, 11, 12, 13, 14, 15)
_CLIENT_BITS = (0, 9, 10, 11, 12, 13, 14, 15)


@dataclass(frozen=True, slots=True)
class Options:
    """The TOML section ``[websocket]``."""

    compression: bool = field(default=False, metadata={"help": "offer permessage-deflate (RFC 7692)"})
    server_no_context_takeover: bool = field(
        default=False, metadata={"help": "ask the server to compress every message afresh"}
    )
    client_no_context_takeover: bool = field(
        default=False, metadata={"help": "tell the server that we compress every message afresh"}
    )
    server_max_window_bits: int = field(
        default=0,
        metadata={"help": "ask the server for a window of 2^N bytes (0: do not ask)", "choices": _SERVER_BITS},
    )
    client_max_window_bits: int = field(
        default=0, metadata={"help": "the window the server may ask of us (0: do not offer)", "choices": _CLIENT_BITS}
    )
    ping_interval_s: float = field(default=0.0, metadata={"help": "send a ping this often (0: never)", "min": 0.0})

    def offers(self) -> Sequence[Offer]:
        """Return the extensions to offer."""
        if not self.compression:
            return ()
        return (
            Offer(
                server_no_context=self.server_no_context_takeover,
                client_no_context=self.client_no_context_takeover,
                server_bits=self.server_max_window_bits,
                client_bits=self.client_max_window_bits,
            ),
        )


def client(subscriber: Subscriber, options: Options) -> Client:
    """Return the generator of one subscriber."""
    return persistent(subscriber, partial(_session, subscriber, options), pushed=True)


def _session(subscriber: Subscriber, options: Options, progress: Progress, _: Connected) -> Session:
    query = "" if progress.after is None else f"after={progress.after}"
    channel = yield from upgrade(progress, query, options.offers())
    messages, row, attempt = channel.messages, row_maker(subscriber), progress.attempt
    ping_ns = round(options.ping_interval_s * 1e9)
    unanswered = stopping = idle = False
    at_ns = progress.subscribed_ns = channel.upgraded.at_ns
    # A WebSocket may receive from the moment it is open: that is when it is subscribed.
    more: list[Command] = [channel.upgraded, Mark("subscribed", at_ns)]
    if ping_ns:
        more.append(Wake(at_ns + ping_ns))
    event: Input = Data(memoryview(channel.first), at_ns)
    why: Closed | Lost | ProtocolError | None = None
    while True:
        if idle and type(event) is Data and (text := single(event.view)) is not None:
            one = row(text, attempt, event.at_ns)
            if one[SEQ]:  # else the general path says what is wrong with it
                progress.after, unanswered = one[SEQ], False
                event = yield Emit((one,))
                continue
        rows = Emit()
        if isinstance(event, Data):
            at_ns, unanswered = event.at_ns, False  # a pong may stand behind events that are still to be read
            try:
                for opcode, payload in messages.feed(event.view):
                    if opcode <= BINARY:
                        rows.append(row(payload, attempt, at_ns))
                    else:
                        more += channel.control(opcode, payload)
                if messages.broken:
                    raise messages.broken
            except (Closed, ProtocolError) as error:
                why = error
            idle = messages.idle
            if rows:
                progress.after = rows[-1][SEQ] or progress.after  # 0: a corrupted one
            if why:
                more += channel.close(why)
                if isinstance(why, Closed) and why.code == 4410:  # the wire contract's 410
                    why = refused(progress, str(why), str(why))
                yield from leave(why, rows, *more, stopping=stopping)
        elif isinstance(event, Stop):
            stopping = True
            more += (*channel.close(), Wake(0))  # no ping follows our close frame
        elif isinstance(event, Timer):
            if unanswered:
                raise Lost(f"silent for {options.ping_interval_s} s after a ping")
            unanswered = True
            more += (channel.send(PING, b""), Wake(event.at_ns + ping_ns))
        elif isinstance(event, Publish):
            more.append(channel.send(TEXT, event.data))
        elif stopping:
            raise Stopped
        else:
            data_or_leave(event)
        if more:
            event = yield rows, *more
            more.clear()
        else:
            event = yield rows
