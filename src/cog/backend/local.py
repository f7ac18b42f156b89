"""The model in processes of this machine: started, kept alive, replaced, ended."""

from __future__ import annotations

import asyncio
import itertools
import secrets
import shutil
from collections.abc import Coroutine
from typing import Final

from cog.backend import checkup, growth, strays
from cog.backend.guard import Guard
from cog.backend.head_start import HeadStart
from cog.backend.news import SILENT, News
from cog.backend.owner import Fate, Spec
from cog.backend.pool import Pool
from cog.backend.protocol import Order, Run, Sink, Standing, State, Watcher
from cog.backend.setup import SetupJournal
from cog.backend.worker import Worker
from cog.errors import NotReady, WorkerDied
from cog.prediction.events import Source
from cog.signature.facts import Signature

# From the contract, "The life of a worker".
PAUSES: Final = (0.0, 0.5, 1.0, 2.0, 4.0)  # seconds before the n-th respawn without a normal end in between
DEATHS: Final = 5  # after as many the backend is DEFUNCT
RETRY: Final = 60.0  # seconds between tries of a defunct one
TRIES: Final = 3  # for an additional worker whose setup fails
GRACE: Final = 3.0  # seconds that workers get to end by themselves
# Seconds for the system to take killed workers apart. One that hangs in a driver must not keep the server from its end.
KILLED: Final = 5.0

_FROZEN: Final = f"no worker can take a prediction: {SILENT}"


