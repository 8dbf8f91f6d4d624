"""Vectors of STOMP 1.0, 1.1 and 1.2, however they are cut; the lean path against the general one."""

from __future__ import annotations

import itertools
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtests.clients import ProtocolError, stomp_frames
from loadtests.clients.stomp_frames import Frames, encode

BODY = b'{"topic":"t0","seq":17}'
HEAD = b"MESSAGE\nsubscription:0\nmessage-id:t0-17\ndestination:/topic/t0\n"
MEANT = {"subscription": "0", "message-id": "t0-17", "destination": "/topic/t0"}
SIZED = HEAD + b"content-length:23\n\n" + BODY + b"\0"


def connected(version: str) -> bytes:
    return b"CONNECTED\nversion:" + version.encode() + b"\n\n\0"


def read(data, version="1.2", *, lean=False):
    """The frames of ``data`` after CONNECTED, each piece in a buffer that the next overwrites, and the beats."""
    frames = Frames("/topic/t0", lean=lean)
    frames.feed(connected(version))
    out = []
    for piece in data:
        buffer = bytearray(piece)
        out += [(command, dict(headers), bytes(body)) for command, headers, body in frames.feed(memoryview(buffer))]
        buffer[:] = b"\xff" * len(buffer)
    return out, frames.beats


def cut(data: bytes, rng: random.Random) -> list[bytes]:
    cuts = sorted(rng.sample(range(len(data) + 1), min(5, len(data))))
    return [data[a:b] for a, b in itertools.pairwise((0, *cuts, len(data)))]


CUTS = {
    "whole": lambda data: [data],
    "bytes": lambda data: [data[i : i + 1] for i in range(len(data))],
    "pieces": lambda data: cut(data, random.Random(len(data))),
}

# (bytes, meaning, beats, version, clause)
VECTORS = [
    (SIZED, [("MESSAGE", {**MEANT, "content-length": "23"}, BODY)], 0, "1.2", "MESSAGE with content-length"),
    (HEAD + b"\n" + BODY + b"\0", [("MESSAGE", MEANT, BODY)], 0, "1.2", "MESSAGE ended by NUL"),
    (
        HEAD + b"content-length:3\n\na\0b\0",
        [("MESSAGE", {**MEANT, "content-length": "3"}, b"a\0b")],
        0,
        "1.2",
        "Body: a body with NUL in it needs content-length",
    ),
    (HEAD + b"\n\0", [("MESSAGE", MEANT, b"")], 0, "1.2", "empty body"),
    (
        b"RECEIPT\r\nreceipt-id:s\r\n\r\n\0\r\n\n\r\n",
        [("RECEIPT", {"receipt-id": "s"}, b"")],
        3,
        "1.2",
        "Augmented BNF: EOL = [CR] LF, EOLs between frames",
    ),
    (b"\n\nRECEIPT\nreceipt-id:s\n\n\0\n", [("RECEIPT", {"receipt-id": "s"}, b"")], 3, "1.2", "Heart-beating: EOLs"),
    (
        b"RECEIPT\nreceipt-id:first\nreceipt-id:second\n\n\0",
        [("RECEIPT", {"receipt-id": "first"}, b"")],
        0,
        "1.2",
        "Repeated Header Entries: the first counts",
    ),
    (
        b"RECEIPT\nreceipt-id:a\\cb\\nc\\rd\\\\e\n\n\0",
        [("RECEIPT", {"receipt-id": "a:b\nc\rd\\e"}, b"")],
        0,
        "1.2",
        "Value Encoding",
    ),
    (b"RECEIPT\nreceipt-id: a \n\n\0", [("RECEIPT", {"receipt-id": " a "}, b"")], 0, "1.2", "values are not trimmed"),
    (b"RECEIPT\nreceipt-id:\xc3\xa4\n\n\0", [("RECEIPT", {"receipt-id": "ä"}, b"")], 0, "1.2", "headers are UTF-8"),
    (
        b"RECEIPT\nreceipt-id:a\\cb\\\\\n\n\0",
        [("RECEIPT", {"receipt-id": "a:b\\"}, b"")],
        0,
        "1.1",
        "1.1 Value Encoding: no \\r",
    ),
    (b"RECEIPT\nreceipt-id:a\r\n\n\0", [("RECEIPT", {"receipt-id": "a\r"}, b"")], 0, "1.1", "1.1: EOL is LF alone"),
    (b"RECEIPT\nreceipt-id:a:\\n\n\n\0", [("RECEIPT", {"receipt-id": "a:\\n"}, b"")], 0, "1.0", "1.0: no escaping"),
    (
        b"ERROR\nmessage:malformed\ncontent-length:4\n\nwhy?\0",
        [("ERROR", {"message": "malformed", "content-length": "4"}, b"why?")],
        0,
        "1.2",
        "ERROR",
    ),
]

