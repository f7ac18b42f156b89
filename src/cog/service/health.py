"""How the server is, in Cog's words."""

from __future__ import annotations

import asyncio
import time
from typing import Final, NamedTuple

from cog.backend.protocol import SetupReport, State
from cog.service.service import Service

# Concurrent callers share one run of the model's check, and a run answers for this many seconds.
_SHARED: Final = 0.5
# The statuses in which the model can be asked.
_ANSWERING: Final = ("READY", "BUSY")


class Health(NamedTuple):
    """`status` is one of STARTING, READY, BUSY, SETUP_FAILED, DEFUNCT and UNHEALTHY."""

    status: str
    setup: SetupReport | None
    error: str | None


class HealthCheck:
    """Asks the model's own `healthcheck()`, never more than needed."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._check: asyncio.Task[str | None] | None = None
        self._checked_at = 0.0
        service.when_drained(self._let_go)

    def status(self) -> str:
        """The status by what is known, without asking the model."""
        backend = self._service.backend
        state = backend.state
        if state is not State.READY:
            return str(state.value)
        if backend.trouble is not None:
            return "UNHEALTHY"
        return "BUSY" if self._service.full else "READY"

    async def ask(self) -> Health:
        """The status, the model's own word included."""
        error = await self._verdict()
        status = self.status()
        if status not in _ANSWERING:
            error = None  # that is over: the worker died, or froze, while it was asked
        setup = self._service.backend.standing.setup
        return Health(status if error is None else "UNHEALTHY", setup, error)

    async def _verdict(self) -> str | None:
        signature = self._service.backend.signature
        if signature is None or not signature.healthcheck:
            return None
        if self.status() not in _ANSWERING or self._service.drained:
            return None
        if self._check is None or (self._check.done() and time.monotonic() - self._checked_at > _SHARED):
            self._check = asyncio.ensure_future(self._run())
        check = self._check
        await asyncio.wait([check])
        return None if check.cancelled() else check.result()

    async def _run(self) -> str | None:
        try:
            return await self._service.backend.check_health()
        finally:
            self._checked_at = time.monotonic()

    def _let_go(self) -> None:
        """The server is about to end: a check that takes its time must not hold that up."""
        if self._check is not None:
            self._check.cancel()
