"""Fuzz whole clients: whatever a server says, and whenever it goes, the client goes on, and stops when it is told to.

Pieces of what servers say come in any order and cut anywhere, with ends, errors and time in between. A client then has
a connection, or has asked for one, or for the time at which it will; and nothing but that.
"""

import base64
import hashlib
import re

from fuzzing import expand, instrumented, main, spell

with instrumented():
    from loadtests.clients import Subscriber, long_polling, polling, sse, stomp, websocket

from tests.loadtests.by_hand import event, subscriber
from tests.loadtests.pulling_hand import PullingHand, answer, status

CLIENTS = [
    (polling.client, polling.Options(interval_s=0), "/poll/t0"),
    (polling.client, polling.Options(interval_s=1, keep_alive=False), "/poll/t0"),
    (polling.client, polling.Options(interval_s=1, mode="latest"), "/poll/t0"),
    (long_polling.client, long_polling.Options(), "/long-poll/t0"),
    (sse.client, sse.Options(), "/sse/t0"),
    (websocket.client, websocket.Options(compression=True, ping_interval_s=1), "/ws/t0"),
    (stomp.client, stomp.Options(), "/stomp"),
    (stomp.client, stomp.Options(ack="client", heart_beat_receive_s=1, heart_beat_send_s=1), ""),
]
UPGRADE, END, RESET, RING = b"<upgrade>", b"<end>", b"<reset>", b"<ring>"
BODY = event(1)
MESSAGE = b"MESSAGE\nsubscription:0\nmessage-id:t0-1\nack:a\ndestination:/topic/t0\ncontent-length:%d\n\n%b\0" % (
    len(BODY),
    BODY,
)
WORDS = [
    UPGRADE, END, RESET, RING, UPGRADE, END, RING,
    answer(1, 2), answer(3), status(204), status(304), status(410, b'{"oldest": 5, "newest": 9}'), status(503),
    status(401),
    b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.2/x\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 301 Moved\r\nLocation: /poll/t0\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<html>",
    b"id: 1\ndata: %b\n\n" % BODY, b":\n\n", b"retry: 5\n\n", b"id: x\ndata: y\n\n",
    b"\x81\x7e%b%b" % (len(BODY).to_bytes(2, "big"), BODY), b"\x89\x00", b"\x88\x02\x03\xe8",
    b"\x88\x02\x11\x3a", b"\x81\x01", b"\xc1\x05\xf2\x48\xcd\xc9\xc9\x07\x00", b"\x82\x03", b"\x8a\x00",
    b"CONNECTED\nversion:1.2\nheart-beat:500,500\n\n\0", MESSAGE, b"RECEIPT\nreceipt-id:subscribed\n\n\0",
    b"RECEIPT\nreceipt-id:bye\n\n\0", b"ERROR\nmessage:oldest 5 newest 9\n\n\0", b"\n",
    b"MESSAGE\nsubscription:9\n\n\0",
    b"\0", b"\x82\x7e\x00\x2c", b"\xff" * 9,
]  # fmt: skip
_SCRIPT = re.compile(b"(" + b"|".join(map(re.escape, (UPGRADE, END, RESET, RING))) + b")")
STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
CONNECTED, RECEIPT = WORDS[WORDS.index(MESSAGE) - 1], WORDS[WORDS.index(MESSAGE) + 1]
TEXT = b"\x81\x7e%b%b" % (len(BODY).to_bytes(2, "big"), BODY)
SEEDS = [
    spell(WORDS, *parts)
    for parts in (
        (b"\0", answer(1, 2), status(204), status(410, b'{"oldest": 5, "newest": 9}'), RING, answer(3)),
        (b"\3", status(204), answer(3), status(503), RING, RING, answer(1, 2), END),
        (b"\4", STREAM, b"id: 1\ndata: %b\n\n" % BODY, b":\n\n", END, RING, RING, STREAM, RESET),
        (b"\5", RING, UPGRADE, TEXT, b"\x89\x00", RING, b"\x8a\x00"),
        (b"\6", RING, UPGRADE, b"\x82\x7e\x00\x2c", CONNECTED, END),
        (b"\7", CONNECTED, RECEIPT, MESSAGE, RING, RING, RING, RING),
        (b"\7", CONNECTED, RECEIPT, MESSAGE, b"\n", b"ERROR\nmessage:oldest 5 newest 9\n\n\0"),
    )
]


def accepted(request: bytes) -> bytes:
    """The 101 that fits the request; for another one, nothing."""
    found = re.search(rb"Sec-WebSocket-Key: (\S+)", request)
    if not found:
        return b""
    key = base64.b64encode(hashlib.sha1(found[1] + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())
    return (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: %b\r\n%b\r\n" % (key, b"Sec-WebSocket-Protocol: v12.stomp\r\n" * (b"v12" in request))
    )


def play(hand: PullingHand, piece: bytes) -> None:
    """Let one thing happen that can."""
    if not hand.open:
        if hand.wake_ns:
            hand.ring()
        else:
            hand.connect()
    elif piece == UPGRADE:
        hand.receive(accepted(hand.take()))
    elif piece in (END, RESET):
        hand.end("reset" if piece == RESET else "")
    elif piece == RING:
        if hand.wake_ns:
            hand.ring()
    else:
        hand.receive(piece)


def check(data: bytes) -> None:
    """The first byte says which client."""
    make, options, path = CLIENTS[data[0] % len(CLIENTS) if data else 0]
    who: Subscriber = subscriber(path)
    hand = PullingHand(make(who, options))
    for piece in _SCRIPT.split(expand(data[1:], WORDS)):
        if piece and not hand.ended:
            connects = hand.connects
            play(hand, piece)
            assert hand.ended or hand.open or hand.wake_ns or hand.connects > connects or not connects
    if not hand.ended:
        hand.stop()
    while not hand.ended:  # a goodbye that waits for the server's
        hand.end()
    assert all(len(close.why) < 400 for close in hand.closes)


if __name__ == "__main__":
    main(check, SEEDS)