MISTAKES = [
    (b"MASSAGE\n\n\0", "1.2", "command 'MASSAGE'"),
    (b"HTTP/1.1 400 Bad Request\r\n\r\n", "1.2", "command 'HTTP/1.1 400"),
    (b"CONNECTED\nversion:1.2\n\n\0", "1.2", "CONNECTED after CONNECTED"),
    (b"RECEIPT\n\n\0", "1.2", "RECEIPT without receipt-id"),
    (b"RECEIPT\nreceipt-id\n\n\0", "1.2", "expected name:value"),
    (b"RECEIPT\n:1\n\n\0", "1.2", "expected name:value"),
    (b"RECEIPT\nreceipt-id:a:b\n\n\0", "1.2", "expected name:value"),
    (b"RECEIPT\nreceipt-id:a\\tb\n\n\0", "1.2", r"undefined escape '\\\\t'"),
    (b"RECEIPT\nreceipt-id:a\\\n\n\0", "1.2", r"undefined escape '\\\\'"),
    (b"RECEIPT\nreceipt-id:a\\r\n\n\0", "1.1", r"undefined escape '\\\\r'"),
    (b"RECEIPT\nreceipt-id:a\rb\n\n\0", "1.2", "CR inside header"),
    (b"RECEIPT\r\nreceipt-id:a\r\n\r\n\0", "1.1", r"command 'RECEIPT\\r"),
    (b"RECEIPT\nreceipt-id:\xff\n\n\0", "1.2", "expected UTF-8"),
    (b"\r\rRECEIPT\n", "1.2", "CR and 0x0d between frames"),
    (b"RECEIPT\nreceipt-id:a\ncontent-length:x\n\n\0", "1.2", "content-length 'x'"),
    (b"RECEIPT\nreceipt-id:a\ncontent-length:-1\n\n\0", "1.2", "content-length '-1'"),
    (b"RECEIPT\nreceipt-id:a\ncontent-length:2\n\nabc\0", "1.2", "byte 0x63 behind a body of 2"),
    (SIZED.replace(b"23", b"22"), "1.2", "byte 0x7d behind a body of 22"),
    (SIZED.replace(b"23", b"99999999"), "1.2", "body of 99999999 bytes, expected at most 16777216"),
    (SIZED.replace(b"subscription:0", b"subscription:1"), "1.2", "subscription '1', expected '0'"),
    (SIZED.replace(b"subscription:0\n", b""), "1.2", "MESSAGE without subscription"),
    (SIZED.replace(b"/topic/t0", b"/topic/t1"), "1.2", "from '/topic/t1', expected '/topic/t0'"),
    (SIZED.replace(b"message-id:t0-17", b"message-id:"), "1.2", "MESSAGE without message-id"),
    (b"RECEIPT\nreceipt-id:" + b"a" * 65536, "1.2", "headers of over 65536 bytes"),
]


@pytest.mark.parametrize("lean", [False, True])
@pytest.mark.parametrize("pieces", CUTS.values(), ids=CUTS)
@pytest.mark.parametrize("vector", VECTORS, ids=[vector[4] for vector in VECTORS])
def test_bytes_become_frames(vector, pieces, lean):
    data, meaning, beats, version, _ = vector
    assert read(pieces(data), version, lean=lean) == (meaning, beats)


