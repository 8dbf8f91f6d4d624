"""Reasons of failures: short, printable, like counted with like, and no secret in them."""

from collections import Counter

from loadtests.drivers.reasons import count, presentable


def test_what_a_peer_says_reaches_a_terminal_tamed():
    assert presentable("ERROR \x1b[2J\r\nforged line\u202e") == "ERROR \\x1b[2J\\x0d\\x0aforged line\\x202e"
    assert presentable("grüße") == "grüße"
    assert len(presentable("x" * 10**6)) == 201


def test_a_secret_that_a_peer_repeats_is_not_shown():
    assert presentable("answered 401 no such token: s3cr3t", ["s3cr3t"]) == "answered 401 no such token: ***"


def test_like_counts_with_like():
    failures = Counter()
    for number in (12345, 67890):
        count(failures, f"after {number} bytes (RFC 9112 6.3), status 404")
    assert failures == {"after N bytes (RFC 9112 6.3), status 404": 2}


def test_a_peer_that_invents_reasons_fills_no_memory():
    failures = Counter()
    for number in range(10_000):
        count(failures, f"reason {number % 700} {'abc'[number % 3]}{'x' * (number % 999)}")
    assert len(failures) <= 501
    assert failures["other failures"] > 0
    assert sum(failures.values()) == 10_000
