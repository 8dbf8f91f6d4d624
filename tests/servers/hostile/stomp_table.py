"""What a hostile peer may try on a STOMP broker, and what it gets (STOMP 1.2; 1.1 and 1.0 where they differ).

The limits are those of ``LIMITS``. A list is said piece by piece, a number in it is a pause in seconds.
"""

import random
from typing import NamedTuple

from tests.servers.hostile.stomp_stage import masked

LIMITS = {
    "--headers": 20,
    "--header-bytes": 1000,
    "--publish-bytes": 4000,
    "--message-bytes": 200_000,
    "--queue-bytes": 100_000,
    "--subscriptions": 5,
    "--handshake": 1,
    "--request": 1,
    "--heartbeat": 1,
    "--published-topics": 50,
    "--log-events": 100,
}
ARGV = [word for flag, value in LIMITS.items() for word in (flag, str(value))]

PROTOCOL_ERROR, INVALID_DATA, POLICY, TOO_BIG, TRY_AGAIN = 1002, 1007, 1008, 1009, 1013


class Hostile(NamedTuple):
    """What is said, what the ERROR's message holds, what it is counted as, and a WebSocket's close code."""

    name: str
    said: bytes | list[bytes | float]
    message: str
    reason: str = "protocol_error"
    code: int = PROTOCOL_ERROR


def connect(version: bytes = b"1.2", more: bytes = b"") -> bytes:
    return b"CONNECT\naccept-version:" + version + b"\nhost:h\n" + more + b"\n\0"


C = connect()
OWN = b"destination:/topic/own\n"
SIZED = C + b"SEND\n" + OWN + b"content-length:"
FIRST = b"SEND\n" + OWN + b"\nx\0"  # there is a topic to subscribe to
SUBSCRIBE = b"SUBSCRIBE\nid:0\n" + OWN
WITH_ACK = C + FIRST + SUBSCRIBE + b"ack:client-individual\n\n\0" + FIRST
ARABIC = "\u0661".encode()  # a digit to str.isdigit and int
GARBAGE = random.Random(1).randbytes(300)
TLS_HELLO = bytes.fromhex("16030100f8010000f40303") + bytes(range(32))

