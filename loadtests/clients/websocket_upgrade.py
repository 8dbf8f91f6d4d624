"""The WebSocket opening handshake of a client (RFC 6455 4.1), and the channel that stands behind it.

The rule: ``websockets`` writes the request, checks the answer and negotiates extension and subprotocol; then its object
is dropped, because ten thousand of them (each with a compressor nobody uses) would fill the load process's memory.
What remains is ``Channel``: the agreed parameters, frames that are incomplete, and where masking keys come from.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from websockets.client import ClientProtocol
from websockets.extensions import Extension
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory, PerMessageDeflate
from websockets.http11 import Response
from websockets.typing import ExtensionParameter, Subprotocol
from websockets.uri import WebSocketURI

from loadtests.clients import Beat, Command, Data, Input, Mark, Progress, ProtocolError, Send, Stop, Wake
from loadtests.clients.http import field_of
from loadtests.clients.lifetime import Lost, Session, Stopped, data_or_leave
from loadtests.clients.refusal import refusal
from loadtests.clients.websocket_frames import (
    CLOSE,
    PING,
    PONG,
    Deflate,
    FrameError,
    Messages,
    encode,
    masking_keys,
    parse_close,
)

__all__ = ["Channel", "Closed", "Offer", "leave", "upgrade"]

_HEAD_BYTES = 64 * 2**10
_HEAD_END = b"\r\n\r\n"
_INTERIM = re.compile(rb"HTTP/1\.1 1(?!01)[0-9][0-9] ")
_STATUS = re.compile(r"HTTP/1\.1 ([0-9]{3})(?: |$)")
# Codes with which a server may leave in good order: it has finished, goes away or restarts (RFC 6455 7.4.1, IANA).
_IN_ORDER = frozenset({1000, 1001, 1012})
# Nothing may be logged in a driver's callback, whatever level the program has set.
_SILENT = logging.Logger("websockets", logging.CRITICAL + 1)  # noqa: LOG001  deliberately outside the hierarchy


class Closed(Exception):  # noqa: N818  an event in a connection's life, not an error of ours
    """The server's close frame came, with this code and reason."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"close {code} {reason}".rstrip())
        self.code = code


@dataclass(slots=True)
class Channel:
    """One upgraded connection: how its bytes are read and written. ``first`` came behind the handshake's answer."""

    messages: Messages
    keys: Iterator[bytes]
    upgraded: Mark
    first: bytes
    closing: bool = False  # our close frame is out

    def send(self, opcode: int, payload: bytes) -> Send:
        """Return the command that sends one message."""
        return Send(encode(opcode, payload, next(self.keys)))

    def control(self, opcode: int, payload: bytes | memoryview) -> tuple[Command, ...]:
        """Return what a ping or pong asks for; raise ``Closed`` for a close frame."""
        if opcode == PING:
            return (self.send(PONG, bytes(payload)), Beat())  # a pong carries the ping's payload (5.5.3)
        if opcode == CLOSE:
            raise Closed(*parse_close(payload))
        return ()

    def close(self, why: Exception | None = None) -> tuple[Command, ...]:
        """Return what sends our close frame, once: 1000, the code of the server's (5.5.1), or a mistake's (7.1.7)."""
        if self.closing:
            return ()
        self.closing = True
        code = 1002 if isinstance(why, ProtocolError) else 1000
        if isinstance(why, FrameError) or (isinstance(why, Closed) and why.code != 1005):  # 1005: it named none
            code = why.code
        return (self.send(CLOSE, code.to_bytes(2, "big")),)


def leave(why: Exception, *commands: Command, stopping: bool = False) -> Session:
    """Perform the last commands of a session, then raise what ends it: ``Stopped``, or ``why`` as lifetime knows it."""
    event = yield *commands, Wake(1)  # awake at once: when they have been performed, nothing keeps us
    if stopping or isinstance(event, Stop):
        raise Stopped
    if isinstance(why, Closed):
        raise Lost(str(why), failed=why.code not in _IN_ORDER)
    raise why


