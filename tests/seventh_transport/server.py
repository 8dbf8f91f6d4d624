"""JSON lines: one answer that does not end, an event a line. The smallest push transport there is."""

import asyncio

from servers.outlet import Outlet
from servers.responses import CLOSE, CLOSED, stream_head
from servers.site import whole_number

NAMES = ("lines",)


def mount(site, _name):
    async def stream(request, name, query):
        topic, after = site.feed.topic(name), whole_number(query, "after")
        site.met("lines", request)
        outlet = Outlet(site, request.transport)
        outlet.write(stream_head(CLOSE, b"Content-Type: application/jsonl\r\n"))
        cancel = await outlet.follow(topic, after, "lines", lambda event: event.json + b"\n")
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            cancel()
        return CLOSED

    site.route(("GET",), "/lines/{topic}", stream)
