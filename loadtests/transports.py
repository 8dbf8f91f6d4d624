"""THE REGISTRY: one row per transport. Adding one is a server file, a client file and a row here."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from types import ModuleType


@dataclass(frozen=True, slots=True)
class Transport:
    """One way to get events, by the names used everywhere (command line, TOML, columns).

    ``user`` is the name of its Locust User class; ``client`` names the module of ``loadtests.clients`` (it defines
    ``Options`` and ``client(subscriber, options)``) and the TOML section of its options; ``scheme`` is ``http`` or
    ``tcp``; ``path`` has ``{topic}`` where the topic goes; ``pulls`` is true when the subscriber asks for every answer,
    so that responses and empty responses exist; ``duplex`` when it can publish on the connection it listens on (its
    client then takes ``Publish``), so that it need not POST.
    """

    name: str
    label: str
    user: str
    client: str
    specification: str
    path: str = ""
    scheme: str = "http"
    pulls: bool = False
    duplex: bool = False

    def module(self) -> ModuleType:
        """Import and return the client module (kept lazy: a run imports only what it uses)."""
        return importlib.import_module(f"loadtests.clients.{self.client}")


TRANSPORTS: dict[str, Transport] = {
    row.name: row
    for row in (
        Transport("polling", "HTTP polling", "PollingSubscriber", "polling", "RFC 9110", "/poll/{topic}", pulls=True),
        Transport(
            "long_polling",
            "HTTP long polling",
            "LongPollingSubscriber",
            "long_polling",
            "RFC 6202",
            "/long-poll/{topic}",
            pulls=True,
        ),
        Transport("sse", "Server-Sent Events", "SSESubscriber", "sse", "WHATWG HTML 9.2", "/sse/{topic}"),
        Transport("websocket", "WebSocket", "WebSocketSubscriber", "websocket", "RFC 6455", "/ws/{topic}", duplex=True),
        Transport(
            "stomp_websocket",
            "STOMP over WebSocket",
            "StompWebSocketSubscriber",
            "stomp",
            "STOMP 1.2",
            "/stomp",
            duplex=True,
        ),
        Transport("stomp_tcp", "STOMP over TCP", "StompTCPSubscriber", "stomp", "STOMP 1.2", scheme="tcp", duplex=True),
    )
}
