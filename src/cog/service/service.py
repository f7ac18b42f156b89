"""The service: who may run now, what is running under which id, and how it all ends."""

from __future__ import annotations

import asyncio
import itertools
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Final, Protocol

from cog.backend.protocol import Backend, State
from cog.errors import NotReady
from cog.prediction.events import Source
from cog.prediction.history import CAPACITY
from cog.prediction.record import NOBODY, Listener, Prediction, Standing
from cog.prediction.request import PredictionRequest
from cog.service.batch import start_all
from cog.service.capacity import Capacity, Limits
from cog.service.courier import Courier
from cog.service.intake import Door, Intake, Lifting
from cog.service.journey import Journey
from cog.service.line import Line
from cog.service.wording import PREDICTIONS, Wording
from cog.signature.facts import Signature

log = logging.getLogger("cog.service")

# Of the folders of predictions, for all services of a server: they lie in one place.
_NUMBERS: Final = itertools.count(1)

# A model in these does not come up again.
_HOPELESS: Final = (State.DEFUNCT, State.SETUP_FAILED)

Audience = Callable[[PredictionRequest], Sequence[Listener]]


class ModelOutput(Protocol):
    """Takes what the model printed outside of any prediction."""

    def __call__(self, text: str, source: Source, worker: int, setup: bool) -> None:
        """Show `text`."""


