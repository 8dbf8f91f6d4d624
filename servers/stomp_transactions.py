"""The open transactions of one STOMP connection: what SEND, ACK and NACK have to wait for (STOMP 1.2, BEGIN).

The rule: nothing in a transaction happens before COMMIT, all of it happens then, in order, and none of it after ABORT.
"All" is kept by checking every part of it before the first is carried out. What is held back is bounded per connection.
"""

from __future__ import annotations

from typing import Protocol

from servers.stomp_frames import ProtocolError

MOST_OPEN = 100
MOST_FRAMES = 1000  # in all open transactions together
MOST_BYTES = 1 << 20  # of bodies and headers, likewise


class Action(Protocol):
    """What a frame does once it may; ``size_bytes`` is what holding it back keeps in memory."""

    @property
    def size_bytes(self) -> int:
        """Bytes kept."""

    def check(self) -> None:
        """Raise what ``run`` would be refused with."""

    def run(self) -> None:
        """Do it; after ``check`` it does not fail."""


class Transactions:
    """Actions by transaction. Every method raises ProtocolError when the peer has no such transaction, or too much."""

    __slots__ = ("_bytes", "_frames", "_open")

    def __init__(self) -> None:
        self._open: dict[str, list[Action]] = {}
        self._frames = self._bytes = 0

    def begin(self, name: str) -> None:
        """Open one; its name must be new among the open ones."""
        if name in self._open:
            raise ProtocolError(f"BEGIN of transaction {name[:64]!r}, which is open already")
        if len(self._open) >= MOST_OPEN:
            raise ProtocolError(f"more than {MOST_OPEN} open transactions", reason="too_many_transactions")
        self._open[name] = []

    def add(self, name: str, action: Action) -> None:
        """Hold an action back."""
        held = self._get(name)
        if self._frames >= MOST_FRAMES or self._bytes + action.size_bytes > MOST_BYTES:
            raise ProtocolError(
                f"more than {MOST_FRAMES} frames or {MOST_BYTES} bytes in open transactions",
                reason="too_many_transactions",
            )
        held.append(action)
        self._frames += 1
        self._bytes += action.size_bytes

    def end(self, name: str) -> list[Action]:
        """Close one, by COMMIT or ABORT; returns what it held back, in order."""
        actions = self._get(name)
        del self._open[name]
        self._frames -= len(actions)
        self._bytes -= sum(action.size_bytes for action in actions)
        return actions

    def clear(self) -> None:
        """Abort every transaction."""
        self._open.clear()

    def _get(self, name: str) -> list[Action]:
        if name not in self._open:
            raise ProtocolError(f"transaction {name[:64]!r} is not open, expected a BEGIN before")
        return self._open[name]
