"""What an HTTP server can do wrong, whatever it is asked for: entries that the three tables over HTTP share."""

from tests.loadtests.hostile.rig import Entry

OK = b"HTTP/1.1 200 OK\r\n"
NO_HTTP = "protocol error: no HTTP/1.1 response"
TOO_LATE = r"timeout after 1(\.1)? s"
CUT = "ended within a response|ended by the peer"
GONE = "ended by the peer|reset by peer|ECONNRESET"


def common(kind: bytes) -> tuple[Entry, ...]:
    """Return the entries, with the content type that a 200 should have."""
    ok = OK + b"Content-Type: " + kind + b"\r\n"
    chunked = ok + b"Transfer-Encoding: chunked\r\n\r\n"
    big = b"X: " + b"y" * 1000 + b"\r\n"
    return (
        Entry("huge head", ok + big * 200 + b"\r\n", "head of over 64 KiB"),
        Entry("huge field", ok + b"X: " + b"y" * 200_000 + b"\r\n\r\n", "head of over 64 KiB"),
        Entry("endless head", (ok, big), "head of over 64 KiB", "endless"),
        Entry("endless field", (ok + b"X: ", b"y" * 9999), "head of over 64 KiB", "endless"),
        Entry("endless interim answers",
          (b"HTTP/1.1 103 Early Hints\r\nX: y\r\n\r\n" * 30,), "head of over", "endless"),
        Entry("head without end", ok + b"X: y\r\n", TOO_LATE),
        Entry("nothing at all", b"", TOO_LATE),
        Entry("end instead of an answer", b"", "ended by the peer", "end"),
        Entry("reset instead of an answer", b"", GONE, "reset"),
        Entry("end within the head", ok[:25], CUT, "end"),
        Entry("reset within the head", ok[:25], GONE, "reset"),
        Entry("length too long", ok + b"Content-Length: 100\r\n\r\n[1]", CUT, "end"),
        Entry("reset within the body", ok + b"Content-Length: 100\r\n\r\n[1]", GONE, "reset"),
        Entry("length too short",
          ok + b"Content-Length: 3\r\n\r\n[1]" + b"x" * 20, "bytes behind the response|" + NO_HTTP),
        Entry("negative length", ok + b"Content-Length: -1\r\n\r\n", NO_HTTP),
        Entry("length beyond 64 bits", ok + b"Content-Length: 99999999999999999999\r\n\r\n", NO_HTTP),
        Entry("two lengths", ok + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\n[1]", NO_HTTP),
        Entry("length and chunks", ok + b"Content-Length: 3\r\n" + chunked[len(ok) :] + b"3\r\n[1]\r\n", NO_HTTP),
        Entry("negative chunk size", chunked + b"-1\r\nx\r\n", NO_HTTP),
        Entry("chunk size beyond 64 bits", chunked + b"fffffffffffffffff\r\nx\r\n", NO_HTTP),
        Entry("chunk size in words", chunked + b"three\r\n[1]\r\n", NO_HTTP),
        Entry("chunk without its line end", chunked + b"1\r\nab\r\n", NO_HTTP),
        Entry("chunks cut short", chunked + b"ff\r\nab", CUT, "end"),
        Entry("unasked 101",
          b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", "status 101"),
        Entry("status in words", b"HTTP/1.1 two OK\r\n\r\n", NO_HTTP),
        Entry("status of one digit", b"HTTP/1.1 2\r\n\r\n", NO_HTTP + "|ended|status 2|timeout"),
        Entry("NUL in a field", ok + b"X: a\0b\r\n\r\n", NO_HTTP),
        Entry("CR in a field", ok + b"X: a\rb\r\n\r\n", NO_HTTP),
        Entry("lines without CR", b"HTTP/1.1 200 OK\nContent-Length: 0\n\n", NO_HTTP),
        Entry("another protocol", b"SSH-2.0-OpenSSH_9.6\r\n", NO_HTTP),
        Entry("TLS", b"\x15\x03\x01\x00\x02\x02\x46", NO_HTTP),
        Entry("HTTP/2", b"\0\0\x12\4\0\0\0\0\0\0\3\0\0\0\x64", NO_HTTP),
        Entry("HTTP/0.9", b"<html>hello</html>", NO_HTTP),
        Entry("a 204 with a body", b"HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\nok", NO_HTTP),
        Entry("a portal's page",
          OK + b"Content-Type: text/html\r\nContent-Length: 6\r\n\r\n<html>", "content-type 'text/html'"),
        Entry("compressed",
          ok + b"Content-Encoding: gzip\r\nContent-Length: 3\r\n\r\n\x1f\x8b\x08", "content-encoding 'gzip'"),
        Entry("redirected in a circle",
          b"HTTP/1.1 302 Found\r\nLocation: ?\r\nContent-Length: 0\r\n\r\n", "in a circle"),
        Entry("redirected nowhere", b"HTTP/1.1 301 Moved\r\nContent-Length: 0\r\n\r\n", "expected the address"),
        Entry("unauthorized", b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n", "status 401"),
        Entry("a proxy wants to be asked", b"HTTP/1.1 407 Proxy\r\nContent-Length: 0\r\n\r\n", "status 407"),
        Entry("too many", b"HTTP/1.1 429 Slow\r\nRetry-After: 0\r\nContent-Length: 0\r\n\r\n", "status 429"),
        Entry("a nonsensical Retry-After", b"HTTP/1.1 503 No\r\nRetry-After: \xff\r\nContent-Length: 0\r\n\r\n", "503"),
        Entry("a status nobody knows", b"HTTP/1.1 799 What\r\nContent-Length: 0\r\n\r\n", "status 799"),
        Entry("an endless refusal",
          (b"HTTP/1.1 500 No\r\n\r\n", b"x" * 65536), "response of over 64 MiB", "endless"),
        Entry("gone, with endless digits", (
            b"HTTP/1.1 410 Gone\r\nContent-Length: 90018\r\n\r\noldest 1, newest: " + b"9" * 90_000,), "status 410"),
    )  # fmt: skip
