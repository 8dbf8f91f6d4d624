"""Taking an HTTP connection over for WebSocket: aiohttp reads the request, and from the 101 on the bytes are ours.

The rule: until the 101 is written every refusal is a problem (RFC 9457); from then on there is no HTTP any more, and
only the protocol's own close. aiohttp's WebSocket is not used: it ignores half of permessage-deflate's parameters
and accepts what RFC 6455 tells a server to refuse. What it offers is ``RequestHandler.set_parser``: bytes that come
behind the request go to ``feed_data``, those that came too early included, and a lost connection cancels the
handler.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
from collections.abc import Callable, Iterable, Sequence
from typing import cast

from aiohttp.http import WebSocketReader

from servers.responses import Problem, date_line
from servers.site import Request, Site
from servers.websocket_connection import Connection
from servers.websocket_deflate import Settings
from servers.websocket_frames import GOING_AWAY
from servers.websocket_handshake import UPGRADE_HEADERS, Accepted, HandshakeError, handshake

_SWITCHING = b"HTTP/1.1 101 Switching Protocols\r\n"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags of permessage-deflate; a second call, of the other transport over WebSocket, does nothing."""
    default = Settings()
    group = parser.add_argument_group("permessage-deflate (WebSocket)")
    add = group.add_argument
    with contextlib.suppress(argparse.ArgumentError):
        add("--deflate", action=argparse.BooleanOptionalAction, default=True, help="accept it when a client offers it")
        add("--deflate-level", type=int, choices=range(1, 10), default=default.level, metavar="1-9", help="%(default)s")
        add(
            "--deflate-memory-level", type=int, choices=range(1, 10), default=default.memory_level, metavar="1-9",
            help="2^(n+9) bytes a connection (%(default)s)",
        )  # fmt: skip
        add(
            "--deflate-window-bits", type=int, choices=range(9, 16), default=default.window_bits, metavar="9-15",
            help="of the server's window, at most (%(default)s)",
        )  # fmt: skip
        add(
            "--deflate-client-window-bits", type=int, choices=range(8, 16), default=default.client_window_bits,
            metavar="8-15", help="asked of clients that can bound theirs (%(default)s)",
        )  # fmt: skip
        add(
            "--deflate-no-context-takeover", action="store_true",
            help="forget the window after each message: less memory, larger messages, and one frame serves many",
        )  # fmt: skip
        add(
            "--deflate-min-bytes", type=int, default=default.min_bytes, metavar="N",
            help="leave smaller messages as they are (%(default)s)",
        )  # fmt: skip


def deflate_settings(options: argparse.Namespace) -> Settings:
    """Return how the server compresses."""
    return Settings(
        level=options.deflate_level,
        memory_level=options.deflate_memory_level,
        window_bits=options.deflate_window_bits,
        client_window_bits=options.deflate_client_window_bits,
        no_context_takeover=options.deflate_no_context_takeover,
        min_bytes=options.deflate_min_bytes,
    )


class _Tap:
    """What aiohttp's protocol feeds in the place of its own WebSocket reader."""

    __slots__ = ("_receive",)

    def __init__(self, receive: Callable[[bytes], None]) -> None:
        self._receive = receive

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:
        """Take bytes; never the end, never a tail."""
        self._receive(data)
        return False, b""

    def feed_eof(self) -> None:
        """Do nothing: a lost connection cancels the handler."""


def _head(accepted: Accepted) -> bytes:
    lines = "".join(f"{name}: {value}\r\n" for name, value in accepted.headers.items())
    return b"".join((_SWITCHING, date_line(), lines.encode("ascii"), b"\r\n"))


class Upgrader:
    """Makes WebSockets out of requests, and looks after them until they are lost."""

    def __init__(self, site: Site, subprotocols: Sequence[str] = (), *, required: bool = False) -> None:
        self.connections: set[Connection] = set()
        self._site = site
        self._subprotocols = subprotocols
        self._required = required
        self._settings = deflate_settings(site.options)
        self._deflate = self._settings if site.options.deflate else None

    def check(self, request: Request) -> Accepted:
        """Check the request; raises the Problem that refuses it."""
        try:
            return handshake(
                request.method,
                (request.version.major, request.version.minor),
                request.headers,
                subprotocols=self._subprotocols,
                required=self._required,
                deflate=self._deflate,
            )
        except HandshakeError as error:
            lines = "".join(f"{name}: {value}\r\n" for name, value in UPGRADE_HEADERS.items() if error.status == 426)
            value = error.value[:200]
            raise Problem(
                error.status, str(error), headers=lines.encode(), reason="bad_handshake",
                parameter=error.parameter, value=value, expected=error.expected,
            ) from error  # fmt: skip

    async def run(
        self, request: Request, accepted: Accepted, max_bytes: int, begin: Callable[[Connection], None]
    ) -> None:
        """Answer 101, let ``begin`` set the connection up, and wait until it is lost."""
        transport = request.transport
        if transport is None:
            return
        connection = Connection(self._site, transport, accepted.deflate, self._settings, max_bytes)
        connection.outlet.write(_head(accepted))
        self.connections.add(connection)
        try:
            begin(connection)
            # Last, for it hands over what has come already.
            request.protocol.set_parser(cast("WebSocketReader", _Tap(connection.receive)))
            await connection.lost  # aiohttp cancels us when the connection is lost
        finally:
            connection.on_closing()
            self.connections.discard(connection)
            connection.lost.cancel()

    async def close(self) -> None:
        """Close every connection with 1001 and wait for the peers' answers; the site bounds how long."""
        await close_all(self.connections)


async def close_all(connections: Iterable[Connection]) -> None:
    """Say 1001 (going away) to all, and wait until they are gone."""
    lost = []
    for connection in tuple(connections):
        connection.close(GOING_AWAY, "the server is shutting down")
        lost.append(connection.lost)
    if lost:
        await asyncio.wait(lost)
