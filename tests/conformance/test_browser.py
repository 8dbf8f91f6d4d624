"""A real browser's WebSocket against our server: what Chromium sends comes back, and it understands how we close."""

import asyncio
import json
import os
import shutil

import pytest

from servers.responses import JSON
from tests.conformance import echo_server

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
SIZES = (0, 1, 125, 126, 65535, 65536, 1 << 20)

PAGE = """<!doctype html><script>
const sizes = %s, found = {echoed: [], codes: {}};
const open = (path, take) => {
    const socket = new WebSocket(location.origin.replace("http", "ws") + path);
    socket.binaryType = "arraybuffer";
    return take(socket);
};
const closed = socket => new Promise(done => { socket.onclose = event => done([event.code, event.wasClean]); });
const answer = socket => new Promise(done => { socket.onmessage = event => done(event.data); });
const echo = async socket => {
    await new Promise(done => { socket.onopen = done; });
    found.extensions = socket.extensions;
    for (const size of sizes) {
        const text = "aé€😀\\u0000".repeat(size).slice(0, size - size %% 2);
        socket.send(text);
        found.echoed.push(await answer(socket) === text);
        const bytes = Uint8Array.from({length: size}, (_, at) => at * 7919 %% 251);
        socket.send(bytes);
        const back = new Uint8Array(await answer(socket));
        found.echoed.push(back.length === size && back.every((byte, at) => byte === bytes[at]));
    }
    socket.close(4000, "enough");
    return closed(socket);
};
const sent = message => socket => { socket.onopen = () => socket.send(message); return closed(socket); };
(async () => {
    found.codes.ours = await open("/echo", echo);
    found.codes.gone = await open("/ws/t0?after=99", closed);
    found.codes.scheduled = await open("/ws/t0", sent("x"));
    found.codes.binary = await open("/ws/t0", sent(new ArrayBuffer(1)));
    found.codes.large = await open("/ws/t0", sent("x".repeat(70000)));
    found.codes.unknown = await open("/ws/nothing", closed);
    await fetch("/found", {method: "POST", body: JSON.stringify(found)});
})();
</script>"""


async def ask_browser(folder, *flags):
    """Let Chromium run the page; returns what it has found."""
    found = asyncio.get_running_loop().create_future()

    def mount(site):
        async def page(request, _topic, _query):
            return site.answer(request, 200, b"Content-Type: text/html\r\n", (PAGE % json.dumps(SIZES)).encode())

        async def take(request, _topic, _query):
            found.set_result(json.loads(await request.read()))
            return site.answer(request, 204, JSON)

        echo_server.mount(site)
        site.route(("GET",), "/page", page)
        site.route(("POST",), "/found", take)

    async with echo_server.serving(*flags, mount=mount) as url:
        browser = await asyncio.create_subprocess_exec(
            CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder}",
            url.replace("ws", "http", 1).replace("/echo", "/page"),
            stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
            env=os.environ | {"HOME": str(folder)},
        )  # fmt: skip
        try:
            return await asyncio.wait_for(found, 100)
        finally:
            browser.kill()
            await browser.wait()


@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")
@pytest.mark.parametrize("flags", [(), ("--deflate-no-context-takeover",), ("--no-deflate",)], ids=" ".join)
def test_chromium_understands_us(tmp_path, flags):
    found = asyncio.run(ask_browser(tmp_path, *flags))
    assert found["echoed"] == [True] * 2 * len(SIZES)
    assert found["extensions"].startswith("permessage-deflate") is ("--no-deflate" not in flags)
    assert found["codes"] == {
        "ours": [4000, True],
        "gone": [4410, True],
        "scheduled": [1008, True],
        "binary": [1003, True],
        "large": [1009, True],
        "unknown": [1006, False],  # a page is not told the status of a refused upgrade
    }
