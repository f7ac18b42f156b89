"""Downloads, from servers that behave and from servers that do not."""

from __future__ import annotations

import asyncio
import errno
import gzip
import os
import resource
import stat
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st
from receiver import Handler, head, raw_serving, serving

from cog.errors import DownloadError
from cog.files.fetch import Fetcher, _unkept, name_of, shown
from cog.net.client import Client

CONTENT = bytes(range(256)) * 8192  # 2 MiB


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)


@asynccontextmanager
async def fetching(max_bytes: int = 1 << 30, idle: float = 5.0) -> AsyncIterator[Fetcher]:
    async with Client() as client:
        yield Fetcher(client, max_bytes=max_bytes, idle_timeout=idle, backoff=0.001)


def fetched(
    handler: Handler, folder: Path, path: str = "/in.png", max_bytes: int = 1 << 30, idle: float = 5.0
) -> Path:
    async def main() -> Path:
        async with serving(handler) as url, fetching(max_bytes, idle) as fetcher:
            return await fetcher.fetch(url + path, folder)

    return asyncio.run(main())


def left_in(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def counted(*answers: Callable[[web.BaseRequest], web.Response]) -> tuple[Handler, list[web.BaseRequest]]:
    seen: list[web.BaseRequest] = []

    async def handler(request: web.BaseRequest) -> web.Response:
        seen.append(request)
        return answers[min(len(seen), len(answers)) - 1](request)

    return handler, seen


def status(code: int) -> Callable[[web.BaseRequest], web.Response]:
    return lambda request: web.Response(status=code)


def whole(request: web.BaseRequest) -> web.Response:
    return web.Response(body=CONTENT)


def test_a_file_arrives_whole_and_private(tmp_path: Path) -> None:
    handler, seen = counted(whole)
    path = fetched(handler, tmp_path / "7", "/dir/my%20cat%2F+1.png?sig=secret")
    assert path.read_bytes() == CONTENT
    assert path.name == "my cat_ 1.png"
    assert path.is_relative_to(tmp_path / "7")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "7").stat().st_mode) == 0o700
    assert len(seen) == 1


def test_an_empty_file(tmp_path: Path) -> None:
    handler, _ = counted(status(200))
    assert fetched(handler, tmp_path).read_bytes() == b""


def test_equal_names_do_not_meet(tmp_path: Path) -> None:
    async def handler(request: web.BaseRequest) -> web.Response:
        return web.Response(text=request.path)

    async def main() -> list[Path]:
        async with serving(handler) as url, fetching() as fetcher:
            return await asyncio.gather(
                *(fetcher.fetch(f"{url}/{number}/a.txt", tmp_path) for number in range(20))
            )

    paths = asyncio.run(main())
    assert [path.read_text() for path in paths] == [f"/{number}/a.txt" for number in range(20)]


@pytest.mark.parametrize("code", [429, 500, 502, 503])
def test_passing_trouble_is_tried_again(tmp_path: Path, code: int) -> None:
    handler, seen = counted(status(code), status(code), status(code), whole)
    assert fetched(handler, tmp_path).read_bytes() == CONTENT
    assert len(seen) == 4


def test_lasting_trouble_ends_after_four_attempts(tmp_path: Path) -> None:
    handler, seen = counted(status(503))
    with pytest.raises(DownloadError, match=r"503 Service Unavailable \(4 attempts\)") as caught:
        fetched(handler, tmp_path, "/in.png?X-Amz-Signature=secret")
    assert "secret" not in str(caught.value)
    assert "/in.png" in str(caught.value)
    assert len(seen) == 4
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("code", [400, 401, 403, 404, 410])
def test_other_refusals_are_final(tmp_path: Path, code: int) -> None:
    handler, seen = counted(status(code))
    with pytest.raises(DownloadError, match=f"the server answered {code}"):
        fetched(handler, tmp_path)
    assert len(seen) == 1
    assert list(tmp_path.iterdir()) == []


def test_a_redirect_is_followed_and_the_name_stays(tmp_path: Path) -> None:
    moved = web.Response(status=302, headers={"Location": "/other.bin"})
    handler, _ = counted(lambda request: moved, whole)
    path = fetched(handler, tmp_path)
    assert (path.name, path.read_bytes()) == ("in.png", CONTENT)


def test_a_redirect_to_the_clouds_credentials(tmp_path: Path) -> None:
    moved = web.Response(status=302, headers={"Location": "http://169.254.169.254/latest/meta-data/"})
    handler, seen = counted(lambda request: moved)
    with pytest.raises(DownloadError, match="link-local"):
        fetched(handler, tmp_path)
    assert len(seen) == 1


@pytest.mark.parametrize(
    "url", ["http://169.254.169.254/latest", "http://[::ffff:a9fe:a9fe]/", "ftp://x/y", "/etc/x"]
)
def test_a_url_that_may_not_be_followed(tmp_path: Path, url: str) -> None:
    async def main() -> None:
        async with fetching() as fetcher:
            await fetcher.fetch(url, tmp_path)

    with pytest.raises(DownloadError):
        asyncio.run(main())
    assert list(tmp_path.iterdir()) == []


