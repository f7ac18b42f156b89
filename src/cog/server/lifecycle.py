"""The end of the server: who tells it, and what a second signal does."""

from __future__ import annotations

import logging
import os
import signal
import stat
import threading
from collections.abc import Callable
from types import FrameType
from typing import TYPE_CHECKING, Final

from cog.errors import SettingError

if TYPE_CHECKING:
    import asyncio

log = logging.getLogger("cog.server")

_ENDINGS: Final = (signal.SIGTERM, signal.SIGINT)
_ECHOED: Final = {"echoed": True}  # see `telemetry.logs.Console`


def owned_by(descriptor: int) -> int:
    """The pipe that this process was started with. Nothing that it starts itself gets it.

    Raises:
        SettingError: the descriptor is none.
    """
    try:
        mode = os.fstat(descriptor).st_mode
        os.set_inheritable(descriptor, False)
        os.set_blocking(descriptor, True)
    except OSError as error:
        raise SettingError(f"--owner-fd {descriptor} is not open: {error.strerror}") from error
    if not stat.S_ISFIFO(mode) and not stat.S_ISSOCK(mode):
        raise SettingError(f"--owner-fd {descriptor} is neither a pipe nor a socket")
    return descriptor


class Lifecycle:
    """The end is told by a signal or by `shut_down()`. A second signal ends everything at once.

    The handlers are plain ones, not those of the event loop: they are there before there is a loop and after
    it, and a second signal also ends a server whose loop is held up.
    """

    def __init__(self) -> None:
        self._early: list[int] | None = []  # signals that came before it was known what they mean
        self._ignore_sigterm = False
        self._at_once: Callable[[int], object] = os._exit
        self._signaled = False
        self._told = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._held = False
        self._news: asyncio.Event | None = None  # something of the above has changed
        self._first: Callable[[], object] = lambda: None

    def watch_signals(self) -> None:
        """Take the signals of this process. Those that come before `arm()` count when it is called."""
        for number in _ENDINGS:
            signal.signal(number, self._on_signal)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _ENDINGS)  # who started us may hold them back until now

    def arm(self, *, ignore_sigterm: bool, at_once: Callable[[int], object]) -> None:
        """From now on signals count. `at_once` gets the exit code when a second one comes, and does not return."""
        self._ignore_sigterm = ignore_sigterm
        self._at_once = at_once
        early, self._early = self._early or [], None
        for number in early:
            self._count(signal.Signals(number))

    def _on_signal(self, number: int, _: FrameType | None) -> None:
        if self._early is not None:
            self._early.append(number)
        else:
            self._count(signal.Signals(number))

    def _count(self, number: signal.Signals) -> None:
        if number is signal.SIGTERM and self._ignore_sigterm:
            log.info(
                "SIGTERM is ignored (--await-explicit-shutdown); SIGINT and POST /shutdown end the server"
            )
            return
        if self._signaled:
            log.warning("%s again: the server ends at once", number.name, extra=_ECHOED)
            self._at_once(128 + number)
        self._signaled = True
        log.info("%s: the server finishes what is running, then ends", number.name, extra=_ECHOED)
        self.shut_down()

    def end_with(self, owner: int, at_once: Callable[[int], object], *, hold: bool = False) -> None:
        """End at once when the pipe `owner` is closed at its other end, also while the loop is held up. With `hold`,
        begin only when something was written there. `at_once` is how, until `arm()` says otherwise.
        """
        self._held = hold
        self._at_once = at_once
        threading.Thread(target=self._outlive, args=(owner,), name="owner", daemon=True).start()

    def _outlive(self, owner: int) -> None:
        while os.read(owner, 1024):
            self._held = False
            self._tell()
        self._at_once(128 + signal.SIGHUP)

    async def released(self) -> None:
        """Return when the server may begin, or is told to end."""
        await self._until(lambda: self._told or not self._held)

    @property
    def told(self) -> bool:
        """True when the end has begun."""
        return self._told

    def shut_down(self) -> None:
        """Begin the end."""
        if not self._told:
            self._told = True
            self._tell()

    def _tell(self) -> None:
        if self._loop is not None and self._news is not None:
            self._loop.call_soon_threadsafe(
                self._spread, self._news
            )  # a signal comes in the middle of anything

    def _spread(self, news: asyncio.Event) -> None:
        try:
            if self._told:
                self._first()
        finally:
            news.set()

    def begin_with(self, first: Callable[[], object]) -> None:
        """Call `first` when the end is told from now on, before anything that comes after that: who has read in the log that
        the server ends must not be let in any more."""
        self._first = first

    async def ended(self) -> None:
        """Return when the end has begun."""
        await self._until(lambda: self._told)

    async def _until(self, reached: Callable[[], bool]) -> None:
        import asyncio  # here: the first worker is started before

        self._news = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        while not reached():
            await self._news.wait()
            self._news.clear()
