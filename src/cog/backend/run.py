"""A run on a worker, as the server knows it."""

from __future__ import annotations

import asyncio
from typing import Protocol

from cog.backend.protocol import Sink


class Host(Protocol):
    """The worker that it is on."""

    def cancel(self, run: WorkerRun) -> None:
        """Ask for its end."""


class WorkerRun:
    """A run on a worker: `Run` of the backend's protocol."""

    __slots__ = ("_worker", "canceling", "deadline", "ended", "folder", "number", "sink")

    def __init__(self, worker: Host, number: int, folder: str, sink: Sink) -> None:
        self._worker = worker
        self.number = number
        self.folder = folder
        self.sink = sink
        self.canceling = False
        self.ended = False
        self.deadline: asyncio.TimerHandle | None = None

    def cancel(self) -> None:
        """Ask for its end."""
        self._worker.cancel(self)
