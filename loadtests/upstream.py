"""The upstream direction: which ways there are to publish, what a cell's publishers are told, and their clients.

The rule: a transport on whose connection one can publish (``duplex``) does so there; beside any other a publisher of
the subscriber's own POSTs. Every subscriber has a topic of its own, ``u0 … uN-1``, which exists from its first event on
(wire contract, "The feed"): the runner publishes that one, before anybody subscribes behind it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

import msgspec

from loadtests.access import Access
from loadtests.clients import Address, Begin, Client, Subscriber, post
from loadtests.clients.offered import texts, write
from loadtests.clients.publishing import Plan, publishing
from loadtests.control import publish
from loadtests.settings import Settings
from loadtests.transports import Transport

__all__ = ["Upstream", "open_topics", "topic", "upstream", "ways", "with_publisher"]

_OPENING_BYTES = 64
_VERIFY_HZ = 1000.0


class Upstream(msgspec.Struct, frozen=True):
    """What the publishers of a cell do: a member of plan.json.

    ``keep_alive`` is for who POSTs, ``receipt`` for STOMP; ``after`` is the newest seq of every subscriber's topic
    before anybody publishes.
    """

    schedule: str = "constant"
    rate_hz: float = _VERIFY_HZ
    payload_bytes: int = 256
    keep_alive: bool = True
    receipt: bool = False
    after: tuple[int, ...] = ()

    def acknowledged(self, row: Transport) -> bool:
        """Whether the server says that it has taken what was published."""
        return self.receipt or not row.duplex

    def name(self, row: Transport) -> str:
        """Return what the way is called."""
        if not row.duplex:
            return "POST" if self.keep_alive else "POST on a new connection"
        if row.client == "stomp":
            return "SEND with RECEIPT" if self.receipt else "SEND"
        return "frame"


def ways(row: Transport) -> Sequence[Upstream]:
    """Return every way a subscriber of this transport has."""
    if not row.duplex:
        return Upstream(keep_alive=True), Upstream(keep_alive=False)
    return (Upstream(receipt=False), Upstream(receipt=True)) if row.client == "stomp" else (Upstream(),)


def topic(index: int) -> str:
    """Return the topic of a subscriber that publishes."""
    return f"u{index}"


def open_topics(server: Access, subscribers: int) -> tuple[int, ...]:
    """Publish the first event of every subscriber's topic; return the seqs. Raises ControlError and AccessError."""
    text = texts(_OPENING_BYTES, 0)[0]
    return tuple(publish(server, topic(i), write(topic(i), 1, text).decode()) for i in range(subscribers))


def upstream(settings: Settings, after: tuple[int, ...]) -> dict[str, Any]:
    """Return the member of plan.json for a cell whose subscribers publish."""
    known = {
        "schedule": settings["feed.schedule"],
        "rate_hz": settings["feed.rate_hz"],
        "payload_bytes": settings["feed.payload_bytes"],
        "keep_alive": settings.get("upstream.keep_alive", True),
        "receipt": settings.get("upstream.receipt", False),
    }
    return {**known, "after": list(after)}


def with_publisher(
    row: Transport, who: Subscriber, listening: Client, way: Upstream, http: str, *, begin: Begin | None = None
) -> tuple[Client, Client | None]:
    """Return the subscriber's client, which publishes too where it can, and else the publisher beside it.

    ``http`` is the server's base address. Without ``begin`` they wait for one as an input.
    """
    plan = Plan(way.schedule, way.rate_hz, way.payload_bytes, alone=not row.duplex, receipt=way.receipt)
    if row.duplex:
        return publishing(listening, who, plan, begin), None
    url = urlsplit(http)
    tls = url.scheme == "https"
    address = Address(url.hostname or "", url.port or (443 if tls else 80), tls)
    poster = dataclasses.replace(who, address=address, path=f"{url.path}/publish/{who.topic}")
    return listening, publishing(post.client(poster, keep_alive=way.keep_alive), poster, plan, begin)
