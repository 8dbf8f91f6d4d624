"""Fuzz the server's handshake: an agreement that both sides can keep, or a HandshakeError that says why not."""

from fuzzing import expand, instrumented, main, spell
from multidict import CIMultiDict

with instrumented():
    from servers.websocket_deflate import Settings
    from servers.websocket_handshake import Accepted, HandshakeError, extensions, handshake, subprotocols_offered

OURS = ("v12.stomp", "v11.stomp")
GOOD = (
    b"Host:test\n", b"Upgrade:websocket\n", b"Connection:Upgrade\n", b"Sec-WebSocket-Version:13\n",
    b"Sec-WebSocket-Key:dGhlIHNhbXBsZSBub25jZQ==\n",
)  # fmt: skip
WORDS = [
    b"".join(GOOD), *GOOD, b"Connection:keep-alive, Upgrade\n", b"Upgrade:h2c, WebSocket/13\n",
    b"Sec-WebSocket-Version:8\n", b"Sec-WebSocket-Protocol:", b"Sec-WebSocket-Extensions:", b"permessage-deflate",
    b"; server_no_context_takeover", b"; client_max_window_bits", b"; server_max_window_bits=", b"12", b'"9"',
    b'"\\1\\5"', b", ", b"v12.stomp", b"v10.stomp", b"\n", b";", b"=", b'"', b"\\", b" ",
    b"Content-Length:", b"Transfer-Encoding:x\n", b"\xff",
]  # fmt: skip
EXTENSIONS, DEFLATE = b"Sec-WebSocket-Extensions:", b"permessage-deflate"
SEEDS = [
    spell(WORDS, *parts)
    for parts in (
        (b"\0", WORDS[0]),
        (b"\1", WORDS[0], EXTENSIONS, DEFLATE, b"; server_max_window_bits=", b"12", b"; client_max_window_bits", b"\n"),
        (b"\3", WORDS[0], EXTENSIONS, DEFLATE, b"; server_max_window_bits=", b'"\\1\\5"', b", ", DEFLATE, b"\n"),
        (b"\2", WORDS[0], b"Sec-WebSocket-Protocol:", b"v10.stomp", b", ", b"v12.stomp", b"\n"),
    )
]


def check(data: bytes) -> None:
    """The first byte says what we ask for; the rest are fields."""
    first = data[0] if data else 0
    headers = CIMultiDict()
    for line in expand(data[1:], WORDS).decode("utf-8", "surrogateescape").split("\n"):  # as aiohttp decodes them
        name, colon, value = line.partition(":")
        if colon:
            headers.add(name, value)
    try:
        accepted = handshake(
            "GET" if first % 16 else "POST", (1, 1), headers,
            subprotocols=OURS if first & 1 else (), required=first & 3 == 3, deflate=Settings() if first & 4 else None,
        )  # fmt: skip
    except HandshakeError as error:
        refused = error
    else:
        agreed(accepted, headers, first)
        return
    assert refused.status in (400, 426)
    assert refused.parameter
    assert refused.expected


def agreed(accepted: Accepted, headers: CIMultiDict, first: int) -> None:
    """What is answered is what was offered, and what we do."""
    assert accepted.subprotocol is None or accepted.subprotocol in subprotocols_offered(headers)
    assert all(value.isascii() and value.isprintable() for value in accepted.headers.values())
    answer = accepted.headers.get("Sec-WebSocket-Extensions")
    assert (answer is None) == (accepted.deflate is None)
    if answer is not None and accepted.deflate is not None:
        assert first & 4
        ((name, said),) = extensions(CIMultiDict({"Sec-WebSocket-Extensions": answer}))
        assert name == "permessage-deflate"
        offers = [dict(offer) for name, offer in extensions(headers) if name == "permessage-deflate"]
        told = dict(said)
        assert "client_max_window_bits" not in told or any("client_max_window_bits" in offer for offer in offers)
        assert int(told.get("server_max_window_bits") or 15) == accepted.deflate.server_window_bits
        assert int(told.get("client_max_window_bits") or 15) == accepted.deflate.client_window_bits


if __name__ == "__main__":
    main(check, SEEDS)
