"""The event stream of a prediction that runs: one broadcast to all who have subscribed, each of whom is a place in the history.

Who is up to date gets what is new at once, written once for all of them and without a task that wakes up for it. Who does
not take it goes on from the history when it does again, or is dropped alone when that does not go back as far any more.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

from cog.errors import TooManySubscribers
from cog.prediction.events import Event, Status
from cog.prediction.history import STARTED, Place
from cog.prediction.record import Prediction
from cog.server import events
from cog.server.connection import Connection, connection_of
from cog.server.events import Script
from cog.server.replay import HEAD
from cog.server.wire import Receive, Scope, Send, header
from cog.service.service import Service

# From the contract: subscribers of one prediction, and seconds of silence before a sign of life.
MOST: Final = 1024
SILENCE: Final = 15.0
# Seconds in which the answer to a packet is there.
_ASKED_AGAIN: Final = 1.0


def subscribe(
    service: Service,
    prediction: Prediction,
    scope: Scope,
    *,
    creates: bool = False,
    kind: type[Broadcast] | None = None,
) -> Subscriber:
    """A stream of what happens to `prediction`. `creates` says that this very request has created it: then it is
    canceled when nobody is left to listen. `kind` says in whose words it is told, ours unless given.

    Raises:
        TooManySubscribers: there are as many as there may be.
    """
    kind = kind or Broadcast
    broadcast = next((found for found in prediction.listeners if type(found) is kind), None)
    if broadcast is None:
        broadcast = kind(prediction, lambda: service.cancel(prediction.id), tied=creates)
    return broadcast.subscribe(connection_of(scope), header(scope, b"last-event-id"), creates=creates)


class Broadcast:
    """A listener that tells many. `tied` says that the prediction is canceled when the last one has left."""

    language: type[Script] = Script

    def __init__(self, prediction: Prediction, cancel: Callable[[], object], *, tied: bool) -> None:
        self._prediction = prediction
        self._cancel = cancel
        self._tied = tied
        self._script = self.language(prediction.id, prediction.created_at)
        self._loop = asyncio.get_running_loop()
        self._subscribers: dict[Subscriber, None] = {}
        self._present: dict[Subscriber, None] = {}  # those whose clients have not hung up
        self.live: dict[Subscriber, None] = {}  # those who are up to date, all at the same place
        self._due = False
        self._told_at = self._loop.time()
        self._timer: asyncio.TimerHandle | None = None
        self._ending: Sequence[bytes] | None = None

    # Who listens

    def subscribe(self, connection: Connection, last_id: str | None, *, creates: bool) -> Subscriber:
        """One more.

        Raises:
            TooManySubscribers: there are as many as there may be.
        """
        if len(self._subscribers) >= MOST:
            raise TooManySubscribers(
                f"Too many stream subscribers: {MOST:,} read the events of this prediction already. "
                "GET /predictions/{id} without Accept: text/event-stream shows how it stands"
            )
        place, skipped = (Place(), 0) if creates else self._entry(last_id)
        subscriber = Subscriber(self, connection, place, skipped)
        self._subscribers[subscriber] = None
        self._present[subscriber] = None
        self._prediction.history.readers.append(subscriber)
        if self._timer is None:
            self._prediction.listeners.append(self)
            self._timer = self._loop.call_later(SILENCE, self._give_sign)
        return subscriber

    def _entry(self, last_id: str | None) -> tuple[Place, int]:
        """Where a new subscriber begins, and how many events it would have to be told first that it cannot be told."""
        number = self._beginning(last_id)
        skipped = self._prediction.history.beyond(number)
        return Place() if skipped else self._prediction.history.at(number), skipped

    def _beginning(self, last_id: str | None) -> int:
        """How many events a new subscriber has had, or does not want."""
        history = self._prediction.history
        if self._prediction.started_at is None:
            return 0
        place = self._script.place_of(last_id)
        if place is not None and place.events <= history.count:
            return place.events
        return history.count if history.live_only else 0

    def miss(self, subscriber: Subscriber) -> None:
        """Its client has hung up, or has at least closed its side."""
        self._present.pop(subscriber, None)
        if self._tied and not self._present and not self._prediction.status.terminal:
            self._cancel()

    def untie(self) -> None:
        """A client was dropped that has not hung up: it may come back, so nothing is canceled for want of it."""
        self._tied = False

    def remove(self, subscriber: Subscriber) -> None:
        """It listens no more."""
        if subscriber in self._subscribers:
            del self._subscribers[subscriber]
            self._prediction.history.readers.remove(subscriber)
        self.live.pop(subscriber, None)
        if not self._subscribers and self._timer is not None:
            self._timer.cancel()
            self._timer = None
            if self in self._prediction.listeners:
                self._prediction.listeners.remove(self)
        self.miss(subscriber)

    # What is told

    def notice(self, prediction: Prediction, event: Event) -> None:
        """Something is new: it is told in the loop's next turn, with all that comes until then."""
        if not self._due:
            self._due = True
            self._loop.call_soon(self.tell)

    def tell(self) -> None:
        """Tell what is new to those who are up to date."""
        self._due = False
        while self.live:
            parts, place = self.following(next(iter(self.live)).place)
            if not parts:
                self._wake_if_over(place)
                return
            self._told_at = self._loop.time()
            for subscriber in tuple(self.live):
                subscriber.push(parts, place)

    def _wake_if_over(self, place: Place) -> None:
        """What is told last each subscriber tells itself."""
        if self.over or self.lost(place):
            for subscriber in tuple(self.live):
                subscriber.wake()

    def following(self, place: Place) -> tuple[list[bytes], Place]:
        """What follows `place`, as much as is told in one go, and the place behind it. Nothing when it is not held any
        more: see `lost`."""
        if place.events == 0:
            if self._prediction.started_at is None:
                return [], place
            return [self._script.start()], STARTED
        history = self._prediction.history
        return ([], place) if history.lost(place) else self._script.events(history.after(place), place)

    def lost(self, place: Place) -> int:
        """How many events after `place` nobody can be told any more."""
        return self._prediction.history.lost(place)

    def recall(self, place: Place) -> tuple[list[bytes], Place]:
        """Something that stands for what follows `place` and is not held any more, and the place behind it; nothing here."""
        return [], place

    @property
    def over(self) -> bool:
        """True when nothing more will happen."""
        return self._prediction.status.terminal

    def ending(self, place: Place) -> Sequence[bytes]:
        """What is told at the end, behind all events: what a model returned that does not yield, and the prediction."""
        if self._ending is None:
            prediction = self._prediction
            self._ending = self._script.completed(prediction.render())
            if not prediction.streams and prediction.status is Status.SUCCEEDED:
                self._ending = (*self._script.returned(prediction.output(), place), *self._ending)
        return self._ending

    def _give_sign(self) -> None:
        """Silence looks like a dead connection to proxies, and a dead connection like silence to us."""
        quiet = self._loop.time() - self._told_at
        if quiet >= SILENCE:
            self._told_at += quiet
            quiet = 0.0
            for subscriber in tuple(self.live):
                subscriber.push((events.KEEP_ALIVE,), subscriber.place)
        self._timer = self._loop.call_later(SILENCE - quiet, self._give_sign)


