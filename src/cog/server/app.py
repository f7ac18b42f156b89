"""The ASGI application: which address leads where."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.routing import Route

from cog.errors import CogError
from cog.server.create import Create
from cog.server.routes import DocsPage, Routes


def make_app(create: Create, routes: Routes) -> Starlette:
    """The application. A trailing slash is another address, which does not exist."""
    one = "/predictions/{prediction_id:path}"
    app = Starlette(
        routes=[
            Route("/predictions", create, methods=["POST"]),
            Route("/predictions", routes.list, methods=["GET"]),
            Route(f"{one}/cancel", routes.cancel, methods=["POST"]),
            Route(one, create, methods=["PUT"]),
            Route(one, routes.get, methods=["GET"]),
            Route("/health-check", routes.health_check, methods=["GET"]),
            Route("/", routes.root, methods=["GET"]),
            Route("/ready", routes.ready, methods=["GET"]),
            Route("/live", routes.live, methods=["GET"]),
            Route("/openapi.json", routes.openapi, methods=["GET"]),
            Route("/docs", DocsPage(), methods=["GET"]),
            Route("/shutdown", routes.shut_down, methods=["POST"]),
        ],
        exception_handlers={404: routes.not_found, 405: routes.wrong_method, CogError: routes.failed},
    )
    app.router.redirect_slashes = False
    return app
