"""Ended predictions, kept in memory within limits of time, number and size."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Final

from cog.prediction.events import Done, Event
from cog.prediction.record import Prediction

# From the contract: at most so many predictions and bytes, the oldest dropped first.
MOST: Final = 10_000
BYTES: Final = 256 * 1024 * 1024
# What a kept prediction takes beside its texts (measured with tracemalloc: 1.4 KiB).
_OVERHEAD: Final = 1500


class MemoryStore:
    """The newest ended predictions. It is a listener of each: at its end the prediction is kept."""

    def __init__(self, keep: float, *, most: int = MOST, most_bytes: int = BYTES) -> None:
        """`keep` is in seconds; 0 keeps nothing."""
        self._keep = keep
        self._most = most
        self._most_bytes = most_bytes
        self._kept: dict[str, tuple[Prediction, int]] = {}  # in the order in which they ended
        self._bytes = 0

    def notice(self, prediction: Prediction, event: Event) -> None:
        """Keep a prediction that has ended."""
        if type(event) is Done:
            self.put(prediction)

    def put(self, prediction: Prediction) -> None:
        """Keep `prediction`; one of the same id that ended earlier is forgotten."""
        if self._keep <= 0:
            return
        self._forget(prediction.id)
        size = prediction.size() + _OVERHEAD
        self._kept[prediction.id] = (prediction, size)
        self._bytes += size
        self._drop()

    def get(self, prediction_id: str) -> Prediction | None:
        """The kept prediction of this id."""
        self._drop()
        kept = self._kept.get(prediction_id)
        return None if kept is None else kept[0]

    def newest_first(self) -> Iterator[Prediction]:
        """All that are kept, the one that ended last first."""
        self._drop()
        return (prediction for prediction, _ in reversed(self._kept.values()))

    def _forget(self, prediction_id: str) -> None:
        kept = self._kept.pop(prediction_id, None)
        if kept is not None:
            self._bytes -= kept[1]

    def _drop(self) -> None:
        horizon = time.time() - self._keep
        while self._kept:
            oldest = next(iter(self._kept))
            ended = self._kept[oldest][0].completed_at or 0.0
            if len(self._kept) <= self._most and self._bytes <= self._most_bytes and ended >= horizon:
                return
            self._forget(oldest)
