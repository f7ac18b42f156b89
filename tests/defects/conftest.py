"""`served`: a server for the models of these tests, ours, or another one that is said to have the defects."""

from __future__ import annotations

import contextlib
import itertools
import os
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from support.other import serving_other
from support.serving import Server, serving, write_model

OTHER = os.environ.get("COG_OTHER_PYTHON")
Served = Callable[..., Server]

# Runs the code it is sent and gives what that leaves in `out`.
EXEC = """
from typing import Any
from cog import BaseRunner

class Runner(BaseRunner):
    def run(self, s: str, d: dict = {}) -> Any:
        names = {"d": d, "self": self}
        exec(s, names)
        return names.get("out")
"""


def _serving(root: Path) -> Iterator[Served]:
    numbers = itertools.count()
    with contextlib.ExitStack() as stack:

        def served(source: str = EXEC, *flags: str, config: str | None = None, **more: Any) -> Server:
            folder = write_model(root / f"model{next(numbers)}", source, config)
            if OTHER is not None:
                return stack.enter_context(serving_other(OTHER, folder, *flags, **more))
            if "--threads" not in flags:
                flags = ("--threads", "1", *flags)
            return stack.enter_context(serving(folder, *flags, **more))

        yield served


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    """Starts servers that end with the test."""
    yield from _serving(tmp_path)


@pytest.fixture(scope="module")
def served_once(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Starts servers that end with the module's last test."""
    yield from _serving(tmp_path_factory.mktemp("models"))


@pytest.fixture
def beside() -> Iterator[Callable[..., Future[Any]]]:
    """Calls something in a thread of its own; gives its future."""
    pool = ThreadPoolExecutor(16)
    yield pool.submit
    pool.shutdown(wait=False, cancel_futures=True)
