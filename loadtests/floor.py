"""The floor: what the instrument itself costs, so that nobody takes it for the transport's.

Two figures for each client: CPU per delivery with the network taken away (the bytes of a real server, kept, and fed to
the client again and again), and transit from a server that has nothing else to do. METHODOLOGY, rule 9: what lies
within the floor belongs to the instrument.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from loadtests import machine
from loadtests.access import Access, of_ready
from loadtests.clients import Client, Connected, Data, Emit, Input, Mark, Send, Stop, Subscriber, Timer
from loadtests.control import ask, set_feed
from loadtests.drivers import blocking
from loadtests.process import ready, running
from loadtests.records import DELIVERY, RESPONSE
from loadtests.transports import TRANSPORTS, Transport
from loadtests.verify import VerifyError, client, subscriber

Milliseconds = np.ndarray[Any, np.dtype[np.float64]]

_RATE_HZ = 250
_EVENTS = 150
_ANSWERS = 300
_PATIENCE_S = 3.0
_READY_S = 20.0
_CPU_NS = 40_000_000
_FEED_NS = 120_000_000_000
_SENT, _RECEIVED = DELIVERY.index("sent_ns"), DELIVERY.index("received_ns")
_STARTED, _FINISHED = RESPONSE.index("started_ns"), RESPONSE.index("finished_ns")


def measure(transports: Sequence[str]) -> dict[str, dict[str, float | int | None]]:
    """Measure the floor of each transport in turn against a server of its own, about a second each.

    Returns by transport ``cpu_us_per_delivery``, ``transit_ms_p50``, ``transit_ms_p95``, ``round_trip_ms_p50`` (of an
    answer that need not wait; None where there are no answers) and ``n``, the deliveries the transit is from. Raises
    ProgramError, ControlError, VerifyError.
    """
    command = [sys.executable, "-m", "servers", *transports, "--port", "0", "--tcp-port", "0", "--control"]
    command += ["--rate", str(_RATE_HZ), "--schedule", "constant"]
    cpus, _ = machine.divide(machine.usable_cpus())
    with tempfile.TemporaryDirectory() as folder, running("server", command, Path(folder) / "log", cpus) as server:
        at = of_ready(ready(server, _READY_S), {})
        now_ns = time.monotonic_ns()
        set_feed(at, now_ns + 20_000_000, now_ns + _FEED_NS)
        time.sleep(0.1)
        return {name: _of_transport(TRANSPORTS[name], at) for name in transports}


def table(floor: Mapping[str, Mapping[str, float | int | None]]) -> str:
    """Write the floor as a table for a terminal."""
    lines = [f"{'':16} {'CPU/delivery':>13} {'transit p50':>12} {'p95':>9} {'round trip':>11} {'n':>5}"]
    for name, row in floor.items():
        round_trip = row["round_trip_ms_p50"]
        shown = "" if round_trip is None else f"{round_trip:.3f} ms"
        lines.append(
            f"{name:16} {row['cpu_us_per_delivery']:>10.2f} us {row['transit_ms_p50']:>9.3f} ms"
            f" {row['transit_ms_p95']:>6.3f} ms {shown:>11} {row['n']:>5}"
        )
    return "\n".join(lines)


def _of_transport(row: Transport, server: Access) -> dict[str, float | int | None]:
    newest = int(ask(server, "GET", "/stats")["published"].get("t0", 0))
    who = subscriber(row, server, "t0", newest)
    inner = client(row, who, interval_s=0.0)
    tape: list[bytes] = []
    transit_ms = _transits_ms(row, _taped(inner, tape))
    round_trip_ms = _round_trips_ms(row, who) if row.pulls else None
    if round_trip_ms is not None and hasattr(row.module().Options, "interval_s"):
        # A poll finds an event that has waited for it; one way of its round trip is what the instrument adds.
        transit_ms = round_trip_ms / 2
    cpu_us = _cpu_us(
        row, tape, lambda: _pull(client(row, who, interval_s=0.0), tape) if row.pulls else _listen(inner, tape)
    )
    return {
        "cpu_us_per_delivery": round(cpu_us, 3),
        "transit_ms_p50": round(float(np.percentile(transit_ms, 50)), 4),
        "transit_ms_p95": round(float(np.percentile(transit_ms, 95)), 4),
        "round_trip_ms_p50": None if round_trip_ms is None else round(float(np.percentile(round_trip_ms, 50)), 4),
        "n": len(transit_ms),
    }


def _transits_ms(row: Transport, listening: Client) -> Milliseconds:
    rows = blocking.Rows()
    outcome = blocking.run(listening, rows, until=lambda: len(rows.deliveries) >= _EVENTS, timeout_s=_PATIENCE_S)
    if not outcome.met:
        raise VerifyError(
            f"{row.name}: floor: expected {_EVENTS} events within {_PATIENCE_S:g} s, got {len(rows.deliveries)};"
            f" failures: {', '.join(outcome.failures) or 'none'}"
        )
    return np.array([one[_RECEIVED] - one[_SENT] for one in rows.deliveries]) / 1e6


def _round_trips_ms(row: Transport, who: Subscriber) -> Milliseconds:
    """Time answers that nothing holds back, whether they carry an event or not."""
    rows = blocking.Rows()
    asking = client(row, who, interval_s=0.0, hold_s=0.0)
    outcome = blocking.run(asking, rows, until=lambda: len(rows.responses) >= _ANSWERS, timeout_s=_PATIENCE_S)
    if not outcome.met:
        raise VerifyError(f"{row.name}: floor: expected {_ANSWERS} answers, got {len(rows.responses)}")
    return np.array([one[_FINISHED] - one[_STARTED] for one in rows.responses]) / 1e6


def _taped(inner: Client, tape: list[bytes]) -> Client:
    """Pass everything through but Stop, and keep the bytes that were one delivery each; ``inner`` is left waiting."""
    command = next(inner)
    while True:
        event = yield command
        if isinstance(event, Stop):
            return
        piece = bytes(event.view) if isinstance(event, Data) else b""
        command = inner.send(event)
        # Bytes that brought the phase "subscribed" about are the answer's head: they come once.
        if piece and _deliveries(command) == 1 and not _has(command, Mark):
            tape.append(piece)


def _cpu_us(row: Transport, tape: Sequence[bytes], play: Callable[[], int]) -> float:
    """Play the tape until enough CPU has gone by; returns microseconds per delivery."""
    if not tape:
        raise VerifyError(f"{row.name}: floor: no event came on its own")
    deliveries, began_ns = 0, time.thread_time_ns()
    while (spent_ns := time.thread_time_ns() - began_ns) < _CPU_NS:
        played = play()
        if played != len(tape):
            raise VerifyError(f"{row.name}: floor: expected {len(tape)} deliveries from the tape, got {played}")
        deliveries += played
    return spent_ns / 1e3 / deliveries


def _listen(inner: Client, tape: Sequence[bytes]) -> int:
    """Feed the tape to a client that is subscribed; returns the deliveries."""
    data, deliveries = Data(memoryview(b""), time.monotonic_ns()), 0
    for piece in tape:
        data.view = memoryview(piece)
        deliveries += _deliveries(inner.send(data))
    return deliveries


def _pull(asking: Client, tape: Sequence[bytes]) -> int:
    """Feed the tape to a fresh client, an answer to each request; returns the deliveries."""
    at_ns, deliveries, answers = time.monotonic_ns(), 0, iter(tape)
    data = Data(memoryview(b""), at_ns)
    next(asking)
    event: Input = Connected(at_ns, at_ns)
    while True:
        command = asking.send(event)
        deliveries += _deliveries(command)
        if not _has(command, Send):
            event = Timer(at_ns)
            continue
        piece = next(answers, None)
        if piece is None:
            return deliveries
        data.view = memoryview(piece)
        event = data


def _deliveries(command: Any) -> int:
    return sum(len(one) for one in _each(command) if isinstance(one, Emit))


def _has(command: Any, kind: type) -> bool:
    return any(isinstance(one, kind) for one in _each(command))


def _each(command: Any) -> tuple[Any, ...]:
    return command if type(command) is tuple else (command,)
