"""The load side's TLS settings: what a context offers and checks, and what a mistake in them is answered with."""

import socket
import ssl

import pytest

from loadtests import tls
from loadtests.settings import InputError
from tests.loadtests.tls_peer import ca_file


@pytest.mark.parametrize(
    ("version", "least", "most"),
    [
        ("", ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.MAXIMUM_SUPPORTED),
        ("1.2", ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_2),
        ("1.3", ssl.TLSVersion.TLSv1_3, ssl.TLSVersion.TLSv1_3),
    ],
)
def test_a_version_is_exactly_that_version(version, least, most):
    context = tls.context(version, ca_file())
    assert (context.minimum_version, context.maximum_version) == (least, most)
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert len(context.get_ca_certs()) == 1  # the named authority, and not the system's besides


def test_without_a_file_the_systems_authorities_count():
    assert tls.context().verify_mode == ssl.CERT_REQUIRED


def test_insecure_has_to_be_said():
    context = tls.context(insecure=True)
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_NONE, False)


@pytest.mark.parametrize(
    ("content", "why"), [(None, "No such file or directory"), ("", "no certificate in it"), ("x", "no certificate")]
)
def test_a_bad_ca_file_is_one_clear_line(tmp_path, content, why):
    path = tmp_path / "ca.pem"
    if content is not None:
        path.write_text(content)
    with pytest.raises(InputError) as raised:
        tls.context("1.3", str(path))
    said = str(raised.value)
    assert said.startswith(f"load.ca_file = {path}: {why}")
    assert said.endswith("expected certificates (PEM)")
    assert "\n" not in said


def test_an_unknown_version_is_named():
    with pytest.raises(InputError, match=r"tls = '1.1', expected 1.2 or 1.3"):
        tls.context("1.1")


def test_errors_are_said_in_a_few_words():
    assert tls.explain(ConnectionResetError(104, "Connection reset by peer")) == "Connection reset by peer"
    assert tls.explain(TimeoutError("timed out")) == "timed out"
    assert tls.explain(ssl.SSLEOFError(8, "eof")) == "ended by the peer without close_notify"
    assert "found" in tls.explain(socket.gaierror(-2, "not found"))
