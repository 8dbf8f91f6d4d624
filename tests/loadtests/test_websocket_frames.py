"""Vectors of RFC 6455 and RFC 7692 in both directions, whole, byte by byte and in random pieces."""

from __future__ import annotations

import itertools
import random
import struct
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtests.clients import ProtocolError
from loadtests.clients.websocket_frames import (
    BINARY,
    CLOSE,
    PING,
    PONG,
    TEXT,
    Deflate,
    FrameError,
    Messages,
    encode,
    masking_keys,
    parse_close,
)

DEFLATE = Deflate()

# (bytes, meaning, clause)
VECTORS = [
    (b"\x81\x05Hello", [(TEXT, b"Hello")], "5.7: single-frame unmasked text message"),
    (b"\x01\x03Hel\x80\x02lo", [(TEXT, b"Hello")], "5.7: fragmented unmasked text message"),
    (b"\x01\x03Hel\x89\x02hi\x80\x02lo", [(PING, b"hi"), (TEXT, b"Hello")], "5.5: control frames amid fragments"),
    (b"\x89\x05Hello", [(PING, b"Hello")], "5.7: unmasked ping"),
    (b"\x8a\x05Hello", [(PONG, b"Hello")], "5.5.3: pong"),
    (b"\x82\x7e\x01\x00" + bytes(256), [(BINARY, bytes(256))], "5.7: 256 bytes binary message"),
    (b"\x82\x7f" + struct.pack("!Q", 65536) + bytes(65536), [(BINARY, bytes(65536))], "5.7: 64 KiB binary message"),
    (b"\x81\x7e\x00\x7e" + b"a" * 126, [(TEXT, b"a" * 126)], "5.2: the shortest 16-bit length"),
    (b"\x81\x7d" + b"a" * 125, [(TEXT, b"a" * 125)], "5.2: the longest 7-bit length"),
    (b"\x81\x00", [(TEXT, b"")], "5.6: empty text"),
    (b"\x01\x00\x00\x00\x80\x00", [(TEXT, b"")], "5.4: empty fragments"),
    (b"\x01\x01\xc3\x80\x01\xa4", [(TEXT, "ä".encode())], "5.6: a fragment may end inside a character"),
    (b"\x88\x02\x03\xe8", [(CLOSE, b"\x03\xe8")], "5.5.1: close"),
    (b"\x88\x00\x81\x01a\x88\x00\xff\xff", [(CLOSE, b"")], "1.4: whatever follows a close means nothing"),
    (
        b"\x81\x01a\x81\x01b\x89\x00\x81\x01c",
        [(TEXT, b"a"), (TEXT, b"b"), (PING, b""), (TEXT, b"c")],
        "5: a row of them",
    ),
]

DEFLATED = [
    (b"\xc1\x07\xf2\x48\xcd\xc9\xc9\x07\x00", [(TEXT, b"Hello")], "7.2.3.1: one compressed frame"),
    (b"\x41\x03\xf2\x48\xcd\x80\x04\xc9\xc9\x07\x00", [(TEXT, b"Hello")], "7.2.3.1: compressed, fragmented"),
    (
        b"\xc1\x07\xf2\x48\xcd\xc9\xc9\x07\x00\xc1\x05\xf2\x00\x11\x00\x00",
        [(TEXT, b"Hello"), (TEXT, b"Hello")],
        "7.2.3.2: sharing the window",
    ),
    (b"\xc1\x0b\x00\x05\x00\xfa\xffHello\x00", [(TEXT, b"Hello")], "7.2.3.3: a block without compression"),
    (b"\xc1\x0d\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00", [(TEXT, b"Hello")], "7.2.3.5: two blocks"),
    (b"\xc1\x01\x00", [(TEXT, b"")], "7.2.3.6: an empty message"),
    (
        b"\xc1\x08\xf3\x48\xcd\xc9\xc9\x07\x00\x00\xc1\x05\xf2\x00\x11\x00\x00",
        [(TEXT, b"Hello"), (TEXT, b"Hello")],
        "7.2.3.4: a final block ends neither the message nor the window",
    ),
    (b"\x81\x05Hello", [(TEXT, b"Hello")], "6: an uncompressed message in between"),
]

