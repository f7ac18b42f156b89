"""The HTTP client against real servers on this machine."""

from __future__ import annotations

import asyncio
import os
import socket
import struct
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from aiohttp import ClientOSError, web

from cog.net.client import GET_REDIRECTS, PUT_REDIRECTS, Client, NetError, Request, UrlRefused
from cog.net.policy import UrlPolicy
from cog.net.session import explain
from cog.version import __version__

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def serving(handler: Handler) -> AsyncIterator[str]:
    runner = web.ServerRunner(web.Server(handler), shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def raw_server(reply: bytes) -> AsyncIterator[str]:
    """Answers each connection's first bytes with `reply` and closes."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1000)
        writer.write(reply)
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)


async def hello(request: web.BaseRequest) -> web.Response:
    return web.Response(text="hello")


async def get(client: Client, url: str, trusted: bool = False) -> tuple[int, str]:
    request = Request("GET", url, follow=GET_REDIRECTS, idle=5, trusted=trusted)
    async with client.request(request) as response:
        return response.status, await response.text()


def test_importing_the_client_leaves_aiohttp_out() -> None:
    program = "import sys, cog.files.fetch, cog.files.publish; sys.exit('aiohttp' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_get_says_who_asks_and_keeps_no_cookies() -> None:
    seen = []

    async def handler(request: web.BaseRequest) -> web.Response:
        seen.append((request.headers["User-Agent"], request.headers.get("Cookie")))
        response = web.Response(text="hello")
        response.set_cookie("a", "b")
        return response

    async def main() -> None:
        async with serving(handler) as url:
            async with Client() as client:
                assert await get(client, url) == (200, "hello")
                assert await get(client, url) == (200, "hello")
            async with Client(user_agent="mine/1") as client:
                await get(client, url)

    asyncio.run(main())
    assert seen == [(f"cog/{__version__}", None), (f"cog/{__version__}", None), ("mine/1", None)]


def test_the_url_arrives_byte_for_byte() -> None:
    seen = []

    async def handler(request: web.BaseRequest) -> web.Response:
        seen.append(request.raw_path)
        return web.Response()

    async def main() -> None:
        async with serving(handler) as url, Client() as client:
            await get(client, url + "/a%2Fb%41?X-Sig=%2Fx%3d+y%7E")
            await get(client, url + "/a b?ü")

    asyncio.run(main())
    assert seen == ["/a%2Fb%41?X-Sig=%2Fx%3d+y%7E", "/a%20b?%C3%BC"]


def test_post_returns_the_status_and_follows_nothing() -> None:
    seen = []

    async def handler(request: web.BaseRequest) -> web.Response:
        seen.append((request.path, await request.read(), request.headers["Content-Type"]))
        if request.path == "/moved":
            return web.Response(status=302, headers={"Location": "/target"})
        return web.Response(status=201, body=b"x" * 300_000)

    async def main() -> None:
        headers = {"Content-Type": "application/json"}
        async with serving(handler) as url, Client() as client:
            assert (await client.post(f"{url}/a", b"{}", headers, 5)).status == 201
            assert (await client.post(f"{url}/moved", b"[]", headers, 5)).status == 302

    asyncio.run(main())
    assert seen == [("/a", b"{}", "application/json"), ("/moved", b"[]", "application/json")]


def test_post_reuses_its_connection() -> None:
    peers = set()

    async def handler(request: web.BaseRequest) -> web.Response:
        assert request.transport is not None
        peers.add(request.transport.get_extra_info("peername"))
        return web.Response(text="ok")

    async def main() -> None:
        async with serving(handler) as url, Client() as client:
            for _ in range(5):
                assert (await client.post(url, b"x", {}, 5)).status == 200

    asyncio.run(main())
    assert len(peers) == 1


def test_post_keeps_its_time_limit() -> None:
    async def main() -> None:
        over = asyncio.Event()

        async def handler(request: web.BaseRequest) -> web.Response:
            await over.wait()
            return web.Response()

        async with serving(handler) as url, Client() as client:
            with pytest.raises(NetError, match="in time") as caught:
                await client.post(url, b"x", {}, 0.1)
            assert caught.value.retryable
            over.set()

    asyncio.run(main())


def test_post_counts_as_answered_once_the_status_is_there() -> None:
    async def main() -> None:
        reply = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort"
        async with raw_server(reply) as url, Client() as client:
            assert (await client.post(url, b"x", {}, 5)).status == 200

    asyncio.run(main())


@pytest.mark.parametrize(("number", "why"), [(None, "it was closed too early"), (32, "Broken pipe")])
def test_the_words_of_the_library_are_not_shown_for_they_quote_the_url(number: int | None, why: str) -> None:
    said = ClientOSError(number, "Can not write request body for http://127.0.0.1/x?sig=s3cret")
    assert str(explain(said)) == f"the connection broke ({why})"


def test_a_connection_that_breaks_while_sending_shows_no_query() -> None:
    async def reset(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1000)
        sock = writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()

    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(1000):
            yield bytes(65536)

    async def run() -> str:
        server = await asyncio.start_server(reset, "127.0.0.1", 0)
        async with server, Client() as client:
            url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/x?sig=s3cret"
            with pytest.raises(NetError) as caught:
                async with client.request(Request("PUT", url, body=pieces())):
                    pass
            assert caught.value.retryable
            return str(caught.value)

    said = asyncio.run(run())
    assert said in ("the connection broke (Connection reset by peer)", "the connection broke (Broken pipe)")


@pytest.mark.parametrize(
    ("reply", "why"),
    [
        (b"", "closed the connection without an answer"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort", "before the whole answer"),
        (b"SSH-2.0-nonsense\r\n\r\n", "not valid HTTP"),
    ],
)
def test_broken_answers_in_plain_words(reply: bytes, why: str) -> None:
    async def main() -> None:
        async with raw_server(reply) as url, Client() as client:
            with pytest.raises(NetError, match=why) as caught:
                await get(client, url)
            assert caught.value.retryable

    asyncio.run(main())


def test_nobody_listens() -> None:
    async def main() -> None:
        with socket.socket() as held:
            held.bind(("127.0.0.1", 0))
            async with Client() as client:
                with pytest.raises(NetError, match=r"no connection to 127\.0\.0\.1 port \d+"):
                    await get(client, f"http://127.0.0.1:{held.getsockname()[1]}/")

    asyncio.run(main())


def test_an_unknown_name() -> None:
    async def main() -> None:
        async with Client() as client:
            with pytest.raises(NetError, match=r"name no-such-host\.invalid cannot be resolved"):
                await get(client, "http://no-such-host.invalid/")

    asyncio.run(main())


@pytest.mark.parametrize(
    "target",
    [
        "http://169.254.169.254/latest/meta-data",
        "//169.254.169.254/latest",
        "http://2852039166/",
        "http://[::ffff:a9fe:a9fe]/",
        "ftp://127.0.0.1/",
        "file:///etc/passwd",
        "http://127.0.0.1:99999/",
        "http://[/",
    ],
)
def test_a_redirect_is_judged_like_the_url(target: str) -> None:
    async def handler(request: web.BaseRequest) -> web.Response:
        return web.Response(status=302, headers={"Location": target})

    async def main() -> None:
        async with serving(handler) as url, Client() as client:
            with pytest.raises(UrlRefused, match="it redirects to a place"):
                await get(client, url)

    asyncio.run(main())


@pytest.mark.parametrize("url", ["http://169.254.169.254/", "http://0xa9fea9fe/", "nothing", "http://a b/"])
def test_a_refused_url_is_not_tried(url: str) -> None:
    async def main() -> None:
        async with Client() as client:
            with pytest.raises(UrlRefused) as caught:
                await client.post(url, b"", {}, 5)
            assert not caught.value.retryable

    asyncio.run(main())


def test_a_name_is_judged_by_its_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the system's answer is replaced; no name on this machine leads to such an address."""

    def lookup(*args: object, **kwargs: object) -> list[tuple[object, ...]]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("169.254.169.254", 80))]

    async def main() -> None:
        async with Client() as client:
            with pytest.raises(UrlRefused, match=r"rebound\.example leads to 169\.254\.169\.254"):
                await get(client, "http://rebound.example/")

    monkeypatch.setattr(socket, "getaddrinfo", lookup)
    asyncio.run(main())


