"""Fuzz the event-stream parser: events or a ProtocolError, the same however they are cut; by the letter of 9.2.6."""

from fuzzing import expand, instrumented, main, pieces, spell

with instrumented():
    from loadtests.clients.sse_parser import EventStream

WORDS = [
    b"data", b"event", b"id", b"retry", b":", b": ", b"\n", b"\r", b"\r\n", b"\n\n", b"\xef\xbb\xbf", b"\0", b"message",
    b"id: 7\ndata: x\n\n", b"id: 8\ndata: {\n\n", b":\n\n", b"data: a\ndata: b\n\n", b"1500",
    b"99999999999999999999", b"-1", b"\xff", b"\xe2\x80\xa8", b"event: other\ndata: y\n\n", b"id\n", b"data\n\n",
]  # fmt: skip
SEVEN, EIGHT = b"id: 7\ndata: x\n\n", b"id: 8\ndata: {\n\n"
SEEDS = [
    spell(WORDS, *parts)
    for parts in (
        (b"\1", SEVEN, EIGHT, SEVEN),
        (b"\2", b"\xef\xbb\xbf", SEVEN, b":\n\n", EIGHT),
        (b"\3", b"data", b": ", b"x", b"\r\n", b"\r", b"\n"),
        (b"\0", b"retry", b": ", b"1500", b"\n\n", b"data: a\ndata: b\n\n"),
        (b"\5", b"event: other\ndata: y\n\n", SEVEN, b"id\n", b"data\n\n"),
    )
]


def read(data: list[bytes]) -> object:
    """The events, and what outlives the stream."""
    stream, events = EventStream(b"3", 1000), []
    for piece in data:
        events += stream.feed(piece)
    return events, stream.comments, stream.last_id, stream.retry_ms


def by_the_letter(data: bytes) -> object:
    """The same, as slow and as plain as 9.2.6 says it."""
    text = data.removeprefix(b"\xef\xbb\xbf").replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    events, kind, values, last_id, pending_id, retry_ms, comments = [], b"", [], b"3", b"3", 1000, 0
    for line in text.split(b"\n")[:-1]:
        name, _, value = line.partition(b":")
        value = value[1:] if value[:1] == b" " else value
        if not line:
            last_id = pending_id
            if values:
                events.append((kind or b"message", b"\n".join(values), last_id))
            kind, values = b"", []
        elif not name:
            comments += 1
        elif name == b"data":
            values.append(value)
        elif name == b"event":
            kind = value
        elif name == b"id" and b"\0" not in value:
            pending_id = value
        elif name == b"retry" and value.isdigit():
            retry_ms = min(int(value), 10**12)
    return events, comments, last_id, retry_ms


def check(data: bytes) -> None:
    """The first byte says where to cut."""
    wire = expand(data[1:], WORDS)
    expected = by_the_letter(wire)
    assert read([wire]) == expected
    assert read(pieces(wire, [*data[:1], 3, 40])) == expected
    assert read(pieces(wire, [1])) == expected


if __name__ == "__main__":
    main(check, SEEDS)
