"""Output files become URLs."""

from __future__ import annotations

import asyncio
import base64
import json
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest
from aiohttp import web
from receiver import Handler, head, raw_serving, serving

from cog.errors import OutputError, UploadError
from cog.files.publish import Publisher
from cog.net.client import Client
from cog.net.policy import UrlPolicy
from cog.prediction.events import OutputFile


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)


def made(folder: Path, *contents: tuple[str, bytes]) -> list[OutputFile]:
    files = []
    for number, (name, content) in enumerate(contents):
        path = folder / f"output-{number}"
        path.write_bytes(content)
        files.append(OutputFile(f"mark:{number}", str(path), name))
    return files


def listed(files: Sequence[OutputFile]) -> bytes:
    return json.dumps([file.mark for file in files]).encode()


@asynccontextmanager
async def publishing(url: str | None = None, idle: float = 5.0) -> AsyncIterator[Publisher]:
    async with Client(
        UrlPolicy("public")
    ) as client:  # the operator's own server may be a private one all the same
        yield Publisher(client, upload_url=url, idle_timeout=idle, backoff=0.001)


def uploaded(
    handler: Handler, files: Sequence[OutputFile], path: str = "/up", idle: float = 5.0
) -> tuple[str, list[str]]:
    """The server's URL and what became of the files."""

    async def main() -> tuple[str, bytes]:
        async with serving(handler) as url, publishing(url + path, idle) as publisher:
            return url, await publisher.publish(listed(files), files, "id1")

    url, payload = asyncio.run(main())
    return url, json.loads(payload)


async def accept(request: web.BaseRequest) -> web.Response:
    await request.read()
    return web.Response(status=201)


def test_without_files_nothing_is_touched() -> None:
    async def main() -> None:
        async with publishing("http://127.0.0.1:1/") as publisher:
            payload = b'{"a": "mark:0"}'
            assert await publisher.publish(payload, (), "id1") is payload

    asyncio.run(main())


def test_without_an_upload_url_they_become_data_urls(tmp_path: Path) -> None:
    big = bytes(range(256)) * 10_000
    files = made(tmp_path, ("a.png", b"png"), ("b.JPG", big), ("empty.txt", b""), ("none", b"\0"))
    payload = '{"ü": "mark:1", "l": ["mark:0", "mark:2", 1.50], "s": "\\"mark:0\\"", "n": "mark:3"}'.encode()

    async def main() -> bytes:
        async with publishing() as publisher:
            return await publisher.publish(payload, files, "id1")

    result = asyncio.run(main())
    assert b" 1.50]" in result  # numbers stay as the model's process wrote them
    assert json.loads(result) == {
        "ü": "data:image/jpeg;base64," + base64.b64encode(big).decode(),
        "l": ["data:image/png;base64,cG5n", "data:text/plain;base64,", 1.5],
        "s": '"mark:0"',
        "n": "data:application/octet-stream;base64,AA==",
    }


def test_a_file_that_is_gone(tmp_path: Path) -> None:
    files = made(tmp_path, ("a.png", b"png"))
    Path(files[0].path).unlink()

    async def main(url: str | None) -> None:
        async with publishing(url) as publisher:
            await publisher.publish(listed(files), files, "id1")

    for url in (None, "http://127.0.0.1:1/"):
        with pytest.raises(OutputError, match=r"a\.png cannot be read: No such file"):
            asyncio.run(main(url))


def test_a_file_without_a_place(tmp_path: Path) -> None:
    async def main() -> None:
        async with publishing() as publisher:
            await publisher.publish(b'"other"', made(tmp_path, ("a.png", b"png")), "id1")

    with pytest.raises(OutputError, match=r"where the file a\.png belongs"):
        asyncio.run(main())


def test_an_upload_as_the_receiver_sees_it(tmp_path: Path) -> None:
    seen = []

    async def handler(request: web.BaseRequest) -> web.Response:
        names = ("Content-Type", "Content-Length", "X-Prediction-Id", "Transfer-Encoding")
        seen.append(
            (request.method, request.path, *map(request.headers.get, names), len(await request.read()))
        )
        return web.Response()

    content = bytes(900_000)
    url, result = uploaded(handler, made(tmp_path, ("a.png", content), ("e.txt", b"")))
    assert sorted(seen) == [
        ("PUT", "/up/a.png", "image/png", "900000", "id1", None, 900_000),
        ("PUT", "/up/e.txt", "text/plain", "0", "id1", None, 0),
    ]
    assert result == [f"{url}/up/a.png", f"{url}/up/e.txt"]