MISTAKES = [
    (b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58", "masked"),
    (b"\xc1\x05Hello", "reserved bits 0x40"),
    (b"\xa1\x05Hello", "reserved bits 0x20"),
    (b"\x91\x05Hello", "reserved bits 0x10"),
    *((bytes((0x80 | opcode, 0)), f"reserved opcode 0x{opcode:x}") for opcode in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15)),
    (b"\x09\x00", "fragmented ping"),
    (b"\x89\x7e\x00\x7e" + bytes(126), "over 125 bytes"),
    (b"\x81\x7e\x00\x7d" + b"a" * 125, "length 125 in 2 bytes"),
    (b"\x81\x7f" + struct.pack("!Q", 65535), "length 65535 in 8 bytes"),
    (b"\x81\x7f" + struct.pack("!Q", 1 << 63), "most significant bit"),
    (b"\x80\x05Hello", "without a message to continue"),
    (b"\x01\x03Hel\x81\x02lo", "inside a fragmented text message"),
    (b"\x81\x02\xc3\x28", "invalid continuation byte at 0"),
    (b"\x81\x01\xc3", "unexpected end of data"),
    (b"\x01\x01\xc3\x80\x01(", "invalid continuation byte"),
    (b"\x81\x7f" + struct.pack("!Q", 2**24 + 1), "16777217 bytes, expected at most 16777216"),
]


def pieces(data: bytes, rng: random.Random) -> list[bytes]:
    cuts = sorted(rng.sample(range(len(data) + 1), min(5, len(data))))
    return [data[a:b] for a, b in itertools.pairwise((0, *cuts, len(data)))]


def read(data, messages: Messages) -> list[tuple[int, bytes]]:
    """Feed pieces one after another through the same buffer, which the next piece overwrites; raise what broke it."""
    buffer = bytearray(max(map(len, data), default=0))
    out = []
    for piece in data:
        buffer[: len(piece)] = piece
        out += [(opcode, bytes(payload)) for opcode, payload in messages.feed(memoryview(buffer)[: len(piece)])]
        buffer[:] = b"\xff" * len(buffer)
    if messages.broken:
        raise messages.broken
    return out


CUTS = {
    "whole": lambda data: [data],
    "bytes": lambda data: [data[i : i + 1] for i in range(len(data))],
    "pieces": lambda data: pieces(data, random.Random(len(data))),
}


@pytest.mark.parametrize("cut", CUTS.values(), ids=CUTS)
@pytest.mark.parametrize(("data", "meaning", "clause"), VECTORS, ids=[vector[2] for vector in VECTORS])
def test_frames_become_messages(data, meaning, clause, cut):
    assert read(cut(data), Messages()) == meaning
    assert read(cut(data), Messages(DEFLATE)) == meaning


@pytest.mark.parametrize("cut", CUTS.values(), ids=CUTS)
@pytest.mark.parametrize(("data", "meaning", "clause"), DEFLATED, ids=[vector[2] for vector in DEFLATED])
def test_compressed_frames_become_messages(data, meaning, clause, cut):
    assert read(cut(data), Messages(DEFLATE)) == meaning


