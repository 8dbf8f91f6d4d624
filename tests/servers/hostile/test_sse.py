"""Hostile clients of Server-Sent Events."""

from tests.servers.hostile import http, rig
from tests.servers.hostile.http import request
from tests.servers.hostile.rig import Entry, status

STREAM = rb"HTTP/1\.1 200 .*retry: 1000\n\n"


def resume(value: bytes, target: bytes = b"/sse/t0") -> bytes:
    return request(target, b"Last-Event-ID: " + value)


TABLE = (
    *http.entries(b"/sse/t0?after=0"),
    Entry("negative cursor", request(b"/sse/t0?after=-1"), status(400), "contract", closes=False),
    Entry("float cursor", request(b"/sse/t0?after=1.5"), status(400), "contract", closes=False),
    Entry("Arabic digits", request(b"/sse/t0?after=%D9%A3"), status(400), "contract", closes=False),
    Entry("cursor beyond the newest", request(b"/sse/t0?after=999999"), status(410), "contract", closes=False),
    Entry("two cursors", request(b"/sse/t0?after=0&after=1"), status(400), "contract: each once", closes=False),
    Entry("empty Last-Event-ID", resume(b""), status(400), "contract", closes=False),
    Entry("negative Last-Event-ID", resume(b"-1"), status(400), "contract", closes=False),
    Entry("huge Last-Event-ID", resume(b"9" * 300), status(400), "contract", closes=False),
    Entry("Last-Event-ID is text", resume(b"abc"), status(400), "contract", closes=False),
    Entry("Last-Event-ID is no UTF-8", resume(b"\xff\xfe"), status(400), "contract", closes=False),
    Entry("Last-Event-ID in UTF-8", resume("٣".encode()), status(400), "contract", closes=False),
    Entry("Last-Event-ID is a list", resume(b"1, 2"), status(400), "contract", closes=False),
    Entry("two Last-Event-IDs", request(b"/sse/t0", b"Last-Event-ID: 1", b"Last-Event-ID: 2"), status(400),
          "RFC 9110, 5.2", closes=False),
    Entry("Last-Event-ID beyond the newest", resume(b"999999"), status(410), "contract", closes=False),
    Entry("Last-Event-ID overrides a bad address", resume(b"0", b"/sse/t0?after=-1"), STREAM, "contract", closes=False),
    Entry("another's Accept", request(b"/sse/t0", b"Accept: image/png"), STREAM, "RFC 9110, 12.5.1", closes=False),
    Entry("unknown topic", request(b"/sse/nothing"), status(404), "contract", closes=False),
    Entry("no topic", request(b"/sse/"), status(404), "contract", closes=False),
    Entry("two topics", request(b"/sse/t0/t1"), status(404), "contract", closes=False),
    Entry("POST", request(b"/sse/t0", method=b"POST"), status(405), "RFC 9110, 15.5.6", closes=False),
    Entry("HEAD has no stream", request(b"/sse/t0", method=b"HEAD"), rb"HTTP/1\.1 200 (?!.*retry)", "RFC 9110, 9.3.2",
          closes=False),
    Entry("HTTP/1.0 has no chunks", b"GET /sse/t0 HTTP/1.0\r\n\r\n", rb"HTTP/1\.1 200 (?!.*chunked).*\n\nid: \d+\n",
          "RFC 9112, 7.1", closes=False),
    Entry("a second request behind a stream", request(b"/sse/t0") * 2, STREAM + rb"(?!.*HTTP/1)", "one stream is all",
          closes=False),
    Entry("garbage behind a stream", (request(b"/sse/t0"), 0.2, b"\0" * 50), STREAM, "one stream is all", closes=False),
    Entry("a body that never comes", request(b"/sse/t0", b"Content-Length: 9999"), STREAM, "RFC 9112, 6.3", closes=False),
    Entry("a flood behind a stream", (request(b"/sse/t0"), 0.2, *[b"x" * 100_000] * 20), STREAM, "nobody reads it", closes=False),
)  # fmt: skip


def test_hostile_clients_of_sse():
    rig.run(TABLE, ["sse"], lambda: rig.Listener(request(b"/sse/t0?after=0")))
