"""What a STOMP broker can do wrong, over TCP and over WebSocket; ``stage`` 0 answers CONNECT, 1 follows SUBSCRIBE."""

from tests.loadtests.by_hand import event
from tests.loadtests.hostile.rig import Entry

GONE = "ended by the peer|reset by peer|ECONNRESET"
UNENDING = "body of over|timeout after 1 s"
TOO_LATE = "timeout after 1 s"
CONNECTED = b"CONNECTED\nversion:1.2\n\n\0"
RECEIPT = b"RECEIPT\nreceipt-id:subscribed\n\n\0"


def message(
    seq: int, body: bytes = b"", headers: bytes = b"", topic: bytes = b"t0", subscription: bytes = b"0"
) -> bytes:
    """A MESSAGE with an event."""
    body = body or event(seq)
    return (
        b"MESSAGE\nsubscription:%b\nmessage-id:t0-%d\ndestination:/topic/%b\n%bcontent-length:%d\n\n%b\0"
        % (subscription, seq, topic, headers, len(body), body)
    )  # fmt: skip


CONNECT = (
    Entry("silence", b"", TOO_LATE),
    Entry("the end", b"", GONE, "end"),
    Entry("a reset", b"", GONE, "reset"),
    Entry("half a frame, then silence", CONNECTED[:9], TOO_LATE),
    Entry("half a frame, then the end", CONNECTED[:9], GONE, "end"),
    Entry("half a frame, then a reset", CONNECTED[:9], GONE, "reset"),
    Entry("line feeds for ever", (b"\n" * 9999,), TOO_LATE, "endless"),
    Entry("an ERROR", b"ERROR\nmessage:go away\n\nreally\0", "ERROR go away"),
    Entry("an ERROR without anything", b"ERROR\n\n\0", "ERROR without message"),
    Entry("an ERROR with an endless body", (b"ERROR\nmessage:x\n\n", b"y" * 65536), UNENDING, "endless"),
    Entry("an ERROR of control characters", b"ERROR\nmessage:\x1b[2J\x07\n\n\0", "ERROR"),
    Entry("a version nobody offered", b"CONNECTED\nversion:2.0\n\n\0", "version '2.0', expected"),
    Entry("a version in words", b"CONNECTED\nversion:newest\n\n\0", "version 'newest', expected"),
    Entry("heart-beats in words", b"CONNECTED\nversion:1.2\nheart-beat:often\n\n\0", "heart-beat 'often', expected"),
    Entry("negative heart-beats", b"CONNECTED\nversion:1.2\nheart-beat:-1,-1\n\n\0", "heart-beat '-1,-1', expected"),
    Entry("heart-beats beyond 64 bits", b"CONNECTED\nversion:1.2\nheart-beat:0,%b\n\n\0" % (b"9" * 40), "heart-beat"),
    Entry("a MESSAGE before CONNECTED", message(1), "MESSAGE before CONNECTED"),
    Entry("a RECEIPT before CONNECTED", RECEIPT, "RECEIPT before CONNECTED"),
    Entry("a frame nobody knows", b"HELLO\n\n\0", "command 'HELLO"),
    Entry("a client's frame", b"SEND\ndestination:/topic/t0\n\nx\0", "command 'SEND"),
    Entry("a command without end", b"CONNECTED" * 99, "command 'CONNECTED"),
    Entry("HTTP", b"HTTP/1.1 400 Bad Request\r\n\r\n", "command 'HTTP"),
    Entry("TLS", b"\x15\x03\x01\x00\x02\x02\x46" * 9, "command"),
    Entry("NULs", b"\0" * 99, "command"),
    Entry("bad UTF-8", b"CONNECTED\nversion:1.\xff\n\n\0", "expected UTF-8"),
    Entry("a header without colon", b"CONNECTED\nversion\n\n\0", "expected name:value"),
    Entry("endless headers", (b"CONNECTED\n", b"a:b\n" * 99), "headers of over", "endless"),
    Entry("an endless header", (b"CONNECTED\nserver:", b"x" * 9999), "headers of over", "endless"),
)  # fmt: skip

