"""What the runner asks of a server beside the measurement: one request, one JSON answer, a connection each time."""

from __future__ import annotations

import http.client
import json
from typing import Any
from urllib.parse import urlsplit


class ControlError(Exception):
    """The server did not answer, or not as the wire contract says; the message has request and answer."""


def ask(url: str, method: str, path: str, body: bytes | None = None, *, timeout_s: float = 5.0) -> dict[str, Any]:
    """Send a request to the server at ``url`` and return the JSON object it answers with (2xx); raises ControlError."""
    parts = urlsplit(url)
    factory = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = factory(parts.hostname or "", parts.port, timeout=timeout_s)
    try:
        connection.request(method, path, body, {"Connection": "close"})
        response = connection.getresponse()
        text = response.read().decode("utf-8", "replace")
    except (OSError, http.client.HTTPException) as error:
        raise ControlError(f"{method} {url}{path}: {error or type(error).__name__}") from None
    finally:
        connection.close()
    if not 200 <= response.status < 300:
        raise ControlError(f"{method} {url}{path}: status {response.status}, expected 2xx: {text[:200]}")
    try:
        answer = json.loads(text)
    except ValueError:
        answer = None
    if not isinstance(answer, dict):
        raise ControlError(f"{method} {url}{path}: answered {text[:200]!r}, expected a JSON object")
    return answer


def set_feed(url: str, epoch_ns: int, stop_ns: int) -> None:
    """Start the schedule at ``epoch_ns`` and end it at ``stop_ns``, both on the server's clock."""
    ask(url, "PUT", "/feed", json.dumps({"epoch_ns": epoch_ns, "stop_ns": stop_ns}).encode())


def publish(url: str, topic: str, data: str) -> int:
    """Publish data to a topic and return the event's seq."""
    answer = ask(url, "POST", f"/publish/{topic}", data.encode())
    seq = answer.get("seq")
    if not isinstance(seq, int):
        raise ControlError(f"POST {url}/publish/{topic}: answered {answer}, expected a whole number as seq")
    return seq