def test_the_order_is_the_outputs_not_the_networks(tmp_path: Path) -> None:
    """J4: the first upload ends last."""

    async def main() -> list[str]:
        last = asyncio.Event()

        async def handler(request: web.BaseRequest) -> web.Response:
            await request.read()
            if request.path == "/slow.txt":
                await last.wait()
            else:
                last.set()
            return web.Response()

        files = made(tmp_path, ("slow.txt", b"1"), ("fast.txt", b"2"))
        async with serving(handler) as url, publishing(url) as publisher:
            payload = await publisher.publish(b'["mark:0", "mark:1", "str"]', files, "id1")
        return [text.rpartition("/")[2] for text in json.loads(payload)]

    assert asyncio.run(main()) == ["slow.txt", "fast.txt", "str"]


def test_equal_and_odd_names(tmp_path: Path) -> None:
    """J19: equal names overwrote each other, # and ? cut the URL."""
    stored = {}

    async def handler(request: web.BaseRequest) -> web.Response:
        stored[request.raw_path] = await request.read()
        return web.Response()

    names = ["a.png", "a.png", "#?&+ %41é.txt", "..", "a/../b"]
    url, result = uploaded(handler, made(tmp_path, *((name, name.encode()) for name in names)), "/up/")
    paths = ["/up/a.png", "/up/a-2.png", "/up/%23%3F%26%2B%20%2541%C3%A9.txt", "/up/file", "/up/a%2F..%2Fb"]
    assert result == [url + path for path in paths]
    assert sorted(stored) == sorted(paths)
    assert stored["/up/a-2.png"] == b"a.png"


def test_equal_names_of_a_stream(tmp_path: Path) -> None:
    async def main() -> list[str]:
        files = made(tmp_path, ("a.png", b"x"))
        async with serving(accept) as url, publishing(url) as publisher:
            publish = partial(publisher.publish, listed(files), files)
            results = [await publish("id1"), await publish("id1"), await publish("id2")]
            publisher.forget("id1")
            results.append(await publish("id1"))
        return [json.loads(result)[0].removeprefix(url) for result in results]

    assert asyncio.run(main()) == ["/a.png", "/a-2.png", "/a.png", "/a.png"]


def test_the_query_of_the_upload_url_is_sent_and_not_shown(tmp_path: Path) -> None:
    seen = []

    async def handler(request: web.BaseRequest) -> web.Response:
        seen.append(request.raw_path)
        return web.Response()

    url, result = uploaded(handler, made(tmp_path, ("a.txt", b"x")), "/up?sig=a%2Fb")
    assert seen == ["/up/a.txt?sig=a%2Fb"]
    assert result == [f"{url}/up/a.txt"]


@pytest.mark.parametrize(
    ("location", "expected"),
    [
        ("https://cdn.example/x?sig=secret#part", "https://cdn.example/x#part"),
        ("/stored/x?sig=secret", "{url}/stored/x"),
        ("x", "{url}/up/x"),
        ('/a"b', '{url}/a"b'),
        ("gs://bucket/x", "gs://bucket/x"),
    ],
)
def test_the_servers_own_address_for_the_file(tmp_path: Path, location: str, expected: str) -> None:
    async def handler(request: web.BaseRequest) -> web.Response:
        return web.Response(status=201, headers={"Location": location})

    url, result = uploaded(handler, made(tmp_path, ("a.txt", b"x")))
    assert result == [expected.format(url=url)]


def test_a_redirect_gets_the_whole_file(tmp_path: Path) -> None:
    content = os.urandom(500_000)
    seen = []

    async def handler(request: web.BaseRequest) -> web.Response:
        if request.path == "/up/a.bin":
            return web.Response(
                status=307, headers={"Location": "/store/a.bin?sig=secret"}
            )  # before the body is read
        seen.append((request.method, await request.read() == content, request.headers["X-Prediction-Id"]))
        return web.Response()

    url, result = uploaded(handler, made(tmp_path, ("a.bin", content)))
    assert seen == [("PUT", True, "id1")]
    assert result == [f"{url}/store/a.bin"]


@pytest.mark.parametrize("code", [429, 500, 503])
def test_passing_trouble_is_tried_again_with_the_whole_file(tmp_path: Path, code: int) -> None:
    sizes = []

    async def handler(request: web.BaseRequest) -> web.Response:
        sizes.append(len(await request.read()))
        return web.Response(status=code if len(sizes) < 4 else 200)

    uploaded(handler, made(tmp_path, ("a.bin", bytes(200_000))))
    assert sizes == [200_000] * 4


