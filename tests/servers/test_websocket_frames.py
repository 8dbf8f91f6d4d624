"""RFC 6455 frames: vectors in both directions, every cut, and what must be refused with which code."""

import random
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from servers.websocket_frames import (
    BINARY,
    CLOSE,
    CLOSE_CODES,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    Close,
    Decoder,
    Message,
    Ping,
    Pong,
    ProtocolError,
    encode,
    encode_close,
    mask_bytes,
)  # fmt: skip

KEY = bytes.fromhex("37fa213d")  # of the example in RFC 6455, 5.7
LIMIT = 1 << 17


def masked(opcode: int, payload: bytes, *, fin: bool = True, rsv: int = 0, key: bytes = KEY) -> bytes:
    head = bytes([fin << 7 | rsv << 4 | opcode])
    size = len(payload)
    if size < 126:
        head += bytes([0x80 | size])
    elif size < 1 << 16:
        head += struct.pack("!BH", 0x80 | 126, size)
    else:
        head += struct.pack("!BQ", 0x80 | 127, size)
    return head + key + bytes(byte ^ key[index % 4] for index, byte in enumerate(payload))


def decode(data: bytes, *, cut: int | None = None, limit: int = LIMIT, inflater=None):
    """The events of ``data``, and the error that ended them, if one did."""
    decoder = Decoder(limit, inflater)
    events = []
    step = cut or max(1, len(data))
    try:
        for start in range(0, len(data), step):
            events.extend(event for event in decoder.feed(data[start : start + step]) if event)
    except ProtocolError as error:
        return events, error
    return events, None


# Bytes, meaning: RFC 6455, 5.7, and the edges of 5.2's lengths.
VECTORS = [
    (bytes.fromhex("818537fa213d7f9f4d5158"), [Message(b"Hello", text=True)]),
    (bytes.fromhex("898537fa213d7f9f4d5158"), [Ping(b"Hello")]),
    (bytes.fromhex("8a8537fa213d7f9f4d5158"), [Pong(b"Hello")]),
    (masked(TEXT, b"Hel", fin=False) + masked(CONTINUATION, b"lo"), [Message(b"Hello", text=True)]),
    (
        masked(TEXT, b"Hel", fin=False) + masked(PING, b"?") + masked(CONTINUATION, b"lo"),
        [Ping(b"?"), Message(b"Hello", text=True)],
    ),
    (
        masked(TEXT, b"", fin=False) + masked(CONTINUATION, b"", fin=False) + masked(CONTINUATION, b""),
        [Message(b"", text=True)],
    ),
    (masked(TEXT, b"") + masked(BINARY, b""), [Message(b"", text=True), Message(b"", text=False)]),
    *[(masked(BINARY, b"x" * n), [Message(b"x" * n, text=False)]) for n in (1, 125, 126, 127, 65535, 65536)],
    (masked(TEXT, "κόσμε".encode()), [Message("κόσμε".encode(), text=True)]),
    # A character cut by a fragment's end is whole in the message (5.6).
    (masked(TEXT, b"\xce", fin=False) + masked(CONTINUATION, b"\xba"), [Message("κ".encode(), text=True)]),
    (masked(CLOSE, b""), [Close(None, "")]),
    (masked(CLOSE, b"\x03\xe8bye"), [Close(1000, "bye")]),
    (masked(CLOSE, b"\x03\xe8") + b"\xff\xff\xff", [Close(1000, "")]),  # what follows a close means nothing
]  # fmt: skip


@pytest.mark.parametrize(("data", "events"), VECTORS)
@pytest.mark.parametrize("cut", [None, 1, 2, 3, 7])
def test_vectors_however_they_are_cut(data, events, cut):
    if cut is not None and len(data) > 1000:
        cut *= 999
    assert decode(data, cut=cut) == (events, None)


REFUSED = [
    ("unmasked", encode(TEXT, b"Hello"), 1002),
    *[(f"rsv {rsv}", masked(TEXT, b"", rsv=rsv), 1002) for rsv in range(1, 8)],
    *[(f"opcode {opcode}", masked(opcode, b""), 1002) for opcode in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15)],
    *[(f"fragmented control {opcode}", masked(opcode, b"", fin=False), 1002) for opcode in (CLOSE, PING, PONG)],
    *[(f"long control {opcode}", masked(opcode, b"x" * 126), 1002) for opcode in (CLOSE, PING, PONG)],
    ("length 125 in 16 bits", b"\x82\xfe\x00\x7d" + KEY, 1002),
    ("length 65535 in 64 bits", b"\x82\xff" + (65535).to_bytes(8, "big") + KEY, 1002),
    ("length with bit 63", b"\x82\xff" + (1 << 63).to_bytes(8, "big") + KEY, 1002),
    ("continuation of nothing", masked(CONTINUATION, b"x"), 1002),
    ("text in a message", masked(TEXT, b"a", fin=False) + masked(TEXT, b"b"), 1002),
    ("a frame too big", b"\x82\xff" + (LIMIT + 1).to_bytes(8, "big") + KEY, 1009),
    ("fragments too big", masked(BINARY, b"x" * LIMIT, fin=False) + masked(CONTINUATION, b"x"), 1009),
    ("text that is no UTF-8", masked(TEXT, b"\xff"), 1007),
    ("text that ends in a character", masked(TEXT, b"\xce"), 1007),
    ("a surrogate", masked(TEXT, b"\xed\xa0\x80"), 1007),
    ("beyond Unicode", masked(TEXT, b"\xf4\x90\x80\x80"), 1007),
    ("close of one byte", masked(CLOSE, b"\x03"), 1002),
    ("close reason that is no UTF-8", masked(CLOSE, b"\x03\xe8\xff"), 1007),
    *[
        (f"close {code}", masked(CLOSE, code.to_bytes(2, "big")), 1002)
        for code in (0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535)
    ],
]


