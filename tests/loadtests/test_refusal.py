"""Answers that are none: how they are counted, where they lead to, when to come back; by hand and on the wire."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtests.clients import Address, Progress, Subscriber
from loadtests.clients.lifetime import Lost
from loadtests.clients.long_polling import Options as LongOptions
from loadtests.clients.long_polling import client as long_polling
from loadtests.clients.polling import Options, client
from loadtests.clients.refusal import foreign, refusal
from loadtests.clients.sse import Options as SseOptions
from loadtests.clients.sse import client as sse
from loadtests.clients.websocket import Options as WebSocketOptions
from loadtests.clients.websocket import client as websocket
from tests.loadtests.by_hand import Hand, subscriber
from tests.loadtests.pulling_hand import PullingHand, answer, status

SECOND = 1_000_000_000
WHO = Subscriber(7, "t0", 0, Address("here.example", 8080), "/poll/t0", token="t", login=("u", "p"))
SAFE = Subscriber(7, "t0", 0, Address("here.example", 443, tls=True), "/poll/t0", token="t")


def answered(code, who=WHO, *, held=False, **fields):
    progress = Progress(0, who, who)
    named = {name.replace("_", "-").encode(): value for name, value in fields.items()}
    return refusal(progress, code, lambda name: named.get(name, b""), held=held), progress


@pytest.mark.parametrize("code", [401, 403, 407])
def test_a_closed_door_is_not_knocked_at_again_and_again(code):
    lost, _ = answered(code)
    assert (lost.why, lost.lasting, lost.failed) == (f"status {code}", True, True)


@pytest.mark.parametrize("code", [502, 503, 504])
def test_a_gateway_that_lost_patience_is_named(code):
    assert answered(code, held=True)[0].why == f"proxy answered {code} early"
    assert answered(code)[0].why == f"status {code}"
    assert answered(500, held=True)[0].why == "status 500"


@pytest.mark.parametrize(
    ("after", "date", "seconds"),
    [
        (b"7", b"", 7),
        (b"0", b"", 0),
        (b"99999999999999", b"", 3600),
        (b"-5", b"", 0),
        (b"1.5", b"", 0),
        (b"Wed, 21 Oct 2015 07:28:30 GMT", b"Wed, 21 Oct 2015 07:28:00 GMT", 30),
        (b"Wednesday, 21-Oct-15 07:28:30 GMT", b"Wed, 21 Oct 2015 07:28:00 GMT", 30),
        (b"Wed Oct 21 07:28:30 2015", b"Wed Oct 21 07:28:00 2015", 30),
        (b"Wed, 21 Oct 2015 07:27:00 GMT", b"Wed, 21 Oct 2015 07:28:00 GMT", 0),  # it has passed
        (b"Wed, 21 Oct 2015 07:28:30 GMT", b"", 0),  # whose clock?
        (b"soon", b"Wed, 21 Oct 2015 07:28:00 GMT", 0),
        (b"", b"", 0),
        ("٣".encode(), b"", 0),  # a digit, and no number of RFC 9110
    ],
)
def test_retry_after_is_the_least_pause(after, date, seconds):
    assert answered(503, retry_after=after, date=date)[0].retry_ns == seconds * SECOND


@pytest.mark.parametrize(
    ("location", "address", "path"),
    [
        (b"/other/t0", WHO.address, "/other/t0"),
        (b"t1?x=y", WHO.address, "/poll/t1?x=y"),
        (b"?after=3&limit=4&x=y", WHO.address, "/poll/t0?x=y"),  # what every request writes anew
        (b"//there.example/p", Address("there.example", 80), "/p"),
        (b"http://there.example:81", Address("there.example", 81), "/"),
        (b"https://there.example/p#fragment", Address("there.example", 443, tls=True), "/p"),
        (b"ws://there.example/p", Address("there.example", 80), "/p"),
        (b"wss://[::1]:8443/p", Address("::1", 8443, tls=True), "/p"),
    ],
)
def test_a_redirection_is_followed_and_credentials_stay_with_their_origin(location, address, path):
    lost, progress = answered(302, location=location)
    assert (lost.onward, lost.failed, lost.prompt) == (True, False, True)
    assert (progress.who.address, progress.who.path) == (address, path)
    same = address == WHO.address
    assert (progress.who.token, progress.who.login) == (("t", ("u", "p")) if same else ("", None))
    assert progress.home is WHO


@pytest.mark.parametrize(("code", "stays"), [(301, True), (308, True), (302, False), (303, False), (307, False)])
def test_only_a_permanent_one_holds_for_good(code, stays):
    _, progress = answered(code, location=b"/other")
    assert (progress.home.path == "/other") is stays


@pytest.mark.parametrize(
    "location",
    [b"", b"\xff", b"/a b", b"/a\tb", b"ftp://there/", b"http://u:p@there/", b"http://h:99999/", b"http://h:x/",
     b"javascript:alert(1)", b"http://[::1/", b"/" * 5000],
)  # fmt: skip
def test_what_leads_nowhere_is_a_failure(location):
    lost, progress = answered(302, location=location)
    assert "expected the address of a resource" in lost.why
    assert lost.failed
    assert lost.lasting
    assert progress.who is WHO


def test_https_is_not_left():
    lost, _ = answered(302, SAFE, location=b"http://here.example/poll/t0")
    assert lost.why == "status 302 from https to http, which is not followed"


def test_a_circle_and_an_endless_chain_are_named():
    progress = Progress(0, WHO, WHO)
    lost = refusal(progress, 302, lambda _: b"/b")
    assert lost.onward
    lost = refusal(progress, 302, lambda _: b"/poll/t0")
    assert lost.why == "status 302 in a circle of 2"
    progress = Progress(0, WHO, WHO)
    ends = [refusal(progress, 307, lambda _, k=k: b"/%d" % k) for k in range(6)]
    assert [end.onward for end in ends] == [True] * 5 + [False]
    assert ends[-1].why == "status 307, after 5 redirections already"


@pytest.mark.parametrize(
    ("kind", "coding", "why"),
    [
        (b"application/json", b"", ""),
        (b"application/json; charset=utf-8", b"identity", ""),
        (b"application/problem+json", b"", ""),
        (b"", b"", ""),
        (b"text/html; charset=utf-8", b"", "content-type 'text/html; charset=utf-8', expected application/json"),
        (b"application/json", b"gzip", "content-encoding 'gzip', none was asked for"),
    ],
)
def test_a_page_where_json_was_expected(kind, coding, why):
    named = {b"content-type": kind, b"content-encoding": coding}
    assert foreign(lambda name: named.get(name, b""), "application/json") == why


@given(st.integers(100, 599), st.dictionaries(st.sampled_from([b"location", b"retry-after", b"date"]), st.binary()))
def test_any_answer_is_a_loss_that_can_be_counted(code, fields):
    lost, progress = Lost("x"), Progress(0, SAFE, SAFE)
    lost = refusal(progress, code, lambda name: fields.get(name, b""))
    assert 0 <= lost.retry_ns <= 3600 * SECOND
    assert "\n" not in lost.why
    assert progress.who.address.tls


# over the wire ----------------------------------------------------------------------------------------------------


def asking(make, options, path, **who):
    hand = PullingHand(make(subscriber(path), options))
    hand.connect()
    return hand


HTML = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 6\r\n\r\n<html>"


def test_a_captive_portals_page_is_neither_an_event_nor_an_empty_response():
    hand = asking(client, Options(interval_s=1), "/poll/t0")
    hand.receive(HTML)
    assert (hand.rows, hand.answers) == ([], [])
    assert [(close.why, close.failed) for close in hand.closes] == [
        ("content-type 'text/html', expected application/json", True)
    ]


def test_a_200_with_compressed_json_is_named():
    hand = asking(client, Options(interval_s=1), "/poll/t0")
    hand.receive(
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Encoding: gzip\r\n"
        b"Content-Length: 3\r\n\r\n\x1f\x8bx"
    )
    assert hand.closes[0].why == "content-encoding 'gzip', none was asked for"
    assert hand.answers == []


def test_an_event_stream_that_is_compressed_is_named():
    hand = asking(sse, SseOptions(), "/sse/t0")
    hand.receive(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Encoding: br\r\n\r\n")
    assert hand.closes[0].why == "content-encoding 'br', none was asked for"


def test_a_held_poll_that_a_proxy_answers_is_counted_as_that():
    hand = asking(long_polling, LongOptions(hold_s=25), "/long-poll/t0")
    hand.receive(status(204))
    hand.receive(status(504, b"<html>"))
    assert hand.closes[0].why == "proxy answered 504 early"
    assert [row[3:5] for row in hand.answers] == [(204, 0), (504, 0)]
    assert hand.wake_ns > hand.at_ns


def test_a_poller_follows_and_returns_home_with_the_next_connection():
    hand = asking(client, Options(interval_s=0), "/poll/t0")
    hand.take()
    hand.receive(
        b"HTTP/1.1 307 Temporary Redirect\r\nLocation: http://127.0.0.2:81/elsewhere?after=0\r\n"
        b"Content-Length: 0\r\n\r\n"
    )
    assert not hand.closes[0].failed
    assert hand.connects == 2
    hand.connect()
    request = hand.take()
    assert request.startswith(b"GET /elsewhere?after=0 HTTP/1.1\r\nHost: 127.0.0.2:81\r\n")
    hand.receive(answer(1))
    assert hand.take().startswith(b"GET /elsewhere?after=1 ")
    hand.end()
    hand.ring()
    hand.connect()
    assert hand.take().startswith(b"GET /poll/t0?after=1 HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n")
    assert [row[3] for row in hand.answers] == [307, 200]


def test_a_websocket_follows_skips_interim_answers_and_reads_retry_after():
    hand = asking(websocket, WebSocketOptions(), "/ws/t0")
    hand.take()
    hand.receive(
        b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 302 Found\r\nLocation: wss://127.0.0.2/ws\r\n\r\n"
    )
    hand.connect()
    assert hand.take().startswith(b"GET /ws?after=0 HTTP/1.1\r\nHost: 127.0.0.2\r\n")
    hand.receive(b"HTTP/1.1 503 Busy\r\nRetry-After: 9\r\nContent-Type: text/plain\r\n\r\n")
    assert hand.closes[-1].why == "answered HTTP/1.1 503 Busy (text/plain)"
    assert 9 * SECOND <= hand.wake_ns - hand.at_ns < 10 * SECOND


@pytest.mark.parametrize(
    ("head", "why"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n", "answered HTTP/1.1 200 OK (text/html)"),
        (b"HTTP/1.1 401 Unauthorized\r\n\r\n", "answered HTTP/1.1 401 Unauthorized"),
        (b"HTTP/1.0 101 x\r\n\r\n", "answered HTTP/1.0 101 x"),
        (b"SSH-2.0-OpenSSH_9.6\r\n\r\n", "answered SSH-2.0-OpenSSH_9.6"),
        (b"HTTP/1.1 101\r\n\r\n", "protocol error: upgrade: "),
    ],
)
def test_what_is_no_upgrade_is_named(head, why):
    hand = asking(websocket, WebSocketOptions(), "/ws/t0")
    hand.receive(head)
    assert hand.closes[0].why.startswith(why)
    assert hand.closes[0].failed


def test_the_token_goes_into_every_request_and_nowhere_else():
    for make, options, path in (
        (client, Options(), "/poll/t0"),
        (long_polling, LongOptions(), "/long-poll/t0"),
        (sse, SseOptions(), "/sse/t0"),
        (websocket, WebSocketOptions(), "/ws/t0"),
    ):
        hand = Hand(make(Subscriber(0, "t0", 0, Address("h", 1), path, token="s3cr3t"), options))
        hand.connect()
        assert hand.take().count(b"\r\nAuthorization: Bearer s3cr3t\r\n") == 1
    assert "s3cr3t" not in repr(Subscriber(0, "t0", 0, Address("h", 1), token="s3cr3t", login=("u", "s3cr3t")))
