"""The verification: it passes our servers, and whoever loses, repeats, swaps or spoils events does not get past it."""

from __future__ import annotations

import re
import sys
import zlib

import pytest

from loadtests import verify as module
from loadtests.access import Access, of_ready
from loadtests.clients import Emit, Send, stomp
from loadtests.control import ControlError
from loadtests.process import ready, running
from loadtests.records import DELIVERY
from loadtests.settings import InputError
from loadtests.transports import TRANSPORTS
from loadtests.verify import VerifyError, checked_data, of_own_server, of_server, publishing, subscriber, verify

SEQ, ATTEMPT = DELIVERY.index("seq"), DELIVERY.index("connection")


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    command = [sys.executable, "-m", "servers", "all", "--port", "0", "--control"]
    with running("server", command, tmp_path_factory.mktemp("server") / "log", []) as program:
        yield of_ready(ready(program, 20), {})


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_our_servers_pass(server, transport):
    result = verify(transport, server)
    assert result["checks"] == ["backlog", "order", "resume", "refusal"]
    assert result["seconds"] > 0


def test_a_server_of_our_own_is_started_and_ended():
    assert of_own_server("sse")["checks"]


def with_seq(row, seq):
    return (*row[:SEQ], seq, *row[SEQ + 1 :])


def spoil(change):
    """Wrap the real client so that its delivery rows are changed: a server's mistake, as the client would report it."""
    real = module.client

    def client(transport, who, **wanted):
        inner = real(transport, who, **wanted)

        def passing():
            command = next(inner)
            while True:
                several = command if type(command) is tuple else (command,)
                changed = tuple(Emit(change(one)) if isinstance(one, Emit) else one for one in several)
                event = yield changed
                try:
                    command = inner.send(event)
                except StopIteration:
                    return

        return passing()

    return client


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda rows: [row for row in rows if row[SEQ] != 2], r"expected events 1, 2, 3, 4, 5, 6, 7 within"),
        (
            lambda rows: [with_seq(row, 0) if row[SEQ] == 2 else row for row in rows],
            r"websocket: backlog: expected events 1, 2, 3, got 1, a corrupted one, 3",
        ),
        (
            lambda rows: [with_seq(row, {4: 5, 5: 4}.get(row[SEQ], row[SEQ])) for row in rows],
            r"websocket: order: expected events 4, 5, got 5, 4",
        ),
        (
            lambda rows: [with_seq(row, 6) if row[SEQ] == 7 else row for row in rows],
            r"websocket: resume: expected events 6, 7, got 6, 6",
        ),
        (
            lambda rows: [(*row[:ATTEMPT], 0, *row[ATTEMPT + 1 :]) for row in rows],
            r"websocket: resume: expected events on a new connection",
        ),
        (lambda rows: [row for row in rows for _ in range(2)], r"backlog: expected events 1, 2, 3, got 1, 1, 2"),
    ],
    ids=["lost", "corrupted", "swapped", "repeated", "not resumed", "twice"],
)
def test_what_a_wrong_server_delivers_is_quoted(server, monkeypatch, change, message):
    monkeypatch.setattr(module, "_PATIENCE_S", 0.5)
    monkeypatch.setattr(module, "client", spoil(change))
    with pytest.raises(VerifyError, match=message):
        verify("websocket", server)


@pytest.mark.parametrize(
    ("transport", "message"),
    [("polling", r"refusal: expected status 404 to an unknown topic, got \[20"), ("sse", r"refusal: .* to be refused")],
)
def test_a_server_that_knows_every_topic_does_not_pass(server, monkeypatch, transport, message):
    real = module.subscriber

    def known(row, server, topic, after):
        return real(row, server, "t0" if topic.startswith("verify-no-") else topic, after)

    monkeypatch.setattr(module, "_PATIENCE_S", 0.5)
    monkeypatch.setattr(module, "subscriber", known)
    with pytest.raises(VerifyError, match=message):
        verify(transport, server)


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_publishing_passes_by_every_way(server, transport):
    checks = publishing(transport, server)
    assert checks == {
        "websocket": ["publish by frame"],
        "stomp_websocket": ["publish by SEND", "publish by SEND with RECEIPT"],
        "stomp_tcp": ["publish by SEND", "publish by SEND with RECEIPT"],
    }.get(transport, ["publish by POST", "publish by POST on a new connection"])


