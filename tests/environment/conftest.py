"""A shell on a plain machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.projects import Shell, variables


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """uv's cache; one for all tests, so that uv asks each Python only once what it is."""
    return tmp_path_factory.mktemp("uv")


@pytest.fixture
def shell(cache: Path) -> Shell:
    """Runs `cog` without a network."""
    return Shell(variables(cache))
