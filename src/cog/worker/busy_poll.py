"""How a worker waits for the server, and looking for more instead of sleeping, for a while after something has come
(`--busy-poll`).

To put a process to sleep and to wake it up costs more than a short run: some 40 us each time, caches and all, four times
for a prediction (docs/performance.md). Who looks without a pause has the answer at once, and a processor for nothing else.
"""

from __future__ import annotations

import asyncio
import os
import select
import socket
from collections.abc import Callable
from time import perf_counter
from typing import Final

# Lets others have the processor who wait for it, where that can be asked for.
_yield: Final[Callable[[], object]] = getattr(os, "sched_yield", lambda: None)


class BusyPoll:
    """Keeps an event loop from sleeping."""

    def __init__(self, loop: asyncio.AbstractEventLoop, seconds: float) -> None:
        """`seconds` are counted from the latest `wake()`; with 0 the loop sleeps as it always does."""
        self._loop = loop
        self._seconds = seconds
        self._until = 0.0
        self._turning = False

    def wake(self) -> None:
        """Something has come, or was sent for which something may come back."""
        if self._seconds:
            self._until = perf_counter() + self._seconds
            if not self._turning:
                self._turning = True
                self._loop.call_soon(self._turn)

    def _turn(self) -> None:
        """A loop that has something to call does not sleep in between."""
        if perf_counter() < self._until:
            _yield()
            self._loop.call_soon(self._turn)
        else:
            self._turning = False


class Waiting:
    """Waits until there is something to read."""

    def __init__(self, sock: socket.socket, seconds: float) -> None:
        """For the first `seconds` it looks without sleeping."""
        self._seconds = seconds
        self._poller = select.poll()
        self._poller.register(sock, select.POLLIN)

    def __call__(self) -> None:
        """Return when there is something, or when the other side has closed the socket.

        Who sleeps in `recv` itself is also woken whenever the other side has read something that was sent to it (Linux,
        `unix_write_space`): twice for each run. A poll for what can be read is not.
        """
        if self._seconds and self._look():
            return
        self._poller.poll()

    def _look(self) -> bool:
        until = perf_counter() + self._seconds
        while not self._poller.poll(0):
            if perf_counter() > until:
                return False
            _yield()
        return True