class Service:
    """Accepts predictions, gives them slots in the order of their arrival, and knows those that have not ended.

    A place is one of the backend's slots or of the queue's, promised to a prediction from its acceptance until the model
    is done with it; so whatever is accepted gets a slot, after its files are there.
    """

    def __init__(
        self,
        backend: Backend,
        courier: Courier,
        audience: Audience,
        show: ModelOutput,
        *,
        local_files: bool = False,
        max_files: int = 1000,
        stream_history: int = CAPACITY,
        standing: Standing = NOBODY,
        wording: Wording = PREDICTIONS,
        limits: Limits = Limits(),  # noqa: B008  it is frozen
    ) -> None:
        """`audience` gives the listeners of a new prediction beside the `standing` ones; `show` takes what is printed outside
        of any; `max_files` is for one input, `stream_history` the events that who comes later is told; `wording` is that of
        refusals."""
        self.backend = backend
        self._courier = courier
        self._audience = audience
        self._show = show
        self._local_files = local_files
        self._max_files = max_files
        self._stream_history = stream_history
        self._standing = standing
        self._wording = wording
        self._active: dict[str, Journey] = {}
        self._limits = limits
        self._capacity = Capacity(backend, limits, wording)
        self._line = Line(limits.queue_timeout, self._serve)
        self._taken = 0
        self._door: Door | None = None
        self._draining = False
        self._idle = asyncio.Event()
        self._idle.set()
        self._watchers: list[Callable[[], None]] = []
        self._drained = False
        self._after_drain: list[Callable[[], None]] = []

    async def start(self) -> None:
        """Begin to set the model up."""
        await self.backend.start(self)

    # Requests

    def find(self, prediction_id: str) -> Prediction | None:
        """The prediction with this id, if it has not ended."""
        journey = self._active.get(prediction_id)
        return None if journey is None else journey.prediction

    def active(self) -> Iterator[Prediction]:
        """Every prediction that has not ended, oldest first."""
        return (journey.prediction for journey in self._active.values())

    def check_ready(self) -> None:
        """Raises:
        NotReady: the model cannot run anything now.
        """
        if self._draining:
            raise NotReady(f"the server is shutting down and takes no new {self._wording.plural}")
        if (state := self.backend.state) is not State.READY:
            raise NotReady(
                self._wording.explain(self.backend.standing),
                retry_after=None if state is State.SETUP_FAILED else 1,
            )

    def take(self, raw: bytes) -> Intake:
        """Check an input; the model must be ready.

        Raises:
            InvalidRequest: with everything that is wrong.
        """
        return self._open_door().take(raw)

    def take_lifted(self, raw: bytes, lifted: Lifting) -> Intake | None:
        """The same for one whose long data URLs were lifted out of it; None when it has to be taken as it was sent."""
        return self._open_door().take_lifted(raw, lifted)

    def replaced_since(self, intake: Intake) -> bool:
        """True when another model has taken the place of the one that `intake` was checked for."""
        signature = self.backend.signature
        return signature is not None and signature is not intake.signature

    def _open_door(self) -> Door:
        door, signature = self._door, self.backend.signature
        assert signature is not None
        if door is None or door.signature is not signature:  # the first one, or the model is another by now
            door = self._door = Door(signature, local_files=self._local_files, max_files=self._max_files)
        return door

    def submit(self, request: PredictionRequest, intake: Intake) -> Prediction:
        """Accept a prediction: from here on it gets its run, or is cancelled, and ends.

        Raises:
            AtCapacity: every place is taken.
            InvalidRequest: the model was replaced since the input was checked, and takes others now.
        """
        self._capacity.check(self._taken)
        signature = self.backend.signature
        assert signature is not None
        if intake.signature is not signature and intake.signature is not None:
            intake = self.take(request.input)
        prediction = Prediction(
            request.id,
            intake.public,
            created_at=time.time(),
            streams=signature.yields,
            capacity=self._stream_history,
            standing=self._standing,
        )
        prediction.listeners.extend(self._audience(request))
        rule = None if signature.batch is None else self._limits.rule(signature)
        journey = Journey(prediction, request, intake, self._courier, self, next(_NUMBERS), rule)
        self._active[request.id] = journey
        self._taken += 1
        self._idle.clear()
        journey.begin()
        return prediction

    def cancel(self, prediction_id: str) -> bool:
        """Cancel a prediction. False when none with this id is in flight."""
        journey = self._active.get(prediction_id)
        if journey is None:
            return False
        journey.cancel()
        return True

    @property
    def full(self) -> bool:
        """True when a request would have to wait for a slot, or be refused for want of a place."""
        return self._taken >= self._capacity.places

    @property
    def yields(self) -> bool:
        """True when the output of the model is the list of the chunks that it yields."""
        return self.backend.signature is not None and self.backend.signature.yields

    # Places (`Places`)

    def ask_slot(self, journey: Journey) -> None:
        """Start it now, or in its turn. That comes first for one that had a slot in vain: it came before all that wait."""
        alone = journey.rule is None and not self._line
        if alone and self.backend.room > 0 and journey.start(self.backend.run):
            if journey.ahead:
                self._line.limit(journey)
            else:
                self._line.called(journey)
            return
        self._line.join(journey)
        self._serve()
        self._give_up_hope()

    def leave_queue(self, journey: Journey) -> None:
        """Forget that it waits."""
        self._line.leave(journey)

    def begun(self, journey: Journey) -> None:
        """It had been sent ahead, and waits no more."""
        self._line.called(journey)

    def position(self, journey: Journey) -> int | None:
        """Where it waits, 1 for the next; None when it does not."""
        return self._line.position(journey)

    def served(self, seconds: float) -> None:
        """The model took so long for one."""
        self._capacity.served(seconds)

    def give_back(self, journey: Journey) -> None:
        """A place is free."""
        self._taken -= 1
        for watcher in self._watchers:
            watcher()

    def ended(self, journey: Journey) -> None:
        """Forget it."""
        self._active.pop(journey.prediction.id, None)
        self._line.called(journey)
        journey.prediction.listeners.clear()
        if not self._active:
            self._idle.set()

    # What the backend tells (`Watcher`)

    def changed(self) -> None:
        """Slots may be free."""
        self._serve()
        self._give_up_hope()
        for watcher in self._watchers:
            watcher()

    def _serve(self) -> None:
        """Start what waits, as far as there are slots."""
        line, backend = self._line, self.backend
        # They wait for an older version of the model, or their worker has just died.
        blocked: list[Journey] = []
        room = backend.room if line else 0
        while line and room > 0:
            together = line.next(lambda: backend.free <= 0)
            if not together:
                break  # they wait for company
            if start_all(together, backend.run):
                room -= 1
                for journey in together:
                    if not journey.ahead:
                        line.called(journey)
            else:
                blocked += together
                room = 0
            room = room or backend.room  # behind the last free slot there may be room ahead
        for journey in blocked:
            line.join(journey)

    def _give_up_hope(self) -> None:
        """What waits for a model that does not come up again fails, with the cause."""
        if self._line and self.backend.state in _HOPELESS:
            cause = f"WorkerDied: {self._wording.explain(self.backend.standing)}"
            while self._line:
                journey = self._line.head()
                self._line.called(journey)
                journey.abandon(cause)

    def printed(self, text: str, source: Source, worker: int, setup: bool) -> None:
        """Show what belongs to no prediction."""
        self._show(text, source, worker, setup)

    def watch(self, call: Callable[[], None]) -> None:
        """Call `call` whenever the standing, the slots or the places may have changed. It must return at once."""
        self._watchers.append(call)

    def awaits(self, signature: Signature) -> bool:
        """True while a prediction whose input was checked against `signature` has no slot yet."""
        return any(journey.waits_for is signature for journey in self._active.values())

    # The end

    @property
    def draining(self) -> bool:
        """True when the end has begun."""
        return self._draining

    def close(self) -> None:
        """Take nothing new, from this moment on."""
        self._draining = True
        self._line.hurry()

    async def drain(self, timeout: float, grace: float) -> None:
        """Take nothing new; let what runs finish for `timeout` seconds, then cancel it and wait `grace` seconds more. What
        has not ended by then hangs in the system: it is ended without that, so that its client gets an answer."""
        self.close()
        if not await self._becomes_idle(timeout):
            log.warning("%d %s are cancelled: the server shuts down", len(self._active), self._wording.plural)
            for journey in tuple(self._active.values()):
                journey.cancel()
            if not await self._becomes_idle(grace + 1):
                self._abandon_all()
        self._drained = True
        for call in self._after_drain:
            call()

    def _abandon_all(self) -> None:
        log.error(
            "%d %s are ended although they still wait: usually for a disk or a network file system that does not answer",
            len(self._active),
            self._wording.plural,
            extra={"fields": {"prediction_ids": list(self._active)}},
        )
        for journey in tuple(self._active.values()):
            journey.abandon("the server shuts down")

    @property
    def drained(self) -> bool:
        """True when everything has ended, or the time for it is over: what still asks the model need not wait."""
        return self._drained

    def when_drained(self, call: Callable[[], None]) -> None:
        """Call `call` once at that moment. It must return at once."""
        self._after_drain.append(call)

    async def _becomes_idle(self, timeout: float) -> bool:
        try:
            await asyncio.wait_for(self._idle.wait(), timeout)
        except asyncio.TimeoutError:
            return False
        return True
