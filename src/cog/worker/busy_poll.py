"""How a worker waits for the server, and looking for more instead of sleeping, for a while after something has come: when
that is done is said in `backend/tempo.py`.

To put a process to sleep and to wake it up costs more than a short run: some 40 us each time, caches and all, four times
for a prediction (docs/performance.md). Who looks without a pause has the answer at once, and a processor for nothing else.
That is of use only while nobody else wants the processor: who sleeps gets it at once when something comes, who looks has
to wait for its turn, which may take milliseconds. So who has had to wait sleeps, as if nothing had been said.
"""

from __future__ import annotations

import asyncio
import os
import select
import socket
import threading
from collections.abc import Callable
from time import perf_counter
from typing import Final

# Lets others have the processor who wait for it, where that can be asked for.
_yield: Final[Callable[[], object]] = getattr(os, "sched_yield", lambda: None)
# Seconds: who was kept from looking for that long, by another process or by a thread of the model, has to share the
# processor, and sleeps for a while.
_KEPT: Final = 0.001
_REST: Final = 0.1
# Threads of a worker that are ours: the main one and that of the control socket.
_OURS: Final = 2


class BusyPoll:
    """Keeps an event loop from sleeping."""

    def __init__(self, loop: asyncio.AbstractEventLoop, seconds: float = 0.0) -> None:
        """`seconds` are counted from the latest `wake()`; with 0 the loop sleeps as it always does."""
        self._loop = loop
        self._seconds = seconds
        self._until = 0.0
        self._rests_until = 0.0
        self._turning = False

    def look(self, seconds: float) -> None:
        """Do so for `seconds` after each `wake()` from here on, which is one; 0: for no longer."""
        self._seconds = seconds
        self._until = 0.0
        self.wake()

    def wake(self) -> None:
        """Something has come, or was sent for which something may come back."""
        if self._seconds and (now := perf_counter()) > self._rests_until:
            self._until = now + self._seconds
            if not self._turning:
                self._turning = True
                self._loop.call_soon(self._turn)

    def _turn(self) -> None:
        """A loop that has something to call does not sleep in between."""
        self._turning = False
        before = perf_counter()
        if before < self._until:
            _yield()
            if (now := perf_counter()) - before > _KEPT:
                self._rests_until = now + _REST
                return
            self._turning = True
            self._loop.call_soon(self._turn)


class Waiting:
    """Waits until there is something to read."""

    def __init__(self, sock: socket.socket, seconds: float = 0.0) -> None:
        """For the first `seconds` it looks without sleeping."""
        self.seconds = seconds
        self._rests_until = 0.0
        self._poller = select.poll()
        self._poller.register(sock, select.POLLIN)

    def __call__(self) -> None:
        """Return when there is something, or nothing will come any more, or when it is as well to wait in `recv`.

        Who sleeps in `recv` is also woken whenever the other side has read something that was sent to it (Linux,
        `unix_write_space`): twice for each run. A poll for what can be read is not. But beside a thread of the model that
        computes each of the two calls would wait for the interpreter's lock (`sys.setswitchinterval`), some 5 ms.
        """
        if self.seconds and perf_counter() > self._rests_until and self._look():
            return
        if threading.active_count() <= _OURS:
            self._poller.poll()

    def _look(self) -> bool:
        last = perf_counter()
        until = last + self.seconds
        while not self._poller.poll(0):
            _yield()
            now = perf_counter()
            if now - last > _KEPT:
                self._rests_until = now + _REST
                return False
            if now > until:
                return False
            last = now
        return True
