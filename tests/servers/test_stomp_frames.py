"""STOMP frames: vectors in both directions, every cut, limits, and what must be refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from servers.stomp_frames import V10, V11, V12, Decoder, Frame, Limits, ProtocolError, encode, escape, unescape

LIMITS = Limits(headers=4, line_bytes=40, body_bytes=100)


def decode(data: bytes, *, version: str = V12, cut: int | None = None, limits: Limits = LIMITS):
    """The frames of ``data``, and the error that ended them, if one did."""
    decoder = Decoder(limits, version)
    frames = []
    step = cut or max(1, len(data))
    try:
        for start in range(0, len(data), step):
            frames.extend(decoder.feed(data[start : start + step]))
    except ProtocolError as error:
        return frames, error
    return frames, None


VECTORS = [
    (b"SEND\na:b:c\n\n\0", [Frame("SEND", {"a": "b:c"})]),  # no grammar of STOMP, but of many clients
    (b"", []),
    (b"\n\r\n\n", []),  # heart-beats
    (b"BEGIN\n\n\0", [Frame("BEGIN")]),
    (b"\n\nBEGIN\r\na:b\r\n\r\n\0\r\n\n", [Frame("BEGIN", {"a": "b"})]),
    (b"SEND\na:\n\nbody\0", [Frame("SEND", {"a": ""}, b"body")]),
    (b"SEND\na: b \n\n\n\0", [Frame("SEND", {"a": " b "}, b"\n")]),  # "MUST NOT trim"
    (b"SEND\na:1\na:2\n\n\0", [Frame("SEND", {"a": "1"})]),  # "only the first header entry"
    (b"SEND\ncontent-length:3\n\n\0\0\0\0", [Frame("SEND", {"content-length": "3"}, b"\0\0\0")]),
    (b"SEND\ncontent-length:0\n\n\0SEND\n\nx\0", [Frame("SEND", {"content-length": "0"}), Frame("SEND", {}, b"x")]),
    (b"SEND\na\\cb:\\r\\n\\c\\\\\n\n\0", [Frame("SEND", {"a:b": "\r\n:\\"})]),
    (b"CONNECT\nhost:a\\cb:c\n\n\0", [Frame("CONNECT", {"host": "a\\cb:c"})]),  # CONNECT does not escape
    ("SEND\nä:ö\n\nü\0".encode(), [Frame("SEND", {"ä": "ö"}, "ü".encode())]),
    (b"SEND\n\n" + b"x" * 100 + b"\0", [Frame("SEND", {}, b"x" * 100)]),
    (b"SEND\n" + b"h:" + b"x" * 38 + b"\n\n\0", [Frame("SEND", {"h": "x" * 38})]),
    (b"FUTURE\n\n\0", [Frame("FUTURE")]),  # what it means is the session's business
]


@pytest.mark.parametrize(("data", "frames"), VECTORS)
@pytest.mark.parametrize("cut", [None, 1, 2, 3, 7])
def test_vectors_however_they_are_cut(data, frames, cut):
    assert decode(data, cut=cut) == (frames, None)


REFUSED = [
    ("undefined escape", V12, b"SEND\na:\\t\n\n\0", "undefined escape"),
    ("escape of nothing", V12, b"SEND\na:b\\\n\n\0", "undefined escape"),
    ("1.1 has no \\r", V11, b"SEND\na:\\r\n\n\0", "undefined escape"),
    ("no colon", V12, b"SEND\nheader\n\n\0", "name:value"),
    ("no name", V12, b"SEND\n:value\n\n\0", "name:value"),
    ("not UTF-8", V12, b"SEND\na:\xff\n\n\0", "UTF-8"),
    ("command not UTF-8", V12, b"\xff\n\n\0", "UTF-8"),
    ("NUL in a command", V12, b"SEND\0\n\n", "NUL"),
    ("NUL in a header", V12, b"SEND\na:\0b\n\n", "NUL"),
    ("NUL between frames", V12, b"\0", "NUL"),
    ("too many headers", V12, b"SEND\na:1\nb:1\nc:1\nd:1\ne:1\n\n\0", "4 headers"),
    ("too many repeated headers", V12, b"SEND\n" + b"a:1\n" * 5 + b"\n\0", "4 headers"),
    ("line too long", V12, b"SEND\nh:" + b"x" * 39 + b"\n\n\0", "40 bytes"),
    ("header that never ends", V12, b"SEND\n" + b"x" * 41, "40 bytes"),
    ("command that never ends", V12, b"x" * 65, "64 bytes"),
    ("command too long", V12, b"x" * 33 + b"\n", "letters"),
    ("HTTP", V12, b"GET / HTTP/1.1\r\n", "letters"),
    ("CR alone between frames", V12, b"\rSEND\n\n\0", "letters"),
    ("CR in a header", V12, b"SEND\na:b\rc\n\n\0", "carriage return"),
    ("two CR", V12, b"SEND\na:b\r\r\n\n\0", "carriage return"),
    ("body too long", V12, b"SEND\n\n" + b"x" * 101, "100 bytes"),
    ("length too large", V12, b"SEND\ncontent-length:101\n\n", "content-length"),
    ("length of a thousand digits", V12, b"SEND\ncontent-length:" + b"1" * 20 + b"\n\n", "content-length"),
    ("length negative", V12, b"SEND\ncontent-length:-1\n\n\0", "content-length"),
    ("length empty", V12, b"SEND\ncontent-length:\n\n\0", "content-length"),
    ("length too small", V12, b"SEND\ncontent-length:1\n\nab\0", "no NUL"),
    ("a body where none may be", V12, b"BEGIN\n\nx\0", "no NUL"),
    ("a length where none may be", V12, b"BEGIN\ncontent-length:1\n\nx\0", "content-length"),
]


@pytest.mark.parametrize(("version", "data", "says"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED])
@pytest.mark.parametrize("cut", [None, 1, 5])
def test_refused(version, data, says, cut):
    frames, error = decode(b"BEGIN\n\n\0" + data, version=version, cut=cut)
    assert frames == [Frame("BEGIN")]
    assert says in error.message


@pytest.mark.parametrize(
    ("version", "data", "frame"),
    [
        (V11, b"SEND\na:b\rc\n\n\0", Frame("SEND", {"a": "b\rc"})),  # 1.1 has no escape for it
        (V10, b"SEND\na:\\t\\c\n\n\0", Frame("SEND", {"a": "\\t\\c"})),  # 1.0 has none at all
        (V10, b"SEND\ndestination: /topic/own \n\n\0", Frame("SEND", {"destination": "/topic/own"})),
        (V11, b"SEND\na: b \n\n\0", Frame("SEND", {"a": " b "})),
        (V10, b"SUBSCRIBE\n\nignored\0", Frame("SUBSCRIBE", {}, b"ignored")),
        (V10, b"CONNECT\naccept-version: 1.2\n\n\0", Frame("CONNECT", {"accept-version": " 1.2"})),
    ],
)
def test_versions(version, data, frame):
    assert decode(data, version=version) == ([frame], None)


@pytest.mark.parametrize("frame", [b"SEND\nreceipt:1\n\nbody\0", b"\r\nACK\ncontent-length:0\n\n\0"])
def test_a_frame_is_partial_from_its_first_byte_to_its_last(frame):
    decoder = Decoder(LIMITS)
    assert not decoder.partial
    for byte in frame[:-1].removeprefix(b"\r\n"):
        assert list(decoder.feed(bytes([byte]))) == []
        assert decoder.partial
    assert len(list(decoder.feed(b"\0"))) == 1
    assert not decoder.partial
    assert list(decoder.feed(b"\n\r\n")) == []
    assert not decoder.partial


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"SEND\n" + b"x" * 41, "header_too_big"),
        (b"SEND\n" + b"a:1\n" * 5, "header_too_big"),
        (b"SEND\n\n" + b"x" * 101, "body_too_big"),
        (b"SEND\ncontent-length:101\n\n", "body_too_big"),
        (b"\0", "protocol_error"),
    ],
)
def test_what_it_is_counted_as(data, reason):
    assert decode(data)[1].reason == reason


def test_a_mistake_behind_the_receipt_header_knows_the_receipt():
    assert decode(b"SEND\nreceipt:7\na:\\t\n\n\0")[1].receipt == "7"
    assert decode(b"SEND\na:\\t\nreceipt:7\n\n\0")[1].receipt is None


def test_the_version_may_change_between_two_frames_of_one_feed():
    decoder = Decoder(LIMITS)
    frames = decoder.feed(b"CONNECT\na:\\c\n\n\0SEND\na:\\t\n\n\0SEND\na:\\n\n\n\0")
    assert next(frames).headers == {"a": "\\c"}
    decoder.version = V10
    assert next(frames).headers == {"a": "\\t"}
    decoder.version = V11
    assert next(frames).headers == {"a": "\n"}


def test_nothing_is_decoded_after_an_error():
    decoder = Decoder(LIMITS)
    with pytest.raises(ProtocolError):
        list(decoder.feed(b"\0"))
    assert list(decoder.feed(b"BEGIN\n\n\0")) == []


def test_a_body_is_held_no_further_than_the_limit():
    decoder = Decoder(Limits(body_bytes=1000))
    list(decoder.feed(b"SEND\n\n"))
    for _ in range(10):
        assert list(decoder.feed(b"x" * 100)) == []
    with pytest.raises(ProtocolError):
        list(decoder.feed(b"x"))


def test_a_long_body_byte_by_byte_is_not_searched_again_and_again():
    body = b"x" * 200_000
    limits = Limits(body_bytes=len(body))
    assert decode(b"SEND\n\n" + body + b"\0", cut=1, limits=limits) == ([Frame("SEND", {}, body)], None)


@pytest.mark.parametrize(
    ("version", "written"),
    [(V12, b"a\\cb:\\r\\n\\c\\\\"), (V11, b"a\\cb:\r\\n\\c\\\\"), (V10, b"a:b:  :\\")],
)
def test_encoded_as_the_version_has_it(version, written):
    frame = Frame("MESSAGE", {"a:b": "\r\n:\\"}, b"body")
    assert encode(frame, version) == b"MESSAGE\n" + written + b"\n\nbody\0"


def test_connected_is_never_escaped_and_no_header_can_be_smuggled():
    assert encode(Frame("CONNECTED", {"a": "b:c\nd:e"})) == b"CONNECTED\na:b:c d:e\n\n\0"


@pytest.mark.parametrize("version", [V11, V12])
@given(text=st.text())
def test_unescape_undoes_escape(version, text):
    assert unescape(escape(text, version), version) == text


_TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=8)


@given(
    st.lists(st.tuples(st.dictionaries(_TEXT, _TEXT, max_size=4), st.binary(max_size=80)), max_size=4),
    st.integers(1, 50),
)
def test_what_is_encoded_is_decoded(frames, cut):
    limits = Limits(headers=5, line_bytes=200, body_bytes=80)
    sent = [Frame("SEND", {"content-length": str(len(body))} | headers, body) for headers, body in frames]
    assert decode(b"\n".join(encode(frame) for frame in sent), cut=cut, limits=limits) == (sent, None)


_LINES = ["SEND\n", "ACK\n", "CONNECT\n", "SUBSCRIBE\n", "a:b\n", "a:\\c\\\\\n", "a: \r\n", "receipt:r\n"]
_LINES += ["content-length:3\n", "\n", "\0", "abc", "\\", ":", "\r"]
_PIECES = st.lists(
    st.one_of(st.sampled_from([line.encode() for line in _LINES]), st.binary(max_size=8)), max_size=12
).map(b"".join)


@given(_PIECES, st.integers(1, 9), st.sampled_from([V10, V11, V12]))
def test_garbage_gives_frames_or_a_protocol_error_however_it_is_cut(data, cut, version):
    frames, error = decode(data, cut=cut, version=version)
    whole, whole_error = decode(data, version=version)
    assert all(isinstance(frame, Frame) for frame in frames)
    assert (whole, str(whole_error)) == (frames, str(error))
