"""The HTTP/1.1 helper: requests to the letter, responses however they are cut, and every mistake a ProtocolError."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtests.clients import Address, Data, Eof, Failed, ProtocolError, Send, Stop, Subscriber
from loadtests.clients.http import Response, exchange, get
from loadtests.clients.lifetime import Lost, Stopped

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n[1\r\n1;x=y\r\n]\r\n0\r\nTrailer: x\r\n\r\n"
LENGTH = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n[1]"
EARLY = b"HTTP/1.1 103 Early Hints\r\nEtag: early\r\nLink: </x>\r\n\r\n"
NOTHING = b"HTTP/1.1 204 No Content\r\n\r\n"
SAME = b"HTTP/1.1 304 Not Modified\r\nContent-Length: 3\r\n\r\n"
COMPLETE = {
    "length": (LENGTH, 200, b"[1]", True),
    "chunked": (CHUNKED, 200, b"[1]", True),
    "nothing": (NOTHING, 204, b"", True),
    "not modified": (SAME, 304, b"", True),
    "interim": (
        b"HTTP/1.1 100 Continue\r\n\r\n" + EARLY + LENGTH,
        200,
        b"[1]",
        True,
    ),
    "close": (LENGTH.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"), 200, b"[1]", False),
    "HTTP/1.0": (LENGTH.replace(b"1.1", b"1.0"), 200, b"[1]", False),
    "empty body": (b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n", 503, b"", True),
}
DELIMITED_BY_CLOSE = b"HTTP/1.1 200 OK\r\nX: y\r\n\r\nHTTP/1.1 9\r\nContent-Length: 5\r\n\r\n"


def subscriber(path="/poll/t0"):
    return Subscriber(0, "t0", 0, Address("::1", 8080), path)


def test_a_request_to_the_letter():
    request = get(subscriber(), "Accept: x", keep_alive=False)
    assert request("after=5", "If-None-Match: y") == (
        b"GET /poll/t0?after=5 HTTP/1.1\r\nHost: [::1]:8080\r\nUser-Agent: pushbench\r\n"
        b"Connection: close\r\nAccept: x\r\nIf-None-Match: y\r\n\r\n"
    )


def test_a_query_joins_the_one_a_path_has():
    assert get(subscriber("/p?topic=t0"))("after=5").startswith(b"GET /p?topic=t0&after=5 HTTP/1.1\r\n")
    assert get(subscriber("/p?topic=t0"))().startswith(b"GET /p?topic=t0 HTTP/1.1\r\n")


@pytest.mark.parametrize("size", [1, 2, 7, 10_000])
@pytest.mark.parametrize("name", COMPLETE)
def test_a_response_is_complete_with_its_last_byte(name, size):
    data, status, body, keep_alive = COMPLETE[name]
    response = Response()
    done = [response.feed(memoryview(data)[i : i + size]) for i in range(0, len(data), size)]
    assert done == [False] * (len(done) - 1) + [True]
    assert (response.status, response.body, response.keep_alive) == (status, body, keep_alive)
    assert response.received_bytes == len(data)


def test_one_after_the_other_on_one_connection():
    response = Response()
    for data in (LENGTH, NOTHING, CHUNKED, SAME, LENGTH):
        assert response.feed(data)
        assert response.received_bytes == len(data)
    assert response.body == b"[1]"
    assert not response.feed(NOTHING[:5])
    assert (response.body, response.complete, response.headed) == (b"", False, False)


def test_what_comes_behind_connection_close_is_a_mistake():
    response = Response()
    response.feed(COMPLETE["close"][0])
    with pytest.raises(ProtocolError):
        response.feed(LENGTH)


@pytest.mark.parametrize(
    "data",
    [
        b"<html>",
        b"HTTP/1.1 200 OK\nContent-Length: 0\n\n",
        b"HTTP/1.1 2x0 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\n[1]",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n[1]\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
        LENGTH + b"x",
        LENGTH + LENGTH,
        LENGTH + LENGTH[:9],
        NOTHING + b"HTTP/1.1 2",
        b"HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\nok",
    ],
)
def test_mistakes(data):
    with pytest.raises(ProtocolError):
        Response().feed(data)


def test_bytes_behind_a_response_count_in_small_pieces_too():
    response = Response()
    for i in range(len(LENGTH)):
        response.feed(LENGTH[i : i + 1])
    with pytest.raises(ProtocolError):  # nothing was asked for; a client that waits for a response gets this instead
        response.feed(b"junk")


def test_a_head_without_end_is_a_mistake():
    response = Response()
    response.feed(b"HTTP/1.1 200 OK\r\n")
    for i in range(65):
        response.feed(b"X-%d: " % i + b"y" * 990 + b"\r\n")
    with pytest.raises(ProtocolError, match="head of over 64 KiB"):
        response.feed(b"Z: " + b"y" * 2000 + b"\r\n")


def test_a_body_without_end_is_a_mistake_unless_it_is_taken():
    piece = bytes(2**20)
    for taken in (False, True):
        response = Response()
        response.feed(b"HTTP/1.1 200 OK\r\n\r\n")
        for _ in range(63):
            response.feed(piece)
            assert not taken or response.take() == piece
        if taken:
            assert not response.feed(piece)
        else:
            with pytest.raises(ProtocolError, match="over 64 MiB"):
                response.feed(piece)


@pytest.mark.parametrize("size", [1, 3, 10_000])
@pytest.mark.parametrize("before", [b"", EARLY])
def test_the_end_of_the_connection_completes_a_body_that_nothing_else_delimits(size, before):
    data = before + DELIMITED_BY_CLOSE
    response = Response()
    for i in range(0, len(data), size):
        assert not response.feed(data[i : i + size])
    assert response.eof()
    assert response.complete
    assert not response.keep_alive
    assert response.body == DELIMITED_BY_CLOSE.partition(b"\r\n\r\n")[2]


@pytest.mark.parametrize("name", ["length", "chunked", "interim", "close", "HTTP/1.0"])
def test_the_end_of_the_connection_within_a_response_is_a_mistake(name):
    data = COMPLETE[name][0]
    for length in range(1, len(data)):
        response = Response()
        response.feed(data[:length])
        with pytest.raises(ProtocolError, match=f"{length} bytes into it"):
            response.eof()


def test_the_end_of_the_connection_before_and_behind_a_response_is_none():
    response = Response()
    assert not response.eof()
    response.feed(LENGTH)
    assert not response.eof()
    assert response.keep_alive


def test_fields_by_name():
    response = Response()
    response.feed(EARLY)
    response.feed(b'HTTP/1.1 200 OK\r\nETag: "5"\r\nVary: a\r\nVARY: b\r\nContent-Length: 0\r\n\r\n')
    assert response.field(b"etag") == b'"5"'
    assert response.field(b"vary") == b"a, b"
    assert response.field(b"link") == b""
    response.feed(NOTHING)
    assert response.field(b"etag") == b""


def test_blank_lines_before_a_response_are_no_head():
    response = Response()
    data = b'\r\n\r\nHTTP/1.1 200 OK\r\nETag: "5"\r\nContent-Length: 9\r\n\r\n[1]'
    response.feed(data)
    assert response.field(b"etag") == b'"5"'
    with pytest.raises(ProtocolError, match="ended within a response"):
        response.eof()


@given(st.lists(st.binary(max_size=30) | st.sampled_from([CHUNKED, LENGTH, EARLY, NOTHING, DELIMITED_BY_CLOSE])))
def test_garbage_is_a_protocol_error_or_a_value(chunks):
    response = Response()
    try:
        for chunk in chunks:
            response.feed(chunk)
        response.eof()
    except ProtocolError:
        pass


def asked(response=None):
    asking = exchange(response or Response(), Send(b"GET"))
    assert next(asking) == Send(b"GET")
    return asking


def returned(asking, event):
    with pytest.raises(StopIteration) as ended:
        asking.send(event)
    return ended.value.value


def test_an_exchange_returns_when_its_response_was_complete():
    asking = asked()
    assert asking.send(Data(memoryview(LENGTH[:9]), 5)) is None
    assert returned(asking, Data(memoryview(LENGTH[9:]), 6)) == 6


def test_an_exchange_that_the_end_of_the_connection_completes():
    asking = asked()
    asking.send(Data(memoryview(DELIMITED_BY_CLOSE), 5))
    assert returned(asking, Eof(7)) == 7


@pytest.mark.parametrize(("event", "error"), [(Eof(1), Lost), (Failed("reset", 1), Lost), (Stop(1), Stopped)])
def test_an_exchange_that_is_interrupted(event, error):
    with pytest.raises(error):
        asked().send(event)


def test_an_exchange_that_is_cut_short():
    asking = asked()
    asking.send(Data(memoryview(LENGTH[:9]), 5))
    with pytest.raises(ProtocolError):
        asking.send(Eof(7))
