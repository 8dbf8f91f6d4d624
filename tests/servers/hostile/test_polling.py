"""Hostile clients of HTTP polling."""

from tests.servers.hostile import http, rig
from tests.servers.hostile.http import drip, request
from tests.servers.hostile.rig import Entry, status

ASK = request(b"/poll/t0?after=0")


def cursor(value: bytes) -> bytes:
    return request(b"/poll/t0?after=" + value)


TABLE = (
    *http.entries(b"/poll/t0?after=0"),
    Entry("negative cursor", cursor(b"-1"), status(400), "contract", closes=False),
    Entry("huge cursor", cursor(b"9" * 30), status(400), "contract", closes=False),
    Entry("thousand digits", cursor(b"0" * 1000 + b"1"), status(400), "contract", closes=False),
    Entry("float cursor", cursor(b"1.0"), status(400), "contract", closes=False),
    Entry("exponent", cursor(b"1e3"), status(400), "contract", closes=False),
    Entry("signed cursor", cursor(b"%2B1"), status(400), "contract", closes=False),
    Entry("spaced cursor", cursor(b"%201"), status(400), "contract", closes=False),
    Entry("underscored cursor", cursor(b"1_0"), status(400), "contract", closes=False),
    Entry("Arabic digits", cursor(b"%D9%A3"), status(400), "contract", closes=False),
    Entry("superscript two", cursor(b"%C2%B2"), status(400), "contract", closes=False),
    Entry("empty cursor", cursor(b""), status(400), "contract", closes=False),
    Entry("cursor that is no UTF-8", cursor(b"%FF"), status(400), "contract", closes=False),
    Entry("cursor with NUL and line ends", cursor(b"%00%0D%0AX:%20y"), status(400), "contract", closes=False),
    Entry("cursor with a fragment", cursor(b"0#x"), status(400), "RFC 9112, 3.2", closes=False),
    Entry("cursor beyond the newest", cursor(b"999999"), status(410), "contract", closes=False),
    Entry("two cursors", cursor(b"0&after=1"), status(400), "contract: each once", closes=False),
    Entry("limit 0", request(b"/poll/t0?after=0&limit=0"), status(400), "contract", closes=False),
    Entry("negative limit", request(b"/poll/t0?after=0&limit=-1"), status(400), "contract", closes=False),
    Entry("huge limit is cut", request(b"/poll/t0?after=0&limit=999999999"), status(200), "contract", closes=False),
    Entry("unknown topic", request(b"/poll/nothing?after=0"), status(404), "contract", closes=False),
    Entry("a topic's name with NUL", request(b"/poll/t0%00?after=0"), status(404), "contract", closes=False),
    Entry("junk entity tags", request(b"/poll/t0", b'If-None-Match: """,,W/"'), status(200), "RFC 9110, 13.1.2", closes=False),
    Entry("900 entity tags", request(b"/poll/t0", b"If-None-Match: " + b'"x",' * 900), status(200), "RFC 9110, 13.1.2", closes=False),
    Entry("tags that are no UTF-8", request(b"/poll/t0", b"If-None-Match: \xff\xfe"), status(200), "RFC 9110, 5.5", closes=False),
    Entry("HTTP/1.0 without Host", b"GET /poll/t0?after=0 HTTP/1.0\r\n\r\n", status(200), "RFC 9112, 3.2"),
    Entry("h2c upgrade is ignored", request(b"/poll/t0?after=0", b"Upgrade: h2c", b"Connection: Upgrade"), status(200),
          "RFC 9110, 7.8", closes=False),
    Entry("empty lines before", b"\r\n\r\n" + ASK, status(200), "RFC 9112, 2.2", closes=False),
    Entry("a second request drips", (ASK, *drip(ASK[:20])), status(200, 408), "slowloris", counted="request_timeout"),
    Entry("half a second request", (ASK, 0.2, ASK[:30]), status(200, 408), "RFC 9110, 15.5.9", counted="request_timeout"),
    Entry("idle", ASK, status(200), "RFC 9112, 9.5", counted="idle_timeout"),
    Entry("a body that never comes", request(b"/poll/t0?after=0", b"Content-Length: 9999"), status(200), "RFC 9112, 6.3"),
    Entry("pipelines and does not read", [ASK * 200] * 40, rb"HTTP/1\.1 200 ", "backpressure", reads=False,
          counted="slow_consumer"),
)  # fmt: skip


def test_hostile_clients_of_polling():
    rig.run(TABLE, ["polling"], lambda: rig.Poller(b"/poll/t0?after=%d", 0.1))
