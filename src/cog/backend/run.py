"""A run on a worker, as the server knows it."""

from __future__ import annotations

import asyncio
from typing import Protocol

from cog.backend.protocol import Sink
from cog.prediction.events import Done, Status


class Host(Protocol):
    """The worker that it is on."""

    def cancel(self, run: WorkerRun) -> None:
        """Ask for its end."""


class WorkerRun:
    """A run on a worker: `Run` of the backend's protocol."""

    __slots__ = ("_worker", "canceling", "deadline", "ended", "folder", "number", "overtime", "sink")

    def __init__(self, worker: Host, number: int, folder: str, sink: Sink) -> None:
        self._worker = worker
        self.number = number
        self.folder = folder
        self.sink = sink
        self.canceling = False
        self.ended = False
        self.overtime: str | None = None  # why it is cancelled, when that is for the time that it takes
        self.deadline: asyncio.TimerHandle | None = (
            None  # of its end; once it is cancelled that of its worker
        )

    def cancel(self) -> None:
        """Ask for its end."""
        self._worker.cancel(self)

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
