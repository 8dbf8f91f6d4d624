"""How a server is reached: TLS only where the address says so, secrets only from their files."""

from __future__ import annotations

import ssl

import pytest
import trustme

from loadtests.access import Access, AccessError, of_ready


@pytest.fixture
def authority(tmp_path):
    path = tmp_path / "ca.pem"
    trustme.CA().cert_pem.write_to_path(str(path))
    return str(path)


def secret(tmp_path, text):
    path = tmp_path / "secret"
    path.write_text(text)
    return str(path)


def test_only_https_is_tls():
    assert Access("http://127.0.0.1:1").trust() is None
    assert Access("http://127.0.0.1:1").plan()["tls"] is None
    assert isinstance(Access("https://127.0.0.1:1", insecure=True).trust(), ssl.SSLContext)


def test_a_version_is_exactly_that_one(authority):
    trust = Access("https://h", tls_version="1.2", ca_file=authority).trust()
    assert (trust.minimum_version, trust.maximum_version) == (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_2)
    assert trust.verify_mode == ssl.CERT_REQUIRED
    assert trust.check_hostname
    assert len(trust.get_ca_certs()) == 1, "the system's authorities are not trusted besides"


def test_insecure_accepts_any_certificate():
    trust = Access("https://h", insecure=True).trust()
    assert trust.verify_mode == ssl.CERT_NONE
    assert not trust.check_hostname


@pytest.mark.parametrize("text", [None, "no certificate"])
def test_an_authority_that_cannot_be_read_is_named(tmp_path, text):
    path = secret(tmp_path, text) if text else "/no/such.pem"
    with pytest.raises(AccessError, match=r"load\.ca_file = .*, expected certificates \(PEM\)"):
        Access("https://h", ca_file=path).trust()


def test_secrets_are_the_first_line_of_their_files(tmp_path):
    assert Access("http://h", token_file=secret(tmp_path, "s3cret\nnote\n")).token() == "s3cret"
    assert Access("http://h", login_file=secret(tmp_path, "user:pass:word\n")).login() == ("user", "pass:word")
    assert Access("http://h").token() == ""
    assert Access("http://h").login() is None


def test_a_secret_that_is_none_is_named_by_its_key_and_file(tmp_path):
    with pytest.raises(AccessError, match=r"load\.token_file = .*: its first line is empty"):
        Access("http://h", token_file=secret(tmp_path, "\n")).token()
    with pytest.raises(AccessError, match=r"load\.token_file = /no/such: No such file"):
        Access("http://h", token_file="/no/such").token()
    with pytest.raises(AccessError, match=r"load\.login_file = .*: no colon in it, expected user:passcode"):
        Access("http://h", login_file=secret(tmp_path, "user")).login()


def test_the_plan_names_files_and_never_their_content(tmp_path):
    server = Access("https://h:1", "h:2", "1.3", "ca.pem", token_file=secret(tmp_path, "s3cret"), template="wss://h/x")
    plan = server.plan()
    assert plan["tls"] == {"version": "1.3", "ca_file": "ca.pem", "insecure": False}
    assert (plan["http"], plan["tcp"], plan["target"]) == ("https://h:1", "h:2", "wss://h/x")
    assert "s3cret" not in str(plan)


def test_ready_names_the_authority_of_its_own_certificate():
    said = {"http": "https://127.0.0.1:1", "tcp": None, "tls": {"versions": ["1.3"], "ca_file": "/tmp/ca.pem"}}
    server = of_ready(said, {"tls": "1.3", "load.ca_file": "mine.pem", "load.token_file": "t"})
    assert (server.tls_version, server.ca_file, server.token_file) == ("1.3", "/tmp/ca.pem", "t")
    said["tls"]["ca_file"] = None
    assert of_ready(said, {"tls": "1.3", "load.ca_file": "mine.pem"}).ca_file == "mine.pem"
    assert not of_ready({"http": "http://h", "tcp": None}, {"tls": "off"}).tls