@pytest.mark.parametrize("cut", CUTS.values(), ids=CUTS)
@pytest.mark.parametrize(("data", "complaint"), MISTAKES)
def test_mistakes_are_named(data, complaint, cut):
    with pytest.raises(ProtocolError, match=complaint):
        read(cut(data), Messages())


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        (b"\x01\x01a\xc0\x01\x00", "reserved bits 0x40 in a continuation"),
        (b"\xc9\x00", "reserved bits 0x40 in a ping"),
        (b"\xa1\x00", "reserved bits 0x20"),
        (b"\xc1\x02\xff\xff", "7.2.2"),
        (b"\xc1\x7e" + struct.pack("!H", 2 * 100) + b"\x03\x00" * 100, "over 32 final DEFLATE blocks"),
    ],
)
def test_mistakes_in_compression_are_named(data, complaint):
    with pytest.raises(ProtocolError, match=complaint):
        read([data], Messages(DEFLATE))


def test_a_final_block_is_fine_when_no_context_follows():
    messages = Messages(Deflate(no_context_takeover=True))
    frame = b"\xc1\x08\xf3\x48\xcd\xc9\xc9\x07\x00\x00"  # RFC 7692 7.2.3.4
    assert read([frame, frame], messages) == [(TEXT, b"Hello")] * 2


@pytest.mark.parametrize("no_context_takeover", [False, True])
@pytest.mark.parametrize("bits", range(9, 16))
def test_every_window_inflates_what_was_deflated_with_it(bits, no_context_takeover):
    rng = random.Random(bits)
    texts = [bytes(rng.choices(b"abcdefgh", k=3000)) for _ in range(20)]
    deflater = zlib.compressobj(wbits=-bits)
    stream = b""
    for text in texts:
        if no_context_takeover:
            deflater = zlib.compressobj(wbits=-bits)
        payload = (deflater.compress(text) + deflater.flush(zlib.Z_SYNC_FLUSH))[:-4]
        stream += b"\xc1\x7e" + struct.pack("!H", len(payload)) + payload
    messages = Messages(Deflate(bits, no_context_takeover))
    assert read(pieces(stream, rng), messages) == [(TEXT, text) for text in texts]


def test_the_limit_holds_for_fragments_and_for_what_inflates():
    with pytest.raises(ProtocolError, match="at least 11 bytes, expected at most 10"):
        read([b"\x01\x06aaaaaa\x80\x05aaaaa"], Messages(limit_bytes=10))
    with pytest.raises(ProtocolError, match="at least 11 bytes, expected at most 10"):
        read([b"\x81\x0b" + b"a" * 11], Messages(limit_bytes=10))
    bomb = zlib.compressobj(wbits=-15)
    payload = (bomb.compress(bytes(11)) + bomb.flush(zlib.Z_SYNC_FLUSH))[:-4]
    frame = b"\xc1" + bytes((len(payload),)) + payload
    with pytest.raises(ProtocolError, match="inflates to over 10 bytes"):
        read([frame], Messages(DEFLATE, limit_bytes=10))
    assert read([frame], Messages(DEFLATE, limit_bytes=11)) == [(TEXT, bytes(11))]


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"\x81\x01\xff", 1007),
        (b"\x01\x01\xff\x80\x00", 1007),
        (b"\xc1\x02\xff\xff", 1007),
        (b"\x82\x0b" + bytes(11), 1009),
        (b"\x81\x0b" + bytes(11), 1009),
        (b"\xc2\x05" + bytes.fromhex("6260800300"), 1009),  # eleven zeros
    ],
)
def test_a_mistake_knows_its_close_code(data, code):
    with pytest.raises(FrameError) as broken:
        read([data], Messages(DEFLATE, limit_bytes=10))
    assert broken.value.code == code


@pytest.mark.parametrize("cut", CUTS.values(), ids=CUTS)
def test_what_came_whole_before_a_mistake_counts_and_nothing_behind_it_does(cut):
    messages, out = Messages(), []
    for piece in cut(b"\x81\x01a\x89\x00\x81\x01b\xff\xff\x81\x01c"):
        out += [(opcode, bytes(payload)) for opcode, payload in messages.feed(memoryview(piece))]
    assert out == [(TEXT, b"a"), (PING, b""), (TEXT, b"b")]
    assert "reserved" in str(messages.broken)
    assert not messages.idle


