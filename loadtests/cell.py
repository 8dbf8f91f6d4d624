"""One cell: start server and load, verify, subscribe everybody, run the feed, drain, collect.

Rule 1: every step writes what it learned into the cell's record (a cell of run.json) at once, so a cell that fails or
is interrupted keeps what was known; whatever happens, the programs are ended and their rows are collected.
Rule 2: between ``from`` and ``to`` this process sleeps; it shares a core with what it measures.
Rule 3: the load process is started together with the server, so that their imports overlap, and waits for its plan,
which is written when the server has been verified: no subscriber connects before the sample ``verified``.
"""

from __future__ import annotations

import contextlib
import functools
import json
import math
import shutil
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from loadtests import records
from loadtests.access import Access, of_ready
from loadtests.control import ControlError
from loadtests.feeds import Feed, OwnFeed, TargetFeed
from loadtests.grid import Cell, beyond_s, drain_s, queues
from loadtests.process import Program, last_words, ready, running, stop
from loadtests.resources import Sampler, family
from loadtests.settings import published_by_subscribers, server_flags, topic_count
from loadtests.target import Target
from loadtests.transports import TRANSPORTS
from loadtests.upstream import open_topics, upstream
from loadtests.verify import VerifyError, publishing, verify

_READY_S = 20.0
_SUBSCRIBE_S = 20.0
_SETTLE_NS = 300_000_000
_AHEAD_NS = 50_000_000
_SAMPLE_NS = 250_000_000
_LATE_DELIVERIES_S = 2.0
_QUEUE_S = 60.0
_STATUS_S = 0.3
_STOP_S = 8.0
_LOOK_S = 0.02
_VERIFY_TOPICS = 10
_REFUSED = {401, 403, 404, 405, 429, 501}
"""Statuses by which a target says that publishing is not for us."""

Record = dict[str, Any]


class CellError(Exception):
    """The cell cannot be measured; the message says what was expected and what was found."""


@dataclass(frozen=True, slots=True)
class Programs:
    """What a cell starts: command lines of server and load, and the verification. Tests put small fakes here."""

    server: Callable[[Cell], Sequence[str]]
    load: Callable[[Cell, Path], Sequence[str]]
    verify: Callable[[str, Access], dict[str, Any]]


def server_command(cell: Cell) -> list[str]:
    """Return the command line of the cell's server: its feed waits, its ports are the system's choice."""
    given = ["--port", "0", "--tcp-port", "0", "--control", "--seed", str(cell.seed)]
    # A rate of 0 is no schedule: such a feed is given a time that never comes (see _feed).
    settings = {key: value for key, value in cell.settings.items() if (key, value) != ("feed.rate_hz", 0)}
    topics = ["--topics", str(topic_count(settings))]
    if published_by_subscribers(settings):  # its own schedule never begins
        settings = {key: value for key, value in settings.items() if not key.startswith("feed.")}
        topics = ["--published-topics", str(int(settings["load.subscribers"]) + _VERIFY_TOPICS)]
    flags = [*server_flags(settings), *topics]
    return [sys.executable, "-m", "servers", cell.transport, *given, *flags]


def load_command(cell: Cell, plan: Path) -> list[str]:
    """Return the command line of the cell's load: Locust, headless, as many users as hold the subscribers."""
    settings = cell.settings
    each = int(settings["load.subscribers_per_user"])
    users = math.ceil(int(settings["load.subscribers"]) / each)
    rate = float(settings["load.spawn_rate_hz"]) / each
    workers = int(settings["load.workers"])
    command = [sys.executable, "-m", "locust", "-f", str(Path(__file__).parent / "locustfile.py"), "--headless"]
    command += ["-u", str(users), "-r", f"{rate:g}", "--cell", str(plan)]
    command += ["--processes", str(workers)] if workers > 1 else []
    return [*command, TRANSPORTS[cell.transport].user]


PROGRAMS = Programs(server_command, load_command, verify)


def blank(cell: Cell) -> Record:
    """Return the cell's record before it has run."""
    return {
        "id": cell.id, "experiment": cell.experiment, "cell": cell.name, "repeat": cell.repeat,
        "transport": cell.transport, "seed": cell.seed, "settings": dict(cell.settings), "role": cell.role,
        "status": "pending", "why": "",
    }  # fmt: skip