@pytest.mark.parametrize("pieces", [CUTS["whole"], CUTS["pieces"]], ids=["whole", "pieces"])
@pytest.mark.parametrize(("data", "version", "complaint"), MISTAKES)
def test_mistakes_are_named(data, version, complaint, pieces):
    with pytest.raises(ProtocolError, match=complaint):
        read(pieces(data), version)


@pytest.mark.parametrize(("data", "version", "complaint"), MISTAKES)
def test_mistakes_are_named_behind_usual_messages(data, version, complaint):
    with pytest.raises(ProtocolError, match=complaint):
        read([SIZED, SIZED + data], version, lean=True)


@pytest.mark.parametrize(
    ("data", "version"),
    [
        (b"CONNECTED\nversion:1.1\n\n\0", "1.1"),
        (b"CONNECTED\r\nversion:1.2\r\nserver:a\\b:c\r\n\r\n\0", "1.2"),  # never escaped
        (b"CONNECTED\nsession:1\n\n\0", "1.0"),  # 1.0 had no such header
    ],
)
def test_connected_settles_the_version(data, version):
    frames = Frames("/topic/t0")
    assert [command for command, _, _ in frames.feed(data)] == ["CONNECTED"]
    assert frames.version == version


def test_only_an_offered_version_may_be_chosen():
    with pytest.raises(ProtocolError, match=r"version '1\.1', expected one of 1\.2"):
        Frames("/topic/t0", ("1.2",)).feed(connected("1.1"))


def test_connected_comes_first_unless_it_is_an_error():
    with pytest.raises(ProtocolError, match="RECEIPT before CONNECTED"):
        Frames("/topic/t0").feed(b"RECEIPT\nreceipt-id:1\n\n\0")
    ((command, headers, body),) = Frames("/topic/t0").feed(b"ERROR\nmessage:no\n\nbecause\0")
    assert (command, dict(headers), bytes(body)) == ("ERROR", {"message": "no"}, b"because")


def test_the_version_holds_from_the_next_frame_on_even_in_one_read():
    frames = Frames("/topic/t0")
    out = frames.feed(connected("1.1") + b"RECEIPT\nreceipt-id:a\\c\n\n\0" + SIZED)
    assert [command for command, _, _ in out] == ["CONNECTED", "RECEIPT", "MESSAGE"]
    assert out[1][1] == {"receipt-id": "a:"}


def test_the_usual_message_is_a_slice_of_the_view_and_keeps_no_headers():
    frames = Frames("/topic/t0")
    frames.feed(connected("1.2") + SIZED)
    data = bytearray(SIZED.replace(b"t0-17", b"t0-18"))
    ((_, headers, body),) = frames.feed(memoryview(data))
    assert not headers
    assert body == BODY
    data[-2] = ord("!")
    assert bytes(body) == BODY[:-1] + b"!"


@pytest.mark.parametrize("end", [-1, -2, -len(BODY), -len(SIZED) + 1])
def test_a_usual_message_that_is_not_whole_waits_for_its_rest(end):
    message = ("MESSAGE", BODY)
    frames = Frames("/topic/t0")
    frames.feed(connected("1.2") + SIZED)
    out = [*frames.feed(SIZED + SIZED[:end]), *frames.feed(SIZED[end:] + SIZED)]
    assert [(command, body) for command, _, body in out] == [message] * 3


def test_a_body_may_not_outgrow_its_limit_without_content_length(monkeypatch):
    monkeypatch.setattr(stomp_frames, "MAX_BODY_BYTES", 5000)
    assert read([HEAD + b"\n" + b"a" * 5000 + b"\0"])[0][0][2] == b"a" * 5000
    for tail in (b"", b"\0"):
        with pytest.raises(ProtocolError, match="body of over 5000 bytes"):
            read([HEAD + b"\n" + b"a" * 5001 + tail])


