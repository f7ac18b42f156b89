"""The released Cog: `cog` and `coglet` as the package registry has them.

It streams only what a schema file in the model's folder says that it streams, and takes the model from a variable. That
file is the document that this server makes of the same model.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from benchmarks.contestant import Server, Speech
from benchmarks.contestants import cogs
from benchmarks.contestants.ours import Ours
from benchmarks.environments import environment
from benchmarks.launching import Launch, ask, launched
from benchmarks.works import Work

RELEASE: Final = "0.23.1"


class Reference:
    """What this project has to answer like, only faster."""

    key = "reference"
    title = f"Cog {RELEASE}"

    @contextmanager
    def start(self, work: Work) -> Iterator[Server]:
        python = environment(self.key, (f"cog=={RELEASE}", f"coglet=={RELEASE}"), work)
        files = cogs.files(work)
        launch = Launch(
            lambda port: (python, "-m", "cog.server.http", "--host", "127.0.0.1", "--threads", "1"),
            {**files, ".cog/openapi_schema.json": document(work)},
            path="/predictions",
            speech=Speech.COG,
            health="/health-check",
            variables=cogs.variables(work),
        )
        with launched(self.title, launch, work) as server:
            yield server


@functools.cache
def document(work: Work) -> str:
    """The OpenAPI document of the work's model."""
    with Ours().start(work) as server:
        return ask(server, "GET", "/openapi.json")[1].decode()
