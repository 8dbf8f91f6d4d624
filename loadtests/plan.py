"""What one load process is to do: the runner's ``plan.json``, or made from Locust's command line.

Rule: the locustfile is the only reader; nothing here imports locust. What is wrong with a plan is a ``PlanError``, one
line, which the locustfile turns into the exception by which Locust stops.
"""

from __future__ import annotations

import dataclasses
import ssl
from argparse import Namespace
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec

from loadtests.access import Access, AccessError
from loadtests.clients import Address, Backoff, Patience, Subscriber
from loadtests.transports import TRANSPORTS, Transport
from loadtests.upstream import Upstream

_TIMEOUTS = {
    "connect_s": "seconds a TCP connection may take to stand",
    "handshake_s": "seconds TLS, and an upgrade or a first answer, may take after that",
    "response_s": "seconds an answer may take, beyond a long poll's hold",
    "silence_s": "seconds a pushed stream may be silent, heartbeats included; 0: for ever",
}
NO_HOST = "--host is missing: where is the server? e.g. --host http://127.0.0.1:8080 (make serve starts one)"


class PlanError(Exception):
    """A plan that cannot be carried out; the message is one line."""


class Tls(msgspec.Struct, frozen=True):
    """What TLS is spoken with: exactly this ``version`` unless it is empty, and whom to trust."""

    version: str = ""
    ca_file: str | None = None
    insecure: bool = False


class Plan(msgspec.Struct, kw_only=True):
    """Where the server is, how it is reached, and which subscribers there are to be."""

    transport: str = ""
    http: str = ""
    tcp: str | None = None
    target: str | None = None
    tls: Tls | None = None
    token_file: str | None = None
    login_file: str | None = None
    timeouts: dict[str, float] = {}
    backoff: dict[str, float] = {}
    topics: int = 1
    subscribers: int = 0
    subscribers_per_user: int = 1
    options: dict[str, Any] = {}
    connects_hz: float = 0.0
    seed: int = 1
    after: int | None = None
    upstream: Upstream | None = None
    cursors: dict[str, int] = {}  # by topic, in the place of after
    spool: str | None = None

    def access(self) -> Access:
        """Return how the server is reached."""
        tls = self.tls or Tls()
        return Access(
            self.http,
            self.tcp,
            tls_version=tls.version,
            ca_file=tls.ca_file,
            insecure=tls.insecure,
            token_file=self.token_file,
            login_file=self.login_file,
            template=self.target,
        )

    def where(self, transport: Transport, topic: str) -> tuple[Address, str]:
        """Return where a transport's subscriber connects to, and with which request target. Raises PlanError."""
        if transport.scheme == "tcp":
            if not self.tcp:
                raise PlanError(f"{transport.label} needs the broker's own port: --tcp HOST:PORT")
            host, _, port = self.tcp.rpartition(":")
            return Address(host.strip("[]"), int(port), self.access().tls), ""
        url = urlsplit(self.target or self.http)
        path = (url.path + (f"?{url.query}" if url.query else "")) if self.target else url.path + transport.path
        tls = url.scheme in ("https", "wss")
        return Address(url.hostname or "", url.port or (443 if tls else 80), tls), path.replace("{topic}", topic)

    def nobody(self, token: str, login: tuple[str, str] | None) -> Subscriber:
        """Return what all subscribers have in common: a subscriber without an index, a topic, an address."""
        return Subscriber(
            0, "", 0, Address("", 0), after=self.after, seed=self.seed, token=token, login=login,
            patience=Patience(**self.timeouts), backoff=Backoff(**self.backoff),
        )  # fmt: skip


def read(path: Path) -> Plan:
    """Read the runner's ``plan.json``."""
    return msgspec.json.decode(path.read_bytes(), type=Plan)


def let_in(plan: Plan) -> tuple[ssl.SSLContext | None, str, tuple[str, str] | None]:
    """Return what the plan's files hold: whom to trust, the token, the login. Raises PlanError."""
    access = plan.access()
    try:
        return access.trust(), access.token(), access.login()
    except AccessError as error:
        raise PlanError(str(error)) from None


