"""The command line: what it runs, what it refuses, and the code it ends with."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from loadtests import __main__ as module
from loadtests.control import ControlError


@pytest.fixture(autouse=True)
def keep_sigterm():
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.fixture
def ran(monkeypatch):
    calls = []

    def run(name, experiments, out, *, command, with_floor):
        calls.append((name, [one.name for one in experiments], out, with_floor, experiments))
        return Path("results/x"), not name.startswith("poll")

    monkeypatch.setattr(module.runner, "run", run)
    return calls


@pytest.mark.parametrize("command", [[], *([name] for name in module.COMMANDS)])
def test_help_ends_in_two_runnable_examples(command, capsys):
    with pytest.raises(SystemExit) as ended:
        module.main([*command, "--help"])
    assert ended.value.code == 0
    examples = capsys.readouterr().out.rstrip().splitlines()[-2:]
    for line in examples:
        words = line.split()
        assert words[:3] == ["python", "-m", "loadtests"]
        module._parser().parse_args(words[3:])


def test_ctrl_c_before_anything_was_measured_is_one_word(monkeypatch, capsys):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(module.runner, "run", interrupted)
    assert module.main(["run", "fan_out"]) == 1
    assert capsys.readouterr().err == "interrupted\n"


def test_the_floor_is_a_table_or_a_line_that_says_why_not(monkeypatch, capsys):
    row = {"cpu_us_per_delivery": 5.0, "transit_ms_p50": 0.1, "transit_ms_p95": 0.2, "round_trip_ms_p50": None, "n": 9}
    monkeypatch.setattr(module.floor, "measure", lambda names: dict.fromkeys(names, row))
    assert module.main(["floor", "--transports", "sse"]) == 0
    assert "sse" in capsys.readouterr().out

    def fail(_):
        raise ControlError("PUT /feed: refused")

    monkeypatch.setattr(module.floor, "measure", fail)
    assert module.main(["floor"]) == 1
    assert capsys.readouterr().err == "floor: PUT /feed: refused\n"


def test_every_command_has_examples_of_its_own():
    assert module._EXAMPLES.keys() == {"", *module.COMMANDS}
    for name in module.COMMANDS:
        assert all(words.split()[0] == name for words in module._EXAMPLES[name])


def test_a_flag_that_is_none_is_one_line(capsys):
    with pytest.raises(SystemExit) as ended:
        module.main(["run", "--sute", "full"])
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "unrecognized arguments: --sute; see python -m loadtests" in said


def test_a_run_is_aimed_at_a_target(ran):
    module.main(["run", "fan_out", "--target", "http://127.0.0.1:1", "--tcp", "127.0.0.1:2", "--transports", "sse"])
    assert ran[0][4][0].target == {"url": "http://127.0.0.1:1", "tcp": "127.0.0.1:2"}


def test_a_target_is_verified_by_what_lets_us_in(monkeypatch, tmp_path, capsys):
    asked = []
    monkeypatch.setattr(
        module.verify, "of_server", lambda _, server: asked.append(server) or {"checks": ["order"], "seconds": 0.1}
    )
    token = tmp_path / "token"
    token.write_text("x")
    words = ["verify", "sse", "--target", "https://h/", "--insecure", "--token-file", str(token)]
    assert module.main(words) == 0
    assert asked == [module.Access("https://h", insecure=True, token_file=str(token))]


def test_a_run_is_named_after_its_experiments_or_its_suite(ran, capsys):
    assert module.main(["run", "fan_out", "hold_timeout", "--out", "elsewhere", "--no-floor"]) == 0
    assert module.main(["run", "--suite", "smoke"]) == 0
    assert [call[0] for call in ran] == ["fan_out-hold_timeout", "smoke"]
    assert ran[0][1:4] == (["fan_out", "hold_timeout"], Path("elsewhere"), False)
    assert ran[1][2:4] == (Path("results"), True)
    assert "results: results/x" in capsys.readouterr().out


def test_a_run_may_be_given_a_name(ran, capsys):
    assert module.main(["run", "fan_out", "hold_timeout", "--name", "mine"]) == 0
    assert ran[0][0] == "mine"
    with pytest.raises(SystemExit):
        module.main(["run", "fan_out", "--name", "../x"])
    assert "expected letters, digits and _ . = -" in capsys.readouterr().err


def test_a_failed_cell_is_exit_code_1(ran):
    assert module.main(["run", "poll_interval"]) == 1


def test_a_run_is_gone_on_with_as_it_was_planned(ran, monkeypatch, capsys):
    monkeypatch.setattr(module.runner, "go_on", lambda folder, *, command: (folder, True))
    assert module.main(["run", "--resume", "results/x"]) == 0
    assert "results: results/x" in capsys.readouterr().out
    for beside, word in (
        (["fan_out"], "EXPERIMENT"),
        (["--set", "repeats=2"], "--set"),
        (["--transports", "sse"], "--transports"),
        (["--no-floor"], "--no-floor"),
        (["--suite", "full"], "--suite"),
        (["--out", "elsewhere"], "--out"),
        (["--name", "mine"], "--name"),
    ):
        assert module.main(["bench", "--resume", "results/x", *beside]) == 2
        assert capsys.readouterr().err == f"--resume results/x: it is finished as it was planned; leave out {word}\n"


def test_a_disk_that_is_full_is_one_line_and_exit_code_1(monkeypatch, capsys):
    def full(*_, **__):
        raise module.StorageError("run.json: cannot be written: No space left on device")

    monkeypatch.setattr(module.runner, "run", full)
    assert module.main(["run", "fan_out"]) == 1
    assert capsys.readouterr().err == "run.json: cannot be written: No space left on device\n"


def test_keys_and_transports_can_be_overridden(ran):
    module.main(["run", "fan_out", "--set", "load.subscribers=7", "--set", "repeats=2", "--transports", "sse"])
    one = ran[0][4][0]
    assert (one.values["load.subscribers"], one.repeats, one.transports) == ((7,), 2, ("sse",))


def test_an_experiment_without_any_of_the_transports_is_left_out(ran):
    module.main(["run", "--transports", "sse"])
    assert "hold_timeout" not in ran[0][1]
    assert "fan_out" in ran[0][1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "fan_ot"], "fan_ot: no such experiment; did you mean fan_out?"),
        (["run", "fan_out", "--set", "load.subscribers=-5"], "fan_out.toml: load.subscribers = -5, expected a whole"),
        (["run", "fan_out", "--transports", "ssee"], "--transports ssee: no such transport; did you mean sse?"),
        (["run", "hold_timeout", "--transports", "sse"], "nothing to run"),
        (["verify", "websockets"], "websockets: no such transport; did you mean websocket?"),
        (["floor", "--transports", "x"], "--transports x: no such transport"),
        (["run", "fan_out", "--set", "tls=1.1"], 'fan_out.toml: tls = 1.1, expected "off" or "1.2" or "1.3"'),
        (
            ["run", "fan_out", "--set", "load.ca_file=none"],
            "fan_out.toml: load.ca_file = none, expected a file that is",
        ),
        (
            ["run", "fan_out", "--set", "load.backoff_s=-1"],
            "fan_out.toml: load.backoff_s = -1, expected a number from 0",
        ),
        (["run", "fan_out", "--target", "localhost"], "--target = localhost, expected an address such as http://"),
        (["run", "fan_out", "--target", "http://h", "--tcp", "x"], "--tcp = x, expected HOST:PORT"),
        (["run", "fan_out", "--tcp", "h:1"], "--tcp h:1: expected --target URL with it"),
        (["run", "--resume", "no/such"], "--resume no/such: no such folder, expected that of a run"),
        (["verify", "sse", "--insecure"], "--insecure: expected --target URL with it"),
        (["verify", "sse", "--tcp", "h:1"], "--tcp: expected --target URL with it"),
        (["verify", "sse", "--target", "http://h", "--token-file", "none"], "--token-file none: expected a file that"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(arguments, message, capsys):
    assert module.main(arguments) == 2
    said = capsys.readouterr().err
    assert said.startswith(message)
    assert said.count("\n") == 1


def test_bench_ends_with_the_worse_of_measuring_and_reading(ran, monkeypatch):
    codes = {"analysis": 0}

    def analysis(command, *, check):
        assert command[1:] == ["-m", "analysis", "report", "results/x"]
        return subprocess.CompletedProcess(command, codes["analysis"])

    monkeypatch.setattr(module.subprocess, "run", analysis)
    assert module.main(["bench", "fan_out"]) == 0
    assert module.main(["bench", "poll_interval"]) == 1
    codes["analysis"] = 1
    assert module.main(["bench", "fan_out"]) == 1


def test_bench_passes_on_where_the_junit_xml_goes(ran, monkeypatch):
    seen = []
    monkeypatch.setattr(
        module.subprocess, "run", lambda command, **_: seen.append(command[4:]) or subprocess.CompletedProcess([], 0)
    )
    assert module.main(["bench", "fan_out", "--junit", "out.xml"]) == 0
    assert seen == [["results/x", "--junit", "out.xml"]]


def test_the_list_names_every_experiment_with_its_question(capsys):
    assert module.main(["list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith("fan_out") and line.endswith("?") and " cells, about " in line for line in lines)
    assert lines[-1].startswith("in all")
    assert lines[-2].startswith("not in this suite")
    assert "upstream" in lines[-2]
    assert "fan_out" not in lines[-2]


def test_verify_goes_on_after_a_failure_and_ends_with_1(monkeypatch, capsys):
    def of_server(name, _server):
        if name == "sse":
            raise ControlError("POST /publish: refused")
        return {"checks": ["backlog", "order"], "seconds": 0.5}

    monkeypatch.setattr(module.verify, "of_server", of_server)
    assert module.main(["verify", "sse", "websocket", "--target", "http://127.0.0.1:1"]) == 1
    said = capsys.readouterr().out.splitlines()
    assert said[0].split(maxsplit=1) == ["sse", "failed: POST /publish: refused"]
    assert said[1].split(maxsplit=1) == ["websocket", "ok: backlog, order (0.50 s)"]


def test_sigterm_ends_like_ctrl_c():
    with pytest.raises(KeyboardInterrupt):
        module._interrupt(signal.SIGTERM, None)


def test_the_module_is_a_program():
    done = subprocess.run(
        [sys.executable, "-m", "loadtests", "run", "none"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stderr.startswith("none: no such experiment; known: ")
