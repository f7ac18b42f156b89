"""The limit: uvicorn and Starlette's router, answering each request with its own body."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route


async def echo(request: Request) -> Response:
    """Give back what was sent."""
    return Response(await request.body(), media_type="application/json")


app = Starlette(routes=[Route("/predictions", echo, methods=["POST"])])
