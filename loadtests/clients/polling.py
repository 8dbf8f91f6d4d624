"""The polling subscriber: ask every ``interval_s`` for what is new (RFC 9110).

The rule: requests at a fixed rate keep to one grid, ``phase + k * interval_s``, whose phase is drawn at random: a
lateness does not add up, pollers do not march in step, and a constant feed cannot lock onto them. Requests with a fixed
delay go one interval after the answer, and begin at a random phase too.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field

from loadtests.clients import Client, Emit, Progress, Send, Subscriber
from loadtests.clients.event import SEQ, batch_reader
from loadtests.clients.http import Response, get
from loadtests.clients.pulling import Ask, Due, Read, past_cursor, pull

__all__ = ["Options", "client"]


@dataclass(frozen=True, slots=True)
class Options:
    """The TOML section ``[polling]``."""

    interval_s: float = field(
        default=1.0, metadata={"help": "seconds from poll to poll (0: never pause)", "min": 0.0, "max": 86_400.0}
    )
    policy: str = field(
        default="fixed_rate",
        metadata={
            "help": "what the interval runs between: two requests, or an answer and the next request",
            "choices": ("fixed_rate", "fixed_delay"),
        },
    )
    mode: str = field(
        default="cursor",
        metadata={
            "help": "ask for all events past a cursor, or for the latest state (ETag, 304)",
            "choices": ("cursor", "latest"),
        },
    )
    keep_alive: bool = field(default=True, metadata={"help": "keep the connection from poll to poll"})
    limit: int = field(default=0, metadata={"help": "events asked for at most in one answer (0: no limit)", "min": 0})


def client(subscriber: Subscriber, options: Options) -> Client:
    """Return the generator of one subscriber."""
    interval_ns = round(options.interval_s * 1e9)
    phase_ns = round(random.Random(f"{subscriber.seed}|{subscriber.index}").random() * interval_ns)

    def asking(who: Subscriber) -> tuple[Ask, Read]:
        request = get(who, keep_alive=options.keep_alive)
        if options.mode == "latest":
            return _latest(who, request)
        return _past(request, options.limit), past_cursor(who)

    return pull(subscriber, asking, _POLICIES[options.policy](interval_ns, phase_ns), keep_alive=options.keep_alive)


# when ---------------------------------------------------------------------------------------------------------------


def _fixed_rate(interval_ns: int, phase_ns: int) -> Due:
    """Keep to the grid. When an answer took longer, the point that was missed last is made up for, at once."""
    due_ns: int | None = None

    def due(at_ns: int) -> int:
        nonlocal due_ns
        if not interval_ns:
            return at_ns
        if due_ns is None:
            due_ns = at_ns + phase_ns
        elif due_ns <= at_ns:  # else a reconnection has asked between two points
            due_ns += interval_ns
            due_ns += max(0, at_ns - due_ns) // interval_ns * interval_ns
        return due_ns

    return due


def _fixed_delay(interval_ns: int, phase_ns: int) -> Due:
    """Pause one interval behind every answer, but for the first."""
    pause_ns = phase_ns

    def due(at_ns: int) -> int:
        nonlocal pause_ns
        due_ns, pause_ns = at_ns + pause_ns, interval_ns
        return due_ns

    return due


_POLICIES: dict[str, Callable[[int, int], Due]] = {"fixed_rate": _fixed_rate, "fixed_delay": _fixed_delay}

# what ---------------------------------------------------------------------------------------------------------------


def _past(request: Callable[..., bytes], limit: int) -> Ask:
    """Ask for the events past the cursor; the request is written anew only when the cursor has moved."""
    limited = f"&limit={limit}" if limit else ""
    written: tuple[int, Send] = (-1, Send(b""))

    def ask(progress: Progress, _prompt: bool) -> Send:
        nonlocal written
        after = progress.after or 0
        if written[0] != after:
            written = (after, Send(request(f"after={after}{limited}")))
        return written[1]

    return ask


def _latest(subscriber: Subscriber, request: Callable[..., bytes]) -> tuple[Ask, Read]:
    """Ask for the newest event unless it is the one we have (RFC 9110 13.1.2); a known one is no delivery."""
    read_batch = batch_reader(subscriber)
    plain = send = Send(request())

    def ask(_progress: Progress, _prompt: bool) -> Send:
        return send

    def read(response: Response, progress: Progress, at_ns: int) -> tuple[Emit, int]:
        nonlocal send
        tag = response.field(b"etag")
        send = Send(request("", f"If-None-Match: {tag.decode('latin-1')}")) if tag else plain
        rows, last = read_batch(response.body, progress.attempt, at_ns)
        fresh = Emit([row for row in rows if row[SEQ] != progress.after or not row[SEQ]])
        progress.after = last or progress.after
        return fresh, sum(row[SEQ] > 0 for row in fresh)

    return ask, read
