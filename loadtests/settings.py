"""The keys an experiment may set, as tables: what each accepts, its default, and the server flag it becomes.

Rule: a key exists once, here (or, for a client's section, in that client's ``Options``), and everything else is
derived: the check, the sentence a wrong value is answered with, and the server's command line.
"""

from __future__ import annotations

import dataclasses
import difflib
import math
import typing
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from loadtests.transports import TRANSPORTS, Transport

Value = bool | int | float | str
Settings = Mapping[str, Value]


class InputError(Exception):
    """Something the user wrote is wrong; the message is one line that says what, where, and what was expected."""


@dataclass(frozen=True, slots=True)
class Key:
    """One key: its kind, its default (None: leave it to the server), its bounds, and what it is.

    ``choices`` of the key's kind are all it accepts; words among a number's choices are accepted besides. ``flag`` is
    the server's; ``transports`` are those it applies to (empty: all). ``aliases`` are other ways to write a choice, by
    how ``show`` writes them; ``file`` says that the value is the path of a file.
    """

    kind: type
    default: Value | None
    help: str
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[Value, ...] = ()
    flag: str = ""
    transports: tuple[str, ...] = ()
    aliases: Mapping[str, str] = field(default_factory=dict)
    file: bool = False


_DEFLATE = ("websocket", "stomp_websocket")
_POST = tuple(name for name, row in TRANSPORTS.items() if not row.duplex)
_STOMP = tuple(name for name, row in TRANSPORTS.items() if row.client == "stomp")

TOP: dict[str, Key] = {
    "title": Key(str, "", "the experiment's name for a reader"),
    "question": Key(str, "", "what is asked; the comment at the head of the file when absent"),
    "repeats": Key(int, 1, "how often every cell is measured, each time with fresh processes and events", 1),
    "seed": Key(int, 1, "events, phases and the order of cells follow from it", 0),
    "reference": Key(bool, None, "measure one transit of long polling (a poll always held) in cells of its own"),
}

ANYWHERE: dict[str, Key] = {
    "tls": Key(
        str, "off", "TLS version between server and load", choices=("off", "1.2", "1.3"),
        aliases={"true": "1.3", "false": "off"},
    ),
}  # fmt: skip
"""Keys at the top of an experiment that are settings of a cell, and so may be axes."""

