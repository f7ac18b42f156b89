"""Signals, and the order in which everything ends."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Callable
from typing import Final

log = logging.getLogger("cog.server")

_ENDINGS: Final = (signal.SIGTERM, signal.SIGINT)


class Lifecycle:
    """Waits for the end: a signal or `shut_down()`. A second signal ends everything at once."""

    def __init__(self, *, ignore_sigterm: bool, at_once: Callable[[int], None]) -> None:
        """`at_once` is called with the exit code when a second signal comes, and does not return."""
        self._ignore_sigterm = ignore_sigterm
        self._at_once = at_once
        self._ending = asyncio.Event()
        self._signaled = False

    def watch_signals(self) -> None:
        """Take the signals of this process."""
        loop = asyncio.get_running_loop()
        for number in _ENDINGS:
            loop.add_signal_handler(number, self._on_signal, number)

    def _on_signal(self, number: signal.Signals) -> None:
        if number is signal.SIGTERM and self._ignore_sigterm:
            log.info(
                "SIGTERM is ignored (--await-explicit-shutdown); SIGINT and POST /shutdown end the server"
            )
            return
        if self._signaled:
            log.warning("%s again: the server ends at once", number.name)
            self._at_once(128 + number)
        self._signaled = True
        log.info("%s: the server finishes what is running, then ends", number.name)
        self._ending.set()

    def shut_down(self) -> None:
        """Begin the end."""
        self._ending.set()

    async def ended(self) -> None:
        """Return when the end has begun."""
        await self._ending.wait()