@pytest.mark.parametrize(("code", "tries"), [(500, 4), (404, 1), (302, 1), (413, 1)])
def test_what_is_refused_has_its_status(tmp_path: Path, code: int, tries: int) -> None:
    seen = []

    async def handler(request: web.BaseRequest) -> web.Response:
        seen.append(1)
        return web.Response(status=code, headers={"Location": "/elsewhere"})

    with pytest.raises(UploadError, match=rf"a\.bin could not be uploaded: the server answered {code} "):
        uploaded(handler, made(tmp_path, ("a.bin", bytes(5_000_000))))
    assert len(seen) == tries


def test_a_broken_connection_is_tried_again(tmp_path: Path) -> None:
    calls = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        calls.append(await head(reader))
        if len(calls) == 3:
            assert await reader.readexactly(300_000) == bytes(300_000)
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            await writer.drain()

    async def main() -> None:
        files = made(tmp_path, ("a.bin", bytes(300_000)))
        async with raw_serving(answer) as url, publishing(url) as publisher:
            assert json.loads(await publisher.publish(listed(files), files, "id1")) == [f"{url}/a.bin"]

    asyncio.run(main())
    assert len(calls) == 3


@pytest.mark.parametrize("size", [10, 50_000_000])
def test_a_receiver_that_stands_still_is_given_up(tmp_path: Path, size: int) -> None:
    """It reads nothing of a large file, or does not answer when it has a small one."""
    path = tmp_path / "output"
    with path.open("wb") as file:
        file.truncate(size)
    files = [OutputFile("mark:0", str(path), "a.bin")]

    async def main() -> None:
        over = asyncio.Event()

        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await head(reader)
            await over.wait()

        async with raw_serving(answer) as url, publishing(url, idle=0.1) as publisher:
            with pytest.raises(UploadError, match=r"no progress for 0\.1 s \(4 attempts\)"):
                await publisher.publish(listed(files), files, "id1")
            over.set()

    asyncio.run(main())


def test_a_slow_receiver_is_waited_for_while_it_reads(tmp_path: Path) -> None:
    path = tmp_path / "output"
    with path.open("wb") as file:
        file.truncate(20_000_000)
    files = [OutputFile("mark:0", str(path), "a.bin")]

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await head(reader)
        left = 20_000_000
        while left:
            left -= len(await reader.readexactly(min(left, 2_000_000)))
            await asyncio.wait({asyncio.ensure_future(asyncio.Event().wait())}, timeout=0.1)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()

    async def main() -> None:
        async with raw_serving(answer) as url, publishing(url, idle=0.5) as publisher:
            await publisher.publish(listed(files), files, "id1")

    asyncio.run(main())


def test_one_failure_ends_the_others(tmp_path: Path) -> None:
    async def main() -> None:
        stuck, over = asyncio.Event(), asyncio.Event()

        async def handler(request: web.BaseRequest) -> web.Response:
            await request.read()
            if request.path == "/stuck":
                stuck.set()
                await over.wait()
            await stuck.wait()
            return web.Response(status=403)

        files = made(tmp_path, ("stuck", b"x"), ("refused", b"x"))
        async with serving(handler) as url, publishing(url) as publisher:
            with pytest.raises(UploadError, match="refused could not be uploaded"):
                await asyncio.wait_for(publisher.publish(listed(files), files, "id1"), 3)
            over.set()

    asyncio.run(main())


def test_cancelling_ends_an_upload_at_once(tmp_path: Path) -> None:
    async def main() -> None:
        begun, over = asyncio.Event(), asyncio.Event()

        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await head(reader)
            begun.set()
            await over.wait()

        files = made(tmp_path, ("a.bin", bytes(30_000_000)))
        async with raw_serving(answer) as url, publishing(url) as publisher:
            task = asyncio.ensure_future(publisher.publish(listed(files), files, "id1"))
            await begun.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asyncio.wait_for(task, 2)
            over.set()

    asyncio.run(main())


def test_many_files_of_one_output(tmp_path: Path) -> None:
    files = made(tmp_path, *((f"{number}.txt", b"x") for number in range(200)))
    url, result = uploaded(accept, files)
    assert result == [f"{url}/up/{number}.txt" for number in range(200)]
