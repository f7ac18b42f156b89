"""The life of one worker: whether it was set up, and how it ended."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable
from typing import Final

from cog.backend import strays
from cog.backend.owner import Fate
from cog.backend.setup import SetupJournal
from cog.backend.worker import Worker

GRACE: Final = 3.0  # seconds that a worker gets to end by itself; from the contract, "The life of a worker"


class Life:
    """One worker from its start to its end."""

    def __init__(self, worker: Worker, loop: asyncio.AbstractEventLoop, *, aside: bool) -> None:
        """`aside` says that it is to take the place of another worker, which still serves, once it is set up."""
        self.worker = worker
        self.aside = aside
        self.journal = SetupJournal()
        self.settled: asyncio.Future[str | None] = (
            loop.create_future()
        )  # why its setup failed; None: it did not
        self.end: asyncio.Future[Fate] = loop.create_future()  # its process is gone
        self.over: asyncio.Future[None] = loop.create_future()  # and nothing of it is left
        self.left: asyncio.Future[None] = loop.create_future()  # another one has its seat, or nobody will

    @property
    def was_ready(self) -> bool:
        """True when it was set up, whatever became of it."""
        return self.settled.done() and self.settled.result() is None

    def settle(self, cause: str | None) -> None:
        """Its setup is over; `cause` says why it failed or was not finished, if so. Only the first word counts."""
        if not self.settled.done():
            self.settled.set_result(cause)

    async def see_through(
        self, timeout: float | None, late: Callable[[Life, str], None], tidy: Callable[[], bool]
    ) -> None:
        """Wait until it has ended, and take away what is left of it. `late` is told when its setup takes longer than `timeout`
        seconds; `tidy` says whether to look for what it has left behind, or somebody else does so for all."""
        await asyncio.wait([self.settled], timeout=timeout)
        if not self.settled.done():
            late(self, f"setup() took longer than {timeout:g} seconds (COG_SETUP_TIMEOUT)")
        await self.end
        if tidy():
            await asyncio.to_thread(strays.kill, self.worker.mark)
        for folder in self.worker.written_off:
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
        self.over.set_result(None)
