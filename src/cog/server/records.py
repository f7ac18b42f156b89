"""What is known of the predictions, or the trainings, of one service: each of them, all of them, and how one is ended."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Final, NamedTuple
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response

from cog.errors import NotFound
from cog.prediction.record import Prediction
from cog.schema.task import Task
from cog.server.manner import accepts_event_stream
from cog.server.replay import Replay, head_only, replay
from cog.server.stream import Subscriber, subscribe
from cog.server.wire import to_json
from cog.service.service import Service
from cog.store.memory import Kept, MemoryStore

# Predictions in one page of GET /predictions.
PAGE: Final = 100


class Page(NamedTuple):
    """`newer` and `older` are the ids with which the pages before and behind it begin."""

    results: Sequence[Prediction | Kept]
    newer: str | None
    older: str | None


class Records:
    """The handlers for what there is already; each is one short function."""

    def __init__(self, service: Service, store: MemoryStore, task: Task) -> None:
        self._service = service
        self._store = store
        self._task = task

    async def get(self, request: Request) -> Response | Subscriber | Replay:
        """GET /predictions/{id}: the prediction as it stands, or what happens to it as events."""
        prediction_id = request.path_params["prediction_id"]
        streams = accepts_event_stream(request.scope)
        running = self._service.find(prediction_id)
        if running is not None:
            if streams and request.method == "HEAD":
                return head_only()
            if streams:
                return subscribe(self._service, running, request.scope)
            return Response(running.render(), media_type="application/json")
        kept = self._store.get(prediction_id, time.time())
        if kept is None:
            raise NotFound(
                f"no {self._task.noun} with this id is running or kept. Ended ones are kept for --keep seconds"
            )
        if streams:
            return await replay(kept, request.scope, yields=self._service.yields)
        return Response(kept.body, media_type="application/json")

    async def list(self, request: Request) -> Response:
        """GET /predictions: a page of what is running and kept, newest first."""
        page = self.page(request.query_params.get("cursor"))
        head = b'{"previous":%s,"next":%s,"results":[' % (
            _page_url(request, page.newer),
            _page_url(request, page.older),
        )
        return Response(
            head + b",".join(prediction.summary() for prediction in page.results) + b"]}",
            media_type="application/json",
        )

    def page(self, cursor: str | None) -> Page:
        """Some of what is running and kept, newest first, from the one with the id `cursor` on.

        Raises:
            NotFound: that one is not kept any more.
        """
        kept = self._store.newest_first(time.time())
        known: list[Prediction | Kept] = [*self._service.active()]
        # An id that failed or was canceled may run again; then it stands here as what it is now.
        known += (prediction for prediction in kept if self._service.find(prediction.id) is None)
        known.sort(key=lambda prediction: prediction.created_at, reverse=True)
        start = _position(known, cursor, self._task)
        return Page(
            known[start : start + PAGE],
            newer=known[max(0, start - PAGE)].id if start > 0 else None,
            older=known[start + PAGE].id if start + PAGE < len(known) else None,
        )

    async def cancel(self, request: Request) -> Response:
        """POST /predictions/{id}/cancel: 200, or 404 when nothing with this id is in flight."""
        if not self._service.cancel(request.path_params["prediction_id"]):
            raise NotFound(
                f"no {self._task.noun} with this id is running: it has ended, or there never was one"
            )
        return Response(b"{}", media_type="application/json")


def _position(known: Sequence[Prediction | Kept], cursor: str | None, task: Task) -> int:
    if cursor is None:
        return 0
    for index, prediction in enumerate(known):
        if prediction.id == cursor:
            return index
    raise NotFound(
        f"the cursor names a {task.noun} that is not kept any more. Begin again at GET {task.path}"
    )


def _page_url(request: Request, cursor: str | None) -> bytes:
    if cursor is None:
        return b"null"
    base = str(request.url.replace(query=""))
    return to_json(f"{base}?cursor={quote(cursor, safe='')}")
