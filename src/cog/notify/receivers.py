"""Whose turn it is: how many tries are under way to one receiver at once, and in which order the rest waits.

What waits has neither a task nor a connection: it stands in a queue, or a timer will put it there. So a receiver
that hangs costs a few connections, and the other receivers nothing.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from functools import partial
from typing import Final, Protocol

from cog.notify.stock import Address, Stock, Stocked, log_ids

# Tries under way at once to one receiver, also while the server ends: more of them make a small receiver slower (one
# with a backlog of 5 connections lost 6 of 50 to 64 at once, and none to 16).
PLACES: Final = 16
# And to all together: each is a file descriptor, and a process often has 1,024 of those.
ALL_PLACES: Final = 256
# While the server ends, nothing waits longer than this many seconds for its next try.
LAST_WAIT: Final = 0.25
# After this part of the last seconds tries are broken off where others, or the end of the same prediction, wait
# behind them.
FIRST_SHARE: Final = 0.4

_log: Final = logging.getLogger("cog.notify")


class Parcel(Stocked, Protocol):
    """What is to be told of one prediction, message by message."""

    @property
    def end_waits(self) -> bool:
        """True when its end waits behind a try of unfinished news that is under way."""

    def delay(self) -> float | None:
        """Seconds until the next try is due; None when there is nothing to tell."""

    async def attempt(self) -> None:
        """Make the next try."""


class _Receiver:
    """What waits for one receiver, and what is under way to it."""

    __slots__ = ("queue", "tries", "waiting")

    def __init__(self) -> None:
        # With the timer that waits for its next try; None stands in the queue.
        self.waiting: dict[Parcel, asyncio.TimerHandle | None] = {}
        self.queue: deque[Parcel] = deque()
        self.tries: dict[Parcel, asyncio.Task[None]] = {}


class Receivers:
    """The receivers that something waits for or is under way to. A receiver is a scheme, a host and a port."""

    def __init__(self) -> None:
        self.closed = False
        self._closing = False
        self._running = 0
        self._receivers: dict[Address, _Receiver] = {}
        self._hungry: dict[_Receiver, None] = {}  # those that may have a use for a place
        self._stock = Stock()
        self._quiet = asyncio.Event()

    @property
    def idle(self) -> bool:
        """True when nothing is under way and nothing waits."""
        return not self._receivers

    def look(self, parcel: Parcel, *, tried: bool = False) -> None:
        """See what `parcel` has to tell now and arrange its try: at once, in its turn, or after some time. `tried`
        says that it comes back from one."""
        receiver = self._receivers.get(parcel.address)
        if receiver is None:
            receiver = self._receivers[parcel.address] = _Receiver()
        timer = receiver.waiting.get(parcel)
        if timer is not None:
            timer.cancel()
        elif parcel in receiver.waiting:
            self._weigh(parcel, tried)  # it may have ended while it stands in the queue
            return
        elif parcel in receiver.tries:
            return  # it is looked at when the try has ended
        delay = parcel.delay()
        if delay is None or self.closed:
            self._forget(receiver, parcel)
        elif delay > 0:
            delay = min(delay, LAST_WAIT) if self._closing else delay
            timer = asyncio.get_running_loop().call_later(delay, self._enqueue, receiver, parcel)
            receiver.waiting[parcel] = timer
            self._weigh(parcel, tried)
        else:
            self._weigh(parcel, tried)
            self._enqueue(receiver, parcel)

    def _weigh(self, parcel: Parcel, tried: bool) -> None:
        self._stock.take(parcel)
        self._stock.put(parcel, first=tried)

    def _forget(self, receiver: _Receiver, parcel: Parcel) -> None:
        receiver.waiting.pop(parcel, None)
        if not receiver.waiting and not receiver.tries:
            del self._receivers[parcel.address]
            if not self._receivers:
                self._quiet.set()

    def _enqueue(self, receiver: _Receiver, parcel: Parcel) -> None:
        receiver.waiting[parcel] = None
        receiver.queue.append(parcel)
        self._hungry[receiver] = None
        self._fill()

    def _fill(self) -> None:
        """Give free places away, to the receiver that has the fewest: so those that hang starve nobody."""
        while self._hungry and self._running < ALL_PLACES and not self.closed:
            receiver = min(self._hungry, key=_running)
            if not receiver.queue or len(receiver.tries) >= self._places():
                del self._hungry[receiver]
                continue
            parcel = receiver.queue.popleft()
            if parcel.delay() is None:
                self._forget(receiver, parcel)  # it was given up while it waited
            else:
                self._begin(receiver, parcel)

    def _places(self) -> int:
        """How many places one receiver may have: fewer where few are left, so that many that hang leave some for
        others. (One that is refused here has a try under way, at whose end it is asked again.)"""
        if self._running < ALL_PLACES // 2:
            return PLACES
        return PLACES // 4 if self._running < ALL_PLACES * 3 // 4 else 1

    def _begin(self, receiver: _Receiver, parcel: Parcel) -> None:
        self._stock.take(parcel)
        del receiver.waiting[parcel]
        self._running += 1
        task = asyncio.get_running_loop().create_task(parcel.attempt())
        receiver.tries[parcel] = task
        task.add_done_callback(partial(self._tried, receiver, parcel))

    def _tried(self, receiver: _Receiver, parcel: Parcel, task: asyncio.Task[None]) -> None:
        del receiver.tries[parcel]
        self._running -= 1
        if not task.cancelled() and (error := task.exception()) is not None:
            parcel.drop()  # a fault of ours, which would come back at each try
            fields = {"prediction_id": parcel.prediction_id}
            _log.error("Webhooks could not be sent: %r", error, exc_info=error, extra={"fields": fields})
        self.look(parcel, tried=True)
        if receiver.queue:
            self._hungry[receiver] = None
        self._fill()

    async def close(self, timeout: float) -> None:
        """Try everything that waits, with shorter waits, for up to `timeout` seconds; give up the rest, begin
        nothing from then on."""
        self._closing = True
        for receiver in tuple(self._receivers.values()):
            self._hungry[receiver] = None
            for parcel, timer in tuple(receiver.waiting.items()):
                if timer is not None:
                    timer.cancel()
                    self._enqueue(receiver, parcel)
        self._fill()
        if not await self._becomes_quiet(timeout * FIRST_SHARE):
            for receiver in self._receivers.values():
                for parcel, task in receiver.tries.items():
                    if receiver.queue or parcel.end_waits:
                        task.cancel()
            await self._becomes_quiet(timeout * (1 - FIRST_SHARE))
        self.closed = True
        self._stock.report()
        await self._give_up()

    async def _becomes_quiet(self, timeout: float) -> bool:
        if self._receivers:
            self._quiet.clear()
            try:
                await asyncio.wait_for(self._quiet.wait(), timeout)
            except asyncio.TimeoutError:
                return False
        return True

    def _under_way(self) -> list[tuple[Parcel, asyncio.Task[None]]]:
        return [pair for receiver in self._receivers.values() for pair in receiver.tries.items()]

    async def _give_up(self) -> None:
        under_way = self._under_way()
        lost = [parcel.prediction_id for parcel, _ in under_way]
        for receiver in self._receivers.values():
            for parcel, timer in receiver.waiting.items():
                if timer is not None:
                    timer.cancel()
                if parcel.delay() is not None:
                    lost.append(parcel.prediction_id)
        log_ids(
            "The webhooks of %d predictions were given up because the server ends: their receivers did not accept "
            "them in time.",
            lost,
        )
        for _, task in under_way:
            task.cancel()
        if under_way:
            await asyncio.wait([task for _, task in under_way])
        self._receivers.clear()
        self._hungry.clear()


def _running(receiver: _Receiver) -> int:
    return len(receiver.tries)
