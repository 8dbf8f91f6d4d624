"""Fuzz the client's handshake: any answer is a channel, a loss or a ProtocolError, the same however it is cut."""

from unittest import mock

from fuzzing import expand, instrumented, main, pieces, spell

with instrumented():
    from loadtests.clients import Data, Progress, ProtocolError
    from loadtests.clients.lifetime import Lost
    from loadtests.clients.websocket_upgrade import Offer, upgrade

from tests.loadtests.by_hand import subscriber

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
ACCEPT = b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
SWITCHING = b"HTTP/1.1 101 Switching Protocols\r\n"
WORDS = [
    SWITCHING + b"Upgrade: websocket\r\nConnection: Upgrade\r\n" + ACCEPT, SWITCHING, b"HTTP/1.1 101 \r\n", ACCEPT,
    b"Upgrade: websocket\r\n", b"Connection: Upgrade\r\n", b"\r\n", b"HTTP/1.1 103 Early\r\n\r\n",
    b"HTTP/1.1 503 Busy\r\n", b"HTTP/1.1 302 Found\r\nLocation: /x\r\n", b"Sec-WebSocket-Extensions: ",
    b"permessage-deflate",
    b"; server_no_context_takeover", b"; client_max_window_bits=", b"; server_max_window_bits=", b"8", b"15", b'"9"',
    b"Sec-WebSocket-Protocol: ", b"v12.stomp", b"v99", b", ", b"\x81\x05Hello", b"HTTP/1.0 101 \r\n", b" folded\r\n",
    b"Content-Length: 5\r\n", b"\xff", b"\0", b"X: " + b"y" * 9000 + b"\r\n", b"HTTP/1.1 101 ",
]  # fmt: skip
GOOD, DEFLATE = WORDS[0], b"permessage-deflate"
SEEDS = [
    spell(WORDS, *parts)
    for parts in (
        (b"\0\1", GOOD, b"\r\n", b"\x81\x05Hello"),
        (b"\1\2", GOOD, WORDS[10], DEFLATE, b"; server_max_window_bits=", b"8", b"\r\n", b"\r\n"),
        (b"\3\2", GOOD, WORDS[10], DEFLATE, b"; client_max_window_bits=", b"15", b"\r\n", b"\r\n"),
        (b"\2\3", b"HTTP/1.1 103 Early\r\n\r\n", GOOD, b"Sec-WebSocket-Protocol: ", b"v12.stomp", b"\r\n", b"\r\n"),
        (b"\0\5", b"HTTP/1.1 503 Busy\r\n", b"\r\n"),
        (b"\0\5", SWITCHING, ACCEPT, b"\r\n"),
    )
]
OFFERS = (
    (),
    (Offer(server_no_context=False, client_no_context=False, server_bits=0, client_bits=15),),
    (Offer(server_no_context=True, client_no_context=True, server_bits=9, client_bits=0),),
)


def outcome(data: list[bytes], number: int) -> object:
    """What comes of an answer; "more" when it is not whole."""
    who = subscriber("/ws/t0")
    names = ("v12.stomp", "v11.stomp") if number & 2 else ()
    talk = upgrade(Progress(0, who, who), "after=0", OFFERS[number % 3], names)
    next(talk)
    rest = list(data)
    try:
        while rest:
            talk.send(Data(memoryview(bytearray(rest.pop(0))), 1))
    except StopIteration as end:
        channel = end.value
        inflater = channel.messages._inflater
        agreed = inflater and inflater._agreed
        assert agreed is None or 8 <= agreed.window_bits <= 15
        return channel.first + b"".join(rest), channel.upgraded, agreed
    except Lost as lost:
        return str(lost), lost.retry_ns, lost.onward
    except ProtocolError as error:
        return str(error)
    return "more"


def check(data: bytes) -> None:
    """The first byte says what we offer, the second where to cut."""
    number, wire = data[0] % 12 if data else 0, expand(data[2:], WORDS)
    with mock.patch("websockets.client.generate_key", return_value=KEY):
        whole = outcome([wire], number)
        cut = outcome(pieces(wire, [*data[1:2], 1, 50]), number)
    assert cut == whole


if __name__ == "__main__":
    main(check, SEEDS)
