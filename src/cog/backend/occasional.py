"""What is run seldom, as a training is: nothing of it is loaded before it is asked for, and nothing is left afterwards."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine
from typing import Final

from cog.backend.life import GRACE
from cog.backend.local import LocalBackend
from cog.backend.protocol import Order, Run, Sink, Standing, State, Watcher
from cog.errors import NotReady
from cog.prediction.events import Done, Event, Log, Source, Started, Status
from cog.signature.facts import Signature

log = logging.getLogger("cog.backend")

# Seconds that somebody waits who needs the signature. An import takes less, unless something is wrong.
PATIENCE: Final = 30.0
# Seconds after which what could not be loaded is tried again, when it is asked for: there may have been no memory.
RETRY: Final = 10.0


class Visit:
    """A worker that is started for one thing and ended after it. It is the `Watcher` of its own workers."""

    def __init__(self, workers: LocalBackend, prints: Callable[[str, Source, int, bool], None]) -> None:
        """`prints` takes what belongs to no run."""
        self.workers = workers
        self.over = asyncio.Event()  # it was sent away
        self._prints = prints
        self._settled = asyncio.Event()

    async def settle(self) -> None:
        """Start the worker, and return when it is ready, will not be, or was sent away."""
        await self.workers.start(self)
        await self._settled.wait()

    def send_away(self) -> None:
        """What it came for is done, or not wanted any more."""
        self.over.set()
        self._settled.set()

    def changed(self) -> None:
        """The worker is in another state."""
        if self.workers.state is not State.STARTING:
            self._settled.set()

    def printed(self, text: str, source: Source, worker: int, setup: bool) -> None:
        """It has printed what belongs to no run."""
        self._prints(text, source, worker, setup)


class Errand:
    """A run and its worker: `Run` of the backend's protocol. What is printed while the worker is set up is the run's."""

    def __init__(self, make: Callable[[], LocalBackend], order: Order, sink: Sink, watcher: Watcher) -> None:
        self.visit = Visit(make(), self._print)
        self._order = order
        self._sink = sink
        self._watcher = watcher
        self._run: Run | None = None
        self._ended = False

    async def go(self) -> None:
        """Do it; the worker is ended afterwards by who called."""
        await self.visit.settle()
        if self.visit.over.is_set():
            return
        standing = self.visit.workers.standing
        try:
            self._run = self.visit.workers.run(self._order, self._take)
        except NotReady:  # it could not be set up, or has just died
            self._end(
                Done(Status.FAILED, time.time(), error=standing.cause or "WorkerDied: its worker has ended")
            )
        await self.visit.over.wait()

    def cancel(self) -> None:
        """Ask for its end, which comes at once while the worker is being set up."""
        if self._run is not None:
            self._run.cancel()
        else:
            self._end(Done(Status.CANCELED, time.time()))

    def give_up(self) -> None:
        """The server ends: so does the worker, and what runs on it."""
        if self._run is None:
            self._end(Done(Status.CANCELED, time.time()))
        self.visit.send_away()

    @property
    def began(self) -> bool:
        """Whether its worker was ever ready for it."""
        return self._run is not None

    def _take(self, event: Event) -> None:
        if type(event) is Done:
            # Another worker would be a new one as well: if this one died before it read the order, so may that.
            self._end(event._replace(unseen=False))
        elif type(event) is not Started:  # which was told before the worker was there
            self._sink(event)

    def _end(self, done: Done) -> None:
        if not self._ended:
            self._ended = True
            self._sink(done)
            self.visit.send_away()

    def _print(self, text: str, source: Source, worker: int, setup: bool) -> None:
        if self._ended:
            self._watcher.printed(text, source, worker, setup)
        else:
            self._sink(Log(text, source))


class Occasional:
    """A backend without workers of its own: `Backend` of the protocol, with one slot.

    A worker comes with each run and goes with it, so that no memory is held in between, on a GPU neither, and no run
    finds what another one left behind. Its setup belongs to the run, with all that it prints. What the signature is, is
    asked of a worker that only imports the source, when somebody needs it for the first time: see `learn()`.
    """

    def __init__(self, make: Callable[[bool], LocalBackend], reference: str, *, retry: float = RETRY) -> None:
        """`make` makes one worker, aside from what is served; for True one that only reads the signature. What cannot be
        loaded is tried again after `retry` seconds."""
        self._make = make
        self._reference = reference
        self._retry = retry
        self._watcher: Watcher
        self.signature: Signature | None = None
        self._cause: str | None = None
        self._learned_at = 0.0
        self._known = False
        self._version = 0  # of the source
        self._survey: asyncio.Task[None] | None = None
        self._visits: set[Visit] = set()
        self._errand: Errand | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    # What the service asks

    @property
    def state(self) -> State:
        """READY once the signature is known; SETUP_FAILED when it cannot be read."""
        if self._cause is not None:
            return State.SETUP_FAILED
        return State.STARTING if self.signature is None else State.READY

    @property
    def standing(self) -> Standing:
        """The state, and why the signature cannot be read."""
        return Standing(self.state, None, self._cause)

    @property
    def trouble(self) -> str | None:
        """Nothing: its workers are new."""
        return None

    @property
    def slots(self) -> int:
        """One run at a time: it may take all that the machine has."""
        return 1

    @property
    def free(self) -> int:
        """None until the worker of the last run is gone, with its memory."""
        return 0 if self._errand is not None else 1

    @property
    def room(self) -> int:
        """No more: a worker comes with its run."""
        return self.free

    async def start(self, watcher: Watcher) -> None:
        """Begin; nothing is started."""
        self._watcher = watcher

    def run(self, order: Order, sink: Sink) -> Run:
        """Start a worker for the run."""
        if self._errand is not None:
            raise NotReady("the worker of the last run has not ended yet")
        errand = self._errand = Errand(lambda: self._make(False), order, sink, self._watcher)
        sink(Started(time.time()))
        _ = self._spawn(self._serve(errand))
        return errand

    async def check_health(self) -> str | None:
        """Nothing is there that could be asked."""
        return None

    async def stop(self) -> None:
        """End what runs, and the workers."""
        self.let_go()
        if self._errand is not None:
            self._errand.give_up()
        if self._tasks:
            await asyncio.wait(tuple(self._tasks))

    def let_go(self) -> None:
        """The server is about to end: nobody waits for the signature any more."""
        for visit in self._visits:
            visit.send_away()

    def kill(self) -> None:
        """End every worker at once."""
        visits = (*self._visits, *([] if self._errand is None else [self._errand.visit]))
        for visit in visits:
            visit.workers.kill()

    # The signature

    async def learn(self) -> None:
        """Return when the signature is known, or is known to be none: `standing` tells. After PATIENCE at the latest."""
        if self._known and (self._cause is None or time.monotonic() - self._learned_at < self._retry):
            return
        if self._survey is None or self._survey.done():
            self._survey = self._spawn(self._read())
        await asyncio.wait([self._survey], timeout=PATIENCE)

    def forget(self) -> None:
        """The source has changed: what is known of it may be wrong."""
        self._version += 1
        self._known = False

    async def _read(self) -> None:
        version = None
        while version != self._version:  # it may change while it is read
            version = self._version
            visit = Visit(self._make(True), self._watcher.printed)
            self._visits.add(visit)
            try:
                await visit.settle()
                if visit.over.is_set():
                    return
                self._note(visit.workers)
            finally:
                await visit.workers.stop(0.0)
                self._visits.discard(visit)
        self._known = True

    def _note(self, workers: LocalBackend) -> None:
        self._learned_at = time.monotonic()
        self._cause = workers.standing.cause
        if workers.signature is not None:
            self.signature = workers.signature
            log.info("%s can be run", self._reference)
        else:
            log.error("%s cannot be loaded", self._reference, extra={"fields": {"cause": self._cause}})
        self._watcher.changed()

    # One run

    async def _serve(self, errand: Errand) -> None:
        workers = errand.visit.workers
        try:
            await errand.go()
        finally:
            await workers.stop(GRACE if errand.began else 0.0)
            self._errand = None
            self._watcher.changed()

    def _spawn(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task
