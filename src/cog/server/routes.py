"""Every route but those that create predictions."""

from __future__ import annotations

import base64
import hashlib
import operator
import os
import platform
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Final

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Match, Route

from cog.backend.protocol import SetupReport
from cog.errors import CogError, MethodNotAllowed, NotFound, NotReady
from cog.prediction.record import timestamp
from cog.schema.openapi import combined
from cog.schema.task import PREDICT, TRAIN, Task
from cog.server.records import Records
from cog.server.replicate_form import problem
from cog.server.trainings import Trainings
from cog.server.wire import error_answer, to_json
from cog.service.health import HealthCheck
from cog.service.service import Service
from cog.signature.facts import Signature
from cog.store.memory import MemoryStore
from cog.version import __version__

_READY_FILE: Final = Path("/var/run/cog/ready")

_DISCOVERY: Final = {
    "cog_version": __version__,
    "docs_url": "/docs",
    "openapi_url": "/openapi.json",
    "shutdown_url": "/shutdown",
    "healthcheck_url": "/health-check",
}
_VERSION: Final = {
    "cog": __version__,
    "coglet": __version__,
    "python_sdk": __version__,
    "python": platform.python_version(),
}


class Routes(Records):
    """The handlers; each is one short function. The records are those of the model's own task."""

    def __init__(
        self,
        service: Service,
        store: MemoryStore,
        shut_down: Callable[[], None],
        *,
        task: Task = PREDICT,
        trainings: Trainings | None = None,
    ) -> None:
        """`shut_down` begins the end of the server and returns at once; `trainings` are what is served beside the
        `task`."""
        super().__init__(service, store, task)
        self._health = HealthCheck(service)
        self._shut_down = shut_down
        self._trainings = trainings
        self._document: tuple[list[Signature], bytes] | None = None

    async def root(self, request: Request) -> Response:
        """GET /: where everything is."""
        tasks = (self._task,) if self._trainings is None else (self._task, TRAIN)
        return _json(_DISCOVERY | {name: url for task in tasks for name, url in _addresses(task).items()})

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
        """GET /ready: 200 while requests may be sent here, else 503. `slots` are the predictions that it runs at once."""
        status = self._health.status()
        ready = status in ("READY", "BUSY") and not self._service.draining
        body = {"status": status, "slots": self._service.backend.slots}
        return _json(body, 200 if ready else 503)

    async def live(self, request: Request) -> Response:
        """GET /live: 503 when only a new server will help."""
        status = self._health.status()
        return _json({"status": status}, 503 if status == "DEFUNCT" else 200)

    async def openapi(self, request: Request) -> Response:
        """GET /openapi.json: what the model accepts."""
        return Response(await self.document(), media_type="application/json")

    async def document(self) -> bytes:
        """The OpenAPI document.

        Raises:
            NotReady: the model has not been set up yet.
        """
        signature = self._service.backend.signature
        if signature is None:
            raise NotReady("OpenAPI schema not available: the model has not been set up yet")
        asked = {self._task: signature}
        if self._trainings is not None and (trained := await self._trainings.signature()) is not None:
            asked[TRAIN] = trained
        made_of = list(asked.values())
        if self._document is None or not _same(self._document[0], made_of):
            self._document = (made_of, to_json(combined(asked)))
        return self._document[1]

    async def shut_down(self, request: Request) -> Response:
        """POST /shutdown: the server ends in order."""
        self._shut_down()
        return _json({})

    async def not_found(self, request: Request, error: Exception) -> Response:
        """Any other address."""
        return _refused(
            request, NotFound(f"there is nothing at {request.url.path[:200]}; GET / lists what there is")
        )

    async def wrong_method(self, request: Request, error: Exception) -> Response:
        """An address that does not take this method."""
        response = _refused(
            request, MethodNotAllowed(f"{request.url.path[:200]} does not take {request.method}")
        )
        response.headers["allow"] = ", ".join(sorted(_methods(request)))
        return response

    async def failed(self, request: Request, error: Exception) -> Response:
        """An error of ours that a handler raised."""
        assert isinstance(error, CogError)
        return _refused(request, error)

    async def broken(self, request: Request, error: Exception) -> Response:
        """A defect of ours; the connection logs it."""
        return _refused(request, CogError("an error of the server; its log says more"))


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


def _addresses(task: Task) -> dict[str, str]:
    """Where a task is asked for, in the words of GET /."""
    one = f"{task.path}/{{{task.id_name}}}"
    return {
        f"{task.noun}s_url": task.path,
        f"{task.noun}s_idempotent_url": one,
        f"{task.noun}s_cancel_url": f"{one}/cancel",
    }


def _same(one: Sequence[object], other: Sequence[object]) -> bool:
    """Whether both are the same objects: for Python, a default of 1 would equal one of True."""
    return len(one) == len(other) and all(map(operator.is_, one, other))


def _json(value: object, status: int = 200) -> Response:
    return Response(to_json(value), status, media_type="application/json")


def _refused(request: Request, error: CogError) -> Response:
    if request.scope["path"].startswith("/v1/"):
        return problem(error)
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


def _touch_ready_file() -> None:
    """`[compat]` What Replicate's probes look for; test_ready_file shows it."""
    if "KUBERNETES_SERVICE_HOST" not in os.environ or _READY_FILE.exists():
        return
    try:
        _READY_FILE.parent.mkdir(parents=True, exist_ok=True)
        _READY_FILE.touch()
    except OSError:
        return  # a read-only root: then nobody looks for it either
