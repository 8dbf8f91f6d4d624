"""What a load process reads out of plan.json, or out of Locust's command line."""

from __future__ import annotations

import argparse
import json

import pytest

from loadtests import plan as module
from loadtests.clients import Address, Backoff, Patience
from loadtests.plan import Plan, PlanError, from_command_line, let_in, options, read
from loadtests.transports import TRANSPORTS


@pytest.mark.parametrize(
    ("transport", "known", "address", "path"),
    [
        ("sse", {"http": "http://h:8080"}, Address("h", 8080), "/sse/t3"),
        ("sse", {"http": "http://h/v1"}, Address("h", 80), "/v1/sse/t3"),
        ("polling", {"http": "https://h"}, Address("h", 443, tls=True), "/poll/t3"),
        ("websocket", {"http": "http://h", "target": "wss://w/live?x={topic}"}, Address("w", 443, tls=True),
         "/live?x=t3"),
        ("sse", {"http": "http://h", "target": "http://w:1/{topic}"}, Address("w", 1), "/t3"),
        ("stomp_tcp", {"http": "http://h", "tcp": "[::1]:61613"}, Address("::1", 61613), ""),
        ("stomp_tcp", {"http": "https://h", "tcp": "b:61614"}, Address("b", 61614, tls=True), ""),
    ],
)  # fmt: skip
def test_where_a_subscriber_connects(transport, known, address, path):
    assert Plan(**known).where(TRANSPORTS[transport], "t3") == (address, path)


def test_a_broker_without_a_port_is_one_clear_line():
    with pytest.raises(PlanError, match=r"needs the broker's own port: --tcp HOST:PORT$"):
        Plan(http="http://h").where(TRANSPORTS["stomp_tcp"], "t0")


def given(*arguments):
    parser = argparse.ArgumentParser()

    def add(*names, include_in_web_ui=True, **settings):
        parser.add_argument(*names, **settings)

    module.arguments(add)
    return parser.parse_args(arguments)


def test_the_command_line_gives_what_the_runner_would_write(tmp_path):
    typed = given("--tcp", "h:1", "--tls-version", "1.3", "--insecure", "--topics", "4", "--seed", "9", "--after", "0",
                  "--connect-timeout-s", "3", "--backoff-s", "0.5", "--spool", str(tmp_path))  # fmt: skip
    plan = from_command_line(typed, "https://h/")
    (tmp_path / "plan.json").write_text(
        json.dumps(
            {
                "http": "https://h", "tcp": "h:1", "tls": {"version": "1.3", "insecure": True}, "topics": 4, "seed": 9,
                "after": 0, "timeouts": {"connect_s": 3}, "backoff": {"first_s": 0.5, "max_s": Backoff().max_s},
                "spool": str(tmp_path),
            }
        )
    )  # fmt: skip
    assert plan == read(tmp_path / "plan.json")
    who = plan.nobody("secret", ("user", "pass"))
    assert (who.patience, who.backoff) == (Patience(connect_s=3), Backoff(first_s=0.5))
    assert (who.after, who.seed, who.token, who.login) == (0, 9, "secret", ("user", "pass"))


def test_without_a_host_there_is_no_plan():
    with pytest.raises(PlanError, match=r"^--host is missing"):
        from_command_line(given(), None)


def test_options_are_the_runners_or_those_that_were_typed():
    row = TRANSPORTS["websocket"]
    typed = vars(given("--websocket-server-no-context-takeover", "on", "--polling-interval-s", "3"))
    assert options(Plan(), row, typed) == {"server_no_context_takeover": True}
    assert options(Plan(), TRANSPORTS["polling"], typed) == {"interval_s": 3.0}
    plan = Plan(transport="websocket", options={"server_no_context_takeover": False})
    assert options(plan, row, typed) == {"server_no_context_takeover": False}


def test_files_that_cannot_be_used_are_one_clear_line(tmp_path):
    (tmp_path / "token").write_text("secret\n")
    assert let_in(Plan(http="http://h", token_file=str(tmp_path / "token"))) == (None, "secret", None)
    with pytest.raises(PlanError, match=r"^load\.token_file = .*nowhere: No such file"):
        let_in(Plan(http="http://h", token_file=str(tmp_path / "nowhere")))
