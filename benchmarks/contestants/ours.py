"""This server, from this folder, in an environment of its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from benchmarks.contestant import Server, Speech
from benchmarks.contestants import cogs
from benchmarks.environments import ROOT, environment
from benchmarks.launching import Launch, launched
from benchmarks.works import EMBED, NOOP_SYNC, Work

_QUEUE: Final = ("--max-queue", "64")
_FLAGS: Final = {NOOP_SYNC: _QUEUE, EMBED: _QUEUE}
_UNBATCHED: Final = ROOT / "examples" / "embed" / "run.py"


@dataclass(frozen=True)
class Ours:
    """Without `batching` the model that could take batches is the plain one, which gets one request at a time."""

    batching: bool = True

    @property
    def key(self) -> str:
        return "ours" if self.batching else "unbatched"

    @property
    def title(self) -> str:
        return "this server" if self.batching else "this server, no batches"

    @contextmanager
    def start(self, work: Work) -> Iterator[Server]:
        python = environment("ours", ("--editable", str(ROOT)), work)
        flags = _FLAGS.get(work, ())
        source = _UNBATCHED.read_text() if work is EMBED and not self.batching else None
        launch = Launch(
            lambda port: (python, "-m", "cog.server.http", "--host", "127.0.0.1", "--threads", "1", *flags),
            cogs.files(work, source),
            path="/predictions",
            speech=Speech.COG,
            health="/health-check",
            variables=cogs.variables(work),
        )
        with launched(self.title, launch, work) as server:
            yield server
