"""The ASGI application: what creates predictions, and what answers everything else."""

from __future__ import annotations

from collections.abc import Callable

from cog.schema.task import PREDICT
from cog.server.create import Create
from cog.server.exchange import Exchange
from cog.server.traffic import App
from cog.server.wire import Receive, Scope, Send


class Application:
    """The whole application. `POST /predictions` answers its own errors, so it goes past Starlette's layers."""

    def __init__(self, create: Create, others: Callable[[], App], *, path: str = PREDICT.path) -> None:
        """What `create` makes is at `path`; `others` makes what answers every other address, which takes as long to import
        as half of the server: it is called when the first of them is asked for, if `complete()` was not before."""
        self._create = create
        self._path = path
        self._others = others
        self._rest: App | None = None

    def complete(self) -> App:
        """Be ready for every address; gives what answers the others."""
        if self._rest is None:
            self._rest = self._others()
        return self._rest

    def at_once(self, exchange: Exchange) -> bool:
        """Answer a request without a task, if that can be; see `Create.at_once`."""
        known = exchange.known
        if known is None or known.path != self._path:
            return False
        return self._create.at_once(exchange, known, exchange.content)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "http" and scope["method"] == "POST" and scope["path"] == self._path:
            await self._create(scope, receive, send)
            return
        if scope["type"] == "http" and scope["path"].endswith("\n"):
            # The "$" of a route matches before it too: such a path would lead where the path without it does.
            scope = {**scope, "path": scope["path"] + "%0a"}
        await (self._rest or self.complete())(scope, receive, send)
