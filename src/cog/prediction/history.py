"""What one prediction has told so far, in order: from here readers of its events are caught up who come late or are slow."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple, Protocol, TypeAlias

from cog.prediction.chunks import SMALL
from cog.prediction.events import Log, Metric
from cog.prediction.metrics import size

# What is told to readers. A chunk of output is its JSON text alone: with an object around each the chunks of 32 streams do
# not fit into the cache of a processor (docs/performance.md).
Told: TypeAlias = Log | bytes | Metric

# Events that are told anew to who comes later, unless COG_STREAM_HISTORY_CAPACITY says otherwise. From the contract.
CAPACITY: Final = 1024
# Bytes, about, that are held beside the record: texts that were printed, figures, and what an event takes in itself.
# Large chunks are the record's own. A reader who is further behind is dropped.
MOST: Final = 16 * 1024 * 1024
_PER_EVENT: Final = 100
# Between two looks at what can be forgotten.
_LOOK_EVERY: Final = 256
# Events, and bytes of texts and chunks, that a reader gets in one go, or one event if that is larger.
_EVENTS: Final = 512
_BYTES: Final = 64 * 1024


class Place(NamedTuple):
    """How far a reader has got: the events that it has had, of which the start is the first, and among them the chunks
    of output and the characters of logs."""

    events: int = 0
    chunks: int = 0
    characters: int = 0

    def past(self, event: Told) -> Place:
        """The place behind `event`."""
        match event:
            case bytes():
                return Place(self.events + 1, self.chunks + 1, self.characters)
            case Log(text):
                return Place(self.events + 1, self.chunks, self.characters + len(text))
            case Metric():
                return Place(self.events + 1, self.chunks, self.characters)


STARTED: Final = Place(1)


class Reader(Protocol):
    """Somebody for whom events are held."""

    @property
    def place(self) -> Place:
        """How far it has got."""


class History:
    """The newest events, at least those that a reader still needs, as long as they are not too many.

    The start is an event of its own, told by the record: events that are held have the numbers from 1 on.
    """

    __slots__ = ("_begin", "_capacity", "_events", "_look", "_size", "readers")

    def __init__(self, capacity: int = CAPACITY) -> None:
        """`capacity` is how many events somebody is told who comes later, the start included; 0 for none."""
        self._capacity = capacity
        self._events: list[Told] = []
        self._begin = STARTED  # the place before the oldest event that is held
        self._size = 0
        self._look = capacity + _LOOK_EVERY
        self.readers: list[Reader] = []

    @property
    def live_only(self) -> bool:
        """True when who comes later is told nothing of what was before."""
        return self._capacity == 0

    @property
    def count(self) -> int:
        """How many events there were, the start included."""
        return self._begin.events + len(self._events)

    def add(self, event: Told) -> None:
        """Take one more."""
        self._events.append(event)
        self._size += (
            _PER_EVENT + len(event) if type(event) is bytes and len(event) <= SMALL else _held(event)
        )
        if len(self._events) > self._look or self._size > MOST:
            self._forget()

    def _forget(self) -> None:
        """Let go of what nobody needs; and when it is too much, of what slow readers would still need."""
        needed = min((reader.place.events for reader in self.readers), default=self.count)
        spare = min(needed, self.count - self._capacity) - self._begin.events
        room = MOST if self._size <= MOST else MOST * 3 // 4
        dropped, (count, chunks, characters) = 0, self._begin
        for event in self._events:
            if dropped >= spare and self._size <= room:
                break
            dropped += 1
            if type(event) is bytes:
                chunks += 1
                self._size -= _PER_EVENT + len(event) if len(event) <= SMALL else _PER_EVENT
                continue
            self._size -= _held(event)
            if type(event) is Log:
                characters += len(event.text)
        self._begin = Place(count + dropped, chunks, characters)
        del self._events[:dropped]
        self._look = len(self._events) + _LOOK_EVERY

    @property
    def begin(self) -> Place:
        """The place before the oldest event that is held."""
        return self._begin

    def lost(self, place: Place) -> int:
        """How many events that follow `place` are not held any more."""
        return max(0, self._begin.events - max(place.events, STARTED.events))

    def beyond(self, number: int) -> int:
        """How many events after the first `number` ones are not told to somebody who comes now."""
        oldest = self._begin.events if self._begin != STARTED else 0
        return max(0, max(oldest, self.count - self._capacity) - number)

    def at(self, number: int) -> Place:
        """The place behind the first `number` events; those that follow must be held."""
        if number < STARTED.events:
            return Place()
        place = self._begin
        for event in self._events[: number - place.events]:
            place = place.past(event)
        return place

    def after(self, place: Place) -> Sequence[Told]:
        """The next events behind `place`, as many as are told in one go; they must be held."""
        start = max(place.events, STARTED.events) - self._begin.events
        found = self._events[start : start + _EVENTS]
        bytes_left = _BYTES
        for index, event in enumerate(found, 1):
            bytes_left -= len(event) if type(event) is bytes else _held(event)
            if bytes_left < 0:
                return found[:index]
        return found


def _held(event: Told) -> int:
    """What it takes here, beside the record."""
    if type(event) is bytes:
        length = len(event)
        return _PER_EVENT + length if length <= SMALL else _PER_EVENT
    if type(event) is Log:
        return _PER_EVENT + len(event.text)
    assert isinstance(event, Metric)
    return _PER_EVENT + len(event.name) + size(event.value)
