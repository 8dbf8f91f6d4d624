"""One WebSocket after its handshake: messages in, messages out, pings and the two halves of closing (RFC 6455).

The rules
1. After our close frame nothing follows, and whoever does not answer a ping or a close within its time is cut off.
2. What a peer can make us do at once is bounded: a flood of tiny frames gets ``TURN_NS`` of each round of the loop, and
   is not read on before; a message must be whole within ``request_s`` of its first byte.
3. The connection knows no topic and no STOMP: whoever owns it gets ``on_message`` for each message and ``on_closing``
   once, right before the close frame, to stop writing. Time comes from ``sweep``, which the owner calls for all.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable

from servers.outlet import Outlet
from servers.site import Site
from servers.websocket_deflate import Agreement, Deflater, InflateStream, Settings
from servers.websocket_frames import (
    BINARY,
    INVALID_DATA,
    NORMAL,
    PING,
    POLICY,
    PONG,
    PROTOCOL_ERROR,
    TEXT,
    TOO_BIG,
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
TURN_NS = 10**6  # of one peer's frames, before everybody else has a turn

# What ``/stats`` calls a connection that was failed, by its close code.
REASONS = {PROTOCOL_ERROR: "protocol_error", INVALID_DATA: "invalid_data", TOO_BIG: "message_too_big"}


class Connection:
    """An open WebSocket over ``transport``. ``max_bytes`` bounds a message from the peer."""

    __slots__ = (
        "_beat_ns",
        "_begun_ns",
        "_clock",
        "_counters",
        "_deadline_ns",
        "_decoder",
        "_deflater",
        "_heard_ns",
        "_held",
        "_loop",
        "_min_bytes",
        "_pinged_ns",
        "_request_ns",
        "_transport",
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
        self._transport = transport
        self.on_message: Callable[[Message], None] = lambda _message: None
        self.on_closing: Callable[[], None] = lambda: None
        self._loop = asyncio.get_running_loop()
        self.lost: asyncio.Future[None] = self._loop.create_future()  # done when all is over
        self._clock = site.feed.clock
        self._counters = site.counters
        self._beat_ns = round(site.limits.heartbeat_s * 1e9)
        self._request_ns = round(site.limits.request_s * 1e9)
        self._begun_ns = 0  # when what is not whole yet began
        self._heard_ns = self._clock()
        self._held = False  # by the owner, who is busy
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
        self._heard_ns = now_ns = self._clock()
        self._pinged_ns = 0
        self._read(data, now_ns + TURN_NS)

    def _read(self, data: bytes, end_ns: int) -> None:
        """Take what the bytes complete, for one turn; the rest waits for the next, and so does the peer."""
        decoder = self._decoder
        try:
            for event in decoder.feed(data):
                if event is not None:
                    self._take(event)
                if not decoder.in_message:
                    self._begun_ns = 0
                if self._held or (decoder.pending and self._clock() >= end_ns):
                    self._transport.pause_reading()
                    self._loop.call_soon(self._read_on)
                    return
        except ProtocolError as error:
            self._fail(error, REASONS[error.code])
        if not self._begun_ns and decoder.pending:
            self._begun_ns = self._heard_ns

    def hold(self) -> None:
        """Take nothing more until ``go_on``: the owner is still busy with this message."""
        self._held = True

    def go_on(self) -> None:
        """Take what has come meanwhile, and what comes."""
        self._held = False
        self._loop.call_soon(self._read_on)

    def _read_on(self) -> None:
        if not self._held and not self.lost.done():
            self._transport.resume_reading()  # nothing comes before this turn is over
            self._read(b"", self._clock() + TURN_NS)

    def _take(self, event: Event) -> None:
        if isinstance(event, Close):
            # Section 5.5.1: the answer typically echoes the code. The server closes TCP first (7.1.1).
            self._goodbye(event.code, "")
            self._transport.close()
        elif self.closing:
            return
        elif isinstance(event, Message):
            self.on_message(event)
        elif isinstance(event, Ping):
            self.outlet.write(encode(PONG, event.data))

    def _fail(self, error: ProtocolError, reason: str) -> None:
        """Fail the connection (section 7.1.7), and count why."""
        if not self.closing:
            self._counters.drops[reason] += 1
        self._goodbye(error.code, error.reason)
        self.outlet.finish()  # and discard what still comes until the peer ends its own half

    def close(self, code: int = NORMAL, reason: str = "", counted: str = "") -> None:
        """Begin to close (section 7.1.2); the rest follows by itself, in ``CLOSE_NS`` at most.

        ``counted`` is what ``/stats`` calls a refusal.
        """
        if counted:
            self._counters.drops[counted] += 1
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
        elif self._begun_ns and now_ns - self._begun_ns >= self._request_ns:
            self._begun_ns = 0
            error = ProtocolError(POLICY, f"message is not whole after {self._request_ns / 1e9:g} s")
            self._fail(error, "request_timeout")
        elif self._pinged_ns:
            if now_ns - self._pinged_ns >= max(self._beat_ns, PONG_NS):
                self.outlet.drop("ping_timeout")
        elif pings and now_ns - self._heard_ns >= self._beat_ns:
            self._pinged_ns = now_ns
            self.outlet.write(encode(PING, b""))
