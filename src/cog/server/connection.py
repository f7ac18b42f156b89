"""One client's connection: uvicorn's HTTP protocol, with the two things that this server needs beside it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from cog.server.wire import Scope

_EXTENSION: Final = "cog.connection"


class Connection(HttpToolsProtocol):
    """Tells at once when the client goes away, without a task that waits for it, and answers errors as JSON."""

    _lost: Callable[[], object] | None = None
    _gone = False

    def when_lost(self, call: Callable[[], object] | None) -> None:
        """Call `call` when the connection is lost; None for nothing. A connection lost already calls at once."""
        self._lost = call
        if call is not None and self._gone:
            self._lost = None
            call()

    def connection_lost(self, exc: Exception | None) -> None:
        """Part of asyncio's protocol."""
        super().connection_lost(exc)
        self._gone = True
        if self._lost is not None:
            lost, self._lost = self._lost, None
            lost()

    def on_message_begin(self) -> None:
        """Part of httptools' protocol: a request begins."""
        super().on_message_begin()
        cast("Scope", self.scope)["extensions"] = {_EXTENSION: self}

    def send_400_response(self, msg: str) -> None:
        """Answer a request that is not HTTP."""
        body = b'{"error":"the request is not valid HTTP/1.1","status":"failed"}'
        self.transport.write(
            b"HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: %d\r\n\r\n%s"
            % (len(body), body)
        )
        self.transport.close()


def connection_of(scope: Scope) -> Connection:
    """The connection that a request came on."""
    return cast("Connection", scope["extensions"][_EXTENSION])
