"""The driver without a network, for clients that pull: it keeps the answers' rows too."""

from __future__ import annotations

from typing import Any

from loadtests.clients import Answer
from tests.loadtests.by_hand import Hand, event


def answer(*seqs: int, topic: str = "t0", head: bytes = b"") -> bytes:
    """A 200 with events, and more header lines."""
    body = b'{"events": [%b], "last": %d}' % (b", ".join(event(seq, topic) for seq in seqs), seqs[-1])
    return b"HTTP/1.1 200 OK\r\n%bContent-Length: %d\r\n\r\n%b" % (head, len(body), body)


def status(code: int, body: bytes = b"") -> bytes:
    """Any other answer."""
    length = b"" if code in (204, 304) else b"Content-Length: %d\r\n" % len(body)
    return b"HTTP/1.1 %d Whatever\r\n%b\r\n%b" % (code, length, body)


class PullingHand(Hand):
    """Keeps response rows in ``answers``."""

    def __init__(self, client: Any) -> None:
        self.answers: list[tuple[int, ...]] = []
        super().__init__(client)

    def asked(self) -> bytes:
        """The target of the one request that was sent since the last time."""
        request = self.take()
        assert request.count(b"\r\n\r\n") == 1, request
        return request.split(b" ")[1]

    def _do(self, command: Any) -> None:
        several = command if type(command) is tuple else (command,)
        self.answers += [one.row for one in several if isinstance(one, Answer)]
        super()._do(tuple(one for one in several if not isinstance(one, Answer)))
