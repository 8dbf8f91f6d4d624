"""The HTTP server around the transports: finds the handler of a request, starts everything, and ends it.

The rule: between aiohttp and a handler lies one dictionary. aiohttp's low-level server parses requests and keeps
connections; its router, middlewares, response objects and access log are left out: a whole poll takes less this way
than an empty handler takes behind them (37 against 41 µs of CPU, median of four alternating runs). What a handler
raises as Problem or FeedError becomes a problem (RFC 9457) here and nowhere else, and so do 404 and 405 (RFC 9110,
section 15.5.6).
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import cast
from urllib.parse import parse_qsl, unquote, urlsplit

from aiohttp import hdrs, web

from servers import options as command_line
from servers import service, tls
from servers.access import Access
from servers.feed import Feed, FeedError
from servers.http_connection import REFUSED, HttpConnection, HttpServer
from servers.responses import PROBLEM, Problem, Written, bad_parameter
from servers.site import Handler, Query, Request, Site
from servers.timer import make_timer

BACKLOG = 4096  # aiohttp's 128 overflows when a thousand subscribers connect
GOODBYE_S = 0.8  # what the protocols' goodbyes may take
CUT_S = 0.1  # what the requests still in progress may take after that

_TOPIC = "/{topic}"

Factory = Callable[[], asyncio.BaseProtocol]
_NO_QUERY: Query = {}

logger = logging.getLogger("servers")


def _guarded(access: Access, handler: Handler) -> Handler:
    """Return the handler with its check of Origin before it."""

    async def checked(request: Request, topic: str, query: Query) -> web.StreamResponse:
        access.check_origin(request)
        return await handler(request, topic, query)

    return checked


def parsed(query: str) -> Query:
    """Return a query's parameters; raises the 400 when one is given twice: readers would differ on it."""
    if "%" in query or "+" in query:
        pairs = parse_qsl(query, keep_blank_values=True)
    else:  # the same, in a third of the time
        pairs = [(pair[0], pair[2]) for pair in [word.partition("=") for word in query.split("&") if word]]
    parameters = dict(pairs)
    if len(parameters) != len(pairs):
        raise bad_parameter("query", query, "each parameter once")
    return parameters


class Dispatcher:
    """``await dispatcher(request)`` calls the handler of a path and turns what it refuses into problems."""

    def __init__(self, site: Site) -> None:
        self._site = site
        access = Access.of(site.options)
        self._check, self._familiar = access.check, access.familiar
        self._exact: dict[str, dict[str, Handler]] = {}
        self._topics: dict[str, dict[str, Handler]] = {}
        for path, handlers in site.routes.items():
            safe = handlers
            if path in site.guarded:
                safe = {method: _guarded(access, handler) for method, handler in handlers.items()}
            if path.endswith(_TOPIC):
                self._topics[path.removesuffix(_TOPIC)] = safe
            else:
                self._exact[path] = safe

    def _find(self, path: str, method: str) -> tuple[Handler, str]:
        """Return the handler and the topic in the path; raises the 404 or 405."""
        head, _, topic = path.rpartition("/")
        handlers = self._topics.get(head) if topic else None
        if handlers is None:
            topic = ""
            handlers = self._exact.get(path)
        if handlers is None:
            raise Problem(404, f"path {path[:200]}, expected one of: {' '.join(sorted(self._site.routes))}")
        handler = handlers.get(method)
        if handler is None:
            allow = ", ".join(handlers)
            raise Problem(405, f"{method} {path[:200]}, expected {allow}", headers=f"Allow: {allow}\r\n".encode())
        return handler, topic

    async def __call__(self, request: Request) -> web.StreamResponse:
        """Answer one request."""
        path, _, query = request.raw_path.partition("?")
        authority = None
        if not path.startswith("/"):  # the absolute form, which a server must accept (RFC 9112, section 3.2.2)
            path, authority = request.rel_url.raw_path, urlsplit(path).netloc
        if "%" in path:
            path = unquote(path)
        try:
            if authority is not None or request.headers.get(hdrs.HOST) not in self._familiar:
                self._check(request, path, authority)
            handler, topic = self._find(path, request.method)
            return await handler(request, topic, parsed(query) if query else _NO_QUERY)
        except Problem as problem:
            return self._refuse(request, problem)
        except FeedError as error:
            return self._refuse(request, service.problem_of(error))

    def _refuse(self, request: Request, problem: Problem) -> Written:
        if problem.ends:
            cast("HttpConnection", request.protocol).refuse(problem)
            return REFUSED
        if problem.reason:
            self._site.counters.drops[problem.reason] += 1
        return self._site.answer(request, problem.status, PROBLEM + problem.headers, problem.body())


