"""Fuzz the client's WebSocket frames: messages and perhaps a mistake, the same however the bytes are cut."""

from fuzzing import expand, instrumented, main, pieces, spell

with instrumented():
    from loadtests.clients import ProtocolError
    from loadtests.clients.websocket_frames import (
        BINARY,
        CLOSE,
        PING,
        PONG,
        TEXT,
        Deflate,
        Messages,
        parse_close,
        single,
    )

LIMIT = 200  # bytes of a message
WORDS = [
    b"\x81\x05Hello", b"\x01\x01\xce", b"\x80\x01\xba", b"\x00\x00", b"\x89\x01?", b"\x8a\x00", b"\x88\x02\x03\xe8",
    b"\x82\x7e\x00\xc8", b"\xc1\x07\xf2\x48\xcd\xc9\xc9\x07\x00", b"\xc1\x05\xf2\x00\x11\x00\x00",
    b"\x41\x03\xf2\x48\xcd", b"\x80\x04\xc9\xc9\x07\x00", b"\xc1\x08\xf3\x48\xcd\xc9\xc9\x07\x00\x00",
    b"\xc1\x02\x03\x00", b"\xc2\x10", b"\x82\x7f" + bytes(6) + b"\xff\xff", b"\x81\x7e\x00\x7e", b"x" * 100,
    b"\xff", b"\x81\x84abcd",
]  # fmt: skip
SEEDS = [
    spell(WORDS, *parts)
    for parts in (
        (b"\0\1", WORDS[0], b"\x89\x01?", b"\x88\x02\x03\xe8"),
        (b"\0\3", b"\x01\x01\xce", b"\x00\x00", b"\x80\x01\xba"),
        (b"\1\5", WORDS[8], b"\xc1\x05\xf2\x00\x11\x00\x00"),
        (b"\x0f\1", b"\x41\x03\xf2\x48\xcd", b"\x80\x04\xc9\xc9\x07\x00", WORDS[12], b"\xc1\x02\x03\x00"),
        (b"\2\2", b"\x82\x7e\x00\xc8", b"x" * 100, b"x" * 100, WORDS[0]),
        (b"\0\0", b"\x81\x7e\x00\x7e", b"x" * 100, b"x" * 26),
    )
]


def read(data: list[bytes], number: int) -> tuple[list[tuple[int, bytes]], str]:
    """The messages, and the mistake that ended them, if any."""
    agreed = Deflate(8 + number % 8, no_context_takeover=number % 16 > 7) if number else None
    messages, found = Messages(agreed, LIMIT), []
    for piece in data:
        buffer = bytearray(piece)
        view = memoryview(buffer)
        short = single(view) if messages.idle else None
        took = [(opcode, bytes(payload)) for opcode, payload in messages.feed(view)]
        if short is not None and not messages.broken and len(short) <= LIMIT:
            assert took == [(TEXT, bytes(short))]  # the short cut says what the long way does
        found += took
        assert len(messages._rest) + len(messages._fragments) <= 2 * LIMIT + 14
        buffer[:] = b"\xff" * len(buffer)
    return found, str(messages.broken or "")


def check(data: bytes) -> None:
    """The first byte says what was agreed, the second where to cut."""
    number, wire = data[0] % 17 if data else 0, expand(data[2:], WORDS)
    found, broken = read([wire], number)
    assert read(pieces(wire, [*data[1:2], 1, 3]), number) == (found, broken)
    for opcode, payload in found:
        assert opcode in (TEXT, BINARY, CLOSE, PING, PONG)
        assert len(payload) <= LIMIT
        assert opcode != TEXT or payload.decode() is not None
    try:
        code, reason = parse_close(data[:125])
    except ProtocolError:
        return
    assert code == 1005 or 1000 <= code < 5000
    assert len(reason) < 125


if __name__ == "__main__":
    main(check, SEEDS)
