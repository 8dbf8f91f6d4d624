"""What drives Autobahn's cases from our side: a client that sends every message back, on either driver.

``python -m tests.conformance.echo_client blocking|eventloop HOST PORT`` asks how many cases there are, goes through
them, and has the report written. The rule: handshake, frames, deflate, control frames and closing are those of
``loadtests.clients``, in the order in which the subscriber of ``loadtests.clients.websocket`` uses them.
"""

from __future__ import annotations

import sys
from collections.abc import Generator
from typing import Any

from loadtests.clients import (
    Address,
    Client,
    Close,
    Command,
    Connect,
    Connected,
    Data,
    Input,
    Progress,
    ProtocolError,
    Stop,
    Subscriber,
    Wake,
)
from loadtests.clients.lifetime import Lost, Stopped, data_or_leave
from loadtests.clients.websocket_frames import BINARY
from loadtests.clients.websocket_upgrade import Closed, Offer, leave, upgrade
from loadtests.drivers import blocking
from loadtests.records import Spools

AGENT = "pushbench"
CASE_S = 500.0  # Autobahn itself gives up on its longest case after 480 s
# Whatever a server may ask for: section 13's ask for a client's window to be bounded, or not to be kept.
OFFERS = tuple(
    Offer(server_no_context=False, client_no_context=no_context, server_bits=0, client_bits=15)
    for no_context in (False, True)
)

Steps = Generator[Command | tuple[Command, ...], Input, Any]


def client(address: Address) -> Client:
    """Go through all cases."""
    said: list[bytes] = []
    yield from _visit(address, "/getCaseCount", said)
    for case in range(1, int(said[0]) + 1):
        yield from _visit(address, f"/runCase?case={case}&agent={AGENT}")
    yield from _visit(address, f"/updateReports?agent={AGENT}")


def _visit(address: Address, path: str, said: list[bytes] | None = None) -> Steps:
    """Connect, send every message back until the connection is closed; or keep what was said."""
    event = yield Connect(address)
    try:
        if isinstance(event, Connected):
            yield from _echo(Subscriber(0, "", 0, address, path), said)
    except (Lost, ProtocolError):
        pass
    except Stopped:
        return
    yield Close(), Wake(1)


def _echo(subscriber: Subscriber, said: list[bytes] | None) -> Steps:
    channel = yield from upgrade(Progress(None, subscriber, subscriber), extensions=OFFERS)
    event: Input = Data(memoryview(channel.first), 0)
    while True:
        commands: list[Command] = []
        why: Exception | None = None
        if isinstance(event, Data):
            try:
                for opcode, payload in channel.messages.feed(event.view):
                    if opcode > BINARY:
                        commands += channel.control(opcode, payload)
                    elif said is None:
                        commands.append(channel.send(opcode, bytes(payload)))
                    else:
                        said.append(bytes(payload))
                if channel.messages.broken:
                    raise channel.messages.broken
            except (Closed, ProtocolError) as error:
                why = error
        elif isinstance(event, Stop):
            why = Stopped()
        else:
            data_or_leave(event)
        if why:
            yield from leave(why, *commands, *channel.close(why))
        event = yield tuple(commands)


def _on_blocking(address: Address) -> None:
    finished: list[bool] = []

    def whole() -> Client:
        yield from client(address)
        finished.append(True)

    blocking.run(whole(), blocking.Rows(), until=lambda: bool(finished), timeout_s=3600.0)


def _on_eventloop(address: Address) -> None:
    import gevent

    from loadtests.drivers.eventloop import EventLoop

    loop = EventLoop(Spools(None))
    link = loop.start(client(address), 0)
    while not link.ended:
        gevent.sleep(0.02)


DRIVERS = {"blocking": _on_blocking, "eventloop": _on_eventloop}

if __name__ == "__main__":
    DRIVERS[sys.argv[1]](Address(sys.argv[2], int(sys.argv[3])))
