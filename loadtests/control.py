"""What the runner asks of a server beside the measurement: one request, one JSON answer, a connection each time."""

from __future__ import annotations

import http.client
import json
from typing import Any
from urllib.parse import urlsplit

from loadtests.access import Access

TIMEOUT_S = 5.0


class ControlError(Exception):
    """The server did not answer, or not as the wire contract says; the message has request and answer.

    ``status`` is the answer's when there was one, else 0.
    """

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.status = status


def connect(server: Access, timeout_s: float = TIMEOUT_S) -> http.client.HTTPConnection:
    """Return a connection to the server, not opened yet; raises AccessError."""
    parts = urlsplit(server.http)
    host, trust = parts.hostname or "", server.trust()
    if trust is None:
        return http.client.HTTPConnection(host, parts.port, timeout=timeout_s)
    return http.client.HTTPSConnection(host, parts.port, timeout=timeout_s, context=trust)


def fields(server: Access) -> dict[str, str]:
    """Return the header fields that let a request in; raises AccessError."""
    token = server.token()
    return {"Authorization": f"Bearer {token}"} if token else {}


def ask(
    server: Access, method: str, path: str, body: bytes | None = None, *, timeout_s: float = TIMEOUT_S
) -> dict[str, Any]:
    """Send a request to the server and return the JSON object it answers with (2xx).

    Raises ControlError and AccessError.
    """
    url, connection = server.http, connect(server, timeout_s)
    try:
        connection.request(method, urlsplit(url).path + path, body, {"Connection": "close", **fields(server)})
        response = connection.getresponse()
        text = response.read().decode("utf-8", "replace")
    except (OSError, http.client.HTTPException) as error:
        raise ControlError(f"{method} {url}{path}: {error or type(error).__name__}") from None
    finally:
        connection.close()
    if not 200 <= response.status < 300:
        raise ControlError(
            f"{method} {url}{path}: status {response.status}, expected 2xx: {text[:200]}", response.status
        )
    try:
        answer = json.loads(text)
    except ValueError:
        answer = None
    if not isinstance(answer, dict):
        raise ControlError(f"{method} {url}{path}: answered {text[:200]!r}, expected a JSON object")
    return answer


def set_feed(server: Access, epoch_ns: int, stop_ns: int) -> None:
    """Start the schedule at ``epoch_ns`` and end it at ``stop_ns``, both on the server's clock."""
    ask(server, "PUT", "/feed", json.dumps({"epoch_ns": epoch_ns, "stop_ns": stop_ns}).encode())


def publish(server: Access, topic: str, data: str) -> int:
    """Publish data to a topic and return the event's seq."""
    answer = ask(server, "POST", f"/publish/{topic}", data.encode())
    seq = answer.get("seq")
    if not isinstance(seq, int):
        raise ControlError(f"POST {server.http}/publish/{topic}: answered {answer}, expected a whole number as seq")
    return seq
