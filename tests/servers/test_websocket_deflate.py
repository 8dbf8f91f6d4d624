"""RFC 7692: offers and answers, the examples of section 7.2.3, and streams that must not be believed."""

import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from servers.websocket_deflate import FINAL_BLOCKS, NAME, Deflater, InflateStream, Settings, negotiate
from servers.websocket_frames import BINARY, TEXT, Message
from tests.servers.test_websocket_frames import decode, masked

FULL = Settings(window_bits=15, client_window_bits=15)
LIMIT = 1 << 17


def offer(*parameters):
    pairs = (text.partition("=") for text in parameters)
    return (NAME, [(name, value or None) for name, _, value in pairs])


# Offer, settings -> answer, or None. Section 7.1 throughout.
NEGOTIATIONS = [
    ([], FULL, ""),
    (["client_max_window_bits"], FULL, ""),
    (["client_max_window_bits=10"], FULL, "; client_max_window_bits=10"),
    (["client_max_window_bits=8"], FULL, "; client_max_window_bits=8"),
    (["server_max_window_bits=15"], FULL, "; server_max_window_bits=15"),
    (["server_max_window_bits=9"], FULL, "; server_max_window_bits=9"),
    (["server_max_window_bits=8"], FULL, None),
    (["server_no_context_takeover"], FULL, "; server_no_context_takeover"),
    (["client_no_context_takeover"], FULL, "; client_no_context_takeover"),
    ([], Settings(window_bits=12, client_window_bits=12), "; server_max_window_bits=12"),
    (
        ["client_max_window_bits", "server_max_window_bits=10"],
        Settings(window_bits=12, client_window_bits=11),
        "; server_max_window_bits=10; client_max_window_bits=11",
    ),
    (
        [],
        Settings(window_bits=15, client_window_bits=9, no_context_takeover=True),
        "; server_no_context_takeover; client_no_context_takeover",
    ),
    (["server_no_context_takeover=1"], FULL, None),
    (["server_max_window_bits"], FULL, None),
    (["server_max_window_bits=16"], FULL, None),
    (["server_max_window_bits=7"], FULL, None),
    (["server_max_window_bits=09"], FULL, None),
    (["server_max_window_bits=1e1"], FULL, None),
    (["client_max_window_bits=0"], FULL, None),
    (["client_max_window_bits", "client_max_window_bits"], FULL, None),
    (["unheard_of"], FULL, None),
]  # fmt: skip


@pytest.mark.parametrize(("parameters", "settings", "answer"), NEGOTIATIONS)
def test_an_offer_is_answered_or_declined(parameters, settings, answer):
    agreement = negotiate([offer(*parameters)], settings)
    assert (agreement and agreement.answer) == (None if answer is None else NAME + answer)


def test_the_next_offer_is_tried_when_one_cannot_be_taken():
    offers = [("x-other", []), offer("server_max_window_bits=8"), offer("client_max_window_bits=bad"), offer()]
    assert negotiate(offers, FULL).answer == NAME


def test_compression_that_is_off_declines_everything():
    assert negotiate([offer()], None) is None


def test_the_agreement_says_what_the_answer_says():
    agreement = negotiate([offer("client_max_window_bits", "server_no_context_takeover")], Settings(window_bits=11))
    assert (agreement.server_window_bits, agreement.client_window_bits) == (11, 12)
    assert (agreement.server_no_context_takeover, agreement.client_no_context_takeover) == (True, False)


def inflate(data: bytes, limit: int = LIMIT) -> bytes:
    return InflateStream(15, no_context_takeover=True).inflate(data, limit, last=True)


# The examples of section 7.2.3: "Hello" each time.
HELLO = {
    "one block": "f2 48 cd c9 c9 07 00",
    "no compression": "00 05 00 fa ff 48 65 6c 6c 6f 00",
    "BFINAL is set": "f3 48 cd c9 c9 07 00 00",
    "two blocks": "f2 48 05 00 00 00 ff ff ca c9 c9 07 00",
}


@pytest.mark.parametrize("data", HELLO.values(), ids=HELLO)
@pytest.mark.parametrize("cut", [1, 3, 100])
def test_examples_of_the_rfc(data, cut):
    frame = masked(TEXT, bytes.fromhex(data), rsv=4)
    for reset in (False, True):
        stream = InflateStream(15, no_context_takeover=reset)
        assert decode(frame * 2, cut=cut, inflater=stream) == ([Message(b"Hello", text=True)] * 2, None)


def test_a_window_shared_by_two_messages():
    frames = masked(TEXT, bytes.fromhex("f248cdc9c90700"), rsv=4) + masked(TEXT, bytes.fromhex("f200110000"), rsv=4)
    assert (
        decode(frames, inflater=InflateStream(15, no_context_takeover=False))[0] == [Message(b"Hello", text=True)] * 2
    )
    events, error = decode(frames, inflater=InflateStream(15, no_context_takeover=True))
    assert len(events) == 1
    assert error.code == 1007


