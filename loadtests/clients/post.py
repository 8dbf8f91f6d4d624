"""The publisher beside a subscriber that can only listen: ``POST /publish/{topic}`` on a connection of its own.

The rule: one request at a time (nothing is pipelined, RFC 9112 9.3.2), and each is answered by ``Published``, with the
status of its answer, or with -1 when none came. Without keep-alive every publish opens a connection, and what that
takes is part of its latency.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from loadtests.clients import (
    Client,
    Close,
    Command,
    Connect,
    Connected,
    Data,
    Deadline,
    Eof,
    Failed,
    ProtocolError,
    Publish,
    Published,
    Send,
    Stop,
    Subscriber,
)
from loadtests.clients.http import Response

__all__ = ["client"]

_ACCEPTED = 202
_LOST = -1

Commands = tuple[Command, ...]


def client(subscriber: Subscriber, *, keep_alive: bool) -> Client:
    """Return the generator that publishes what it is given until it is stopped; ``subscriber.path`` is where to.

    A ``Publish`` may be given once the one before has been answered. A connection that does not come to stand, or an
    answer that does not come within the subscriber's patience, is a failure.
    """
    publisher = _Publisher(subscriber, keep_alive=keep_alive)
    # With keep-alive the connection stands before the first publish is due.
    more: Commands = publisher.connect() if keep_alive else ()
    while True:
        event = yield more
        if isinstance(event, Stop):
            return
        try:
            more = _TAKE[type(event)](publisher, event)
        except ProtocolError as error:
            more = publisher.give_up(event.at_ns, f"protocol error: {error}")


class _Publisher:
    """One publish under way at most (``_wanted``), on a connection that stands, or that is being opened for it."""

    __slots__ = ("_address", "_connected", "_keep_alive", "_patience", "_request", "_response", "_wanted")

    def __init__(self, subscriber: Subscriber, *, keep_alive: bool) -> None:
        self._address = subscriber.address
        self._request = _request(subscriber, keep_alive=keep_alive)
        self._keep_alive = keep_alive
        self._patience = subscriber.patience
        self._wanted: Publish | None = None
        self._connected = False
        self._response = Response()

    def connect(self) -> Commands:
        """Open a connection."""
        return (Connect(self._address, self._patience.connect_s, self._patience.handshake_s),)

    def publish(self, wanted: Publish) -> Commands:
        """Send it, or connect first."""
        self._wanted = wanted
        return self._ask(wanted, wanted.at_ns) if self._connected else self.connect()

    def connected(self, connected: Connected) -> Commands:
        """Send what waits for it; without, the connection may stand idle."""
        self._connected, self._response = True, Response()
        return self._ask(self._wanted, connected.at_ns) if self._wanted else (Deadline(0),)

    def _ask(self, wanted: Publish, at_ns: int) -> Commands:
        wait_s = self._patience.response_s
        until_ns = at_ns + round(wait_s * 1e9) if wait_s else 0
        return self._request(wanted.data), Deadline(until_ns, f"publish: no answer within {wait_s:g} s")

    def read(self, data: Data) -> Commands:
        """Take a piece of the answer."""
        if self._wanted is None:
            raise ProtocolError(f"{len(data.view)} bytes from the server while no request was under way")
        return self._answered(data.at_ns) if self._response.feed(data.view) else ()

    def ended(self, event: Eof | Failed) -> Commands:
        """The connection is gone; an idle one is opened anew by the next publish (RFC 9112 9.5)."""
        self._connected = False
        if self._wanted is None:
            return ()
        if isinstance(event, Eof) and self._response.eof():
            return self._answered(event.at_ns)
        return self._over(Published(self._wanted.number, event.at_ns, _LOST))

    def give_up(self, at_ns: int, why: str) -> Commands:
        """Close the connection; what was under way has failed."""
        self._connected = False
        over = self._over(Published(self._wanted.number, at_ns, _LOST)) if self._wanted else ()
        return *over, Close(why, failed=True)

    def _answered(self, at_ns: int) -> Commands:
        response, number = self._response, self._wanted.number if self._wanted else 0
        accepted = response.status == _ACCEPTED
        seq = _seq(response.body) if accepted else 0
        over = self._over(Published(number, at_ns, response.status, seq, response.received_bytes))
        if not accepted:
            return *over, *self._close(f"publish: status {response.status}", failed=True)
        return over if self._keep_alive and response.keep_alive else (*over, *self._close("answered"))

    def _over(self, published: Published) -> Commands:
        self._wanted = None
        return published, Deadline(0)

    def _close(self, why: str, *, failed: bool = False) -> Commands:
        self._connected = False
        return (Close(why, failed=failed),)


_TAKE: dict[type, Callable[[_Publisher, Any], Commands]] = {
    Publish: _Publisher.publish,
    Connected: _Publisher.connected,
    Data: _Publisher.read,
    Eof: _Publisher.ended,
    Failed: _Publisher.ended,
}


def _request(subscriber: Subscriber, *, keep_alive: bool) -> Callable[[bytes], Send]:
    fields = [f"Host: {subscriber.address}", "User-Agent: pushbench"]
    fields += [f"Authorization: Bearer {subscriber.token}"] if subscriber.token else []
    fields += [] if keep_alive else ["Connection: close"]
    fields += ["Content-Type: application/json", "Content-Length: "]
    head = "\r\n".join((f"POST {subscriber.path} HTTP/1.1", *fields)).encode()
    return lambda data: Send(b"%b%d\r\n\r\n%b" % (head, len(data), data))


def _seq(body: bytes) -> int:
    """Return the event's seq out of a 202 (wire contract, "publish")."""
    try:
        seq = json.loads(body)["seq"]
    except (ValueError, KeyError, TypeError, RecursionError):
        seq = None
    if type(seq) is not int or not 0 < seq < 1 << 63:
        raise ProtocolError(f'202 with {body[:40]!r}, expected {{"seq": SEQ}}')
    return seq
