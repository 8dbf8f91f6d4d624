"""Our two WebSocket decoders against a third one that shares no code with them: the sans-I/O half of ``websockets``.

Whatever frames come, in order or out of it, whole or cut, masked or not: the same messages, and the same mistake. Where
``websockets`` and we read the specification differently, it is written down here (``KNOWN``).
"""

import codecs
import logging
import random
import struct
import zlib

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from websockets.client import ClientProtocol
from websockets.exceptions import ProtocolError as TheirError
from websockets.extensions.permessage_deflate import PerMessageDeflate
from websockets.frames import Opcode
from websockets.protocol import OPEN, Protocol
from websockets.server import ServerProtocol
from websockets.uri import parse_uri

from loadtests.clients.websocket_frames import Deflate as OurDeflate
from loadtests.clients.websocket_frames import FrameError, Messages
from loadtests.clients.websocket_frames import parse_close as client_close
from servers.websocket_connection import Connection
from servers.websocket_deflate import InflateStream, Settings, negotiate
from servers.websocket_frames import CLOSE, TEXT, Close, Decoder, Message, Ping, ProtocolError
from tests.servers.fakes import Clock, Transport, make_site

LIMIT = 300
QUIET = logging.getLogger("tests.quiet")
QUIET.disabled = True
# A close frame may stand within a fragmented message (5.4: control frames may be injected); ``websockets`` minds.
KNOWN = "incomplete fragmented message"
CLOSE_REASON = -1007  # a reason that is not UTF-8; ``websockets`` says so before it has looked at the code
Said = tuple[
    list[tuple[int, bytes]], int
]  # opcodes and payloads, and the code of the mistake that ended them (0: none)


def theirs(side: str, *extensions: PerMessageDeflate, limit: int = LIMIT) -> Protocol:
    if side == "server":
        protocol = ServerProtocol(state=OPEN, max_size=limit, logger=QUIET)
    else:
        protocol = ClientProtocol(parse_uri("ws://test/"), state=OPEN, max_size=limit, logger=QUIET)
    protocol.extensions = list(extensions)
    return protocol


def reference(protocol: Protocol, wire: bytes) -> Said:
    """Read with ``websockets``, which hands on frames, and put them together."""
    protocol.receive_data(wire)
    out, whole, kind, utf8 = [], b"", 0, None
    for frame in protocol.events_received():
        if frame.opcode > Opcode.BINARY:
            out.append((int(frame.opcode), bytes(frame.data)))
            continue
        if frame.opcode is not Opcode.CONT:
            kind, whole = int(frame.opcode), b""
            utf8 = codecs.getincrementaldecoder("utf-8")() if kind == TEXT else None
        whole += frame.data
        try:
            if utf8:
                utf8.decode(frame.data, frame.fin)
        except UnicodeDecodeError:
            return out, 1007
        if frame.fin:
            out.append((kind, whole))
    if protocol.parser_exc is None:
        return out, 0
    if isinstance(protocol.parser_exc, TheirError) and KNOWN in str(protocol.parser_exc):
        return [*out, (CLOSE, b"")], 0
    if isinstance(protocol.parser_exc, UnicodeDecodeError):
        return out, CLOSE_REASON
    return out, protocol.close_sent.code


def ours_as_server(wire: bytes, cut: random.Random, stream: InflateStream | None = None) -> Said:
    decoder, out = Decoder(LIMIT, stream), []
    try:
        while wire:
            size = cut.randrange(1, 40)
            for event in decoder.feed(wire[:size]):
                if isinstance(event, Message):
                    out.append((1 if event.text else 2, event.data))
                elif isinstance(event, Close):
                    code = b"" if event.code is None else event.code.to_bytes(2, "big")
                    out.append((CLOSE, code + event.reason.encode()))
                elif event is not None:
                    out.append((9 if isinstance(event, Ping) else 10, event.data))
            wire = wire[size:]
    except ProtocolError as error:
        return out, error.code
    return out, 0


def ours_as_client(wire: bytes, cut: random.Random, agreed: OurDeflate | None = None) -> Said:
    messages, out = Messages(agreed, LIMIT), []
    while wire:
        size = cut.randrange(1, 40)
        out += [(opcode, bytes(payload)) for opcode, payload in messages.feed(memoryview(wire[:size]))]
        wire = wire[size:]
    error = messages.broken
    if error is None and out and out[-1][0] == CLOSE:
        try:
            client_close(out[-1][1])
        except Exception as bad:  # noqa: BLE001  it is looked at below
            error = bad
            out.pop()
    return out, 0 if error is None else error.code if isinstance(error, FrameError) else 1002


def frame(fin: bool, rsv: int, opcode: int, payload: bytes, key: bytes | None) -> bytes:
    first, size, mask = fin << 7 | rsv << 4 | opcode, len(payload), 0 if key is None else 0x80
    head = struct.pack("!BB", first, mask | size) if size < 126 else struct.pack("!BBH", first, mask | 126, size)
    if key is None:
        return head + payload
    return head + key + bytes(byte ^ key[index % 4] for index, byte in enumerate(payload))


PAYLOADS = st.one_of(
    st.text(max_size=20).map(str.encode),
    st.binary(max_size=130),
    st.sampled_from([b"", b"x" * 125, b"x" * 126, b"\xce", b"\xba", b"\xed\xa0\x80", b"\x03\xe8", b"\x03\xe8bye"]),
    st.sampled_from([code.to_bytes(2, "big") for code in (0, 999, 1004, 1005, 1007, 1014, 1015, 2999, 3000, 5000)]),
)  # fmt: skip
SOME = st.tuples(
    st.sampled_from([True, True, True, False]),
    st.sampled_from([0] * 12 + [1, 2, 4]),
    st.sampled_from([1, 1, 1, 2, 0, 0, 9, 10, 8, 3, 11]),
    PAYLOADS,
    st.sampled_from([True] * 12 + [False]),  # masked as it must be
)


