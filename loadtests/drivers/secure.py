"""TLS over a connected, non-blocking socket, with the calls of a plain one: what the event-loop driver reads through.

``ssl.SSLSocket`` is a wrapper around the object used here (``SSLContext._wrap_socket``). It is left out for two
reasons: where gevent has patched ``ssl`` the standard library's own can no longer be made, and gevent's blocks a
greenlet; and a read through it costs two Python calls more.

Rules
1. ``BlockingIOError`` says "not now", as a plain socket does. Bytes that were no message of ours (a session ticket, a
   key update) are that too.
2. TLS may have to write before it can read, and the other way round: ``crossed`` then says which, until it could.
3. ``receive`` leaves nothing decrypted behind: no descriptor would become readable for it.
"""

from __future__ import annotations

import ssl
from contextlib import suppress
from typing import Any

__all__ = ["READ", "READ_AWAITS_WRITE", "RECORD_BYTES", "WRITE", "WRITE_AWAITS_READ", "Secure"]

READ, WRITE = 1, 2
READ_AWAITS_WRITE, WRITE_AWAITS_READ = 1, 2
RECORD_BYTES = 2**14  # of plain text at most (RFC 8446 5.1); the buffer given to ``receive`` must hold one


class Secure:
    """The TLS of one connection, as client.

    ``host`` is checked against the certificate, and is sent as server name (SNI, RFC 6066 3) unless it is an address.
    """

    __slots__ = ("_object", "_pending", "_read", "_write", "crossed")

    def __init__(self, context: ssl.SSLContext, socket: Any, host: str) -> None:
        self._object: Any = context._wrap_socket(  # type: ignore[attr-defined]  # noqa: SLF001  see above
            socket, False, host.encode("idna").decode("ascii")
        )
        self._read, self._write, self._pending = self._object.read, self._object.write, self._object.pending
        self.crossed = 0

    def handshake(self) -> int:
        """Go on with the handshake; return what it waits for (``READ``, ``WRITE``), 0 when it is done."""
        try:
            self._object.do_handshake()
        except ssl.SSLWantReadError:
            return READ
        except ssl.SSLWantWriteError:
            return WRITE
        return 0

    def receive(self, buffer: bytearray) -> int:
        """Receive into the buffer, as ``recv_into``; 0 when the peer has said that it will send no more."""
        try:
            size: int = self._read(RECORD_BYTES, buffer)
            if self._pending():
                size = self._drain(buffer, size)
        except ssl.SSLWantReadError:
            self.crossed &= ~READ_AWAITS_WRITE
            raise BlockingIOError from None
        except ssl.SSLWantWriteError:
            self.crossed |= READ_AWAITS_WRITE
            raise BlockingIOError from None
        return size

    def _drain(self, buffer: bytearray, size: int) -> int:
        """Read what is left of the record, or of those that came with it."""
        view = memoryview(buffer)
        while (left := min(self._pending(), len(buffer) - size)) > 0:
            try:
                size += self._read(left, view[size:])
            except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
                break  # the next call meets it again
        return size

    def send(self, data: bytes | bytearray) -> int:
        """Send, as ``send``. After a ``BlockingIOError`` the same bytes must be sent again, with or without more."""
        try:
            sent: int = self._write(data)
        except ssl.SSLWantWriteError:
            self.crossed &= ~WRITE_AWAITS_READ
            raise BlockingIOError from None
        except ssl.SSLWantReadError:
            self.crossed |= WRITE_AWAITS_READ
            raise BlockingIOError from None
        self.crossed &= ~WRITE_AWAITS_READ
        return sent

    def close(self) -> None:
        """Say that we send no more (close_notify, RFC 8446 6.1); nobody waits for the peer's."""
        with suppress(OSError):  # SSLError is one: the peer has gone, or has not answered yet
            self._object.shutdown()
