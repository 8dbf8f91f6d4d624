"""Hostile servers against the polling and the long-polling client."""

import re
import time
from functools import partial

from loadtests.clients import long_polling, polling
from tests.loadtests.by_hand import event
from tests.loadtests.hostile.http_table import OK, TOO_LATE, common
from tests.loadtests.hostile.rig import Entry, Wire, run
from tests.loadtests.pulling_hand import answer, status

ONE = event(1)


def body(text: bytes) -> bytes:
    return OK + b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(text), text)


def batch(*events: bytes, last: bytes = b"3") -> bytes:
    return body(b'{"events": [' + b", ".join(events) + b'], "last": ' + last + b"}")


SPOILT = (
    Entry("no JSON", body(b"oops"), corrupted=1),
    Entry("half JSON", body(b'{"events": [{"topic": "t0"'), corrupted=1),
    Entry("an empty body", body(b""), corrupted=1),
    Entry("NaN", batch(ONE.replace(b'"due_ns": 5', b'"due_ns": NaN'), last=b"0"), corrupted=1),
    Entry("a time beyond 64 bits", batch(ONE.replace(b'"due_ns": 5', b'"due_ns": 99999999999999999999'), last=b"0"),
          corrupted=1),
    Entry("a seq beyond 64 bits",
          batch(ONE.replace(b'"seq": 1', b'"seq": 9223372036854775808'), last=b"0"), corrupted=1),
    Entry("a seq of 0", batch(event(0), last=b"0"), corrupted=1),
    Entry("a negative seq", batch(event(-1), last=b"0"), corrupted=1),
    Entry("nested deep", body(b"[" * 200_000), corrupted=1),
    Entry("an event nested deep", batch(ONE[:-1] + b', "x": ' + b"[" * 200_000, last=b"0"), corrupted=1),
    Entry("bad UTF-8", batch(ONE.replace(b"price", b"pri\xffe"), last=b"0"), corrupted=1),
    Entry("another topic's events", batch(event(1, "t9"), event(2, "t9"), last=b"0"), corrupted=2),
    Entry("a flipped byte", batch(ONE.replace(b"12", b"13"), last=b"0"), corrupted=1),
    Entry("events that are none", batch(b"1", b'"two"', b"null", b"{}", last=b"0"), corrupted=4),
    Entry("a cursor in words", batch(ONE, last=b'"one"'), corrupted=1),
    Entry("a negative cursor", batch(ONE, last=b"-5"), corrupted=1),
    Entry("seqs that go back", answer(3, 1, 2)),
    Entry("the same event again and again", answer(*[1] * 2000)),
    Entry("a cursor beyond the log", batch(last=b"9223372036854775807"), "status 410", "end"),
    Entry("an endless body", (OK + b"\r\n", b"x" * 65536), "response of over 64 MiB", "endless"),
    Entry("two answers to one request", answer(1) + answer(2), "bytes behind the response"),
    Entry("an answer nobody asked for",
          (answer(1), b"HTTP/1.1 200 OK\r\n\r\n"), "bytes behind|no request was under way|no HTTP|" + TOO_LATE),
)  # fmt: skip
EARLY = tuple(
    Entry(f"a proxy that answers {code}", status(code, b"<html>"), f"proxy answered {code} early")
    for code in (502, 503, 504)
)


def serve(wire: Wire, entry: Entry | None, *, hold_s: float) -> None:
    """Answer polls; an entry is the answer to the second one, which a long poll's server holds."""
    asked = 0
    while True:
        request = wire.hear(b"\r\n\r\n")
        asked += 1
        if entry and asked > (hold_s > 0):
            wire.play(entry)
            return
        after = int(re.search(rb"after=(\d+)", request)[1])
        if after > 3:
            wire.say(status(410, b'{"oldest": 1, "newest": 0}'))
        elif entry or after == 3:
            time.sleep(hold_s if asked > 1 else 0)
            wire.say(status(204))
        else:
            wire.say(answer(*range(after + 1, 4)))


def test_polling():
    table = (*common(b"application/json"), *SPOILT)
    run(table, partial(polling.client, options=polling.Options(interval_s=0.05)), "/poll/t0", partial(serve, hold_s=0))


def test_long_polling():
    table = (*common(b"application/json"), *SPOILT, *EARLY)
    make = partial(long_polling.client, options=long_polling.Options(hold_s=0.1, gap_s=0.02))
    run(table, make, "/long-poll/t0", partial(serve, hold_s=0.1))
