"""The limits of downloads: size, time, and what is left when they are met."""

from __future__ import annotations

import asyncio
import gzip
import os
import tracemalloc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web
from receiver import Handler, head, raw_serving, serving

from cog.errors import DownloadError
from cog.files.fetch import Fetcher, name_of, shown
from cog.net.client import Client


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)


@asynccontextmanager
async def fetching(max_bytes: int = 1 << 30, timeout: float = 30.0) -> AsyncIterator[Fetcher]:
    async with Client() as client:
        yield Fetcher(client, max_bytes=max_bytes, idle_timeout=5.0, timeout=timeout, backoff=0.001)


def refusal(handler: Handler, folder: Path, max_bytes: int = 1 << 30, timeout: float = 30.0) -> str:
    async def main() -> str:
        async with serving(handler) as url, fetching(max_bytes, timeout) as fetcher:
            with pytest.raises(DownloadError) as refused:
                await fetcher.fetch(f"{url}/in.bin?sig=s3cret", folder)
            return str(refused.value)

    text = asyncio.run(main())
    assert list(folder.iterdir()) == []
    assert "s3cret" not in text
    return text


def test_a_server_that_drips_is_ended(tmp_path: Path) -> None:
    """Each byte comes within the time for silence, so only the time for the whole file ends it."""

    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await head(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
        while not writer.is_closing():
            writer.write(b"x")
            try:
                await writer.drain()
            except ConnectionError:
                return
            await asyncio.sleep(0.02)

    async def main() -> str:
        async with raw_serving(drip) as url, fetching(timeout=0.4) as fetcher:
            with pytest.raises(DownloadError) as refused:
                await asyncio.wait_for(fetcher.fetch(f"{url}/slow.bin?sig=s3cret", tmp_path), 10)
            return str(refused.value)

    text = asyncio.run(main())
    assert "within the 0.4 s that --download-timeout allows for one input file" in text
    assert "/slow.bin" in text
    assert "s3cret" not in text
    assert list(tmp_path.iterdir()) == []


def test_the_time_counts_for_all_attempts_together(tmp_path: Path) -> None:
    async def busy(_: web.BaseRequest) -> web.Response:
        return web.Response(status=503, headers={"Retry-After": "20"})

    assert "--download-timeout" in refusal(busy, tmp_path, timeout=0.3)


@pytest.mark.slow
def test_a_gzip_bomb_meets_the_limit_in_bounded_memory(tmp_path: Path) -> None:
    bomb = gzip.compress(bytes(400 * 1024 * 1024), 9)

    async def handler(_: web.BaseRequest) -> web.Response:
        return web.Response(body=bomb, headers={"Content-Encoding": "gzip"})

    tracemalloc.start()
    try:
        text = refusal(handler, tmp_path, max_bytes=300 * 1024 * 1024)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert "larger than the 314,572,800 bytes that --max-download allows" in text
    assert peak < 32 * 1024 * 1024


def test_a_compressed_answer_that_breaks_off_is_refused(tmp_path: Path) -> None:
    async def handler(_: web.BaseRequest) -> web.Response:
        return web.Response(body=gzip.compress(b"hello" * 1000)[:-3], headers={"Content-Encoding": "gzip"})

    assert "the compressed answer ended too early" in refusal(handler, tmp_path)


def test_an_encoding_that_was_not_asked_for_is_refused_at_once(tmp_path: Path) -> None:
    seen = []

    async def handler(request: web.BaseRequest) -> web.Response:
        seen.append(request)
        return web.Response(body=b"?", headers={"Content-Encoding": "br"})

    assert "compressed in a way that was not asked for" in refusal(handler, tmp_path)
    assert len(seen) == 1


@pytest.mark.parametrize(
    "reply",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nshort\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n50\r\nshort",
    ],
)
def test_a_body_that_is_cut_off_is_no_file(tmp_path: Path, reply: bytes) -> None:
    tries = []

    async def cut(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tries.append(await head(reader))
        writer.write(reply)

    async def main() -> str:
        async with raw_serving(cut) as url, fetching() as fetcher:
            with pytest.raises(DownloadError) as refused:
                await fetcher.fetch(f"{url}/x", tmp_path)
            return str(refused.value)

    assert "(4 attempts)" in asyncio.run(main())
    assert len(tries) == 4
    assert list(tmp_path.iterdir()) == []


MALFORMED = [
    "http://[bad",
    "http://user:s3cret@ex\u2100mple.com/x",
    "http://host:s3cret/",
    "http://user:s3/cret@host/x",
    "http://[::1%25s3cret/x",
]


@pytest.mark.parametrize("url", MALFORMED)
def test_a_url_that_cannot_be_read_is_a_download_error_that_shows_nothing(tmp_path: Path, url: str) -> None:
    async def main() -> str:
        async with fetching() as fetcher:
            with pytest.raises(DownloadError) as refused:
                await fetcher.fetch(url, tmp_path)
            return str(refused.value)

    text = asyncio.run(main())
    assert "cannot be read as a URL" in text
    assert "cret" not in text
    assert list(tmp_path.iterdir()) == []
    assert name_of(url)
    assert "cret" not in shown(url)


def test_names_that_nobody_answers_for_hold_up_no_others(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The system cannot be told to give up a lookup, so lookups must not share a few threads with each other, nor with
    the work on files."""
    import socket
    import threading

    over = threading.Event()
    real = socket.getaddrinfo

    def slow(host: str, *args: object, **more: object) -> object:
        if host == "silent.test":
            over.wait(20)
            raise socket.gaierror(socket.EAI_AGAIN, "no answer")
        return real("127.0.0.1" if host == "quick.test" else host, *args, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(socket, "getaddrinfo", slow)

    async def handler(_: web.BaseRequest) -> web.Response:
        return web.Response(body=b"there")

    async def main() -> bytes:
        async with serving(handler) as url:
            waiting = []
            clients = [Client() for _ in range(40)]
            for client in clients:
                fetcher = Fetcher(client, max_bytes=100)
                waiting.append(asyncio.create_task(fetcher.fetch("http://silent.test/x", tmp_path)))
            await asyncio.sleep(0)
            async with Client() as client:
                fetcher = Fetcher(client, max_bytes=100)
                quick = url.replace("127.0.0.1", "quick.test")
                path = await asyncio.wait_for(fetcher.fetch(quick, tmp_path), 10)
            for task in waiting:
                task.cancel()
            await asyncio.wait(waiting)
            over.set()
            for client in clients:
                await client.__aexit__(None, None, None)
            return path.read_bytes()

    try:
        assert asyncio.run(main()) == b"there"
    finally:
        over.set()
