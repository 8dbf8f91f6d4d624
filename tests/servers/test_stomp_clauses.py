"""The STOMP specifications clause by clause: a sentence of theirs, what a client does, what it has to hear.

What is bytes in the second column is said by the client, a number is so many events published on /topic/own (which has
had three). ``heard`` is all that the server says to that: commands, and of their headers those that matter (None: not
there). Sections without a version are 1.2's.
"""

import pytest

from tests.servers.stomp_case import Case

Heard = list[tuple[str, dict[str, str | None]]]

CONNECT = b"CONNECT\naccept-version:1.2\nhost:h\n"
OWN = b"destination:/topic/own\n"
SEND = b"SEND\n" + OWN
RECEIPT = ("RECEIPT", {"receipt-id": "r"})
R = b"receipt:r\n\n\0"


def error(**headers: str | None) -> Heard:
    return [("ERROR", {name.replace("_", "-"): value for name, value in headers.items()})]


def subscribe(more: bytes = b"", number: int = 0) -> bytes:
    return b"SUBSCRIBE\nid:%d\n" % number + OWN + more + b"\n\0"


def message(seq: int, **headers: str | None) -> tuple[str, dict[str, str | None]]:
    return "MESSAGE", {"message-id": f"own-{seq}"} | headers


# (version or None when CONNECT is said by the test, section, clause, what is done, what is heard)
CLAUSES: list[tuple[str | None, str, str, list[bytes | int], Heard]] = [
    # STOMP Frames
    ("1.2", "STOMP Frames", "an OPTIONAL carriage return followed by a REQUIRED line feed",
     [b"BEGIN\r\ntransaction:t\r\nreceipt:r\r\n\r\n\0"], [RECEIPT]),
    ("1.1", "STOMP Frames", "(1.2's rule; a liberty taken for older clients)",
     [b"BEGIN\r\ntransaction:t\r\nreceipt:r\r\n\r\n\0"], [RECEIPT]),
    ("1.2", "STOMP Frames", "The NULL octet can be optionally followed by multiple EOLs",
     [b"BEGIN\ntransaction:t\n" + R + b"\n\r\n\n" + b"ABORT\ntransaction:t\n" + R], [RECEIPT, RECEIPT]),
    ("1.2", "STOMP Frames", "All commands and header names are case sensitive",
     [b"begin\ntransaction:t\n" + R], error(receipt_id="r")),
    ("1.2", "STOMP Frames", "All commands and header names are case sensitive",
     [b"BEGIN\nTransaction:t\n" + R], error(receipt_id="r")),
    # Value Encoding
    ("1.2", "Value Encoding", "\\r, \\n, \\c and \\\\ translate to CR, LF, colon and backslash, and in reverse",
     [b"BEGIN\ntransaction:t\nreceipt:\\r\\n\\c\\\\\n\n\0"], [("RECEIPT", {"receipt-id": "\r\n:\\"})]),
    ("1.1", "1.1 Value Encoding", "\\n, \\c and \\\\ alone",
     [b"BEGIN\ntransaction:t\nreceipt:\\n\\c\\\\\n\n\0"], [("RECEIPT", {"receipt-id": "\n:\\"})]),
    ("1.0", "1.0", "(there are no escapes)",
     [b"BEGIN\ntransaction:t\nreceipt:\\n\\c\\\\\\t:\n\n\0"], [("RECEIPT", {"receipt-id": "\\n\\c\\\\\\t:"})]),
    ("1.2", "Value Encoding", "Undefined escape sequences such as \\t MUST be treated as a fatal protocol error",
     [b"BEGIN\ntransaction:\\t\n" + R], error()),
    ("1.1", "1.1 Value Encoding", "Undefined escape sequences such as \\r MUST be treated as a fatal protocol error",
     [b"BEGIN\ntransaction:\\r\n" + R], error()),
    (None, "Value Encoding", "The CONNECT and CONNECTED frames do not escape",
     [CONNECT + b"login:a\\tb:c\n\n\0"], [("CONNECTED", {"version": "1.2"})]),
    ("1.2", "Value Encoding", "clients and servers MUST never trim or pad headers with spaces",
     [b"BEGIN\ntransaction:t\nreceipt: r \n\n\0"], [("RECEIPT", {"receipt-id": " r "})]),
    ("1.1", "1.1 Value Encoding", "clients and servers MUST never trim or pad headers with spaces",
     [b"BEGIN\ntransaction:t\nreceipt: r \n\n\0"], [("RECEIPT", {"receipt-id": " r "})]),
    ("1.0", "1.0 SUBSCRIBE", "(an example:) destination: /queue/foo, ack: client",
     [b"SUBSCRIBE\ndestination: /topic/own\nack: client\nreceipt: r \n\n\0"], [RECEIPT]),
    # Body
    ("1.2", "Body", "All other frames MUST NOT have a body", [b"BEGIN\ntransaction:t\nreceipt:r\n\nbody\0"],
     error(receipt_id="r")),
    ("1.1", "1.1 Value Encoding", "All other frames MUST NOT have a body",
     [b"SUBSCRIBE\nid:0\n" + OWN + b"receipt:r\n\nbody\0"], error(receipt_id="r")),
    ("1.0", "1.0 SUBSCRIBE", "The body of the SUBSCRIBE command is ignored",
     [b"SUBSCRIBE\n" + OWN + b"receipt:r\n\nbody\0"], [RECEIPT]),
    # Standard Headers
    ("1.2", "Header content-length", "All frames MAY include a content-length header",
     [b"BEGIN\ntransaction:t\ncontent-length:0\n" + R], [RECEIPT]),
    ("1.2", "Header content-length", "this number of octets MUST be read, regardless of NULL octets in the body",
     [subscribe(), SEND + b"content-length:3\nreceipt:r\n\na\0b\0"], [message(4), RECEIPT]),
    ("1.2", "Header content-length", "The frame still needs to be terminated with a NULL octet",
     [SEND + b"content-length:3\nreceipt:r\n\nabcd\0"], error(receipt_id="r")),
    ("1.0", "1.0 SEND", "the first null byte encountered signals the end of the frame",
     [SEND + b"receipt:r\n\nabcd\0" + SEND + R], [RECEIPT, RECEIPT]),
    ("1.2", "Header content-type", "MESSAGE and ERROR frames SHOULD include a content-type header",
     [subscribe(), 1], [message(4, **{"content-type": "application/json"})]),
    ("1.2", "Header content-type", "MESSAGE and ERROR frames SHOULD include a content-type header",
     [b"WRONG\n\n\0"], error(content_type="text/plain")),
    ("1.2", "Header receipt", "Any client frame other than CONNECT MAY specify a receipt header",
     [SEND + R, subscribe(b"receipt:r\n"), b"UNSUBSCRIBE\nid:0\n" + R, b"BEGIN\ntransaction:t\n" + R,
      b"COMMIT\ntransaction:t\n" + R, b"DISCONNECT\n" + R], [RECEIPT] * 6),
    (None, "Header receipt", "… other than CONNECT", [CONNECT + R], [("CONNECTED", {"receipt-id": None})]),
    ("1.2", "Repeated Header Entries", "only the first header entry SHOULD be used",
     [b"BEGIN\ntransaction:t\nreceipt:r\nreceipt:s\n\n\0"], [RECEIPT]),
    ("1.1", "1.1 Repeated Header Entries", "only the first header entry SHOULD be used",
     [b"BEGIN\ntransaction:t\nreceipt:r\nreceipt:s\n\n\0"], [RECEIPT]),
    # Connecting
    (None, "CONNECT or STOMP Frame", "servers MUST handle a STOMP frame in the same manner as a CONNECT frame",
     [CONNECT.replace(b"CONNECT", b"STOMP") + b"\n\0"], [("CONNECTED", {"version": "1.2"})]),
    (None, "CONNECT or STOMP Frame", "clients MUST set: accept-version, host", [b"CONNECT\naccept-version:1.2\n\n\0"],
     error()),
    (None, "1.1 CONNECT or STOMP Frame", "clients MUST set: accept-version, host (a liberty: some do not)",
     [b"CONNECT\naccept-version:1.1\n\n\0"], [("CONNECTED", {"version": "1.1"})]),
    (None, "CONNECT or STOMP Frame", "servers supporting virtual hosting MAY … (any name is ours)",
     [b"CONNECT\naccept-version:1.1\nhost:nobody.example\n\n\0"], [("CONNECTED", {"version": "1.1"})]),
    (None, "CONNECTED Frame", "servers MUST set version, MAY set heart-beat, session, server",
     [CONNECT + b"\n\0"],
     [("CONNECTED", {"version": "1.2", "heart-beat": "10000,10000", "server": "pushbench"})]),
    (None, "1.0 CONNECT", "login: <username>, passcode:<passcode>", [b"CONNECT\nlogin: u\npasscode:p\n\n\0"],
     [("CONNECTED", {"version": "1.0"})]),
    (None, "Protocol Negotiation", "the highest protocol version that both have in common",
     [b"CONNECT\naccept-version:1.0,1.1,2.0\nhost:h\n\n\0"], [("CONNECTED", {"version": "1.1"})]),
    (None, "Protocol Negotiation", "If accept-version is missing, the client only supports version 1.0",
     [b"CONNECT\nhost:h\n\n\0"], [("CONNECTED", {"version": "1.0"})]),
    (None, "Protocol Negotiation", "the server MUST respond with an ERROR frame similar to …",
     [b"CONNECT\naccept-version:3.0\nhost:h\n\n\0"], error(version="1.0,1.1,1.2", content_type="text/plain")),
    (None, "Heart-beating", "A missing header MUST be treated the same way as heart-beat:0,0",
     [CONNECT + b"\n\0"], [("CONNECTED", {})]),
    (None, "Heart-beating", "MUST contain two positive integers", [CONNECT + b"heart-beat:-1,0\n\n\0"], error()),
    # Client Frames
    ("1.2", "Client Frames", "for a frame not in this list a server MAY respond with an ERROR frame and close",
     [b"WRONG\n" + R], error(receipt_id="r")),
    ("1.2", "Client Frames", "(a server's frame is not in the list either)", [b"MESSAGE\n" + R], error(receipt_id="r")),
    ("1.0", "1.0 Client Commands", "(NACK is not in the list)", [b"NACK\nmessage-id:own-3\n" + R],
     error(receipt_id="r")),
    ("1.2", "SEND", "It has one REQUIRED header, destination", [b"SEND\n" + R], error(receipt_id="r")),
    ("1.2", "SEND", "The user defined headers MUST be passed through in the MESSAGE frame",
     [subscribe(), SEND + b"priority:9\na\\cb:\\n\nreceipt:r\n\nx\0"],
     [message(4, priority="9", **{"a:b": "\n", "receipt": None}), RECEIPT]),
    ("1.2", "SEND", "If the server cannot successfully process the SEND frame, MUST send an ERROR frame and close",
     [b"SEND\ndestination:/topic/t0\n" + R], error(receipt_id="r")),
    ("1.2", "SUBSCRIBE", "requires a destination header", [b"SUBSCRIBE\nid:0\n" + R], error(receipt_id="r")),
    ("1.2", "SUBSCRIBE", "Any messages received will henceforth be delivered", [1, subscribe(), 2],
     [message(5), message(6)]),
    ("1.2", "SUBSCRIBE", "If the server cannot create the subscription, MUST send an ERROR frame and close",
     [b"SUBSCRIBE\nid:0\ndestination:/topic/nowhere\n" + R], error(receipt_id="r")),
    ("1.2", "SUBSCRIBE", "MAY support additional server specific headers (after)", [subscribe(b"after:3\n"), 1],
     [message(4)]),
    ("1.2", "SUBSCRIBE id Header", "an id header MUST be included", [b"SUBSCRIBE\n" + OWN + R], error(receipt_id="r")),
    ("1.1", "1.1 SUBSCRIBE id Header", "An id header MUST be included", [b"SUBSCRIBE\n" + OWN + R],
     error(receipt_id="r")),
    ("1.0", "1.0 SUBSCRIBE", "You can also specify an id header; a subscription header is appended then",
     [subscribe(), 1], [message(4, subscription="0")]),
    ("1.0", "1.0 SUBSCRIBE", "(without an id there is no subscription header)",
     [b"SUBSCRIBE\n" + OWN + b"\n\0", 1], [message(4, subscription=None)]),
    ("1.2", "SUBSCRIBE id Header", "different subscriptions MUST use different subscription identifiers",
     [subscribe(), subscribe(b"receipt:r\n")], error(receipt_id="r")),
    ("1.2", "SUBSCRIBE ack Header", "valid values are auto, client, or client-individual",
     [subscribe(b"ack:always\nreceipt:r\n")], error(receipt_id="r")),
    ("1.0", "1.0 SUBSCRIBE", "The valid values for ack are auto and client",
     [subscribe(b"ack:client-individual\nreceipt:r\n")], error(receipt_id="r")),
    ("1.2", "SUBSCRIBE ack Header", "it defaults to auto (then there is nothing to acknowledge)",
     [subscribe(), 1, b"ACK\nid:4/0\n" + R], [message(4, ack=None), *error(receipt_id="r")]),
    ("1.2", "SUBSCRIBE ack Header", "client: a cumulative acknowledgment",
     [subscribe(b"ack:client\n"), 2, b"ACK\nid:5/0\n" + R, b"ACK\nid:4/0\n\n\0"],
     [message(4, ack="4/0"), message(5, ack="5/0"), RECEIPT, *error()]),
    ("1.2", "SUBSCRIBE ack Header", "client-individual: a subsequent message MUST NOT acknowledge a previous one",
     [subscribe(b"ack:client-individual\n"), 2, b"ACK\nid:5/0\n" + R, b"NACK\nid:4/0\n" + R],
     [message(4), message(5), RECEIPT, RECEIPT]),
    ("1.2", "UNSUBSCRIBE", "will no longer receive messages from that subscription",
     [subscribe(), subscribe(number=1), b"UNSUBSCRIBE\nid:0\n" + R, 1], [RECEIPT, message(4, subscription="1")]),
    ("1.2", "UNSUBSCRIBE", "MUST match the identifier of an existing subscription", [b"UNSUBSCRIBE\nid:0\n" + R],
     error(receipt_id="r")),
    ("1.2", "UNSUBSCRIBE", "an id header MUST be included", [subscribe(), b"UNSUBSCRIBE\n" + OWN + R],
     error(receipt_id="r")),
    ("1.0", "1.0 UNSUBSCRIBE", "either a destination header or an id header",
     [b"SUBSCRIBE\n" + OWN + b"\n\0", subscribe(number=7), b"UNSUBSCRIBE\n" + OWN + R, b"UNSUBSCRIBE\nid:7\n" + R, 1],
     [RECEIPT, RECEIPT]),
    ("1.0", "1.0 UNSUBSCRIBE", "either a destination header or an id header",
     [subscribe(number=7), b"UNSUBSCRIBE\n" + OWN + R, 1, b"UNSUBSCRIBE\n" + OWN + R], [RECEIPT, *error()]),
    ("1.2", "ACK", "MUST include an id header matching the ack header of the MESSAGE",
     [subscribe(b"ack:client\n"), 1, b"ACK\nmessage-id:own-4\nsubscription:0\n" + R],
     [message(4), *error(receipt_id="r")]),
    ("1.1", "1.1 ACK", "two REQUIRED headers: message-id and subscription",
     [subscribe(b"ack:client\n"), 1, b"ACK\nmessage-id:own-4\nsubscription:0\n" + R], [message(4, ack=None), RECEIPT]),
    ("1.1", "1.1 ACK", "two REQUIRED headers: message-id and subscription",
     [subscribe(b"ack:client\n"), 1, b"ACK\nmessage-id:own-4\n" + R], [message(4), *error(receipt_id="r")]),
    ("1.0", "1.0 ACK", "one required header, message-id",
     [b"SUBSCRIBE\nack:client\n" + OWN + b"\n\0", 1, b"ACK\nmessage-id:own-4\n" + R], [message(4), RECEIPT]),
    ("1.2", "NACK", "The server can then … discard it (nothing is sent again)",
     [subscribe(b"ack:client-individual\n"), 1, b"NACK\nid:4/0\n" + R, 1, b"ACK\nid:4/0\n\n\0"],
     [message(4), RECEIPT, message(5), *error()]),
    ("1.2", "NACK", "… to all messages sent before and not yet ACK'ed or NACK'ed (ack:client)",
     [subscribe(b"ack:client\n"), 3, b"ACK\nid:4/0\n\n\0", b"NACK\nid:6/0\n" + R, b"ACK\nid:5/0\n\n\0"],
     [message(4), message(5), message(6), RECEIPT, *error()]),
    ("1.1", "1.1 NACK", "NACK takes the same headers as ACK",
     [subscribe(b"ack:client\n"), 1, b"NACK\nmessage-id:own-4\nsubscription:0\n" + R], [message(4), RECEIPT]),
    ("1.2", "(the wire contract)", "what was not settled comes again after a new SUBSCRIBE with after",
     [subscribe(b"ack:client-individual\n"), 2, b"ACK\nid:4/0\n\n\0", b"UNSUBSCRIBE\nid:0\n\n\0",
      subscribe(b"ack:client\nafter:5\n"), 1], [message(4), message(5), message(6)]),
    # Transactions
    ("1.2", "BEGIN", "The transaction header is REQUIRED", [b"BEGIN\n" + R], error(receipt_id="r")),
    ("1.2", "BEGIN", "different transactions MUST use different transaction identifiers",
     [b"BEGIN\ntransaction:t\n\n\0", b"BEGIN\ntransaction:t\n" + R], error(receipt_id="r")),
    ("1.2", "BEGIN", "any messages sent during a transaction will be processed atomically",
     [subscribe(), b"BEGIN\ntransaction:t\n\n\0", SEND + b"transaction:t\n\n1\0", 1, SEND + b"transaction:t\n\n2\0",
      b"COMMIT\ntransaction:t\n" + R], [message(4), message(5), message(6), RECEIPT]),
    ("1.2", "BEGIN", "… or acknowledged … (an ACK given meanwhile spoils it, so nothing is sent)",
     [subscribe(b"ack:client\n"), 1, b"BEGIN\ntransaction:t\n\n\0", SEND + b"transaction:t\n\n1\0",
      b"ACK\nid:4/0\ntransaction:t\n\n\0", b"ACK\nid:4/0\n\n\0", b"COMMIT\ntransaction:t\n" + R],
     [message(4), *error(receipt_id="r")]),
    ("1.2", "BEGIN", "… or acknowledged … (twice in one transaction is once)",
     [subscribe(b"ack:client-individual\n"), 1, b"BEGIN\ntransaction:t\n\n\0",
      b"ACK\nid:4/0\ntransaction:t\n\n\0" * 2, b"COMMIT\ntransaction:t\n" + R], [message(4), RECEIPT]),
    ("1.2", "COMMIT", "MUST specify the identifier of the transaction to commit", [b"COMMIT\ntransaction:t\n" + R],
     error(receipt_id="r")),
    ("1.2", "ABORT", "is used to roll back a transaction",
     [subscribe(b"ack:client\n"), 1, b"BEGIN\ntransaction:t\n\n\0", SEND + b"transaction:t\n\n1\0",
      b"ACK\nid:4/0\ntransaction:t\n\n\0", b"ABORT\ntransaction:t\n" + R, b"ACK\nid:4/0\n" + R],
     [message(4), RECEIPT, RECEIPT]),
    ("1.2", "ABORT", "The transaction header is REQUIRED", [b"ABORT\n" + R], error(receipt_id="r")),
    ("1.2", "SEND", "supports a transaction header (of an open one)", [SEND + b"transaction:t\n" + R],
     error(receipt_id="r")),
    # DISCONNECT
    ("1.2", "DISCONNECT", "Clients MUST NOT send any more frames after the DISCONNECT frame",
     [b"DISCONNECT\n" + R + SEND + R, SEND + R], [RECEIPT]),
    ("1.2", "DISCONNECT", "(without a receipt there is nothing to say)", [b"DISCONNECT\n\n\0"], []),
    # Server Frames
    ("1.2", "MESSAGE", "MUST include a destination, identical to the one used in the SEND; message-id; subscription",
     [subscribe(), SEND + b"\nx\0"], [message(4, destination="/topic/own", subscription="0")]),
    ("1.2", "MESSAGE", "… requires explicit acknowledgment: MUST also contain an ack header",
     [subscribe(b"ack:client-individual\n"), 1], [message(4, ack="4/0")]),
    ("1.2", "RECEIPT", "an acknowledgment that the corresponding client frame has been processed",
     [subscribe(), SEND + b"receipt:r\n\nx\0"], [message(4), RECEIPT]),
    ("1.2", "ERROR", "MUST then close the connection just after sending the ERROR frame",
     [b"WRONG\n\n\0" + SEND + R, SEND + R], error(receipt_id=None)),
    ("1.2", "Augmented BNF", "header-value = *<any OCTET except CR or LF or ':'> (CR)",
     [b"BEGIN\ntransaction:a\rb\n" + R], error()),
]  # fmt: skip


def _id(row) -> str:
    return f"{row[1]}: {row[2][:40]}"


@pytest.mark.parametrize(("version", "script", "heard"), [row[:1] + row[3:] for row in CLAUSES], ids=map(_id, CLAUSES))
def test_clause(version, script, heard):
    case = Case(version)
    answers = []
    for step in script:
        if isinstance(step, int):
            case.publish(step)
            answers += case.heard()
        else:
            answers += case.raw(step)
    assert [answer.command for answer in answers] == [command for command, _ in heard]
    for answer, (_, headers) in zip(answers, heard, strict=True):
        assert {name: answer.headers.get(name) for name in headers} == headers
    said = b"".join(step for step in script if isinstance(step, bytes))
    assert bool(case.hung_up) == (b"DISCONNECT" in said or heard[-1][0] == "ERROR")


def test_every_version_is_there():
    assert {row[0] for row in CLAUSES} == {None, "1.0", "1.1", "1.2"}
