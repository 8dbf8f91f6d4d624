"""A driver without a network: gives a client its inputs by hand and keeps what it commands."""

from __future__ import annotations

import json
from typing import Any
from zlib import crc32

from loadtests.clients import (
    Address,
    Beat,
    Client,
    Close,
    Connect,
    Connected,
    Data,
    Deadline,
    Emit,
    Eof,
    Failed,
    Mark,
    Publication,
    Published,
    Send,
    Stop,
    Subscriber,
    Timer,
    Wake,
)


def event(seq: int, topic: str = "t0", text: str = ',"price":"12 €"}') -> bytes:
    """An event by the wire contract."""
    data = f'{{"crc32":"{crc32(f"{topic}|{seq}|{text}".encode()):08x}"{text}'
    return json.dumps(
        {"topic": topic, "seq": seq, "due_ns": 5, "sent_ns": 6, "data": data}, ensure_ascii=False
    ).encode()


def subscriber(path: str = "", after: int | None = 0, seed: int = 1) -> Subscriber:
    return Subscriber(7, "t0", 0, Address("127.0.0.1", 8080), path, after, seed)


class Hand:
    """Runs one client; time is what the test says, in ``at_ns``."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.at_ns = 1_000
        self.sent = bytearray()
        self.rows: list[tuple[int, ...]] = []
        self.marks: list[Mark] = []
        self.closes: list[Close] = []
        self.published: list[Published] = []
        self.publications: list[tuple[int, ...]] = []
        self.connects = self.beats = self.wake_ns = 0
        self.open = self.ended = False
        self.deadline = Deadline(0)
        self._do(next(client))

    def give(self, given: Any) -> None:
        """Give one input; a ``Wake`` that is already due is answered at once, as a driver does."""
        try:
            self._do(self.client.send(given))
            while 0 < self.wake_ns <= self.at_ns:
                self.wake_ns = 0
                self._do(self.client.send(Timer(self.at_ns)))
        except StopIteration:
            self.ended, self.open = True, False

    def connect(self) -> None:
        self.open = True
        self.give(Connected(self.at_ns, self.at_ns))

    def receive(self, *pieces: bytes) -> None:
        """Give pieces through one buffer, which is overwritten behind the client's back."""
        for piece in pieces:
            if self.open and piece:
                buffer = bytearray(piece)
                self.give(Data(memoryview(buffer), self.at_ns))
                buffer[:] = b"\xff" * len(buffer)

    def receive_bytewise(self, data: bytes) -> None:
        self.receive(*(data[i : i + 1] for i in range(len(data))))

    def ring(self) -> None:
        """Let the time come that the client asked for."""
        self.at_ns, self.wake_ns = max(self.at_ns, self.wake_ns), 0
        self.give(Timer(self.at_ns))

    def stop(self) -> None:
        self.give(Stop(self.at_ns))

    def end(self, error: str = "") -> None:
        self.open = False
        self.give(Failed(error, self.at_ns) if error else Eof(self.at_ns))

    def take(self) -> bytes:
        """What was sent since the last time."""
        taken = bytes(self.sent)
        self.sent.clear()
        return taken

    def seqs(self) -> list[int]:
        return [row[3] for row in self.rows]

    def _do(self, command: Any) -> None:
        for one in command if type(command) is tuple else (command,):
            match one:
                case None:
                    pass
                case Emit():
                    self.rows += one
                case Send(data):
                    assert self.open, "sent without a connection"
                    self.sent += data
                case Wake(at_ns):
                    self.wake_ns = at_ns
                case Deadline():
                    self.deadline = one
                case Mark():
                    self.marks.append(one)
                case Published():
                    self.published.append(one)
                case Publication(row):
                    self.publications.append(row)
                case Beat(count):
                    self.beats += count
                case Connect():
                    self.connects += 1
                case Close():
                    self.closes.append(one)
                    self.open = False
                case _:
                    raise AssertionError(one)
