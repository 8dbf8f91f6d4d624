"""The long-polling subscriber: a request that the server holds until there is an event (RFC 6202).

The rule: behind an answer the next request goes at once, or ``gap_s`` later, which makes visible on loopback what a
network's round trip does: events that come in between wait for the next request.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from loadtests.clients import Client, Progress, Send, Subscriber
from loadtests.clients.http import get
from loadtests.clients.pulling import Ask, Read, past_cursor, pull

__all__ = ["Options", "client"]


@dataclass(frozen=True, slots=True)
class Options:
    """The TOML section ``[long_polling]``."""

    hold_s: float = field(
        default=25.0, metadata={"help": "seconds the server may hold a request", "min": 0.0, "max": 86_400.0}
    )
    gap_s: float = field(
        default=0.0, metadata={"help": "seconds from an answer to the next request", "min": 0.0, "max": 86_400.0}
    )
    keep_alive: bool = field(default=True, metadata={"help": "keep the connection from request to request"})
    limit: int = field(default=0, metadata={"help": "events asked for at most in one answer (0: no limit)", "min": 0})

    @property
    def pause_s(self) -> float:
        """The longest pause there can be between two questions."""
        return self.gap_s


def client(subscriber: Subscriber, options: Options) -> Client:
    """Return the generator of one subscriber."""
    limited = f"&limit={options.limit}" if options.limit else ""
    hold = f"hold={options.hold_s:.9f}".rstrip("0").rstrip(".") + limited
    at_once = f"hold=0{limited}"
    gap_ns = round(options.gap_s * 1e9)

    def asking(who: Subscriber) -> tuple[Ask, Read]:
        request = get(who, keep_alive=options.keep_alive)

        def ask(progress: Progress, prompt: bool) -> Send:
            # Without a cursor it is live only: what is published from now on.
            after = "" if progress.after is None else f"after={progress.after}&"
            return Send(request(after + (at_once if prompt else hold)))

        return ask, past_cursor(who)

    def due(_sent_ns: int, at_ns: int, _new: int) -> int:
        return at_ns + gap_ns

    return pull(subscriber, asking, due, keep_alive=options.keep_alive, hold_s=options.hold_s)
