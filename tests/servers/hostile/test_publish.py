"""Hostile clients of what changes something: POST /publish and PUT /feed."""

import json
import time

from tests.servers.hostile import http, rig
from tests.servers.hostile.http import drip, request
from tests.servers.hostile.rig import Entry, status


def post(body: bytes, *lines: bytes, target: bytes = b"/publish/own") -> bytes:
    return request(target, b"Content-Length: %d" % len(body), *lines, method=b"POST") + body


def chunks(body: bytes, *lines: bytes) -> bytes:
    return request(b"/publish/own", b"Transfer-Encoding: chunked", *lines, method=b"POST") + body


def put(wish: object) -> bytes:
    body = wish if isinstance(wish, bytes) else json.dumps(wish).encode()
    return request(b"/feed", b"Content-Length: %d" % len(body), method=b"PUT") + body


HALF = request(b"/publish/own", b"Content-Length: 100", method=b"POST") + b"half"

TABLE = (
    *http.entries(b"/poll/t0?after=0"),
    # bodies
    Entry("body too big, said so", post(b"x" * 1025), status(413), "RFC 9110, 15.5.14", counted="body_too_big"),
    Entry("body of a gigabyte, said so", request(b"/publish/own", b"Content-Length: 1000000000", method=b"POST") +
          b"x" * 3_000_000, status(413), "RFC 9110, 15.5.14", counted="body_too_big"),
    Entry("body too big, in chunks", chunks(b"200\r\n%b\r\n" % (b"x" * 512) * 3 + b"0\r\n\r\n"), status(413),
          "RFC 9110, 15.5.14", counted="body_too_big"),
    Entry("one endless chunk", chunks(b"FFFFFFFF\r\n" + b"x" * 3_000_000), status(413), "RFC 9110, 15.5.14"),
    Entry("asks before it sends too much", request(b"/publish/own", b"Content-Length: 5000", b"Expect: 100-continue",
          method=b"POST"), status(413), "RFC 9110, 10.1.1", counted="body_too_big"),
    Entry("expects what nobody has", post(b"x", b"Expect: tea"), status(417), "RFC 9110, 10.1.1"),
    Entry("half a body, then silence", HALF, status(408), "RFC 9110, 15.5.9", counted="request_timeout"),
    Entry("a body drips", (HALF, *drip(b"x" * 20)), status(408), "slowloris", counted="request_timeout"),
    Entry("100 Continue, then silence", request(b"/publish/own", b"Content-Length: 9", b"Expect: 100-continue",
          method=b"POST"), status(100, 408), "RFC 9110, 10.1.1", counted="request_timeout"),
    Entry("half a chunk, then silence", chunks(b"5\r\nab"), status(408), "RFC 9110, 15.5.9", counted="request_timeout"),
    Entry("chunk size is no number", (chunks(b""), 0.2, b"zz\r\nhello\r\n0\r\n\r\n"), status(400), "RFC 9112, 7.1",
          counted="malformed_http"),
    Entry("negative chunk size", (chunks(b""), 0.2, b"-5\r\nhello\r\n0\r\n\r\n"), status(400), "RFC 9112, 7.1"),
    Entry("chunk size of 30 digits", (chunks(b""), 0.2, b"F" * 30 + b"\r\nhello"), status(400), "RFC 9112, 7.1"),
    Entry("chunk longer than it says", chunks(b"2\r\nhello\r\n0\r\n\r\n"), status(400), "RFC 9112, 7.1"),
    Entry("endless chunk extension", (chunks(b""), 0.2, b"5;" + b"x" * 3_000_000), rb"HTTP/1\.1 4\d\d ", "RFC 9112, 7.1.1"),
    Entry("endless trailer", (chunks(b"5\r\nhello\r\n0\r\n"), b"X: " + b"x" * 3_000_000), rb"HTTP/1\.1 4\d\d ", "RFC 9112, 7.1.2"),
    Entry("a coding we do not undo", post(b"x", b"Content-Encoding: gzip"), status(415), "RFC 9110, 15.5.16"),
    Entry("a body that is no UTF-8", post(b"\xff\xfe"), status(400), "contract", closes=False),
    Entry("a body that is half a character", post("é".encode()[:1]), status(400), "contract", closes=False),
    Entry("no body", post(b""), status(202), "RFC 9110, 9.3.3", closes=False),
    Entry("NULs and line ends are data", post(b"\0\r\n\r\nGET / HTTP/1.1\r\n\r\n"), status(202), "contract", closes=False),
    # topics
    Entry("publishes to the schedule's topic", post(b"x", target=b"/publish/t0"), status(409), "contract", closes=False),
    Entry("a topic with a line end", post(b"x", target=b"/publish/a%0D%0Ab"), status(400), "contract", closes=False),
    Entry("a topic with NUL", post(b"x", target=b"/publish/%00"), status(400), "contract", closes=False),
    Entry("a topic that is no ASCII", post(b"x", target=b"/publish/%C3%A9"), status(400), "contract", closes=False),
    Entry("a topic of 65 letters", post(b"x", target=b"/publish/" + b"a" * 65), status(400), "contract", closes=False),
    Entry("no topic", post(b"x", target=b"/publish/"), status(404), "contract", closes=False),
    Entry("a topic too many", (1.0, *(post(b"x", target=b"/publish/own%d" % number) for number in (1, 2))),
          rb"HTTP/1\.1 202 .*HTTP/1\.1 429 .*Retry-After: 60", "RFC 6585, 4", closes=False),
    # other people's pages
    Entry("another's page publishes", post(b"x", b"Origin: http://evil.example"), status(403), "CSRF", closes=False,
          counted="bad_origin"),
    Entry("a page without an origin", post(b"x", b"Origin: null"), status(403), "RFC 6454, 7.3", closes=False),
    Entry("ours is one of two origins", post(b"x", b"Origin: http://localhost", b"Origin: http://evil.example"),
          status(403), "RFC 6454, 7.3", closes=False),
    Entry("a preflight", request(b"/publish/own", b"Origin: http://evil.example", method=b"OPTIONS"), status(405),
          "Fetch: no CORS", closes=False),
    # the feed
    Entry("moves the feed", put({"epoch_ns": 1 << 62}), status(409), "contract", closes=False),
    Entry("an epoch of text", put({"epoch_ns": "1"}), status(400), "contract", closes=False),
    Entry("an epoch beyond 63 bits", put({"epoch_ns": 1 << 63}), status(400), "contract", closes=False),
    Entry("an epoch of a thousand digits", put(b'{"epoch_ns": %b}' % (b"9" * 1000)), status(400), "contract", closes=False),
    Entry("an epoch of four thousand digits", put(b'{"epoch_ns": %b}' % (b"9" * 4060)), status(400), "CVE-2020-10735", closes=False),
    Entry("nested by the thousand", put(b"[" * 4000), status(400), "contract", closes=False),
    Entry("NaN", put(b'{"epoch_ns": NaN}'), status(400), "RFC 8259", closes=False),
    Entry("no JSON", put(b"\xff"), status(400), "contract", closes=False),
    Entry("a wish too long", put(b" " * 5000), status(413), "RFC 9110, 15.5.14"),
    Entry("another's page moves the feed", request(b"/feed", b"Origin: http://evil.example", method=b"PUT"), status(403),
          "CSRF", closes=False),
)  # fmt: skip


def test_hostile_clients_that_change_something():
    started = ["--control", "--published-topics", "2", "--epoch-ns", str(time.monotonic_ns())]
    stats = rig.run(TABLE, ["polling", *started], lambda: rig.Poller(b"/poll/t0?after=%d", 0.1))
    assert set(stats["published"]) == {"t0", "own", "own1"}
