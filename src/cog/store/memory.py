"""Ended predictions, kept in memory within limits of time, number and size."""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Iterator
from typing import Final, NamedTuple, TypeAlias

from cog.prediction.events import Done, Event, Status
from cog.prediction.record import Prediction

# From the contract: at most so many predictions and bytes, the oldest dropped first.
MOST: Final = 10_000
BYTES: Final = 256 * 1024 * 1024
# Seconds between two looks for what is over its time, while predictions end.
_LOOK_EVERY: Final = 0.1


# The word of the status (the status itself is an object that the collector looks into), when it was created and when it
# ended, and what clients see.
Ended: TypeAlias = tuple[str, float, float, bytes]
_WORDS: Final = {status: status.value for status in Status}


class Kept(NamedTuple):
    """An ended prediction: `body` is what clients see of it, as JSON text."""

    id: str
    status: Status
    created_at: float
    ended_at: float
    body: bytes

    def summary(self) -> bytes:
        """The prediction in a list of predictions: without input, output and logs."""
        shown = json.loads(self.body)
        for name in ("input", "output", "logs"):
            del shown[name]
        return json.dumps(shown, ensure_ascii=False, separators=(",", ":")).encode()


class MemoryStore:
    """The newest ended predictions. It is a listener of each: at its end the prediction is kept.

    Only its JSON text is kept: one object that the garbage collector does not look into (docs/performance.md).
    """

    def __init__(self, keep: float, *, most: int = MOST, most_bytes: int = BYTES) -> None:
        """`keep` is in seconds; 0 keeps nothing."""
        self._keep = keep
        self._most = most
        self._most_bytes = most_bytes
        # In the order in which they ended. Plain tuples of plain values are of no interest to the collector.
        # (A dict that is emptied from its front looks at every gap there, each time; an OrderedDict does not.)
        self._kept: OrderedDict[str, Ended] = OrderedDict()
        self._bytes = 0
        self._looked = 0.0

    def notice(self, prediction: Prediction, event: Event) -> None:
        """Keep a prediction that has ended; one of the same id that ended earlier is forgotten."""
        if type(event) is not Done or self._keep <= 0:
            return
        kept, id, body = self._kept, prediction.id, prediction.render()
        if id in kept:
            self._forget(id)
        kept[id] = (_WORDS[prediction.status], prediction.created_at, event.at, body)
        self._bytes += len(body)
        if len(kept) > self._most:
            self._bytes -= len(kept.popitem(last=False)[1][3])
        if self._bytes > self._most_bytes or event.at > self._looked + _LOOK_EVERY:
            self._drop(event.at)

    def get(self, prediction_id: str, now: float) -> Kept | None:
        """The kept prediction of this id; `now` is in seconds since the epoch."""
        self._drop(now)
        kept = self._kept.get(prediction_id)
        return None if kept is None else _told(prediction_id, kept)

    def newest_first(self, now: float) -> Iterator[Kept]:
        """All that are kept, the one that ended last first."""
        self._drop(now)
        return (_told(prediction_id, kept) for prediction_id, kept in reversed(self._kept.items()))

    def sweep(self, now: float) -> None:
        """Forget what is over its time at `now`, in seconds since the epoch. Nobody is shown it, but it takes memory."""
        self._drop(now)

    def _forget(self, prediction_id: str) -> None:
        kept = self._kept.pop(prediction_id, None)
        if kept is not None:
            self._bytes -= len(kept[3])

    def _drop(self, now: float) -> None:
        self._looked = now
        horizon = now - self._keep
        while self._kept:
            oldest = next(iter(self._kept))
            kept = self._kept[oldest]
            if len(self._kept) <= self._most and self._bytes <= self._most_bytes and kept[2] >= horizon:
                return
            self._forget(oldest)


def _told(prediction_id: str, ended: Ended) -> Kept:
    word, created_at, ended_at, body = ended
    return Kept(prediction_id, Status(word), created_at, ended_at, body)