class Offer(ClientPerMessageDeflateFactory):
    """An offer of permessage-deflate (RFC 7692 7.1); window bits of 0 are left out of it."""

    def __init__(self, *, server_no_context: bool, client_no_context: bool, server_bits: int, client_bits: int) -> None:
        # The least memory level: nothing we send is compressed, which RFC 7692 6 leaves to the sender.
        super().__init__(
            server_no_context, client_no_context, server_bits or None, client_bits or None, {"memLevel": 1}
        )

    def process_response_params(
        self, params: Sequence[ExtensionParameter], accepted_extensions: Sequence[Extension]
    ) -> PerMessageDeflate:
        """Check what the server agreed to. We never compress, so 8 bits, which zlib has not got, are as good as 9."""
        known = [(name, "9" if (name, value) == ("client_max_window_bits", "8") else value) for name, value in params]
        return super().process_response_params(known, accepted_extensions)


def upgrade(
    progress: Progress,
    query: str = "",
    extensions: Sequence[Offer] = (),
    subprotocols: Sequence[str] = (),
) -> Generator[Command | tuple[Command, ...], Input, Channel]:
    """Open a WebSocket on the connection that stands, and return its ``Channel``.

    ``query`` is added to the path of who asks (``progress.who``). Raises ``Lost`` when the answer is no 101 (an interim
    one is none yet, RFC 9110 15.2), ``ProtocolError`` when it is one that breaks RFC 6455 4.1.
    """
    subscriber = progress.who
    address = subscriber.address
    path, _, fixed = subscriber.path.partition("?")
    protocol = ClientProtocol(
        WebSocketURI(address.tls, address.host, address.port, path, "&".join(filter(None, (fixed, query)))),
        extensions=extensions or None,
        subprotocols=[Subprotocol(name) for name in subprotocols] or None,
        logger=_SILENT,
    )
    request = protocol.connect()
    if subscriber.token:
        request.headers["Authorization"] = f"Bearer {subscriber.token}"
    protocol.send_request(request)
    head, end = bytearray(), -1
    command: Command = Send(b"".join(protocol.data_to_send()))
    while end < 0:
        event = yield command
        data_or_leave(event)
        if isinstance(event, Data):
            seen = max(0, len(head) - len(_HEAD_END))
            head += event.view
            while (end := head.find(_HEAD_END, seen)) >= 0 and _INTERIM.match(head):
                del head[: end + len(_HEAD_END)]
                seen = 0
            at_ns = event.at_ns
            if (end if end >= 0 else len(head)) > _HEAD_BYTES:
                raise ProtocolError(f"answer to the upgrade of over {_HEAD_BYTES >> 10} KiB")
        command = None
    end += len(_HEAD_END)
    response = _check(protocol, bytes(head[:end]), progress)
    agreed = [_deflate(extension) for extension in protocol.extensions]
    names = ", ".join(response.headers.get_all("Sec-WebSocket-Extensions"))
    return Channel(
        Messages(agreed[0] if agreed else None),
        masking_keys(subscriber.seed + subscriber.index),
        Mark("upgraded", at_ns, names, protocol.subprotocol or ""),
        bytes(head[end:]),
    )


def _check(protocol: ClientProtocol, head: bytes, progress: Progress) -> Response:
    """Let ``websockets`` check the answer's head; what is no 101 is a refusal, or a redirection."""
    status_line = head.split(b"\r\n", 1)[0].decode("ascii", "replace")
    found = _STATUS.match(status_line)
    if not found or found[1] != "101":
        kind = field_of(head, b"content-type").decode("latin-1")
        why = f"answered {status_line[:80]}" + (f" ({kind[:40]})" if kind else "")  # the body may be long in coming
        raise refusal(progress, int(found[1]) if found else 0, partial(field_of, head), why=why)
    protocol.receive_data(head)
    (response,) = protocol.events_received() or (None,)
    if protocol.handshake_exc or not isinstance(response, Response):
        raise ProtocolError(f"upgrade: {protocol.handshake_exc}") from protocol.handshake_exc
    return response


def _deflate(extension: Extension) -> Deflate:
    assert isinstance(extension, PerMessageDeflate)  # noqa: S101  we offer nothing else
    return Deflate(extension.remote_max_window_bits, extension.remote_no_context_takeover)