@pytest.mark.parametrize(("data", "code"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED])
@pytest.mark.parametrize("cut", [None, 5])
def test_refused_with_its_code(data, code, cut):
    good = masked(PING, b"before")
    events, error = decode(good + data, cut=cut if len(data) < 1000 else None)
    assert (events, error and error.code) == ([Ping(b"before")], code)
    assert error.reason


def test_every_code_that_may_be_sent_is_taken():
    for code in CLOSE_CODES:
        assert decode(masked(CLOSE, code.to_bytes(2, "big"))) == ([Close(code, "")], None)


def test_bad_text_is_noticed_before_the_frame_is_complete():
    frame = masked(TEXT, b"good" + b"\xf4\x90" + b"x" * 100)
    decoder = Decoder(LIMIT)
    assert list(decoder.feed(frame[:10])) == [None]
    with pytest.raises(ProtocolError) as refused:
        list(decoder.feed(frame[10:12]))
    assert refused.value.code == 1007


def test_what_has_begun_and_not_ended_is_pending():
    decoder = Decoder(LIMIT)
    for data, pending, in_message in (
        (b"", False, False),
        (masked(PING, b"x")[:3], True, False),
        (masked(PING, b"x")[3:], False, False),
        (masked(TEXT, b"x", fin=False), True, True),
        (masked(PING, b"x"), True, True),
        (masked(CONTINUATION, b"yz")[:7], True, True),
        (masked(CONTINUATION, b"yz")[7:], False, False),
        (masked(CLOSE, b"") + b"more", False, False),
    ):
        for _ in decoder.feed(data):
            pass
        assert (decoder.pending, decoder.in_message) == (pending, in_message)


def test_a_feed_that_was_left_is_continued_by_the_next():
    decoder = Decoder(LIMIT)
    wire = masked(TEXT, b"a") + masked(TEXT, b"b", fin=False) + masked(CONTINUATION, b"c")
    assert next(iter(decoder.feed(wire))) == Message(b"a", text=True)
    assert decoder.pending
    assert list(decoder.feed(b"")) == [None, Message(b"bc", text=True)]


def test_a_length_is_refused_before_its_payload_comes():
    assert decode(masked(BINARY, b"x" * 200)[:8], limit=100)[1].code == 1009


def test_nothing_is_decoded_after_an_error():
    decoder = Decoder(LIMIT)
    with pytest.raises(ProtocolError):
        list(decoder.feed(encode(TEXT, b"x")))
    assert list(decoder.feed(masked(TEXT, b"x"))) == []


@given(st.binary(max_size=300), st.binary(min_size=4, max_size=4))
def test_masking_is_the_byte_loop_of_the_rfc_and_its_own_inverse(data, key):
    assert mask_bytes(data, key) == bytes(byte ^ key[index % 4] for index, byte in enumerate(data))
    assert mask_bytes(mask_bytes(data, key), key) == data


@given(st.binary(max_size=64), st.integers(1, 5))
def test_garbage_gives_events_or_a_protocol_error(data, cut):
    events, error = decode(data, cut=cut)
    assert all(isinstance(event, Message | Ping | Pong | Close) for event in events)
    assert error is None or error.code in CLOSE_CODES


@given(st.lists(st.tuples(st.sampled_from([TEXT, BINARY]), st.text(max_size=200)), max_size=5), st.randoms())
def test_messages_survive_any_fragmentation_and_any_cut(messages, rng: random.Random):
    wire = b""
    for opcode, text in messages:
        payload = text.encode()
        cuts = sorted(rng.randrange(len(payload) + 1) for _ in range(rng.randrange(4)))
        pieces = [payload[start:end] for start, end in zip([0, *cuts], [*cuts, len(payload)], strict=True)]
        for index, piece in enumerate(pieces):
            wire += masked(CONTINUATION if index else opcode, piece, fin=index == len(pieces) - 1, key=rng.randbytes(4))
    decoder, events, start = Decoder(LIMIT), [], 0
    while start < len(wire):
        end = start + rng.randrange(1, 20)
        events.extend(event for event in decoder.feed(wire[start:end]) if event)
        start = end
    assert events == [Message(text.encode(), text=opcode == TEXT) for opcode, text in messages]


@pytest.mark.parametrize(
    ("opcode", "payload", "head"),
    [
        (TEXT, b"Hello", "8105"),
        (PONG, b"Hello", "8a05"),
        (BINARY, b"x" * 125, "827d"),
        (BINARY, b"x" * 126, "827e007e"),
        (BINARY, b"x" * 256, "827e0100"),
        (BINARY, b"x" * 65535, "827effff"),
        (BINARY, b"x" * 65536, "827f0000000000010000"),
    ],
)
def test_encoded_in_the_shortest_form_and_unmasked(opcode, payload, head):
    assert encode(opcode, payload) == bytes.fromhex(head) + payload


def test_encoded_flags():
    assert encode(TEXT, b"", fin=False)[0] == 0x01
    assert encode(TEXT, b"", rsv1=True)[0] == 0xC1


def test_close_without_a_code_has_no_payload():
    assert encode_close(None, "unsaid") == b"\x88\x00"


def test_close_reason_is_cut_between_characters():
    frame = encode_close(1008, "é" * 100)
    assert frame[:4] == b"\x88\x7c\x03\xf0"  # 124 bytes: a 62nd é would be half
    assert frame[4:].decode() == "é" * 61
