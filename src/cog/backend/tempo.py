"""When server and worker look for more without a pause instead of sleeping (`--busy-poll`).

To be woken takes some 40 us, four times for a prediction: more than a short one itself. That counts where somebody waits
for each prediction before asking for the next, and nobody else asks for anything. As long as those come close together
both look: for one answer that takes no more processor time than to sleep and be woken (docs/performance.md). In all
other cases others have more use for the processor, and nobody looks.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from time import perf_counter
from typing import Final

from cog.backend.poll import Poll
from cog.worker.busy_poll import BusyPoll
from cog.worker.messages import Down, Look

# So many in a row are no chance.
_ROW: Final = 16


class Tempo:
    """How the orders of one worker come, and whether both sides look for what comes next."""

    def __init__(self, poll: Poll, loop: asyncio.AbstractEventLoop, send: Callable[[Down], object]) -> None:
        """`send` sends to the worker."""
        self._seconds, self._always = poll
        self._poll = BusyPoll(loop, poll.seconds)
        self._send = send
        self._last = 0.0
        # Orders that came one at a time, each soon after the one before.
        self.row = _ROW if poll.always else 0
        self.looks = False

    def comes(self, *, alone: bool) -> None:
        """An order is about to be sent, to a worker that has no other if it is `alone`. While `row` is 0 others need not be
        told."""
        if not self._always:
            now = perf_counter()
            soon = now - self._last < self._seconds
            self._last = now
            self.row = self.row + 1 if alone and soon else 0
        if self.looks is not (looks := self.row >= _ROW):
            self.looks = looks
            self._send(Look(self._seconds if looks else 0.0))
        if looks:
            self._poll.wake()

    def ended(self) -> None:
        """A run has ended."""
        self._poll.wake()