class Subscriber:
    """One client who reads the events: an answer of the server, and an ASGI application for Starlette."""

    def __init__(self, broadcast: Broadcast, connection: Connection, place: Place, skipped: int) -> None:
        """`skipped` events are not there any more that it would have to be told first."""
        assert connection.running is not None
        self._broadcast = broadcast
        self._connection = connection
        self._exchange = connection.running
        self._skipped = skipped
        self._woken: asyncio.Future[None] | None = None
        self.place = place

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer."""
        await self.send(send)

    async def send(self, send: Send) -> None:
        """Tell everything until the end, or until the client is gone."""
        self._connection.when_lost(self._on_lost)
        try:
            await send(HEAD)
            while not self._exchange.gone:
                parts, last = self._next()
                for part in parts:
                    await send({"type": "http.response.body", "body": part, "more_body": True})
                if last:
                    await send({"type": "http.response.body"})
                    return
                if not parts:
                    await self._be_live()
                    # Once it takes what it was sent, or its end has come, the history says what is next.
                    await send({"type": "http.response.body", "more_body": True})
        finally:
            self._connection.when_lost(None)
            self._broadcast.remove(self)

    def _next(self) -> tuple[Sequence[bytes], bool]:
        """What it is told next, and whether that is all; nothing when it is up to date, like all who are live."""
        broadcast = self._broadcast
        if self._skipped:
            return (events.error(events.TRUNCATED, self._skipped),), True
        lost = broadcast.lost(self.place)
        if lost:
            parts, self.place = broadcast.recall(self.place)
            if parts:
                return parts, False
            broadcast.untie()
            return (events.error(events.LAGGED, lost),), True
        broadcast.tell()
        parts, self.place = broadcast.following(self.place)
        if parts or not broadcast.over:
            return parts, False
        return broadcast.ending(self.place), True

    async def _be_live(self) -> None:
        """Be told what is new as it comes, until it does not take it, the prediction ends or the client hangs up."""
        self._woken = asyncio.get_running_loop().create_future()
        self._broadcast.live[self] = None
        await self._woken

    def push(self, parts: Sequence[bytes], place: Place) -> None:
        """Be told `parts` at once."""
        for part in parts:
            self._exchange.push(part)
        self.place = place
        if self._exchange.stuck:
            self.wake()

    def wake(self) -> None:
        """Be live no more."""
        self._broadcast.live.pop(self, None)
        if self._woken is not None and not self._woken.done():
            self._woken.set_result(None)

    def _on_lost(self) -> None:
        if self._connection.dropped:
            self._broadcast.untie()
        self._broadcast.miss(self)
        # A client who has closed their side may still read, or be gone. If they are, their system says so when something
        # is sent to them, and ours when something more is.
        self._exchange.push(events.KEEP_ALIVE)
        asyncio.get_running_loop().call_later(_ASKED_AGAIN, self._exchange.push, events.KEEP_ALIVE)
        self.wake()
