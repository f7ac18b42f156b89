"""Which address leads where: every one but that of the predictions. This is imported when the port is open."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from starlette.applications import Starlette
from starlette.convertors import PathConvertor, register_url_convertor
from starlette.routing import Route

from cog.backend.occasional import Occasional
from cog.errors import CogError
from cog.files.shelf import Shelf
from cog.schema.task import PREDICT, TRAIN, Task
from cog.server.create import Create
from cog.server.desk import Desk
from cog.server.records import Records
from cog.server.replicate import Hosted
from cog.server.routes import DocsPage, Routes
from cog.server.trainings import Trainings
from cog.server.uploads import Uploads


class IdConvertor(PathConvertor):
    """A path parameter that may hold slashes (which the rule for ids then refuses), but is never empty."""

    # With the ends of lines, which "." leaves out: an id that has one is refused by the rule too, not cut.
    regex = "(?s:.+)"


class LastIdConvertor(IdConvertor):
    """An id that ends the path. What ends with /cancel is the address of a cancel, which takes no other method."""

    regex = "(?s:(?!.*/cancel$).+)"


def addresses(
    model: Desk,
    task: Task,
    shut_down: Callable[[], None],
    shelf: Shelf,
    max_body: int,
    learning: tuple[Occasional, Desk] | None,
) -> Starlette:
    """What answers at every address of a server whose `model` does this `task`; `learning` is what trains beside it."""
    trainings = None if learning is None else Trainings(learning[0], *learning[1])
    routes = Routes(model.service, model.store, shut_down, task=task, trainings=trainings)
    hosted: Sequence[Route] = ()
    if task is PREDICT:  # what is for clients of Replicate's API
        clients = Hosted(model.create, model.service, model.store, routes.document)
        hosted = (*clients.routes(), *Uploads(shelf, max_body).routes())
    return routed(model.create, routes, trainings, task.path, hosted)


def routed(
    create: Create,
    routes: Routes,
    trainings: Trainings | None = None,
    path: str = PREDICT.path,
    hosted: Sequence[Route] = (),
) -> Starlette:
    """Every route; `hosted` is what there is below /v1. A trailing slash is another address, which does not exist."""
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
