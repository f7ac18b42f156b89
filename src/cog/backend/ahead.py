"""Orders that a worker has before it can begin them, so that between two short runs neither side waits for the other.

Strictly in turns a run of 20 us costs ten times as much: a message, a sleep and a waking up on each side.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from cog.backend.run import WorkerRun

# Orders at most, and the seconds that all of them may take: nobody waits longer for having been sent too early, and
# a worker with longer runs has nothing to gain.
_DEEPEST: Final = 32
_LONGEST: Final = 0.002
# Runs without a byte on the descriptors 1 and 2. Whose text that is can be told only while one run is on its way.
_QUIET: Final = 64
_WEIGHT: Final = 0.1  # of the latest run in the mean


class Ahead:
    """The orders of one worker that it has not begun, in their order, and how many more there may be."""

    def __init__(self) -> None:
        self.runs: deque[WorkerRun] = deque()
        # False where several runs are on their way at a time, or several predictions in one.
        self.suits = True
        self._mean = _LONGEST
        self._quiet = 0
        self._depth = 0  # how many there may be

    @property
    def room(self) -> int:
        """How many more may be sent."""
        return self._depth - len(self.runs)

    def ended(self, seconds: float) -> None:
        """A run has taken so long."""
        mean = self._mean = self._mean + _WEIGHT * (min(seconds, 1.0) - self._mean)
        self._quiet += 1
        if self._quiet < _QUIET or mean >= _LONGEST or not self.suits:
            self._depth = 0
        else:
            self._depth = _DEEPEST if mean * _DEEPEST <= _LONGEST else int(_LONGEST / mean)

    def heard(self) -> None:
        """Something was written to a descriptor."""
        self._quiet = self._depth = 0
