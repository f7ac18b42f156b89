"""What a worker has, while orders wait with it that it has not begun."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from cog.backend.local import LocalBackend
from cog.backend.pool import Pool
from cog.backend.protocol import Order, State
from cog.prediction.events import Done, Event, Status
from cog.worker.messages import Down, Look
from support.models import SYNC
from support.serving import until, write_model
from support.watching import Sink, Watcher, spec_of


class House:
    def __init__(self, backend: LocalBackend, watcher: Watcher, folder: Path) -> None:
        self.backend = backend
        self.watcher = watcher
        self.folder = folder

    def give(self, code: str, sink: Sink | None = None) -> Sink:
        sink = sink or Sink()
        _ = self.backend.run(Order(b'{"code":"%s"}' % code.encode(), str(self.folder)), sink)
        return sink


@asynccontextmanager
async def living(tmp_path: Path) -> AsyncIterator[House]:
    folder = write_model(tmp_path / "model", SYNC)
    backend, watcher = LocalBackend(spec_of(folder, tmp_path / "kit"), Pool(wanted=1)), Watcher()
    await backend.start(watcher)
    try:
        await watcher.until(lambda: backend.standing.state is State.READY)
        yield House(backend, watcher, folder)
    finally:
        await asyncio.wait_for(backend.stop(), 8)


class Asking(Sink):
    """Asks how many runs there are when it hears of its end."""

    def __init__(self, backend: LocalBackend) -> None:
        super().__init__()
        self.backend = backend
        self.found = -1

    def __call__(self, event: Event) -> None:
        super().__call__(event)
        if isinstance(event, Done):
            self.found = self.backend.busy


def test_one_that_is_about_to_begin_counts_when_the_one_before_has_ended(tmp_path: Path) -> None:
    async def story() -> None:
        async with living(tmp_path) as house:
            (worker,) = house.backend._workers
            while worker._flight.ahead.room == 0:  # a run that took long by chance puts it off
                await house.give("out = 1").done()
            first, second = Asking(house.backend), Asking(house.backend)
            for sink in (first, second):
                house.give("hold('go')", sink)
            (house.folder / "go").touch()
            await second.done()
            assert (first.found, second.found) == (1, 0)

    asyncio.run(asyncio.wait_for(story(), 60))


def test_what_is_told_beside_orders_makes_none_of_them_unread(tmp_path: Path) -> None:
    """The model had the order: it must not run again because the worker had not read that it need not look."""

    async def story() -> None:
        async with living(tmp_path) as house:
            sink = house.give("mark('in'); hold('never')")
            await asyncio.to_thread(until, (house.folder / "in").exists, bool)
            (worker,) = house.backend._workers
            tell: Callable[[Down], object] = worker.tell
            tell(Look(0.0))
            await asyncio.sleep(0)  # it is sent in the loop's next turn
            await asyncio.sleep(0)
            os.kill(worker.pid, signal.SIGKILL)
            done = await sink.done()
            assert (done.status, done.unseen) == (Status.FAILED, False)

    asyncio.run(asyncio.wait_for(story(), 60))
