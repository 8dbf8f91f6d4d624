"""Fuzz the server's WebSocket decoder: events or a ProtocolError, the same however it is cut, within bounds."""

from fuzzing import expand, instrumented, main, pieces, spell

with instrumented():
    from servers.websocket_deflate import InflateStream
    from servers.websocket_frames import CLOSE_CODES, Close, Decoder, Message, Ping, Pong, ProtocolError, parse_close

LIMIT = 200  # bytes of a message
ZERO = bytes(4)  # a masking key
WORDS = [
    b"\x81\x85" + ZERO + b"Hello", b"\x01\x81" + ZERO + b"\xce", b"\x80\x81" + ZERO + b"\xba", b"\x00\x80" + ZERO,
    b"\x89\x81" + ZERO + b"?", b"\x8a\x80" + ZERO, b"\x88\x82" + ZERO + b"\x03\xe8", b"\x82\xfe\x00\xc8" + ZERO,
    b"\xc1\x87" + ZERO + b"\xf2\x48\xcd\xc9\xc9\x07\x00", b"\xc1\x85" + ZERO + b"\xf2\x00\x11\x00\x00",
    b"\x41\x83" + ZERO + b"\xf2\x48\xcd", b"\x80\x84" + ZERO + b"\xc9\xc9\x07\x00",
    b"\xc1\x88" + ZERO + b"\xf3\x48\xcd\xc9\xc9\x07\x00\x00", b"\xc1\x82" + ZERO, b"\x03\x00", b"\xc2\x90" + ZERO,
    b"\x82\xff" + bytes(6) + b"\xff\xff", b"\x81\xfe\x00\x7e" + ZERO, b"x" * 100, b"\xff", b"\x81\x84abcd",
]  # fmt: skip
HELLO, PACKED = WORDS[0], WORDS[8]
SEEDS = [
    spell(WORDS, *parts)
    for parts in (
        (b"\0\1", HELLO, b"\x89\x81" + ZERO + b"?", b"\x88\x82" + ZERO + b"\x03\xe8"),
        (b"\0\3", b"\x01\x81" + ZERO + b"\xce", b"\x00\x80" + ZERO, b"\x80\x81" + ZERO + b"\xba"),
        (b"\x01\5", PACKED, b"\xc1\x85" + ZERO + b"\xf2\x00\x11\x00\x00"),
        (b"\x07\1", b"\x41\x83" + ZERO + b"\xf2\x48\xcd", b"\x80\x84" + ZERO + b"\xc9\xc9\x07\x00"),
        (b"\x08\2", b"\xc1\x82" + ZERO, b"\x03\x00", PACKED, HELLO),
        (b"\x02\2", b"\x82\xfe\x00\xc8" + ZERO, b"x" * 100, b"x" * 100),
    )
]


def inflater(number: int) -> InflateStream | None:
    """No extension, or one with each window and each way of keeping it."""
    return InflateStream(8 + number % 8, no_context_takeover=number % 16 > 7) if number else None


def decode(data: list[bytes], extension: int) -> tuple[list[object], int]:
    """The events, and the code of the error that ended them, 0 if none."""
    decoder, events = Decoder(LIMIT, inflater(extension)), []
    try:
        for piece in data:
            for event in decoder.feed(piece):
                events += [event] if event is not None else []
            assert len(decoder._buffer) < 14 + 125
            assert len(decoder._message) <= LIMIT
            assert decoder.pending or not decoder.in_message
    except ProtocolError as error:
        return events, error.code
    return events, 0


def check(data: bytes) -> None:
    """The first byte says what was agreed, the second where to cut."""
    extension, wire = data[0] % 17 if data else 0, expand(data[2:], WORDS)
    events, code = decode([wire], extension)
    assert code in (0, 1002, 1007, 1009)
    assert decode(pieces(wire, [*data[1:2], 1, 3]), extension) == (events, code)
    for event in events:
        assert isinstance(event, Message | Ping | Pong | Close)
        if isinstance(event, Message):
            assert len(event.data) <= LIMIT
            assert not event.text or event.data.decode() is not None
        elif isinstance(event, Close):
            assert event is events[-1]
            assert event.code is None or event.code in CLOSE_CODES
    try:
        parse_close(data[:125])
    except ProtocolError:
        return


if __name__ == "__main__":
    main(check, SEEDS)
