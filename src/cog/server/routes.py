"""Every route but those that create predictions."""

from __future__ import annotations

import base64
import hashlib
import os
import platform
import re
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Final
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Match, Route

from cog.backend.protocol import SetupReport
from cog.errors import CogError, MethodNotAllowed, NotFound, NotReady
from cog.prediction.record import Prediction, timestamp
from cog.schema.openapi import document
from cog.server.replay import Replay, head_only, replay
from cog.server.stream import Subscriber, subscribe
from cog.server.wire import accepts_event_stream, error_answer, to_json
from cog.service.health import HealthCheck
from cog.service.service import Service
from cog.signature.facts import Signature
from cog.store.memory import Kept, MemoryStore
from cog.version import __version__

# Predictions in one page of GET /predictions.
PAGE: Final = 100
_READY_FILE: Final = Path("/var/run/cog/ready")

_DISCOVERY: Final = {
    "cog_version": __version__,
    "docs_url": "/docs",
    "openapi_url": "/openapi.json",
    "shutdown_url": "/shutdown",
    "healthcheck_url": "/health-check",
    "predictions_url": "/predictions",
    "predictions_idempotent_url": "/predictions/{prediction_id}",
    "predictions_cancel_url": "/predictions/{prediction_id}/cancel",
}
_VERSION: Final = {
    "cog": __version__,
    "coglet": __version__,
    "python_sdk": __version__,
    "python": platform.python_version(),
}


class Routes:
    """The handlers; each is one short function."""

    def __init__(self, service: Service, store: MemoryStore, shut_down: Callable[[], None]) -> None:
        """`shut_down` begins the end of the server and returns at once."""
        self._service = service
        self._store = store
        self._health = HealthCheck(service)
        self._shut_down = shut_down
        self._document: tuple[Signature, bytes] | None = None

    async def root(self, request: Request) -> Response:
        """GET /: where everything is."""
        return _json(_DISCOVERY)

    async def health_check(self, request: Request) -> Response:
        """GET /health-check: always 200, the state is in the body."""
        health = await self._health.ask()
        body: dict[str, object] = {"status": health.status}
        if health.setup is not None:
            body["setup"] = _setup(health.setup)
        body["version"] = _VERSION
        if health.error is not None:
            body["user_healthcheck_error"] = health.error
        if health.status in ("READY", "BUSY"):
            _touch_ready_file()
        return _json(body)

    async def ready(self, request: Request) -> Response:
        """GET /ready: 200 while requests may be sent here, else 503."""
        status = self._health.status()
        ready = status in ("READY", "BUSY") and not self._service.draining
        return _json({"status": status}, 200 if ready else 503)

    async def live(self, request: Request) -> Response:
        """GET /live: 503 when only a new server will help."""
        status = self._health.status()
        return _json({"status": status}, 503 if status == "DEFUNCT" else 200)

    async def openapi(self, request: Request) -> Response:
        """GET /openapi.json: what the model accepts."""
        signature = self._service.backend.signature
        if signature is None:
            raise NotReady("OpenAPI schema not available: the model has not been set up yet")
        if self._document is None or self._document[0] is not signature:
            self._document = (signature, to_json(document(signature)))
        return Response(self._document[1], media_type="application/json")

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
                "no prediction with this id is running or kept. Ended ones are kept for --keep seconds"
            )
        if streams:
            return await replay(kept, request.scope, yields=self._service.yields)
        return Response(kept.body, media_type="application/json")

    async def list(self, request: Request) -> Response:
        """GET /predictions: a page of what is running and kept, newest first."""
        kept = self._store.newest_first(time.time())
        known: list[Prediction | Kept] = [*self._service.active()]
        # An id that failed or was canceled may run again; then it stands here as what it is now.
        known += (prediction for prediction in kept if self._service.find(prediction.id) is None)
        known.sort(key=lambda prediction: prediction.created_at, reverse=True)
        start = _position(known, request.query_params.get("cursor"))
        page = known[start : start + PAGE]
        older = known[start + PAGE].id if start + PAGE < len(known) else None
        newer = known[max(0, start - PAGE)].id if start > 0 else None
        head = b'{"previous":%s,"next":%s,"results":[' % (
            _page_url(request, newer),
            _page_url(request, older),
        )
        return Response(
            head + b",".join(prediction.summary() for prediction in page) + b"]}",
            media_type="application/json",
        )

    async def cancel(self, request: Request) -> Response:
        """POST /predictions/{id}/cancel: 200, or 404 when nothing with this id is in flight."""
        if not self._service.cancel(request.path_params["prediction_id"]):
            raise NotFound("no prediction with this id is running: it has ended, or there never was one")
        return _json({})

    async def shut_down(self, request: Request) -> Response:
        """POST /shutdown: the server ends in order."""
        self._shut_down()
        return _json({})

    async def not_found(self, request: Request, error: Exception) -> Response:
        """Any other address."""
        return _refused(NotFound(f"there is nothing at {request.url.path[:200]}; GET / lists what there is"))

    async def wrong_method(self, request: Request, error: Exception) -> Response:
        """An address that does not take this method."""
        response = _refused(MethodNotAllowed(f"{request.url.path[:200]} does not take {request.method}"))
        response.headers["allow"] = ", ".join(sorted(_methods(request)))
        return response

    async def failed(self, request: Request, error: Exception) -> Response:
        """An error of ours that a handler raised."""
        assert isinstance(error, CogError)
        return _refused(error)

    async def broken(self, request: Request, error: Exception) -> Response:
        """A defect of ours; the connection logs it."""
        return _refused(CogError("an error of the server; its log says more"))