TABLE = [
    # before CONNECT
    Hostile("SEND before CONNECT", FIRST, "CONNECT first"),
    Hostile("SUBSCRIBE before CONNECT", SUBSCRIBE + b"\n\0", "CONNECT first"),
    Hostile("an HTTP request", b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", "expected letters alone"),
    Hostile("a TLS hello", TLS_HELLO, "command"),
    Hostile("binary garbage", GARBAGE, "command", "header_too_big", TOO_BIG),
    Hostile("a NUL", b"\0", "NUL where a command"),
    Hostile("an unknown command", b"HELLO\n\n\0", "unknown command"),
    Hostile("connect in lower case", b"connect\naccept-version:1.2\nhost:h\n\n\0", "unknown command"),
    Hostile("a command that is not UTF-8", b"S\xffND\n\n\0", "not UTF-8"),
    Hostile("a command without end", b"A" * 100_000, "command of more than 64", "header_too_big", TOO_BIG),
    Hostile("CONNECT without host", b"CONNECT\naccept-version:1.2\n\n\0", "host"),
    Hostile("a version we do not speak", connect(b"1.3,2.0"), "accept-version"),
    Hostile("accept-version that is no list", connect(b"latest"), "accept-version"),
    Hostile("an empty accept-version", connect(b""), "accept-version"),
    *[
        Hostile(f"heart-beat {value!r}", connect(more=b"heart-beat:" + value + b"\n"), "heart-beat")
        for value in (
            b"",
            b"1",
            b"1,",
            b"-1,1",
            b"1,1,1",
            b"a,b",
            b"1.5,1",
            b"0x10,0",
            b"9999999999,1",
            ARABIC + b"," + ARABIC,
        )
    ],
    Hostile("CONNECT with a body", connect()[:-1] + b"body\0", "no NUL"),
    Hostile("CONNECT with a colon-less header", connect(more=b"header\n"), "name:value"),
    Hostile("silence", [b"", 0.0], "no CONNECT within 1 s", "handshake_timeout", POLICY),
    Hostile("heart-beats and no CONNECT", [b"\n", 0.5, b"\n", 0.4, b"\n"], "CONNECT", "handshake_timeout", POLICY),
    Hostile("half a CONNECT", [C[:9], 0.5, C[9:10], 0.4, C[10:11]], "CONNECT", "handshake_timeout", POLICY),
    # the frames' form
    Hostile("a second CONNECT", C + C, "no second CONNECT"),
    Hostile("STOMP after CONNECT", C + C.replace(b"CONNECT", b"STOMP"), "no second CONNECT"),
    Hostile("a server's frame", C + b"MESSAGE\n" + OWN + b"\nx\0", "unknown command"),
    Hostile("send in lower case", C + b"send\n" + OWN + b"\nx\0", "unknown command"),
    Hostile("a header without a colon", C + b"SEND\ndestination\n\nx\0", "name:value"),
    Hostile("a header without a name", C + b"SEND\n:x\n\nx\0", "name:value"),
    Hostile("an undefined escape", C + b"SEND\na:\\t\n\nx\0", "undefined escape"),
    Hostile("an escape of nothing", C + b"SEND\na:b\\\n\nx\0", "undefined escape"),
    Hostile("an escape of 1.2 in 1.1", connect(b"1.1") + b"SEND\na:\\r\n\nx\0", "undefined escape"),
    Hostile("CR inside a header", C + b"SEND\na:b\rc\n\nx\0", "carriage return"),
    Hostile("a header that is not UTF-8", C + b"SEND\na:\xff\n\nx\0", "not UTF-8"),
    Hostile("an overlong UTF-8 slash", C + b"SEND\na:\xc0\xaf\n\nx\0", "not UTF-8"),
    Hostile("a surrogate in UTF-8", C + b"SEND\na:\xed\xa0\x80\n\nx\0", "not UTF-8"),
    Hostile("NUL in a header", C + b"SEND\na:b\0c\n\nx\0", "NUL where a header"),
    Hostile("a frame cut short by NUL", C + b"SEND\n\0", "NUL where a header"),
    Hostile("a huge header", C + b"SEND\na:" + b"x" * 100_000 + b"\n\nx\0", "1000 bytes", "header_too_big", TOO_BIG),
    Hostile("thousands of headers", C + b"SEND\n" + b"a:b\n" * 5000, "more than 20 headers", "header_too_big", TOO_BIG),
    Hostile("a header without end", C + b"SEND\n" + b"a" * 1001, "1000 bytes", "header_too_big", TOO_BIG),
    Hostile("a huge body", C + b"SEND\n" + OWN + b"\n" + b"x" * 100_000, "4000 bytes", "body_too_big", TOO_BIG),
    Hostile(
        "a huge content-length and no body",
        SIZED + b"999999999999\n\n",
        "content-length is 999999999999, the limit is 4000",
        "body_too_big",
        TOO_BIG,
    ),
    *[
        Hostile(f"content-length {value!r}", SIZED + value + b"\n\nx\0", "content-length")
        for value in (b"", b"-1", b"+1", b"0x1", b"1.0", b"1e0", b" 1", b"1_0", b"1" * 20, ARABIC)
    ],
    Hostile("a content-length too small", SIZED + b"1\n\nxyz\0", "no NUL"),
    Hostile("a body where none may be", C + b"BEGIN\ntransaction:t\n\nbody\0", "no NUL"),
    Hostile(
        "a content-length where no body may be",
        C + b"BEGIN\ncontent-length:4\n\nbody\0",
        "the limit is 0",
        "body_too_big",
        TOO_BIG,
    ),
    Hostile(
        "a content-length too large, then silence",
        SIZED + b"100\n\nx\0",
        "not complete within 1 s",
        "request_timeout",
        POLICY,
    ),
    Hostile("no NUL, then silence", C + b"SEND\n" + OWN + b"\nx", "within 1 s", "request_timeout", POLICY),
    Hostile("half a header, then silence", C + b"SEND\ndesti", "within 1 s", "request_timeout", POLICY),
    Hostile(
        "a frame a byte at a time", [C + b"S", 0.4, b"E", 0.4, b"N", 0.4, b"D"], "within 1 s", "request_timeout", POLICY
    ),
    # what the frames say
    Hostile(
        "SUBSCRIBE to an unknown topic",
        C + b"SUBSCRIBE\nid:0\ndestination:/topic/nowhere\n\n\0",
        "nowhere",
        "unknown_topic",
    ),
    Hostile("SUBSCRIBE to a queue", C + b"SUBSCRIBE\nid:0\ndestination:/queue/own\n\n\0", "/topic/NAME"),
    Hostile(
        "SUBSCRIBE to a path",
        C + b"SUBSCRIBE\nid:0\ndestination:/topic/../../etc/passwd\n\n\0",
        "etc/passwd",
        "unknown_topic",
    ),
    Hostile("SUBSCRIBE without id", C + FIRST + b"SUBSCRIBE\n" + OWN + b"\n\0", "header id"),
    Hostile("an id in use", C + FIRST + (SUBSCRIBE + b"\n\0") * 2, "in use"),
    Hostile(
        "a long id",
        C + FIRST + b"SUBSCRIBE\nid:" + b"x" * 500 + b"\n" + OWN + b"\n\0",
        "255",
        "header_too_big",
        TOO_BIG,
    ),
    Hostile("an unknown ack mode", C + FIRST + SUBSCRIBE + b"ack:never\n\n\0", "ack is"),
    Hostile("client-individual in 1.0", connect(b"1.0") + FIRST + SUBSCRIBE + b"ack:client-individual\n\n\0", "ack is"),
    *[
        Hostile(f"after {value!r}", C + FIRST + SUBSCRIBE + b"after:" + value + b"\n\n\0", "after is")
        for value in (b"", b"-1", b"1.5", b"x", b"9" * 30, "²".encode())
    ],
    Hostile("after the end", C + FIRST + SUBSCRIBE + b"after:999999\n\n\0", "the log holds", "gone"),
    Hostile(
        "one subscription too many",
        C + FIRST + b"".join(b"SUBSCRIBE\nid:%d\n" % n + OWN + b"\n\0" for n in range(6)),
        "more than 5",
        "too_many_subscriptions",
        POLICY,
    ),
    Hostile("UNSUBSCRIBE of nothing", C + b"UNSUBSCRIBE\nid:0\n\n\0", "no such subscription"),
    Hostile("ACK of nothing", C + b"ACK\nid:1/0\n\n\0", "no such message"),
    Hostile("ACK of what is not sent yet", WITH_ACK + b"ACK\nid:99999/0\n\n\0", "not waiting"),
    Hostile("ACK of seq 0", WITH_ACK + b"ACK\nid:0/0\n\n\0", "no such message"),
    Hostile("ACK by message-id in 1.2", WITH_ACK + b"ACK\nmessage-id:own-2\nsubscription:0\n\n\0", "header id"),
    Hostile("ACK in ack:auto", C + FIRST + SUBSCRIBE + b"\n\0" + FIRST + b"ACK\nid:2/0\n\n\0", "ack:auto"),
    Hostile("NACK in 1.0", connect(b"1.0") + b"NACK\nmessage-id:own-1\n\n\0", "unknown command"),
    Hostile("SEND to a scheduled topic", C + b"SEND\ndestination:/topic/t0\n\nx\0", "schedule", "scheduled_topic"),
    Hostile("SEND to an ill-named topic", C + b"SEND\ndestination:/topic/a b\n\nx\0", "a b", "bad_topic"),
    Hostile("SEND to nowhere", C + b"SEND\n\nx\0", "header destination"),
    Hostile("SEND of what is not UTF-8", C + b"SEND\n" + OWN + b"\n\xff\0", "not UTF-8"),
    Hostile(
        "SEND with more headers than it may",
        C + b"SEND\n" + OWN + b"".join(b"%d:" % n + b"x" * 900 + b"\n" for n in range(2)) + b"\nx\0",
        "your own",
        "header_too_big",
        TOO_BIG,
    ),
    Hostile(
        "more topics than there may be",
        C + b"".join(b"SEND\ndestination:/topic/many%d\n\nx\0" % n for n in range(51)),
        "at most 50",
        "too_many_topics",
        TRY_AGAIN,
    ),
    Hostile("COMMIT of nothing", C + b"COMMIT\ntransaction:t\n\n\0", "not open"),
    Hostile("ABORT of nothing", C + b"ABORT\ntransaction:t\n\n\0", "not open"),
    Hostile("BEGIN without a name", C + b"BEGIN\n\n\0", "header transaction"),
    Hostile("BEGIN twice", C + b"BEGIN\ntransaction:t\n\n\0" * 2, "open already"),
    Hostile("SEND in no transaction", C + b"SEND\n" + OWN + b"transaction:t\n\nx\0", "not open"),
    Hostile(
        "a scheduled topic in a transaction",
        C + b"BEGIN\ntransaction:t\n\n\0SEND\ndestination:/topic/t0\ntransaction:t\n\nx\0",
        "schedule",
        "scheduled_topic",
    ),
    Hostile(
        "a hundred transactions and one",
        C + b"".join(b"BEGIN\ntransaction:%d\n\n\0" % n for n in range(101)),
        "100 open",
        "too_many_transactions",
        POLICY,
    ),
    Hostile(
        "a thousand frames in a transaction and one",
        C + b"BEGIN\ntransaction:t\n\n\0" + (b"SEND\n" + OWN + b"transaction:t\n\nx\0") * 1001,
        "1000 frames",
        "too_many_transactions",
        POLICY,
    ),
]

# On a WebSocket in addition, below STOMP: bytes instead of a message, and the close code (RFC 6455, 7.4.1).
BELOW = [
    ("an unmasked frame", masked(1, C, mask=False), PROTOCOL_ERROR),
    ("a message too long", masked(1, b"\n" * 200_001), TOO_BIG),
    ("a length of 2^62", b"\x81\xff" + (1 << 62).to_bytes(8, "big") + bytes(4), TOO_BIG),
    ("a message too long in fragments", masked(1, b"\n" * 150_000, fin=False) + masked(0, b"\n" * 150_000), TOO_BIG),
    ("text that is not UTF-8", masked(1, b"SEND\n\xff"), INVALID_DATA),
    ("text cut inside a character", masked(1, "ä".encode()[:1]), INVALID_DATA),
    ("a continuation of nothing", masked(0, C), PROTOCOL_ERROR),
    ("a message inside a message", masked(1, C, fin=False) + masked(1, C), PROTOCOL_ERROR),
    ("a reserved opcode", masked(3, C), PROTOCOL_ERROR),
    ("a reserved bit", b"\xa1" + masked(1, C)[1:], PROTOCOL_ERROR),
    ("compression that was not agreed", b"\xc1" + masked(1, C)[1:], PROTOCOL_ERROR),
    ("a ping in fragments", masked(9, b"", fin=False), PROTOCOL_ERROR),
    ("a ping too long", masked(9, b"x" * 126), PROTOCOL_ERROR),
    ("a close of one byte", masked(8, b"x"), PROTOCOL_ERROR),
    ("a close code that never travels", masked(8, b"\x03\xee"), PROTOCOL_ERROR),
    ("a length that is not the shortest", b"\x81\xfe\x00\x05" + bytes(4) + b"\n" * 5, PROTOCOL_ERROR),
]
# What no rule forbids: CONNECT however it is cut into messages, and whatever is in one with it.
WELCOME = [
    ("binary", masked(2, C)),
    ("split over messages", b"".join(masked(1, C[at : at + 1]) for at in range(len(C)))),
    ("split over fragments", masked(1, C[:5], fin=False) + masked(9, b"ping") + masked(0, C[5:])),
    ("several in a message", masked(1, b"\n" + C + b"BEGIN\ntransaction:t\n\n\0\n")),
    ("text and binary", masked(1, C[:9]) + masked(2, C[9:])),
    ("an empty message", masked(1, b"") + masked(1, C)),
]
