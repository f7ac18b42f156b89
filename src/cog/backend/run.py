"""A run on a worker, as the server knows it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from typing import Protocol

from cog.backend.protocol import Member, Order, Sink
from cog.prediction.events import Done, Event, Status
from cog.worker.messages import Start, StartBatch


class Host(Protocol):
    """The worker that it is on."""

    def cancel(self, run: WorkerRun) -> None:
        """Ask for its end."""


class WorkerRun:
    """A run on a worker: `Run` of the backend's protocol."""

    __slots__ = (
        "_folder",
        "_members",
        "_worker",
        "begun",
        "canceling",
        "deadline",
        "ended",
        "number",
        "overtime",
        "sink",
    )

    def __init__(self, worker: Host, number: int, order: Order, sink: Sink) -> None:
        self._worker = worker
        self.number = number
        self._folder = order.folder
        self._members = order.members
        self.sink = sink
        self.begun = False
        self.canceling = False
        self.ended = False
        self.overtime: str | None = None  # why it is cancelled, when that is for the time that it takes
        # Of its end; once it is cancelled that of its worker.
        self.deadline: asyncio.TimerHandle | None = None

    def cancel(self) -> None:
        """Ask for its end."""
        self._worker.cancel(self)

    def arm(self, loop: asyncio.AbstractEventLoop, limit: float) -> None:
        """Cancel it in `limit` seconds, and let it fail."""
        self.deadline = loop.call_later(limit, self._time_out, limit)

    def _time_out(self, limit: float) -> None:
        self.overtime = (
            f"TimeoutError: the prediction took longer than --predict-timeout {limit:g} seconds, so it was stopped. Ask for "
            "less work at a time, or allow more with --predict-timeout (COG_PREDICT_TIMEOUT)"
        )
        self.cancel()

    def disarm(self) -> None:
        """Its deadline counts no more."""
        if self.deadline is not None:
            self.deadline.cancel()
            self.deadline = None

    def verdict(self, done: Done) -> Done:
        """How it ends, given what became of it: what took too long has failed, unless it came to its end all the same."""
        if self.overtime is None or done.status is not Status.CANCELED:
            return done
        return done._replace(status=Status.FAILED, error=self.overtime)

    def drop(self) -> None:
        """It is cancelled before it was begun: for its client that is the end, whatever the worker will say."""
        sink, self.sink = self.sink, _nobody
        sink(Done(Status.CANCELED, time.time()))

    def of_death(self, cause: str, *, unseen: bool) -> Done:
        """How it ends with its worker. `unseen` says that the model never got the order."""
        if self.canceling:
            return Done(Status.CANCELED, time.time())
        return Done(Status.FAILED, time.time(), error=f"WorkerDied: {cause}", unseen=unseen)

    @property
    def size(self) -> int:
        """How many predictions it is."""
        return len(self._members) or 1

    @property
    def members(self) -> Iterable[tuple[int, Member]]:
        """Each prediction of a batch with its number, as `StartBatch` counts."""
        return enumerate(self._members, self.number + 1) if self._members else ()

    @property
    def folders(self) -> list[str]:
        """Where files of its output may be."""
        return [member.folder for member in self._members] or [self._folder]


def _nobody(event: Event) -> None:
    """Who has ended takes nothing more."""


def message_of(number: int, order: Order) -> Start | StartBatch:
    """The order as the worker gets it."""
    if order.members:
        members = [(member.folder, dict(member.context)) for member in order.members]
        return StartBatch(number, members, order.payload)
    return Start(number, order.folder, dict(order.context), order.payload)
