"""Trainings, where they are served beside the predictions."""

from __future__ import annotations

from cog.backend.occasional import Occasional
from cog.backend.protocol import State
from cog.schema.task import TRAIN
from cog.server.create import Create
from cog.server.records import Records
from cog.server.wire import Receive, Scope, Send
from cog.service.service import Service
from cog.signature.facts import Signature
from cog.store.memory import MemoryStore


class Trainings(Records):
    """The handlers for those that there are, and the ASGI application that creates new ones.

    Who never trains pays nothing for it: the training function is imported when somebody first asks for a training, or
    for the OpenAPI document, and runs in a worker of its own that ends with the training. The predictions have no part in
    it, and are served whatever becomes of it.
    """

    def __init__(self, backend: Occasional, service: Service, store: MemoryStore, create: Create) -> None:
        super().__init__(service, store, TRAIN)
        self._backend = backend
        self._create = create
        service.when_drained(backend.let_go)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Create a training, as soon as it is known what one takes."""
        await self._learn()
        await self._create(scope, receive, send)

    async def signature(self) -> Signature | None:
        """What a training takes; None when the training function cannot be loaded, or takes too long for it."""
        await self._learn()
        return self._backend.signature if self._backend.state is State.READY else None

    async def _learn(self) -> None:
        if not self._service.draining:
            await self._backend.learn()
