"""What a subscriber publishes, and when: pure functions of seed, subscriber and seq.

The rule: dues depend on nothing else, so every way to publish gets the same ones, and a difference between two ways is
no luck of the draw. ``data`` checks itself as the wire contract wants it ("The event"): the CRC-32 of
``topic|seq|text`` stands before the text, so whoever receives the event can tell that every byte of it has come back.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from itertools import count
from zlib import crc32

__all__ = ["LEAST_BYTES", "SCHEDULES", "dues", "texts", "write"]

_HEAD_BYTES = len(b'{"crc32":"00000000"')
_NOTE = ',"note":"{}"}}'
_NOTE_BYTES = len(_NOTE.format(""))
_POOL = 16
_WORDS = ("order", "filled", "at", "the", "limit", "after a short delay", "in early trading", "volume", "rose")
LEAST_BYTES = _HEAD_BYTES + _NOTE_BYTES


def _constant(rng: random.Random, rate_hz: float) -> Iterator[float]:
    phase = rng.random()
    return ((phase + number) / rate_hz for number in count())


def _poisson(rng: random.Random, rate_hz: float) -> Iterator[float]:
    at_s = 0.0
    while True:
        at_s += rng.expovariate(rate_hz)
        yield at_s


SCHEDULES: dict[str, Callable[[random.Random, float], Iterator[float]]] = {"constant": _constant, "poisson": _poisson}


def dues(schedule: str, rate_hz: float, seed: int, index: int) -> Iterator[int]:
    """Yield when subscriber ``index`` is to publish, in ns after the epoch; it never ends."""
    return (round(at_s * 1e9) for at_s in SCHEDULES[schedule](random.Random(f"{seed}|publish|{index}"), rate_hz))


def texts(payload_bytes: int, seed: int) -> tuple[str, ...]:
    """Return what ``write`` is given: ASCII, each as long as data of ``payload_bytes`` (at least 29) leaves room."""
    room = payload_bytes - LEAST_BYTES
    rng = random.Random(f"{seed}|texts|{payload_bytes}")
    return tuple(_NOTE.format(" ".join(rng.choices(_WORDS, k=room // 2 + 1))[:room]) for _ in range(_POOL))


def write(topic: str, seq: int, text: str) -> bytes:
    """Return the data of one event: its checksum, then the text."""
    return f'{{"crc32":"{crc32(f"{topic}|{seq}|{text}".encode()):08x}"{text}'.encode()
