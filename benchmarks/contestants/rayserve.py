"""Ray Serve: a cluster of this machine alone with one replica that takes 32 requests at a time, and one proxy."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from benchmarks.contestant import Server, Speech
from benchmarks.environments import environment
from benchmarks.launching import Launch, launched
from benchmarks.works import NOOP, Work

_NOOP: Final = """
import os
import sys
import ray
from ray import serve
from starlette.requests import Request

@serve.deployment(num_replicas=1, max_ongoing_requests=32)
class Model:
    async def __call__(self, request: Request) -> int:
        return (await request.json())["x"]

if __name__ == "__main__":
    ray.init(address="local", include_dashboard=False, _temp_dir=os.getcwd())
    serve.start(http_options={"host": "127.0.0.1", "port": int(sys.argv[1])})
    serve.run(Model.bind(), blocking=True)
"""
MODELS: Final = {NOOP.name: _NOOP}


class RayServe:
    """Its methods may be async, and those are what its documentation shows first."""

    key = "ray"
    title = "Ray Serve 2.60.0"

    @contextmanager
    def start(self, work: Work) -> Iterator[Server]:
        python = environment(self.key, ("ray[serve]==2.60.0",), work)
        launch = Launch(
            lambda port: (python, "serve.py", port),
            {"serve.py": MODELS[work.name]},
            path="/",
            speech=Speech.BARE,
            variables={"RAY_USAGE_STATS_ENABLED": "0", "RAY_AUTH_MODE": "disabled"},
        )
        with launched(self.title, launch, work) as server:
            yield server
