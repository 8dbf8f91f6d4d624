"""The command line: flags, their defaults, and what they must be.

The rule: bad input is one line on standard error that says what was read, where, and what was expected, and exit code
2. A transport's own flags are declared by its module, so they exist when that transport is served.
"""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn, TypeVar

from servers import access, discover, tls
from servers.feed import FeedSettings
from servers.payload import LEAST_BYTES, TEXTS
from servers.schedule import SCHEDULES, Schedule, TraceError, read_trace, trace_rate_hz
from servers.site import MAX_SEQ, SPARE_CONNECTIONS, Limits

try:
    import resource
except ImportError:  # Windows has no such limit
    resource = None  # type: ignore[assignment]

EXAMPLES = """examples:
  python -m servers all --port 8080 --rate 5
  python -m servers sse websocket --port 0 --topics 100 --schedule constant --rate 10 --control
"""

_OTHER_FILES = 32  # open files that are no connections
_LOG_EVENTS = 100_000  # held by all topics together, unless told otherwise

Number = TypeVar("Number", int, float)
Read = TypeVar("Read")


class _Parser(argparse.ArgumentParser):
    """An argument parser whose complaint is one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}; see {self.prog} --help\n")


def _number(convert: Callable[[str], Number], least: float, most: float, expected: str) -> Callable[[str], Number]:
    """Return an argparse type: a number between two bounds, and what to say when it is not."""

    def parse(text: str) -> Number:
        try:
            value = convert(text)
        except ValueError:
            value = None
        if value is None or not least <= value <= most:
            raise argparse.ArgumentTypeError(f"{text!r}, expected {expected}")
        return value

    return parse


def _whole(least: int, most: int) -> Callable[[str], int]:
    return _number(int, least, most, f"a whole number from {least} to {most}")


def _seconds(least: float, most: float) -> Callable[[str], float]:
    return _number(float, least, most, f"seconds from {least:g} to {most:g}")


_RATE = _number(float, 1e-6, 1e6, "events per second of each topic, more than 0, at most 1000000")
_PORT = _whole(0, 65535)


def _origin(text: str) -> str:
    try:
        return access.origin(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _add_doors(parser: argparse.ArgumentParser) -> None:
    """Declare TLS, and who may come in."""
    add = parser.add_argument_group("TLS").add_argument
    add("--tls", action="store_true", help="https, wss and STOMP over TLS, with a certificate made on the spot")
    add("--tls-certificate", type=Path, metavar="FILE", help="your own instead: PEM, the chain behind it")
    add("--tls-key", type=Path, metavar="FILE", help="its key: PEM, not encrypted")
    add("--tls-version", choices=tuple(tls.VERSIONS), help="exactly this one (default: both)")
    add(
        "--tls-buffer-bytes", type=_whole(4096, 1 << 20), default=tls.BUFFER_BYTES, metavar="N",
        help="read buffer of each TLS connection (%(default)s, as asyncio has it)",
    )  # fmt: skip
    add = parser.add_argument_group("who may come in").add_argument
    add("--token-file", type=Path, metavar="FILE", help="ask for this bearer token, except at /health")
    add("--login-file", type=Path, metavar="FILE", help="one line user:passcode, asked of STOMP's CONNECT")
    add(
        "--allow-origin", dest="origins", action="append", default=[], type=_origin, metavar="ORIGIN",
        help="let pages from there publish and open WebSockets; may be repeated",
    )  # fmt: skip


def _secret(parser: argparse.ArgumentParser, flag: str, path: Path | None, read: Callable[[Path], Read]) -> Read | None:
    """Return what a file holds, None without one."""
    if path is None:
        return None
    try:
        return read(path)
    except OSError as error:
        parser.error(f"{flag} {path}: {error.strerror}, expected a readable file")
    except UnicodeDecodeError:
        parser.error(f"{flag} {path}, expected UTF-8")
    except ValueError as error:
        parser.error(f"{flag} {error}")


def _tls_settings(parser: argparse.ArgumentParser, options: argparse.Namespace) -> tls.TlsSettings | None:
    """Return how to speak TLS, None when not; what is wrong with a certificate is said now."""
    own = options.tls_certificate, options.tls_key
    if (own[0] is None) != (own[1] is None):
        parser.error("--tls-certificate FILE and --tls-key FILE, expected both or neither")
    if not options.tls and own[0] is None:
        if options.tls_version is not None:
            parser.error(f"--tls-version {options.tls_version} without TLS, expected --tls or --tls-certificate, too")
        return None
    versions = tuple(tls.VERSIONS) if options.tls_version is None else (options.tls_version,)
    settings = tls.TlsSettings(versions, *own, options.tls_buffer_bytes)
    try:
        tls.make_context(settings)
    except tls.TlsError as error:
        parser.error(str(error))
    return settings


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="python -m servers",
        description="Put a feed of events on the wire. Prints one READY line of JSON; SIGTERM or Ctrl-C end it.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("transports", nargs="+", metavar="TRANSPORT", help="polling, long_polling, sse, websocket, …, or all")
    add("--host", default="127.0.0.1", help="address to bind to (%(default)s)")
    add("--port", type=_PORT, default=8080, help="HTTP port, 0 for a free one (%(default)s)")
    add("--tcp-port", type=_PORT, default=0, help="port of transports over bare TCP, 0 for a free one (%(default)s)")
    _add_doors(parser)
    feed = parser.add_argument_group("feed")
    add = feed.add_argument
    add("--topics", type=_whole(1, 100_000), default=1, help="scheduled topics t0, t1, … (%(default)s)")
    add("--rate", type=_RATE, default=1.0, help="mean events per second of each topic (%(default)s)")
    add("--schedule", choices=tuple(SCHEDULES), default="poisson", help="when events are due (%(default)s)")
    add("--burst-on", type=_seconds(1e-6, 1e6), default=1.0, help="bursty: mean seconds of a burst (%(default)s)")
    add("--burst-off", type=_seconds(0, 1e6), default=4.0, help="bursty: mean seconds of silence (%(default)s)")
    add("--trace", type=Path, help="trace: CSV, first column seconds, ascending; looped, at the rate it has")
    add("--payload", choices=tuple(TEXTS), default="text", help="compressible text or random (%(default)s)")
    add("--payload-bytes", type=_whole(LEAST_BYTES, 1 << 20), default=256, help="bytes of data (%(default)s)")
    add("--seed", type=int, default=1, help="same seed, same events at the same offsets (%(default)s)")
    add("--control", action="store_true", help="wait for PUT /feed instead of starting at once")
    add(
        "--epoch-ns", type=_whole(0, MAX_SEQ), metavar="N",
        help="the schedule starts, or has started, at N of the monotonic clock: a server that is started again with "
        "the seed and epoch it had holds the same log before it listens",
    )  # fmt: skip
    add("--stop-ns", type=_whole(1, MAX_SEQ), metavar="N", help="and ends at N")
    limits = parser.add_argument_group("limits")
    add = limits.add_argument
    add("--log-events", type=_whole(1, 10_000_000), help="events held per topic (100000 in all, 256 to 10000 each)")
    add("--published-topics", type=_whole(0, 1_000_000), default=1000, help="topics of clients' own (%(default)s)")
    add("--heartbeat", type=_seconds(0.01, 86400), default=15.0, help="longest silence, in seconds (%(default)s)")
    add("--max-hold", type=_seconds(0, 86400), default=60.0, help="longest long poll, in seconds (%(default)s)")
    default = Limits()
    for flag, least, most, says in (
        ("--connections", 1, 1_000_000, "connections open at once"),
        ("--subscriptions", 1, 1_000_000, "subscriptions of one STOMP connection"),
        ("--header-bytes", 256, 1 << 20, "bytes of a request line or header line"),
        ("--headers", 8, 10_000, "header lines of one request or STOMP frame"),
        ("--message-bytes", 256, 1 << 30, "bytes of one WebSocket message from a client"),
        ("--publish-bytes", 64, 1 << 30, "bytes of one published event's data"),
        ("--queue-bytes", 4096, 1 << 40, "bytes unsent, per connection"),
    ):
        value = getattr(default, flag[2:].replace("-", "_"))
        add(flag, type=_whole(least, most), default=value, help=f"{says} (%(default)s)")
    for flag, says in (
        ("--handshake", "seconds from a connection to its first whole request or CONNECT, TLS included"),
        ("--request", "seconds from a later request's first byte to its last"),
        ("--idle", "seconds that an HTTP connection may wait for its next request"),
    ):
        value = getattr(default, f"{flag[2:]}_s")
        add(flag, type=_seconds(0.01, 86400), default=value, help=f"{says} (%(default)s)")
    return parser


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """Read a command line; ``modules`` of the result holds the transports by name.

    Exits with code 2 when it is wrong.
    """
    parser = _parser()
    words = argv if {"-h", "--help"}.isdisjoint(argv) else ("all",)
    # flags of a transport may stand before its name: every word that names one declares its flags
    discover.add_arguments(parser, {name: module for word in words for name, module in discover.named(word).items()})
    options = parser.parse_args(argv)
    options.modules = {}
    for name in options.transports:
        modules = discover.named(name)
        if not modules:
            parser.error(f"transport {name!r}, expected all or some of: {' '.join(discover.everything())}")
        options.modules |= modules
    if options.stop_ns is not None and (options.epoch_ns is None or options.stop_ns <= options.epoch_ns):
        parser.error(f"--stop-ns {options.stop_ns}, expected more than --epoch-ns {options.epoch_ns}")
    if (options.trace is None) != (options.schedule != "trace"):
        parser.error("--schedule trace and --trace FILE, expected both or neither")
    options.tls = _tls_settings(parser, options)
    options.token = _secret(parser, "--token-file", options.token_file, access.read_token)
    options.login = _secret(parser, "--login-file", options.login_file, access.read_login)
    options.trace_ns = ()
    if options.trace is not None:
        try:
            options.trace_ns = read_trace(options.trace)
        except TraceError as error:
            parser.error(f"--trace {error}")
        except (OSError, UnicodeDecodeError) as error:
            parser.error(f"--trace {options.trace}: {error}, expected a readable CSV file")
    return options


def feed_settings(options: argparse.Namespace) -> FeedSettings:
    """Return what the feed consists of."""
    rate_hz = trace_rate_hz(options.trace_ns) if options.trace_ns else options.rate
    schedule = Schedule(options.schedule, rate_hz, options.seed, options.burst_on, options.burst_off, options.trace_ns)
    return FeedSettings(
        schedule=schedule,
        topics=options.topics,
        payload=options.payload,
        payload_bytes=options.payload_bytes,
        log_events=options.log_events or min(10_000, max(256, _LOG_EVENTS // options.topics)),
        published_topics=options.published_topics,
    )


def raise_descriptors() -> None:
    """Ask for as many open files as this process may have: each connection is one."""
    if resource is not None:
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        with contextlib.suppress(OSError, ValueError):  # macOS says no to "unlimited"
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _connections(asked: int) -> int:
    """Return how many connections can be kept: past the open files there is no refusing politely."""
    if resource is None:
        return asked
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return asked if soft == resource.RLIM_INFINITY else max(1, min(asked, soft - SPARE_CONNECTIONS - _OTHER_FILES))


def limits(options: argparse.Namespace) -> Limits:
    """Return what one client may ask."""
    return Limits(
        hold_max_s=options.max_hold,
        heartbeat_s=options.heartbeat,
        connections=_connections(options.connections),
        subscriptions=options.subscriptions,
        header_bytes=options.header_bytes,
        headers=options.headers,
        message_bytes=options.message_bytes,
        publish_bytes=options.publish_bytes,
        queue_bytes=options.queue_bytes,
        handshake_s=options.handshake,
        request_s=options.request,
        idle_s=options.idle,
    )
