"""The ASGI application: which address leads where."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.applications import Starlette
from starlette.convertors import PathConvertor, register_url_convertor
from starlette.routing import Route

from cog.errors import CogError
from cog.schema.task import PREDICT, TRAIN
from cog.server.create import Create
from cog.server.records import Records
from cog.server.routes import DocsPage, Routes
from cog.server.trainings import Trainings
from cog.server.wire import Receive, Scope, Send


class IdConvertor(PathConvertor):
    """A path parameter that may hold slashes (which the rule for ids then refuses), but is never empty."""

    # With the ends of lines, which "." leaves out: an id that has one is refused by the rule too, not cut.
    regex = "(?s:.+)"


class LastIdConvertor(IdConvertor):
    """An id that ends the path. What ends with /cancel is the address of a cancel, which takes no other method."""

    regex = "(?s:(?!.*/cancel$).+)"


class Application:
    """The whole application. `POST /predictions` answers its own errors, so it goes past Starlette's layers."""

    def __init__(
        self,
        create: Create,
        routes: Routes,
        trainings: Trainings | None = None,
        *,
        path: str = PREDICT.path,
        hosted: Sequence[Route] = (),
    ) -> None:
        """What `create` makes is at `path`, what `trainings` make, beside it; `hosted` is what there is below /v1."""
        self._create = create
        self._path = path
        self._rest = _routed(create, routes, trainings, path, hosted)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "http" and scope["method"] == "POST" and scope["path"] == self._path:
            await self._create(scope, receive, send)
            return
        if scope["type"] == "http" and scope["path"].endswith("\n"):
            # The "$" of a route matches before it too: such a path would lead where the path without it does.
            scope = {**scope, "path": scope["path"] + "%0a"}
        await self._rest(scope, receive, send)


def _routed(
    create: Create,
    routes: Routes,
    trainings: Trainings | None = None,
    path: str = PREDICT.path,
    hosted: Sequence[Route] = (),
) -> Starlette:
    """Every route. A trailing slash is another address, which does not exist."""
    register_url_convertor("id", IdConvertor())
    register_url_convertor("last_id", LastIdConvertor())
    app = Starlette(
        routes=[
            *_asked(path, create, routes),
            *(() if trainings is None else _asked(TRAIN.path, trainings, trainings)),
            Route("/health-check", routes.health_check, methods=["GET"]),
            Route("/", routes.root, methods=["GET"]),
            Route("/ready", routes.ready, methods=["GET"]),
            Route("/live", routes.live, methods=["GET"]),
            Route("/openapi.json", routes.openapi, methods=["GET"]),
            Route("/docs", DocsPage().show, methods=["GET"]),
            Route("/shutdown", routes.shut_down, methods=["POST"]),
            *hosted,
        ],
        exception_handlers={
            404: routes.not_found,
            405: routes.wrong_method,
            CogError: routes.failed,
            Exception: routes.broken,
        },
    )
    app.router.redirect_slashes = False
    return app


def _asked(path: str, create: Create | Trainings, records: Records) -> list[Route]:
    """Where something that the model does is asked for: predictions or trainings."""
    one = path + "/{prediction_id:last_id}"
    return [
        Route(path, create, methods=["POST"]),
        Route(path, records.list, methods=["GET"]),
        Route(path + "/{prediction_id:id}/cancel", records.cancel, methods=["POST"]),
        Route(one, create, methods=["PUT"]),
        Route(one, records.get, methods=["GET"]),
    ]
