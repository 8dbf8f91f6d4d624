"""RFC 6455 section 4: what is a handshake, what is refused and how, and what is agreed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from servers.websocket_deflate import Settings
from servers.websocket_handshake import HandshakeError, accept_key, extensions, handshake

GOOD = {
    "Host": "test",
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Version": "13",
}


def shake(method="GET", version=(1, 1), subprotocols=(), *, required=False, deflate=None, **headers):
    """The good request with some headers replaced (a list repeats one, None removes it)."""
    lines = CIMultiDict()
    changed = {name.replace("_", "-"): value for name, value in headers.items()}
    for name, value in (GOOD | changed).items():
        for line in value if isinstance(value, list) else [value] * (value is not None):
            lines.add(name, line)
    return handshake(method, version, lines, subprotocols=subprotocols, required=required, deflate=deflate)


def test_the_example_of_the_rfc():
    assert accept_key("dGhlIHNhbXBsZSBub25jZQ==") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
    assert shake().headers == {
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Accept": "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=",
    }


@pytest.mark.parametrize(
    "headers",
    [
        {"Upgrade": "WebSocket"},
        {"Upgrade": "h2c, websocket"},
        {"Connection": "keep-alive, Upgrade"},
        {"Connection": ["keep-alive", "upgrade"]},
        {"Content_Length": "0"},
        {"Sec_WebSocket_Protocol": "unknown"},
        {"Sec_WebSocket_Extensions": "x-unknown; a=1"},
    ],
)
def test_accepted(headers):
    accepted = shake(**headers)
    assert (accepted.subprotocol, accepted.deflate) == (None, None)


REFUSED = [
    ({"method": "POST"}, 400, "request"),
    ({"version": (1, 0)}, 400, "request"),
    ({"Host": None}, 400, "Host"),
    ({"Host": ["a", "b"]}, 400, "Host"),
    ({"Upgrade": None}, 426, "Upgrade"),
    ({"Upgrade": "h2c"}, 426, "Upgrade"),
    ({"Connection": None}, 400, "Connection"),
    ({"Connection": "close"}, 400, "Connection"),
    ({"Content_Length": "5"}, 400, "body"),
    ({"Transfer_Encoding": "chunked"}, 400, "body"),
    *[
        ({"Sec_WebSocket_Version": value}, 426, "Sec-WebSocket-Version")
        for value in (None, "8", "14", "013", "13, 8", ["13", "13"])
    ],
    *[
        ({"Sec_WebSocket_Key": value}, 400, "Sec-WebSocket-Key")
        for value in (None, "", "dGhlIHNhbXBsZSBub25jZQ", "c2hvcnQ=", "!" * 22 + "==", ["dGhlIHNhbXBsZSBub25jZQ=="] * 2)
    ],
    ({"Sec_WebSocket_Protocol": "two words"}, 400, "Sec-WebSocket-Protocol"),
    *[
        ({"Sec_WebSocket_Extensions": value}, 400, "Sec-WebSocket-Extensions")
        for value in ("a b", "a;", "a; =1", 'a; b="c', 'a; b="c d"', "a; b=", "(", "a; b=1 2")
    ],
]  # fmt: skip


@pytest.mark.parametrize(("changes", "status", "parameter"), REFUSED)
def test_refused_by_name(changes, status, parameter):
    with pytest.raises(HandshakeError) as refused:
        shake(**changes)
    assert (refused.value.status, refused.value.parameter) == (status, parameter)
    assert refused.value.expected


OURS = ("v12.stomp", "v11.stomp", "v10.stomp")


@pytest.mark.parametrize(
    ("offered", "chosen"),
    [
        ("v12.stomp", "v12.stomp"),
        ("v10.stomp, v11.stomp", "v11.stomp"),  # the server's preference, not the order of the offer
        (["v10.stomp", "v12.stomp, v11.stomp"], "v12.stomp"),
        ("mqtt,v10.stomp", "v10.stomp"),
    ],
)
def test_subprotocol(offered, chosen):
    accepted = shake(subprotocols=OURS, required=True, Sec_WebSocket_Protocol=offered)
    assert accepted.subprotocol == accepted.headers["Sec-WebSocket-Protocol"] == chosen


@pytest.mark.parametrize("offered", [None, "mqtt", "V12.STOMP"])
def test_subprotocol_that_is_not_shared(offered):
    with pytest.raises(HandshakeError) as refused:
        shake(subprotocols=OURS, required=True, Sec_WebSocket_Protocol=offered)
    assert refused.value.status == 400
    assert "Sec-WebSocket-Protocol" not in shake(subprotocols=OURS, Sec_WebSocket_Protocol=offered).headers


def test_a_client_that_wants_every_message_afresh_gets_it_both_ways():
    """gorilla/websocket, and so k6, offers both and refuses an answer with only one."""
    offer = "permessage-deflate; server_no_context_takeover; client_no_context_takeover"
    accepted = shake(deflate=Settings(), Sec_WebSocket_Extensions=offer)
    answer = {part.strip() for part in accepted.headers["Sec-WebSocket-Extensions"].split(";")}
    assert answer >= {"permessage-deflate", "server_no_context_takeover", "client_no_context_takeover"}


def test_compression_is_answered():
    accepted = shake(
        deflate=Settings(window_bits=15),
        Sec_WebSocket_Extensions=["x-first, permessage-deflate; server_max_window_bits=8", "permessage-deflate"],
    )
    assert accepted.headers["Sec-WebSocket-Extensions"] == accepted.deflate.answer == "permessage-deflate"


@pytest.mark.parametrize(
    ("value", "offers"),
    [
        ("a", [("a", [])]),
        ("a,b", [("a", []), ("b", [])]),
        (", a ,, b ,", [("a", []), ("b", [])]),  # RFC 9110, 5.6.1: empty elements are nothing
        ('a; b; c=1 ; d = "x"', [("a", [("b", None), ("c", "1"), ("d", "x")])]),
        ('a; b="\\x\\y"', [("a", [("b", "xy")])]),
        ("", []),
    ],
)
def test_extensions_are_read(value, offers):
    assert extensions(CIMultiDict({"Sec-WebSocket-Extensions": value})) == offers


@given(st.text(alphabet='a;=," \\\t', max_size=30))
def test_any_extensions_are_read_or_refused(value):
    try:
        offers = extensions(CIMultiDict({"Sec-WebSocket-Extensions": value}))
    except HandshakeError:
        return
    assert all(name and all(parameter for parameter, _ in parameters) for name, parameters in offers)
