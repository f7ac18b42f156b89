"""The process of the first worker, started before there is anybody to talk to it.

Starting a Python takes as long as starting a server. A worker waits for its order anyway, so both can be done at once.
"""

from __future__ import annotations

import os
from types import TracebackType

from cog.backend import strays
from cog.backend.owner import Spec
from cog.backend.process import Process
from cog.errors import WorkerDied


class HeadStart:
    """Starts the process when it is entered; what nobody has taken by the end of the block is killed."""

    def __init__(self, spec: Spec) -> None:
        """`mark` begins the marks of all workers of this server; see `strays`."""
        self.mark = os.urandom(8).hex()
        self._spec = spec
        self._process: Process | None = None

    def __enter__(self) -> HeadStart:
        """Start it. If it cannot be started nothing is said: whoever wants it will try, and tell."""
        try:
            self._process = begin(self._spec, f"{self.mark}.1", 0)
        except WorkerDied:
            self._process = None
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """It has no model yet, and so nothing to clean up."""
        if self._process is not None:
            self._process.kill()

    def take(self) -> Process | None:
        """The process, once: for the first worker."""
        process, self._process = self._process, None
        return process


def begin(spec: Spec, mark: str, index: int) -> Process:
    """The process of the worker `index`, with this mark.

    Raises:
        WorkerDied: it cannot be started.
    """
    environment = {**spec.environment, **spec.gpus.environment(index), strays.VARIABLE: mark}
    return Process(spec.command, spec.folder, environment)
