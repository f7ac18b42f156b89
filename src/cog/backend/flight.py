"""What one worker has to do: the runs that it has begun, and those that it was sent ahead."""

from __future__ import annotations

from collections.abc import Callable

from cog.backend.ahead import Ahead
from cog.backend.protocol import Order, Sink
from cog.backend.run import Host, WorkerRun
from cog.prediction.events import Done
from cog.worker.messages import Down


class Flight:
    """Runs by their numbers, which go up in the order in which they are sent."""

    def __init__(self) -> None:
        self.begun: dict[int, WorkerRun] = {}
        self.ahead = Ahead()
        self._members: dict[int, Sink] = {}  # of batches
        self._next = 1
        self._last = 0

    def new(self, host: Host, order: Order, sink: Sink) -> WorkerRun:
        """A run that is about to be sent."""
        number = self._last = self._next
        self._next += 1 + len(order.members)
        return WorkerRun(host, number, order, sink)

    def tell(self, send: Callable[[Down], object], message: Down) -> None:
        """Send what is no order: what is unread from here on need not be one."""
        self._last = 0
        send(message)

    def next(self) -> WorkerRun:
        """The next of those that were sent, which is begun now; there must be one."""
        run = self.ahead.runs.popleft()
        self.begun[run.number] = run
        run.begun = True
        for number, member in run.members:
            self._members[number] = member.sink
        return run

    def sink(self, number: int | None) -> Sink | None:
        """Who takes what has this number; None when nobody does any more, and for what has none."""
        if number is None:
            return None
        run = self.begun.get(number)
        return self._members.get(number) if run is None else run.sink

    def writer(self, catch_up: Callable[[], bool]) -> WorkerRun | None:
        """The run that has written to a descriptor; None when nobody can tell. With orders ahead it may be the next one, which
        would have begun after an end that was told: `catch_up` takes what was told, if that can be now."""
        self.ahead.heard()
        if len(self.begun) != 1:
            return None
        (run,) = self.begun.values()
        if self.ahead.runs and not catch_up():
            return None
        return None if run.ended else run

    def pop_member(self, number: int) -> Sink | None:
        """The same for the end of a member of a batch."""
        return self._members.pop(number, None) if self._members else None

    def finish(self, run: WorkerRun, done: Done) -> None:
        """A run has ended."""
        del self.begun[run.number]
        if self._members:
            for number, _ in run.members:
                self._members.pop(number, None)
        run.ended = True
        if run.deadline is not None:
            run.disarm()
        run.sink(done if run.overtime is None else run.verdict(done))

    def die(self, cause: str, *, unread: bool) -> None:
        """All of them end with their worker. `unread` says that it has not read everything that was sent: orders are read
        one after another, so the last one was not, whatever became of those before."""
        for run in tuple(self.begun.values()):
            self.finish(run, run.of_death(cause, unseen=unread and run.number == self._last))
        while self.ahead.runs:
            run = self.ahead.runs.popleft()
            run.sink(run.of_death(cause, unseen=True))
