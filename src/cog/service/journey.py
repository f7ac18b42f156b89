"""One prediction's way: its files are fetched, it takes a slot, its events come up, its output files are published."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Final, Protocol

from cog.backend.protocol import Order, Run
from cog.errors import CogError, NotReady
from cog.files.fetch import make_folder
from cog.prediction.events import TERMINAL, Done, Event, Output, Started, Status
from cog.prediction.record import Prediction, Timings
from cog.prediction.request import PredictionRequest
from cog.service.courier import Courier
from cog.service.intake import TAKEN, InputFile, Intake
from cog.service.together import all_of
from cog.signature.facts import Batch, Signature

log = logging.getLogger("cog.service")

# Bytes of an order that is kept while it runs, so that another worker can have it when the first one never read it.
_GIVEN_AGAIN: Final = 1024 * 1024
# Files of one prediction that are downloaded at the same time.
_PARALLEL: Final = 8
# What keeping a chunk takes beside its text, so that a stream of tiny ones is bounded as well.
_PER_CHUNK: Final = 64


class Places(Protocol):
    """What a journey asks of the service."""

    def ask_slot(self, journey: Journey) -> None:
        """Start it as soon as there is a slot, in the order of arrival: `journey.start()` is called then."""

    def leave_queue(self, journey: Journey) -> None:
        """It does not want a slot any more."""

    def begun(self, journey: Journey) -> None:
        """It had been sent ahead, and waits no more."""

    def position(self, journey: Journey) -> int | None:
        """Where it waits, 1 for the next; None when it does not."""

    def served(self, seconds: float) -> None:
        """The model took so long for one."""

    def give_back(self, journey: Journey) -> None:
        """The model is done with it: its place is free."""

    def ended(self, journey: Journey) -> None:
        """Its prediction has ended."""


class Journey:
    """The one place that moves a prediction on. Everything happens on the event loop's thread."""

    __slots__ = (
        "_canceled", "_context", "_courier", "_folder", "_intake", "_kin", "_order", "_places", "_queue", "_room", "_run",
        "_task", "_touched", "_verdict", "_waited", "company", "holds_place", "kept", "number", "prediction", "queued_at", "rule",
    )  # fmt: skip

    def __init__(
        self,
        prediction: Prediction,
        request: PredictionRequest,
        intake: Intake,
        courier: Courier,
        places: Places,
        number: int,
        rule: Batch | None = None,
    ) -> None:
        """`number` is that of its arrival, `rule` how the model takes several at a time, if it does."""
        self.prediction = prediction
        self.number = number
        self.holds_place = True
        self.rule = rule
        self.queued_at = self._waited = 0.0  # by perf_counter
        self.kept = False  # who else needs its files calls `sweep()`
        self.company = 1  # how many are in its call of the model
        self._context = request.context
        self._intake = intake
        self._kin = intake.kin
        self._courier = courier
        self._places = places
        self._folder = courier.folders.folder(number)
        self._touched = bool(intake.files)
        self._run: Run | None = None
        self._task: asyncio.Task[None] | None = None
        self._queue: deque[Event] | None = None  # events that wait for the files of an earlier one
        self._canceled = False
        self._room = courier.max_output  # bytes of output that may still come
        self._order: Order | None = None  # while it may have to be given again
        self._verdict: Done | None = None  # how it ends, whatever the run that is being stopped says

    def begin(self) -> None:
        """Fetch the files, if there are any, then ask for a slot."""
        if self._intake.files:
            self._spawn(self._fetch())
        else:
            self._ask_slot()

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        self._task = asyncio.get_running_loop().create_task(work)
        self._task.add_done_callback(self._worked)

    def _worked(self, task: asyncio.Task[None]) -> None:
        """What did not come to its end ends the prediction: it was cancelled, perhaps before its first step, it failed, or
        it has a fault of ours."""
        if task.cancelled():
            done = Done(Status.CANCELED, time.time())
        elif (error := task.exception()) is None:
            return
        else:
            if not isinstance(error, CogError | OSError):
                log.error("prediction %s fails by a fault of the server", self.prediction.id, exc_info=error)
            done = _failed(f"{type(error).__name__}: {error}")
        last = self._queue[-1] if self._queue else None
        if type(last) is Done:  # the model was done with it
            done = done._replace(predict_time=last.predict_time)
        self._task = self._queue = None
        self._end_as(done)

    async def _fetch(self) -> None:
        started = time.perf_counter()
        folder = Path(self._folder)
        gate = asyncio.Semaphore(_PARALLEL)

        async def bring(index: int, file: InputFile) -> None:
            async with gate:
                await self._courier.bring(file, folder / f"input-{index}")

        make_folder(folder)
        await all_of([bring(index, file) for index, file in enumerate(self._intake.files)])
        timings = self.prediction.timings
        self.prediction.timings = timings._replace(download_time=time.perf_counter() - started)
        self._task = None
        self._ask_slot()

    def _ask_slot(self) -> None:
        self.queued_at = time.perf_counter()
        self._wait_for_slot()

    def _wait_for_slot(self) -> None:
        self._places.ask_slot(self)
        if self._run is None and self.holds_place:
            self.prediction.place = lambda: self._places.position(self)

    def start(self, run: Callable[[Order, Callable[[Event], None]], Run]) -> bool:
        """There is a slot: hand the input to the model. False when there was none after all (its worker has just died):
        then it waits on."""
        order = self.order()
        try:
            running = run(order, self.take)
        except NotReady:
            return False
        self.began(running, order)
        return True

    def order(self) -> Order:
        """What the model is to do, now: it has waited until here."""
        self._waited = time.perf_counter() - self.queued_at
        if self._order is not None:
            return self._order
        return Order(self._intake.payload(), self._folder, self._context, self._intake.signature)

    def began(self, run: Run, order: Order, *, company: int = 1) -> None:
        """The model has the `order`, with `company` predictions in this call."""
        self._run = run
        self.prediction.place = None
        self.company = company
        if self.prediction.started_at is not None:  # else that is told when it begins
            self._note_wait(self._waited)
        self._intake = TAKEN  # which may be large, and the order as well
        # One that was sent ahead is surely given again when its worker dies.
        kept = len(order.payload) <= _GIVEN_AGAIN or self.prediction.started_at is None
        self._order = order if kept else None

    def _note_wait(self, waited: float) -> None:
        if waited > 0.001 or self.rule is not None:  # a slot that was free is no queue
            size = 0 if self.rule is None else self.company
            _, download, upload, _ = self.prediction.timings
            self.prediction.timings = Timings(waited, download, upload, size)

    @property
    def kin(self) -> tuple[int, bytes]:
        """Equal for predictions that may share a call: for the same model, with the same values where that matters."""
        return id(self.waits_for), self._kin

    @property
    def waits_for(self) -> Signature | None:
        """The model, by its signature, that is to run it; None when it runs, or does not need one any more."""
        if self._run is not None or not self.holds_place:
            return None
        return self._intake.signature if self._order is None else self._order.model

    @property
    def ahead(self) -> bool:
        """True when a worker has it that cannot begin it yet."""
        return self._run is not None and self.prediction.started_at is None

    def expire(self, error: str) -> None:
        """End it: it has waited for too long."""
        self._end_as(_failed(error))

    def cancel(self) -> None:
        """End it soon, wherever it is. Asked again it does nothing."""
        if self._canceled or self.prediction.status.terminal:
            return
        self._canceled = True
        if self._task is not None:
            self._task.cancel()
        elif self._run is None:
            self._places.leave_queue(self)
            self._end_as(Done(Status.CANCELED, time.time()))
        if self._run is not None:
            self._run.cancel()

    def abandon(self, error: str) -> None:
        """End it here and now, since what it waits for will not come; `error` says why, if nobody has cancelled it."""
        if self._task is not None:
            self._task.cancel()  # should it ever go on
        self._task = self._queue = self._run = None
        self._end_as(Done(Status.CANCELED, time.time()) if self._canceled else _failed(error))

    def sweep(self) -> None:
        """Its files go, which others of its batch may have needed, and those that came after it had ended."""
        self._courier.clear_away(self._folder, self.prediction.id)

    def _end_as(self, done: Done) -> None:
        """End it, but not before the model is done with it: who reads of the end finds its place free."""
        if self._run is None:
            self.prediction.place = None
            self._give_back()
            self._apply(done)
        elif self._verdict is None:
            self._verdict = done
            self._run.cancel()

    def _give_back(self) -> None:
        if self.holds_place:
            self.holds_place = False
            self._places.give_back(self)

    # Events, from the backend

    def take(self, event: Event) -> None:
        """The next event of the run. The slot is free again at `Done`, whatever still happens to its files."""
        if type(event) is Done:
            self._run = None  # it holds this very method
            if event.unseen and self._order is not None and self._verdict is None and not self._canceled:
                self._wait_for_slot()  # it has waited in vain since it asked for the first one
                return
            self._give_back()
            if event.predict_time is not None:
                self._places.served(event.predict_time / self.company)
            if self._canceled and event.files:  # it came too late for the run, not for the files
                self._verdict = Done(Status.CANCELED, event.at)
            if self._verdict is not None:
                event = self._verdict._replace(at=event.at, predict_time=event.predict_time)
        elif type(event) is not Output:
            if type(event) is Started:
                if self.prediction.started_at is not None:
                    return  # it is given to a second worker
                if self._run is not None:  # it was sent ahead, and has waited until now
                    self._note_wait(time.perf_counter() - self.queued_at)
                    self._places.begun(self)
                    if self._order is not None and len(self._order.payload) > _GIVEN_AGAIN:
                        self._order = None
            self._apply(event)  # a log or a figure waits for no file, so that a flood of them cannot pile up
            return
        elif self._verdict is not None:
            return
        if event.payload is not None:
            self._room -= len(event.payload) + _PER_CHUNK
            if self._room < 0:
                if not isinstance(event, Done):
                    self._end_as(self._overfull())
                    return
                event = self._overfull()._replace(at=event.at, predict_time=event.predict_time)
        if self._queue is not None:
            self._queue.append(event)
        elif event.files:
            self._touched = True
            self._queue = deque([event])
            self._spawn(self._publish())
        else:
            self._apply(event)

    async def _publish(self) -> None:
        """Put the files of events where clients can have them; what comes after such an event waits."""
        assert self._queue is not None
        while self._queue:
            published = await self._published(self._queue[0])
            self._queue.popleft()
            self._apply(published)
        self._task = self._queue = None

    def _overfull(self) -> Done:
        """The end that takes the place of an output over the limit; what came before stays."""
        return _failed(self._courier.overfull)

    async def _published(self, event: Event) -> Event:
        if not isinstance(event, Output | Done) or not event.files or event.payload is None:
            return event
        started = time.perf_counter()
        room = max(self._room, 0)
        payload = await self._courier.deliver(event.payload, event.files, self.prediction.id, room)
        self._room -= len(payload) - len(event.payload)
        timings = self.prediction.timings
        spent = timings.upload_time + time.perf_counter() - started
        self.prediction.timings = timings._replace(upload_time=spent)
        return event._replace(payload=payload, files=())

    def _apply(self, event: Event) -> None:
        if self.prediction.status in TERMINAL:  # it was abandoned
            return
        try:
            self.prediction.publish(event)
        except Exception as error:  # noqa: BLE001
            # Nobody may wait for ever for a fault of ours, and what arrived along with this event is of other runs.
            last = self._fault(error, event)
            if last is None:
                return
            event = last
        if type(event) is Done:
            if (self._touched or event.status is not Status.SUCCEEDED) and not self.kept:
                self._courier.clear_away(self._folder, self.prediction.id)
            self._places.ended(self)

    def _fault(self, error: Exception, event: Event) -> Done | None:
        """The record does not take `event`: the prediction fails, at once (with what is given) or once its run has ended."""
        log.error("prediction %s fails by a fault of the server", self.prediction.id, exc_info=error)
        done = _failed(f"{type(error).__name__}: {error}")
        if type(event) is not Done:
            self._end_as(done)
            return None
        done = done._replace(at=event.at, predict_time=event.predict_time)
        self.prediction.publish(done)
        return done


def _failed(error: str) -> Done:
    return Done(Status.FAILED, time.time(), error=error)
