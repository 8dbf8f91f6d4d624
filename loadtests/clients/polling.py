"""The polling subscriber: ask again and again for what is new (RFC 9110), when the policy says (``pace``).

The rule: every poller begins at a random phase, so that pollers do not march in step, and a constant feed cannot lock
onto them.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field

from loadtests.clients import Client, Emit, Progress, Send, Subscriber
from loadtests.clients.event import SEQ, batch_reader
from loadtests.clients.http import Response, get
from loadtests.clients.pace import PACES, Pacing
from loadtests.clients.pulling import Ask, Read, past_cursor, pull

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
            "help": "when to ask again: on a grid, one interval behind the answer, (1 ± jitter) intervals later, ever"
            " later until there is an event, or when as many events as expected are likely to wait",
            "choices": tuple(PACES),
        },
    )
    jitter: float = field(default=0.5, metadata={"help": "jittered: share of the interval", "min": 0.0, "max": 1.0})
    factor: float = field(
        default=2.0, metadata={"help": "backoff: how much longer after an empty answer", "min": 1.0, "max": 100.0}
    )
    longest_s: float = field(
        default=30.0, metadata={"help": "backoff, learning: the longest pause", "min": 0.001, "max": 86_400.0}
    )
    expected: float = field(
        default=1.0, metadata={"help": "learning: events to wait for", "min": 0.001, "max": 1_000_000.0}
    )
    memory_s: float = field(
        default=10.0, metadata={"help": "learning: how long an event counts", "min": 0.001, "max": 86_400.0}
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

    @property
    def pause_s(self) -> float:
        """The longest pause there can be: what a slow delivery may take."""
        if self.policy in {"backoff", "learning"}:
            return max(self.interval_s, self.longest_s)
        return self.interval_s * (1 + self.jitter * (self.policy == "jittered"))


def client(subscriber: Subscriber, options: Options) -> Client:
    """Return the generator of one subscriber."""
    pacing = Pacing(
        round(options.interval_s * 1e9), options.jitter, options.factor, round(options.longest_s * 1e9),
        options.expected, round(options.memory_s * 1e9),
    )  # fmt: skip
    due = PACES[options.policy](pacing, random.Random(f"{subscriber.seed}|{subscriber.index}"))

    def asking(who: Subscriber) -> tuple[Ask, Read]:
        request = get(who, keep_alive=options.keep_alive)
        if options.mode == "latest":
            return _latest(who, request)
        return _past(request, options.limit), past_cursor(who)

    return pull(subscriber, asking, due, keep_alive=options.keep_alive)


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
