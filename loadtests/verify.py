"""Before timing: whether a server delivers a feed exactly, in order, and after a cut connection.

A topic is published to (its data checks itself, its seqs are known beforehand) while a client of ours, on the blocking
driver, listens. Rule: what is compared is the whole sequence of deliveries, event by event; a figure measured on a
server that loses, repeats or spoils events is worth nothing.
"""

from __future__ import annotations

import dataclasses
import json
import secrets
import sys
import tempfile
import time
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from loadtests import target
from loadtests.access import Access, of_ready
from loadtests.clients import Address, Begin, Client, Close, Connect, Data, Eof, Subscriber, Timer, Wake
from loadtests.control import publish
from loadtests.drivers import blocking
from loadtests.process import ready, running
from loadtests.records import DELIVERY, PUBLISH
from loadtests.settings import InputError
from loadtests.transports import TRANSPORTS, Transport
from loadtests.upstream import Upstream, ways, with_publisher

_ATTEMPT, _SEQ = DELIVERY.index("connection"), DELIVERY.index("seq")
_PUBLISHED, _ACKNOWLEDGED = PUBLISH.index("seq"), PUBLISH.index("acknowledged_ns")
_POLL_S = 0.01
_PATIENCE_S = 3.0
_READY_S = 20.0
# What a codec may stumble over: quotes, a line end, several bytes a character, one outside the BMP, a line separator.
_AWKWARD = 'say "grüß dich" \\ \U0001f600 \u2028 …'

BACKLOG, LIVE, AFTER_CUT = (1, 2, 3), (4, 5), (6, 7)
OPENED, OWN = 1, (2, 3, 4)


class VerifyError(Exception):
    """The server does not keep to the wire contract; the message says which check, what was expected and what came."""


def verify(transport: str, server: Access) -> dict[str, Any]:
    """Check a running server; returns ``{"checks": [name, ...], "seconds": s}``.

    Raises VerifyError, ControlError or AccessError.
    """
    started = time.monotonic()
    row = TRANSPORTS[transport]
    nonce = secrets.token_hex(4)
    rows = _listen(row, server, f"verify-{nonce}")
    _expect(row, "backlog", BACKLOG, rows[: len(BACKLOG)])
    _expect(row, "order", LIVE, rows[len(BACKLOG) : len(BACKLOG) + len(LIVE)])
    resumed = rows[len(BACKLOG) + len(LIVE) :]
    _expect(row, "resume", AFTER_CUT, resumed)
    if not all(one[_ATTEMPT] for one in resumed):
        raise VerifyError(f"{row.name}: resume: expected events on a new connection, got them on the one that was cut")
    _refusal(row, server, f"verify-no-{nonce}")
    return {"checks": ["backlog", "order", "resume", "refusal"], "seconds": time.monotonic() - started}


def of_server(transport: str, server: Access) -> dict[str, Any]:
    """Check a server that somebody else has started."""
    target.check_address("", "--target", server.http)
    if server.tcp:
        target.check_address("", "--tcp", server.tcp)
    if TRANSPORTS[transport].scheme == "tcp" and not server.tcp:
        raise InputError(f"{transport}: expected the target's own port as --tcp HOST:PORT")
    return _both(transport, server)


def of_own_server(transport: str, *flags: str) -> dict[str, Any]:
    """Start our server of one transport, with these flags besides, check it and end it."""
    command = [sys.executable, "-m", "servers", transport, "--port", "0", "--control", *flags]
    with tempfile.TemporaryDirectory() as folder, running("server", command, Path(folder) / "log", []) as program:
        return _both(transport, of_ready(ready(program, _READY_S), {}))


def _both(transport: str, server: Access) -> dict[str, Any]:
    result = verify(transport, server)
    return result | {"checks": [*result["checks"], *publishing(transport, server)]}


