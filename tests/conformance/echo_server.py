"""What Autobahn's cases talk to: every message sent back, over the production upgrade, connection and codec.

The rule: nothing of RFC 6455 or RFC 7692 is done here. ``/echo`` is mounted on the site of a served ``websocket``
transport, so that the cases meet the very handshake, decoder, deflate and closing that subscribers meet; only what
is done with a message differs. Limits are what the cases need: messages of 16 MiB, and a queue that holds their echo.
"""

from __future__ import annotations

import argparse
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from unittest import mock

from servers import app, options
from servers.responses import CLOSED, Written
from servers.site import Query, Request, Site
from servers.upgrade import Upgrader
from servers.websocket_connection import Connection

MESSAGE_BYTES = 32 << 20
FLAGS = ("websocket", "--port", "0", "--queue-bytes", str(4 * MESSAGE_BYTES), "--deflate-min-bytes", "0", "--control")


def mount(site: Site) -> None:
    """Add ``/echo``."""
    upgrader = Upgrader(site)

    def begin(connection: Connection) -> None:
        connection.on_message = connection.send

    async def echo(request: Request, _topic: str, _query: Query) -> Written:
        await upgrader.run(request, upgrader.check(request), MESSAGE_BYTES, begin)
        return CLOSED

    def sweep() -> None:
        for connection in tuple(upgrader.connections):
            connection.sweep(site.feed.clock())

    site.route(("GET",), "/echo", echo)
    site.every(0.5, sweep)
    site.on_close(upgrader.close)


@asynccontextmanager
async def serving(*flags: str, mount: Callable[[Site], None] = mount) -> AsyncIterator[str]:
    """Serve on a free port of loopback; gives the address to connect to."""
    build = app.build

    def with_echo(settings: argparse.Namespace) -> Site:
        site = build(settings)
        mount(site)
        return site

    with mock.patch.object(app, "build", with_echo):
        async with app.serve(options.parse([*FLAGS, *flags])) as ready:
            yield str(ready["http"]).replace("http", "ws", 1) + "/echo"
