"""The one HTTP client."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import AsyncIterable, AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import urljoin

from cog.net.errors import NetError, UrlRefused
from cog.net.policy import UrlPolicy
from cog.net.retry import retry_after
from cog.version import __version__

if TYPE_CHECKING:
    from aiohttp import ClientResponse, ClientSession
    from yarl import URL

__all__ = ["Answer", "Client", "NetError", "Request", "UrlRefused"]

GET_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
# Only these two promise that method and body stay as they are.
PUT_REDIRECTS: Final = frozenset({307, 308})
MAX_REDIRECTS: Final = 10

# An answer to a `post` is read up to here, so that the connection can be used again, and dropped: bytes, and
# seconds after its status, which is all that counts.
_DROPPED: Final = 64 * 1024
_DROP_TIMEOUT: Final = 1.0
# A longer body is sent in pieces of this size: as one it would lie in the socket's buffer as a copy.
_PIECE: Final = 256 * 1024


@dataclass(frozen=True, slots=True)
class Request:
    """One request.

    A `body` that is iterated must start anew each time, since it is sent again after a redirect. Times are in
    seconds, None is no limit: `connect` for the name and the connection, `idle` between two bytes of the
    answer, `total` for everything. `follow` is the statuses that are followed as redirects. `trusted` is for
    URLs that the operator chose: the policy is not asked. Without `decode` the content comes as it was sent,
    compressed or not.
    """

    method: str
    url: str
    headers: Mapping[str, str] | None = None
    body: bytes | AsyncIterable[bytes | memoryview] | None = None
    connect: float = 10.0
    idle: float | None = 30.0
    total: float | None = None
    follow: Collection[int] = ()
    trusted: bool = False
    decode: bool = True


class Answer(NamedTuple):
    """What came back from a `post`; `retry_after` is the wait in seconds that it asks for, None when it does not."""

    status: int
    retry_after: int | None = None


class Client:
    """HTTP with the policy for URLs, the environment's proxies, no cookies and no netrc.

    Names are resolved and every address is judged when the connection is made, on each redirect again. Behind
    a proxy the proxy resolves the name, so there only the URL's text is judged.
    """

    def __init__(self, policy: UrlPolicy | None = None, *, user_agent: str | None = None) -> None:
        """By default `user_agent` is `cog/<version>` and the policy the one that allows private addresses."""
        self.policy = policy if policy is not None else UrlPolicy()
        self._user_agent = user_agent if user_agent is not None else f"cog/{__version__}"
        self._guarded: ClientSession | None = None
        self._open: ClientSession | None = None
        self._proxies: Mapping[str, str] = {}
        self._closed = False

    async def __aenter__(self) -> Client:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closed = True
        sessions = (self._guarded, self._open)
        self._guarded = self._open = None
        for session in sessions:
            if session is not None:
                await session.close()

    @asynccontextmanager
    async def request(self, request: Request) -> AsyncIterator[ClientResponse]:
        """Send `request`; within the block the answer can be read.

        Raises:
            UrlRefused: the URL or a redirect of it is not permitted, or there are more than 10 redirects.
            NetError: there is no answer, or it breaks off while it is read within the block.
        """
        await self._prepare()
        from cog.net import session

        try:
            response = await self._follow(request)
            try:
                yield response
            finally:
                _finish(response)
        except session.FAILURES as error:
            raise session.explain(error) from error

    async def post(self, url: str, body: bytes, headers: Mapping[str, str], timeout: float) -> Answer:
        """POST `body` and return the status of the answer, also when that is a redirect: none is followed.

        `timeout` is in seconds, for everything.

        Raises:
            UrlRefused: the URL is not permitted.
            NetError: there is no answer.
        """
        content: bytes | AsyncIterable[memoryview] = body
        if len(body) > _PIECE:
            content, headers = _pieces(body), {**headers, "content-length": str(len(body))}
        request = Request("POST", url, headers, content, connect=timeout, idle=None, total=timeout)
        answer: Answer | None = None
        try:
            async with self.request(request) as response:
                answer = Answer(response.status, retry_after(response.headers.get("Retry-After", "")))
                if not response.content.at_eof():
                    await asyncio.wait_for(_drop(response), _DROP_TIMEOUT)
        except NetError:
            # With a status the message was delivered, or refused: what breaks after it changes nothing.
            if answer is None:
                raise
        return answer

    async def _prepare(self) -> None:
        if self._guarded is not None:
            return
        if self._closed:
            raise NetError("this side is closing down", retryable=False)
        # In a thread: the import must not hold up the event loop.
        await asyncio.to_thread(importlib.import_module, "cog.net.session")
        from cog.net import session

        if self._guarded is None:
            self._proxies = session.environment_proxies()
            self._guarded = session.open_session(self._user_agent, self.policy)

    async def _follow(self, request: Request) -> ClientResponse:
        from cog.net import session

        self._judge(request, request.url)
        url = session.read_url(request.url)
        # Again: the same text, as it was understood by the code that connects.
        self._judge(request, str(url))
        for _ in range(MAX_REDIRECTS + 1):
            response = await self._send(request, url)
            location = response.headers.get("Location")
            if response.status not in request.follow or location is None:
                return response
            _finish(response)
            try:
                url = session.read_url(urljoin(str(url), location))
                self._judge(request, str(url))
            except UrlRefused as error:
                raise UrlRefused(f"it redirects to a place that is not permitted: {error}") from error
            except ValueError as error:
                raise UrlRefused("it redirects to a place that cannot be read as a URL") from error
        raise UrlRefused(f"it redirects more than {MAX_REDIRECTS} times")

    async def _send(self, request: Request, url: URL) -> ClientResponse:
        from cog.net import session

        proxy = session.proxy_for(url, self._proxies)
        return await self._session(request.trusted or proxy is not None).request(
            request.method,
            url,
            headers=request.headers,
            data=request.body,
            allow_redirects=False,
            timeout=session.client_timeout(request.connect, request.idle, request.total),
            proxy=proxy,
            auto_decompress=request.decode,
        )

    def _judge(self, request: Request, url: str) -> None:
        if not request.trusted and (reason := self.policy.refusal(url)) is not None:
            raise UrlRefused(reason)

    def _session(self, unguarded: bool) -> ClientSession:
        """The session with the guarded resolver, or the one for the operator's own addresses, proxies among
        them."""
        from cog.net import session

        if not unguarded:
            assert self._guarded is not None, "a request is made within `async with` only"
            return self._guarded
        if self._open is None:
            self._open = session.open_session(self._user_agent, None)
        return self._open


def _finish(response: ClientResponse) -> None:
    """Give the connection back when the whole answer was read, else close it."""
    if response.content.at_eof():
        response.release()
    else:
        response.close()


async def _pieces(body: bytes) -> AsyncIterator[memoryview]:
    view = memoryview(body)
    for begin in range(0, len(view), _PIECE):
        yield view[begin : begin + _PIECE]


async def _drop(response: ClientResponse) -> None:
    size = 0
    async for chunk in response.content.iter_any():
        size += len(chunk)
        if size > _DROPPED:
            return