def build(options: argparse.Namespace) -> Site:
    """Return a site with the feed and every transport of a command line; call it on the running loop."""
    site = Site(Feed(command_line.feed_settings(options)), command_line.limits(options), options)
    service.mount(site)
    for name, module in options.modules.items():
        module.mount(site, name)
    return site


@asynccontextmanager
async def serve(options: argparse.Namespace) -> AsyncIterator[dict[str, object]]:
    """Serve for as long as the ``async with`` lasts; gives what READY says.

    ``options`` come from ``servers.options.parse``. Raises OSError when an address cannot be had.
    """
    site = build(options)
    if options.epoch_ns is not None:
        site.feed.start(options.epoch_ns, options.stop_ns)
        site.feed.catch_up()  # before anybody can ask for what the server before this one had
    web_server = HttpServer(Dispatcher(site), site)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(_end, site, web_server)  # runs last: nobody can connect any more
        said, wrap = _tls(stack, site, options)
        http = await _listen(stack, "--port", options.host, options.port, wrap(web_server))
        tcp = site.tcp and await _listen(stack, "--tcp-port", options.host, options.tcp_port, wrap(site.tcp))
        timer = make_timer(asyncio.get_running_loop(), site.feed.wake)
        stack.callback(timer.close)
        site.feed.arm = timer.set
        if options.epoch_ns is not None:
            site.feed.wake()
        elif not options.control:
            site.feed.start(site.feed.clock())
        scheme = "http" if said is None else "https"
        yield {
            "ready": True, "pid": os.getpid(), "http": f"{scheme}://{http}", "tcp": tcp, "tls": said,
            "transports": list(options.modules),
        }  # fmt: skip


def _tls(
    stack: AsyncExitStack, site: Site, options: argparse.Namespace
) -> tuple[dict[str, object] | None, Callable[[Factory], Factory]]:
    """Return what READY says of TLS, and what makes a port speak it."""
    settings: tls.TlsSettings | None = options.tls
    if settings is None:
        return None, lambda protocol: protocol
    context = tls.make_context(settings)
    ca_file = None if settings.certificate else stack.enter_context(tls.throw_away(context, options.host))
    said: dict[str, object] = {"versions": list(settings.versions), "ca_file": ca_file}
    return said, lambda protocol: tls.wrapped(site, context, settings, protocol)


async def _listen(stack: AsyncExitStack, flag: str, host: str, port: int, protocol: Factory) -> str:
    """Listen until the stack unwinds; returns ``HOST:PORT``."""
    try:
        server = await asyncio.get_running_loop().create_server(protocol, host, port, backlog=BACKLOG)
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno and error.errno > 0 else str(error)
        raise OSError(
            f"--host {host} {flag} {port}: {reason}, expected a free port of this machine (0 finds one)"
        ) from error
    stack.callback(server.close)
    name, number = server.sockets[0].getsockname()[:2]
    return f"[{name}]:{number}" if ":" in name else f"{name}:{number}"


async def _end(site: Site, web_server: web.Server) -> None:
    """Say every protocol's goodbye, then cut what is left; takes about a second at most."""
    for timer in site.timers.values():
        timer.cancel()
    goodbyes = [asyncio.ensure_future(hook()) for hook in site.closing]
    if goodbyes:
        done, late = await asyncio.wait(goodbyes, timeout=GOODBYE_S)
        for task in late:
            task.cancel()
        for error in filter(None, (task.exception() for task in done)):
            logger.error("closing failed", exc_info=error)
    web_server.pre_shutdown()
    await web_server.shutdown(CUT_S)
    await asyncio.sleep(0)  # transports that were told to close do so in the loop's next round
