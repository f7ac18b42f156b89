"""How fast the model is, as measured: what a client is told who finds no place."""

from __future__ import annotations

import math
from typing import Final

# The share of the latest prediction in the mean: some ten of them decide it, so that it follows a model that is warming
# up, or gets larger inputs than before.
_WEIGHT: Final = 0.2
_LONGEST: Final = 3600  # seconds; nobody should be told to come back tomorrow


class Pace:
    """The mean time for which one prediction holds a slot."""

    def __init__(self) -> None:
        self._mean: float | None = None

    def ended(self, seconds: float) -> None:
        """A prediction has held a slot for `seconds`; one of a batch only its share of them."""
        self._mean = seconds if self._mean is None else self._mean + _WEIGHT * (seconds - self._mean)

    def until_a_place(self, slots: int) -> int:
        """Whole seconds, at least 1, in which one of `slots` is expected to become free."""
        if self._mean is None or slots < 1:
            return 1
        return max(1, min(_LONGEST, math.ceil(self._mean / slots)))
