"""The open transactions of one STOMP connection: what SEND, ACK and NACK have to wait for (STOMP 1.2, BEGIN).

The rule: nothing in a transaction happens before COMMIT, all of it happens then, in order, and none of it after ABORT.
What is held back is bounded per connection.
"""

from __future__ import annotations

from collections.abc import Callable

from servers.stomp_frames import ProtocolError

MOST_OPEN = 100
MOST_FRAMES = 1000  # in all open transactions together
MOST_BYTES = 1 << 20

Action = Callable[[], object]


class Transactions:
    """Actions by transaction. Every method raises ProtocolError when the peer has no such transaction, or too much."""

    __slots__ = ("_open",)

    def __init__(self) -> None:
        self._open: dict[str, list[tuple[int, Action]]] = {}

    def begin(self, name: str) -> None:
        """Open one; its name must be new among the open ones."""
        if name in self._open:
            raise ProtocolError(f"BEGIN of transaction {name[:64]!r}, which is open already")
        if len(self._open) >= MOST_OPEN:
            raise ProtocolError(f"more than {MOST_OPEN} open transactions")
        self._open[name] = []

    def add(self, name: str, size_bytes: int, action: Action) -> None:
        """Hold an action back; ``size_bytes`` is what it keeps in memory."""
        held = self._get(name)
        sizes = [size for actions in self._open.values() for size, _ in actions]
        if len(sizes) >= MOST_FRAMES or sum(sizes) + size_bytes > MOST_BYTES:
            raise ProtocolError(f"more than {MOST_FRAMES} frames or {MOST_BYTES} bytes in open transactions")
        held.append((size_bytes, action))

    def commit(self, name: str) -> None:
        """Carry all of it out, in order."""
        actions = self._get(name)
        del self._open[name]
        for _, action in actions:
            action()

    def abort(self, name: str) -> None:
        """Forget all of it."""
        self._get(name)
        del self._open[name]

    def clear(self) -> None:
        """Abort every transaction."""
        self._open.clear()

    def _get(self, name: str) -> list[tuple[int, Action]]:
        if name not in self._open:
            raise ProtocolError(f"transaction {name[:64]!r} is not open, expected a BEGIN before")
        return self._open[name]
