"""Sockets, and the connections that come in on them. We own them, so that the end of the server is ours to order."""

from __future__ import annotations

import asyncio
import math
import os
import resource
import socket
import time
from typing import Final

from cog.errors import SettingError
from cog.server.connection import Connection
from cog.server.exchange import Dates
from cog.server.traffic import App, AtOnce, Traffic

# Connections that wait to be accepted; and how many of them asyncio's own loop accepts in one go, before we hear of the
# first. More would take the descriptors that are left for anything but connections.
_BACKLOG: Final = 2048
_AT_ONCE: Final = 16
# Seconds that an idle connection is kept; longer than the 60 that load balancers keep theirs.
_KEEP_ALIVE: Final = 75

_SWEEP: Final = 1.0  # seconds between two looks at all connections
# Open files that are left for anything but connections.
_OTHER_FILES: Final = 512


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


def adopt(descriptor: int) -> list[socket.socket]:
    """The listening socket that this process was started with: of TCP, or one that lies in a folder.

    Raises:
        SettingError: the descriptor is none.
    """
    try:
        sock = socket.socket(fileno=descriptor)
        listens = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    except OSError as error:
        raise SettingError(f"--fd {descriptor} is no open socket: {error.strerror or error}") from error
    if not listens:
        raise SettingError(
            f"--fd {descriptor} is a socket that does not listen: call listen() before the server is started"
        )
    sock.setblocking(False)
    sock.set_inheritable(False)
    return [sock]


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
    """The URL that a person on this machine can open; of a socket that lies in a folder `unix:` and its path."""
    if sock.family == socket.AF_UNIX:
        return f"unix:{os.fsdecode(sock.getsockname())}"
    address, port = sock.getsockname()[:2]
    shown = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(
        address, f"[{address}]" if ":" in address else address
    )
    return f"http://{shown}:{port}"


class Listener:
    """Accepts connections on sockets and answers them with an application."""

    def __init__(
        self,
        app: App,
        sockets: list[socket.socket],
        *,
        client_timeout: float,
        keep_alive: float = _KEEP_ALIVE,
        at_once: AtOnce = lambda _: False,
    ) -> None:
        """Seconds: how long a client may take (see `--client-timeout`), and how long an idle one is kept."""
        self._sockets = sockets
        self._traffic = Traffic(
            app, at_once, client_timeout=client_timeout, keep_alive=keep_alive, most=_most()
        )
        self._every = min(_SWEEP, client_timeout / 4, keep_alive / 4)
        self._servers: list[asyncio.Server] = []
        self._timers: dict[str, asyncio.TimerHandle] = {}

    async def open(self) -> None:
        """Begin to accept."""
        loop = asyncio.get_running_loop()
        self._tick(loop)
        self._sweep(loop)
        for sock in self._sockets:
            create = loop.create_unix_server if sock.family == socket.AF_UNIX else loop.create_server
            self._servers.append(await create(self._connection, sock=sock, backlog=_AT_ONCE))
            sock.listen(_BACKLOG)

    def _connection(self) -> Connection:
        return Connection(self._traffic, asyncio.get_running_loop())

    def _tick(self, loop: asyncio.AbstractEventLoop) -> None:
        """Set the Date header, which every answer carries, once a second."""
        now = time.time()
        self._traffic.dates = Dates.at(now)
        self._timers["date"] = loop.call_later(1.0 - now % 1.0, self._tick, loop)

    def _sweep(self, loop: asyncio.AbstractEventLoop) -> None:
        """One timer for all connections costs a request nothing."""
        self._timers["sweep"] = loop.call_later(self._every, self._sweep, loop)
        self._traffic.sweep(loop.time())

    def drain(self) -> None:
        """From now on each answer is the last one on its connection, so that at the end no request is on its way."""
        self._traffic.draining = True

    def _accept_waiting(self) -> list[socket.socket]:
        """The clients whom the system has connected and whom nobody has accepted yet: closing would reset them."""
        waiting: list[socket.socket] = []
        for sock in self._sockets:
            try:
                while True:
                    waiting.append(sock.accept()[0])
            except OSError:
                continue  # usually BlockingIOError: nobody is left
        return waiting

    async def close(self, timeout: float) -> None:
        """Accept nothing more; answers get up to `timeout` seconds to be completed and read, then all is closed."""
        loop = asyncio.get_running_loop()
        waiting = self._accept_waiting()
        for server in self._servers:
            server.close()
        for client in waiting:
            await loop.connect_accepted_socket(self._connection, client)
        await self._traffic.end(timeout)
        for timer in self._timers.values():
            timer.cancel()


def _most() -> int | float:
    """How many connections may be open: some descriptors are left for workers, files, downloads and webhooks."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return math.inf if soft == resource.RLIM_INFINITY else max(soft - _OTHER_FILES, soft // 2)
