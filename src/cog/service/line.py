"""Those that wait for a slot: first in, first out; and which of them share a call of the model."""

from __future__ import annotations

import asyncio
import math
import time
from bisect import insort
from collections import deque
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Final

from cog.service.journey import Journey
from cog.signature.facts import Batch

# Batches among which the company of the first one is looked for while the model is busy.
_NEAR: Final = 4
_BY_ARRIVAL: Final[Callable[[Journey], int]] = lambda journey: journey.number  # noqa: E731  it is a key


class Line:
    """Predictions in the order of their arrival: one whose files took longer than others' goes before those that came
    after it. Nobody looks at it again and again: it moves when a slot becomes free, and who waits too long is
    called by a timer.
    """

    def __init__(self, timeout: float, moves: Callable[[], None]) -> None:
        """`timeout` is in seconds, 0 for none; `moves` is called when the first has waited for company long enough."""
        self._moves = moves
        self._hurried = False
        self._looking: asyncio.TimerHandle | None = None
        self._timeout = timeout
        self._waiting: deque[Journey] = deque()
        self._timers: dict[Journey, asyncio.TimerHandle] = {}

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def __len__(self) -> int:
        return len(self._waiting)

    def join(self, journey: Journey) -> None:
        """It waits from now on."""
        waiting = self._waiting
        if not waiting or waiting[-1].number < journey.number:
            waiting.append(journey)
        else:
            insort(waiting, journey, key=_BY_ARRIVAL)
        self.limit(journey)

    def limit(self, journey: Journey) -> None:
        """It waits, here or as one that was sent ahead: too long a wait is its end, unless it is `called` before."""
        if self._timeout and journey not in self._timers:
            loop = asyncio.get_running_loop()
            self._timers[journey] = loop.call_later(self._timeout, self._expire, journey)

    def leave(self, journey: Journey) -> None:
        """It does not wait any more, if it did."""
        if journey in self._waiting:
            self._waiting.remove(journey)
        self.called(journey)

    def called(self, journey: Journey) -> None:
        """It has got its slot, or does not want one: it cannot wait too long any more."""
        timer = self._timers.pop(journey, None) if self._timers else None
        if timer is not None:
            timer.cancel()

    def position(self, journey: Journey) -> int | None:
        """1 for the next; None when it does not wait."""
        for index, other in enumerate(self._waiting, 1):
            if other is journey:
                return index
        return None

    def __iter__(self) -> Iterator[Journey]:
        return iter(self._waiting)

    def hurry(self) -> None:
        """Nobody joins any more: to wait for company is in vain."""
        self._hurried = True
        self._moves()

    def head(self) -> Journey:
        """The next one, which is taken out."""
        return self._waiting.popleft()

    def next(self, ahead: Callable[[], bool]) -> list[Journey]:
        """Those that are to run now in one call, which are taken out; none while all of them wait for company, until
        `moves` is called.

        Whose time is over goes with those that fit to it; a batch that is full goes at once. `ahead` tells that they would
        have to wait for their slot all the same: then only those go with whom nobody else can.
        """
        first = self._waiting[0]
        if first.rule is None:
            return [self._waiting.popleft()]
        if ahead():
            chosen = self._fitting(first, _NEAR * first.rule.max_size)
            if len(chosen) < first.rule.max_size:
                return []
        else:
            now = time.perf_counter()
            chosen = self._fitting(first) if self._due(first, first.rule) <= now else self._ripe(now)
        for journey in chosen:
            self._waiting.remove(journey)
        return chosen

    def _fitting(self, first: Journey, near: int | None = None) -> list[Journey]:
        """`first`, and those that may go with it; with `near` of so many that wait, since each that comes asks."""
        assert first.rule is not None
        kin = first.kin
        found = (
            journey
            for journey in islice(self._waiting, near)
            if journey.rule is not None and journey.kin == kin
        )
        return list(islice(found, first.rule.max_size))

    def _ripe(self, now: float) -> list[Journey]:
        """The first batch that needs no more company, or has waited for it long enough."""
        groups: dict[tuple[int, bytes], list[Journey]] = {}
        soonest = math.inf
        for journey in self._waiting:
            if journey.rule is None:
                return [journey]
            due = self._due(journey, journey.rule)
            if due <= now:
                return self._fitting(journey)
            soonest = min(soonest, due)
            group = groups.setdefault(journey.kin, [])
            group.append(journey)
            if len(group) >= journey.rule.max_size:
                return group
        self._look_again(soonest - now)
        return []

    def _look_again(self, seconds: float) -> None:
        if self._looking is None:
            loop = asyncio.get_running_loop()
            self._looking = loop.call_later(max(seconds, 0), self._looked)

    def _looked(self) -> None:
        self._looking = None
        self._moves()

    def _expire(self, journey: Journey) -> None:
        self.leave(journey)
        journey.expire(
            f"QueueTimeout: the prediction waited {self._timeout:g} seconds for a slot, which is what --queue-timeout allows. "
            "The model is slower than the requests come: send fewer, allow more time, or serve more at once"
        )

    def _due(self, journey: Journey, rule: Batch) -> float:
        """When it has waited for company long enough."""
        return journey.queued_at + (0 if self._hurried else rule.max_wait)