def compare(expected: Said, found: Said) -> None:
    """The same messages, the same mistake; ``websockets`` looks at a length before it looks at the bits."""
    (messages, code), (our_messages, our_code) = expected, found
    if messages and messages[-1] == (CLOSE, b"") and our_messages[-1:] != messages[-1:] and not our_code:
        assert our_messages[-1][0] == CLOSE  # KNOWN, and it does not say what the close said
        our_messages = [*our_messages[:-1], (CLOSE, b"")]
    assert our_messages == messages
    assert our_code == code or (code, our_code) in {(1009, 1002), (CLOSE_REASON, 1002), (CLOSE_REASON, 1007)}


@settings(max_examples=400, deadline=None)
@given(st.lists(SOME, max_size=8), st.binary(min_size=4, max_size=4), st.randoms(use_true_random=False))
@example([(False, 0, 1, b"a", True), (True, 0, 8, b"\x03\xe8bye", True)], b"key!", random.Random(1))
@example(
    [(False, 0, 1, b"\xce", True), (True, 0, 9, b"?", True), (True, 0, 0, b"\xba", True)], b"key!", random.Random(1)
)
def test_any_frames_mean_the_same_to_the_server(frames, key, cut):
    wire = b"".join(frame(*each[:4], key if each[4] else None) for each in frames)
    compare(reference(theirs("server"), wire), ours_as_server(wire, cut))


@settings(max_examples=400, deadline=None)
@given(st.lists(SOME, max_size=8), st.binary(min_size=4, max_size=4), st.randoms(use_true_random=False))
@example([(False, 0, 1, b"a", True), (True, 0, 8, b"\x03\xe8bye", True)], b"key!", random.Random(1))
def test_any_frames_mean_the_same_to_the_client(frames, key, cut):
    wire = b"".join(frame(*each[:4], None if each[4] else key) for each in frames)
    expected, code = reference(theirs("client"), wire)
    found, our_code = ours_as_client(wire, cut)
    if code == 1007 and our_code != 1007:  # text is looked at when it is whole (8.1 leaves it to us)
        assert our_code in (0, 1002, 1009)
        assert found[: len(expected)] == expected
        assert all(opcode > 2 for opcode, _ in found[len(expected) :])
        return
    compare((expected, code), (found, our_code))


MESSAGES = st.lists(st.tuples(st.text(alphabet="abcdé€", max_size=LIMIT // 3), st.integers(1, 4)), max_size=8)
BITS = st.integers(9, 15)


@settings(deadline=None)
@given(MESSAGES, BITS, st.booleans(), st.randoms(use_true_random=False))
def test_what_they_compress_we_inflate(messages, bits, reset, cut):
    for side in ("server", "client"):
        peer = theirs("client" if side == "server" else "server", PerMessageDeflate(reset, reset, bits, bits))
        for text, count in messages:
            data = text.encode()
            size = max(1, -(-len(data) // count))
            pieces = [data[at : at + size] for at in range(0, len(data), size)] or [b""]
            for number, piece in enumerate(pieces):
                fin = number == len(pieces) - 1
                (peer.send_continuation if number else peer.send_text)(piece, fin)
        wire = b"".join(peer.data_to_send())
        if side == "server":
            found = ours_as_server(wire, cut, InflateStream(bits, no_context_takeover=reset))
        else:
            found = ours_as_client(wire, cut, OurDeflate(bits, reset))
        assert found == ([(TEXT, text.encode()) for text, _ in messages], 0)


@settings(deadline=None)
@given(MESSAGES, BITS, st.booleans())
def test_what_we_compress_they_inflate(messages, bits, reset):
    offer = [("server_max_window_bits", str(bits)), *([("server_no_context_takeover", None)] if reset else [])]
    agreement = negotiate([("permessage-deflate", offer)], Settings(window_bits=15, min_bytes=0))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("asyncio.get_running_loop", lambda: _Loop)
        connection = Connection(make_site(Clock()), Transport(), agreement, Settings(min_bytes=0), LIMIT)
    peer = theirs("client", PerMessageDeflate(reset, True, bits, 15))
    wire = b"".join(connection.frame(text.encode()) for text, _ in messages)
    assert reference(peer, wire) == ([(TEXT, text.encode()) for text, _ in messages], 0)


class _Loop:
    @staticmethod
    def create_future() -> None:
        return None


@given(st.binary(max_size=60), st.booleans())
def test_compressed_garbage_is_refused_by_both_or_means_the_same(garbage, reset):
    wire = frame(True, 4, 2, garbage, b"\0\0\0\0")
    expected = reference(theirs("server", PerMessageDeflate(reset, reset, 15, 15)), wire)
    found = ours_as_server(wire, random.Random(1), InflateStream(15, no_context_takeover=reset))
    if zlib_ends(garbage):
        return  # a final block: ``websockets`` stops there, RFC 7692 7.2.3.4 goes on
    assert found[0] == expected[0]
    assert bool(found[1]) == bool(expected[1])


def zlib_ends(data: bytes) -> bool:
    stream = zlib.decompressobj(-15)
    try:
        stream.decompress(data + b"\0\0\xff\xff", LIMIT + 1)
    except zlib.error:
        return False
    return stream.eof
