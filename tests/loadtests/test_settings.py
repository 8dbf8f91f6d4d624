"""The keys of an experiment: what they accept, what they say, and the flags they become."""

from __future__ import annotations

import sys
import types
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtests import settings
from loadtests.settings import Key, accept, did_you_mean, expectation, server_flags, show, topic_count
from loadtests.transports import TRANSPORTS, Transport

COUNT = Key(int, 1, "", 1)
PACE = Key(float, 1.0, "", 0, 60)
TOPICS = Key(int, 1, "", 1, choices=("per_subscriber",))
MODE = Key(str, "cursor", "", choices=("cursor", "latest"))
BITS = Key(int, 0, "", choices=(0, 8, 15))
NAME = Key(str, "", "")
FLAG = Key(bool, False, "")


@pytest.mark.parametrize(
    ("key", "value", "accepted"),
    [
        (COUNT, 1, 1),
        (COUNT, 3.0, 3),
        (PACE, 0, 0.0),
        (PACE, 60, 60.0),
        (TOPICS, "per_subscriber", "per_subscriber"),
        (TOPICS, 7, 7),
        (MODE, "latest", "latest"),
        (NAME, "anything", "anything"),
        (BITS, 8, 8),
        (FLAG, True, True),
    ],
)
def test_what_a_key_accepts_comes_back_as_its_kind(key, value, accepted):
    result = accept(key, value)
    assert result == accepted
    assert type(result) is type(accepted)


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        (COUNT, 0, "a whole number of at least 1"),
        (COUNT, 1.5, "a whole number of at least 1"),
        (COUNT, True, "a whole number of at least 1"),
        (COUNT, "1", "a whole number of at least 1"),
        (COUNT, float("nan"), "a whole number of at least 1"),
        (PACE, 60.1, "a number from 0 to 60"),
        (PACE, float("inf"), "a number from 0 to 60"),
        (PACE, None, "a number from 0 to 60"),
        (TOPICS, "each", 'a whole number of at least 1 or "per_subscriber"'),
        (MODE, "newest", '"cursor" or "latest"'),
        (BITS, 7, "0 or 8 or 15"),
        (BITS, False, "0 or 8 or 15"),
        (NAME, 1, "text"),
        (FLAG, 1, "true or false"),
        (FLAG, "true", "true or false"),
    ],
)
def test_what_a_key_refuses_is_answered_with_what_it_expects(key, value, expected):
    with pytest.raises(ValueError, match=r"^" + expected.replace("(", r"\(") + r"$"):
        accept(key, value)


def test_a_number_with_only_an_upper_bound_says_so():
    assert expectation(Key(float, 1.0, "", maximum=5)) == "a number of at most 5"


@given(
    st.sampled_from([COUNT, PACE, TOPICS, MODE, NAME, FLAG, BITS]),
    st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(), st.lists),
)
def test_any_value_is_accepted_as_its_kind_or_refused_with_the_expectation(key, value):
    outcome = value_or_refusal(key, value)
    if isinstance(outcome, ValueError):
        assert str(outcome) == expectation(key)
    else:
        assert isinstance(outcome, str) if isinstance(value, str) else type(outcome) is key.kind


def value_or_refusal(key, value):
    try:
        return accept(key, value)
    except ValueError as error:
        return error


def test_an_unknown_name_is_answered_with_the_nearest_or_all():
    assert did_you_mean("subscriber", ["subscribers", "workers"]) == "did you mean subscribers?"
    assert did_you_mean("zzz", ["b", "a"]) == "known: a, b"


@pytest.mark.parametrize(("value", "text"), [(0.5, "0.5"), (2.0, "2"), (1e-3, "0.001"), (True, "true"), ("x", "x")])
def test_values_are_shown_as_they_are_written(value, text):
    assert show(value) == text


def test_settings_become_the_flags_of_the_server():
    flags = server_flags(
        {"feed.rate_hz": 2.0, "feed.schedule": "constant", "server.heartbeat_s": 0.5, "server.deflate": False, "x.y": 1}
    )
    assert flags == ["--schedule", "constant", "--rate", "2", "--heartbeat", "0.5", "--no-deflate"]
    assert "--deflate" in server_flags({"server.deflate": True})


def test_topics_are_a_number_or_one_for_each_subscriber():
    assert topic_count({"feed.topics": 3, "load.subscribers": 10}) == 3
    assert topic_count({"feed.topics": "per_subscriber", "load.subscribers": 10}) == 10


@pytest.mark.parametrize(
    ("written", "version"),
    [("1.3", "1.3"), (1.3, "1.3"), (1.2, "1.2"), (True, "1.3"), (False, "off"), ("off", "off")],
)
def test_tls_is_a_version_however_it_is_written(written, version):
    assert accept(settings.ANYWHERE["tls"], written) == version


@pytest.mark.parametrize("written", ["1.1", 1, 1.1, "true", None])
def test_another_tls_is_refused_with_the_choices(written):
    with pytest.raises(ValueError, match=r'^"off" or "1\.2" or "1\.3"$'):
        accept(settings.ANYWHERE["tls"], written)


def test_tls_and_secrets_become_flags_of_the_server():
    assert server_flags({"tls": "off"}) == []
    assert server_flags({"tls": "1.2", "load.token_file": "t", "load.login_file": "l", "load.ca_file": "c"}) == [
        "--tls", "--tls-version", "1.2", "--token-file", "t", "--login-file", "l",
    ]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Options:
    interval_s: float = field(default=1.0, metadata={"help": "pause", "min": 0, "max": 60})
    mode: str = field(default="a", metadata={"choices": ("a", "b")})


def test_a_clients_keys_are_read_off_its_options(monkeypatch):
    module = types.ModuleType("loadtests.clients.made_up")
    module.Options = Options
    monkeypatch.setitem(sys.modules, "loadtests.clients.made_up", module)
    row = Transport("made_up", "Made up", "MadeUp", "made_up", "none")
    keys = settings.client_keys(row)
    assert keys["interval_s"] == Key(float, 1.0, "pause", 0, 60)
    assert keys["mode"] == Key(str, "a", "", choices=("a", "b"))


def test_every_default_is_one_the_key_itself_accepts():
    for section, keys in settings.sections(TRANSPORTS).items():
        for name, key in keys.items():
            assert key.default is None or accept(key, key.default) == key.default, f"{section}.{name}"
