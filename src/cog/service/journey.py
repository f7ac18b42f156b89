"""One prediction's way: its files are fetched, it takes a slot, its events come up, its output files are published."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Final, Protocol

from cog.backend.protocol import Order, Run
from cog.errors import CogError, PredictionError
from cog.files.data_url import DataUrl
from cog.files.fetch import Fetcher
from cog.files.folders import RuntimeFolder
from cog.files.publish import Publisher
from cog.prediction.events import Done, Event, Output, OutputFile, Status
from cog.prediction.record import Prediction
from cog.prediction.request import PredictionRequest
from cog.service.intake import InputFile, Intake

# Files of one prediction that are downloaded at the same time.
_PARALLEL: Final = 8


class Courier:
    """How files come and go: the three things a journey needs of `cog.files`."""

    def __init__(self, folders: RuntimeFolder, fetcher: Fetcher, publisher: Publisher) -> None:
        self.folders = folders
        self.fetcher = fetcher
        self.publisher = publisher

    async def bring(self, file: InputFile, folder: Path) -> None:
        """Put one input file into `folder`.

        Raises:
            DownloadError: it cannot be had.
        """
        if isinstance(file.source, DataUrl):
            path = await self.fetcher.save(file.source.content, file.source.media_type, folder)
        else:
            path = await self.fetcher.fetch(file.source, folder)
        file.path = str(path)

    async def deliver(self, payload: bytes, files: Sequence[OutputFile], prediction_id: str) -> bytes:
        """`payload` with URLs in the places of its files.

        Raises:
            UploadError, OutputError: a file cannot be delivered, or not be read.
        """
        return await self.publisher.publish(payload, files, prediction_id)

    def clear_away(self, folder: str, prediction_id: str) -> None:
        """The prediction is over: its folder is removed, in a thread."""
        self.publisher.forget(prediction_id)
        _ = asyncio.get_running_loop().run_in_executor(None, self.folders.remove, folder)


class Places(Protocol):
    """What a journey asks of the service."""

    def ask_slot(self, journey: Journey) -> None:
        """Start it as soon as there is a slot: `journey.start()` is called then."""

    def leave_queue(self, journey: Journey) -> None:
        """It does not want a slot any more."""

    def give_back(self, journey: Journey) -> None:
        """The model is done with it: its place is free."""

    def ended(self, journey: Journey) -> None:
        """Its prediction has ended."""


class Journey:
    """The one place that moves a prediction on. Everything happens on the event loop's thread."""

    __slots__ = (
        "_canceled", "_courier", "_folder", "_intake", "_places", "_queue", "_queued_at", "_run", "_task", "_touched",
        "holds_place", "prediction", "request",
    )  # fmt: skip

    def __init__(
        self,
        prediction: Prediction,
        request: PredictionRequest,
        intake: Intake,
        courier: Courier,
        places: Places,
        folder: str,
    ) -> None:
        self.prediction = prediction
        self.request = request
        self.holds_place = True
        self._intake = intake
        self._courier = courier
        self._places = places
        self._folder = folder
        self._touched = bool(intake.files)
        self._run: Run | None = None
        self._task: asyncio.Task[None] | None = None
        self._queue: deque[Event] | None = None  # events that wait for the files of an earlier one
        self._queued_at = 0.0
        self._canceled = False

    def begin(self) -> None:
        """Fetch the files, if there are any, then ask for a slot."""
        if self._intake.files:
            self._spawn(self._fetch())
        else:
            self._ask_slot()

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        self._task = asyncio.get_running_loop().create_task(work)

    async def _fetch(self) -> None:
        started = time.perf_counter()
        folder = Path(self._folder)
        gate = asyncio.Semaphore(_PARALLEL)

        async def bring(index: int, file: InputFile) -> None:
            async with gate:
                await self._courier.bring(file, folder / f"input-{index}")

        try:
            folder.mkdir(mode=0o700)  # noqa: ASYNC240  one system call on a local disk
            await _all([bring(index, file) for index, file in enumerate(self._intake.files)])
        except (PredictionError, OSError) as error:
            self._end_early(Status.FAILED, f"{type(error).__name__}: {error}")
        except asyncio.CancelledError:
            self._end_early(Status.CANCELED)
        else:
            timings = self.prediction.timings
            self.prediction.timings = timings._replace(download_time=time.perf_counter() - started)
            self._task = None
            self._ask_slot()

    def _ask_slot(self) -> None:
        self._queued_at = time.perf_counter()
        self._places.ask_slot(self)

    def start(self, run: Callable[[Order, Callable[[Event], None]], Run]) -> None:
        """There is a slot: hand the input to the model."""
        waited = time.perf_counter() - self._queued_at
        if waited > 0.001:  # a slot that was free is no queue
            self.prediction.timings = self.prediction.timings._replace(queue_time=waited)
        self._run = run(Order(self._intake.payload(), self._folder, self.request.context), self.take)

    def cancel(self) -> None:
        """End it soon, wherever it is. Asked again it does nothing."""
        if self._canceled or self.prediction.status.terminal:
            return
        self._canceled = True
        if self._task is not None:
            self._task.cancel()
        elif self._run is None:
            self._places.leave_queue(self)
            self._end_early(Status.CANCELED)
        if self._run is not None:
            self._run.cancel()

    def abandon(self, error: str) -> None:
        """Fail it while it waits for a slot that will not come."""
        self._end_early(Status.FAILED, error)

    def _end_early(self, status: Status, error: str | None = None) -> None:
        self._task = None
        assert status is Status.FAILED or status is Status.CANCELED
        self._give_back()
        self._apply(Done(status, time.time(), error=error))

    def _give_back(self) -> None:
        if self.holds_place:
            self.holds_place = False
            self._places.give_back(self)

    # Events, from the backend

    def take(self, event: Event) -> None:
        """The next event of the run. The slot is free again at `Done`, whatever still happens to its files."""
        if type(event) is Done:
            self._run = None  # it holds this very method: without the circle both are gone at once
            self._give_back()
        if self._queue is not None:
            self._queue.append(event)
        elif isinstance(event, Output | Done) and event.files:
            self._touched = True
            self._queue = deque([event])
            self._spawn(self._publish())
        else:
            self._apply(event)

    async def _publish(self) -> None:
        """Put the files of events where clients can have them; what comes after such an event waits."""
        assert self._queue is not None
        while self._queue:
            event = self._queue[0]
            try:
                published = await self._published(event)
            except asyncio.CancelledError:
                published = Done(Status.CANCELED, time.time())
            except CogError as error:
                published = Done(Status.FAILED, time.time(), error=f"{type(error).__name__}: {error}")
            if type(published) is Done:
                self._stop_run(event)
                self._queue.clear()
                self._apply(published)
                break
            self._queue.popleft()
            self._apply(published)
        self._task = None
        self._queue = None

    def _stop_run(self, event: Event) -> None:
        """The prediction is about to end although the model may still run: its further events find it ended."""
        if type(event) is not Done and self._run is not None:
            self._run.cancel()

    async def _published(self, event: Event) -> Event:
        if not isinstance(event, Output | Done) or not event.files or event.payload is None:
            return event
        started = time.perf_counter()
        payload = await self._courier.deliver(event.payload, event.files, self.prediction.id)
        timings = self.prediction.timings
        spent = timings.upload_time + time.perf_counter() - started
        self.prediction.timings = timings._replace(upload_time=spent)
        return event._replace(payload=payload, files=())

    def _apply(self, event: Event) -> None:
        if self.prediction.status.terminal:
            # Its run was stopped because a file could not be delivered, and this is what was on its way.
            if type(event) is Done:
                self._clear_away()
            return
        self.prediction.publish(event)
        if type(event) is Done:
            if self._touched or event.status is not Status.SUCCEEDED:
                self._clear_away()
            self._places.ended(self)

    def _clear_away(self) -> None:
        self._courier.clear_away(self._folder, self.prediction.id)


async def _all(works: list[Coroutine[None, None, None]]) -> None:
    """Run all of them at once; when one fails the others are cancelled, and done, before the error is raised."""
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        await asyncio.gather(*tasks)
    except BaseException:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        raise
