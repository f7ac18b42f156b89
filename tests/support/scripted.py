"""A backend that does what a test tells it, and files that come and go when the test says so: what takes seconds with
real workers and networks takes no time here, so that thousands of orders of events can be tried.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Sequence
from pathlib import Path

from cog.backend.protocol import Order, Sink, Standing, State, Watcher
from cog.errors import DownloadError, NotReady, UploadError
from cog.files.folders import RuntimeFolder
from cog.prediction.events import Done, Ending, Event, Log, Output, OutputFile, Started, Status
from cog.prediction.record import Prediction
from cog.service.courier import Courier
from cog.signature.facts import Result, Signature
from cog.signature.scalars import Anything


class ScriptedRun:
    """A run whose events the test makes."""

    def __init__(self, backend: ScriptedBackend, order: Order, sink: Sink) -> None:
        self.order = order
        self.canceling = False
        self.spoke = False
        self._backend = backend
        self._sink = sink

    def cancel(self) -> None:
        self.canceling = True

    def put(self, event: Event) -> None:
        """An event that does not end it."""
        self.spoke = True
        self._sink(event)

    def put_output(self, text: bytes, *, files: bool) -> None:
        self.put(Output(text, self._files(files)))

    def end(self, status: Ending, *, files: bool = False, payload: bytes | None = b"1") -> None:
        """The worker says how it ended."""
        self._backend.runs.remove(self)
        if status is Status.SUCCEEDED:
            self._sink(Done(status, time.time(), payload, None, 0.5, self._files(files)))
        else:
            error = "ValueError: bad" if status is Status.FAILED else None
            self._sink(Done(status, time.time(), None, error, 0.5))
        self._backend.watcher.changed()

    def die(self, *, unseen: bool = False) -> None:
        """Its worker dies; with `unseen` it has not read the order."""
        self._backend.slots -= 1
        self._backend.runs.remove(self)
        if self.canceling:
            self._sink(Done(Status.CANCELED, time.time()))
        else:
            unseen = unseen and not self.spoke
            self._sink(Done(Status.FAILED, time.time(), error="WorkerDied: it died", unseen=unseen))
        self._backend.watcher.changed()

    def _files(self, some: bool) -> tuple[OutputFile, ...]:
        if not some:
            return ()
        Path(self.order.folder).mkdir(exist_ok=True)  # as a worker does it
        return (OutputFile("mark", f"{self.order.folder}/output-1", "one.txt"),)


class ScriptedBackend:
    """`Backend` of the protocol, without any process."""

    def __init__(self, slots: int = 2) -> None:
        self.slots = slots
        self.runs: list[ScriptedRun] = []
        self.state = State.READY
        self.dying = 0  # so many of the next orders find that their worker has just died
        self.trouble: str | None = None
        self.signature: Signature | None = Signature((), Result(Anything()), style="generator")
        self.watcher: Watcher

    @property
    def standing(self) -> Standing:
        return Standing(self.state, None, None if self.state is State.READY else "it died")

    @property
    def free(self) -> int:
        return self.slots - len(self.runs)

    @property
    def room(self) -> int:
        return self.free

    async def start(self, watcher: Watcher) -> None:
        self.watcher = watcher

    def run(self, order: Order, sink: Sink) -> ScriptedRun:
        if self.dying and self.free > 0:
            self.dying -= 1
            self.slots -= 1
        if self.free <= 0:
            raise NotReady("no worker has a free slot")
        run = ScriptedRun(self, order, sink)
        self.runs.append(run)
        sink(Started(time.time()))
        return run

    def become(self, state: State, slots: int) -> None:
        self.state = state
        self.slots = slots
        self.watcher.changed()

    async def check_health(self) -> str | None:
        return None

    async def stop(self) -> None:
        return


class Gates:
    """Waits of downloads and uploads, which the test ends."""

    def __init__(self) -> None:
        self.waiting: list[asyncio.Future[None]] = []

    async def wait(self) -> None:
        gate = asyncio.get_running_loop().create_future()
        self.waiting.append(gate)
        try:
            await gate
        finally:
            self.waiting.remove(gate)

    def open(self, index: int, error: Exception | None = None) -> None:
        closed = [gate for gate in self.waiting if not gate.done()]
        if closed and error is not None:
            closed[index % len(closed)].set_exception(error)
        elif closed:
            closed[index % len(closed)].set_result(None)


class GatedFetcher:
    """A `Fetcher` whose files arrive when the test opens a gate."""

    def __init__(self, gates: Gates) -> None:
        self._gates = gates
        self._numbers = itertools.count()

    async def fetch(self, url: str, folder: Path) -> Path:
        folder.mkdir(exist_ok=True)
        target = folder / str(next(self._numbers))
        await self._gates.wait()
        target.write_text(url)
        return target


class GatedPublisher:
    """A `Publisher` that delivers when the test opens a gate."""

    def __init__(self, gates: Gates) -> None:
        self._gates = gates

    async def publish(
        self, payload: bytes, files: Sequence[OutputFile], prediction_id: str, *, room: int | None = None
    ) -> bytes:
        await self._gates.wait()
        return payload

    def forget(self, prediction_id: str) -> None:
        return


def courier(folders: RuntimeFolder, gates: Gates, *, max_output: int = 1 << 30) -> Courier:
    """A real courier, who waits at `gates`."""
    return Courier(folders, GatedFetcher(gates), GatedPublisher(gates), max_output=max_output)  # type: ignore[arg-type]


ERRORS = (
    DownloadError("it is gone"),
    UploadError("it is refused"),
    OSError("no space"),
    KeyError("a fault of ours"),
)


class Witness:
    """A listener that knows what may follow what."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.wrong: list[str] = []

    def notice(self, prediction: Prediction, event: Event) -> None:
        if self.ended:
            self.wrong.append(f"{event} after the end")
        if not isinstance(event, Started | Done) and self.started != 1:
            self.wrong.append(f"{event} before the start")
        self.events.append(event)

    @property
    def ended(self) -> bool:
        return any(isinstance(event, Done) for event in self.events)

    @property
    def started(self) -> int:
        return sum(isinstance(event, Started) for event in self.events)

    @property
    def logs(self) -> str:
        return "".join(event.text for event in self.events if isinstance(event, Log))
