"""Hostile servers against the SSE client."""

import re
import time
from functools import partial

from loadtests.clients import sse
from tests.loadtests.by_hand import event
from tests.loadtests.hostile.http_table import GONE, OK, common
from tests.loadtests.hostile.rig import Entry, Wire, run

HEAD = OK + b"Content-Type: text/event-stream\r\n\r\n"
CHUNKED = HEAD[:-2] + b"Transfer-Encoding: chunked\r\n\r\n"


def message(seq: int, data: bytes = b"", end: bytes = b"\n") -> bytes:
    return b"id: %d%bdata: %b%b%b" % (seq, end, data or event(seq), end, end)


STREAMS = (
    Entry("no JSON", HEAD + message(0, b"oops"), corrupted=1),
    Entry("NaN", HEAD + message(0, event(1).replace(b'"due_ns": 5', b'"due_ns": NaN')), corrupted=1),
    Entry("a time beyond 64 bits", HEAD + message(0, event(1).replace(b"5", b"9" * 30)), corrupted=1),
    Entry("nested deep", HEAD + message(0, b"[" * 200_000), corrupted=1),
    Entry("bad UTF-8", HEAD + message(0, event(1).replace(b"price", b"pri\xffe")), corrupted=1),
    Entry("another topic's events", HEAD + message(0, event(1, "t9")) * 2, corrupted=2),
    Entry("a flipped byte", HEAD + message(0, event(1).replace(b"12", b"13")), corrupted=1),
    Entry("a CR within an event",
          HEAD + message(1, event(1).replace(b", ", b",\rdata: ", 1)), "silent|ended", corrupted=0),
    Entry("a line of 100 MB", (HEAD + b"data: ", b"x" * 65536), "event of over 16 MiB", "endless"),
    Entry("an event of endless lines", (HEAD, b"data: %b\n" % (b"x" * 9999)), "event of over 16 MiB", "endless"),
    Entry("a field of 100 MB", (HEAD + b"nobody", b"y" * 65536), "event of over 16 MiB", "endless"),
    Entry("an id of a megabyte", HEAD + b"id: " + b"7" * 2**20 + b"\ndata: x\n\n", corrupted=1),
    Entry("an id that is no number", HEAD + b"id: <script>\ndata: x\n\n", corrupted=1),
    Entry("an id beyond the log", HEAD + b"id: 999999999999\ndata: x\n\n", "status 410", "end", corrupted=1),
    Entry("an id in another script", HEAD + "id: ٣\ndata: x\n\n".encode(), corrupted=1),
    Entry("a retry of a thousand years", HEAD + b"retry: 99999999999999999999\nretry: 1\n\n" + message(1)),
    Entry("a retry that is none", HEAD + b"retry: -5\nretry: 1.5\nretry:\n\n" + message(1)),
    Entry("a BOM in the middle", HEAD + message(1) + b"\xef\xbb\xbf" + message(2)),
    Entry("all kinds of line ends", HEAD + message(1, end=b"\r") + message(2, end=b"\r\n") + b":\r\r\n"),
    Entry("seqs that go back", HEAD + message(3) + message(1) + message(2)),
    Entry("the same event again and again", HEAD + message(1) * 5000),
    Entry("half an event, then silence", HEAD + message(1)[:-5], "silent for 1 s"),
    Entry("a head, then silence", HEAD, "silent for 1 s"),
    Entry("a head, then the end", HEAD, GONE, "reset"),
    Entry("a chunk of nothing but size", CHUNKED + b"5" * 40, "no HTTP/1.1 response"),
    Entry("an end within a chunk", CHUNKED + b"ff\r\nid: 1\n", "ended within a response|ended by the peer", "end"),
    Entry("a stream with a length",
          HEAD[:-2] + b"Content-Length: 9\r\n\r\ndata: x\n\n" + b"more\n\n", "no HTTP|bytes behind"),
    Entry("another type", OK + b"Content-Type: application/json\r\n\r\n{}", "expected text/event-stream"),
    Entry("no type at all", OK + b"\r\ndata: x\n\n", "expected text/event-stream"),
)  # fmt: skip


def serve(wire: Wire, entry: Entry | None) -> None:
    """Answer with a stream."""
    request = wire.hear(b"\r\n\r\n")
    if entry:
        wire.play(entry)
        return
    wanted = re.search(rb"Last-Event-ID: (\d{1,18})\r\n", request) or re.search(rb"after=(\d+)", request)
    after = int(wanted[1])
    if after > 3:
        wire.say(b'HTTP/1.1 410 Gone\r\nContent-Length: 26\r\n\r\n{"oldest": 1, "newest": 0}')
        return
    wire.say(HEAD)
    for seq in range(after + 1, 4):
        wire.say(message(seq))
    while True:
        time.sleep(0.3)
        wire.say(b":\n\n")


def test_sse():
    run(
        (*common(b"text/event-stream"), *STREAMS),
        partial(sse.client, options=sse.Options(retry_s=0.05)),
        "/sse/t0",
        serve,
    )
