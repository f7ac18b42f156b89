"""A real browser for tests: Chromium without a window, steered over its DevTools protocol."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from support.serving import DEADLINE, until

NAMES = ("chromium", "chromium-browser", "google-chrome")


@contextlib.contextmanager
def browser(folder: Path) -> Iterator[str]:
    """Run a browser that keeps its files in `folder`; gives the address to steer it by.

    Where none is installed the test is skipped, but fails when CI is set.
    """
    program = next(filter(None, map(shutil.which, NAMES)), None)
    if program is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)("no browser here: install chromium")
    flags = [
        "--headless=new",
        "--remote-debugging-port=0",
        f"--user-data-dir={folder}",
        "--disable-dev-shm-usage",
    ]
    if os.geteuid() == 0:
        flags.append("--no-sandbox")  # its sandbox needs a user of its own
    process = subprocess.Popen([program, *flags], stderr=subprocess.DEVNULL)
    try:
        chosen = folder / "DevToolsActivePort"
        until(lambda: chosen.exists() and chosen.read_text().partition("\n")[2], bool)
        yield f"http://127.0.0.1:{chosen.read_text().split()[0]}"
    finally:
        process.terminate()
        process.wait(DEADLINE)


class Page:
    """One tab."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse[bool]) -> None:
        self.complaints: list[str] = []
        self._socket = socket
        self._numbers = itertools.count(1)

    async def command(self, method: str, **parameters: Any) -> Any:
        """Send a command of the DevTools protocol; gives its result. Errors that are logged meanwhile are kept."""
        number = next(self._numbers)
        await self._socket.send_json({"id": number, "method": method, "params": parameters})
        while True:
            message = json.loads((await self._socket.receive()).data)
            if message.get("id") == number:
                assert "error" not in message, message
                return message["result"]
            if message.get("method") == "Runtime.exceptionThrown":
                self.complaints.append(json.dumps(message["params"]))
            elif (
                message.get("method") == "Log.entryAdded"
                and message["params"]["entry"]["source"] != "network"
            ):
                self.complaints.append(message["params"]["entry"]["text"])

    async def evaluate(self, script: str) -> Any:
        """The value of a JavaScript expression; that of a promise once it is kept."""
        result = await self.command(
            "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True
        )
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    async def wait(self, condition: str) -> None:
        """Return once a JavaScript expression is true."""
        look = f"() => ({condition}) ? done() : setTimeout(look, 20)"
        looking = f"new Promise(done => {{ const look = {look}; look() }})"
        try:
            await asyncio.wait_for(self.evaluate(looking), DEADLINE)
        except asyncio.TimeoutError:
            raise AssertionError(f"{condition} did not come true") from None

    async def choose_files(self, selector: str, *files: Path) -> None:
        """Choose files in the file field that a CSS selector names."""
        root = (await self.command("DOM.getDocument"))["root"]["nodeId"]
        node = (await self.command("DOM.querySelector", nodeId=root, selector=selector))["nodeId"]
        await self.command("DOM.setFileInputFiles", nodeId=node, files=[str(file) for file in files])


@contextlib.asynccontextmanager
async def tab(address: str, url: str) -> AsyncIterator[Page]:
    """Open `url` in a new tab of the browser that is steered by `address`."""
    async with (
        aiohttp.ClientSession() as session,
        session.put(f"{address}/json/new?about:blank") as answer,
        session.ws_connect((await answer.json())["webSocketDebuggerUrl"], max_msg_size=0) as socket,
    ):
        page = Page(socket)
        for domain in ("Runtime", "Log", "Page"):
            await page.command(f"{domain}.enable")
        await page.command("Page.navigate", url=url)
        yield page