def breaking(
    at: int, seen: list[str | None], extra: str, honest: bool = True
) -> Callable[..., Awaitable[None]]:
    """Breaks the connection every `at` bytes; with `honest` it goes on from where a Range header says."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        headers = await head(reader)
        asked = headers.get("range")
        seen.append(asked)
        start = int(asked[6:-1]) if asked is not None else 0
        first = "206 Partial Content" if start else "200 OK"
        part = f"Content-Range: bytes {start}-{len(CONTENT) - 1}/{len(CONTENT)}\r\n" if start else ""
        length = f"Content-Length: {len(CONTENT) - start}\r\n"
        writer.write(f"HTTP/1.1 {first}\r\n{length}{part}{extra}Connection: close\r\n\r\n".encode())
        writer.write(CONTENT[start : start + at])
        await writer.drain()
        await reader.read()  # until the client gives up

    return answer


async def fetch_raw(answer: Callable[..., Awaitable[None]], folder: Path) -> bytes:
    async with raw_serving(answer) as url, fetching(idle=0.2) as fetcher:
        return (await fetcher.fetch(f"{url}/in.png", folder)).read_bytes()


@pytest.mark.parametrize("validator", ['ETag: "v1"\r\n', "Last-Modified: Fri, 31 Dec 1999 23:59:59 GMT\r\n"])
def test_a_broken_download_goes_on_where_it_broke(tmp_path: Path, validator: str) -> None:
    seen: list[str | None] = []
    at = len(CONTENT) // 3
    assert asyncio.run(fetch_raw(breaking(at, seen, validator), tmp_path)) == CONTENT
    assert seen == [None, f"bytes={at}-", f"bytes={2 * at}-", f"bytes={3 * at}-"]


@pytest.mark.parametrize("extra", ["", 'ETag: W/"weak"\r\n', 'ETag: "v1"\r\nAccept-Ranges: none\r\n'])
def test_without_a_validator_it_starts_again(tmp_path: Path, extra: str) -> None:
    seen: list[str | None] = []
    with pytest.raises(DownloadError, match=r"sent nothing for too long \(4 attempts\)"):
        asyncio.run(fetch_raw(breaking(100_000, seen, extra), tmp_path))
    assert seen == [None] * 4
    assert list(tmp_path.iterdir()) == []


def test_a_connection_that_breaks_is_tried_again(tmp_path: Path) -> None:
    calls = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        calls.append(await head(reader))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(CONTENT))
        writer.write(CONTENT if len(calls) == 4 else CONTENT[:1000])
        await writer.drain()

    assert asyncio.run(fetch_raw(answer, tmp_path)) == CONTENT


def test_a_file_that_changed_meanwhile_is_taken_whole(tmp_path: Path) -> None:
    other = b"another file"
    calls: list[str | None] = []
    broken = breaking(100_000, calls, 'ETag: "v1"\r\n')

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not calls:
            await broken(reader, writer)
            return
        headers = await head(reader)
        assert headers["if-range"] == '"v1"'
        writer.write(
            b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % len(other) + other
        )
        await writer.drain()

    assert asyncio.run(fetch_raw(answer, tmp_path)) == other


@pytest.mark.parametrize(
    "reply", ["416 Range Not Satisfiable", "206 Partial Content\r\nContent-Range: bytes 5-9/10"]
)
def test_a_server_that_cannot_go_on_is_asked_for_all_of_it(tmp_path: Path, reply: str) -> None:
    calls: list[str | None] = []
    broken = breaking(100_000, calls, 'ETag: "v1"\r\n')

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not calls:
            await broken(reader, writer)
            return
        headers = await head(reader)
        if "range" in headers:
            writer.write(f"HTTP/1.1 {reply}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode())
        else:
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\nall")
        await writer.drain()

    assert asyncio.run(fetch_raw(answer, tmp_path)) == b"all"


def test_a_silent_server_is_given_up(tmp_path: Path) -> None:
    async def main() -> None:
        over = asyncio.Event()
        calls = []

        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            calls.append(await head(reader))
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc")
            await writer.drain()
            await over.wait()

        async with raw_serving(answer) as url, fetching(idle=0.1) as fetcher:
            with pytest.raises(DownloadError, match="sent nothing for too long"):
                await fetcher.fetch(url, tmp_path)
            over.set()
        assert len(calls) == 4

    asyncio.run(main())
    assert list(tmp_path.iterdir()) == []


def test_a_slow_server_is_waited_for_while_it_sends(tmp_path: Path) -> None:
    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for _ in range(8):
            await response.write(b"x")
            await asyncio.wait({asyncio.ensure_future(asyncio.Event().wait())}, timeout=0.05)
        return response

    assert fetched(handler, tmp_path, idle=0.3).read_bytes() == b"x" * 8


def test_the_limit_by_the_header_and_by_the_bytes(tmp_path: Path) -> None:
    async def endless(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b"x" * 100_000)

    handler, seen = counted(whole)
    assert fetched(handler, tmp_path / "fits", max_bytes=len(CONTENT)).read_bytes() == CONTENT
    for each in (handler, endless):
        with pytest.raises(DownloadError, match="larger than the 2,097,151 bytes that --max-download"):
            fetched(each, tmp_path / "large", max_bytes=len(CONTENT) - 1)
    assert len(seen) == 2
    assert left_in(tmp_path / "large") == []


def test_gzip_is_decoded_though_nobody_asked_for_it(tmp_path: Path) -> None:
    async def handler(request: web.BaseRequest) -> web.Response:
        assert request.headers["Accept-Encoding"] == "identity"
        return web.Response(body=gzip.compress(CONTENT), headers={"Content-Encoding": "gzip"})

    assert fetched(handler, tmp_path).read_bytes() == CONTENT
    with pytest.raises(DownloadError, match="larger than"):
        fetched(handler, tmp_path, max_bytes=len(CONTENT) - 1)


def test_a_cancelled_download_ends_at_once_and_leaves_nothing(tmp_path: Path) -> None:
    """J25: the reference waits for the time limit and leaves its file."""

    async def main() -> None:
        begun, over = asyncio.Event(), asyncio.Event()

        async def handler(request: web.BaseRequest) -> web.StreamResponse:
            response = web.StreamResponse()
            await response.prepare(request)
            await response.write(CONTENT)
            begun.set()
            await over.wait()
            return response

        async with serving(handler) as url, fetching() as fetcher:
            task = asyncio.ensure_future(fetcher.fetch(url, tmp_path))
            await begun.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asyncio.wait_for(task, 2)
            over.set()

    asyncio.run(main())
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_named(tmp_path: Path) -> None:
    full = OSError(errno.ENOSPC, "No space left on device")
    assert "no space is left" in str(_unkept("it", tmp_path / "x", full))
    handler, seen = counted(whole)
    # A limit for the size of files makes the system refuse a write, as a full disk does.
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, hard))
    try:
        with pytest.raises(DownloadError, match=r"could not be kept in .*: File too large"):
            fetched(handler, tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(tmp_path.iterdir()) == []
    assert len(seen) == 1


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    handler, _ = counted(whole)
    with pytest.raises(DownloadError, match="could not be kept"):
        fetched(handler, tmp_path / "file")


def test_a_data_url_becomes_a_file(tmp_path: Path) -> None:
    async def main() -> None:
        async with fetching(max_bytes=100_000) as fetcher:
            path = await fetcher.fetch("DATA:image/png;base64,aGk=", tmp_path)
            assert (path.name, path.read_bytes()) == ("file.png", b"hi")
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
            assert (await fetcher.fetch("data:," + "a" * 99_999, tmp_path)).name == "file.txt"
            assert (await fetcher.fetch("data:x/y;base64,", tmp_path)).name == "file"
            assert (await fetcher.save(b"abc", "image/jpeg", tmp_path)).name == "file.jpg"
            assert len(left_in(tmp_path)) == 4
            with pytest.raises(DownloadError, match=r"data:text/plain,\.\.\. .* is larger than"):
                await fetcher.fetch("data:," + "a" * 100_001, tmp_path)
            with pytest.raises(DownloadError, match=r"data:image/png;base64,\.\.\. .*: its base64 has"):
                await fetcher.fetch("data:image/png;base64,!", tmp_path)
            assert len(left_in(tmp_path)) == 4

    asyncio.run(main())


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("http://h/a/b.png", "b.png"),
        ("http://h/b.png?c=d.jpg#e/f", "b.png"),
        ("http://h", "file"),
        ("http://h/a/", "file"),
        ("http://h/..", "file"),
        ("http://h/%2e%2e", "file"),
        ("http://h/%2Fetc%2Fpasswd", "_etc_passwd"),
        ("http://h/..%2F..%2Fx", ".._.._x"),
        ("http://h/a%00b%0a.png", "a_b_.png"),
        ("http://h/a+b%2Bc.png", "a b+c.png"),
        ("http://h/%C3%A9.png", "é.png"),
        ("http://h/%ff.png", "\ufffd.png"),
        ("http://h/" + "x" * 300 + ".png", "x" * 195 + "~.png"),
        ("http://h/" + "%C3%A9" * 150 + ".png", "é" * 97 + "~.png"),
        ("http://h/a." + "x" * 300, "a." + "x" * 197 + "~"),
    ],
)
def test_names(url: str, name: str) -> None:
    assert name_of(url) == name


@given(st.text())
def test_every_name_is_safe(text: str) -> None:
    try:
        name = name_of(f"http://h/{text}")
    except ValueError:  # urlsplit refuses a few hosts; the policy refused them before
        return
    assert name not in ("", ".", "..")
    assert "/" not in name
    assert "\0" not in name
    assert len(name.encode(errors="surrogatepass")) <= 200


def test_what_is_shown_of_a_url() -> None:
    assert shown("https://me:secret@h:8/a/b?sig=secret#x") == "https://h:8/a/b"
    assert shown("http://[") == "the URL"
    assert len(shown("http://h/" + "a" * 1000)) < 250
