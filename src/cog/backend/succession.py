"""A model whose source changes while it is served: each version is a backend of its own, and the next takes over."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine

from cog.backend.life import GRACE
from cog.backend.local import LocalBackend, same
from cog.backend.protocol import Order, Run, Sink, Standing, State, Watcher
from cog.prediction.events import Source
from cog.signature.facts import Signature

log = logging.getLogger("cog.backend")


class Version:
    """One state of the source, and the workers that run it."""

    def __init__(
        self, backend: LocalBackend, review: Callable[[], None], watcher: Callable[[], Watcher]
    ) -> None:
        """`review` is called when something about the workers has changed, then the `watcher` is told."""
        self.backend = backend
        self.began = time.monotonic()
        self.failed = asyncio.Event()  # it will not come up
        self.ending = False
        self.signature: Signature | None = (
            None  # what inputs were checked against, when it is in charge no more
        )
        self._review = review
        self._watcher = watcher

    @property
    def needed(self) -> bool:
        """True when it can run the model, or runs it."""
        return self.backend.state is State.READY or self.backend.busy > 0

    def changed(self) -> None:
        """Something is another."""
        if self.backend.state is State.SETUP_FAILED:
            self.failed.set()
        self._review()
        self._watcher().changed()

    def printed(self, text: str, source: Source, worker: int, setup: bool) -> None:
        """One of its workers has printed."""
        self._watcher().printed(text, source, worker, setup)


class Succession:
    """A backend that replaces its workers when the source of the model has changed: `Backend` of the protocol.

    While the next version is set up the one in charge serves on, and it goes on serving when the next one cannot be
    set up. Once that is ready new predictions go to it, and the old version ends after its last. What still waits for
    a slot, and was checked for other inputs than the model has now, goes to the old one. When no version can run
    anything there is nothing to wait for: the next one is in charge from its start.
    """

    def __init__(self, make: Callable[[bool], LocalBackend]) -> None:
        """`make` makes the workers of a version, aside or not."""
        self._make = make
        self._awaits: Callable[[Signature], bool] = lambda _: False
        self._watcher: Watcher
        self._current = self._version(aside=False)
        self._next: Version | None = None
        self._leaving: list[Version] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._ended = False
        self._read: Signature | None = None  # the last one that a worker sent
        self._shown: Signature | None = None  # the same, as long as it says the same

    # What the service asks

    @property
    def signature(self) -> Signature | None:
        """What the version in charge accepts; the same object for as long as that is the same."""
        found = self._current.backend.signature
        if found is not None and found is not self._read:
            if self._shown is None or not same(found, self._shown):
                self._shown = found
            self._read = found
        return self._shown

    @property
    def state(self) -> State:
        """Whether the version in charge can run."""
        return self._current.backend.state

    @property
    def standing(self) -> Standing:
        """How the version in charge is."""
        return self._current.backend.standing

    @property
    def trouble(self) -> str | None:
        """Why nothing can be started on the version in charge."""
        return self._current.backend.trouble

    @property
    def slots(self) -> int:
        """Those of the version in charge, and the runs that older ones still have."""
        return self._current.backend.slots + sum(version.backend.busy for version in self._leaving)

    @property
    def free(self) -> int:
        """Slots of the version in charge."""
        return self._current.backend.free

    @property
    def room(self) -> int:
        """Of the version in charge."""
        return self._current.backend.room

    def run(self, order: Order, sink: Sink) -> Run:
        """Start a run on the version that its input was checked for, if that is there, else on the one in charge."""
        if order.model is not None and order.model is not self.signature:
            for version in self._leaving:
                if version.signature is order.model and version.backend.slots and not version.ending:
                    return version.backend.run(order, sink)
        return self._current.backend.run(order, sink)

    async def check_health(self) -> str | None:
        """What the version in charge finds wrong."""
        return await self._current.backend.check_health()

    async def start(self, watcher: Watcher) -> None:
        """Start the first version."""
        self._watcher = watcher
        await self._current.backend.start(self._current)

    async def stop(self) -> None:
        """End every version."""
        self._ended = True
        if self._next is not None:
            self._end(self._next, grace=0.0)
            self._next = None
        for version in self._all():
            self._end(version, grace=GRACE)
        while self._tasks:
            await asyncio.wait(self._tasks)

    def kill(self) -> None:
        """End every version at once."""
        for version in self._all():
            version.backend.kill()

    def _all(self) -> list[Version]:
        return [*self._leaving, *([] if self._next is None else [self._next]), self._current]

    def heed(self, awaits: Callable[[Signature], bool]) -> None:
        """`awaits` tells whether a prediction still waits for a slot whose input was checked against this signature."""
        self._awaits = awaits

    # How one follows the other

    def _version(self, *, aside: bool) -> Version:
        return Version(self._make(aside), self.review, lambda: self._watcher)

    def replace(self) -> None:
        """The source has changed: set up what it is now. A version that is still being set up is out of date."""
        if self._ended:
            return
        if self._next is not None:
            self._end(self._next, grace=0.0)
            self._next = None
        if self._current.needed:
            self._next = self._version(aside=True)
            self._spawn(self._try(self._next))
        else:
            self._end(self._current, grace=0.0)
            self._current = self._version(aside=False)
            self._spawn(self._current.backend.start(self._current))

    async def _try(self, version: Version) -> None:
        """Put it in charge when it has come up."""
        await version.backend.start(version)
        waiting = [asyncio.ensure_future(event.wait()) for event in (version.failed, version.backend.grown)]
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        for task in waiting:
            task.cancel()
        if version is not self._next:
            return
        self._next = None
        if version.failed.is_set():
            log.error(
                "the changed model cannot be set up, so the one before it is still served. Cause: %s",
                version.backend.standing.cause,
            )
            self._end(version, grace=0.0)
        else:
            self._take_over(version)

    def _take_over(self, version: Version) -> None:
        old = self._current
        old.signature = self.signature
        self._current = version
        version.backend.take_charge()
        what = "" if self.signature is old.signature else "; its inputs or its output are others than before"
        seconds = round(time.monotonic() - version.began, 2)
        log.info("the changed model is READY%s", what, extra={"fields": {"seconds": seconds}})
        self._leaving.append(old)
        self.review()
        self._watcher.changed()

    def review(self) -> None:
        """End what has served its last prediction. To be called when a prediction does not wait any more."""
        for version in self._leaving:
            if not version.ending and not version.backend.busy and not self._is_awaited(version):
                self._end(version, grace=GRACE)

    def _is_awaited(self, version: Version) -> bool:
        """True when a prediction waits that only this version may understand, which has a worker to run it."""
        if version.signature is None or version.signature is self.signature or not version.backend.slots:
            return False
        return self._awaits(version.signature)

    def _end(self, version: Version, *, grace: float) -> None:
        if version.ending:
            return
        version.ending = True
        version.failed.set()
        if version not in self._leaving:
            self._leaving.append(version)
        self._spawn(self._bury(version, grace))

    async def _bury(self, version: Version, grace: float) -> None:
        await version.backend.stop(grace)
        self._leaving.remove(version)
        if not self._leaving and not self._ended:
            self._current.backend.take_room()

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
