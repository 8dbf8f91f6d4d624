"""Start a program of ours on chosen cores, learn when it is ready, and end it whatever happens.

Rule 1: every program is a session of its own. Ctrl-C then reaches the runner alone, which ends its programs in order,
and ending a program ends the workers it has forked.
Rule 2: no program outlives a runner that was killed, and so none writes into a run that is being resumed: the kernel
kills it with its parent (Linux, ``PR_SET_PDEATHSIG``; elsewhere it is for the user to end).
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_LOOK_S = 0.005
_WORDS_BYTES = 16_384
_EXCEPTION = re.compile(r"[\w.]*(Error|Exception)(: |$)")
_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_REAP_S = 0.5


class ProgramError(Exception):
    """A program did not start, was not ready in time or ended on its own; the message has its log's last line."""


@dataclass(frozen=True, slots=True)
class Program:
    """A running program: its name for messages, its process, and the file that takes all it prints."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def pid(self) -> int:
        """The process's id."""
        return self.process.pid

    def insist(self) -> None:
        """Raise ProgramError when it has ended."""
        if (code := self.process.poll()) == -signal.SIGKILL:
            raise ProgramError(f"{self.name} was killed (SIGKILL) by somebody, or by a system short of memory")
        if code is not None:
            raise ProgramError(f"{self.name} ended by itself ({_ending(code)}): {last_words(self.log)}")

    def explain(self) -> None:
        """Raise ProgramError when it has ended, or does so in a moment: its connections close before that is known."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(_REAP_S)
        self.insist()


@contextlib.contextmanager
def running(name: str, command: Sequence[str], log: Path, cpus: Sequence[int]) -> Iterator[Program]:
    """Start a program and end it when the block is left, its workers too."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=functools.partial(die_with, os.getpid()),  # noqa: PLW1509 - the runner has no other threads
        )
    program = Program(name, process, log)
    try:
        pin(process.pid, cpus)
        yield program
    finally:
        stop(program, 2.0)


def die_with(parent: int) -> None:
    """Have the kernel kill this process when its parent ends; at once when it is not ``parent`` any more."""
    if _PRCTL is not None:
        _PRCTL(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it ended before we could ask
            os.kill(os.getpid(), signal.SIGKILL)


def pin(pid: int, cpus: Sequence[int]) -> None:
    """Keep a process that has just started on these cores; what it starts later inherits that. No cores: no choice."""
    if cpus and hasattr(os, "sched_setaffinity"):
        with contextlib.suppress(ProcessLookupError):  # it has ended already: whoever waits for it says so
            os.sched_setaffinity(pid, cpus)


def stop(program: Program, patience_s: float) -> None:
    """Ask the program to end (SIGTERM), and after ``patience_s`` do not ask any more."""
    try:
        if program.process.poll() is None:
            program.process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                program.process.wait(patience_s)
    finally:  # a second Ctrl-C must not leave it behind
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(program.pid, signal.SIGKILL)  # workers that outlived it, or itself
        program.process.wait()


def ready(program: Program, patience_s: float) -> dict[str, Any]:
    """Wait for the line of JSON that says ``"ready": true`` and return it (wire contract, READY).

    Raises ProgramError when the program ends first, or does not get ready in ``patience_s``.
    """
    deadline = time.monotonic() + patience_s
    while time.monotonic() < deadline:
        for line in program.log.read_bytes().split(b"\n")[:-1]:
            if line.startswith(b"{") and (said := _object(line)).get("ready") is True:
                return said
        program.insist()
        time.sleep(_LOOK_S)
    raise ProgramError(f"{program.name} was not ready within {patience_s:g} s: {last_words(program.log)}")


def last_words(log: Path) -> str:
    """Return what a log ends with, for a message: the last exception named, else the last line that says anything."""
    with contextlib.suppress(OSError), log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - _WORDS_BYTES))
        lines = [" ".join(line.split()) for line in file.read().decode("utf-8", "replace").splitlines()]
        said = [line for line in lines if line]
        if said:
            return next((line for line in reversed(said) if _EXCEPTION.match(line)), said[-1])
    return "it printed nothing"


def _object(line: bytes) -> dict[str, Any]:
    try:
        said = json.loads(line)
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}


def _ending(code: int) -> str:
    return signal.Signals(-code).name if code < 0 else f"exit {code}"


def _prctl() -> Callable[..., int] | None:
    """Return the C library's ``prctl``, None where there is none; looked up here, not between fork and exec."""
    if not sys.platform.startswith("linux"):
        return None
    found: Callable[..., int] = ctypes.CDLL(None).prctl
    return found


_PRCTL = _prctl()
