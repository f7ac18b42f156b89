"""One worker as the server sees it: orders down, events up, cancels, its setup and its end."""

from __future__ import annotations

import asyncio
import time
from typing import Final, cast

from cog.backend.checkup import Checkup, Verdict
from cog.backend.endings import FROZEN, done_of, files_of
from cog.backend.flight import Flight
from cog.backend.head_start import begin
from cog.backend.link import Link
from cog.backend.owner import Fate, Owner, Spec
from cog.backend.pipes import Pipes
from cog.backend.process import TRESPASS, Process
from cog.backend.protocol import Order, Sink
from cog.backend.pulse import Pulse
from cog.backend.run import WorkerRun, message_of
from cog.errors import NotReady, ProtocolError
from cog.prediction.events import Done, Log, Metric, Output, Source, Started, Status
from cog.signature import wire
from cog.signature.facts import Signature
from cog.signature.scalars import JSON
from cog.worker.messages import (
    Alive,
    AskHealth,
    Broken,
    Cancel,
    Ended,
    Healthy,
    Load,
    Measured,
    Ping,
    Printed,
    PutOut,
    Ready,
    TooLate,
    Up,
)

# Seconds for a process to end whose socket is closed already. One that lives on has lost its channel.
_LINGER: Final = 1.0


class Worker:
    """One worker process. It takes `slots` runs at once when it is ready, and none while a cancel is unanswered."""

    def __init__(self, index: int, spec: Spec, owner: Owner[Worker], mark: str) -> None:
        """`mark` is this worker's alone; see `strays`."""
        self.index = index
        self.spec = spec
        self.mark = mark
        self.signature: Signature | None = None
        self.slots = 0
        self.started_at = 0.0
        self.served = 0  # predictions whose end it told
        self.retiring = False
        # The folders of ended runs that still go on, and may make theirs again.
        self.written_off: list[str] = []
        self._owner = owner
        self._flight = Flight()
        self._unanswered: set[int] = set()  # cancels that the worker has not answered
        self._farewell = "", 0.0  # why it retires, and the seconds that it has to end by itself
        self._expected: str | None = None  # why it is ended on purpose
        self._fault: str | None = None  # why it is ended although nobody wanted that
        self._gone = False  # nobody reads our orders any more
        self._lingering: asyncio.TimerHandle | None = None
        self._process: Process | None = None
        self.ended = asyncio.Event()

    def start(self, loop: asyncio.AbstractEventLoop, process: Process | None = None) -> None:
        """Start the process, unless it was; it begins its setup at once.

        Raises:
            WorkerDied: it cannot be started.
        """
        self._loop = loop
        self.started_at = time.time()
        self._process = process = process or begin(self.spec, self.mark, self.index)
        self._data = Link(process.data, loop, self._take, self._distrust, self._on_gone)
        self._control = Link(process.control, loop, self._take_control, self._distrust, self._on_gone)
        self._pulse = Pulse(loop, lambda: self._control.send(Ping()), self._on_pulse)
        self._checkup = Checkup(loop, lambda number: self._control.send(AskHealth(number)))
        self.tell = lambda message: self._flight.tell(self._data.send, message)
        self._pipes = Pipes(process.stdout, process.stderr, self._take_text)
        self._pipes.start(loop)
        process.when_ended(loop, self._on_end)
        spec = self.spec
        self._data.send(Load(spec.reference, spec.folder, spec.max_concurrency, spec.train, spec.survey))

    @property
    def pid(self) -> int:
        """The process id; 0 before it was started."""
        return 0 if self._process is None else self._process.pid

    @property
    def ready(self) -> bool:
        """True when it is set up and not on its way out."""
        leaves = self.retiring or self._gone or self._expected is not None or self._fault is not None
        return not leaves and self.slots > 0

    @property
    def frozen(self) -> bool:
        """True when its control socket has been silent for 5 seconds. It may answer again."""
        return self._process is not None and self._pulse.frozen

    @property
    def busy(self) -> int:
        """How many runs are on it. The next one is, as soon as one has ended."""
        return len(self._flight.begun) or min(1, len(self._flight.ahead.runs))

    @property
    def capacity(self) -> int:
        """How many runs it can have at once: no more than it has, when it takes no others."""
        return self.slots if self.ready and not self.frozen else len(self._flight.begun)

    @property
    def free(self) -> int:
        """How many more runs it takes now. None while a cancel is unanswered: a late one could hit the next run."""
        if not self.ready or self._unanswered or self._pulse.frozen:
            return 0
        return self.slots - len(self._flight.begun)

    @property
    def room(self) -> int:
        """How many more orders it takes now: as it has free slots, or ahead, of a model with short runs, one after the other."""
        if not self.ready or self._unanswered or self._pulse.frozen:
            return 0
        return (self.slots - len(self._flight.begun)) or self._flight.ahead.room

    # Orders

    def run(self, order: Order, sink: Sink) -> WorkerRun:
        """Start a run; there must be a free slot, or room ahead.

        Raises:
            NotReady: the worker has just died, and the model has seen nothing of it.
        """
        run, begun = self._flight.new(self, order, sink), self._flight.begun
        if not self._data.send(message_of(run.number, order), now=not begun):
            self._gone = True
            raise NotReady(f"worker {self.index} has ended")
        self._flight.ahead.runs.append(run)
        if len(begun) < self.slots:
            self._begin_next()
        return run

    def _begin_next(self) -> None:
        """What was sent ahead is begun, as far as there are slots."""
        flight = self._flight
        while flight.ahead.runs and len(flight.begun) < self.slots:
            run = flight.next()
            if run.canceling:  # it has ended for its client, and the worker has not heard of that yet
                run.deadline = self._loop.call_later(self.spec.cancel_grace, self._on_deaf, run)
                return
            if self.spec.predict_timeout is not None:
                run.arm(self._loop, self.spec.predict_timeout)
            run.sink(Started(time.time()))

    def cancel(self, run: WorkerRun) -> None:
        """Cancel a run: once, however often it is asked. After the grace it ends without the model's consent."""
        if run.canceling or run.ended:
            return
        run.canceling = True
        run.disarm()
        if self.frozen and run.begun:
            self.kill(FROZEN)
            return
        self._unanswered.add(run.number)
        self._control.send(Cancel(run.number))
        if not run.begun:
            run.drop()
            return
        run.deadline = self._loop.call_later(self.spec.cancel_grace, self._on_deaf, run)

    def _on_deaf(self, run: WorkerRun) -> None:
        """The grace is over. A sync model is ended with its process; an async one serves the others first."""
        if self.signature is not None and self.signature.is_async:
            self._unanswered.discard(run.number)
            self.written_off += run.folders
            self._flight.finish(run, Done(Status.CANCELED, time.time()))
            self.retire("it did not react to a cancel")
            self._owner.worker_changed(self)
        else:
            self.kill("it did not react to a cancel")

    def _on_pulse(self) -> None:
        """It froze, or it answers again. The end of a run that was cancelled before is not waited for."""
        if self.frozen and any(run.canceling for run in self._flight.begun.values()):
            self.kill(FROZEN)
        self._owner.worker_froze(self, self.frozen)

    async def check_health(self) -> Verdict:
        """The model's own verdict and what it says; not answering for 5 seconds is a no."""
        return await self._checkup.ask()

    def retire(self, why: str, *, grace: float = 0.0) -> None:
        """Give it no more runs; it ends after those it has, by itself if it does so within `grace` seconds."""
        if self.ended.is_set():
            return
        self.retiring = True
        self._farewell = why, grace
        if not self.busy:
            self._leave()

    def _leave(self) -> None:
        why, grace = self._farewell
        self._expected = self._expected or why
        if grace > 0 and not self.frozen:
            self.finish()
            if self._lingering is None:
                self._lingering = self._loop.call_later(grace, self.kill, why)
        else:
            self.kill(why)

    def finish(self) -> None:
        """Let it end by itself after its last run."""
        self._expected = self._expected or "it was told to end"
        if self._process is not None and not self.ended.is_set():
            self._data.finish()

    def kill(self, why: str) -> None:
        """End it and all its children now; `why` goes to the log, its runs end by what was asked of them."""
        self._expected = self._expected or why
        if self._process is not None and not self.ended.is_set():  # its number may be another's by then
            self._process.kill()

    # Events

    def _take_control(self, messages: list[Up]) -> None:
        self._pulse.heard()
        self._take(messages)

    def _take(self, messages: list[Up]) -> None:
        drained = ended = False
        for message in messages:
            match message:
                case Ended():
                    if not drained:  # once for all that arrived together: their prints were there before
                        self._drain_pipes()
                        drained = True
                    ended = self._end_run(message) or ended
                case Printed(number, source, text):
                    self._on_text(number, text.decode("utf-8", "replace"), source)
                case PutOut(number, files, payload):
                    if (sink := self._flight.sink(number)) is not None:
                        sink(Output(payload, files_of(files) if files else ()))
                case Measured(number, name, value, mode):
                    if (sink := self._flight.sink(number)) is not None:
                        sink(Metric(name, value, mode))
                case TooLate(number):
                    self._unanswered.discard(number)
                    self._owner.worker_changed(self)
                case Alive():
                    self._pulse.answered()
                case Healthy(seq, healthy, said):
                    self._checkup.take(seq, Verdict(healthy, said))
                case Ready(signature):
                    self._on_ready(signature)
                case Broken(error):
                    self._drain_pipes()
                    self._expected = error
                    self._owner.worker_broken(self, error)
        if ended:  # what the end of runs means for others, once for all that ended together
            if self.retiring and not self._flight.begun:
                self._leave()
            self._owner.worker_served(self)

    def _distrust(self, error: ProtocolError) -> None:
        """Only code that writes into our descriptor breaks the protocol: the worker cannot be trusted any more."""
        text = f"cog: the worker's channel is broken ({error}), so the worker is ended\n"
        self._owner.worker_printed(self, text, "stderr")
        self._condemn(TRESPASS)

    def _on_gone(self) -> None:
        """A socket was closed. That is how a process ends, but it may also be the model that closed it."""
        if self._lingering is None:
            self._lingering = self._loop.call_later(_LINGER, self._condemn, TRESPASS)

    def _condemn(self, fault: str) -> None:
        """End it for a fault, which counts as a death."""
        self._fault = fault
        if self._process is not None:
            self._process.kill()

    def _on_ready(self, signature: dict[str, object]) -> None:
        self._drain_pipes()
        try:
            self.signature = loaded = wire.load(cast("dict[str, JSON]", signature))
        except ProtocolError as error:
            self._distrust(error)
        else:
            self._flight.ahead.suit(loaded)
            self._pulse.start()
            self._owner.worker_ready(self)

    def _on_text(self, number: int | None, text: str, source: Source) -> None:
        if (sink := self._flight.sink(number)) is None:
            self._owner.worker_printed(self, text, source)
        else:
            sink(Log(text, source))

    def _end_run(self, message: Ended) -> bool:
        if (member := self._flight.pop_member(message.run)) is not None:
            member(done_of(message, time.time()))
            return False  # it was one of a batch, whose call goes on
        if message.canceled:
            self._unanswered.discard(message.run)
        if (run := self._flight.begun.get(message.run)) is not None:
            self.served += run.size
            self._flight.finish(run, done_of(message, time.time()))
            self._flight.ahead.ended(message.seconds)
            self._begin_next()
        return True

    def _take_text(self, text: str, source: Source) -> None:
        """Bytes from a descriptor belong to the one run in flight, if there is exactly one."""
        if (run := self._flight.writer(self._data.catch_up)) is None:
            self._owner.worker_printed(self, text, source)
        else:
            run.sink(Log(text, source))

    def _drain_pipes(self) -> None:
        """Read what is in the pipes now; the text of a last run is complete with that."""
        self._pipes.drain()
        if len(self._flight.begun) <= 1:
            self._pipes.cut()

    def _on_end(self) -> None:
        assert self._process is not None
        self._process.kill()  # what it has left behind
        self._data.drain()
        self._drain_pipes()
        cause = self._expected or self._fault or self._process.obituary(ready=self.slots > 0)
        self.slots = 0
        self._flight.die(cause, unread=self._data.unread)
        self._checkup.end(Verdict(False, cause))
        self._pulse.stop()
        if self._lingering is not None:
            self._lingering.cancel()
        for link in (self._data, self._control):
            link.close()
        self._pipes.stop()
        self._process.close()
        self.ended.set()
        self._owner.worker_ended(self, Fate(cause, self._expected is not None))
