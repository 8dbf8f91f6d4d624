"""The opening handshake of RFC 6455 section 4.2, server side: request headers -> what was agreed, or why not.

The rule: a request that is not exactly a version 13 handshake is refused before anything is upgraded, and the
refusal names the header, what it said and what was expected. Lists follow RFC 9110 section 5.6: several lines of one
name are one list.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from servers.websocket_deflate import Agreement, Parameters, Settings, negotiate

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # section 1.3
VERSION = "13"
_TOKEN = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"  # noqa: S105 - a grammar (RFC 9110, 5.6.2), no secret
_KEY = re.compile(r"[A-Za-z0-9+/]{22}==")  # 16 bytes in base64
_PARAMETER = re.compile(rf'[ \t]*;[ \t]*({_TOKEN})(?:[ \t]*=[ \t]*(?:({_TOKEN})|"((?:[^"\\]|\\.)*)"))?')
_NAME = re.compile(rf"[ \t]*({_TOKEN})")
_COMMA = re.compile(r"[ \t]*(?:,[ \t]*)+|[ \t]*$")


class Headers(Protocol):
    """The part of a multi-dictionary that is read here; names are compared without case."""

    def getall(self, key: str, default: list[str], /) -> Sequence[str]:
        """Every value of one header."""


class HandshakeError(Exception):
    """Not a handshake we can accept: ``status``, the ``parameter`` at fault, its value, what was ``expected``."""

    def __init__(self, parameter: str, value: str, expected: str, status: int = 400) -> None:
        super().__init__(f"{parameter} is {value!r}, expected {expected}")
        self.status = status
        self.parameter = parameter
        self.value = value
        self.expected = expected


# RFC 9110, 15.5.22: what a 426 must say; RFC 6455, 4.4: and which version we speak.
UPGRADE_HEADERS: Mapping[str, str] = {
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Version": VERSION,
}


@dataclass(frozen=True, slots=True)
class Accepted:
    """What both sides agreed on, and ``headers``, the 101's."""

    headers: dict[str, str]
    subprotocol: str | None = None
    deflate: Agreement | None = None


def accept_key(key: str) -> str:
    """Sec-WebSocket-Accept for a Sec-WebSocket-Key (section 4.2.2, step 5.4)."""
    digest = hashlib.sha1(key.encode() + GUID, usedforsecurity=False).digest()
    return base64.b64encode(digest).decode()


def _items(headers: Headers, name: str) -> list[str]:
    """A list without parameters, in lower case (RFC 9110, 5.6.1)."""
    return [item.strip(" \t").lower() for line in headers.getall(name, []) for item in line.split(",")]


def subprotocols_offered(headers: Headers) -> list[str]:
    """Read Sec-WebSocket-Protocol, in the client's order and its case (section 11.3.4)."""
    found = [item.strip(" \t") for line in headers.getall("Sec-WebSocket-Protocol", []) for item in line.split(",")]
    for item in found:
        if not re.fullmatch(_TOKEN, item):
            raise HandshakeError("Sec-WebSocket-Protocol", ", ".join(found), "a list of tokens (RFC 9110, 5.6.2)")
    return found


def extensions(headers: Headers) -> list[tuple[str, Parameters]]:
    """Read Sec-WebSocket-Extensions (section 9.1): name and parameters of each offer, in the client's order."""
    offers: list[tuple[str, Parameters]] = []
    for value in headers.getall("Sec-WebSocket-Extensions", []):
        line, at = value.strip(" \t,"), 0
        while at < len(line):
            name = _NAME.match(line, at)
            if name is None:
                raise HandshakeError("Sec-WebSocket-Extensions", line, f"an extension's name at column {at} (9.1)")
            at = name.end()
            parameters: Parameters = []
            while (parameter := _PARAMETER.match(line, at)) is not None:
                at = parameter.end()
                parameters.append((parameter[1], _value(parameter, line)))
            comma = _COMMA.match(line, at)
            if comma is None:
                raise HandshakeError("Sec-WebSocket-Extensions", line, f"';' or ',' at column {at} (9.1)")
            at = comma.end()
            offers.append((name[1], parameters))
    return offers


def _value(parameter: re.Match[str], line: str) -> str | None:
    """A parameter's value; a quoted one must be a token once it is unquoted (section 9.1)."""
    if parameter[3] is None:
        return parameter[2]
    value = re.sub(r"\\(.)", r"\1", parameter[3])
    if not re.fullmatch(_TOKEN, value):
        raise HandshakeError("Sec-WebSocket-Extensions", line, f"a token in the quotes of {parameter[1]} (9.1)")
    return value


def _single(headers: Headers, name: str) -> str:
    """A header that must be there exactly once; '' otherwise."""
    values = headers.getall(name, [])
    return values[0].strip(" \t") if len(values) == 1 else ""


def _check(method: str, version: tuple[int, int], headers: Headers) -> str:
    """Section 4.2.1, in its order; the key."""
    if method != "GET" or version < (1, 1):
        raise HandshakeError("request", f"{method} HTTP/{version[0]}.{version[1]}", "GET with HTTP/1.1 (4.2.1)")
    if not _single(headers, "Host"):
        raise HandshakeError("Host", "", "exactly one Host header (4.2.1)")
    # Upgrade lists protocols, perhaps with a version: not tokens (RFC 9110, 7.8).
    if "websocket" not in (upgrade := _items(headers, "Upgrade")):
        raise HandshakeError("Upgrade", ", ".join(upgrade), "websocket (4.2.1)", status=426)
    if "upgrade" not in (connection := _items(headers, "Connection")):
        raise HandshakeError("Connection", ", ".join(connection), "Upgrade (4.2.1)")
    if (asked := ", ".join(headers.getall("Sec-WebSocket-Version", []))) != VERSION:
        raise HandshakeError("Sec-WebSocket-Version", asked, f"{VERSION} (4.4)", status=426)
    if body := headers.getall("Transfer-Encoding", []) or [n for n in headers.getall("Content-Length", []) if n != "0"]:
        raise HandshakeError("body", ", ".join(body), "none: what follows the request are frames (4.1)")
    key = _single(headers, "Sec-WebSocket-Key")
    if not _KEY.fullmatch(key):
        raise HandshakeError("Sec-WebSocket-Key", key, "exactly one, 16 bytes in base64 (4.2.1)")
    return key


def handshake(
    method: str,
    version: tuple[int, int],
    headers: Headers,
    *,
    subprotocols: Sequence[str] = (),
    required: bool = False,
    deflate: Settings | None = None,
) -> Accepted:
    """Check a request and decide the answer; HandshakeError when it is none.

    ``subprotocols`` are ours, best first; the first that the client offers is chosen (section 4.2.2). ``required``
    refuses a client that shares none; without it the connection simply has none. ``deflate`` None declines
    compression.
    """
    key = _check(method, version, headers)
    answer = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Accept": accept_key(key)}
    offered = subprotocols_offered(headers)
    chosen = next((name for name in subprotocols if name in offered), None)
    if chosen is not None:
        answer["Sec-WebSocket-Protocol"] = chosen
    elif required:
        raise HandshakeError("Sec-WebSocket-Protocol", ", ".join(offered), "one of " + ", ".join(subprotocols))
    agreement = negotiate(extensions(headers), deflate)
    if agreement is not None:
        answer["Sec-WebSocket-Extensions"] = agreement.answer
    return Accepted(answer, chosen, agreement)
