"""Fuzz the client's STOMP parser: frames or a ProtocolError, on the lean path as on the general one, cut or not."""

from fuzzing import expand, instrumented, main, pieces

with instrumented():
    from loadtests.clients import ProtocolError
    from loadtests.clients.stomp_frames import Frames

USUAL = b"MESSAGE\nsubscription:0\nmessage-id:t0-1\ndestination:/topic/t0\ncontent-length:3\n\nabc\0"
WORDS = [
    USUAL, b"MESSAGE\n", b"subscription:0\n", b"message-id:t0-2\n", b"destination:/topic/t0\n", b"content-length:3\n",
    b"\nabc\0", b"\na\0b\0", b"RECEIPT\nreceipt-id:", b"ERROR\n", b"CONNECTED\n", b"version:1.2\n", b"\n\0", b"\r\n",
    b"\\c",
    b"\\n", b"\\r", b"\\", b"\xff", b"\xc3\xa4", b"a:b\n", b"7", b"MESSAGE\nsubscription:0\nmessage-id:",
    b"\ndestination:/topic/t0\ncontent-length:3\n\n", b"x" * 100,
]  # fmt: skip
SEEDS = [
    b"\0\5\x80\x80\x96t0-3\x97abc\0",
    b"\1\1\x80\x81\x82\x83\x84\x86",
    b"\2\3\x88a\x8e\n\n\0\x80\n\x80",
    b"\3\2\x8a\x8b\x8c\x80",
]


def read(data: list[bytes], version: bytes, *, lean: bool) -> object:
    """What comes of it: commands and bodies, and the beats; or the complaint."""
    frames = Frames("/topic/t0", lean=lean)
    out = []
    try:
        if version:
            frames.feed(b"CONNECTED\nversion:" + version + b"\n\n\0")
        for piece in data:
            buffer = bytearray(piece)
            out += [(command, bytes(body)) for command, _, body in frames.feed(memoryview(buffer))]
            buffer[:] = bytes(len(buffer))  # what is kept must have been copied
    except ProtocolError as error:
        return str(error)
    return out, frames.beats


def check(data: bytes) -> None:
    """The first byte says which version (none: before CONNECTED), the second where to cut."""
    version = (b"1.0", b"1.1", b"1.2", b"")[data[0] % 4] if data else b"1.2"
    wire = expand(data[2:], WORDS)
    cut = pieces(wire, [*data[1:2], 1, 60])
    expected = read([wire], version, lean=False)
    assert read([wire], version, lean=True) == expected
    assert read(cut, version, lean=False) == expected
    assert read(cut, version, lean=True) == expected


if __name__ == "__main__":
    main(check, SEEDS)
