"""httplint reads every kind of answer the servers give, and finds nothing bad in any."""

import re
import time

import pytest
from httplint import HttpRequestLinter, HttpResponseLinter, levels

from tests.servers.harness import run, serving

HOST = b"Host: localhost\r\n"
KEY = b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
V13 = b"Sec-WebSocket-Version: 13\r\n"


def ask(target: bytes, lines: bytes = b"", method: bytes = b"GET", body: bytes = b"") -> bytes:
    length = b"Content-Length: %d\r\n" % len(body) if method in {b"POST", b"PUT"} else b""
    return b"%b %b HTTP/1.1\r\n" % (method, target) + HOST + lines + length + b"\r\n" + body


# Each kind of answer, and the request that gets it. The server has one event on ``own`` and allows two connections.
ANSWERS = {
    "200 of polling": (200, ask(b"/poll/own?after=0")),
    "200 of the latest state": (200, ask(b"/poll/own")),
    "304": (304, ask(b"/poll/own", b'If-None-Match: "1"\r\n')),
    "204 of polling": (204, ask(b"/poll/own?after=1")),
    "204 of the latest state": (204, ask(b"/poll/t0")),
    "200 of long polling": (200, ask(b"/long-poll/own?after=0")),
    "204 of a hold": (204, ask(b"/long-poll/own?after=1&hold=0.01")),
    "204 of a preference": (204, ask(b"/long-poll/own?after=1", b"Prefer: wait=0\r\n")),
    "200 of SSE": (200, ask(b"/sse/own?after=0")),
    "200 of SSE for HTTP/1.0": (200, b"GET /sse/own?after=0 HTTP/1.0\r\n\r\n"),
    "200 for HTTP/1.0, kept": (200, b"GET /poll/own HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"),
    "200, closed": (200, ask(b"/poll/own", b"Connection: close\r\n")),
    "101 of WebSocket": (101, ask(b"/ws/own", KEY + V13)),
    "101 with an extension": (101, ask(b"/ws/own", KEY + V13 + b"Sec-WebSocket-Extensions: permessage-deflate\r\n")),
    "101 of STOMP": (101, ask(b"/stomp", KEY + V13 + b"Sec-WebSocket-Protocol: v12.stomp\r\n")),
    "health": (200, ask(b"/health")),
    "clock": (200, ask(b"/clock")),
    "stats": (200, ask(b"/stats")),
    "HEAD of polling": (200, ask(b"/poll/own", method=b"HEAD")),
    "HEAD of health": (200, ask(b"/health", method=b"HEAD")),
    "HEAD of SSE": (200, ask(b"/sse/own", method=b"HEAD")),
    "202": (202, ask(b"/publish/own", method=b"POST", body=b"x")),
    "200 of the feed": (200, ask(b"/feed", method=b"PUT", body=b'{"epoch_ns": 4611686018427387904}')),
    "400": (400, ask(b"/poll/own?after=x")),
    "400 of what is not HTTP": (400, b"nonsense\r\n\r\n"),
    "400 of a handshake": (400, ask(b"/ws/own", b"Upgrade: websocket\r\nConnection: Upgrade\r\n" + V13)),
    "401": (401, ask(b"/poll/own")),
    "401 of a wrong token": (401, ask(b"/poll/own", b"Authorization: Bearer wrong\r\n")),
    "403": (403, ask(b"/publish/own", b"Origin: http://evil.example\r\n", b"POST", b"x")),
    "404": (404, ask(b"/nothing")),
    "404 of a topic": (404, ask(b"/poll/nothing")),
    "405": (405, ask(b"/poll/own", method=b"DELETE")),
    "408": (408, ask(b"/poll/own")[:-2]),
    "408 of a body": (408, ask(b"/publish/own", method=b"POST", body=b"xx")[:-1]),
    "409": (409, ask(b"/publish/t0", method=b"POST", body=b"x")),
    "410": (410, ask(b"/poll/own?after=9")),
    "413": (413, ask(b"/publish/own", method=b"POST", body=b"x" * 100)),
    "414": (414, ask(b"/" + b"x" * 300)),
    "415": (415, ask(b"/publish/own", b"Content-Encoding: gzip\r\n", b"POST", b"x")),
    "417": (417, ask(b"/publish/own", b"Expect: tea\r\n", b"POST", b"x")),
    "421": (421, ask(b"/poll/own").replace(b"localhost", b"evil.example")),
    "426": (426, ask(b"/ws/own", KEY + b"Sec-WebSocket-Version: 8\r\n")),
    "429": (429, ask(b"/publish/other", method=b"POST", body=b"x")),
    "431": (431, ask(b"/poll/own", b"X: " + b"x" * 300 + b"\r\n")),
    "501": (501, ask(b"/poll/own", method=b"BREW")),
    "503": (503, b""),
    "505": (505, ask(b"/poll/own").replace(b"HTTP/1.1", b"HTTP/1.9")),
}  # fmt: skip

