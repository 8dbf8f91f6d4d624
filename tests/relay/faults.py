"""Which event meets with which fault, a function of seed, connection, topic and seq alone; and the ledger of it.

Rule 1: an event meets with one fault at most; what passes while its neighbour is held back meets with none.
Rule 2: only scheduled topics (``t0, t1, …``) are touched, so a server passes its verification before the timing.
Rule 3: a poll's body that a flip makes unreadable is asked for again. It takes no other fault, for none would last, and
the ledger calls it ``spoil``: something corrupted arrives, but nothing is lost.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple

FAULTS = ("drop", "repeat", "swap", "flip")
_SCHEDULED = re.compile(r"t[0-9]+")


class Event(NamedTuple):
    """One event as it stands on the wire: its JSON, and the bytes of the framing around it."""

    before: bytes
    json: bytes
    after: bytes

    @property
    def raw(self) -> bytes:
        """All of it."""
        return self.before + self.json + self.after

    @property
    def key(self) -> tuple[str, int]:
        """Topic and seq."""
        read = json.loads(self.json)
        return read["topic"], read["seq"]


@dataclass(frozen=True, slots=True)
class Odds:
    """The share of events that meet with each fault."""

    drop: float = 0.0
    repeat: float = 0.0
    swap: float = 0.0
    flip: float = 0.0
    seed: int = 1

    def draw(self, connection: int, topic: str, seq: int) -> tuple[str, int]:
        """Return the fault of an event (empty: none) and a number for whatever else is to be chosen."""
        digest = blake2b(f"{self.seed}/{connection}/{topic}/{seq}".encode(), digest_size=16).digest()
        at = int.from_bytes(digest[:8]) / 2**64
        for fault in FAULTS:
            at -= getattr(self, fault)
            if at < 0:
                return fault, int.from_bytes(digest[8:])
        return "", 0


class Ledger:
    """What was done, a line of JSON each, on disk at once: the relay may be killed."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("ab", buffering=0)

    def note(self, fault: str, **details: object) -> None:
        """Write one line."""
        self._file.write(json.dumps({"fault": fault, **details}).encode() + b"\n")


class Meddler:
    """Decides what becomes of the events of one connection."""

    def __init__(self, odds: Odds, ledger: Ledger, connection: int) -> None:
        self._odds = odds
        self._ledger = ledger
        self._connection = connection
        self._spoilt: set[tuple[str, int]] = set()
        self.held: Event | None = None

    def pass_on(self, event: Event) -> list[Event]:
        """Return what goes out in the place of an event: nothing, itself, itself twice, or what was held back too."""
        if self.held is not None:
            held = self.held
            self.held = None
            self._note("swap", held)
            return [event, held]
        fault, number = self._fault(event)
        if not fault:
            return [event]
        if fault == "swap":  # goes into the ledger when a neighbour has come
            self.held = event
            return []
        self._note(fault, event)
        return [] if fault == "drop" else [event, event] if fault == "repeat" else [flipped(event, number)]

    def release(self) -> list[Event]:
        """Let go of what was held back for a neighbour that does not come: no fault, no line in the ledger."""
        held, self.held = self.held, None
        return [] if held is None else [held]

    def pass_on_body(self, events: list[Event]) -> list[Event]:
        """Return what goes out in the place of a poll's events; a swap needs both neighbours in one body (rule 3)."""
        for index, event in enumerate(events):
            fault, number = self._fault(event)
            if fault == "flip" and breaks_json(number):
                self._spoilt.add(event.key)
                self._note("spoil", event)
                return [*events[:index], flipped(event, number), *events[index + 1 :]]
        out = [one for event in events for one in self.pass_on(event)]
        return out + self.release()

    def _fault(self, event: Event) -> tuple[str, int]:
        topic, seq = event.key
        if not _SCHEDULED.fullmatch(topic) or (topic, seq) in self._spoilt:
            return "", 0
        return self._odds.draw(self._connection, topic, seq)

    def _note(self, fault: str, event: Event) -> None:
        topic, seq = event.key
        self._ledger.note(fault, connection=self._connection, topic=topic, seq=seq)


def _in_text(json: bytes, number: int) -> int:
    """A letter or digit of ``data`` that is no part of an escape: still JSON, but the checksum fails."""
    start = json.index(b'"data": "') + len(b'"data": "')
    places = [at for at in range(start, len(json)) if json[at : at + 1].isalnum() and json[at - 1] != 0x5C]
    return places[number % len(places)]


def _in_seq(json: bytes, _number: int) -> int:
    """The last digit of ``seq``: an event that claims to be its neighbour."""
    found = re.search(rb'"seq": [0-9]+', json)
    assert found is not None
    return found.end() - 1


def _closing_quote(json: bytes, _number: int) -> int:
    """The quote that ends ``data``: no JSON any more."""
    return json.rindex(b'"')


_PLACES: tuple[Callable[[bytes, int], int], ...] = (_in_text, _in_seq, _closing_quote)


def breaks_json(number: int) -> bool:
    """Whether ``flipped`` with this number leaves something that is no JSON."""
    return _PLACES[number % len(_PLACES)] is _closing_quote


def flipped(event: Event, number: int) -> Event:
    """Return the event with the lowest bit of one byte flipped; ASCII stays ASCII and the length what it was."""
    at = _PLACES[number % len(_PLACES)](event.json, number // len(_PLACES))
    return event._replace(json=event.json[:at] + bytes((event.json[at] ^ 1,)) + event.json[at + 1 :])
