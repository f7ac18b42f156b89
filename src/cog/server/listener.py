"""Sockets, and the connections that come in on them. We own them, so that the end of the server is ours to order."""

from __future__ import annotations

import asyncio
import socket
import time
from email.utils import formatdate
from typing import Final

from uvicorn.config import Config
from uvicorn.server import ServerState

from cog.errors import SettingError
from cog.server.app import Application
from cog.server.connection import Connection

_BACKLOG: Final = 2048
_KEEP_ALIVE: Final = (
    75  # seconds an idle connection is kept; longer than the 60 that load balancers keep theirs
)


def bind(host: str, port: int) -> list[socket.socket]:
    """Listening sockets for every address of `host`: IPv4, IPv6 or a name. `::` takes IPv4 too; port 0 is any free one.

    Raises:
        SettingError: the host is unknown, or the port is taken.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as error:  # the latter for what no name can look like
        raise SettingError(
            f"--host {host} cannot be listened on: {error}. Give an address of this machine, such as 0.0.0.0"
        ) from error
    sockets: list[socket.socket] = []
    addresses = dict.fromkeys((family, address) for family, _, _, _, address in found)
    try:
        for family, address in addresses:
            chosen = sockets[0].getsockname()[1] if sockets else port
            sockets.append(_listen(family, (address[0], chosen, *address[2:]), host))
    except OSError as error:
        for sock in sockets:
            sock.close()
        raise SettingError(
            f"cannot listen on {host} port {port}: {error.strerror or error}. Another program may use the port; "
            "set PORT to another one, or to 0 for any free one"
        ) from error
    return sockets


def _listen(family: int, address: tuple[object, ...], host: str) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0 if host == "::" else 1)
        sock.bind(address)
        sock.listen(_BACKLOG)
        sock.setblocking(False)
    except OSError:
        sock.close()
        raise
    return sock


def url_of(sock: socket.socket) -> str:
    """The URL that a person on this machine can open."""
    address, port = sock.getsockname()[:2]
    shown = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(
        address, f"[{address}]" if ":" in address else address
    )
    return f"http://{shown}:{port}"


class Listener:
    """Accepts connections on sockets and answers them with an application."""

    def __init__(self, app: Application, sockets: list[socket.socket]) -> None:
        self._sockets = sockets
        self._state = ServerState()
        self._config = Config(
            app, http=Connection, ws="none", lifespan="off", access_log=False, log_config=None, server_header=False,
            timeout_keep_alive=_KEEP_ALIVE, interface="asgi3", proxy_headers=False,
        )  # fmt: skip
        self._servers: list[asyncio.Server] = []
        self._clock: asyncio.TimerHandle | None = None

    async def open(self) -> None:
        """Begin to accept."""
        self._config.load()
        loop = asyncio.get_running_loop()
        self._tick(loop)
        for sock in self._sockets:
            self._servers.append(await loop.create_server(self._connection, sock=sock, backlog=_BACKLOG))

    def _connection(self) -> Connection:
        return Connection(self._config, self._state, {})

    def _tick(self, loop: asyncio.AbstractEventLoop) -> None:
        """Set the Date header, which every response carries, once a second."""
        now = time.time()
        self._state.default_headers = [(b"date", formatdate(now, usegmt=True).encode())]
        self._clock = loop.call_later(1.0 - now % 1.0, self._tick, loop)

    async def close(self, timeout: float) -> None:
        """Accept nothing more, let open answers be completed for up to `timeout` seconds, then close what is left."""
        if self._clock is not None:
            self._clock.cancel()
        for server in self._servers:
            server.close()
        for connection in tuple(self._state.connections):
            connection.shutdown()
        if self._state.tasks:
            await asyncio.wait(tuple(self._state.tasks), timeout=timeout)
        for connection in tuple(self._state.connections):
            connection.transport.close()
