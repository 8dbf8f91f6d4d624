"""Hostile clients of HTTP long polling."""

from tests.servers.hostile import http, rig
from tests.servers.hostile.http import drip, request
from tests.servers.hostile.rig import Entry, status

ASK = request(b"/long-poll/t0?after=0")
LIVE = request(b"/long-poll/t0")


def hold(value: bytes) -> bytes:
    return request(b"/long-poll/t0?hold=" + value)


def prefer(value: bytes) -> bytes:
    """On a topic where nothing happens, so that a hold would be seen."""
    return request(b"/long-poll/t0?after=0", b"Prefer: " + value)


TABLE = (
    *http.entries(b"/long-poll/t0?after=0"),
    Entry("negative cursor", request(b"/long-poll/t0?after=-1"), status(400), "contract", closes=False),
    Entry("float cursor", request(b"/long-poll/t0?after=1.5"), status(400), "contract", closes=False),
    Entry("Arabic digits", request(b"/long-poll/t0?after=%D9%A3"), status(400), "contract", closes=False),
    Entry("cursor beyond the newest", request(b"/long-poll/t0?after=999999"), status(410), "contract", closes=False),
    Entry("two cursors", request(b"/long-poll/t0?after=0&after=0"), status(400), "contract: each once", closes=False),
    Entry("negative hold", hold(b"-1"), status(400), "contract", closes=False),
    Entry("hold is no number", hold(b"soon"), status(400), "contract", closes=False),
    Entry("hold is NaN", hold(b"nan"), status(400), "contract", closes=False),
    Entry("hold is infinite", hold(b"inf"), status(400), "contract", closes=False),
    Entry("hold overflows", hold(b"1e999"), status(400), "contract", closes=False),
    Entry("empty hold", hold(b""), status(400), "contract", closes=False),
    Entry("two holds", hold(b"1&hold=2"), status(400), "contract: each once", closes=False),
    Entry("huge hold is capped, and answered", hold(b"1e30"), status(200), "contract", closes=False),
    Entry("tiny hold", hold(b"1e-320"), rb"HTTP/1\.1 20[04] ", "contract", closes=False),
    Entry("negative wait is no wait", prefer(b"wait=-1"), status(200), "RFC 7240, 2: ignored", closes=False),
    Entry("huge wait is no wait", prefer(b"wait=" + b"9" * 300), status(200), "RFC 7240, 2: ignored", closes=False),
    Entry("wait of junk", prefer(b"wait=x, wait=;, =,,,"), status(200), "RFC 7240, 2: ignored", closes=False),
    Entry("wait that is no UTF-8", prefer(b"wait=\xff\xfe"), status(200), "RFC 7240, 2: ignored", closes=False),
    Entry("limit 0", request(b"/long-poll/t0?after=0&limit=0"), status(400), "contract", closes=False),
    Entry("limit is no number", request(b"/long-poll/t0?after=0&limit=ten"), status(400), "contract", closes=False),
    Entry("unknown topic", request(b"/long-poll/nothing"), status(404), "contract", closes=False),
    Entry("POST", request(b"/long-poll/t0", method=b"POST"), status(405), "RFC 9110, 15.5.6", closes=False),
    Entry("HEAD is not held", request(b"/long-poll/t0", method=b"HEAD"), status(204), "RFC 9110, 9.3.2", closes=False),
    Entry("a second request drips", (ASK, *drip(ASK[:20])), status(200, 408), "slowloris", counted="request_timeout"),
    Entry("half a request behind one that is held", LIVE + LIVE[:20], rb"HTTP/1\.1 200 .*HTTP/1\.1 408 ",
          "answers keep their order"),
    Entry("idle", ASK, status(200), "RFC 9112, 9.5", counted="idle_timeout"),
    Entry("garbage behind one that is held", LIVE + b"\0\0\0\r\n\r\n", rb"HTTP/1\.1 [24]00 ", "RFC 9112, 2.2"),
    Entry("pipelines and does not read", [ASK * 200] * 40, rb"HTTP/1\.1 200 ", "backpressure", reads=False,
          counted="slow_consumer"),
)  # fmt: skip


def test_hostile_clients_of_long_polling():
    rig.run(TABLE, ["long_polling"], lambda: rig.Poller(b"/long-poll/t0?after=%d&hold=5", 0.0))
