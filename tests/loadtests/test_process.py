"""Programs: started on their cores, waited for, ended whatever happens."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from loadtests import process
from loadtests.process import ProgramError, last_words, ready, running, stop

SLEEP = "import time; time.sleep(60)"


def python(code):
    return [sys.executable, "-c", code]


def gone(pid):
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def wait_until(condition, patience_s=5.0):
    deadline = time.monotonic() + patience_s
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_the_ready_line_is_found_among_others(tmp_path):
    said = 'warming up\n{"ready": false}\n{"ready": true, "pid": 7}'
    code = f"print({said!r}, flush=True); {SLEEP}"
    with running("server", python(code), tmp_path / "log", []) as program:
        assert ready(program, 10) == {"ready": True, "pid": 7}
    assert gone(program.pid)


def test_a_program_that_ends_before_it_is_ready_is_quoted(tmp_path):
    with (
        running(
            "server", python("import sys; print('a', flush=True); sys.exit('port 80 is taken')"), tmp_path / "log", []
        ) as program,
        pytest.raises(ProgramError, match=r"server ended by itself \(exit 1\): port 80 is taken"),
    ):
        ready(program, 10)


def test_a_program_that_never_gets_ready_is_not_waited_for_forever(tmp_path):
    with (
        running("server", python(f"print('half', end='', flush=True); {SLEEP}"), tmp_path / "log", []) as program,
        pytest.raises(ProgramError, match=r"server was not ready within 0\.1 s: "),
    ):
        ready(program, 0.1)


def test_a_program_killed_by_a_signal_is_reported_by_its_name(tmp_path):
    with running("server", python(SLEEP), tmp_path / "log", []) as program:
        program.process.kill()
        program.process.wait()
        with pytest.raises(ProgramError, match=r"^server was killed \(SIGKILL\) by somebody"):
            program.insist()


def test_a_program_that_ignores_sigterm_is_killed_with_its_workers(tmp_path):
    worker = tmp_path / "worker"
    code = (
        "import os, signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        f"pid = os.fork()\nif pid: open({str(worker)!r}, 'w').write(f'{{pid}}\\n')\ntime.sleep(60)"
    )
    with running("load", python(code), tmp_path / "log", []) as program:
        wait_until(lambda: worker.exists() and worker.read_text().endswith("\n"))
        stop(program, 0.1)
        assert gone(program.pid)
        wait_until(lambda: gone(int(worker.read_text())))


def test_a_program_is_ended_when_its_block_fails(tmp_path):
    with pytest.raises(KeyboardInterrupt), running("server", python(SLEEP), tmp_path / "log", []) as program:
        raise KeyboardInterrupt
    assert gone(program.pid)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux ties a program to its parent")
def test_no_program_outlives_a_runner_that_was_killed(tmp_path):
    code = (
        "import sys, time\nfrom pathlib import Path\nfrom loadtests.process import running\n"
        f"with running('server', [sys.executable, '-c', {SLEEP!r}], Path({str(tmp_path / 'log')!r}), []) as program:\n"
        f"    Path({str(tmp_path / 'pid')!r}).write_text(f'{{program.pid}}\\n')\n    time.sleep(60)"
    )
    with subprocess.Popen(python(code)) as runner:
        wait_until(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text().endswith("\n"), 20)
        pid = int((tmp_path / "pid").read_text())
        assert not gone(pid)
        runner.kill()
    wait_until(lambda: gone(pid))


def test_the_tie_to_the_parent_is_the_kernels(monkeypatch):
    calls, killed = [], []
    monkeypatch.setattr(process, "_PRCTL", lambda *words: calls.append(words))
    monkeypatch.setattr(process.os, "kill", lambda *words: killed.append(words))
    process.die_with(os.getppid())
    assert (calls, killed) == ([(1, signal.SIGKILL)], []), "PR_SET_PDEATHSIG is 1"
    process.die_with(-1)
    assert killed == [(os.getpid(), signal.SIGKILL)]
    monkeypatch.setattr(process.sys, "platform", "darwin")
    assert process._prctl() is None


def test_a_line_that_only_looks_like_json_is_not_ready(tmp_path):
    code = f"print('{{broken'); print('[]'); print('{{\"ready\": true}}', flush=True); {SLEEP}"
    with running("server", python(code), tmp_path / "log", []) as program:
        assert ready(program, 10) == {"ready": True}


def test_a_program_whose_parent_has_gone_already_does_not_begin():
    code = "from loadtests.process import die_with; die_with(1 << 22); print('alive')"
    done = subprocess.run(python(code), capture_output=True, check=False)
    assert (done.returncode, done.stdout) == (-9, b"")


def test_a_killed_program_explains_what_its_death_caused(tmp_path):
    with running("server", python(SLEEP), tmp_path / "log", []) as program:
        program.process.kill()  # not waited for: it may not have ended yet
        with pytest.raises(ProgramError, match=r"was killed"):
            program.explain()


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="this system does not pin")
def test_a_program_and_what_it_starts_stay_on_their_cores(tmp_path):
    cpu = max(os.sched_getaffinity(0))
    with running("server", python(SLEEP), tmp_path / "log", [cpu]) as program:
        assert os.sched_getaffinity(program.pid) == {cpu}


def test_ctrl_c_in_the_terminal_reaches_the_runner_alone(tmp_path):
    with running("server", python(SLEEP), tmp_path / "log", []) as program:
        assert os.getsid(program.pid) == program.pid != os.getsid(0)


@pytest.mark.parametrize(
    ("text", "last"),
    [
        (b"a\nb   c\n\n  \n", "b c"),
        (b"", "it printed nothing"),
        (b"\xff", "\ufffd"),
        (b"Traceback\nTypeError: no\n\nAggregated   0  0\n", "TypeError: no"),
        (b"TypeErrors: 0\nan Error in prose\n", "an Error in prose"),
    ],
)
def test_the_last_words_are_an_exception_or_the_last_line(tmp_path, text, last):
    (tmp_path / "log").write_bytes(text)
    assert last_words(tmp_path / "log") == last


def test_a_command_that_does_not_exist_is_an_error_of_the_system(tmp_path):
    with pytest.raises(OSError), running("server", ["no-such-command-here"], tmp_path / "log", []):  # noqa: PT011 - which one is the system's affair
        pass