class DocsPage:
    """GET /docs: one page without anything from elsewhere, which shows the model's inputs and runs it."""

    def __init__(self) -> None:
        self._page: tuple[str, str] | None = None

    async def show(self, request: Request) -> Response:
        """Answer with the page; it is read when it is first asked for."""
        if self._page is None:
            page = Path(__file__).with_name("docs.html").read_text(encoding="utf-8")
            self._page = page, _policy(page)
        page, policy = self._page
        return HTMLResponse(
            page, headers={"content-security-policy": policy, "referrer-policy": "no-referrer"}
        )


def _policy(page: str) -> str:
    """Only the page's own script and style run (Content Security Policy, level 3)."""
    script, style = (
        _hashes(re.findall(f"<{tag}>(.*?)</{tag}>", page, re.DOTALL)) for tag in ("script", "style")
    )
    return (
        f"default-src 'none'; script-src {script}; style-src {style}; connect-src 'self'; img-src * data: blob:; "
        "media-src * data: blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


def _hashes(texts: Iterable[str]) -> str:
    digests = (base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in texts)
    return " ".join(f"'sha256-{digest}'" for digest in digests)


def _methods(request: Request) -> set[str]:
    """What an address takes (RFC 9110, 10.2.1): all of it, where Starlette names only its first route."""
    routes = (route for route in request.app.routes if isinstance(route, Route))
    return {
        method
        for route in routes
        if route.matches(request.scope)[0] is not Match.NONE
        for method in route.methods or ()
    }


def _json(value: object, status: int = 200) -> Response:
    return Response(to_json(value), status, media_type="application/json")


def _refused(error: CogError) -> Response:
    answer = error_answer(error)
    headers = {name.decode(): value.decode() for name, value in answer.headers}
    return Response(answer.body, answer.status, headers, media_type="application/json")


def _setup(setup: SetupReport) -> dict[str, object]:
    shown: dict[str, object] = {"started_at": timestamp(setup.started_at).strip('"')}
    if setup.completed_at is not None:
        shown["completed_at"] = timestamp(setup.completed_at).strip('"')
    shown["status"] = setup.status
    if setup.logs:
        shown["logs"] = setup.logs
    return shown


def _position(known: Sequence[Prediction | Kept], cursor: str | None) -> int:
    if cursor is None:
        return 0
    for index, prediction in enumerate(known):
        if prediction.id == cursor:
            return index
    raise NotFound("the cursor names a prediction that is not kept any more. Begin again at GET /predictions")


def _page_url(request: Request, cursor: str | None) -> bytes:
    if cursor is None:
        return b"null"
    base = str(request.url.replace(query=""))
    return to_json(f"{base}?cursor={quote(cursor, safe='')}")


def _touch_ready_file() -> None:
    """`[compat]` What Replicate's probes look for; test_ready_file shows it."""
    if "KUBERNETES_SERVICE_HOST" not in os.environ or _READY_FILE.exists():
        return
    try:
        _READY_FILE.parent.mkdir(parents=True, exist_ok=True)
        _READY_FILE.touch()
    except OSError:
        return  # a read-only root: then nobody looks for it either