def test_public_mode_refuses_this_machine_unless_the_operator_named_it() -> None:
    async def main() -> None:
        async with serving(hello) as url, Client(UrlPolicy("public")) as client:
            with pytest.raises(UrlRefused, match="not a public address"):
                await get(client, url)
            assert await get(client, url, trusted=True) == (200, "hello")

    asyncio.run(main())


def test_redirects_are_followed_up_to_ten() -> None:
    async def handler(request: web.BaseRequest) -> web.Response:
        left = int(request.query["left"])
        if left == 0:
            return web.Response(text=request.path)
        return web.Response(status=301, headers={"Location": f"/there?left={left - 1}"})

    async def main() -> None:
        async with serving(handler) as url, Client() as client:
            assert await get(client, f"{url}/here?left=10") == (200, "/there")
            with pytest.raises(UrlRefused, match="more than 10"):
                await get(client, f"{url}/here?left=11")

    asyncio.run(main())


def test_a_redirected_put_sends_its_body_again() -> None:
    seen = []

    class Body:
        async def __aiter__(self) -> AsyncIterator[bytes]:
            yield b"one"
            yield b"two"

    async def handler(request: web.BaseRequest) -> web.Response:
        seen.append((request.method, request.path, await request.read()))
        if request.path == "/a":
            return web.Response(status=307, headers={"Location": "/b"})
        return web.Response(status=302, headers={"Location": "/c"})

    async def main() -> None:
        async with serving(handler) as url, Client() as client:
            request = Request("PUT", f"{url}/a", {"Content-Length": "6"}, Body(), follow=PUT_REDIRECTS)
            async with client.request(request) as response:
                assert response.status == 302

    asyncio.run(main())
    assert seen == [("PUT", "/a", b"onetwo"), ("PUT", "/b", b"onetwo")]


