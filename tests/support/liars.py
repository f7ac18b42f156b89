"""Servers that break the rules of HTTP: what they do with a connection is a coroutine of the test."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

from support.serving import DEADLINE

Conduct = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Liar:
    """A listener on a free port of 127.0.0.1: how many connections came, how many are open, and the most at once."""

    conduct: Conduct
    url: str = ""
    count: int = 0
    open: int = 0
    most: int = 0
    _changed: asyncio.Event = field(default_factory=asyncio.Event)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.count += 1
        self.open += 1
        self.most = max(self.most, self.open)
        self._changed.set()
        self._tasks.add(asyncio.ensure_future(self._serve(reader, writer)))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError):
                await self.conduct(reader, writer)
        finally:
            self.open -= 1
            writer.close()

    async def wait_for(self, count: int) -> None:
        """Return when so many connections have come."""
        while self.count < count:
            self._changed.clear()
            await asyncio.wait_for(self._changed.wait(), DEADLINE)


@asynccontextmanager
async def lying(conduct: Conduct) -> AsyncIterator[Liar]:
    """A listener whose connections are treated as `conduct` says."""
    liar = Liar(conduct)
    server = await asyncio.start_server(liar.accept, "127.0.0.1", 0)
    liar.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield liar
    finally:
        server.close()
        for task in liar._tasks:
            task.cancel()
        await asyncio.gather(*liar._tasks, return_exceptions=True)


async def take(reader: asyncio.StreamReader) -> bytes:
    """Read one whole request; its body."""
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    length = int(head.split(b"content-length:")[1].split(b"\r\n")[0])
    return await reader.readexactly(length)


def says(reply: bytes) -> Conduct:
    """Reads the request, sends these bytes and closes."""

    async def conduct(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await take(reader)
        writer.write(reply)
        await writer.drain()

    return conduct


def says_and_hangs(reply: bytes) -> Conduct:
    """Reads the request, sends these bytes, and nothing more."""

    async def conduct(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await take(reader)
        writer.write(reply)
        await reader.read()

    return conduct


def babbles(head: bytes, more: bytes) -> Conduct:
    """Reads the request, sends `head` and then `more` without end."""

    async def conduct(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await take(reader)
        writer.write(head)
        while not writer.is_closing():
            writer.write(more)
            await writer.drain()
            await asyncio.sleep(0)

    return conduct


def answers_first(reply: bytes) -> Conduct:
    """Answers before it has read a byte, and reads the request afterwards."""

    async def conduct(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(reply)
        await writer.drain()
        await reader.read()

    return conduct


async def hangs(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Accepts and never answers."""
    await reader.read()
    await asyncio.Event().wait()
