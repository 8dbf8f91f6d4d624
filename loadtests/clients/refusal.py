"""What an HTTP answer means that is none: how it is counted, where to turn to, and when to come back.

Rules
1. It is counted as what it is: a status, a proxy's answer while a request was held, a page where JSON was expected.
   None of them is an empty response.
2. A redirection is followed (RFC 9110 15.4), never from https to http, five times at most and never in a circle.
   Credentials do not leave the origin they are for. A permanent one (301, 308) holds for good, another one until the
   connection it led to has ended.
3. ``Retry-After`` (RFC 9110 10.2.3) is the least pause before the next attempt. A date is read against the answer's own
   ``Date``: whose clock is right does not matter.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from email.utils import parsedate_to_datetime
from urllib.parse import SplitResult, urljoin, urlsplit

from loadtests.clients import Address, Progress
from loadtests.clients.lifetime import Lost

__all__ = ["foreign", "refusal"]

_REDIRECTIONS = frozenset({301, 302, 303, 307, 308})
_PERMANENT = frozenset({301, 308})
_GATEWAY = frozenset({502, 503, 504})
_CLOSED_DOOR = frozenset({401, 403, 407})  # asking again will hardly help
_MAX_REDIRECTIONS = 5
_LONGEST_RETRY_S = 3600  # whatever the server says
_DEFAULT_PORT = {"http": 80, "ws": 80, "https": 443, "wss": 443}
_OURS = ("", "after", "hold", "limit")  # parameters that every request writes anew
_URI = re.compile(rb"[!-~]{1,4096}")

Field = Callable[[bytes], bytes]


def refusal(progress: Progress, status: int, field: Field, *, held: bool = False, why: str = "") -> Lost:
    """Return what ends a session whose request was answered with this status; ``field(name)`` reads a header field.

    ``held`` says that the server was to hold the request: then a gateway's status is a proxy's, which lost patience.
    ``why`` is said instead of the status. A redirection moves ``progress`` on.
    """
    if status in _REDIRECTIONS:
        return _redirected(progress, status, field(b"location"))
    if held and status in _GATEWAY:
        why = f"proxy answered {status} early"
    return Lost(why or f"status {status}", retry_ns=_retry_ns(field), lasting=status in _CLOSED_DOOR)


def _retry_ns(field: Field) -> int:
    """Return the pause that Retry-After asks for, an hour at most; 0 when there is none that makes sense."""
    said = field(b"retry-after").decode("latin-1")
    if re.fullmatch(r"[0-9]+", said):
        seconds = int(said[:10])
    else:
        try:
            later, now = (parsedate_to_datetime(text) for text in (said, field(b"date").decode("latin-1")))
            seconds = round((later - now).total_seconds())
        except (ValueError, TypeError, OverflowError, IndexError):
            seconds = 0
    return max(0, min(seconds, _LONGEST_RETRY_S)) * 1_000_000_000


def foreign(field: Field, media_type: str) -> str:
    """Say why a 200 is no answer of the kind asked for, a captive portal's page, say; empty when its head is in order.

    JSON without a content type is JSON nevertheless. No content coding was asked for.
    """
    coding = field(b"content-encoding").decode("latin-1")
    if coding.lower() not in ("", "identity"):
        return f"content-encoding {coding[:40]!r}, none was asked for"
    kind = field(b"content-type").decode("latin-1")
    bare = kind.partition(";")[0].strip().lower()
    json = media_type == "application/json"
    if bare != media_type and not (json and (not bare or bare.endswith("+json"))):
        return f"content-type {kind[:40]!r}, expected {media_type}"
    return ""


def _redirected(progress: Progress, status: int, location: bytes) -> Lost:
    """Turn to where the location says (rule 2), at once; or say why not."""
    who, trail = progress.who, progress.trail
    shown = repr(location[:40].decode("latin-1"))
    here = _written(who.address, who.path)
    try:
        there = urlsplit(urljoin(here, _URI.fullmatch(location)[0].decode("ascii")))  # type: ignore[index]
        address = _address(there)
    except (ValueError, TypeError):
        return Lost(f"status {status} with Location {shown}, expected the address of a resource", lasting=True)
    query = "&".join(part for part in there.query.split("&") if part.partition("=")[0] not in _OURS)
    path = (there.path or "/") + (f"?{query}" if query else "")
    trail.append(here)
    if who.address.tls and not address.tls:
        return Lost(f"status {status} from https to http, which is not followed", lasting=True)
    if _written(address, path) in trail:
        return Lost(f"status {status} in a circle of {len(trail)}", lasting=True)
    if len(trail) > _MAX_REDIRECTIONS:
        return Lost(f"status {status}, after {_MAX_REDIRECTIONS} redirections already", lasting=True)
    moved = dataclasses.replace(who, address=address, path=path)
    if address != who.address:
        moved = dataclasses.replace(moved, token="", login=None)
    if status in _PERMANENT and who is progress.home:
        progress.home = moved
    progress.who = moved
    return Lost(f"redirected: status {status}", failed=False, onward=True)


def _written(address: Address, path: str) -> str:
    return f"{'https' if address.tls else 'http'}://{address}{path}"


def _address(url: SplitResult) -> Address:
    """Where the URL leads to; ValueError when nobody can go there."""
    if url.scheme not in _DEFAULT_PORT or not url.hostname or url.username is not None:
        raise ValueError(url.scheme)
    return Address(url.hostname, url.port or _DEFAULT_PORT[url.scheme], url.scheme in ("https", "wss"))
