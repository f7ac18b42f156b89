"""Orders that a worker has before it can begin them, so that between two runs neither side waits for the other.

Strictly in turns a run of 20 us costs ten times as much: a message, a sleep and a waking up on each side. And a model that
takes batches waited for half a millisecond between two of them, while the server answered those who were in the first.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from cog.backend.run import WorkerRun
from cog.signature.facts import Signature

# Orders of one prediction each, at most, and the seconds that all of them may take: nobody waits longer for having been
# sent too early, and a worker with longer runs has nothing to gain. Of batches it is one, however long they take.
_DEEPEST: Final = 32
_LONGEST: Final = 0.002
# Runs without a byte on the descriptors 1 and 2. Whose text that is can be told only while one run is on its way.
_QUIET: Final = 64
_WEIGHT: Final = 0.1  # of the latest run in the mean


class Ahead:
    """The orders of one worker that it has not begun, in their order, and how many more there may be."""

    def __init__(self) -> None:
        self.runs: deque[WorkerRun] = deque()
        self._suits = True
        self._batches = False
        self._mean = _LONGEST
        self._quiet = 0
        self._depth = 0  # how many there may be

    def suit(self, model: Signature) -> None:
        """It is for this model. One that has several runs on their way at a time gets none ahead."""
        self._suits, self._batches = not model.is_async, model.batch is not None

    @property
    def room(self) -> int:
        """How many more may be sent."""
        return self._depth - len(self.runs)

    def ended(self, seconds: float) -> None:
        """A run has taken so long."""
        mean = self._mean = self._mean + _WEIGHT * (min(seconds, 1.0) - self._mean)
        self._quiet += 1
        if self._quiet < _QUIET or not self._suits:
            self._depth = 0
        elif self._batches:
            self._depth = 1
        elif mean >= _LONGEST:
            self._depth = 0
        else:
            self._depth = _DEEPEST if mean * _DEEPEST <= _LONGEST else int(_LONGEST / mean)

    def heard(self) -> None:
        """Something was written to a descriptor."""
        self._quiet = self._depth = 0