@pytest.mark.parametrize(
    ("version", "frame"),
    [
        ("", b"ACK\nid:a:b\\\n\n\0"),
        ("1.0", b"ACK\nid:a:b\\\n\n\0"),
        ("1.1", b"ACK\nid:a\\cb\\\\\n\n\0"),
        ("1.2", b"ACK\nid:a\\cb\\\\\n\n\0"),
    ],
)
def test_what_we_send_is_escaped_as_the_version_wants_it(version, frame):
    assert encode("ACK", [("id", "a:b\\")], version) == frame


@given(st.dictionaries(st.text(min_size=1), st.text(min_size=1)), st.sampled_from(["1.1", "1.2"]))
def test_escaping_is_undone(headers, version):
    headers = {name.replace("\r", ""): value for name, value in headers.items() if name.replace("\r", "")}
    headers = {name: value.replace("\r", "") for name, value in headers.items()} if version == "1.1" else headers
    headers = {**headers, "receipt-id": "1"} | {"content-length": "0"}
    (frame,), _ = read([encode("RECEIPT", headers.items(), version)], version)
    assert frame == ("RECEIPT", headers, b"")


@given(st.lists(st.binary(max_size=40)), st.sampled_from(["1.0", "1.1", "1.2"]))
def test_garbage_is_a_value_or_a_protocol_error(garbage, version):
    for start in (b"", SIZED):
        try:
            frames, _ = read([start, *garbage], version, lean=True)
        except ProtocolError:
            continue
        assert {command for command, _, _ in frames} <= {"MESSAGE", "RECEIPT", "ERROR"}


# Lines of a MESSAGE's head: the values that stand behind each name, the first of them in the usual message.
LINES = {
    "subscription": ["0", "1", ""],
    "message-id": ["t0-1", "ID\\c1\\\\", "\\c", "", "a" * 300, "a:b", "ä"],
    "destination": ["/topic/t0", "/topic/t1", "/topic\\c", "/topic/t0 "],
    "content-length": ["3", "4", "2", "x", "99999999", "03"],
    "x": ["y", "", "\\cy\\n", "\\r", "\\t", "\\", " ", "y\r", "\x7f", "\\c" * 20],
}


@st.composite
def messages(draw) -> list[bytes]:
    """MESSAGEs with the same headers in one order; in the third there may be something else in one of them."""
    names = draw(st.permutations(sorted(LINES)))[: draw(st.integers(4, 6))]
    body, eol = draw(st.sampled_from([b"a\0b", b"abc"])), draw(st.sampled_from(["\n", "\n", "\n", "\r\n"]))
    usual = {name: LINES[name][0] for name in names}
    name = draw(st.sampled_from(names))
    changed = usual | {name: draw(st.sampled_from(LINES[name]))}
    extra = draw(st.sampled_from([[], [], ["x:y"], ["content-length:7"], ["x"], [":y"]]))

    def frame(headers, more=()):
        lines = ["MESSAGE", *(f"{name}:{value}" for name, value in headers.items()), *more, "", ""]
        return eol.join(lines).encode() + body + b"\0"

    return [
        frame(usual),
        frame(usual),
        frame(changed, extra),
        draw(st.sampled_from([b"", b"\n", b"\r\n", frame(usual)])),
    ]


@given(messages(), st.randoms(use_true_random=False), st.sampled_from(["1.0", "1.1", "1.2"]))
def test_the_lean_path_and_any_cut_agree_with_the_general_path(frames, rng, version):
    stream = b"".join(frames)

    def outcome(pieces, *, lean):
        try:
            frames, beats = read(pieces, version, lean=lean)
        except ProtocolError as error:
            return str(error)
        return [(command, body) for command, _, body in frames], beats

    expected = outcome([stream], lean=False)
    assert outcome([stream], lean=True) == expected
    assert outcome(frames, lean=True) == expected
    assert outcome(cut(stream, rng), lean=True) == expected
    assert outcome(CUTS["bytes"](stream), lean=True) == expected
