"""One sans-I/O generator per transport: no socket, locust, gevent or asyncio in this package.

A client is a generator, one per subscriber. It yields a command, or a tuple of commands performed in
order, and *every yield is answered by the next input*: ``event = yield Send(request)`` reads "send this, then tell
me what happens next". ``yield None`` only waits. Two drivers run every client: ``loadtests.drivers.blocking`` over a
plain socket, ``loadtests.drivers.eventloop`` for thousands at once.

Rules
1. A ``Data`` object is reused by the driver and its view is valid until the next yield: copy what must last.
2. ``Stop`` is an input, because a closed generator cannot yield its farewell any more. A client answers it with its
   protocol's goodbye (``Send``, ``Close``) and returns. The driver bounds the time this may take.
3. A client has at most one connection and one timer. ``Connect`` and ``Wake`` replace what was there; a
   closed or replaced connection gives no more input. ``Wake(0)`` cancels.
4. The peer's mistakes are ``ProtocolError``; mistakes of ours are ordinary exceptions and stop the run.
5. Time is what the inputs say (``at_ns``); a client never looks at a clock.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field

__all__ = [
    "Address", "Answer", "Backoff", "Beat", "Begin", "Client", "Close", "Command", "Connect", "Connected", "Data",
    "Deadline", "Emit", "Eof", "Failed", "Input", "Mark", "Patience", "Progress", "ProtocolError", "Publication",
    "Publish", "Published", "Send", "Stop", "Subscriber", "Timer", "Wake",
]  # fmt: skip


class ProtocolError(Exception):
    """The peer broke its protocol; the message says what was read, and what was expected (clause)."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where a connection goes."""

    host: str
    port: int
    tls: bool = False

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a client waits for what, in seconds; 0: for ever. What takes longer is a failure.

    ``connect_s``: until a TCP connection stands. ``handshake_s``: from then until it is subscribed (TLS, upgrade, first
    answer). ``response_s``: for an answer, beyond the time the server may hold it. ``silence_s``: from one thing to the
    next on a stream that the server pushes.
    """

    connect_s: float = 5.0
    handshake_s: float = 10.0
    response_s: float = 10.0
    silence_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Backoff:
    """The pauses between attempts, in seconds: random, up to ``first_s``, and up to twice as much each time."""

    first_s: float = 0.5
    max_s: float = 30.0


@dataclass(frozen=True, slots=True)
class Subscriber:
    """Who one client is: its number, its topic, and where it connects to.

    ``path`` is the request target with the topic already in it (empty over bare TCP); ``after`` is the cursor to
    start from, None for live only; ``seed`` feeds the client's random choices (phases, pauses, masking keys), so that a
    run repeats. ``token`` (RFC 6750) goes into every HTTP request, ``login`` (user, passcode) into STOMP's CONNECT;
    neither is ever shown.
    """

    index: int
    topic: str
    topic_index: int
    address: Address
    path: str = ""
    after: int | None = 0
    seed: int = 0
    checked: bool = True  # data carries its checksum (wire contract); False for a foreign feed
    token: str = field(default="", repr=False)
    login: tuple[str, str] | None = field(default=None, repr=False)
    patience: Patience = Patience()
    backoff: Backoff = Backoff()


# Inputs: what the driver tells the client ------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Connected:
    """The connection stands; each phase's end in ns (``tls_ns`` None without TLS)."""

    at_ns: int
    tcp_ns: int
    tls_ns: int | None = None


@dataclass(slots=True)
class Data:
    """Bytes came. One object per driver, reused: valid until the next yield."""

    view: memoryview
    at_ns: int


@dataclass(frozen=True, slots=True)
class Eof:
    """The peer ended the connection in good order (FIN); the driver has closed it."""

    at_ns: int


@dataclass(frozen=True, slots=True)
class Timer:
    """The time a ``Wake`` asked for has come."""

    at_ns: int


@dataclass(frozen=True, slots=True)
class Failed:
    """Connecting, sending or receiving failed; the connection is gone."""

    error: str
    at_ns: int


