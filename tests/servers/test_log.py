import io
import logging
import sys

import pytest

from servers import log
from tests.servers.harness import run, serving


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain text, grüße", "plain text, grüße"),
        ("a\r\nb", "a\\r\\nb"),
        ("\x1b[2J\x07\x00", "\\x1b[2J\\x07\\x00"),
        ("\x9b31m\x85", "\\x9b31m\\x85"),  # C1: one byte is a whole terminal sequence
        ("\u2028\u202e", "\\u2028\\u202e"),  # a line end, and text that runs backwards
        ("\udcff", "\\udcff"),  # a byte that was no UTF-8
    ],
)
def test_what_is_not_printable_is_escaped(text, shown):
    assert log.escaped(text) == shown


@pytest.fixture
def written(monkeypatch):
    """What the program's own set-up writes."""
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", [])
    level = root.level
    log.install()
    yield stream.getvalue
    root.setLevel(level)


EVIL = "evil\r\nERROR: forged\x1b[2J"


def raise_it():
    raise RuntimeError(EVIL)


def test_no_line_but_the_first_of_a_record_begins_at_the_margin(written):
    try:
        raise_it()
    except RuntimeError:
        logging.getLogger("servers").exception("path %s", EVIL)
    first, *rest = written().splitlines()
    assert first == "ERROR: path evil\\r"
    assert len(rest) > 3
    assert all(line.startswith(log.MARGIN) for line in rest)
    assert log.escaped(written().replace("\n", "")) == written().replace("\n", "")


def test_a_record_has_a_greatest_length(written):
    logging.getLogger("servers").error("x" * 10 * log.MOST_CHARS)
    assert len(written()) < 1.1 * log.MOST_CHARS
    assert "… 72007 characters …" in written()


def test_a_mistake_of_ours_is_answered_500_and_logged_once_and_escaped(monkeypatch, written):
    async def broken(request, topic, query):
        raise RuntimeError(request.path + request.headers["X-Evil"] + query["q"])

    async def test():
        async with serving(monkeypatch, "polling") as server:
            server.site.routes["/clock"]["GET"] = broken  # the dispatcher holds the same dictionary
            client = await server.client()
            answer = await client.get("/clock?q=a%0D%0AERROR:%20forged%1B[2J", X_Evil="\x9b31m")
            assert (answer.status, answer.headers["connection"]) == (500, "close")
            assert await client.rest() == b""

    run(test)
    assert written().count("\nERROR") + written().startswith("ERROR: answering failed") == 1
    assert "\x1b" not in written()
    assert "\x9b" not in written()
    assert "forged" in written()