SECTIONS: dict[str, dict[str, Key]] = {
    "feed": {
        "schedule": Key(
            str, "poisson", "when events are due", choices=("poisson", "constant", "bursty", "trace"), flag="--schedule"
        ),
        "topics": Key(
            int, 1, "topics that subscribers share, or one for each", 1, 100_000, choices=("per_subscriber",)
        ),
        "rate_hz": Key(float, 1.0, "events a second of each topic; 0: none at all", 0, 1e6, flag="--rate"),
        "payload_bytes": Key(int, 256, "length of an event's data in UTF-8", 64, 1 << 20, flag="--payload-bytes"),
        "payload": Key(
            str, "text", "realistic, compressible text, or random", choices=("text", "random"), flag="--payload"
        ),
        "publisher": Key(
            str, None, "the server, or every subscriber to a topic of its own", choices=("server", "subscribers")
        ),
        "burst_on_s": Key(float, None, "bursty: mean length of a burst", 1e-6, 1e6, flag="--burst-on"),
        "burst_off_s": Key(float, None, "bursty: mean silence between bursts", 0, 1e6, flag="--burst-off"),
        "trace": Key(
            str, None, "trace: CSV file of due times, relative to the experiment's", flag="--trace", file=True
        ),
    },
    "load": {
        "subscribers": Key(int, 50, "how many subscribers", 1),
        "warmup_s": Key(float, 1.0, "recorded, but left out of the measurement", 0, 3600),
        "measure_s": Key(float, 10.0, "the measurement window", 0.1, 86_400),
        "workers": Key(int, 1, "Locust processes", 1, 256),
        "spawn_rate_hz": Key(float, 1000.0, "subscribers connected per second", 0.1, 100_000),
        "subscribers_per_user": Key(int, 1, "subscribers in one Locust user (a user costs about 10 KiB)", 1),
        "connect_timeout_s": Key(float, 5.0, "how long a TCP connection may take to stand", 0.001, 3600),
        "handshake_timeout_s": Key(
            float, 10.0, "how long TLS, and an upgrade or a first answer, may take after that", 0.001, 3600
        ),
        "response_timeout_s": Key(float, 10.0, "how long an answer may take, beyond a long poll's hold", 0.001, 3600),
        "backoff_s": Key(float, 0.5, "pause before the first attempt to reconnect; doubled each time", 0, 3600),
        "backoff_max_s": Key(float, 30.0, "the longest such pause", 0, 86_400),
        "ca_file": Key(str, None, "authorities (PEM) to trust instead of the system's: a target's", file=True),
        "insecure": Key(bool, False, "accept any certificate"),
        "token_file": Key(str, None, "file whose first line is the bearer token", flag="--token-file", file=True),
        "login_file": Key(str, None, "file whose line is STOMP's user:passcode", flag="--login-file", file=True),
    },
    "server": {
        "heartbeat_s": Key(
            float, None, "silence after which the server sends a heartbeat", 0.01, 86_400, flag="--heartbeat"
        ),
        "max_hold_s": Key(
            float, None, "the longest hold of a long poll the server grants", 0.001, 86_400, flag="--max-hold"
        ),
        "log_events": Key(int, None, "events each topic keeps for replay", 1, flag="--log-events"),
        "queue_bytes": Key(int, None, "bytes unsent past which a slow consumer is dropped", 1, flag="--queue-bytes"),
        "deflate": Key(bool, None, "accept permessage-deflate", flag="--deflate", transports=_DEFLATE),
        "deflate_level": Key(int, None, "zlib level", 0, 9, flag="--deflate-level", transports=_DEFLATE),
        "deflate_memory_level": Key(
            int, None, "zlib memory level", 1, 9, flag="--deflate-memory-level", transports=_DEFLATE
        ),
        "deflate_window_bits": Key(
            int, None, "server's window", 9, 15, flag="--deflate-window-bits", transports=_DEFLATE
        ),
    },
    "upstream": {
        "keep_alive": Key(
            bool, None, "publish on a connection that stands (true), or on a new one each time", transports=_POST
        ),
        "receipt": Key(bool, None, "ask for a RECEIPT of every SEND (false: ask for none)", transports=_STOMP),
    },
}

TUNED: dict[str, Key] = {
    "rate_hz": Key(float, None, "events a second of each client", 1e-9, 1e6),
    "p95_s": Key(float, None, "how late is too late for 95 % of them", 1e-6, 1e9),
    "scale": Key(float, 1.0, "how many of the asker's seconds pass in one of this run", 1e-6, 1e9),
    "transit_s": Key(float, 0.0, "from the server to a client, service included", 0, 1e6),
    "round_trip_s": Key(float, 0.0, "from asking to the answer, service included", 0, 1e6),
    "interval_s": Key(float, None, "the poll interval that was recommended", 1e-6, 1e9),
    "hold_s": Key(float, None, "the hold that was recommended", 1e-6, 1e9),
    "hold_most_s": Key(float, None, "the longest hold that is safe", 1e-6, 1e9),
}
"""What a table ``[tuned]`` says, in the asker's time: the question this experiment answers, and what was recommended.

It is kept in run.json for the report and changes nothing that is measured."""


def client_keys(transport: Transport) -> dict[str, Key]:
    """Return the keys of the transport's client section, read off the client's ``Options``."""
    options: Any = transport.module().Options
    kinds = typing.get_type_hints(options)
    return {
        field.name: Key(
            kinds[field.name],
            cast(Value, field.default),
            str(field.metadata.get("help", "")),
            field.metadata.get("min"),
            field.metadata.get("max"),
            tuple(field.metadata.get("choices", ())),
        )
        for field in dataclasses.fields(options)
    }


