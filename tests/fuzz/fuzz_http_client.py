"""Fuzz the client's HTTP/1.1: an answer or a ProtocolError, the same however it is cut; a refusal out of any head."""

from fuzzing import expand, instrumented, main, pieces, spell

with instrumented():
    from loadtests.clients import Address, Progress, ProtocolError, Subscriber
    from loadtests.clients.http import Response
    from loadtests.clients.refusal import foreign, refusal

WORDS = [
    b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 ", b"HTTP/1.0 204 \r\n", b"103 Early Hints\r\n\r\n", b"503 Busy\r\n",
    b"302 Found\r\n", b"101 Switching Protocols\r\n", b"Content-Length: ", b"Transfer-Encoding: chunked\r\n", b"\r\n",
    b"\r\n\r\n", b"\n", b"\r", b"3\r\nabc\r\n", b"0\r\n\r\n", b";x=y", b"Connection: close\r\n",
    b"Connection: upgrade\r\n", b"Upgrade: x\r\n", b"Location: /x\r\n", b"Location: http://h:1/?after=2\r\n",
    b"Retry-After: ",
    b"Date: Wed, 21 Oct 2015 07:28:00 GMT\r\n", b"Wed, 21 Oct 2015 07:28:09 GMT\r\n", b"Content-Type: text/html\r\n",
    b"Content-Encoding: gzip\r\n", b"ETag: ", b" folded\r\n", b"5", b"-1", b"99999999999999999999", b"f" * 17,
    b"X: " + b"y" * 30_000 + b"\r\n",
]  # fmt: skip
OK, CHUNKED, END = WORDS[0], WORDS[8], b"\r\n\r\n"
SEEDS = [
    spell(WORDS, *parts)
    for parts in (
        (b"\1", OK, b"Content-Length: ", b"3", END, b"abc"),
        (b"\2", OK, CHUNKED, b"\r\n", b"3\r\nabc\r\n", b"0\r\n\r\n"),
        (b"\3", b"HTTP/1.1 ", b"103 Early Hints\r\n\r\n", OK, b"\r\n", b"abc"),
        (
            b"\0",
            b"HTTP/1.1 ",
            b"503 Busy\r\n",
            b"Retry-After: ",
            b"Wed, 21 Oct 2015 07:28:09 GMT\r\n",
            WORDS[22],
            b"\r\n",
        ),
        (b"\4", b"HTTP/1.1 ", b"302 Found\r\n", b"Location: /x\r\n", b"Content-Length: ", b"0", END),
        (b"\1", OK, WORDS[-1], b"\r\n", b"abc"),
        (b"\1", b"\r\n\r\n", b"\r", OK, b"ETag: ", b"x", b"\r\n", b"Content-Length: ", b"0", END),
        (b"\2", b"HTTP/1.1 ", b"101 Switching Protocols\r\n", b"Connection: upgrade\r\n", b"Upgrade: x\r\n", b"\r\n"),
        (
            b"\5",
            OK,
            b"Content-Type: text/html\r\n",
            b"ETag: ",
            b"x\r\n",
            b" folded\r\n",
            b"Content-Length: ",
            b"0",
            END,
        ),
    )
]
WHO = Subscriber(0, "t0", 0, Address("h", 1), "/poll/t0")


def read(data: list[bytes]) -> object:
    """The answer, whether the end of the connection had to complete it; None for a mistake of the peer's."""
    response, ended = Response(), False
    try:
        for piece in data:
            buffer = bytearray(piece)
            if response.complete:
                if piece.strip(b"\r\n"):
                    return None  # bytes that nobody asked for
                continue
            if response.feed(memoryview(buffer)):
                ended = True
                meant = meaning(response)
            buffer[:] = bytes(len(buffer))
        if not ended:
            if not response.eof():
                return "nothing"
            meant = "by its end"
    except ProtocolError:
        return None
    return response.status, response.body, response.keep_alive, meant


def meaning(response: Response) -> object:
    """What a client makes of it while it may look at the head."""
    progress = Progress(0, WHO, WHO)
    lost = refusal(progress, response.status, response.field, held=True)
    assert lost.retry_ns >= 0
    assert "\n" not in lost.why
    kind = foreign(response.field, "application/json")
    return lost.why, lost.retry_ns, progress.who.path, kind, response.field(b"etag")


def check(data: bytes) -> None:
    """The first byte says where to cut."""
    wire = expand(data[1:], WORDS)
    expected = read([wire])
    assert read(pieces(wire, [*data[:1], 2, 50])) == expected
    if len(wire) < 2000:
        assert read(pieces(wire, [1])) == expected


if __name__ == "__main__":
    main(check, SEEDS)
