"""One WebSocket after its handshake: messages in, messages out, pings and the two halves of closing (RFC 6455).

The rule: after our close frame nothing follows, and whoever does not answer a ping or a close within its time is cut
off. The connection knows no topic and no STOMP: whoever owns it gets ``on_message`` for each message and
``on_closing`` once, right before the close frame, to stop writing. Time comes from ``sweep``, which the owner calls
for all its connections.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable

from servers.outlet import Outlet
from servers.site import Site
from servers.websocket_deflate import Agreement, Deflater, InflateStream, Settings
from servers.websocket_frames import (
    BINARY,
    NORMAL,
    PING,
    PONG,
    TEXT,
    Close,
    Decoder,
    Event,
    Message,
    Ping,
    ProtocolError,
    encode,
    encode_close,
)

CLOSE_NS = 5 * 10**9  # for the peer's half of the closing handshake, and for its end of the TCP connection
PONG_NS = 10 * 10**9  # at least, for any sign of life after a ping


class Connection:
    """An open WebSocket over ``transport``. ``max_bytes`` bounds a message from the peer."""

    __slots__ = (
        "_beat_ns",
        "_clock",
        "_deadline_ns",
        "_decoder",
        "_deflater",
        "_heard_ns",
        "_min_bytes",
        "_pinged_ns",
        "form",
        "lost",
        "on_closing",
        "on_message",
        "outlet",
    )

    def __init__(
        self, site: Site, transport: asyncio.Transport, deflate: Agreement | None, settings: Settings, max_bytes: int
    ) -> None:
        self.outlet = Outlet(site, transport)
        self.on_message: Callable[[Message], None] = lambda _message: None
        self.on_closing: Callable[[], None] = lambda: None
        self.lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()  # done when all is over
        self._clock = site.feed.clock
        self._beat_ns = round(site.limits.heartbeat_s * 1e9)
        self._heard_ns = self._clock()
        self._pinged_ns = 0  # when the ping that waits for an answer was sent
        self._deadline_ns = 0  # of closing; 0 while open
        self._min_bytes = settings.min_bytes
        # ``form`` names what ``frame`` depends on: equal forms make equal frames, so that one can serve many.
        self.form: Hashable = "plain"
        self._deflater: Deflater | None = None
        inflater = None
        if deflate is not None:
            reset = deflate.server_no_context_takeover
            self._deflater = Deflater(settings, deflate.server_window_bits, no_context_takeover=reset)
            self.form = ("deflate", deflate.server_window_bits) if reset else self
            inflater = InflateStream(deflate.client_window_bits, no_context_takeover=deflate.client_no_context_takeover)
        self._decoder = Decoder(max_bytes, inflater)

    @property
    def closing(self) -> bool:
        """Whether our close frame is out."""
        return self._deadline_ns != 0

    def frame(self, data: bytes, opcode: int = TEXT) -> bytes:
        """Encode one message as agreed: compressed when that may pay."""
        if self._deflater is None or len(data) < self._min_bytes:
            return encode(opcode, data)
        return encode(opcode, self._deflater.deflate(data), rsv1=True)

    def send(self, message: Message) -> None:
        """Send a message; once closing, nothing."""
        if not self.closing:
            self.outlet.write(self.frame(message.data, TEXT if message.text else BINARY))

    def receive(self, data: bytes) -> None:
        """Take bytes from the peer."""
        self._heard_ns = self._clock()
        self._pinged_ns = 0
        try:
            for event in self._decoder.feed(data):
                self._take(event)
        except ProtocolError as error:
            self._fail(error)

    def _take(self, event: Event) -> None:
        if isinstance(event, Close):
            # Section 5.5.1: the answer typically echoes the code. The server closes TCP first (7.1.1).
            self._goodbye(event.code, "")
            self.outlet.transport.close()
        elif self.closing:
            return
        elif isinstance(event, Message):
            self.on_message(event)
        elif isinstance(event, Ping):
            self.outlet.write(encode(PONG, event.data))

    def _fail(self, error: ProtocolError) -> None:
        """Fail the connection (section 7.1.7)."""
        self._goodbye(error.code, error.reason)
        transport = self.outlet.transport
        # Closing with bytes unread resets the connection, and the reset may overtake the close frame: end our half
        # only, and discard what still comes until the peer ends its own. TLS has no half.
        if transport.can_write_eof():
            transport.write_eof()
        else:
            transport.close()

    def close(self, code: int = NORMAL, reason: str = "") -> None:
        """Begin to close (section 7.1.2); the rest follows by itself, in ``CLOSE_NS`` at most."""
        self._goodbye(code, reason)

    def _goodbye(self, code: int | None, reason: str) -> None:
        if self.closing:
            return
        self._deadline_ns = self._clock() + CLOSE_NS
        self.on_closing()
        self.outlet.write(encode_close(code, reason))

    def sweep(self, now_ns: int, *, pings: bool = True) -> None:
        """Ping a peer that has been silent for a heartbeat, cut off one that lets us wait."""
        if self._deadline_ns:
            if now_ns >= self._deadline_ns:
                self.outlet.drop("close_timeout")
        elif self._pinged_ns:
            if now_ns - self._pinged_ns >= max(self._beat_ns, PONG_NS):
                self.outlet.drop("ping_timeout")
        elif pings and now_ns - self._heard_ns >= self._beat_ns:
            self._pinged_ns = now_ns
            self.outlet.write(encode(PING, b""))
