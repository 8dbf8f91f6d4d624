"""TLS on every port: the user's certificate, or a throw-away one made on the spot; TLS 1.2 and 1.3.

The rules
1. A certificate that cannot serve is refused before anything listens, in one line: unreadable, not matching its key,
   not valid yet, expired.
2. The authority of a throw-away certificate lies in a temporary file, which READY names as ``tls.ca_file``, for as
   long as the server runs. Its key is never written.
3. A connection is counted from its first packet, so that a handshake that never ends takes a place like any other,
   and only for ``handshake_s``.

asyncio's own TLS listener would call us only once the handshake is done; its protocol is therefore put on a plain
listener, as ``loop.create_server(ssl=…)`` does inside.
"""

from __future__ import annotations

import asyncio
import os
import ssl
import tempfile
from asyncio.sslproto import SSLProtocol, _SSLProtocolTransport
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

from servers.site import Site

VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}
SHUTDOWN_S = 1.0  # for the peer's close_notify, which many never send (RFC 8446, section 6.1)
BUFFER_BYTES = 256 * 1024  # asyncio's own; it is most of what a TLS connection costs in memory


class TlsError(ValueError):
    """A certificate that cannot serve; the message says why and what would do."""


@dataclass(frozen=True, slots=True)
class TlsSettings:
    """How the ports speak TLS; ``certificate`` and ``key`` are None for a throw-away certificate."""

    versions: tuple[str, ...] = tuple(VERSIONS)
    certificate: Path | None = None
    key: Path | None = None
    buffer_bytes: int = BUFFER_BYTES


def make_context(settings: TlsSettings) -> ssl.SSLContext:
    """Return a server's context, with the user's certificate if there is one; raises TlsError."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = VERSIONS[settings.versions[0]]
    context.maximum_version = VERSIONS[settings.versions[-1]]
    context.options |= ssl.OP_NO_RENEGOTIATION  # TLS 1.2: a client could make us compute for nothing
    context.set_alpn_protocols(["http/1.1"])
    if settings.certificate is not None and settings.key is not None:
        _check_dates(settings.certificate)
        _load(context, settings.certificate, settings.key)
    return context


def _check_dates(path: Path) -> None:
    from cryptography import x509  # noqa: PLC0415 - slow to import, and only TLS needs it

    try:
        certificate = x509.load_pem_x509_certificate(path.read_bytes())
    except OSError as error:
        raise TlsError(f"--tls-certificate {path}: {error.strerror}, expected a readable PEM file") from error
    except ValueError as error:
        raise TlsError(f"--tls-certificate {path}: not a certificate, expected one in PEM") from error
    now, first, last = datetime.now(UTC), certificate.not_valid_before_utc, certificate.not_valid_after_utc
    if not first <= now <= last:
        state = "expired" if now > last else "not valid yet"
        raise TlsError(f"--tls-certificate {path}: {state} (valid {first:%Y-%m-%d} to {last:%Y-%m-%d}), expected now")


def _load(context: ssl.SSLContext, certificate: Path, key: Path) -> None:
    try:
        # The password keeps OpenSSL from asking at the terminal.
        context.load_cert_chain(certificate, key, password=lambda: "")
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise TlsError(f"--tls-key {key}: does not belong to --tls-certificate {certificate}") from error
        raise TlsError(f"--tls-key {key}: no key ({error.reason}), expected one in PEM, not encrypted") from error
    except OSError as error:
        raise TlsError(f"--tls-key {key}: {error.strerror}, expected a readable PEM file") from error


@contextmanager
def throw_away(context: ssl.SSLContext, host: str) -> Iterator[str]:
    """Give ``context`` a certificate for this machine; the value is the path of its authority's, while it lasts."""
    import trustme  # noqa: PLC0415 - slow to import, and only a throw-away certificate needs it

    authority = trustme.CA()
    names = dict.fromkeys(("localhost", "127.0.0.1", "::1", host or "localhost"))
    authority.issue_cert(*names).configure_cert(context)
    descriptor, path = tempfile.mkstemp(prefix="pushbench-ca-", suffix=".pem")
    os.close(descriptor)
    try:
        authority.cert_pem.write_to_path(path)
        yield path
    finally:
        with suppress(FileNotFoundError):
            Path(path).unlink()


class _Transport(_SSLProtocolTransport):
    """asyncio's, which raises AttributeError from every method once it has been closed twice, or aborted and closed."""

    def close(self) -> None:
        """Close; again does nothing."""
        if not self._closed:
            super().close()


class TlsConnection(SSLProtocol):
    """asyncio's TLS around a protocol of ours, counted from the first packet on."""

    def __init__(
        self, site: Site, context: ssl.SSLContext, settings: TlsSettings, protocol: asyncio.BaseProtocol
    ) -> None:
        self.max_size = settings.buffer_bytes  # type: ignore[misc] # the base class reads it from ``self``
        waiter: Any = None  # nobody waits: what fails is counted
        handshake_s: Any = site.limits.handshake_s
        shutdown_s: Any = SHUTDOWN_S
        super().__init__(
            asyncio.get_running_loop(), cast("asyncio.Protocol", protocol), context, waiter, server_side=True,
            ssl_handshake_timeout=handshake_s, ssl_shutdown_timeout=shutdown_s,
        )  # fmt: skip
        self._site = site
        self._shaking = False
        self._accepted_ns = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin the handshake, if there is room for another."""
        if not self._site.begin_handshake():
            cast("asyncio.Transport", transport).abort()
            return
        self._shaking = True
        self._accepted_ns = self._site.feed.clock()
        # What waits below us would not be in our own count of what is queued.
        cast("asyncio.Transport", transport).set_write_buffer_limits(1, 0)
        super().connection_made(transport)

    def _on_handshake_complete(self, handshake_exc: BaseException | None) -> None:
        if handshake_exc is None:
            self._end_handshake()
            self._app_transport = _Transport(asyncio.get_running_loop(), self)
            self._app_transport_created = True
        super()._on_handshake_complete(handshake_exc)

    def _end_handshake(self) -> None:
        if self._shaking:
            self._shaking = False
            self._site.end_handshake()

    def connection_lost(self, exc: BaseException | None) -> None:
        """End; a handshake that was still going on is counted."""
        if self._shaking:
            self._end_handshake()
            late_ns = self._site.feed.clock() - self._accepted_ns
            late = late_ns >= self._site.limits.handshake_s * 1e9
            self._site.counters.drops["handshake_timeout" if late else "tls_handshake_failed"] += 1
        super().connection_lost(exc)


def wrapped(
    site: Site, context: ssl.SSLContext, settings: TlsSettings, protocol: Callable[[], asyncio.BaseProtocol]
) -> Callable[[], asyncio.BaseProtocol]:
    """Return the protocol factory of a port that speaks TLS."""
    return lambda: TlsConnection(site, context, settings, protocol())
