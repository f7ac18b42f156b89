"""When a worker is replaced while it serves: it has done enough, or takes too much memory."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Callable, Coroutine, Sequence
from time import monotonic
from typing import Final

from cog.backend import growth, machine
from cog.backend.life import GRACE, Life
from cog.backend.news import News
from cog.backend.pool import Pool
from cog.backend.seat import Seat
from cog.backend.worker import Worker

LOOK: Final = (
    1.0  # seconds between two looks at the memory: each reads a file for every process of the machine
)
# Seconds before the setup of the next worker is tried again when it failed; the last one for all further tries.
PAUSES: Final = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 60.0)
_GPU: Final = "the model has opened a GPU, and what is free there is not measured"


class Renewal:
    """Replaces workers one after the other. Where memory allows the next one is set up while the one before serves."""

    def __init__(
        self,
        pool: Pool,
        news: News,
        seats: Sequence[Seat],
        spawn: Callable[[Coroutine[None, None, None]], None],
    ) -> None:
        """`seats` are those of the backend, as they are at any time; `spawn` runs something beside everything else."""
        self._predictions = pool.max_predictions
        self._memory = pool.max_memory
        self._news = news
        self._seats = seats
        self._spawn = spawn
        self._due: dict[Worker, str] = {}  # and why
        self._touched: set[Worker] = set()  # have served since somebody looked at them
        self._looking = False
        self._looked_at = 0.0
        self._exempt: weakref.WeakSet[Worker] = weakref.WeakSet()

    # What is noticed

    def hired(self, worker: Worker) -> None:
        """It is set up."""
        if self._memory:
            self._spawn(self._weigh(worker))

    async def _weigh(self, worker: Worker) -> None:
        """One that is too large from the start would be replaced for ever."""
        size = await asyncio.to_thread(machine.memory_of_group, worker.pid)
        if size is not None and size > self._memory:
            self._exempt.add(worker)
            self._news.large_from_the_start(worker.index, size, self._memory)

    def served(self, worker: Worker) -> None:
        """It has ended a run. This is on the way of every prediction: what takes time is done later."""
        if self._predictions and worker.served >= self._predictions:
            self._note(
                worker, f"it has served {self._predictions:,} predictions (--max-predictions-per-worker)"
            )
        if self._memory:
            self._touched.add(worker)
            if not self._looking:
                self._looking = True
                self._spawn(self._look())

    async def _look(self) -> None:
        while self._touched:
            await asyncio.sleep(max(0.0, self._looked_at + LOOK - monotonic()))
            self._looked_at = monotonic()
            touched, self._touched = self._touched, set()
            for worker in touched - set(self._exempt):
                size = await asyncio.to_thread(machine.memory_of_group, worker.pid) if worker.ready else None
                if size is not None and size > self._memory:
                    shown = f"{size / 2**20:,.0f} MiB, more than the {self._memory / 2**20:,.0f} MiB"
                    self._note(worker, f"it takes {shown} of --max-worker-memory")
        self._looking = False

    # What is done

    def _note(self, worker: Worker, why: str) -> None:
        if worker in self._due or not worker.ready:
            return
        self._due[worker] = why
        if len(self._due) == 1:
            self._spawn(self._replace_all())

    async def _replace_all(self) -> None:
        while self._due:
            worker, why = next(iter(self._due.items()))
            await self._replace(self._seats[worker.index], worker, why)
            del self._due[worker]

    async def _replace(self, seat: Seat, worker: Worker, why: str) -> None:
        """Return when another worker has its place, or it is gone for another reason."""
        tries = 0
        began = monotonic()
        while (life := _serving(seat, worker)) is not None:
            refusal = await asyncio.to_thread(self._refusal, worker)
            if _serving(seat, worker) is None:
                return
            if refusal is not None:
                self._news.draining(seat.index, why, refusal)
                await _drain(seat, life, why)
                return
            self._news.renewing(seat.index, why)
            cause = await _succeed(seat)
            if cause is None:
                self._news.renewed(seat.index, why, monotonic() - began)
                return
            if _serving(seat, worker) is not None:
                pause = PAUSES[min(tries, len(PAUSES) - 1)]
                self._news.not_renewed(seat.index, why, cause, pause)
                await asyncio.sleep(pause)
            tries += 1

    def _refusal(self, worker: Worker) -> str | None:
        if machine.uses_gpu(worker.pid):
            return _GPU
        return growth.refusal([worker.pid], at_most=self._memory or None)


def _serving(seat: Seat, worker: Worker) -> Life | None:
    """The life of the worker, if it still has its seat and is not about to leave."""
    life = seat.life
    return life if life is not None and life.worker is worker and worker.ready and not seat.given_up else None


async def _succeed(seat: Seat) -> str | None:
    """Set up the next worker beside the one that serves; gives the cause when that fails."""
    heir = seat.prepare()
    await asyncio.wait([heir.settled])
    cause = heir.settled.result()
    if cause is not None and seat.heir is heir:
        await asyncio.wait([heir.over])  # its memory is free again
        if seat.heir is heir:
            seat.heir = None
    return cause


async def _drain(seat: Seat, life: Life, why: str) -> None:
    """Let it end, and return when the next one is ready, or cannot be for now."""
    life.worker.retire(why, grace=GRACE)
    await asyncio.wait([life.left])
    if seat.life is not None and seat.life is not life:
        await asyncio.wait([seat.life.settled])
