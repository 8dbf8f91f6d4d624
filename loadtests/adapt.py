"""What a target feeds, and the experiment as it can be measured there.

Rule 1: a target feeds what it feeds. What an experiment says of the feed and of the server gives way to what
``/health`` says, in so many words; what the load does stays as it was asked for.
Rule 2: what cannot be measured at all is refused before anything is measured: another contract, a transport that is not
there, a feed that has ended.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

from loadtests.access import AccessError
from loadtests.control import ControlError, ask
from loadtests.experiment import Experiment, Grid
from loadtests.settings import InputError, Value, show
from loadtests.target import Target, of_table
from loadtests.transports import TRANSPORTS

CONTRACT = 1
"""The version of the wire contract that the clients speak."""

_FEED = ("topics", "schedule", "rate_hz", "payload_bytes")


def prepare(experiments: Sequence[Experiment]) -> tuple[list[Experiment], list[str]]:
    """Ask every experiment's target what it feeds and return the experiments as they can be measured there.

    The lines say what gave way. Raises InputError for what cannot be measured.
    """
    prepared, lines = [], []
    for one in experiments:
        if one.target:
            adapted, said = adapt(one, examine(one))
            prepared.append(adapted)
            lines += said
        else:
            prepared.append(one)
    return prepared, list(dict.fromkeys(lines))


def examine(experiment: Experiment) -> dict[str, Any]:
    """Return what the target's ``/health`` says; InputError when the experiment cannot be measured there at all."""
    target, file = of_table(experiment.target), f"{experiment.name}.toml"
    first: dict[str, Value] = {key: values[0] for key, values in experiment.values.items()}
    try:
        health = ask(target.access(first, ""), "GET", "/health")
    except (ControlError, AccessError) as error:
        raise InputError(f"--target {target.http}: {error}") from None
    if health.get("contract") != CONTRACT:
        raise InputError(
            f"--target {target.http}: it speaks version {health.get('contract')} of the wire contract,"
            f" expected {CONTRACT}: measure it with a pushbench of its version"
        )
    served = health.get("transports")
    served = served if isinstance(served, list) else []
    wanted = [name for grid in experiment.grids for name in grid.transports]
    if missing := [name for name in wanted if name not in served and name not in target.templates]:
        left = [name for name in dict.fromkeys(wanted) if name not in missing]
        remedy = f"choose with --transports {','.join(left)}" if left else "choose another experiment"
        raise InputError(
            f"{file}: transports names {missing[0]}, but the target serves {', '.join(served) or 'none'}; {remedy}"
        )
    if not target.tcp and (bare := [name for name in wanted if TRANSPORTS[name].scheme == "tcp"]):
        raise InputError(f"{file}: {bare[0]} needs the target's own port: --tcp HOST:PORT, or leave it out")
    if (health.get("feed") or {}).get("state") == "stopped":
        raise InputError(f"--target {target.http}: its feed has ended, and a feed runs once: start the server again")
    return health


def adapt(experiment: Experiment, health: Mapping[str, Any]) -> tuple[Experiment, list[str]]:
    """Return the experiment with the target's own feed and nothing of ours about the server, and what gave way."""
    target, feed, file = of_table(experiment.target), health.get("feed") or {}, f"{experiment.name}.toml"
    lines: list[str] = []
    grids: list[Grid] = []
    for grid in experiment.grids:
        values = dict(grid.values)
        for key, found in _feed_of(values, feed).items():
            if values[key] != (found,):
                lines.append(f"{file}: {key} = {_shown(values[key])}, but the target feeds {show(found)}")
                values[key] = (found,)
        theirs = [key for key in values if key.startswith("server.")]
        lines += [f"{file}: {key} = {_shown(values.pop(key))} is the target's own affair: left out" for key in theirs]
        wanted = f"{file}: tls = {_shown(values['tls'])}, but the target is {target.http}"
        versions = _versions(target, values["tls"])
        if not versions and not grids:
            raise InputError(f"{wanted}: give its https address, or leave tls out")
        if versions != values["tls"] != ("off",):
            lines.append(wanted)
        if versions:
            grids.append(Grid(grid.transports, values | {"tls": versions}))
    axes = tuple(axis for axis in experiment.axes if any(axis in grid.values for grid in grids))
    own, *also = grids
    return replace(experiment, values=own.values, also=tuple(also), axes=axes), lines


def _feed_of(values: Mapping[str, Sequence[Value]], feed: Mapping[str, Any]) -> dict[str, Value]:
    """Return the feed's keys as the target has them; those it does not name stay the experiment's.

    Where the subscribers publish, the feed is theirs.

    An experiment that wants silence keeps it while the feed waits: it is left waiting. One with a topic for each
    subscriber keeps that where the target has as many.
    """
    if tuple(values.get("feed.publisher", ())) == ("subscribers",):
        return {}
    found: dict[str, Value] = {
        f"feed.{name}": feed[name] for name in _FEED if isinstance(feed.get(name), int | float | str)
    }
    if feed.get("state") == "waiting" and tuple(values["feed.rate_hz"]) == (0.0,):
        found.pop("feed.rate_hz", None)
    if "feed.rate_hz" in found:
        found["feed.rate_hz"] = float(found["feed.rate_hz"])
    if tuple(values["feed.topics"]) == ("per_subscriber",) and values["load.subscribers"] == (feed.get("topics"),):
        del found["feed.topics"]
    return found


def _versions(target: Target, wanted: Iterable[Value]) -> tuple[Value, ...]:
    """Return the TLS versions that fit the target's address."""
    if urlsplit(target.http).scheme != "https":
        return tuple(version for version in wanted if version == "off")
    return tuple(version for version in wanted if version != "off") or ("1.3",)


def _shown(values: Sequence[Value]) -> str:
    shown = ", ".join(map(show, values))
    return shown if len(values) == 1 else f"[{shown}]"
