import asyncio
import datetime as dt
import socket
import ssl
from pathlib import Path

import pytest
import trustme

from servers import app, options
from tests.servers.harness import run, serving, until

VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}


def trusting(ready, version=None):
    context = ssl.create_default_context(cafile=ready["tls"]["ca_file"])
    if version:
        context.minimum_version = context.maximum_version = VERSIONS[version]
    return context


@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_a_throw_away_certificate_is_good_for_every_name_of_ours(monkeypatch, version):
    async def test():
        async with serving(monkeypatch, "polling", "--tls") as server:
            assert server.ready["http"].startswith("https://127.0.0.1:")
            assert server.ready["tls"]["versions"] == ["1.2", "1.3"]
            client = await server.client(trusting(server.ready, version))  # checks the name 127.0.0.1
            assert client.writer.get_extra_info("ssl_object").version() == f"TLSv{version}"
            server.publish(1)
            assert (await client.get("/poll/own?after=0")).json()["last"] == 1
            _, writer = await asyncio.open_connection(
                "127.0.0.1", server.port, ssl=trusting(server.ready), server_hostname="localhost"
            )
            writer.transport.abort()
            files.append(Path(server.ready["tls"]["ca_file"]))
            assert "PRIVATE" not in files[0].read_text()

    files = []
    run(test)
    assert not files[0].exists()


@pytest.mark.parametrize(("asked", "other"), [("1.2", "1.3"), ("1.3", "1.2")])
def test_exactly_one_version(monkeypatch, asked, other):
    async def test():
        async with serving(monkeypatch, "polling", "--tls", "--tls-version", asked) as server:
            assert server.ready["tls"]["versions"] == [asked]
            assert (await (await server.client(trusting(server.ready, asked))).get("/clock")).status == 200
            with pytest.raises((ssl.SSLError, ConnectionError)):
                await server.client(trusting(server.ready, other))
            await until(lambda: server.site.counters.drops["tls_handshake_failed"] == 1)

    run(test)


def test_the_tcp_port_speaks_tls_too():
    async def test():
        settings = options.parse(["stomp_tcp", "--port", "0", "--control", "--tls"])
        async with app.serve(settings) as ready:
            host, port = str(ready["tcp"]).split(":")
            reader, writer = await asyncio.open_connection(host, int(port), ssl=trusting(ready))
            writer.write(b"CONNECT\naccept-version:1.2\nhost:test\n\n\0")
            assert (await reader.readuntil(b"\0")).startswith(b"CONNECTED\n")
            writer.close()

    run(test)


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


def pem(authority, folder, name, **dates):
    certificate = authority.issue_cert("localhost", "127.0.0.1", **dates)
    certificate.private_key_pem.write_to_path(folder / f"{name}.key")
    for index, blob in enumerate(certificate.cert_chain_pems):
        blob.write_to_path(folder / f"{name}.pem", append=index > 0)
    return str(folder / f"{name}.pem"), str(folder / f"{name}.key")


def test_the_users_own_certificate(monkeypatch, tmp_path, authority):
    certificate, key = pem(authority, tmp_path, "own")

    async def test():
        async with serving(monkeypatch, "polling", "--tls-certificate", certificate, "--tls-key", key) as server:
            assert server.ready["tls"]["ca_file"] is None
            context = ssl.create_default_context()
            authority.configure_trust(context)
            assert (await (await server.client(context)).get("/clock")).status == 200

    run(test)