def measure(
    cell: Cell,
    record: Record,
    folder: Path,
    cpus: Mapping[str, Sequence[int]],
    programs: Programs = PROGRAMS,
    *,
    target: Target | None = None,
    last: bool = True,
) -> None:
    """Run the cell in ``folder`` and fill its record in.

    With a ``target`` no server is started; ``last`` then says that no later cell needs its feed. Raises CellError,
    ProgramError, ControlError, VerifyError, AccessError; the record then holds what was known.
    """
    spool = folder / "spool"
    spool.mkdir(parents=True)
    record["cpus"] = {"server": [] if target else list(cpus["server"]), "load": list(cpus["load"])}
    with contextlib.ExitStack() as stack:
        sampler = stack.enter_context(Sampler(folder / "resources.csv"))
        running_programs: list[Program] = []

        def start(name: str, command: Sequence[str], log: str, cores: Sequence[int]) -> Program:
            program = stack.enter_context(running(name, command, folder / log, cores))
            running_programs.append(program)
            return program

        opened: Callable[[], Feed]
        if target is None:
            server = start("server", programs.server(cell), "server.log", cpus["server"])
            opened = functools.partial(_own_feed, cell, record, server, sampler)
        else:
            access = target.access(cell.settings, cell.transport)
            opened = functools.partial(TargetFeed, access, cell.settings, record, last=last)
        load = start("locust", programs.load(cell, spool / "plan.json"), "locust.log", cpus["load"])
        try:
            feed = opened()
            _verify(cell, record, feed.access, programs, foreign=target is not None)
            plan = _plan(cell, feed, spool)
            if published_by_subscribers(cell.settings):  # before the sample: it is no part of what connecting costs
                plan["upstream"] = upstream(cell.settings, open_topics(feed.access, int(plan["subscribers"])))
            sampler.sample("verified")
            _write(spool / "plan.json", plan)
            _through(cell, record, spool, feed=feed, sampler=sampler, programs=running_programs)
        except (ControlError, VerifyError):
            # A program that was killed refuses connections: that is its end's doing, and its end is the reason.
            for program in running_programs:
                program.explain()
            raise
        stop(load, _STOP_S)
        _insist_ended(cell, statuses(spool), load)


def _through(
    cell: Cell, record: Record, spool: Path, *, feed: Feed, sampler: Sampler, programs: Sequence[Program]
) -> None:
    """Subscribe everybody, run the feed and drain; the load is the last of ``programs``."""
    _wait_subscribed(cell, spool, programs)
    sampler.watch("load", family(programs[-1].pid))
    sampler.sample("subscribed")
    _feed(cell, record, spool, feed=feed, sampler=sampler, programs=programs)
    _drain(cell, record, spool, programs)
    sampler.sample("drained")
    feed.close()


def _own_feed(cell: Cell, record: Record, server: Program, sampler: Sampler) -> OwnFeed:
    """Wait until our server is ready; returns its feed."""
    said = ready(server, _READY_S)
    access = of_ready(said, cell.settings)
    if said.get("tls"):  # the authority lies in a temporary file that ends with the server: no fact about the run
        said = {**said, "tls": {name: value for name, value in said["tls"].items() if name != "ca_file"}}
    record["server"] = {"ready": said}
    sampler.watch("server", family(server.pid))
    sampler.sample("ready")
    return OwnFeed(access, cell.settings, record)


def _verify(cell: Cell, record: Record, access: Access, programs: Programs, *, foreign: bool) -> None:
    """Verify the server. A target that does not let us publish cannot be: that is noted, and the cell goes on."""
    try:
        record["verify"] = dict(programs.verify(cell.transport, access))
        if published_by_subscribers(cell.settings):
            record["verify"]["checks"] = [*record["verify"]["checks"], *publishing(cell.transport, access)]
    except ControlError as error:
        if not foreign or error.status not in _REFUSED or published_by_subscribers(cell.settings):
            raise
        record["verify"], record["unverified"] = {}, str(error)


def collect(record: Record, folder: Path) -> None:
    """Turn the spools of a cell that has ended, well or not, into its Parquet files, and sum its load processes up.

    Killed at any moment, it can be done again: the spools go in one step, and only when the files are whole.
    """
    spool, done = folder / "spool", folder / "spool.done"
    if spool.is_dir():
        record["load"] = summary(statuses(spool))
        records.to_parquet(spool, folder)
        spool.rename(done)
    if done.is_dir():
        shutil.rmtree(done)


def statuses(spool: Path) -> list[dict[str, Any]]:
    """Return what each load process last said of itself."""
    return [json.loads(path.read_bytes()) for path in sorted(spool.glob("*.status.json"))]


_SUMMED = ("subscribers", "subscribed", "deliveries", "responses", "publishes")


