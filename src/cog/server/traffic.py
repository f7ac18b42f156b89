"""What all connections share, and the sweep that finds the clients who keep the server waiting."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final, Protocol, TypeAlias

from cog.server.exchange import Dates, Exchange
from cog.server.heads import Heads
from cog.server.wire import Receive, Scope, Send

log = logging.getLogger("cog.server")

App: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]
# Answers a request that is whole without a task, now or when something has happened; false for one of which nothing was done.
AtOnce: TypeAlias = Callable[[Exchange], bool]

# Idle connections that are closed at once when there are too many, and seconds between two warnings of that.
_ROOM: Final = 32
_WARN_EVERY: Final = 10.0
# Seconds that idle connections are kept at the end, for a request that may be on its way.
_GRACE: Final = 0.2


class Guest(Protocol):
    """What the sweep needs of a connection."""

    def check(self, now: float) -> None:
        """Hang up if the client keeps the server waiting for too long."""

    def idle_since(self) -> float | None:
        """Since when nothing has been asked here; None when something is under way."""

    def leave(self) -> None:
        """Close, unless an answer is under way."""

    def abort(self) -> None:
        """Close at once."""


class Traffic:
    """Times are in seconds of the loop's clock; `most` is how many connections may be open."""

    def __init__(
        self, app: App, at_once: AtOnce, *, client_timeout: float, keep_alive: float, most: float
    ) -> None:
        self.app = app
        self.at_once = at_once
        self.client_timeout = client_timeout
        self.keep_alive = keep_alive
        self.most = most
        self.dates = Dates.at(time.time())  # set anew once a second
        self.heads = Heads()
        self.draining = False  # then every answer is the last one on its connection
        self.open: dict[Guest, None] = {}  # in the order in which they came
        self.orphans: set[asyncio.Task[None]] = set()  # answers whose client is gone
        self._spare = 0
        self._turned_away = 0
        self._warned = -_WARN_EVERY
        self._emptied: asyncio.Event | None = None

    def enter(self, guest: Guest) -> bool:
        """Let a new connection in. False when every one that is open is busy, and there is no descriptor left."""
        if len(self.open) >= self.most:
            self._turned_away += 1
            if self._spare == 0:
                self._spare = self._make_room()
            if self._spare == 0:
                return False
            self._spare -= 1
        self.open[guest] = None
        return True

    def leave(self, guest: Guest) -> None:
        """A connection is lost."""
        self.open.pop(guest, None)
        if self._emptied is not None and not self.open:
            self._emptied.set()

    def _make_room(self) -> int:
        """Close those that have been idle for longest, as any server may at any time; gives how many."""
        idle = sorted(
            ((since, guest) for guest in self.open if (since := guest.idle_since()) is not None),
            key=lambda pair: pair[0],
        )[:_ROOM]
        for _, guest in idle:
            guest.leave()
        return len(idle)

    def sweep(self, now: float) -> None:
        """Look at every connection, and close those whose clients are too slow."""
        for guest in tuple(self.open):
            guest.check(now)
        if self._turned_away and now - self._warned >= _WARN_EVERY:
            self._warned = now
            log.warning(
                "%d connections came while %g were open, which is as many as open files allow (ulimit -n): the ones "
                "idle for longest were closed for them. Raise the hard limit, or put a proxy in front",
                self._turned_away,
                self.most,
            )
            self._turned_away = 0

    async def end(self, timeout: float) -> None:
        """Let what is under way be answered and read for up to `timeout` seconds, then close what is left."""
        self._emptied = asyncio.Event()
        if not await self._empty(_GRACE):
            for guest in tuple(self.open):
                guest.leave()
            if not await self._empty(timeout - _GRACE):
                for guest in tuple(self.open):
                    guest.abort()
        if self.orphans:
            await asyncio.wait(tuple(self.orphans), timeout=timeout)

    async def _empty(self, timeout: float) -> bool:
        """True once no connection is open."""
        if self.open and self._emptied is not None:
            with suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._emptied.wait(), timeout)
        return not self.open
