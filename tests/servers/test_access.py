import argparse

import pytest

from servers import access, options
from servers.access import Access
from servers.responses import Problem
from tests.servers.harness import run, serving


@pytest.fixture
def token_file(tmp_path):
    path = tmp_path / "token"
    path.write_text("s3cret-T0ken==\n")
    return str(path)


def test_without_a_token_nobody_comes_in_but_to_health(monkeypatch, token_file):
    async def test():
        async with serving(monkeypatch, "polling", "--token-file", token_file) as server:
            client = await server.client()
            assert (await client.get("/health")).status == 200
            for target in ("/poll/t0", "/clock", "/stats", "/nothing"):
                answer = await client.get(target)
                assert (answer.status, answer.headers["www-authenticate"]) == (401, 'bearer realm="pushbench"')
            assert (await client.ask("POST", "/publish/own", b"x")).status == 401
            assert server.site.counters.drops["unauthorized"] == 5

    run(test)


@pytest.mark.parametrize(
    ("credentials", "status"),
    [
        ("Bearer s3cret-T0ken==", 204),
        ("bearer  s3cret-T0ken==", 204),
        ("Bearer s3cret-T0ken=", 401),
        ("Bearer S3CRET-T0KEN==", 401),
        ("Bearer", 401),
        ("Basic s3cret-T0ken==", 401),
        ("s3cret-T0ken==", 401),
    ],
)
def test_the_token_is_compared_whole(monkeypatch, token_file, credentials, status):
    async def test():
        async with serving(monkeypatch, "polling", "--token-file", token_file) as server:
            answer = await (await server.client()).get("/poll/t0?after=0", Authorization=credentials)
            assert answer.status == status
            tried = credentials.lower().startswith("bearer")
            assert ("invalid_token" in answer.headers.get("www-authenticate", "")) == (tried and status == 401)

    run(test)


@pytest.mark.parametrize(
    ("host", "origin", "status"),
    [
        ("localhost:80", None, 202),
        ("localhost:80", "http://localhost:80", 202),
        ("LOCALHOST:80", "http://localhost:80", 202),
        ("127.0.0.1:80", "http://127.0.0.1:80", 202),
        ("[::1]:80", "http://[::1]:80", 202),
        ("localhost:80", "https://listed.example", 202),
        ("localhost:80", "https://listed.example:444", 403),
        ("localhost:80", "http://listed.example", 403),
        ("localhost:80", "http://localhost:81", 403),  # another program of this machine's
        ("localhost:80", "https://localhost:80", 403),
        ("localhost:80", "http://evil.example", 403),
        ("localhost:80", "null", 403),  # a sandboxed frame, a file
        ("localhost:80", "", 403),
        ("evil.example:80", "http://evil.example:80", 421),  # DNS rebinding
    ],
)
def test_where_a_page_may_come_from(monkeypatch, host, origin, status):
    async def test():
        async with serving(monkeypatch, "polling", "--allow-origin", "https://listed.example") as server:
            client = await server.client()
            lines = f"POST /publish/own HTTP/1.1\r\nHost: {host}\r\nContent-Length: 1\r\n"
            lines += "" if origin is None else f"Origin: {origin}\r\n"
            client.writer.write(f"{lines}\r\nx".encode())
            answer = await client.answer()
            assert answer.status == status
            refused = {403: {"bad_origin": 1}, 421: {"bad_host": 1}}.get(status, {})
            assert server.site.counters.drops == refused
            assert ("own" in server.site.feed.topics) == (status == 202)

    run(test)


@pytest.mark.parametrize("target", ["/ws/t0", "/stomp", "/feed"])
def test_every_path_that_upgrades_or_changes_something_is_guarded(monkeypatch, target):
    async def test():
        async with serving(monkeypatch, "websocket", "stomp_websocket") as server:
            method = "PUT" if target == "/feed" else "GET"
            answer = await (await server.client()).ask(method, target, Origin="http://evil.example")
            assert answer.status == 403

    run(test)