def section_names() -> list[str]:
    """Return the names of all sections an experiment may have, the clients' included."""
    return [*SECTIONS, *dict.fromkeys(row.client for row in TRANSPORTS.values())]


def sections(transports: Iterable[str], written: Iterable[str] = ()) -> dict[str, dict[str, Key]]:
    """Return the sections with their keys: the common ones, the transports' own, and the clients' among ``written``."""
    used = {TRANSPORTS[name].client for name in transports} | set(written)
    clients = {row.client: client_keys(row) for row in TRANSPORTS.values() if row.client in used}
    return SECTIONS | clients


def expectation(key: Key) -> str:
    """Say what the key accepts, as the end of the sentence "expected ..."."""
    words = " or ".join(f'"{choice}"' if isinstance(choice, str) else show(choice) for choice in key.choices)
    if key.kind is bool:
        return "true or false"
    if _own_choices(key):
        return words
    if key.kind is str:
        return "text"
    number = "a whole number" if key.kind is int else "a number"
    if key.minimum is not None and key.maximum is not None:
        number += f" from {show(key.minimum)} to {show(key.maximum)}"
    elif key.minimum is not None:
        number += f" of at least {show(key.minimum)}"
    elif key.maximum is not None:
        number += f" of at most {show(key.maximum)}"
    return f"{number} or {words}" if words else number


def accept(key: Key, value: object) -> Value:
    """Return the value as the key's kind; ValueError with the expectation when it is not acceptable."""
    own = _own_choices(key)
    if key.kind is str and own and isinstance(value, bool | float):  # tls = 1.3, tls = true
        value = key.aliases.get(show(value), show(value))
    if isinstance(value, str) and (value in key.choices or (key.kind is str and not own)):
        return value
    if key.kind is bool and isinstance(value, bool):
        return value
    if own and value not in own:
        raise ValueError(expectation(key))
    if key.kind in {int, float} and isinstance(value, int | float) and not isinstance(value, bool):
        whole = isinstance(value, int) or (math.isfinite(value) and (key.kind is float or value.is_integer()))
        low = -math.inf if key.minimum is None else key.minimum
        high = math.inf if key.maximum is None else key.maximum
        if whole and low <= value <= high:
            return int(value) if key.kind is int else float(value)
    raise ValueError(expectation(key))


def _own_choices(key: Key) -> tuple[Value, ...]:
    return tuple(choice for choice in key.choices if isinstance(choice, key.kind))


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return the remedy for an unknown name: the nearest known one, or all of them."""
    names = list(known)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    return f"did you mean {close[0]}?" if close else f"known: {', '.join(sorted(names))}"


def show(value: object) -> str:
    """Write a value as TOML would, short: 0.5, 2, true, text."""
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:.12g}" if isinstance(value, float) else str(value)


def server_flags(settings: Settings) -> list[str]:
    """Turn a cell's settings into flags of ``python -m servers``; keys that are not set give none."""
    version = settings.get("tls", "off")
    flags: list[str] = [] if version == "off" else ["--tls", "--tls-version", str(version)]
    for section, keys in SECTIONS.items():
        for name, key in keys.items():
            value = settings.get(f"{section}.{name}")
            if not key.flag or value is None:
                continue
            if isinstance(value, bool):
                flags.append(key.flag if value else key.flag.replace("--", "--no-", 1))
            else:
                flags += [key.flag, show(value)]
    return flags


def published_by_subscribers(settings: Settings) -> bool:
    """Return whether the events of a cell are its subscribers' own (the experiment ``upstream``)."""
    return settings.get("feed.publisher") == "subscribers"


def topic_count(settings: Settings) -> int:
    """Return how many topics the server must have for this cell."""
    topics = settings["feed.topics"]
    return int(settings["load.subscribers"]) if topics == "per_subscriber" else int(topics)