def test_what_is_wrong_with_a_certificate_is_one_line_and_exit_code_2(tmp_path, capsys, authority):
    now = dt.datetime.now(dt.UTC)
    day = dt.timedelta(days=1)
    own, key = pem(authority, tmp_path, "own")
    _, other_key = pem(authority, tmp_path, "other")
    old = pem(authority, tmp_path, "old", not_before=now - 3 * day, not_after=now - day)
    young = pem(authority, tmp_path, "young", not_before=now + day, not_after=now + 3 * day)
    (tmp_path / "junk").write_text("junk")
    junk, missing = str(tmp_path / "junk"), str(tmp_path / "missing")
    for argv, message in (
        (["--tls-certificate", own], "expected both or neither"),
        (["--tls-key", key], "expected both or neither"),
        (["--tls-version", "1.3"], "--tls-version 1.3 without TLS"),
        (["--tls-certificate", own, "--tls-key", other_key], f"--tls-key {other_key}: does not belong to"),
        (["--tls-certificate", old[0], "--tls-key", old[1]], "expired (valid"),
        (["--tls-certificate", young[0], "--tls-key", young[1]], "not valid yet (valid"),
        (["--tls-certificate", junk, "--tls-key", key], f"--tls-certificate {junk}: not a certificate"),
        (["--tls-certificate", own, "--tls-key", junk], f"--tls-key {junk}: no key"),
        (["--tls-certificate", missing, "--tls-key", key], f"--tls-certificate {missing}: No such file"),
        (["--tls-certificate", own, "--tls-key", missing], f"--tls-key {missing}: No such file"),
    ):
        with pytest.raises(SystemExit) as caught:
            options.parse(["polling", *argv])
        error = capsys.readouterr().err
        assert caught.value.code == 2
        assert message in error
        assert error.count("\n") == 1


def test_an_encrypted_key_is_refused_and_nobody_is_asked_for_a_password(tmp_path, capsys, authority):
    from cryptography.hazmat.primitives import serialization

    own, key = pem(authority, tmp_path, "own")
    loaded = serialization.load_pem_private_key((tmp_path / "own.key").read_bytes(), None)
    secret = serialization.BestAvailableEncryption(b"secret")
    (tmp_path / "own.key").write_bytes(
        loaded.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, secret)
    )
    with pytest.raises(SystemExit):
        options.parse(["polling", "--tls-certificate", own, "--tls-key", key])
    assert "not encrypted" in capsys.readouterr().err


def test_a_handshake_that_never_ends_takes_a_place_and_only_for_a_while(monkeypatch):
    async def test():
        argv = ("polling", "--tls", "--handshake", "0.1", "--connections", "1")
        async with serving(monkeypatch, *argv) as server:
            with socket.create_connection((server.host, server.port)) as silent:
                await until(lambda: server.site.handshakes == 1)
                await until(lambda: server.site.counters.drops["handshake_timeout"] == 1)
                assert server.site.handshakes == 0
                silent.setblocking(False)
                assert await asyncio.get_running_loop().sock_recv(silent, 1) == b""

    run(test)


def test_http_on_a_port_that_speaks_tls(monkeypatch):
    async def test():
        async with serving(monkeypatch, "polling", "--tls") as server:
            client = await server.client()
            client.send("GET", "/clock")
            assert not (await client.rest()).startswith(b"HTTP")
            await until(lambda: server.site.counters.drops["tls_handshake_failed"] == 1)
            assert server.site.handshakes == 0

    run(test)


def test_past_the_limit_and_its_spare_not_even_a_handshake_begins(monkeypatch):
    async def test():
        async with serving(monkeypatch, "polling", "--tls", "--connections", "1") as server:
            monkeypatch.setattr("servers.site.SPARE_CONNECTIONS", 1)
            first = await server.client(trusting(server.ready))
            assert (await first.get("/clock")).status == 200
            second = await server.client(trusting(server.ready))
            answer = await second.answer()
            assert (answer.status, answer.headers["retry-after"]) == (503, "1")
            with socket.create_connection((server.host, server.port)):  # holds the spare place
                await until(lambda: server.site.handshakes == 1)
                with pytest.raises((ssl.SSLError, ConnectionError)):
                    await server.client(trusting(server.ready))
            assert server.site.counters.drops["too_many_connections"] == 2

    run(test)
