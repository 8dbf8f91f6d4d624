"""A scripted peer that speaks TLS, with an authority made for the test."""

from __future__ import annotations

import contextlib
import functools
import socket
import ssl
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import trustme

from loadtests.clients import Address

Script = Callable[[ssl.SSLSocket], object]


@functools.cache
def authority() -> trustme.CA:
    return trustme.CA()


@functools.cache
def ca_file() -> str:
    path = Path(tempfile.mkdtemp()) / "ca.pem"
    authority().cert_pem.write_to_path(str(path))
    return str(path)


def server_context(*names: str, version: ssl.TLSVersion | None = None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    if version:
        context.minimum_version = context.maximum_version = version
    authority().issue_cert(*(names or ("127.0.0.1", "localhost"))).configure_cert(context)
    return context


@contextlib.contextmanager
def tls_peer(*scripts: Script, context: ssl.SSLContext | None = None, host: str = "127.0.0.1") -> Iterator[Address]:
    """A listener whose n-th connection is served by the n-th script, behind the handshake, in a thread of its own."""
    context = context or server_context()
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            for script in scripts:
                plain, _ = listener.accept()
                with plain, contextlib.suppress(OSError), context.wrap_socket(plain, server_side=True) as connection:
                    script(connection)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield Address(host, listener.getsockname()[1], tls=True)
        thread.join(3)
        assert not thread.is_alive()


def say_goodbye(connection: ssl.SSLSocket) -> None:
    """Send close_notify and wait for the other's, or for the end."""
    with contextlib.suppress(OSError):
        connection.unwrap()