def test_two_origins_are_both_looked_at(monkeypatch):
    async def test():
        async with serving(monkeypatch, "polling") as server:
            client = await server.client()
            client.writer.write(
                b"POST /publish/own HTTP/1.1\r\nHost: localhost\r\nOrigin: http://localhost\r\n"
                b"Origin: http://evil.example\r\nContent-Length: 1\r\n\r\nx"
            )
            assert (await client.answer()).status == 403

    run(test)


@pytest.mark.parametrize(
    ("host", "ours"),
    [
        ("localhost", True), ("a.localhost:1", True), ("127.9.9.9:1", True), ("[::1]", True), ("10.0.0.7:1", True),
        ("listed.example", True), ("listed.example:99", True), ("evil.example", False), ("localhost.evil", False),
        ("evil@localhost", False), ("localhost:x", False), ("", False), ("[::1", False), ("a b", False),
    ],
)  # fmt: skip
def test_names_that_are_ours(host, ours):
    assert Access("http", loopback=True, names=frozenset({"listed.example"})).ours(host) is ours


def test_a_host_is_not_trusted_for_the_company_it_came_in(monkeypatch):
    async def test():
        async with serving(monkeypatch, "polling", "--connections", "1000") as server:
            client = await server.client()
            for target, host, status in (
                ("http://localhost/clock", "evil.example", 200),  # the target's own authority counts …
                ("/clock", "evil.example", 421),  # … and makes nothing of the Host beside it
                ("http://evil.example/clock", "localhost", 421),
                ("/clock", "localhost", 200),
                ("/clock", "evil.example", 421),
            ):
                client.writer.write(f"GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
                assert (await client.answer()).status == status
            for number in range(300):
                client.writer.write(f"GET /clock HTTP/1.1\r\nHost: h{number}.localhost\r\n\r\n".encode())
                assert (await client.answer()).status == 200

    run(test)


def test_reading_is_for_everybody_who_can_reach_a_port_that_is_bound_wider():
    settings = argparse.Namespace(host="0.0.0.0", origins=[], tls=None, token=None)
    assert not Access.of(settings).loopback
    assert Access.of(argparse.Namespace(host="127.0.0.2", origins=[], tls=None, token=None)).loopback


def test_a_rebound_name_is_no_origin_of_ours_wherever_we_are_bound():
    request = argparse.Namespace(headers=Headers({"Host": "evil.example", "Origin": "http://evil.example"}))
    with pytest.raises(Problem) as caught:
        Access("http", loopback=False, names=frozenset()).check_origin(request)
    assert caught.value.status == 403


class Headers(dict):
    def getall(self, name, default):
        return [self[name]] if name in self else default


@pytest.mark.parametrize(
    ("text", "origin"),
    [
        ("http://a.example", "http://a.example"), ("https://A.Example:443", "https://a.example"),
        ("http://[::1]:8080", "http://[::1]:8080"),
    ],
)  # fmt: skip
def test_origins_as_browsers_write_them(text, origin):
    assert access.origin(text) == origin


@pytest.mark.parametrize("text", ["", "a.example", "ftp://a", "http://", "http://a/", "http://a/b", "http://u@a", "*"])
def test_what_is_no_origin(text):
    with pytest.raises(ValueError, match="expected http"):
        access.origin(text)


@pytest.mark.parametrize("content", [b"", b"two words", b"a\nb", b"\xff", "grüße".encode()])
def test_a_bad_secret_is_named_by_its_file_alone(tmp_path, capsys, content):
    path = tmp_path / "secret"
    path.write_bytes(content)
    for flag in ("--token-file", "--login-file"):
        with pytest.raises(SystemExit):
            options.parse(["polling", flag, str(path)])
        error = capsys.readouterr().err
        assert f"{flag} {path}" in error
        assert error.count("\n") == 1
        assert not content or content.decode("latin-1") not in error


def test_a_missing_secret(tmp_path, capsys):
    with pytest.raises(SystemExit):
        options.parse(["polling", "--token-file", str(tmp_path / "no")])
    assert "No such file" in capsys.readouterr().err


def test_login(tmp_path):
    path = tmp_path / "login"
    path.write_text("guest:a:b\n")
    assert options.parse(["polling", "--login-file", str(path)]).login == ("guest", "a:b")
    assert options.parse(["polling"]).login is None
