"""How the server is, in Cog's words."""

from __future__ import annotations

import asyncio
import time
from typing import Final, NamedTuple

from cog.backend.protocol import SetupReport, State
from cog.service.service import Service

# Concurrent callers share one run of the model's check, and a run answers for this many seconds.
_SHARED: Final = 0.5


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

    def status(self) -> str:
        """The status by what is known, without asking the model."""
        state = self._service.backend.standing.state
        return "BUSY" if state is State.READY and self._service.full else state.value

    async def ask(self) -> Health:
        """The status, the model's own word included."""
        error = None
        if self._service.backend.standing.state is State.READY:
            error = await self._verdict()
        setup = self._service.backend.standing.setup
        return Health(self.status() if error is None else "UNHEALTHY", setup, error)

    async def _verdict(self) -> str | None:
        signature = self._service.backend.signature
        if signature is None or not signature.healthcheck:
            return None
        if self._check is None or (self._check.done() and time.monotonic() - self._checked_at > _SHARED):
            self._check = asyncio.ensure_future(self._run())
        return await asyncio.shield(self._check)

    async def _run(self) -> str | None:
        try:
            return await self._service.backend.check_health()
        finally:
            self._checked_at = time.monotonic()
