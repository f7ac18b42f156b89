"""The addresses of Replicate's HTTP API, for clients that were written for it: /v1/predictions and what is beside them.

All of it goes through the same service as `/predictions`. Any owner, name or version means the one model that is here; any
token is as good as none.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from cog.errors import NotFound
from cog.prediction.record import timestamp
from cog.schema.openapi import combined
from cog.schema.task import PREDICT
from cog.server import replicate_form as form
from cog.server.create import Create, end_of
from cog.server.records import Records
from cog.server.replay import Replay, head_only, replay
from cog.server.replicate_stream import PlainBroadcast, PlainScript
from cog.server.stream import Subscriber, subscribe
from cog.server.wire import Scope, header, to_json
from cog.service.service import Service
from cog.signature.facts import Signature
from cog.store.memory import MemoryStore

# Seconds that `Prefer: wait` waits where it names none, and at most: the client hangs up half a second later.
WAIT: Final = 60.0
# Seconds that a cancel waits for the model to let go, so that its answer mostly says `canceled`.
CANCEL: Final = 5.0

_MODEL: Final = "/v1/models/{owner}/{name}"
_ACCOUNT: Final = {"type": "organization", "username": form.OWNER, "name": "Cog", "github_url": None}


class Hosted(Records):
    """The handlers; each is one short function."""

    def __init__(
        self,
        create: Create,
        service: Service,
        store: MemoryStore,
        document: Callable[[], Awaitable[bytes]],
    ) -> None:
        """`document` gives the model's OpenAPI document."""
        super().__init__(service, store, PREDICT)
        self._create = create
        self._document = document
        self._known: tuple[Signature | None, str] = (None, "unknown")

    def routes(self) -> Sequence[Route]:
        """Where everything is."""
        one = "/v1/predictions/{prediction_id}"
        creating = ("/v1/predictions", f"{_MODEL}/predictions", "/v1/deployments/{owner}/{name}/predictions")
        return [
            *(Route(path, self.create, methods=["POST"]) for path in creating),
            Route("/v1/predictions", self.list, methods=["GET"]),
            Route(one, self.get, methods=["GET"]),
            Route(f"{one}/cancel", self.cancel, methods=["POST"]),
            Route(f"{one}/stream", self.stream, methods=["GET"]),
            Route(_MODEL, self.model, methods=["GET"]),
            Route(f"{_MODEL}/versions", self.versions, methods=["GET"]),
            Route(_MODEL + "/versions/{version}", self.version, methods=["GET"]),
            Route("/v1/account", self.account, methods=["GET"]),
        ]

    # Predictions

    async def create(self, request: Request) -> Response:
        """POST /v1/predictions: answered at once, or, with `Prefer: wait`, at the end if that comes soon enough.

        A client that goes away while it waits cancels nothing, as there.
        """
        members = partial(form.members, version=self._version(), base=form.base_url(request.scope))
        prediction = await self._create.begin(request.scope, request.receive, members)
        seconds = _patience(request.scope)
        if seconds is not None and not prediction.status.terminal:
            await asyncio.wait([end_of(prediction)], timeout=seconds)
        ended = seconds is not None and prediction.status.terminal
        body = prediction.render() if ended else form.begun(prediction)
        return self._shown(request, prediction.id, body, 201)

    async def get(self, request: Request) -> Response:
        """GET /v1/predictions/{id}: the prediction as it stands."""
        prediction_id = request.path_params["prediction_id"]
        running = self._service.find(prediction_id)
        body = running.render() if running is not None else self._kept_body(prediction_id)
        return self._shown(request, prediction_id, body)

    async def list(self, request: Request) -> Response:
        """GET /v1/predictions: a page of what is running and kept, newest first."""
        page = self.page(request.query_params.get("cursor"))
        base, version = form.base_url(request.scope), self._version()
        results = [form.prediction(found.summary(), found.id, version, base) for found in page.results]
        return _json(form.page(results, f"{base}/v1/predictions", page.newer, page.older))

    async def cancel(self, request: Request) -> Response:
        """POST /v1/predictions/{id}/cancel: the prediction, canceled if it ends soon; one that has ended stays as it is."""
        prediction_id = request.path_params["prediction_id"]
        running = self._service.find(prediction_id)
        if running is None:
            return self._shown(request, prediction_id, self._kept_body(prediction_id))
        self._service.cancel(prediction_id)
        if not running.status.terminal:
            await asyncio.wait([end_of(running)], timeout=CANCEL)
        return self._shown(request, prediction_id, running.render())

    async def stream(self, request: Request) -> Subscriber | Replay:
        """GET /v1/predictions/{id}/stream: what happens to it, and what has, as events."""
        prediction_id = request.path_params["prediction_id"]
        running = self._service.find(prediction_id)
        if running is not None:
            if request.method == "HEAD":
                return head_only()
            return subscribe(self._service, running, request.scope, kind=PlainBroadcast)
        kept = self._store.get(prediction_id, time.time())
        if kept is None:
            raise _forgotten()
        return await replay(kept, request.scope, yields=self._service.yields, language=PlainScript)

    def _kept_body(self, prediction_id: str) -> bytes:
        kept = self._store.get(prediction_id, time.time())
        if kept is None:
            raise _forgotten()
        return kept.body

    def _shown(self, request: Request, prediction_id: str, body: bytes, status: int = 200) -> Response:
        base = form.base_url(request.scope)
        return _json(form.prediction(body, prediction_id, self._version(), base), status)

    # The model

    async def model(self, request: Request) -> Response:
        """GET /v1/models/{owner}/{name}: the model, under any name."""
        signature = self._service.backend.signature
        latest = b"null" if signature is None else await self._latest()
        names = request.path_params
        return _json(form.model(names["owner"], names["name"], latest, form.base_url(request.scope)))

    async def versions(self, request: Request) -> Response:
        """GET /v1/models/{owner}/{name}/versions: there is one."""
        return _json(form.page([await self._latest()], request.url.path, None, None))

    async def version(self, request: Request) -> Response:
        """GET /v1/models/{owner}/{name}/versions/{id}: the one that there is, under any id."""
        return _json(await self._latest())

    async def _latest(self) -> bytes:
        document = await self._document()
        setup = self._service.backend.standing.setup
        at = time.time() if setup is None else setup.completed_at or setup.started_at
        return form.version(self._version(), timestamp(at), document)

    def _version(self) -> str:
        """Its id: 64 hexadecimal digits that are others when the model takes or gives something else."""
        signature = self._service.backend.signature
        if signature is not None and signature is not self._known[0]:
            self._known = (signature, hashlib.sha256(to_json(combined({PREDICT: signature}))).hexdigest())
        return self._known[1]

    async def account(self, request: Request) -> Response:
        """GET /v1/account: nobody in particular."""
        return _json(to_json(_ACCOUNT))


def _patience(scope: Scope) -> float | None:
    """Seconds that the client waits for the end; None when it wants an answer at once. As there, that is from 1 to 60."""
    for part in (header(scope, b"prefer") or "").lower().split(","):
        name, _, value = part.partition(";")[0].partition("=")
        if name.strip() == "wait":
            digits = value.strip().strip('"')[:9]
            wanted = float(digits) if digits.isascii() and digits.isdigit() else WAIT
            return min(max(wanted, 1.0), WAIT)
    return None


def _forgotten() -> NotFound:
    return NotFound("no prediction with this id is running or kept. Ended ones are kept for --keep seconds")


def _json(body: bytes, status: int = 200) -> Response:
    return Response(body, status, media_type="application/json")
