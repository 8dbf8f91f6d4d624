"""Who may come in: a bearer token, the origins of browsers, and the names we answer to.

The rules
1. With a token every request but ``/health`` needs it (RFC 6750, section 2.1); it is compared in constant time and
   lives in a file, never in an argument or a log.
2. A browser says where a page came from (``Origin``, RFC 6454, section 7). What upgrades or changes state is refused
   unless that is this server itself or on the list: neither WebSocket nor a POST of text is held back by the
   same-origin policy (RFC 6455, section 10.2). Who sends no Origin is no browser, and no page can misuse him.
3. A page may point a name of its own at our address (DNS rebinding), and is then same-origin with us in the browser's
   eyes. So nobody but us decides what we are called: an IP address, ``localhost``, ``--host`` and the hosts of
   ``--allow-origin``. Bound to loopback, requests for any other name are misdirected (421, RFC 9110, section
   15.5.20); bound wider, such a name is at least no origin of ours.
"""

from __future__ import annotations

import argparse
import hmac
import ipaddress
import re
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from aiohttp import hdrs

from servers.responses import Problem
from servers.site import Request

_TOKEN = re.compile(rb"[A-Za-z0-9._~+/-]+=*")  # RFC 6750, section 2.1: b64token
_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^\[\]:/@\s]+)(?::[0-9]*)?")  # RFC 9110, section 7.2
FAMILIAR = 256  # Hosts remembered; a client may make up as many as it likes
_CHALLENGE = b'WWW-Authenticate: Bearer realm="pushbench"%b\r\n'


def read_token(path: Path) -> bytes:
    """Return the token in a file of one line; raises ValueError, which never says what the file holds."""
    token = path.read_bytes().strip()
    if not _TOKEN.fullmatch(token):
        raise ValueError(f"{path}, expected one line of letters, digits and -._~+/ (RFC 6750)")
    return token


def read_login(path: Path) -> tuple[str, str]:
    """Return login and passcode out of a file of one line, ``user:passcode``; raises ValueError."""
    lines = path.read_text("utf-8").splitlines()
    login, colon, passcode = lines[0].partition(":") if len(lines) == 1 else ("", "", "")
    if not (login and colon and passcode):
        raise ValueError(f"{path}, expected one line user:passcode")
    return login, passcode


def origin(text: str) -> str:
    """Return an origin as browsers write it (RFC 6454, section 6.2); raises ValueError."""
    parts = urlsplit(text)
    bare = parts.scheme in {"http", "https"} and parts.hostname and not (parts.path or parts.query or parts.fragment)
    if not bare or parts.username is not None or parts.port == 0:
        raise ValueError(f"{text!r}, expected http://HOST[:PORT] or https://HOST[:PORT]")
    default = {"http": 80, "https": 443}[parts.scheme]
    host = parts.netloc.lower()
    return f"{parts.scheme}://{host.removesuffix(f':{default}')}"


def host_of(authority: str) -> str | None:
    """Return the host of ``HOST[:PORT]``, lower case; None when it is not that."""
    match = _HOST.fullmatch(authority)
    return match[1].lower() if match else None


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return None


def is_loopback(host: str) -> bool:
    """Whether a host names this machine to itself alone."""
    address = _address(host)
    return address.is_loopback if address else host == "localhost" or host.endswith(".localhost")  # RFC 6761, 6.3


@dataclass(frozen=True, slots=True, eq=False)
class Access:
    """What is asked of a request before its handler runs. ``scheme`` is what the port speaks."""

    scheme: str
    loopback: bool
    names: frozenset[str]
    origins: frozenset[str] = frozenset()
    token: bytes | None = None
    familiar: set[str] = field(default_factory=set)  # Hosts with which a request needs no further check

    @classmethod
    def of(cls, options: argparse.Namespace) -> Access:
        """Return what a command line asks for."""
        names = {options.host.lower(), *filter(None, (urlsplit(listed).hostname for listed in options.origins))}
        return cls(
            scheme="http" if options.tls is None else "https",
            loopback=is_loopback(options.host.lower()),
            names=frozenset(names),
            origins=frozenset(options.origins),
            token=options.token,
        )

    def ours(self, authority: str) -> bool:
        """Whether ``HOST[:PORT]`` names this server; no port is asked for, for tunnels and proxies change it."""
        host = host_of(authority)
        return host is not None and (host in self.names or is_loopback(host) or _address(host) is not None)

    def check(self, request: Request, path: str, authority: str | None = None) -> None:
        """Raise the 421 or 401 that keeps a request out; ``authority`` is the target's, where it has one."""
        host = authority or request.headers.get(hdrs.HOST)  # RFC 9112, section 3.2.2
        if self.loopback and host is not None and not self.ours(host):
            raise Problem(
                421, f"Host {host[:200]!r}, expected an address, localhost, --host or a host of --allow-origin",
                reason="bad_host",
            )  # fmt: skip
        if self.token is None:
            if authority is None and host is not None and len(self.familiar) < FAMILIAR:
                self.familiar.add(host)
        elif path != "/health":
            self._authorize(request)

    def _authorize(self, request: Request) -> None:
        given = request.headers.get(hdrs.AUTHORIZATION)
        scheme, _, token = (given or "").partition(" ")
        if scheme.lower() == "bearer" and self.token is not None:
            if hmac.compare_digest(token.strip().encode("utf-8", "surrogateescape"), self.token):
                return
            challenge = _CHALLENGE % b', error="invalid_token"'
        else:
            challenge = _CHALLENGE % b""  # section 3.1: who did not try is told no error
        raise Problem(401, "expected Authorization: Bearer TOKEN", headers=challenge, reason="unauthorized")

    def check_origin(self, request: Request) -> None:
        """Raise the 403 that keeps other people's pages out."""
        for given in request.headers.getall(hdrs.ORIGIN, ()):
            host = request.headers.get(hdrs.HOST, "")
            own = given.lower() == f"{self.scheme}://{host.lower()}" and self.ours(host)
            if not own and given.lower() not in self.origins:
                raise Problem(
                    403, f"Origin {given[:200]!r}, expected {self.scheme}://{host[:200]} or one of --allow-origin",
                    reason="bad_origin",
                )  # fmt: skip
