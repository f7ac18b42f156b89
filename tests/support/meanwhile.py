"""Something that goes on in a thread while the test does something else."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from support.serving import DEADLINE

Result = TypeVar("Result")


class Meanwhile(Generic[Result]):
    """Does `act` in a thread. As a context manager it does not outlive the block, nor whatever server it talks to.

    A failure is raised where the result is asked for: a test that never asks is not failed by it.
    """

    def __init__(self, act: Callable[[], Result]) -> None:
        self._act = act
        self._results: list[Result] = []
        self._failures: list[BaseException] = []
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._results.append(self._act())
        except BaseException as failure:
            self._failures.append(failure)

    def is_alive(self) -> bool:
        return self._thread.is_alive()

    def result(self, timeout: float = DEADLINE) -> Result:
        """What it gave; fails when it has not ended within `timeout` seconds, or as it failed."""
        self._thread.join(timeout)
        if self._failures:
            raise self._failures[0]
        assert self._results, f"it has not ended within {timeout:g} seconds"
        return self._results[0]

    def __enter__(self) -> Meanwhile[Result]:
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.join(DEADLINE)
        assert not self.is_alive(), f"it has not ended within {DEADLINE:g} seconds"