class LocalBackend:
    """Worker processes on this machine. A sync model has one slot in each, an async one all slots in one."""

    def __init__(
        self, spec: Spec, pool: Pool, *, aside: bool = False, first: HeadStart | None = None
    ) -> None:
        """`aside` says that it is to take the place of another one, if it can be set up: see `Succession`. `first` is
        the process of the first worker, where that was started already.
        """
        self._spec = spec
        self._pool = pool
        self._news = News(aside=aside)
        self._workers: list[Worker] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._settled: dict[int, asyncio.Future[None]] = {}
        self._given_up: set[int] = set()
        self._measured = False
        self._refused = False  # further workers did not fit into memory
        self._state = State.STARTING
        self._cause: str | None = None
        self._setup = SetupJournal()
        self._deaths = 0
        self._once_ready = False
        self._stopping = asyncio.Event()
        self._ends: dict[Worker, asyncio.Future[Fate]] = {}
        self._readiness: dict[Worker, asyncio.Future[str | None]] = {}
        self._first = first
        self._mark = secrets.token_hex(8) if first is None else first.mark
        self._births = itertools.count(1)
        self._guard = Guard(self._mark)
        self.signature: Signature | None = None
        self.grown = asyncio.Event()  # it has as many workers as it will have, for the time being

    # What the service asks

    @property
    def standing(self) -> Standing:
        """The state, the setup of the first worker (the latest, when it was replaced), and what is wrong."""
        return Standing(self._state, self._setup.report, self._cause)

    @property
    def trouble(self) -> str | None:
        """What is wrong when every ready worker is frozen."""
        ready = [worker for worker in self._workers if worker.ready]
        return _FROZEN if ready and all(worker.frozen for worker in ready) else None

    @property
    def slots(self) -> int:
        """All slots of the workers that take runs, and the runs of those that take no others."""
        return sum(worker.capacity for worker in self._workers)

    @property
    def free(self) -> int:
        """Slots that can take a run now."""
        return sum(worker.free for worker in self._workers)

    @property
    def busy(self) -> int:
        """How many runs there are."""
        return sum(worker.busy for worker in self._workers)

    def take_charge(self) -> None:
        """It is no longer aside: it serves."""
        self._news.aside = False

    def take_room(self) -> None:
        """There is more memory than before: the workers that did not fit may do so now."""
        if self._refused and self._workers:
            self._spawn(self._add_workers(self._workers[0]))

    async def start(self, watcher: Watcher) -> None:
        """Start the first worker; the others follow when it is ready."""
        self._watcher = watcher
        self._news.loading(self._spec.reference)
        self._guard.start(asyncio.get_running_loop())
        _ = self._add_seat(0)  # nobody waits for it here: the standing tells

    def run(self, order: Order, sink: Sink) -> Run:
        """Start a run on the worker with the most free slots."""
        while True:
            best, most = None, 0
            for worker in self._workers:
                if worker.free > most:
                    best, most = worker, worker.free
            if best is None:
                raise NotReady("no worker has a free slot")
            try:
                return best.run(order, sink)
            except NotReady:
                continue  # it has just died, and has no free slot any more: the next best

    async def check_health(self) -> str | None:
        """What is wrong with every worker; one healthy worker is enough. A frozen one is not asked."""
        asked = [worker for worker in self._workers if worker.ready and not worker.frozen]
        if self.signature is None or not self.signature.healthcheck or not asked:
            return None
        return await checkup.judge(asked, several=len(self._workers) > 1)

    async def stop(self, grace: float = GRACE) -> None:
        """Let the workers end by themselves for `grace` seconds, then kill them with all their children."""
        self._stopping.set()
        for worker in self._workers:
            worker.finish()
        await self._all_ended(grace)
        for worker in self._workers:
            worker.kill("the server ended")
        await self._all_ended(KILLED)
        for worker in self._workers:
            self._news.hangs(worker)
        await asyncio.to_thread(strays.kill, self._mark)
        self._guard.stop()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _all_ended(self, timeout: float) -> None:
        waiting = [asyncio.ensure_future(worker.ended.wait()) for worker in self._workers]
        if waiting:
            _, late = await asyncio.wait(waiting, timeout=timeout)
            for task in late:
                task.cancel()

    def kill(self) -> None:
        """End every worker and all it started at once, without waiting for anything."""
        self._stopping.set()
        for worker in self._workers:
            worker.kill("the server ended at once")
        strays.kill(self._mark)

    # One seat: a worker, and its successors

    def _add_seat(self, index: int) -> asyncio.Future[None]:
        """A seat of its own task; the future is done when its first worker is set up, or failed to be."""
        self._settled[index] = asyncio.get_running_loop().create_future()
        self._spawn(self._keep(index))
        return self._settled[index]

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _settle(self, index: int) -> None:
        if not self._settled[index].done():
            self._settled[index].set_result(None)

    async def _keep(self, index: int) -> None:
        failures = 0
        once_ready = False
        while not self._stopping.is_set():
            fate, was_ready = await self._live(index)
            if self._stopping.is_set() or index in self._given_up:
                return
            if not was_ready and not self._once_ready:
                return  # the first setup failed: the server stays for inspection
            failures = 0 if was_ready else failures + 1
            once_ready = once_ready or was_ready
            if index > 0 and failures >= TRIES and not once_ready:
                self._news.given_up(index, TRIES, fate.cause)
                return
            if not (was_ready and fate.expected):
                self._deaths += 1
            await self._pause(index, fate, long=index > 0 and failures >= TRIES)

    async def _pause(self, index: int, fate: Fate, *, long: bool) -> None:
        if not self._any_ready():
            self._become(State.DEFUNCT if self._deaths >= DEATHS else State.STARTING, fate.cause)
        pause = RETRY if long or self._deaths >= DEATHS else PAUSES[max(0, self._deaths - 1)]
        self._news.replaced(index, fate, pause)
        await asyncio.sleep(pause)

    def _any_ready(self) -> bool:
        return any(worker.ready for worker in self._workers)

    async def _live(self, index: int) -> tuple[Fate, bool]:
        """One worker from its start to its end; tells whether it was ready in between."""
        loop = asyncio.get_running_loop()
        worker = Worker(index, self._spec, self, f"{self._mark}.{next(self._births)}")
        end = self._ends[worker] = loop.create_future()
        readiness = self._readiness[worker] = loop.create_future()
        if index == 0:
            self._setup.begin()
        try:
            worker.start(loop, None if self._first is None else self._first.take())
        except WorkerDied as error:
            del self._ends[worker], self._readiness[worker]
            self._setup_failed(index, str(error))
            return Fate(str(error), expected=False), False
        self._workers.append(worker)
        self._tell_guard()
        await asyncio.wait(
            [readiness, end], timeout=self._pool.setup_timeout, return_when=asyncio.FIRST_COMPLETED
        )
        if not readiness.done() and not end.done():
            cause = f"setup() took longer than {self._pool.setup_timeout:g} seconds (COG_SETUP_TIMEOUT)"
            self._setup_failed(index, cause)
            worker.kill(cause)
        fate = await end
        if not self._stopping.is_set():  # else it is looked for all at once
            await asyncio.to_thread(strays.kill, worker.mark)
        for folder in worker.written_off:
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
        return fate, readiness.done() and readiness.result() is None

    # What a worker tells (`Owner`)

    def worker_ready(self, worker: Worker) -> None:
        """Open its slots."""
        signature = worker.signature
        assert signature is not None
        worker.slots = (self._pool.concurrency or signature.max_concurrency or 1) if signature.is_async else 1
        self.signature = signature
        if worker.index == 0:
            self._setup.succeeded()
        self._settle(worker.index)
        if not self._readiness[worker].done():
            self._readiness[worker].set_result(None)
        self._become(State.READY, None)
        if not self._once_ready:
            self._once_ready = True
            self._grow(worker)

    def worker_broken(self, worker: Worker, cause: str) -> None:
        """Its setup failed."""
        self._setup_failed(worker.index, cause)
        if not self._readiness[worker].done():
            self._readiness[worker].set_result(cause)
        worker.kill(cause)

    def worker_ended(self, worker: Worker, fate: Fate) -> None:
        """Forget it; its seat goes on."""
        self._workers.remove(worker)
        self._tell_guard()
        readiness = self._readiness.pop(worker)
        if not readiness.done() and not self._stopping.is_set():
            self._setup_failed(worker.index, fate.cause)
        self._ends.pop(worker).set_result(fate)
        if self._once_ready and not self._any_ready() and not self._stopping.is_set():
            self._become(State.STARTING, fate.cause)
        self._watcher.changed()

    def worker_served(self, worker: Worker) -> None:
        """A run ended as it should, whatever came out: the worker itself said so."""
        self._deaths = 0
        if not self._measured and len(self._workers) > 1 and self._pool.wanted != 1:
            self._measured = True
            self._spawn(self._shrink())

    def worker_changed(self, worker: Worker) -> None:
        """Its number of free slots changed."""
        self._watcher.changed()

    def worker_froze(self, worker: Worker, frozen: bool) -> None:
        """Tell it; its slots count, or do not."""
        self._news.froze(worker, frozen)
        self._watcher.changed()

    def worker_printed(self, worker: Worker, text: str, source: Source) -> None:
        """Keep what setup prints; everything goes to the server's log."""
        setup = worker.slots == 0
        if setup and worker.index == 0:
            self._setup.printed(text)
        self._watcher.printed(text, source, worker.index, setup)

    def _tell_guard(self) -> None:
        self._guard.tell(worker.pid for worker in self._workers)

    def _setup_failed(self, index: int, cause: str) -> None:
        self._news.setup_failed(index, cause)
        if index == 0:
            self._setup.failed(cause)
        self._settle(index)
        if not self._once_ready:
            self._become(State.SETUP_FAILED, cause)

    def _become(self, state: State, cause: str | None) -> None:
        if self._state is not state:
            self._news.state(state, cause, self._setup.report)
        self._state, self._cause = state, cause
        self._watcher.changed()

    # More workers

    def _grow(self, first: Worker) -> None:
        if self.signature is not None and self.signature.is_async:
            if self._pool.wanted is not None and self._pool.wanted > 1:
                self._news.threads_ignored()
            self.grown.set()
            return
        self._spawn(self._add_workers(first))

    async def _add_workers(self, first: Worker) -> None:
        """Start the further workers one after another, while they fit into the memory that is free."""
        wanted, why = growth.wanted(self._pool.wanted, first.pid)
        for index in range(len(self._settled), wanted):
            refusal = await asyncio.to_thread(growth.refusal, [worker.pid for worker in self._workers])
            self._refused = refusal is not None
            if refusal is not None or self._stopping.is_set():
                why = refusal or why
                break
            await self._add_seat(index)
        self._news.grown(len(self._workers), wanted, why)
        self.grown.set()

    async def _shrink(self) -> None:
        """Measure again after a first prediction: models often take their memory only then."""
        workers = [worker for worker in self._workers if worker.ready]
        surplus, why = await asyncio.to_thread(growth.surplus, [worker.pid for worker in workers])
        for worker in sorted(workers, key=lambda worker: -worker.index)[:surplus]:
            self._news.too_large(worker.index, why)
            self._given_up.add(worker.index)
            worker.retire("it does not fit into memory beside the others")
