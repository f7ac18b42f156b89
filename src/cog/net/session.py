"""The sessions of the client: everything that needs aiohttp.

Importing it takes 0.2 s, so this module is imported when the first request is made and not before.
"""

from __future__ import annotations

import asyncio
import os
import socket
import threading
from collections.abc import Mapping
from contextlib import suppress
from typing import Final
from urllib.request import getproxies_environment, proxy_bypass_environment  # type: ignore[attr-defined]

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from cog.net.errors import NetError, UrlRefused
from cog.net.policy import UrlPolicy

# Signed URLs in a Location header are longer than the 8 KiB that aiohttp allows by itself.
_MAX_LINE: Final = 32 * 1024
_READ_BUFFER: Final = 256 * 1024


class _AddressRefused(OSError):
    """Raised within aiohttp, which hands an OSError of a resolver through."""


class Resolver(AbstractResolver):
    """Asks the system for the addresses of a name, in a thread for each question.

    The system cannot be told to give up. With a few threads for all, some names that nobody answers for would hold up
    every other request; and what is still waiting at the end must not hold up the end.
    """

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """The addresses of `host`.

        Raises:
            OSError: it has none.
        """
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[list[ResolveResult]] = loop.create_future()

        def tell(found: list[ResolveResult] | OSError) -> None:
            if answer.done():
                return
            if isinstance(found, OSError):
                answer.set_exception(found)
            else:
                answer.set_result(found)

        def ask() -> None:
            found = _addresses(host, port, family)
            with suppress(RuntimeError):  # the loop has ended, and with it who asked
                loop.call_soon_threadsafe(tell, found)

        threading.Thread(target=ask, name="cog-lookup", daemon=True).start()
        return await answer

    async def close(self) -> None:
        """Nothing is held."""


def _addresses(host: str, port: int, family: socket.AddressFamily) -> list[ResolveResult] | OSError:
    try:
        found = socket.getaddrinfo(host, port, family, socket.SOCK_STREAM, 0, socket.AI_ADDRCONFIG)
    except OSError as error:
        return error
    except UnicodeError:  # a label of the name is empty, or over 63 characters
        return socket.gaierror(socket.EAI_NONAME, "Name or service not known")
    numeric = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV
    return [
        ResolveResult(
            hostname=host, host=_host(address), port=port, family=kind, proto=protocol, flags=numeric
        )
        for kind, _, protocol, _, address in found
        if isinstance(address[0], str)
    ]


def _host(address: tuple[str | int, ...]) -> str:
    """The address as text, with the interface for a link-local one."""
    if len(address) > 3 and address[3]:
        return f"{address[0]}%{address[3]}"
    return str(address[0])


class GuardedResolver(AbstractResolver):
    """Resolves names and leaves out every address that the policy refuses.

    The connection is made to the very addresses that were judged, so a name that changes its address between
    a check and the connection gains nothing.
    """

    def __init__(self, policy: UrlPolicy) -> None:
        """Must be made within a running event loop."""
        self._policy = policy
        self._inner = Resolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """The permitted addresses of `host`.

        Raises:
            OSError: it has no address, or none of them is permitted.
        """
        found = await self._inner.resolve(host, port, family)
        kept = [each for each in found if self._policy.permits(each["host"])]
        if found and not kept:
            raise _AddressRefused(
                f"{host} leads to {found[0]['host']}: {self._policy.address_refusal(found[0]['host'])}"
            )
        return kept

    async def close(self) -> None:
        """Nothing is held."""


def open_session(user_agent: str, policy: UrlPolicy | None) -> aiohttp.ClientSession:
    """A session without cookies and netrc; without a policy every address is connected to."""
    resolver = GuardedResolver(policy) if policy is not None else Resolver()
    return aiohttp.ClientSession(
        # No limit here: how many requests run at once is for the rooms that make them to say.
        connector=aiohttp.TCPConnector(resolver=resolver, limit=0),
        cookie_jar=aiohttp.DummyCookieJar(),
        headers={"User-Agent": user_agent},
        read_bufsize=_READ_BUFFER,
        max_line_size=_MAX_LINE,
        max_field_size=_MAX_LINE,
    )


def read_url(text: str) -> URL:
    """`text` as it is where it is well-formed (a signature in it may cover every byte), quoted where it is
    not.

    Raises:
        UrlRefused: it is not a URL.
    """
    try:
        url = URL(text, encoded=text.isascii() and " " not in text)
        usable = url.scheme in ("http", "https") and bool(url.raw_host) and url.port is not None
    except ValueError as error:
        raise UrlRefused("it cannot be read as a URL: its host or its port is malformed") from error
    if not usable:
        raise UrlRefused("it is not an absolute http:// or https:// URL")
    return url


def environment_proxies() -> Mapping[str, str]:
    """http_proxy, https_proxy, all_proxy and no_proxy as the environment has them now."""
    return getproxies_environment()


def proxy_for(url: URL, proxies: Mapping[str, str]) -> URL | None:
    """The proxy that a request to `url` goes through, None for a direct one."""
    address = proxies.get(url.scheme) or proxies.get("all")
    if not address or proxy_bypass_environment(f"{url.host}:{url.port}", dict(proxies)):
        return None
    return URL(address if "://" in address else f"http://{address}")


def client_timeout(connect: float, idle: float | None, total: float | None) -> aiohttp.ClientTimeout:
    """Seconds for name and connection, between two bytes, and for the whole request; None is no limit."""
    return aiohttp.ClientTimeout(total=total, connect=connect, sock_read=idle)


FAILURES: Final = (aiohttp.ClientError, asyncio.TimeoutError)


def explain(error: BaseException) -> NetError:
    """An error of aiohttp in plain words."""
    match error:
        case aiohttp.ClientConnectorCertificateError():
            return NetError(
                f"the certificate of {error.host} is not valid ({error.certificate_error})", retryable=False
            )
        case aiohttp.ClientConnectorError():
            return _unconnected(error)
        case aiohttp.InvalidURL():
            return UrlRefused("it cannot be read as a URL")
        case aiohttp.ConnectionTimeoutError():
            return NetError("no connection was made in time")
        case aiohttp.SocketTimeoutError():
            return NetError("the server sent nothing for too long")
        case asyncio.TimeoutError():
            return NetError("there was no answer in time")
        case aiohttp.ServerDisconnectedError():
            return NetError("the server closed the connection without an answer")
        case aiohttp.ClientPayloadError():
            return NetError("the connection ended before the whole answer was there")
        case aiohttp.ClientHttpProxyError():
            return NetError(f"the proxy answered {error.status} {error.message}")
        case aiohttp.ClientResponseError():
            return NetError("the answer is not valid HTTP")
        case _:
            return NetError(f"the connection broke ({_plain(error)})")


def _plain(error: BaseException) -> str:
    """The system's words for `error`. Those of aiohttp may quote the whole URL, whose query is often secret."""
    number = error.errno if isinstance(error, OSError) else None
    return os.strerror(number) if number is not None else "it was closed too early"


def _unconnected(error: aiohttp.ClientConnectorError) -> NetError:
    cause = error.os_error
    if isinstance(cause, _AddressRefused):
        return UrlRefused(str(cause))
    if isinstance(cause, socket.gaierror):
        return NetError(f"the name {error.host} cannot be resolved ({_reason(cause)})")
    return NetError(f"no connection to {error.host} port {error.port} ({_reason(cause)})")


def _reason(error: BaseException) -> str:
    strerror = error.strerror if isinstance(error, OSError) else None
    return strerror or str(error) or type(error).__name__