def publishing(transport: str, server: Access) -> list[str]:
    """Check that what a subscriber publishes comes back to it, by every way it has; returns the names of the checks.

    Raises VerifyError, ControlError or AccessError.
    """
    row, nonce = TRANSPORTS[transport], secrets.token_hex(4)
    checks: list[str] = []
    for way in ways(row):
        check = f"publish by {way.name(row)}"
        topic = f"verify-{nonce}-{len(checks)}"
        publish(server, topic, checked_data(topic, OPENED, "opened"))
        _publish(row, server, topic, way, check)
        checks.append(check)
    return checks


def _publish(row: Transport, server: Access, topic: str, way: Upstream, check: str) -> None:
    """Publish three events at once and receive them; a POST publisher does so before the subscriber listens."""
    rows, who = blocking.Rows(), subscriber(row, server, topic, OPENED)
    now_ns = time.monotonic_ns()
    begin = Begin(now_ns, now_ns, now_ns + round(len(OWN) / way.rate_hz * 1e9))
    listening, publisher = with_publisher(row, who, client(row, who, interval_s=_POLL_S), way, server.http, begin=begin)

    def published() -> bool:
        return len(rows.publishes) >= len(OWN)

    def came_back() -> bool:
        return published() and len(rows.deliveries) >= len(OWN)

    failures: list[str] = []
    for each, until in ((publisher, published), (listening, came_back)):
        if each is not None:
            outcome = blocking.run(each, rows, until=until, timeout_s=_PATIENCE_S, context=server.trust())
            failures += outcome.failures
    answered = [one[_PUBLISHED] if one[_ACKNOWLEDGED] else 0 for one in rows.publishes]
    if way.acknowledged(row) and answered != list(OWN):
        raise VerifyError(
            f"{row.name}: {check}: expected events {_numbers(OWN)} to be acknowledged, got"
            f" {_numbers(answered) or 'none'} (0: not acknowledged); failures: {', '.join(failures) or 'none'}"
        )
    if tuple(one[_SEQ] for one in rows.deliveries) != OWN:
        raise VerifyError(
            f"{row.name}: {check}: expected events {_numbers(OWN)} to come back, got {_sequence(rows.deliveries)};"
            f" failures: {', '.join(failures) or 'none'}"
        )


def subscriber(transport: Transport, server: Access, topic: str, after: int | None) -> Subscriber:
    """Return the subscriber of one topic of a server."""
    if transport.scheme == "tcp":
        if not server.tcp:
            raise VerifyError(f"{transport.name}: the server names no port for it")
        host, _, port = server.tcp.rpartition(":")
        return Subscriber(
            0, topic, 0, Address(host.strip("[]"), int(port), server.tls), after=after, login=server.login()
        )
    url = urlsplit(server.template or server.http)
    tls = url.scheme in {"https", "wss"}
    path = url.path + (f"?{url.query}" if url.query else "") if server.template else url.path + transport.path
    address = Address(url.hostname or "", url.port or (443 if tls else 80), tls)
    path = path.replace("{topic}", topic)
    return Subscriber(0, topic, 0, address, path, after, token=server.token(), login=server.login())


def client(transport: Transport, who: Subscriber, **wanted: float) -> Client:
    """Return a client with its default options, but for those ``wanted`` that it has."""
    module = transport.module()
    options = module.Options()
    known = {field.name for field in dataclasses.fields(options)}
    options = dataclasses.replace(options, **{name: value for name, value in wanted.items() if name in known})
    made: Client = module.client(who, options)
    return made


def checked_data(topic: str, seq: int, text: str) -> str:
    """Return data that carries the checksum of topic, seq and text (wire contract, "The event")."""
    rest = f",{json.dumps({'text': text}, ensure_ascii=False)[1:]}"
    return f'{{"crc32":"{zlib.crc32(f"{topic}|{seq}|{rest}".encode()):08x}"{rest}'