def test_a_whole_text_frame_is_a_slice_of_the_view():
    data = bytearray(b"\x89\x00\x81\x05Hello")
    (_, (_, payload)) = Messages().feed(memoryview(data))
    data[-1] = ord("a")
    assert payload == b"Hella"


@pytest.mark.parametrize(
    ("payload", "meaning"),
    [
        (b"", (1005, "")),
        (b"\x03\xe8", (1000, "")),
        (b"\x03\xe9bye", (1001, "bye")),
        (b"\x0b\xb8", (3000, "")),
        (b"\x11\x3a" + "späť".encode(), (4410, "späť")),
        (b"\x13\x87", (4999, "")),
    ],
)
def test_close_says_code_and_reason(payload, meaning):
    assert parse_close(payload) == meaning


@pytest.mark.parametrize("code", [0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65535])
def test_close_codes_that_never_stand_in_a_frame(code):
    with pytest.raises(ProtocolError, match=f"close code {code}"):
        parse_close(struct.pack("!H", code))


def test_close_payloads_that_say_nothing():
    with pytest.raises(ProtocolError, match="of 1 byte"):
        parse_close(b"\x03")
    with pytest.raises(ProtocolError, match="reason"):
        parse_close(b"\x03\xe8\xff")


@pytest.mark.parametrize(
    ("payload", "frame"),
    [
        (b"Hello", b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"),  # RFC 6455 5.7
        (b"", b"\x81\x80\x37\xfa\x21\x3d"),
    ],
)
def test_what_we_send_is_masked(payload, frame):
    assert encode(TEXT, payload, b"\x37\xfa\x21\x3d") == frame


@pytest.mark.parametrize(
    ("size", "header"),
    [
        (125, b"\x82\xfd"),
        (126, b"\x82\xfe\x00\x7e"),
        (65535, b"\x82\xfe\xff\xff"),
        (65536, b"\x82\xff\0\0\0\0\0\1\0\0"),
    ],
)
def test_lengths_take_their_shortest_form(size, header):
    frame = encode(BINARY, bytes(size), b"abcd")
    assert frame.startswith(header + b"abcd")
    assert frame[len(header) + 4 :] == (b"abcd" * size)[:size]


def test_masking_keys_follow_the_seed():
    first, again, other = (list(itertools.islice(masking_keys(seed), 100)) for seed in (-7, -7, 8))
    assert first == again != other
    assert len(set(first)) == 100
    assert {len(key) for key in first} == {4}


@given(st.lists(st.binary(max_size=40)), st.booleans())
def test_garbage_is_a_value_or_a_protocol_error(garbage, deflate):
    try:
        found = read(garbage, Messages(DEFLATE if deflate else None, limit_bytes=1000))
    except ProtocolError:
        return
    assert {opcode for opcode, _ in found} <= {TEXT, BINARY, CLOSE, PING, PONG}


@given(st.binary(max_size=125))
def test_garbage_in_a_close_frame_is_a_value_or_a_protocol_error(garbage):
    try:
        code, _ = parse_close(garbage)
    except ProtocolError:
        return
    assert code == 1005 or 1000 <= code < 5000


FRAME = st.sampled_from(
    [data for data, _, _ in VECTORS + DEFLATED if len(data) < 1000] + [data for data, _ in MISTAKES]
)


@given(st.lists(FRAME, max_size=6), st.randoms(use_true_random=False))
def test_the_cut_changes_nothing(frames, rng):
    stream = b"".join(frames)

    def outcome(data):
        messages, out = Messages(DEFLATE), []
        for piece in data:
            out += [(opcode, bytes(payload)) for opcode, payload in messages.feed(memoryview(piece))]
        return out, str(messages.broken)

    whole = outcome([stream])
    assert outcome(pieces(stream, rng)) == whole
    assert outcome(CUTS["bytes"](stream)) == whole
