"""Where a target is: addresses as people write them."""

from __future__ import annotations

import pytest

from loadtests import experiment
from loadtests.settings import InputError
from loadtests.target import check_address, of_table


def test_a_table_names_a_base_a_port_and_places_of_their_own():
    target = of_table({"url": "https://h/v1/", "tcp": "h:1", "websocket": "wss://h/live/{topic}"})
    assert (target.http, target.tcp) == ("https://h/v1", "h:1")
    assert target.access({"tls": "1.2", "load.token_file": "t"}, "websocket").template == "wss://h/live/{topic}"
    sse = target.access({"tls": "1.2", "load.ca_file": "c", "load.insecure": True}, "sse")
    assert (sse.template, sse.tls_version, sse.ca_file, sse.insecure) == (None, "1.2", "c", True)


@pytest.mark.parametrize(
    ("template", "base"),
    [("wss://h:1/live/{topic}", "https://h:1"), ("http://h/poll/{topic}", "http://h"), ("ws://h/x", "http://h")],
)
def test_a_place_of_a_transport_alone_gives_the_base_as_well(template, base):
    assert of_table({"websocket": template}).http == base


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("url", "localhost:8080", "expected an address such as http"),
        ("url", "ws://h", "expected an address such as http"),
        ("url", "http://", "expected an address such as http"),
        ("url", "http://h:99999", "expected an address such as http"),
        ("websocket", "ftp://h", "expected an address such as ws"),
        ("tcp", "61613", "expected HOST:PORT"),
        ("tcp", "h:0", "expected HOST:PORT"),
        ("tcp", "h:x", "expected HOST:PORT"),
    ],
)
def test_what_is_no_address_is_one_line(key, value, expected):
    with pytest.raises(InputError, match=f"^target\\.{key} = {value}, {expected}"):
        check_address("target.", key, value)
    for good in ("http://127.0.0.1:8080", "https://h"):
        check_address("", "--target", good)
    check_address("", "websocket", "wss://h/{topic}")
    check_address("", "--tcp", "[::1]:61613")


def test_a_wrong_table_is_refused_by_file_and_key(tmp_path):
    path = tmp_path / "x.toml"
    path.write_text('transports = ["sse"]\n[target]\nurl = "h:80"\n')
    with pytest.raises(InputError, match=r"^x\.toml: target\.url = h:80, expected an address"):
        experiment.read(path)
    path.write_text('transports = ["sse"]\n[target]\nstomp_tcp = "h:80"\n')
    with pytest.raises(InputError, match=r"^x\.toml: target\.stomp_tcp is not a key that exists"):
        experiment.read(path)


def test_a_flag_takes_the_place_of_the_table(tmp_path):
    path = tmp_path / "x.toml"
    path.write_text('transports = ["sse"]\n[target]\nsse = "http://h/{topic}"\n')
    one = experiment.aimed(experiment.read(path), "http://other", "other:1")
    assert one.target == {"url": "http://other", "tcp": "other:1"}
    with pytest.raises(InputError, match=r"^--target = other, expected"):
        experiment.aimed(one, "other", None)
    with pytest.raises(InputError, match=r"^--tcp = 1, expected HOST:PORT"):
        experiment.aimed(one, "http://other", "1")
