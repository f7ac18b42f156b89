"""Fixtures: a real server for a model given as text."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from support.contained import IMAGE
from support.serving import Server, serving, write_model

Serve = Callable[..., Server]

# How long an example takes says nothing on a machine that others use too.
settings.register_profile("project", deadline=None)
settings.load_profile("project")


# Who asks for one of these asks a server over HTTP.
SERVERS = {"serve", "serve_once", "served", "served_once"}


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """With an image for the servers only tests that ask a server are run, but for those that say why not."""
    if IMAGE is not None:
        asking = [item for item in items if SERVERS.intersection(getattr(item, "fixturenames", ()))]
        kept = [item for item in asking if item.get_closest_marker("local_only") is None]
        config.hook.pytest_deselected(items=[item for item in items if item not in kept])
        items[:] = kept


def _serve_in(root: Path) -> Iterator[Serve]:
    numbers = itertools.count()
    with contextlib.ExitStack() as stack:

        def serve(
            source: str | Path, *flags: str, config: str | None = None, alone: bool = False, **more: Any
        ) -> Server:
            """A server for the model whose run.py is `source` (or whose folder it is); ended after the test. One worker,
            unless a flag says how many or `alone` the server is to decide."""
            folder = (
                source
                if isinstance(source, Path)
                else write_model(root / f"model{next(numbers)}", source, config)
            )
            if not alone and "--threads" not in flags and "--workers" not in flags:
                flags = ("--threads", "1", *flags)
            return stack.enter_context(serving(folder, *flags, **more))

        yield serve


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Starts servers that end with the test."""
    yield from _serve_in(tmp_path)


@pytest.fixture(scope="module")
def serve_once(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serve]:
    """Starts servers that end with the module's last test."""
    yield from _serve_in(tmp_path_factory.mktemp("models"))
