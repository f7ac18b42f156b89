"""Those that wait for a slot: first in, first out."""

from __future__ import annotations

import asyncio
from bisect import insort
from collections import deque
from collections.abc import Callable, Iterator
from typing import Final

from cog.service.journey import Journey

_BY_ARRIVAL: Final[Callable[[Journey], int]] = lambda journey: journey.number  # noqa: E731  it is a key


class Line:
    """Predictions in the order of their arrival: one whose files took longer than others' goes before those that came
    after it. Nobody looks at it again and again: it moves when a slot becomes free, and who waits too long is
    called by a timer.
    """

    def __init__(self, timeout: float) -> None:
        """`timeout` is in seconds, 0 for none."""
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

    def head(self) -> Journey:
        """The next one, which is taken out."""
        return self._waiting.popleft()

    def _expire(self, journey: Journey) -> None:
        self.leave(journey)
        journey.abandon(
            f"QueueTimeout: the prediction waited {self._timeout:g} seconds for a slot, which is what --queue-timeout allows. "
            "The model is slower than the requests come: send fewer, allow more time, or serve more at once"
        )