def test_the_encoder_writes_the_examples():
    keep = Deflater(FULL, 15, no_context_takeover=False)
    assert [keep.deflate(b"Hello").hex(), keep.deflate(b"Hello").hex()] == ["f248cdc9c90700", "f200110000"]
    reset = Deflater(FULL, 15, no_context_takeover=True)
    assert [reset.deflate(b"Hello").hex(), reset.deflate(b"Hello").hex()] == ["f248cdc9c90700"] * 2


@pytest.mark.parametrize("reset", [False, True])
def test_empty_messages_are_one_byte(reset):
    deflater = Deflater(FULL, 15, no_context_takeover=reset)
    assert [deflater.deflate(b""), deflater.deflate(b"")] == [b"\0", b"\0"]
    assert InflateStream(15, no_context_takeover=reset).inflate(b"\0", 0, last=True) == b""


def test_a_message_in_compressed_fragments():
    frames = masked(TEXT, bytes.fromhex("f248cd"), rsv=4, fin=False) + masked(0, bytes.fromhex("c9c90700"))
    assert decode(frames, inflater=InflateStream(15, no_context_takeover=False))[0] == [Message(b"Hello", text=True)]


def test_an_agreed_extension_need_not_be_used():
    frames = masked(TEXT, b"Hello") + masked(TEXT, bytes.fromhex("f248cdc9c90700"), rsv=4)
    assert (
        decode(frames, inflater=InflateStream(15, no_context_takeover=False))[0] == [Message(b"Hello", text=True)] * 2
    )


@pytest.mark.parametrize("opcode", [0, 8, 9, 10])
def test_rsv1_belongs_to_the_first_frame_of_a_message(opcode):
    data = masked(TEXT, b"", fin=False) * (opcode == 0) + masked(opcode, b"", rsv=4)
    assert decode(data, inflater=InflateStream(15, no_context_takeover=True))[1].code == 1002


def test_a_bomb_is_stopped_at_the_limit():
    bomb = zlib.compressobj(9, zlib.DEFLATED, -15)
    data = bomb.compress(bytes(1 << 24)) + bomb.flush(zlib.Z_SYNC_FLUSH)
    assert len(data) < LIMIT
    stream = InflateStream(15, no_context_takeover=True)
    assert decode(masked(BINARY, data[:-4], rsv=4), inflater=stream)[1].code == 1009
    assert len(InflateStream(15, no_context_takeover=True).inflate(data, 1000, last=False)) == 1001


def test_a_message_of_exactly_the_limit_passes():
    deflated = Deflater(FULL, 15, no_context_takeover=True).deflate(b"x" * 1000)
    assert inflate(deflated, 1000) == inflate(deflated, 999) == b"x" * 1000
    assert inflate(deflated, 998) == b"x" * 999


@pytest.mark.parametrize("cut", [1, 100])
def test_thousands_of_ended_streams_in_a_message_are_an_attack(cut):
    def outcome(count: int):
        frame = masked(TEXT, b"\x03\x00" * count + b"\0", rsv=4)
        return decode(frame * 2, cut=cut, inflater=InflateStream(15, no_context_takeover=False))

    assert outcome(FINAL_BLOCKS) == ([Message(b"", text=True)] * 2, None)
    events, error = outcome(FINAL_BLOCKS + 1)
    assert (events, error.code) == ([], 1007)


@pytest.mark.parametrize("cut", [1, 100])
def test_a_final_block_ends_neither_the_message_nor_the_window(cut):
    frames = masked(TEXT, bytes.fromhex("f348cdc9c9070000"), rsv=4) + masked(TEXT, bytes.fromhex("f200110000"), rsv=4)
    stream = InflateStream(15, no_context_takeover=False)
    assert decode(frames, cut=cut, inflater=stream) == ([Message(b"Hello", text=True)] * 2, None)


def test_text_is_looked_at_up_to_the_limit():
    data = Deflater(FULL, 15, no_context_takeover=True).deflate(b"\xff" + b"x" * 1000)
    for cut in (1, 2000):
        stream = InflateStream(15, no_context_takeover=True)
        assert decode(masked(TEXT, data, rsv=4), cut=cut, limit=100, inflater=stream)[1].code == 1007


@given(st.binary(max_size=100))
def test_garbage_inflates_or_is_refused(data):
    events, error = decode(masked(BINARY, data, rsv=4), inflater=InflateStream(15, no_context_takeover=True))
    assert len(events) == (error is None)
    assert error is None or error.code in (1007, 1009)


@given(
    st.lists(st.binary(max_size=600), max_size=6),
    st.integers(9, 15),
    st.integers(1, 9),
    st.booleans(),
    st.integers(1, 50),
)
def test_what_is_deflated_inflates_within_the_agreed_window(messages, bits, level, reset, cut):
    deflater = Deflater(Settings(level=level), bits, no_context_takeover=reset)
    stream = InflateStream(bits, no_context_takeover=reset)
    wire = b"".join(masked(BINARY, deflater.deflate(data), rsv=4) for data in messages)
    assert decode(wire, cut=cut, inflater=stream) == ([Message(data, text=False) for data in messages], None)
