"""A real server on a free port, and a client that shows the bytes: what the tests of the transports share."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from servers import app, options
from servers.site import Site

BUILD = app.build  # before anybody has put another in its place


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    def json(self):
        return json.loads(self.body)


class Client:
    """One HTTP connection, by hand."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def send(self, method: str, target: str, body: bytes = b"", version: str = "1.1", **headers: str) -> None:
        lines = [f"{method} {target} HTTP/{version}", "Host: localhost"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        if body:
            lines.append(f"Content-Length: {len(body)}")
        self.writer.write("\r\n".join([*lines, "", ""]).encode() + body)

    async def head(self) -> Answer:
        lines = (await self.reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in lines[1:] if line)
        return Answer(int(lines[0].split()[1]), headers, b"")

    async def answer(self, method: str = "GET") -> Answer:
        answer = await self.head()
        if method != "HEAD":
            answer.body = await self.reader.readexactly(int(answer.headers.get("content-length", 0)))
        return answer

    async def ask(self, method: str, target: str, body: bytes = b"", version: str = "1.1", **headers: str) -> Answer:
        self.send(method, target, body, version, **headers)
        return await self.answer(method)

    async def get(self, target: str, **headers: str) -> Answer:
        return await self.ask("GET", target, **headers)

    async def rest(self) -> bytes:
        """Everything until the server closes."""
        return await self.reader.read()

    def leave(self) -> None:
        self.writer.transport.abort()


class Server:
    """A running server: its READY line, its site (to publish when a test says so), and clients of it."""

    def __init__(self, ready: dict[str, object], site: Site) -> None:
        self.ready = ready
        self.site = site
        self.host, port = str(ready["http"]).partition("://")[2].rsplit(":", 1)
        self.port = int(port)
        self._clients: list[Client] = []

    async def client(self, tls: ssl.SSLContext | None = None) -> Client:
        client = Client(*await asyncio.open_connection(self.host, self.port, ssl=tls))
        self._clients.append(client)
        return client

    def publish(self, count: int, topic: str = "own") -> None:
        for number in range(count):
            self.site.feed.publish(topic, f"data {number}")

    def leave(self) -> None:
        for client in self._clients:
            client.leave()


@asynccontextmanager
async def serving(monkeypatch, *argv: str) -> AsyncIterator[Server]:
    sites: list[Site] = []

    def remember(settings):
        sites.append(BUILD(settings))
        return sites[0]

    monkeypatch.setattr(app, "build", remember)
    async with app.serve(options.parse([*argv, "--port", "0", "--control"])) as ready:
        server = Server(ready, sites[0])
        yield server
    server.leave()


def run(test: Callable[[], Awaitable[None]]) -> None:
    """Run a test's coroutine; nothing here takes longer than a few seconds unless it hangs."""
    asyncio.run(asyncio.wait_for(test(), 10))


async def until(condition: Callable[[], bool]) -> None:
    """Let the loop go round until something has happened."""
    while not condition():  # noqa: ASYNC110 - what is waited for is in the server
        await asyncio.sleep(0.001)
