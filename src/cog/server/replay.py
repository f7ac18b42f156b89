"""The event stream of a prediction that has ended: what its record still tells."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

import msgspec

from cog.prediction.events import Log
from cog.prediction.history import STARTED, Place, Told
from cog.schema.validate import LARGE
from cog.server.events import Script
from cog.server.wire import Message, Receive, Scope, Send, header
from cog.store.memory import Kept

# Without the last one nginx would hold the events back (proxy_buffering).
HEAD: Final[Message] = {
    "type": "http.response.start",
    "status": 200,
    "headers": [
        (b"content-type", b"text/event-stream"),
        (b"cache-control", b"no-cache"),
        (b"x-accel-buffering", b"no"),
    ],
}
_NO_MORE: Final[Message] = {"type": "http.response.start", "status": 204, "headers": []}


class _Shown(msgspec.Struct, gc=False):
    """What is read of an ended prediction; its output stays the text that it is."""

    output: msgspec.Raw
    logs: str
    started_at: str | None


class Replay:
    """An answer of the server, and an ASGI application for Starlette."""

    def __init__(self, head: Message, parts: Sequence[bytes] = ()) -> None:
        self._head = head
        self._parts = parts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer."""
        await self.send(send)

    async def send(self, send: Send) -> None:
        """Tell it all."""
        await send(self._head)
        for part in self._parts:
            await send({"type": "http.response.body", "body": part, "more_body": True})
        await send({"type": "http.response.body"})


def head_only() -> Replay:
    """The answer to HEAD."""
    return Replay(HEAD)


async def replay(kept: Kept, scope: Scope, *, yields: bool, language: type[Script] = Script) -> Replay:
    """The events of an ended prediction: its start, its logs in one, its output, its end; for `Last-Event-ID` those that
    are missing. `yields` says that its output is a list of chunks.

    204 for who has had the last one: that is how a browser's EventSource is told to come back no more.
    """
    last_id = header(scope, b"last-event-id")
    script = language(kept.id, kept.created_at)
    if script.is_end(last_id):
        return Replay(_NO_MORE)
    had = script.place_of(last_id) or Place()
    if len(kept.body) <= LARGE:
        return Replay(HEAD, _parts(kept, script, had, yields=yields))
    work = asyncio.to_thread(
        _parts, kept, script, had, yields=yields
    )  # others would notice how long it takes
    return Replay(HEAD, await work)


def _parts(kept: Kept, script: Script, had: Place, *, yields: bool) -> Sequence[bytes]:
    ending = script.completed(kept.body)
    try:
        shown = msgspec.json.decode(kept.body, type=_Shown)
        chunks = msgspec.json.decode(shown.output, type=list[msgspec.Raw] | None) if yields else None
    except (msgspec.DecodeError, RecursionError):
        return ending  # an output that is nested too deep for being taken apart is whole in there
    start = (script.start(),) if shown.started_at is not None and had.events == 0 else ()
    told: list[Told] = []
    if len(shown.logs) > had.characters:
        told.append(Log(shown.logs[had.characters :], "stdout"))
    if chunks is not None:
        told += (bytes(chunk) for chunk in chunks[had.chunks :])
    place = had if had.events else STARTED
    parts, place = script.events(told, place)
    if not yields and had.chunks == 0:
        ending = (*script.returned(bytes(shown.output), place), *ending)
    return (*start, *parts, *ending)