@dataclass(frozen=True, slots=True)
class Stop:
    """Say goodbye and return."""

    at_ns: int


@dataclass(frozen=True, slots=True)
class Begin:
    """For a client that publishes by a schedule: it runs from ``epoch_ns`` on, up to ``stop_ns``."""

    at_ns: int
    epoch_ns: int
    stop_ns: int


@dataclass(frozen=True, slots=True)
class Publish:
    """Publish this now, the way your protocol does it; ``receipt`` asks for an acknowledgement where that is a choice.

    What is acknowledged is answered by ``Published`` with the same ``number``.
    """

    at_ns: int
    number: int
    data: bytes
    receipt: bool = False


Input = Connected | Data | Eof | Timer | Failed | Stop | Begin | Publish


# Commands: what the client asks of the driver ------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Connect:
    """Open a connection (a new attempt: a new row in ``connections``).

    Time-outs in seconds, 0: none. ``connect_s`` is for TCP; ``handshake_s`` for what follows, TLS included, until
    ``Mark("subscribed")`` or a ``Deadline``; ``silence_s`` is how long nothing at all may come behind that.
    """

    address: Address
    connect_s: float = 5.0
    handshake_s: float = 0.0
    silence_s: float = 0.0


@dataclass(slots=True)
class Deadline:
    """If this moment (ns) passes, the connection has ``Failed``, as ``why``; 0: it may.

    A deadline replaces the one before it, and ends with the connection. Drivers look a few times a second: it is no
    clock, and costs next to nothing for every request.
    """

    at_ns: int
    why: str = ""


@dataclass(frozen=True, slots=True)
class Send:
    """Put bytes on the wire; what the kernel does not take at once is queued."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Wake:
    """Give me a ``Timer`` at this moment (ns, monotonic); 0 cancels."""

    at_ns: int


class Emit(list[tuple[int, int, int, int, int, int, int, int]]):
    """Delivery rows, in the order of ``loadtests.records.DELIVERY``; the hot path's only command."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Answer:
    """One completed answer to a request for events, in the order of ``loadtests.records.RESPONSE``."""

    row: tuple[int, int, int, int, int, int, int]


@dataclass(frozen=True, slots=True)
class Mark:
    """The connection reached a phase: ``upgraded`` (HTTP answer or upgrade accepted) or ``subscribed``."""

    phase: str
    at_ns: int
    extensions: str = ""
    subprotocol: str = ""


@dataclass(frozen=True, slots=True)
class Beat:
    """Heartbeats of the peer were seen (SSE comments, pings, STOMP EOLs)."""

    count: int = 1


@dataclass(frozen=True, slots=True)
class Close:
    """Close the connection; ``why`` goes into its row. ``failed`` counts it as a failure."""

    why: str = ""
    failed: bool = False


@dataclass(frozen=True, slots=True)
class Published:
    """What was published under ``number`` is acknowledged, or known to have failed; ``clients.publishing`` takes it.

    ``status`` is an HTTP answer's (0: there is none in this protocol, -1: no answer came); ``seq`` is the event's as
    the server says (0: it does not); ``size`` is the answer's, in bytes.
    """

    number: int
    at_ns: int
    status: int = 0
    seq: int = 0
    size: int = 0


@dataclass(frozen=True, slots=True)
class Publication:
    """One publish that is over, in the order of ``loadtests.records.PUBLISH``."""

    row: tuple[int, int, int, int, int, int, int, int]


Command = Connect | Send | Wake | Deadline | Emit | Answer | Mark | Beat | Close | Published | Publication | None
Client = Generator[Command | tuple[Command, ...], Input, None]


@dataclass(slots=True)
class Progress:
    """What outlives a connection: the cursor to resume from (None: live only), the attempt number, where to turn to.

    ``subscribed_ns`` is when this connection was subscribed, 0 before. ``who`` asks now, ``home`` asks when it begins
    anew; redirections move them, and ``trail`` has the addresses that redirected.
    """

    after: int | None
    who: Subscriber
    home: Subscriber
    attempt: int = -1
    subscribed_ns: int = 0
    trail: list[str] = field(default_factory=list)
