"""The model in processes of this machine: started, kept alive, replaced, ended."""

from __future__ import annotations

import asyncio
import itertools
import json
import secrets
from collections.abc import Coroutine
from typing import Final

from cog.backend import checkup, strays
from cog.backend.guard import Guard
from cog.backend.head_start import HeadStart
from cog.backend.life import GRACE, Life
from cog.backend.news import SILENT, News
from cog.backend.owner import Fate, Spec
from cog.backend.pool import Pool
from cog.backend.protocol import Order, Run, Sink, Standing, State, Watcher
from cog.backend.renewal import Renewal
from cog.backend.seat import Deaths, Seat
from cog.backend.staffing import Staffing
from cog.backend.tempo import Tempo
from cog.backend.worker import Worker
from cog.errors import NotReady, WorkerDied
from cog.prediction.events import Source
from cog.signature import wire
from cog.signature.facts import Signature

# Seconds for the system to take killed workers apart. One that hangs in a driver must not keep the server from its end.
KILLED: Final = 5.0

_FROZEN: Final = f"no worker can take a prediction: {SILENT}"


class LocalBackend:
    """Worker processes on this machine. A sync model has one slot in each, an async one as many as it says."""

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
        self._lives: dict[Worker, Life] = {}  # of those that have not ended
        self._seats: list[Seat] = []
        self._measured = False
        self._renewal = Renewal(pool, self._news, self._seats, self._spawn)
        self._state = State.STARTING
        self._cause: str | None = None
        self._deaths = Deaths()
        self._stopping = asyncio.Event()
        self._first = first
        self._mark = secrets.token_hex(8) if first is None else first.mark
        self._births = itertools.count(1)
        self._guard = Guard(self._mark)
        self.signature: Signature | None = None
        self.once_ready = False
        self._staffing = Staffing(
            pool, self._news, self._workers, self._seats, lambda: None if self.stopping else self._add_seat()
        )

    # What the service asks

    @property
    def state(self) -> State:
        """Whether the model can run."""
        return self._state

    @property
    def standing(self) -> Standing:
        """The state, the setup of the first worker (the latest, when it was replaced), and what is wrong."""
        first = self._seats[0].life if self._seats else None
        return Standing(self._state, None if first is None else first.journal.report, self._cause)

    @property
    def trouble(self) -> str | None:
        """What is wrong when every ready worker is frozen."""
        found = None
        for worker in self._workers:
            if worker.ready:
                if not worker.frozen:
                    return None
                found = _FROZEN
        return found

    @property
    def slots(self) -> int:
        """All slots of the workers that take runs, and the runs of those that take no others."""
        workers = self._workers
        return workers[0].capacity if len(workers) == 1 else sum(worker.capacity for worker in workers)

    @property
    def free(self) -> int:
        """Slots that can take a run now."""
        workers = self._workers
        return workers[0].free if len(workers) == 1 else sum(worker.free for worker in workers)

    @property
    def room(self) -> int:
        """Slots that are free. A worker that is alone takes orders ahead: one must not wait for it while another is free."""
        return self._workers[0].room if self._alone else self.free

    @property
    def _alone(self) -> bool:
        """True when there is one worker, and no other is to come."""
        if len(self._workers) != 1:
            return False
        return len(self._seats) == 1 or sum(not seat.given_up for seat in self._seats) == 1

    @property
    def busy(self) -> int:
        """How many runs there are."""
        return sum(worker.busy for worker in self._workers)

    @property
    def grown(self) -> asyncio.Event:
        """It has as many workers as it will have, for the time being."""
        return self._staffing.grown

    def take_charge(self) -> None:
        """It is no longer aside: it serves."""
        self._news.aside = False

    def take_room(self) -> None:
        """There is more memory than before: the workers that did not fit may do so now."""
        if self._staffing.refused and self._workers and self.signature is not None:
            self._spawn(self._staffing.grow(self._workers[0], is_async=self.signature.is_async))

    async def start(self, watcher: Watcher) -> None:
        """Start the first worker; the others follow when it is ready."""
        self._watcher = watcher
        self._tempo = Tempo(self._spec.busy_poll, asyncio.get_running_loop())
        self._news.loading(self._spec.reference)
        if self._pool.gpus:
            self._news.divided(self._spec.gpus.names)
        self._guard.start(asyncio.get_running_loop())
        _ = self._add_seat()  # nobody waits for it here: the standing tells

    def run(self, order: Order, sink: Sink) -> Run:
        """Start a run on the worker with the least to do."""
        while (worker := self._least_loaded()) is not None:
            if self._tempo.told or self._tempo.row:
                self._tempo.comes(worker, alone=self.busy == 0 and len(order.members) < 2)
            try:
                return worker.run(order, sink)
            except NotReady:
                continue  # it has just died, and has no free slot any more: the next one
        raise NotReady("no worker has a free slot")

    def _least_loaded(self) -> Worker | None:
        """The one with the fewest runs in proportion to its slots; among equals the first, whose caches are warm. One that is
        alone takes orders ahead, see `room`."""
        workers = self._workers
        if self._alone:
            return workers[0] if workers[0].room > 0 else None
        best: Worker | None = None
        for worker in workers:
            if worker.free > 0 and (best is None or worker.busy * best.slots < best.busy * worker.slots):
                best = worker
        return best

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

    # Seats, and who sits there (`Employer`)

    def _add_seat(self) -> Seat:
        seat = Seat(len(self._seats), self, self._news, self._deaths)
        self._seats.append(seat)
        self._spawn(seat.keep())
        return seat

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    @property
    def stopping(self) -> bool:
        """True when no worker is wanted any more."""
        return self._stopping.is_set()

    def hire(self, index: int, *, aside: bool) -> Life:
        """Start a worker for the seat `index`."""
        loop = asyncio.get_running_loop()
        worker = Worker(index, self._spec, self, f"{self._mark}.{next(self._births)}")
        life = self._lives[worker] = Life(worker, loop, aside=aside)
        life.journal.begin()
        try:
            worker.start(loop, None if self._first is None else self._first.take())
        except WorkerDied as error:
            del self._lives[worker]
            self._setup_failed(life, str(error))
            life.end.set_result(Fate(str(error), expected=False))
        else:
            self._workers.append(worker)
            self._workers.sort(key=lambda worker: worker.index)
            self._tell_guard()
        self._spawn(life.see_through(self._pool.setup_timeout, self._too_late, lambda: not self.stopping))
        return life

    def _too_late(self, life: Life, cause: str) -> None:
        self._setup_failed(life, cause)
        life.worker.kill(cause)

    def lost(self, fate: Fate) -> None:
        """A worker has ended; without another one nothing can run."""
        if not self._any_ready():
            self._become(State.DEFUNCT if self._deaths.too_many else State.STARTING, fate.cause)

    def _any_ready(self) -> bool:
        return any(worker.ready for worker in self._workers)

    # What a worker tells (`Owner`)

    def worker_ready(self, worker: Worker) -> None:
        """Open its slots."""
        signature = worker.signature
        assert signature is not None
        worker.slots = (self._pool.concurrency or signature.max_concurrency or 1) if signature.is_async else 1
        if self.signature is None or not same(signature, self.signature):
            self.signature = signature  # else what was made from it need not be made again
        life = self._lives[worker]
        life.journal.succeeded()
        life.settle(None)
        self._tempo.ready(worker)
        seat = self._seats[worker.index]
        seat.settle()
        if life.aside and (before := seat.inherit(life)) is not None:
            before.worker.retire("another one has taken its place", grace=GRACE)
        self._renewal.hired(worker)
        self._become(State.READY, None)
        if not self.once_ready:
            self.once_ready = True
            self._staffing.check(signature)
            self._spawn(self._staffing.grow(worker, is_async=signature.is_async))

    def worker_broken(self, worker: Worker, cause: str) -> None:
        """Its setup failed."""
        self._setup_failed(self._lives[worker], cause)
        worker.kill(cause)

    def worker_ended(self, worker: Worker, fate: Fate) -> None:
        """Forget it; its seat goes on."""
        self._workers.remove(worker)
        self._tell_guard()
        life = self._lives.pop(worker)
        if not life.settled.done() and not self.stopping:
            self._setup_failed(life, fate.cause)
        life.settle(fate.cause)
        life.end.set_result(fate)
        if self.once_ready and not self._any_ready() and not self.stopping:
            self._become(State.STARTING, fate.cause)
        self._watcher.changed()

    def worker_served(self, worker: Worker) -> None:
        """Runs ended as they should, whatever came out: the worker itself said so. Their slots are free."""
        self._deaths.count = 0
        self._renewal.served(worker)
        if not self._measured and len(self._seats) > 1:
            self._measured = True
            self._spawn(self._staffing.shrink())
        self._watcher.changed()
        self._tempo.ended()

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
        if setup and worker in self._lives:
            self._lives[worker].journal.printed(text)
        self._watcher.printed(text, source, worker.index, setup)

    def _tell_guard(self) -> None:
        self._guard.tell(worker.pid for worker in self._workers)

    def _setup_failed(self, life: Life, cause: str) -> None:
        index = life.worker.index
        if life.aside:  # the one that it was to replace serves on, see `Renewal`
            life.journal.failed(cause)
            life.settle(cause)
            return
        self._news.setup_failed(index, cause)
        life.journal.failed(cause)
        life.settle(cause)
        self._seats[index].settle()
        if not self.once_ready:
            self._become(State.SETUP_FAILED, cause)

    def _become(self, state: State, cause: str | None) -> None:
        if self._state is not state:
            self._news.state(state, cause, self.standing.setup)
        self._state, self._cause = state, cause
        self._watcher.changed()


def same(one: Signature, other: Signature) -> bool:
    """Equality of what they say: for Python, a default of 1 would equal one of True."""
    return json.dumps(wire.dump(one)) == json.dumps(wire.dump(other))
