"""BentoML: one worker, a service with one API; `concurrency` says how many requests it takes at a time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from benchmarks.contestant import Server, Speech
from benchmarks.environments import environment
from benchmarks.launching import Launch, launched
from benchmarks.works import NOOP, NOOP_SYNC, Work

_ASYNC: Final = """
import bentoml

@bentoml.service(workers=1, traffic={"concurrency": 32})
class Model:
    @bentoml.api
    async def run(self, x: int = 1) -> int:
        return x
"""
MODELS: Final = {NOOP.name: _ASYNC, NOOP_SYNC.name: _ASYNC.replace("async def", "def")}


class Bento:
    """`bentoml serve`, as it comes."""

    key = "bentoml"
    title = "BentoML 1.4.40"

    @contextmanager
    def start(self, work: Work) -> Iterator[Server]:
        python = environment(self.key, ("bentoml==1.4.40",), work)
        launch = Launch(
            lambda port: (
                python,
                "-m",
                "bentoml",
                "serve",
                "service:Model",
                "--host",
                "127.0.0.1",
                "--port",
                port,
            ),
            {"service.py": MODELS[work.name]},
            path="/run",
            speech=Speech.BARE,
            variables={"BENTOML_DO_NOT_TRACK": "1"},
        )
        with launched(self.title, launch, work) as server:
            yield server
