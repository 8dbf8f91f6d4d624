"""CPU, memory and descriptors of the server and the load processes while a cell runs: resources.csv.

Rule: a sample must cost next to nothing, because it is taken within the measurement. CPU is read from the process's
own CPU-time clock (POSIX ``clock_getcpuclockid``: one system call, ns, all threads, those that have ended too); /proc's
ticks are 10 ms and its ``schedstat`` counts the main thread alone. Memory and threads come with one read of
/proc/<pid>/stat. Without /proc, psutil answers, coarser, and the kernel's share stays empty.
"""

from __future__ import annotations

import contextlib
import csv
import ctypes
import os
import time
from collections.abc import Callable, Iterable
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

_PROC = Path("/proc")


@dataclass(frozen=True, slots=True)
class Sample:
    """A row of resources.csv (results format); None is written as an empty field."""

    at_ns: int
    mark: str
    process: str
    pid: int
    cpu_ns: int
    rss_bytes: int
    fds: int | None
    threads: int
    kernel_bytes: int | None


class Sampler:
    """Appends samples of the watched processes to a CSV file.

    ``watch`` names a process (``server`` or ``load``); one that has ended is left out of later samples.
    """

    __slots__ = ("_file", "_pids", "_rows")

    def __init__(self, path: Path) -> None:
        self._file = path.open("w", newline="", encoding="utf-8")
        self._rows = csv.writer(self._file)
        self._rows.writerow(field.name for field in fields(Sample))
        self._pids: dict[int, str] = {}

    def watch(self, process: str, pids: Iterable[int]) -> None:
        """Include these processes from now on."""
        self._pids |= dict.fromkeys(pids, process)

    def sample(self, mark: str = "") -> None:
        """Write one row for each watched process."""
        kernel = kernel_bytes()
        for pid, process in self._pids.items():
            with contextlib.suppress(psutil.Error, OSError):
                self._rows.writerow(astuple(read(pid, process, mark, kernel)))
        self._file.flush()  # a runner that is killed leaves what it saw

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._file.close()


def read(pid: int, process: str, mark: str, kernel: int | None) -> Sample:
    """Read one process; OSError or psutil.Error when it has ended."""
    at_ns = time.monotonic_ns()
    if not (_PROC / "self" / "stat").exists():
        return _read_portably(pid, process, mark, kernel)
    # proc(5), /proc/pid/stat: the name in parentheses may hold anything; behind it, field 3 (state) comes first.
    stat = (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    threads, pages = int(stat[17]), int(stat[21])
    return Sample(at_ns, mark, process, pid, cpu_ns(pid), pages * os.sysconf("SC_PAGESIZE"), _fds(pid), threads, kernel)


def cpu_ns(pid: int) -> int:
    """Return user and system time of a process so far, in ns; OSError or psutil.Error when it has ended."""
    if _CPU_CLOCK is None:
        times = psutil.Process(pid).cpu_times()
        return int((times.user + times.system) * 1e9)
    clock = ctypes.c_int()
    if error := _CPU_CLOCK(pid, ctypes.byref(clock)):
        raise ProcessLookupError(error, os.strerror(error))
    return time.clock_gettime_ns(clock.value)


def kernel_bytes() -> int | None:
    """Return the machine's TCP buffers and slab in bytes, None where it cannot be known."""
    try:
        sockets = (_PROC / "net" / "sockstat").read_text()
        memory = (_PROC / "meminfo").read_text()
    except OSError:
        return None
    return parse_kernel_bytes(sockets, memory, os.sysconf("SC_PAGESIZE"))


def parse_kernel_bytes(sockets: str, memory: str, page_bytes: int) -> int | None:
    """Add ``mem`` of the TCP line of sockstat (pages) to ``Slab`` of meminfo (kB)."""
    tcp = next((line.split() for line in sockets.splitlines() if line.startswith("TCP:")), [])
    slab = next((line.split() for line in memory.splitlines() if line.startswith("Slab:")), [])
    if "mem" not in tcp or len(slab) < 2:
        return None
    return int(tcp[tcp.index("mem") + 1]) * page_bytes + int(slab[1]) * 1024


def family(pid: int) -> list[int]:
    """Return a process and all it has started that still run."""
    with contextlib.suppress(psutil.Error):
        return [pid, *(child.pid for child in psutil.Process(pid).children(recursive=True))]
    return []


def _fds(pid: int) -> int | None:
    folder = _PROC / str(pid) / "fd"
    # Since Linux 6.2 the folder's size is the number of descriptors: no need to list ten thousand of them.
    return folder.stat().st_size or sum(1 for _ in folder.iterdir())


def _read_portably(pid: int, process: str, mark: str, kernel: int | None) -> Sample:
    asked = psutil.Process(pid)
    fds = asked.num_fds() if hasattr(asked, "num_fds") else None
    return Sample(
        time.monotonic_ns(), mark, process, pid, cpu_ns(pid), asked.memory_info().rss, fds, asked.num_threads(), kernel
    )


def _cpu_clock() -> Callable[..., int] | None:
    """Return the C library's ``clock_getcpuclockid`` where it works for this very process."""
    try:
        function = ctypes.CDLL(None).clock_getcpuclockid
        clock = ctypes.c_int()
        works = function(os.getpid(), ctypes.byref(clock)) == 0 and time.clock_gettime_ns(clock.value) > 0
    except (AttributeError, OSError, TypeError):
        return None
    return function if works else None


_CPU_CLOCK = _cpu_clock()
