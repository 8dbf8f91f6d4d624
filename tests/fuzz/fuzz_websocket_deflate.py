"""Fuzz permessage-deflate on the server: garbage inflates within its limit, what is deflated comes back."""

import zlib

from fuzzing import expand, instrumented, main, pieces

with instrumented():
    from servers.websocket_deflate import TAIL, Deflater, InflateStream, Settings, negotiate
    from servers.websocket_frames import ProtocolError

WORDS = [
    b"\xf2\x48\xcd\xc9\xc9\x07\x00", b"\xf2\x00\x11\x00\x00", b"\x03\x00", b"\xf3\x48\xcd\xc9\xc9\x07\x00\x00",
    b"\x00\x05\x00\xfa\xffHello", TAIL, b"\x62\x60\x80\x03\x00", b"\xff\xff\xff", b"\xec\xc1\x01\x01\x00\x00\x00\x80",
]  # fmt: skip
SEEDS = [b"\0\1\x80\x81", b"\1\2\x82\x82\x83", b"\7\5\x84\x85\x86", b"\x0f\3\x87\x88"]
NAMES = (
    "server_no_context_takeover", "client_no_context_takeover", "server_max_window_bits", "client_max_window_bits", "x",
)  # fmt: skip
LIMIT = 300


def inflated(data: list[bytes], bits: int, *, reset: bool) -> bytes | None:
    """The message that is cut like this; None when it is refused, or too long."""
    stream, out = InflateStream(bits, no_context_takeover=reset), b""
    try:
        for number, piece in enumerate(data):
            more = stream.inflate(piece, LIMIT - len(out), last=number == len(data) - 1)
            assert len(more) <= LIMIT - len(out) + 1
            out += more
            if len(out) > LIMIT:
                return None
    except ProtocolError:
        return None
    return out


def there_and_back(data: bytes, settings: Settings, offer: list[tuple[str, str | None]]) -> None:
    """An offer that is taken says what both sides do: with just that, every message arrives."""
    agreement = negotiate([("permessage-deflate", offer)], settings)
    if agreement is None:
        return
    assert 9 <= agreement.server_window_bits <= 15
    assert 8 <= agreement.client_window_bits <= 15
    reset = agreement.server_no_context_takeover
    deflater = Deflater(settings, agreement.server_window_bits, no_context_takeover=reset)
    peer = zlib.decompressobj(-agreement.server_window_bits)
    for message in (data, data[1:], b"", data):
        packed = deflater.deflate(message)
        assert packed
        if reset:
            peer = zlib.decompressobj(-agreement.server_window_bits)
        assert peer.decompress(packed + TAIL) == message


def check(data: bytes) -> None:
    """The first byte says which window, the second where to cut, the next how to offer."""
    first = data[0] if data else 0
    wire = expand(data[2:], WORDS)
    cut = pieces(wire, [*data[1:2], 1, 3]) or [b""]
    whole = inflated([wire], 8 + first % 8, reset=first > 127)
    assert inflated(cut, 8 + first % 8, reset=first > 127) == whole
    values: list[str | None] = [None, "8", "9", "12", "15", "16", "08", ""]
    offer = [(NAMES[byte % 5], values[byte // 5 % 8]) for byte in data[2:5]]
    settings = Settings(window_bits=9 + first % 7, no_context_takeover=first > 200, memory_level=1 + first % 9)
    there_and_back(wire[:1000], settings, offer)


if __name__ == "__main__":
    main(check, SEEDS)