@pytest.mark.parametrize(
    ("lie", "message"),
    [
        ((b"SEND\n", b"send\n"), r"stomp_tcp: publish by SEND: expected events 2, 3, 4 to come back, got none; fail"),
        ((b"\nreceipt:published", b"\nresceipt:publishe"), r"RECEIPT: expected .* to be acknowledged, got 0, 0, 0"),
        ((b"order filled", b"order FILLED"), r"to come back, got .*a corrupted one"),
    ],
)
def test_a_publish_that_does_not_come_back_whole_does_not_pass(server, monkeypatch, lie, message):
    """What the client sends is spoilt on its way, as a server that does not understand it would."""
    real = stomp.client

    def client(who, options):
        inner = real(who, options)
        command = next(inner)
        while True:
            several = command if type(command) is tuple else (command,)
            event = yield tuple(Send(one.data.replace(*lie)) if isinstance(one, Send) else one for one in several)
            try:
                command = inner.send(event)
            except StopIteration:
                return

    monkeypatch.setattr(stomp, "client", client)
    monkeypatch.setattr(module, "_PATIENCE_S", 0.3)
    with pytest.raises(VerifyError, match=message):
        publishing("stomp_tcp", server)


def test_a_post_that_is_refused_does_not_pass(server):
    away = Access(f"{server.http}/elsewhere", template=f"{server.http}/sse/{{topic}}")
    with pytest.raises(ControlError, match=r"/publish/verify-.*status 404"):
        publishing("sse", away)


def test_data_checks_itself_as_the_wire_contract_says():
    data = checked_data("verify-x", 3, 'a "b" \u2028')
    assert re.match(r'\{"crc32":"[0-9a-f]{8}",', data)
    assert data[10:18] == f"{zlib.crc32(f'verify-x|3|{data[19:]}'.encode()):08x}"


def test_a_subscriber_goes_where_its_transport_is():
    server = Access("http://127.0.0.1:8080", "[::1]:61613")
    sse = subscriber(TRANSPORTS["sse"], server, "t0", 5)
    assert (str(sse.address), sse.path, sse.after) == ("127.0.0.1:8080", "/sse/t0", 5)
    bare = subscriber(TRANSPORTS["stomp_tcp"], server, "t0", None)
    assert (str(bare.address), bare.path, bare.after) == ("[::1]:61613", "", None)
    with pytest.raises(VerifyError, match=r"the server names no port"):
        subscriber(TRANSPORTS["stomp_tcp"], Access("http://127.0.0.1:8080"), "t0", 0)


def test_a_subscriber_goes_where_its_transport_is_on_a_target():
    server = Access("https://push.example/v1", "push.example:61614", template="wss://push.example/live/{topic}?v=2")
    live = subscriber(TRANSPORTS["websocket"], server, "t7", None)
    assert (str(live.address), live.address.tls, live.path) == ("push.example:443", True, "/live/t7?v=2")
    assert subscriber(TRANSPORTS["stomp_tcp"], server, "t0", 0).address.tls
    assert subscriber(TRANSPORTS["sse"], Access("https://push.example/v1"), "t0", 0).path == "/v1/sse/t0"


def test_a_target_that_is_no_address_is_bad_input():
    with pytest.raises(InputError, match=r"--target = localhost, expected an address such as"):
        of_server("sse", Access("localhost"))
    with pytest.raises(InputError, match=r"--tcp = 61613, expected HOST:PORT"):
        of_server("stomp_tcp", Access("http://127.0.0.1:1", "61613"))
    with pytest.raises(InputError, match=r"stomp_tcp: expected the target's own port"):
        of_server("stomp_tcp", Access("http://127.0.0.1:1"))


def test_a_running_server_is_verified_by_its_address(server):
    assert of_server("long_polling", server)["checks"]


@pytest.mark.parametrize("transport", ["polling", "websocket", "stomp_tcp"])
def test_a_server_is_verified_over_tls_by_the_authority_that_ready_names(transport):
    assert of_own_server(transport, "--tls", "--tls-version", "1.3")["checks"]
