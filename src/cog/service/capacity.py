"""How many predictions are accepted, and what a client is told for whom there is no place."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

from cog.backend.protocol import Backend
from cog.errors import AtCapacity
from cog.service.pace import Pace
from cog.service.wording import Wording
from cog.signature.facts import Batch, Signature


class Limits(NamedTuple):
    """What an operator allows. `max_queue` predictions may wait beside those that have a place anyway, `queue_timeout` seconds
    each (0: for ever). `max_batch_size` is for models that take batches, whose own limit may be lower; `max_batch_wait`,
    in seconds, stands in the place of their own.
    """

    max_queue: int = 0
    queue_timeout: float = 0.0
    max_batch_size: int | None = None
    max_batch_wait: float | None = None

    def rule(self, signature: Signature) -> Batch | None:
        """How predictions of this model share a call, if they do."""
        batch, most, wait = signature.batch, self.max_batch_size, self.max_batch_wait
        if batch is None or (most is None and wait is None):
            return batch
        size = batch.max_size if most is None else min(batch.max_size, most)
        return replace(batch, max_size=size, max_wait=batch.max_wait if wait is None else wait)


class Capacity:
    """The places of one model."""

    def __init__(self, backend: Backend, limits: Limits, wording: Wording) -> None:
        self._backend = backend
        self._limits = limits
        self._wording = wording
        self._pace = Pace()

    @property
    def places(self) -> int:
        """How many may be accepted without a queue. A model that takes batches has, for each slot, the one that runs and the
        next one, which gathers meanwhile."""
        signature = self._backend.signature
        if signature is None or signature.batch is None:
            return self._backend.slots
        rule = self._limits.rule(signature) or signature.batch
        return 2 * rule.max_size * self._backend.slots

    def check(self, taken: int) -> None:
        """Raises:
        AtCapacity: with so many places taken there is none for one more.
        """
        places = self.places
        if taken < places:
            return
        trouble, most = self._backend.trouble, self._limits.max_queue
        if trouble is not None or most == 0:  # nobody should wait for workers that do not answer
            raise AtCapacity(trouble or self._wording.busy)
        if taken >= places + most:
            raise AtCapacity(
                f"the queue is full: {most} {self._wording.plural} wait already (--max-queue), and {self._wording.busy}",
                retry_after=self._pace.until_a_place(self._backend.slots),
            )

    def served(self, seconds: float) -> None:
        """A prediction has held a slot for so long; one of a batch only its share."""
        self._pace.ended(seconds)
