"""Several predictions in one call of the model: what concerns all goes to each, and none disturbs the others."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TypeAlias

from cog.backend.protocol import Member, Order, Run, Sink
from cog.errors import NotReady
from cog.prediction.events import Done, Event, Log, Source, Status
from cog.service.journey import Journey

RunOrder: TypeAlias = Callable[[Order, Sink], Run]


class Seat:
    """One prediction in a batch: `Run` of the backend's protocol."""

    __slots__ = ("_batch", "journey", "left")

    def __init__(self, batch: Batch, journey: Journey) -> None:
        self._batch = batch
        self.journey = journey
        self.left = False

    def cancel(self) -> None:
        """It wants no more; the others go on."""
        self._batch.leave(self)

    def take(self, event: Event) -> None:
        """An event that is this prediction's own."""
        if self.left:
            return
        self.left = type(event) is Done
        self.journey.take(event)


class Batch:
    """One call. A prediction that is cancelled ends at once, and what the model still gives for it is dropped; the model is
    interrupted when nobody is left.
    """

    def __init__(self, journeys: Sequence[Journey]) -> None:
        self._seats = [Seat(self, journey) for journey in journeys]
        self._run: Run | None = None
        self._mark = f"[batch of {len(journeys)}] " if len(journeys) > 1 else ""
        self._within: set[Source] = set()  # streams whose last line is not complete
        self._canceled: list[Journey] = []

    def start(self, run: RunOrder) -> bool:
        """Hand the inputs to the model. False when there was no slot after all: then all of them wait on."""
        orders = [seat.journey.order() for seat in self._seats]
        members = tuple(
            Member(order.folder, order.context, seat.take)
            for seat, order in zip(self._seats, orders, strict=True)
        )
        payload = b"[%s]" % b",".join([order.payload for order in orders])
        try:
            self._run = run(Order(payload, "", model=orders[0].model, members=members), self._take)
        except NotReady:
            return False
        for seat, order in zip(self._seats, orders, strict=True):
            if not seat.left:
                seat.journey.began(seat, order, company=len(orders))
        return True

    def leave(self, seat: Seat) -> None:
        """The prediction in `seat` is cancelled."""
        if seat.left or self._run is None:
            return
        if any(not other.left for other in self._seats if other is not seat):
            seat.journey.kept = True  # the model may be about to open what lies in its folder
            self._canceled.append(seat.journey)
            seat.take(Done(Status.CANCELED, time.time()))
        else:
            self._run.cancel()

    def _take(self, event: Event) -> None:
        """What concerns all."""
        if type(event) is Log and self._mark:
            event = event._replace(text=self._marked(event))
        for seat in self._seats:
            seat.take(event)
        if type(event) is Done:
            self._run = None  # it holds this very method
            for journey in self._canceled:
                journey.sweep()
            self._seats.clear()

    def _marked(self, log: Log) -> str:
        """The text with a mark at the beginning of each line, so that nobody takes it for this prediction's alone."""
        begins = log.source not in self._within
        ends = log.text.endswith("\n")
        (self._within.discard if ends else self._within.add)(log.source)
        body = log.text.removesuffix("\n").replace("\n", f"\n{self._mark}")
        return (self._mark if begins else "") + body + ("\n" if ends else "")


def start_all(journeys: Sequence[Journey], run: RunOrder) -> bool:
    """Start these in one call, or the one of a model that takes one at a time. False when there was no slot after all."""
    if len(journeys) == 1 and journeys[0].rule is None:
        return journeys[0].start(run)
    return Batch(journeys).start(run)