def test_credentials_in_a_url_stay_with_their_server() -> None:
    seen = []

    async def other(request: web.BaseRequest) -> web.Response:
        seen.append(request.headers.get("Authorization"))
        return web.Response()

    async def main() -> None:
        async with serving(other) as elsewhere:

            async def handler(request: web.BaseRequest) -> web.Response:
                seen.append(request.headers.get("Authorization"))
                return web.Response(status=302, headers={"Location": elsewhere})

            async with serving(handler) as url, Client() as client:
                await get(client, url.replace("//", "//me:secret@"))

    asyncio.run(main())
    assert seen == ["Basic bWU6c2VjcmV0", None]


def test_the_environments_proxy_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    async def proxy(request: web.BaseRequest) -> web.Response:
        seen.append((request.raw_path, request.headers.get("Proxy-Authorization")))
        return web.Response(text="by proxy")

    async def main() -> None:
        async with serving(proxy) as address, serving(hello) as url:
            monkeypatch.setenv("http_proxy", address.replace("//", "//me:secret@"))
            monkeypatch.setenv("no_proxy", "127.0.0.1")
            # The proxy itself is at a private address, which the operator is free to name.
            async with Client(UrlPolicy("public")) as client:
                assert await get(client, "http://model.invalid/x") == (200, "by proxy")
                with pytest.raises(UrlRefused, match="link-local"):
                    await get(client, "http://169.254.169.254/")
            async with Client() as client:
                assert await get(client, url) == (200, "hello")

    asyncio.run(main())
    assert seen == [("http://model.invalid/x", "Basic bWU6c2VjcmV0")]


def test_a_closed_client_says_so() -> None:
    async def main() -> None:
        client = Client()
        async with client:
            pass
        with pytest.raises(NetError, match="closing"):
            await client.post("http://127.0.0.1/", b"", {}, 1)

    asyncio.run(main())
