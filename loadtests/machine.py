"""What machine, which versions, which git revision, which clock: what a number needs beside it to be believed.

After psf/pyperf's metadata. Rule: nothing that names a person or a host. What cannot be found out is left out, never
guessed.
"""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil

_LIBRARIES = (
    "aiohttp", "gevent", "httptools", "locust", "msgspec", "numpy", "pandas", "psutil", "pyarrow", "scipy",
    "websockets",
)  # fmt: skip
_CPUINFO = Path("/proc/cpuinfo")
_GOVERNOR = Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")
_REPOSITORY = Path(__file__).parent.parent


def describe() -> dict[str, Any]:
    """Return the parts ``machine``, ``versions``, ``git`` and ``clock`` of run.json."""
    return {"machine": machine(), "versions": versions(), "git": git(_REPOSITORY), "clock": clock()}


def machine() -> dict[str, Any]:
    """Return processor, cores, governor, load, memory and kernel."""
    found = {
        "cpu": cpu_model(_text(_CPUINFO)) or platform.processor() or platform.machine(),
        "architecture": platform.machine(),
        "cores_logical": os.cpu_count(),
        "cores_physical": psutil.cpu_count(logical=False),
        "cores_usable": usable_cpus(),
        "governor": _text(_GOVERNOR).strip(),
        "load_average": [round(value, 2) for value in os.getloadavg()],
        "memory_bytes": psutil.virtual_memory().total,
        "system": platform.system(),
        "kernel": platform.release(),
    }
    return {key: value for key, value in found.items() if value not in (None, "", [])}


def versions() -> dict[str, str]:
    """Return the versions of Python and of the libraries that a result depends on."""
    found = {"python": platform.python_version(), "implementation": sys.implementation.name}
    for name in _LIBRARIES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def git(folder: Path) -> dict[str, Any]:
    """Return revision and whether the tree differs from it; both null where there is no repository (or no git)."""
    revision = _git(folder, "rev-parse", "HEAD")
    changed = _git(folder, "status", "--porcelain", "--untracked-files=no")
    return {"revision": revision or None, "dirty": None if changed is None else bool(changed)}


def code_differs(before: str, after: str) -> bool:
    """Return whether servers or load generator differ between two revisions; not known counts as not."""
    command = ["git", "-C", str(_REPOSITORY), "diff", "--quiet", before, after, "--", "servers", "loadtests"]
    try:
        return subprocess.run(command, capture_output=True, timeout=10, check=False).returncode == 1
    except (OSError, subprocess.TimeoutExpired):
        return False


def clock() -> dict[str, Any]:
    """Return the clock that every timestamp is on."""
    info = time.get_clock_info("monotonic")
    return {"name": info.implementation, "resolution_ns": round(info.resolution * 1e9), "monotonic": info.monotonic}


def cpu_model(cpuinfo: str) -> str:
    """Find the processor's name in the text of /proc/cpuinfo; empty when it has none."""
    for line in cpuinfo.splitlines():
        key, _, value = line.partition(":")
        if key.strip() in {"model name", "Hardware", "cpu model"}:
            return value.strip()
    return ""


def usable_cpus() -> list[int]:
    """Return the cores this process may run on; empty where the system does not say."""
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []


def divide(cpus: list[int]) -> tuple[list[int], list[int]]:
    """Share the cores out: the first to the server, the others to the load; one or none: both everywhere."""
    return (cpus[:1], cpus[1:]) if len(cpus) > 1 else (cpus, cpus)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _git(folder: Path, *arguments: str) -> str | None:
    command = ["git", "-C", str(folder), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
