"""How many workers there are: more while they fit into memory, fewer when they show to be too large."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from cog.backend import growth
from cog.backend.news import News
from cog.backend.pool import Pool
from cog.backend.seat import Seat
from cog.backend.worker import Worker
from cog.signature.facts import Signature


class Staffing:
    """Adds seats, and gives some up. `workers` and `seats` are those of the backend, as they are at any time."""

    def __init__(
        self,
        pool: Pool,
        news: News,
        workers: Sequence[Worker],
        seats: Sequence[Seat],
        add_seat: Callable[[], Seat | None],
    ) -> None:
        """`add_seat` gives None when no worker is wanted any more."""
        self._pool = pool
        self._news = news
        self._workers = workers
        self._seats = seats
        self._add_seat = add_seat
        self.refused = False  # further workers did not fit into memory
        self.grown = asyncio.Event()  # there are as many as there will be, for the time being

    def check(self, signature: Signature) -> None:
        """Tell which of the numbers that were given do not count for this model."""
        threads, workers = self._pool.wanted, self._pool.workers
        if signature.is_async and threads is not None and threads > 1:
            self._news.threads_ignored()
        if not signature.is_async and threads is not None and workers is not None and threads != workers:
            self._news.workers_ignored(workers, threads)

    async def grow(self, first: Worker, *, is_async: bool) -> None:
        """Start the further workers one after another, while they fit into the memory that is free."""
        wanted, why = growth.wanted(self._pool, first.pid, is_async=is_async)
        while len(self._seats) < wanted:
            refusal = await asyncio.to_thread(growth.refusal, [worker.pid for worker in self._workers])
            self.refused = refusal is not None
            seat = self._add_seat() if refusal is None else None
            if seat is None:
                why = refusal or why
                break
            await seat.settled
        self._news.grown(len(self._workers), wanted, why)
        self.grown.set()

    async def shrink(self) -> None:
        """Measure again after a first prediction: models often take their memory only then."""
        workers = [worker for worker in self._workers if worker.ready]
        surplus, why = await asyncio.to_thread(growth.surplus, [worker.pid for worker in workers])
        for worker in sorted(workers, key=lambda worker: -worker.index)[:surplus]:
            self._news.too_large(worker.index, why)
            self._seats[worker.index].give_up()
            worker.retire("it does not fit into memory beside the others")