# Locust's command line ------------------------------------------------------------------------------------------------


def from_command_line(given: Namespace, host: str | None) -> Plan:
    """Return the plan of somebody who starts Locust by hand. Raises PlanError."""
    if not host:
        raise PlanError(NO_HOST)
    return Plan(
        http=host.rstrip("/"),
        tcp=given.tcp,
        target=given.target,
        tls=Tls(given.tls_version, given.ca_file, given.insecure),
        token_file=given.token_file,
        login_file=given.login_file,
        timeouts={name: value for name in _TIMEOUTS if (value := getattr(given, name.replace("_s", "_timeout_s")))},
        backoff={"first_s": given.backoff_s, "max_s": given.backoff_max_s},
        topics=given.topics,
        subscribers_per_user=given.subscribers_per_user,
        seed=given.seed,
        after=given.after,
        spool=given.spool,
    )


def options(plan: Plan, transport: Transport, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the client's options: the plan's, or those of Locust's command line that were given."""
    if plan.transport:
        return plan.options
    fields = dataclasses.fields(transport.module().Options)
    named = {field.name: given.get(f"{transport.client}_{field.name}") for field in fields}
    return {name: value for name, value in named.items() if value is not None}


def arguments(add: Callable[..., Any]) -> None:
    """Put our options on Locust's command line by ``add`` (an ``add_argument``): ours, then every client's."""
    add(
        "--cell",
        default="",
        help="the runner's plan.json; all else here is then taken from it",
        include_in_web_ui=False,
    )
    add("--spool", default=None, help="folder for the raw rows (default: they are counted, not kept)")
    add("--topics", type=int, default=1, help="subscriber i listens to topic t(i mod TOPICS)")
    add("--tcp", default=None, help="HOST:PORT of the STOMP broker")
    add("--target", default=None, help="where subscribers connect, {topic} in it: http://h:80/feed/{topic}")
    add("--tls-version", default="", choices=("", "1.2", "1.3"), help="exactly this one, when --host is https")
    add("--ca-file", default=None, help="authorities (PEM) to trust instead of the system's")
    add("--insecure", action="store_true", help="accept any certificate")
    add("--token-file", default=None, help="file whose first line is the bearer token", include_in_web_ui=False)
    add("--login-file", default=None, help="file whose line is STOMP's user:passcode", include_in_web_ui=False)
    add("--backoff-s", type=float, default=Backoff().first_s, help="pause before the first attempt to reconnect")
    add("--backoff-max-s", type=float, default=Backoff().max_s, help="the longest such pause")
    for name, help_text in _TIMEOUTS.items():
        add(
            f"--{name[:-2]}-timeout-s",
            type=float,
            default=None,
            help=f"{help_text} (default: {getattr(Patience(), name):g})",
        )
    add("--subscribers-per-user", type=int, default=1, help="a Locust user costs about 10 KiB; let it hold several")
    add("--seed", type=int, default=1, help="of phases and masking keys")
    add("--after", type=int, default=None, help="cursor to start from (default: live only)")
    _client_arguments(add)


def _client_arguments(add: Callable[..., Any]) -> None:
    for client in dict.fromkeys(row.client for row in TRANSPORTS.values()):
        options_of = next(row for row in TRANSPORTS.values() if row.client == client).module().Options
        for field in dataclasses.fields(options_of):
            if isinstance(field.default, (bool, int, float, str)):
                add(
                    f"--{client}-{field.name}".replace("_", "-"),
                    dest=f"{client}_{field.name}",
                    type=_flag if isinstance(field.default, bool) else type(field.default),
                    default=None,
                    help=f"{field.metadata.get('help', '')} (default: {field.default})".replace("%", "%%"),
                )


def _flag(text: str) -> bool:
    return text.lower() in ("1", "true", "yes", "on")
