"""What stands around the servers under load: a receiver of webhooks, a store for uploads, a source of files."""

from __future__ import annotations

import asyncio
import base64
import random
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import unquote_to_bytes, urlsplit

from aiohttp import web


class Outside:
    """One HTTP server for all of it. Every tenth delivery of a webhook is refused at first, so that it is sent again."""

    def __init__(self) -> None:
        self.url = ""
        self.wrong: list[str] = []
        self.counts: Counter[str] = Counter()
        self._files: dict[str, bytes] = {}
        self._uploads: dict[str, bytes] = {}
        self._expected: dict[str, asyncio.Future[Any]] = {}
        self._taken: dict[str, str] = {}  # the webhook-id that told of the end of a prediction
        self._refused: set[str] = set()

    def offer(self, name: str, content: bytes) -> str:
        """Gives the URL of a file with this content."""
        self._files[name] = content
        return f"{self.url}/files/{name}"

    def withdraw(self, name: str) -> None:
        self._files.pop(name, None)

    def expect(self, prediction_id: str) -> asyncio.Future[Any]:
        """What the `completed` webhook of this prediction will say."""
        told: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._expected[prediction_id] = told
        return told

    def forget(self, prediction_id: str) -> None:
        self._expected.pop(prediction_id, None)

    def content(self, url: str) -> bytes | None:
        """What lies behind the URL of an output file."""
        if url.startswith("data:"):
            head, _, text = url.partition(",")
            return base64.b64decode(text) if head.endswith(";base64") else unquote_to_bytes(text)
        return self._uploads.pop(urlsplit(url).path, None)

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """One request."""
        kind = request.path.split("/")[1]
        self.counts[kind] += 1
        if kind == "files":
            content = self._files.get(request.path.rpartition("/")[2])
            return web.Response(status=404) if content is None else web.Response(body=content)
        if kind == "uploads":
            self._uploads[request.path] = await request.read()
            return web.Response(status=201)
        return self._hook(request.headers["webhook-id"], await request.json())

    def _hook(self, hook: str, result: dict[str, Any]) -> web.Response:
        if random.random() < 0.1 and hook not in self._refused:
            self._refused.add(hook)
            self.counts["hooks refused at first"] += 1
            return web.Response(status=503)
        self._refused.discard(hook)
        prediction_id = result["id"]
        if self._taken.setdefault(prediction_id, hook) != hook:
            self.wrong.append(f"{prediction_id}: a second webhook of its end: {result}")
        told = self._expected.get(prediction_id)
        if told is not None and not told.done():
            told.set_result(result)
        elif told is None:
            self.counts["hooks that came late"] += 1
        if len(self._taken) > 5000:
            for old in list(self._taken)[:2500]:
                del self._taken[old]
        return web.Response()


@asynccontextmanager
async def outside() -> AsyncIterator[Outside]:
    """Serve it on a free port."""
    around = Outside()
    # Connections are closed when they were idle for a moment, so that no pool of them is counted as a leak.
    serving = web.Server(around.handle, access_log=None, keepalive_timeout=2)
    runner = web.ServerRunner(serving, shutdown_timeout=0.5)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    around.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield around
    finally:
        await runner.cleanup()