ARGV = (
    *("all", "--published-topics", "1", "--header-bytes", "256", "--publish-bytes", "64"),
    *("--handshake", "0.3", "--request", "0.3", "--connections", "2"),
)


MEANT = "STATUS_"  # notes that say what the status says: the request was bad, as it was meant to be
# RFC 9110, section 15.5.16: a 415 for a content coding ought to say by Accept-Encoding which it takes
ALLOWED = {(415, 'REQUEST_HDR_IN_RESPONSE: "Accept-Encoding" isn\'t valid in a response.')}


async def exchange(monkeypatch, sent: bytes, argv: tuple[str, ...], most: bool) -> bytes:
    """What a server answers to some bytes; ``most`` takes all its connections first."""
    async with serving(monkeypatch, *argv) as server:
        server.publish(1)
        if most:
            for _ in range(2):
                await (await server.client()).get("/health")
        client = await server.client()
        client.writer.write(sent)
        data = b""
        while not whole(data, sent.startswith(b"HEAD")) and (piece := await client.reader.read(65536)):
            data += piece
        return data


def whole(data: bytes, head: bool) -> bool:
    """Whether a final answer, or the beginning of one without an end, is there."""
    top, end, body = data.partition(b"\r\n\r\n")
    if not end:
        return False
    length = re.search(rb"Content-Length: (\d+)", top)
    stream = b"event-stream" in top
    return head or (b"id: 1" in body if stream else len(body) >= (int(length[1]) if length else 0))


def fields(head: list[bytes]) -> list[tuple[bytes, bytes]]:
    return [(name, value.strip()) for name, _, value in (line.partition(b":") for line in head)]


def unchunked(body: bytes) -> bytes:
    return b"".join(re.findall(rb"[0-9a-f]+\r\n(.*?)\r\n", body, re.DOTALL))


def notes(sent: bytes, data: bytes) -> tuple[int, list[str]]:
    """The status, and what httplint finds bad or doubtful."""
    request = None
    top, *head = sent.partition(b"\r\n\r\n")[0].split(b"\r\n")
    if len(words := top.split()) == 3:
        request = HttpRequestLinter(start_time=time.time())
        host = dict(fields(head)).get(b"Host", b"localhost")
        request.process_request_topline(words[0], b"http://" + host + words[1], words[2])
        request.process_headers(fields(head))
        request.finish_content(complete=True)
    top, *head = data.partition(b"\r\n\r\n")[0].split(b"\r\n")
    body = data.partition(b"\r\n\r\n")[2]
    response = HttpResponseLinter(start_time=time.time(), _related=request, no_content=sent.startswith(b"HEAD"))
    response.is_head_response = sent.startswith(b"HEAD")
    version, status, phrase = top.split(b" ", 2)
    response.process_response_topline(version, status, phrase)
    response.process_headers(fields(head))
    if status != b"101":
        response.feed_content(unchunked(body) if b"chunked" in data.partition(b"\r\n\r\n")[0] else body)
    response.finish_content(complete=True)
    found = [note for note in response.notes if note.level in {levels.BAD, levels.WARN}]
    words = [f"{type(note).__name__}: {note.summary}" for note in found]
    return int(status), [word for word in words if not word.startswith(MEANT) and (int(status), word) not in ALLOWED]


@pytest.mark.parametrize("name", ANSWERS)
def test_httplint_finds_nothing_bad_in(monkeypatch, tmp_path, name):
    status, sent = ANSWERS[name]
    token = tmp_path / "token"
    token.write_text("secret")
    argv = (*ARGV, "--token-file", str(token)) if status == 401 else ARGV
    received = []

    async def test():
        received.append(await exchange(monkeypatch, sent, argv, most=status == 503))

    run(test)
    assert notes(sent, received[0]) == (status, [])


@pytest.mark.parametrize(
    ("answer", "finds"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx", "CL_INCORRECT"),
        (b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n", "DATE"),
        (b"HTTP/1.1 200 OK\r\nCache-Control: max-age=x\r\nContent-Length: 0\r\n\r\n", "CC"),
    ],
)
def test_httplint_would_find_something(answer, finds):
    _, found = notes(ask(b"/x"), answer)
    assert any(finds in word for word in found), found
