"""Whether a worker answers on its control socket: known at any time, without waiting for anything."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

PAUSE: Final = 1.0  # seconds between pings
SILENT: Final = 5  # so many pauses without a word make a worker frozen: 5 seconds, from the contract


class Pulse:
    """Sends a ping a second, and none while one is unanswered: they never fill the socket of a frozen worker.

    Silence is counted in turns of the timer and not by the clock: a server that was stopped for a while itself finds
    the answers in the socket, and must not take them for missing.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, ping: Callable[[], object], changed: Callable[[], None]
    ) -> None:
        """`ping` sends one; `changed` is called when `frozen` has another value."""
        self.frozen = False
        self._loop = loop
        self._ping = ping
        self._changed = changed
        self._silent = 0
        self._unanswered = False
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Begin."""
        self._timer = self._loop.call_later(PAUSE, self._turn)

    def stop(self) -> None:
        """Send no more; `frozen` stays as it is."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _turn(self) -> None:
        self._timer = self._loop.call_later(PAUSE, self._turn)
        if not self._unanswered:
            self._unanswered = True
            self._ping()
            return
        self._silent += 1
        if self._silent >= SILENT and not self.frozen:
            self.frozen = True
            self._changed()

    def heard(self) -> None:
        """Something came on the control socket."""
        self._silent = 0
        if self.frozen:
            self.frozen = False
            self._changed()

    def answered(self) -> None:
        """The ping was answered."""
        self._unanswered = False
