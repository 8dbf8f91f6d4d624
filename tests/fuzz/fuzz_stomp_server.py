"""Fuzz the server's STOMP decoder: frames or a ProtocolError, the same however the bytes are cut, and back again."""

from fuzzing import expand, instrumented, main, pieces

with instrumented():
    from servers.stomp_frames import V10, V11, V12, Decoder, Frame, Limits, ProtocolError, encode

LIMITS = Limits(headers=5, line_bytes=60, body_bytes=100)
WORDS = [
    b"SEND\n", b"CONNECT\n", b"SUBSCRIBE\n", b"ACK\n", b"WRONG\n", b"content-length:", b"receipt:r\n", b"a:b\n",
    b"\n\n",
    b"\r\n", b"\n\0", b"\\c", b"\\n", b"\\r", b"\\t", b"\xff", b"\xc3\xa4", b"0", b"3\n\nabc\0", b"x" * 50,
]  # fmt: skip
SEEDS = [b"\0\1\x80\x86\x88x\x8a", b"\1\3\x80\x85\x92", b"\2\2\x81\x87\x8a\x82\x88\0"]


def decode(data: list[bytes], version: str) -> tuple[list[Frame], str]:
    """The frames, and the error that ended them, if any."""
    decoder, frames = Decoder(LIMITS, version), []
    try:
        for piece in data:
            frames.extend(decoder.feed(piece))
            assert len(decoder._buffer) <= max(map(len, data)) + LIMITS.body_bytes
    except ProtocolError as error:
        return frames, f"{error.message} {error.headers} {error.receipt} {error.reason}"
    return frames, ""


def check(data: bytes) -> None:
    """The first byte says which version, the second where to cut."""
    version = (V10, V11, V12)[data[0] % 3] if data else V12
    wire = expand(data[2:], WORDS)
    frames, error = decode([wire], version)
    assert decode(pieces(wire, [*data[1:2], 1, 3]), version) == (frames, error)
    if frames and version != V10:  # 1.0 cannot say everything
        again = [
            Frame(frame.command, {"content-length": str(len(frame.body))} | frame.headers, frame.body)
            for frame in frames
        ]
        sent = b"".join(encode(frame, version) for frame in again)
        if not error or len(frames) > 1:
            wide = Decoder(Limits(), version)
            assert list(wide.feed(sent)) == again


if __name__ == "__main__":
    main(check, SEEDS)
