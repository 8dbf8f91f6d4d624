"""The cases against each side: our server, our client on either driver; and what ``kosoku`` needs to run them all."""

from __future__ import annotations

import asyncio
import importlib
import sys
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import kosoku
from kosoku._caseindex import initialize_shims
from kosoku._kosoku import CaseResult

from tests.conformance import echo_server


def mend() -> None:
    """Give sections 12 and 13 the bytes they hash.

    ``kosoku`` 0.1 hands them a compressed message as ``bytes`` and an uncompressed one, which a peer may always send
    (RFC 7692, section 6), as ``str``: its text, or a character per byte of what is binary.
    """
    initialize_shims()
    module: Any = importlib.import_module("case12_x_x")
    for case in (*module.Case12_X_X, *module.Case13_X_X):
        case.onMessage = _with_bytes(case.onMessage)


def _with_bytes(taken: Callable[..., None]) -> Callable[..., None]:
    def on_message(case: object, message: str | bytes, binary: bool) -> None:
        if isinstance(message, str):
            message = message.encode("latin-1" if binary else "utf-8")
        taken(case, message, binary)

    return on_message


# What a minute is enough for: every section about frames, text and closing, the first case of each section about size,
# speed and compression. ``make conformance`` runs everything.
SUBSET = (
    *("1.*", "2.*", "3.*", "4.*", "5.*", "6.*", "7.*", "9.*.1", "10.*"),
    *(f"12.{section}.1" for section in range(1, 6)),
    *(f"13.{section}.1" for section in range(1, 8)),
)


async def of_server(cases: Sequence[str]) -> list[CaseResult]:
    """Run cases against our server."""
    async with echo_server.serving() as url:
        return await _results(kosoku.run_fuzzingclient(url, cases))


def of_client(driver: str) -> Callable[[Sequence[str]], Awaitable[list[CaseResult]]]:
    """Return what runs cases against our client on a driver, in a process of its own."""

    async def run(cases: Sequence[str]) -> list[CaseResult]:
        async with kosoku.run_fuzzingserver(cases, port=0) as server:
            command = (sys.executable, "-m", "tests.conformance.echo_client", driver, server.address, str(server.port))
            client = await asyncio.create_subprocess_exec(*command)
            try:
                if await client.wait():
                    raise RuntimeError(f"the client on {driver} ended with exit code {client.returncode}")
            finally:
                if client.returncode is None:
                    client.kill()
            return await _results(asyncio.wait_for(server.get_result(), 10))

    return run


async def _results(running: Awaitable[list[CaseResult]]) -> list[CaseResult]:
    try:
        return await running
    except kosoku.FailureError as failure:
        return failure.results


SIDES = {"server": of_server, "blocking": of_client("blocking"), "eventloop": of_client("eventloop")}