def _listen(row: Transport, server: Access, topic: str) -> list[tuple[int, ...]]:
    """Receive the three groups of events, the last over a new connection; returns the delivery rows."""
    rows = blocking.Rows()
    cut: list[bool] = []

    def announce(seqs: Sequence[int]) -> None:
        for seq in seqs:
            numbered = publish(server, topic, checked_data(topic, seq, f"{_AWKWARD} {seq}"))
            if numbered != seq:
                raise VerifyError(f"{row.name}: publish: expected seq {seq}, got {numbered}")

    steps = [(len(BACKLOG), LIVE), (len(BACKLOG) + len(LIVE), AFTER_CUT)]

    def done() -> bool:
        if steps and len(rows.deliveries) >= steps[0][0]:
            _, seqs = steps.pop(0)
            announce(seqs)
            if not steps:
                cut.append(True)
        return len(rows.deliveries) >= AFTER_CUT[-1]

    announce(BACKLOG)
    listening = _cuttable(client(row, subscriber(row, server, topic, 0), interval_s=_POLL_S), cut)
    outcome = blocking.run(listening, rows, until=done, timeout_s=_PATIENCE_S, context=server.trust())
    if not outcome.met:
        came = _sequence(rows.deliveries)
        raise VerifyError(
            f"{row.name}: expected events {_numbers(range(1, AFTER_CUT[-1] + 1))} within {_PATIENCE_S:g} s,"
            f" got {came}; failures: {', '.join(outcome.failures) or 'none'}"
        )
    return rows.deliveries


def _cuttable(inner: Client, cut: list[bool]) -> Client:
    """Pass everything through; once ``cut`` holds something, lose what comes next and the connection with it.

    The client is then told that the connection has ended and must resume from its own cursor; its pause before the next
    attempt is cut short.
    """
    command = next(inner)
    pausing = False
    while True:
        event = yield _hurried(command) if pausing else command
        pausing = pausing and not _has(command, Connect)
        if cut and isinstance(event, Data | Timer):
            cut.clear()
            at_ns = event.at_ns
            yield Close("cut by the verification"), Wake(1)
            event, pausing = Eof(at_ns), True
        try:
            command = inner.send(event)
        except StopIteration:
            return


def _has(command: Any, kind: type) -> bool:
    return any(isinstance(one, kind) for one in (command if type(command) is tuple else (command,)))


def _hurried(command: Any) -> Any:
    several = command if type(command) is tuple else (command,)
    return tuple(Wake(1) if isinstance(one, Wake) else one for one in several)


def _refusal(row: Transport, server: Access, topic: str) -> None:
    rows = blocking.Rows()
    asked = client(row, subscriber(row, server, topic, 0), interval_s=_POLL_S, hold_s=_POLL_S)
    outcome = blocking.run(
        asked,
        rows,
        until=lambda: bool(rows.responses or rows.connections),
        timeout_s=_PATIENCE_S,
        context=server.trust(),
    )
    accepted = any(one.subscribed_ns is not None for one in rows.connections)
    statuses = [status for _, _, _, status, *_ in rows.responses]
    if row.pulls and statuses[:1] != [404]:
        raise VerifyError(
            f"{row.name}: refusal: expected status 404 to an unknown topic, got {statuses or 'no answer'}"
        )
    if not row.pulls and (accepted or not outcome.failures):
        raise VerifyError(
            f"{row.name}: refusal: expected an unknown topic to be refused, but it could be subscribed to"
        )


def _expect(row: Transport, check: str, seqs: Sequence[int], rows: Sequence[tuple[int, ...]]) -> None:
    if tuple(one[_SEQ] for one in rows) != tuple(seqs):
        raise VerifyError(f"{row.name}: {check}: expected events {_numbers(seqs)}, got {_sequence(rows)}")


def _sequence(rows: Sequence[tuple[int, ...]]) -> str:
    return ", ".join(str(one[_SEQ] or "a corrupted one") for one in rows) or "none"


def _numbers(seqs: Sequence[int]) -> str:
    return ", ".join(map(str, seqs))
