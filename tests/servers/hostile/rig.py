"""A real server under attack, while a hundred subscribers count what they get: what the tables of this folder run in.

A table is a tuple of ``Entry``: bytes sent, what has to come back, and the clause that says so. ``run(table, …)``
starts ``python -m servers`` with small limits, connects the subscribers by plain sockets, plays every entry on a
connection of its own, all at once, then ten thousand that send nothing, and asks: was each refused as it must be, and
counted? Is the server's memory bounded? Has every subscriber every event?
"""

import json
import re
import selectors
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field

import psutil

SUBSCRIBERS = 100
GROWTH_BYTES = 100 << 20  # of the server's memory, whatever is done to it
PATIENCE_S = 8.0  # for what must come within a second; a busy machine is no failure
LIMITS = (
    *("--handshake", "1", "--request", "1", "--idle", "1.5", "--heartbeat", "1"),
    *("--header-bytes", "4096", "--headers", "40", "--publish-bytes", "1024", "--queue-bytes", "262144"),
    *("--message-bytes", "4096", "--subscriptions", "20", "--connections", "600"),
    *("--schedule", "constant", "--rate", "10"),
)


@dataclass(frozen=True)
class Entry:
    """One hostile client.

    ``sends`` is bytes, or pieces of it with pauses in seconds between them. ``answer`` is a regular expression for the
    beginning of what comes back; ``closes`` says that the server then ends the connection. ``counted`` is the reason
    under which ``/stats`` must have it. ``reads`` is False for a client that takes nothing until it has been counted.
    """

    name: str
    sends: bytes | Sequence[bytes | float]
    answer: bytes
    clause: str
    closes: bool = True
    counted: str = ""
    reads: bool = True
    port: str = "http"  # or "tcp"


def status(*codes: int) -> bytes:
    """The expression for HTTP answers with these statuses, one after another, and no other."""
    heads = b".*?".join(b"HTTP/1\\.[01] %d " % code for code in codes)
    return heads + rb"(?!.*HTTP/1\.[01] )"


class Listener:
    """A subscriber of a push transport: says ``hello``, then counts the seqs of events in whatever comes."""

    def __init__(self, hello: bytes) -> None:
        self.hello = hello
        self.pause_s = 0.0
        self.seqs: list[int] = []
        self._tail = b""

    def receive(self, data: bytes) -> bytes:
        """Take bytes; return what is to be sent, after ``pause_s``."""
        data = self._tail + data
        end = 0
        for match in re.finditer(rb'"seq": ?(\d+),', data):
            self.seqs.append(int(match[1]))
            end = match.end()
        self._tail = data[max(end, len(data) - 40) :]
        return b""


class Poller(Listener):
    """A subscriber that asks: ``target`` with ``%d`` for the cursor. One request at a time, ``pause_s`` between."""

    def __init__(self, target: bytes, pause_s: float) -> None:
        self._target = target
        self._buffer = b""
        super().__init__(self._ask(0))
        self.pause_s = pause_s

    def _ask(self, after: int) -> bytes:
        return b"GET %b HTTP/1.1\r\nHost: localhost\r\n\r\n" % (self._target % after)

    def receive(self, data: bytes) -> bytes:
        self._buffer += data
        head, end, body = self._buffer.partition(b"\r\n\r\n")
        length = re.search(rb"Content-Length: (\d+)", head)
        if not end or len(body) < (size := int(length[1]) if length else 0):
            return b""
        self._buffer = b""
        super().receive(body[:size])
        return self._ask(self.seqs[-1] if self.seqs else 0)


class Crowd(threading.Thread):
    """The subscribers, in a thread; watches the server's memory, too."""

    def __init__(self, address: tuple[str, int], subscribers: Sequence[Listener], pid: int) -> None:
        super().__init__(daemon=True)
        self.subscribers = subscribers
        self.lost: list[Listener] = []  # those whom the server has left
        self.most_bytes = self.least_bytes = 0
        self._process = psutil.Process(pid)
        self._selector = selectors.DefaultSelector()
        self._due: list[tuple[float, socket.socket, bytes]] = []
        self._ending = threading.Event()
        for subscriber in subscribers:
            sock = socket.create_connection(address)
            sock.sendall(subscriber.hello)
            sock.setblocking(False)
            self._selector.register(sock, selectors.EVENT_READ, subscriber)

    def run(self) -> None:
        self.least_bytes = self.most_bytes = self._process.memory_info().rss
        while not self._ending.is_set():
            for key, _ in self._selector.select(0.01):
                self._receive(key.fileobj, key.data)
            now = time.monotonic()
            for at, sock, data in self._due:
                if at <= now:
                    sock.sendall(data)
            self._due = [entry for entry in self._due if entry[0] > now]
            self.most_bytes = max(self.most_bytes, self._process.memory_info().rss)

    def _receive(self, sock: socket.socket, subscriber: Listener) -> None:
        try:
            data = sock.recv(1 << 16)
        except ConnectionError:
            data = b""
        if not data:
            self.lost.append(subscriber)
            self._selector.unregister(sock)
            sock.close()
        elif answer := subscriber.receive(data):
            self._due.append((time.monotonic() + subscriber.pause_s, sock, answer))

    def end(self) -> None:
        self._ending.set()
        self.join()
        for key in tuple(self._selector.get_map().values()):
            key.fileobj.close()


