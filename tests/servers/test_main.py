import asyncio
import gc
import json
import os
import signal
import socket
import subprocess
import sys

import pytest

from servers import __main__ as program


def start(*argv):
    return subprocess.Popen(
        [sys.executable, "-m", "servers", *argv], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_one_ready_line_and_a_clean_end(number):
    with start("sse", "--port", "0", "--rate", "50") as process:
        ready = json.loads(process.stdout.readline())
        assert ready["pid"] == process.pid
        host, port = ready["http"].removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=5) as client:
            client.sendall(b"GET /sse/t0 HTTP/1.1\r\nHost: localhost\r\n\r\n")
            data = client.recv(65536)
            while b"id: " not in data:
                data += client.recv(65536)
            process.send_signal(number)
            while piece := client.recv(65536):
                data += piece
        out, err = process.communicate(timeout=5)
    assert data.endswith(b"\r\n0\r\n\r\n")
    assert (process.returncode, out, err) == (0, "", "")


def test_a_port_in_use_is_one_line_and_exit_code_2():
    with (
        socket.create_server(("127.0.0.1", 0)) as taken,
        start("polling", "--port", str(taken.getsockname()[1])) as process,
    ):
        out, err = process.communicate(timeout=10)
    assert (process.returncode, out) == (2, "")
    assert err.count("\n") == 1
    assert "in use" in err


@pytest.fixture
def here(monkeypatch):
    """The program in this process, which it shall leave as it was."""
    monkeypatch.setattr(program.log, "install", lambda: None)
    monkeypatch.setattr(program.options, "raise_descriptors", lambda: None)
    threshold = gc.get_threshold()
    yield lambda *argv: monkeypatch.setattr(sys, "argv", ["servers", *argv])
    gc.set_threshold(*threshold)
    gc.unfreeze()


def test_main_serves_until_it_is_told_to_end(here, monkeypatch):
    said = []

    def ready(line, flush):
        said.append((json.loads(line)["transports"], flush))
        os.kill(os.getpid(), signal.SIGTERM)

    here("polling", "--port", "0")
    monkeypatch.setattr(program, "print", ready, raising=False)
    assert program.main() == 0
    assert said == [(["polling"], True)]


def test_ctrl_c_is_a_clean_end_where_a_loop_takes_no_signals(here, monkeypatch, capsys):
    def unable(*_):
        raise NotImplementedError  # as on Windows: Ctrl-C then is a KeyboardInterrupt

    here("polling", "--port", "0")
    monkeypatch.setattr(asyncio.SelectorEventLoop, "add_signal_handler", unable)
    monkeypatch.setattr(program, "print", lambda *_, **__: os.kill(os.getpid(), signal.SIGINT), raising=False)
    assert program.main() == 0
    assert capsys.readouterr().err == ""


def test_main_says_in_one_line_why_it_cannot_serve(here, capsys):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        here("polling", "--port", str(taken.getsockname()[1]))
        assert program.main() == 2
    assert capsys.readouterr().err.count("\n") == 1
