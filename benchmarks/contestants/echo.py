"""The limit: uvicorn and Starlette's router, answering each request with its own body."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from benchmarks.contestant import Server, Speech
from benchmarks.environments import environment
from benchmarks.launching import Launch, launched
from benchmarks.works import Work

APP: Final = """
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

async def echo(request: Request) -> Response:
    return Response(await request.body(), media_type="application/json")

app = Starlette(routes=[Route("/predictions", echo, methods=["POST"])])
"""


class Echo:
    """No model, no check, no process beside it."""

    key = "echo"
    title = "echo (uvicorn 0.54.0, Starlette 1.10.0)"

    @contextmanager
    def start(self, work: Work) -> Iterator[Server]:
        python = environment(self.key, ("uvicorn[standard]==0.54.0", "starlette==1.10.0"))
        launch = Launch(
            lambda port: (python, "-m", "uvicorn", "app:app", "--port", port, "--no-access-log"),
            {"app.py": APP},
            path="/predictions",
            speech=Speech.ECHO,
        )
        with launched(self.title, launch, work) as server:
            yield server
