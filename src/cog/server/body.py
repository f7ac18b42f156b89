"""A large body of a create request: from its bytes to what it says, and to a checked input.

It is read in a thread: what takes no time for ordinary ones takes seconds for 100 MiB. It lives as long as this does, so
whoever waits for a prediction must not hold it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Final, ParamSpec, TypeVar

from cog.errors import CogError
from cog.files.lifted import lift
from cog.server.envelope import Envelope
from cog.server.wire import Scope, read_envelope
from cog.service.intake import Intake, Lifting
from cog.service.service import Service

P = ParamSpec("P")
T = TypeVar("T")

# Two at a time, since what is read may be many times as large in memory.
_READERS: Final = ThreadPoolExecutor(2, "cog-bodies")
_NOTHING: Final[Lifting] = {}


class LargeBody:
    """One body that has come."""

    def __init__(self, scope: Scope, content: bytes) -> None:
        self._scope = scope
        self._content = content
        self._lifted = _NOTHING

    async def read(self) -> Envelope:
        """What it says; its input may be without its long data URLs then.

        Raises:
            CogError: see `read_envelope`.
        """
        return await _aside(self._read_lifted)

    def _read_lifted(self) -> Envelope:
        text, lifted = lift(self._content)
        if lifted:
            try:
                envelope = read_envelope(self._scope, text)
            except CogError:
                return self._read()  # so what is wrong is told of what the client has sent
            self._lifted = lifted
            return envelope
        return self._read()

    def _read(self) -> Envelope:
        return read_envelope(self._scope, self._content)

    async def take(self, service: Service, raw: bytes) -> Intake:
        """Check the input, which is `raw` in what was read; the model must be ready.

        Raises:
            InvalidRequest: with everything that is wrong.
        """
        intake = await _aside(self._take, service, raw)
        while service.replaced_since(intake):  # only this knows what was lifted out of it
            intake = await _aside(self._take, service, raw)
        return intake

    def _take(self, service: Service, raw: bytes) -> Intake:
        if self._lifted:
            intake = service.take_lifted(raw, self._lifted)
            return intake if intake is not None else service.take(bytes(self._read().input))
        return service.take(raw)


async def _aside(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """What `work` returns, done in a thread: it takes so long that others would notice."""
    return await asyncio.get_running_loop().run_in_executor(_READERS, partial(work, *args, **kwargs))
