"""Fuzz what reads a refusal: a cursor that the next request can carry, whatever the server said."""

from fuzzing import expand, instrumented, main, spell

with instrumented():
    from loadtests.clients import Address, Progress, Subscriber
    from loadtests.clients.cursor import held, refused

WORDS = [
    b"oldest",
    b"newest",
    b'"oldest": 5',
    b'"newest": 9',
    b":",
    b"=",
    b" ",
    b",",
    b"7",
    b"0",
    b"9" * 18,
    b"9" * 19,
    b"-",
    b"\xff",
]
SEEDS = [
    spell(WORDS, *parts)
    for parts in (
        (b"\5", b'"oldest": 5', b",", b'"newest": 9'),
        (b"\0", b"oldest", b"=", b"0", b" ", b"newest", b"=", b"0"),
        (b"\7", b"oldest", b":", b"9" * 18, b",", b"newest", b":", b"9" * 19),
    )
]
WHO = Subscriber(0, "t0", 0, Address("h", 1))


def check(data: bytes) -> None:
    """The first byte is where we stand."""
    after, text = data[0] if data else 0, expand(data[1:], WORDS).decode(errors="replace")
    moved = held(after, text)
    assert 0 <= moved < 10**18
    assert held(moved, text) == moved  # what it names, it serves
    progress = Progress(after, WHO, WHO)
    assert refused(progress, text, "status 410").prompt is (moved != after)
    assert progress.after == moved


if __name__ == "__main__":
    main(check, SEEDS)
