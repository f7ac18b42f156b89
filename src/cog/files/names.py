"""Names that are taken already."""

from __future__ import annotations

import os
from collections import OrderedDict
from typing import Final

# Predictions whose names are remembered. Far more than run at once, so only ended ones are ever forgotten by
# this.
_PREDICTIONS: Final = 10_000


class TakenNames:
    """Gives each file of a prediction a name of its own, also over the many outputs of a stream."""

    def __init__(self) -> None:
        """Nothing is taken yet."""
        self._taken: OrderedDict[str, dict[str, int]] = OrderedDict()

    def take(self, prediction_id: str, name: str) -> str:
        """`name`, or `name-2`, `name-3` and so on before its extension when it was taken before."""
        taken = self._taken.setdefault(prediction_id, {})
        self._taken.move_to_end(prediction_id)
        if len(self._taken) > _PREDICTIONS:
            self._taken.popitem(last=False)
        stem, suffix = os.path.splitext(name if name.strip(".") else "file")  # ".." would climb
        free = f"{stem}{suffix}"
        # The count of a name goes on from where it was, so that a stream of n equal names costs O(n).
        number = taken.get(free, 0)
        while free in taken:
            number += 1
            free = f"{stem}-{number}{suffix}"
        taken[f"{stem}{suffix}"] = max(number, 1)
        taken.setdefault(free, 1)
        return free

    def forget(self, prediction_id: str) -> None:
        """The prediction is over; an unknown one is fine."""
        self._taken.pop(prediction_id, None)
