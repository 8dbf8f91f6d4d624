"""What an HTTP server has to put up with, whatever it serves: entries for any target that answers GET."""

from tests.servers.hostile.rig import Entry, status

HOST = b"Host: localhost\r\n"


def request(target: bytes, *lines: bytes, method: bytes = b"GET", version: bytes = b"HTTP/1.1") -> bytes:
    """A request with its Host."""
    return b"%b %b %b\r\n" % (method, target, version) + HOST + b"".join(b"%b\r\n" % line for line in lines) + b"\r\n"


def drip(data: bytes, pause_s: float = 0.1) -> tuple[bytes | float, ...]:
    """One byte at a time."""
    return tuple(piece for byte in data for piece in (bytes((byte,)), pause_s))


def entries(target: bytes) -> tuple[Entry, ...]:
    """Entries for ``target``; 200 is its answer when nothing is wrong."""
    get = request(target)
    bad, http = status(400), "malformed_http"
    body = (b"Content-Length: 5", b"Transfer-Encoding: chunked")
    smuggled = b"0\r\n\r\nGET /stats HTTP/1.1\r\nHost: localhost\r\n\r\n"
    return (
        # time
        Entry("silence", b"", status(408), "RFC 9110, 15.5.9", counted="handshake_timeout"),
        Entry("half a head, then silence", get[:-2], status(408), "RFC 9110, 15.5.9", counted="handshake_timeout"),
        Entry("a byte each 0.1 s", drip(get[:20]), status(408), "slowloris", counted="handshake_timeout"),
        Entry("HTTP/0.9", b"GET %b\r\n" % target, status(408), "RFC 9112, 2.3: no such version"),
        # too much
        Entry("long path", request(b"/" + b"a" * 9000), status(414), "RFC 9110, 15.5.15", counted="target_too_long"),
        Entry("long query", request(target + b"&x=" + b"1" * 9000), status(414), "RFC 9110, 15.5.15"),
        Entry("endless path", b"GET /" + b"a" * 3_000_000, status(414), "RFC 9110, 15.5.15"),
        Entry("long field", request(target, b"X: " + b"a" * 9000), status(431), "RFC 6585, 5", counted="header_too_big"),
        Entry("endless field", get[:-2] + b"X: " + b"a" * 3_000_000, status(431), "RFC 6585, 5"),
        Entry("long name", request(target, b"X" * 9000 + b": a"), status(431), "RFC 6585, 5"),
        Entry("many fields", request(target, *[b"X: a"] * 50), status(431), "RFC 6585, 5", counted="too_many_headers"),
        # what is not HTTP
        Entry("every byte", bytes(range(256)), bad, "RFC 9112, 2.2", counted=http),
        Entry("TLS", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", bad, "RFC 9112, 2.2", counted=http),
        Entry("HTTP/2 preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", bad, "RFC 9113, 3.4", counted=http),
        Entry("HTTP/2.0", request(target, version=b"HTTP/2.0"), rb"HTTP/1\.1 (200|426) ", "RFC 9110, 2.5: answered in 1.1", closes=False),
        Entry("HTTP/1.9", request(target, version=b"HTTP/1.9"), status(505), "RFC 9110, 15.6.6", counted=http),
        Entry("bare LF", get.replace(b"\r\n", b"\n"), bad, "RFC 9112, 2.2", counted=http),
        Entry("bare CR", get.replace(b"\r\n", b"\r"), bad, "RFC 9112, 2.2", counted=http),
        Entry("a space in the target", request(target + b" x"), bad, "RFC 9112, 3.2", counted=http),
        # methods
        Entry("unknown method", request(target, method=b"BREW"), status(501), "RFC 9110, 9.1", counted=http),
        Entry("method in lower case", request(target, method=b"get"), status(501), "RFC 9110, 9.1", counted=http),
        Entry("wrong method", request(target, method=b"DELETE"), status(405), "RFC 9110, 15.5.6", closes=False),
        Entry("CONNECT", request(b"localhost:80", method=b"CONNECT"), status(404), "RFC 9110, 9.3.6", closes=False),
        # targets
        Entry("authority form", request(b"localhost:80"), bad, "RFC 9112, 3.2.3", counted=http),
        Entry("another's absolute form", request(b"http://evil.example" + target), status(421), "RFC 9112, 3.2.2", closes=False),
        Entry("traversal", request(b"/poll/../../etc/passwd"), status(404), "RFC 3986, 5.2.4", closes=False),
        Entry("coded traversal", request(b"/%2e%2e/%2e%2e%2fetc/passwd"), status(404), "CWE-22", closes=False),
        Entry("NUL", request(b"/\0"), bad, "RFC 9112, 3.2", counted=http),
        Entry("raw UTF-8", request("/é".encode()), bad, "RFC 3986, 2.1", counted=http),
        Entry("coded bytes that are no UTF-8", request(b"/%FF%FE%00%zz"), status(404), "RFC 3986, 2.1", closes=False),
        # Host
        Entry("no Host", b"GET %b HTTP/1.1\r\n\r\n" % target, bad, "RFC 9112, 3.2", counted=http),
        Entry("two Hosts", request(target, b"Host: localhost"), bad, "RFC 9112, 3.2", counted=http),
        Entry("another Host", get.replace(b"localhost", b"evil.example:80"), status(421), "DNS rebinding", closes=False),
        Entry("no name for a Host", get.replace(b"localhost", b"a b"), status(421), "RFC 9112, 3.2", closes=False),
        # fields
        Entry("folded field", request(target, b"X: a", b" b"), bad, "RFC 9112, 5.2", counted=http),
        Entry("NUL in a field", request(target, b"X: a\0b"), bad, "RFC 9110, 5.5", counted=http),
        Entry("ESC in a field", request(target, b"X: a\x1b[2Jb"), bad, "RFC 9110, 5.5", counted=http),
        Entry("field without a name", request(target, b": a"), bad, "RFC 9112, 5.1", counted=http),
        Entry("space before the colon", request(target, b"X : a"), bad, "RFC 9112, 5.1", counted=http),
        # request smuggling (RFC 9112, section 11.2): one answer, and what hides behind is never served
        Entry("length and chunks", request(target, *body) + smuggled, bad, "RFC 9112, 6.1", counted=http),
        Entry("two lengths", request(target, body[0], b"Content-Length: 6") + b"hello!", bad, "RFC 9112, 6.3", counted=http),
        Entry("signed length", request(target, b"Content-Length: +5") + b"hello", bad, "RFC 9110, 8.6", counted=http),
        Entry("negative length", request(target, b"Content-Length: -5") + b"hello", bad, "RFC 9110, 8.6", counted=http),
        Entry("a length of 30 digits", request(target, b"Content-Length: " + b"9" * 30), bad, "RFC 9110, 8.6", counted=http),
        Entry("chunked is not last", request(target, body[1] + b", x") + smuggled, bad, "RFC 9112, 6.1", counted=http),
        Entry("hidden chunked", request(target, b"Transfer-Encoding: xchunked") + smuggled, bad, "RFC 9112, 6.1", counted=http),
        Entry("chunked with a space", request(target, b"Transfer-Encoding : chunked") + smuggled, bad, "RFC 9112, 5.1", counted=http),
    )  # fmt: skip