def summary(said: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Sum load processes up: counts are added, lateness is the worst, the window's bytes null unless all have them."""
    failures: dict[str, int] = {}
    for one in said:
        for reason, count in one["failures"].items():
            failures[reason] = failures.get(reason, 0) + count
    windows = [one["window"] for one in said]
    whole = bool(windows) and all(window is not None for window in windows)
    counted = {name: _total(window[name] for window in windows) for name in windows[0]} if whole else None
    return {
        **{name: sum(one.get(name, 0) for one in said) for name in _SUMMED},
        "failures": failures,
        **{name: _worst(one[name] for one in said) for name in ("late_ms_p50", "late_ms_p99")},
        "window_bytes": counted,
    }


def _plan(cell: Cell, feed: Feed, spool: Path) -> dict[str, Any]:
    settings = cell.settings
    return {
        "transport": cell.transport,
        **feed.access.plan(),
        "timeouts": {
            name: settings[f"load.{name.replace('_s', '_timeout_s')}"]
            for name in ("connect_s", "handshake_s", "response_s")
        },
        "backoff": {"first_s": settings["load.backoff_s"], "max_s": settings["load.backoff_max_s"]},
        "topics": topic_count(cell.settings),
        "subscribers": cell.settings["load.subscribers"],
        "subscribers_per_user": cell.settings["load.subscribers_per_user"],
        "options": cell.options(),
        "connects_hz": cell.settings["load.spawn_rate_hz"],
        "seed": cell.seed,
        "after": feed.after,
        "cursors": dict(feed.cursors),
        "spool": str(spool.absolute()),
    }


def _wait_subscribed(cell: Cell, spool: Path, programs: Sequence[Program]) -> None:
    wanted = int(cell.settings["load.subscribers"])
    patience_s = _SUBSCRIBE_S + wanted / float(cell.settings["load.spawn_rate_hz"])
    deadline = time.monotonic() + patience_s
    while (subscribed := (seen := summary(statuses(spool)))["subscribed"]) < wanted:
        for program in programs:
            program.insist()
        if time.monotonic() > deadline:
            failures = ", ".join(f"{reason} ({count})" for reason, count in seen["failures"].items())
            raise CellError(
                f"{subscribed} of {wanted} subscribers had subscribed after {patience_s:g} s;"
                f" failures: {failures or 'none'}; locust: {last_words(programs[-1].log)}"
            )
        time.sleep(_LOOK_S)


def _insist_ended(cell: Cell, said: Sequence[Mapping[str, Any]], load: Program) -> None:
    """Refuse rows and counts of a load process that broke off: they may be short, and would look like losses."""
    ended, workers = sum(bool(one["ended"]) for one in said), int(cell.settings["load.workers"])
    if ended < workers:
        raise CellError(f"{ended} of {workers} load processes ended in good order; locust: {last_words(load.log)}")


def _feed(
    cell: Cell, record: Record, spool: Path, *, feed: Feed, sampler: Sampler, programs: Sequence[Program]
) -> None:
    """Let the server settle, start the feed, and sample until it ends."""
    # The load processes look for their window a few times a second: they must have it well before it begins.
    epoch_ns = time.monotonic_ns() + _SETTLE_NS + _AHEAD_NS
    from_ns = epoch_ns + round(float(cell.settings["load.warmup_s"]) * 1e9)
    to_ns = from_ns + round(float(cell.settings["load.measure_s"]) * 1e9)
    stop_ns = to_ns + round(beyond_s(cell) * 1e9)
    record["window"] = {"epoch_ns": epoch_ns, "from_ns": from_ns, "to_ns": to_ns, "stop_ns": stop_ns}
    _write(spool / "window.json", {"epoch_ns": epoch_ns, "from_ns": from_ns, "to_ns": to_ns})
    _sleep_until(epoch_ns - _AHEAD_NS)
    feed.begin(epoch_ns, stop_ns)
    _sleep_until(from_ns)
    sampler.sample("from")
    for at_ns in range(from_ns + _SAMPLE_NS, to_ns - _SAMPLE_NS // 2, _SAMPLE_NS):
        _sleep_until(at_ns)
        sampler.sample()
        for program in programs:
            program.insist()
    _sleep_until(to_ns)
    sampler.sample("to")
    feed.end_window()


def _drain(cell: Cell, record: Record, spool: Path, programs: Sequence[Program]) -> None:
    """Wait for slow deliveries: as long as the transport may take, then while they still come, within reason."""
    _sleep_until(record["window"]["stop_ns"] + round(drain_s(cell) * 1e9))
    # A queue empties an event a pause: it is empty when a whole pause has brought nothing.
    quiet_s, patience_s = (drain_s(cell), _QUEUE_S) if queues(cell) else (_STATUS_S, _LATE_DELIVERIES_S)
    deadline = time.monotonic() + patience_s
    before = -1
    while (now := summary(statuses(spool))["deliveries"]) != before and time.monotonic() < deadline:
        before = now
        time.sleep(quiet_s)
    for program in programs:
        program.insist()
    record["window"]["drained_ns"] = time.monotonic_ns()


def _sleep_until(at_ns: int) -> None:
    while (left_ns := at_ns - time.monotonic_ns()) > 0:
        time.sleep(left_ns / 1e9)


def _write(path: Path, content: Mapping[str, Any]) -> None:
    """Write JSON so that whoever waits for the file sees the whole of it."""
    partial = path.with_suffix(".part")
    partial.write_text(json.dumps(content))
    partial.replace(path)


def _total(values: Any) -> int | None:
    numbers = list(values)
    return None if None in numbers else sum(numbers)


def _worst(values: Any) -> float | None:
    return max((value for value in values if value is not None), default=None)