SUBSCRIBED = tuple(
    Entry(f"subscribed: {name}", says, counted, then, corrupted, stage=1)
    for name, says, counted, then, corrupted in (
        ("silence", b"", "silent for 1 s", "hold", 0),
        ("the end", b"", GONE, "end", 0),
        ("a reset", b"", GONE, "reset", 0),
        ("half a frame, then silence", message(1)[:-9], "silent for 1 s", "hold", 0),
        ("half a frame, then a reset", message(1)[:-9], GONE, "reset", 0),
        ("an ERROR", b"ERROR\nmessage:shutting down\n\n\0", "ERROR shutting down", "hold", 0),
        ("CONNECTED again", CONNECTED, "CONNECTED after CONNECTED", "hold", 0),
        ("a RECEIPT nobody asked for", b"RECEIPT\nreceipt-id:7\n\n\0", "RECEIPT for '7', expected", "hold", 0),
        ("the same RECEIPT again", RECEIPT, "RECEIPT for 'subscribed', expected none", "hold", 0),
        ("a RECEIPT of nothing", b"RECEIPT\n\n\0", "RECEIPT without receipt-id", "hold", 0),
        ("another subscription's MESSAGE", message(1, subscription=b"9"), "MESSAGE for subscription '9'", "hold", 0),
        ("another destination's MESSAGE", message(1, topic=b"t9"), "MESSAGE from '/topic/t9'", "hold", 0),
        ("a MESSAGE without headers", b"MESSAGE\n\nx\0", "MESSAGE without destination", "hold", 0),
        ("another topic's event", message(1, event(1, "t9")), "", "hold", 1),
        ("no JSON", message(1, b"oops"), "", "hold", 1),
        ("NaN", message(1, event(1).replace(b'"due_ns": 5', b'"due_ns": NaN')), "", "hold", 1),
        ("a time beyond 64 bits", message(1, event(1).replace(b"5", b"9" * 30)), "", "hold", 1),
        ("nested deep", message(1, b"[" * 200_000), "", "hold", 1),
        ("a body of bad UTF-8", message(1, event(1).replace(b"price", b"pri\xffe")), "", "hold", 1),
        ("seqs that go back", message(3) + message(1) + message(2), "", "hold", 0),
        ("the same event again and again", message(1) * 2000, "", "hold", 0),
        ("a negative length", message(1).replace(b"length:", b"length:-"), "content-length '-", "hold", 0),
        ("a length in words", message(1).replace(b"length:", b"length:x"), "content-length 'x", "hold", 0),
        ("a length of a gigabyte",
          message(1).replace(b"length:", b"length:1000000"), "body of N bytes, expected", "hold", 0),
        ("a length too short", message(1).replace(b"length:1", b"length:"), "expected NUL", "hold", 0),
        ("a length too long", message(1).replace(b"length:1", b"length:2"), "silent for 1 s|expected NUL", "hold", 0),
        ("a body without end",
          (message(1)[:60] + b"\n\n", b"x" * 65536), "body of over|headers of over|expected", "endless", 0),
        ("an undefined escape", message(1, headers=b"x:\\t\n"), "undefined escape", "hold", 0),
        ("an escape cut short", message(1, headers=b"x:y\\\n"), "undefined escape", "hold", 0),
        ("a colon too many", message(1, headers=b"x:y:z\n"), "expected name:value", "hold", 0),
        ("a CR in a header", message(1, headers=b"x:y\rz\n"), "CR inside header", "hold", 0),
        ("a thousand headers", message(1, headers=b"x:y\n" * 1000), "", "hold", 0),
        ("a header of a megabyte", message(1, headers=b"x:" + b"y" * 2**20 + b"\n"), "headers of over", "hold", 0),
        ("junk between frames", message(1) + b"junk" + message(2), "command 'junk", "hold", 0),
        ("CRs between frames", message(1) + b"\r\r" + message(2), "between frames", "hold", 0),
    )
)  # fmt: skip