@dataclass
class Server:
    """A server's process and where it listens."""

    process: subprocess.Popen
    ready: dict
    ports: dict[str, tuple[str, int]] = field(default_factory=dict)

    def ask(self, target: str) -> dict:
        """The JSON at ``target``; asks again while there is no room for one who asks."""
        answer = b""

        def answered() -> bool:
            nonlocal answer
            with socket.create_connection(self.ports["http"], timeout=PATIENCE_S) as sock:
                sock.sendall(f"GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
                answer = read_all(sock)
            return answer.startswith(b"HTTP/1.1 200 ")

        until(answered, f"an answer to GET {target}")
        return json.loads(answer.partition(b"\r\n\r\n")[2])


@contextmanager
def server(*argv: str) -> Iterator[Server]:
    """``python -m servers argv`` with small limits; argv may set others."""
    command = [sys.executable, "-m", "servers", "--port", "0", *LIMITS, *argv]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            ready = json.loads(process.stdout.readline())
            ports = {"http": address(ready["http"].partition("://")[2])}
            if ready["tcp"]:
                ports["tcp"] = address(ready["tcp"])
            yield Server(process, ready, ports)
        finally:
            process.terminate()
            _, errors = process.communicate(timeout=PATIENCE_S)
        assert not errors, f"nothing a client does may be logged: {errors[:2000]}"
        assert process.returncode == 0


def address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    return host, int(port)


def read_all(sock: socket.socket, enough: Callable[[bytes], bool] = lambda _: False) -> bytes:
    """What comes until the server closes, or until it is enough; raises TimeoutError when neither happens."""
    data = b""
    end = time.monotonic() + PATIENCE_S
    try:
        while (piece := sock.recv(1 << 16)) and not enough(data := data + piece):
            sock.settimeout(max(0.001, end - time.monotonic()))
    except ConnectionError:
        pass
    return data


def play(entry: Entry, under: Server) -> str:
    """Be that client; returns what is wrong with how it was treated, "" when nothing is."""
    with socket.create_connection(under.ports[entry.port], timeout=PATIENCE_S) as sock:
        for piece in (entry.sends,) if isinstance(entry.sends, bytes) else entry.sends:
            if isinstance(piece, float):
                time.sleep(piece)
                continue
            try:
                sock.sendall(piece)
            except OSError:  # refused before it has sent all, or nobody takes more
                break
        if not entry.reads:  # how soon what it leaves unread fills every buffer is for the machine to say
            until(lambda: entry.counted in under.ask("/stats")["drops"], f"{entry.name} to be counted", look_s=0.1)
        expected = re.compile(entry.answer, re.DOTALL)
        enough = (lambda _: False) if entry.closes else (lambda data: expected.match(data) is not None)
        try:
            data = read_all(sock, enough)
        except TimeoutError:
            return f"{entry.name}: the connection stays open, and {entry.answer!r} has not come"
    if not expected.match(data):
        return f"{entry.name}: {data[:300]!r}, expected {entry.answer!r} ({entry.clause})"
    return ""


FLOOD = """
import selectors, socket, sys, time
host, port, count, hold_s = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])
socks = []
for number in range(count):
    sock = socket.socket()
    sock.setblocking(False)
    sock.connect_ex((host, port))
    socks.append(sock)
    if number % 100 == 99:
        time.sleep(0.005)
print(len(socks), flush=True)
time.sleep(hold_s)
"""


def flood(where: tuple[str, int], count: int = 10_000, hold_s: float = 0.3) -> subprocess.Popen:
    """Open ``count`` connections that send nothing, from a process of their own."""
    command = [sys.executable, "-c", FLOOD, where[0], str(where[1]), str(count), str(hold_s)]
    return subprocess.Popen(command, stdout=subprocess.PIPE)


def run(
    table: Sequence[Entry], argv: Sequence[str], subscriber: Callable[[], Listener], *, port: str = "http"
) -> dict[str, object]:
    """Play a table against ``python -m servers argv`` (see the module); returns the server's last ``/stats``."""
    assert len({entry.name for entry in table}) == len(table)
    with server(*argv) as under:
        crowd = Crowd(under.ports[port], [subscriber() for _ in range(SUBSCRIBERS)], under.process.pid)
        crowd.start()
        until(lambda: all(one.seqs for one in crowd.subscribers), "every subscriber to have an event")
        with ThreadPoolExecutor(len(table)) as pool:
            wrong = "\n".join(filter(None, pool.map(lambda entry: play(entry, under), table)))
        with flood(under.ports[port]) as silent:
            assert int(silent.stdout.readline()) == 10_000
        stats = under.ask("/stats")
        newest = stats["published"]["t0"]
        until(lambda: all(one.seqs[-1] >= newest for one in crowd.subscribers), "the last event to have arrived")
        crowd.end()
        assert not wrong, wrong
        expected = Counter(entry.counted for entry in table if entry.counted)
        counted = Counter({reason: stats["drops"].get(reason, 0) for reason in expected})
        assert expected - counted == Counter()
        assert stats["drops"]["too_many_connections"] > 1000
        assert crowd.lost == []
        for one in crowd.subscribers:
            assert one.seqs == list(range(1, len(one.seqs) + 1))
        assert crowd.most_bytes - crowd.least_bytes < GROWTH_BYTES
        return stats


def until(condition: Callable[[], bool], what: str, look_s: float = 0.01) -> None:
    """Wait for something that must happen."""
    end = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < end, f"waited {PATIENCE_S} s for {what}"
        time.sleep(look_s)
