"""One engine with its bases for all tests of containers."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from containers.ground import Ground, needed, prepare


@pytest.fixture(scope="session")
def ground() -> Iterator[Ground]:
    """The engine. Nothing may run when the tests have ended; images of theirs go, bases and what they share stay."""
    needed()
    made = prepare()
    yield made
    left = [name for name in made.containers() if name]
    names = made.call("podman", "images", "--format", "{{.Repository}}:{{.Tag}}").split()
    for name in names:
        if "cog-test" in name or "-dev:" in name:
            made.call("podman", "untag", name, check=False)
    made.call("podman", "image", "prune", "--force", "--filter", "until=24h", check=False)
    assert left == []
