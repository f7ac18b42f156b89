"""When server and worker look for more without a pause instead of sleeping (`--busy-poll`).

To be woken takes some 40 us, four times for a prediction: more than a short one itself. That counts where somebody waits for
each prediction before asking for the next, and nobody else asks for anything. While all waits are short, both look: what
that takes of the processor is about what sleeping and being woken takes (docs/performance.md), and at most as long as the
waits. In all other cases others have more use for the processor, and nobody looks.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from time import perf_counter
from typing import Final, Protocol

from cog.backend.poll import Poll
from cog.worker.busy_poll import BusyPoll
from cog.worker.messages import Down, Look

# So many in a row are no chance. One in as many may come otherwise: the system is slow at times.
_ROW: Final = 16


class Told(Protocol):
    """A worker."""

    @property
    def tell(self) -> Callable[[Down], object]:
        """Sends to its process."""


class Tempo:
    """How orders come to all workers of a model, and who looks for what comes next."""

    def __init__(self, poll: Poll, loop: asyncio.AbstractEventLoop) -> None:
        self._seconds, self._always = poll
        self._server = BusyPoll(loop, poll.seconds)
        self._looking: Told | None = None
        self._sent = self._ended = 0.0
        self._short = False  # the latest run was over soon
        # Whoever waited for the latest run has its end: an order that comes before that has waited in a queue.
        self.told = False
        # What orders that came one at a time, with short waits, have brought, and others have taken away. While it is 0 and
        # nothing was `told` an order need not be reported.
        self.row = 1 if poll.seconds and poll.always else 0

    def ready(self, worker: Told) -> None:
        """It is set up."""
        if self._always and self._seconds:
            worker.tell(Look(self._seconds))

    def comes(self, worker: Told, *, alone: bool) -> None:
        """An order is about to be sent to `worker`. It is `alone` when it is of one prediction and no worker has another."""
        if not self._always:
            now = perf_counter()
            soon = alone and self.told and self._short and now - self._ended < self._seconds
            self._sent, self.told = now, False
            self.row = min(self.row + 1, 2 * _ROW) if soon else max(self.row - _ROW, 0)
            self._let_look(worker if self.row >= _ROW else None)
        if self._always or self._looking is not None:
            self._server.wake()

    def ended(self) -> None:
        """Runs have ended, and everybody knows."""
        if not self._seconds:
            return
        if not self._always:
            self._ended, self.told = perf_counter(), True
            self._short = self._ended - self._sent < self._seconds
        if self._always or self._looking is not None:
            self._server.wake()

    def _let_look(self, worker: Told | None) -> None:
        """It, and no other one."""
        if worker is self._looking:
            return
        if self._looking is not None:
            self._looking.tell(Look(0.0))
        self._looking = worker
        if worker is not None:
            worker.tell(Look(self._seconds))
