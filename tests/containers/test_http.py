"""The tests of the HTTP API once more, with servers that run in containers: same tests, other processes.

Those that look into the server's processes from outside are left out; a container hides them. All that hold:
`COG_TESTS_PYTHON=PROGRAM pytest tests/server`, where PROGRAM is what `as_python` writes.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from containers.ground import Ground
from support.serving import write_model

pytestmark = [pytest.mark.slow, pytest.mark.containers, pytest.mark.timeout(600)]

ROOT = Path(__file__).resolve().parents[2]
FILES = (
    "create",
    "checks",
    "values",
    "files",
    "output_files",
    "results",
    "stream",
    "openapi_http",
    "webhooks_http",
    "old_names",
)


def as_python(ground: Ground, image: str, place: Path) -> Path:
    """A program that does what `python` does, in a container of `image`, for files of this machine."""
    settings = "".join(
        f"export {name}='{value}'\n"
        for name, value in ground.environ.items()
        if name.startswith(("CONTAINERS_", "BUILDAH_"))
    )
    place.write_text(
        f"#!/bin/sh\n{settings}"
        'exec podman run --rm --interactive --network host --env-host --unsetenv COG_PREDICT_TYPE_STUB --volume "$PWD:$PWD" '
        f'--volume "$TMPDIR:$TMPDIR" --volume /tmp:/tmp --workdir "$PWD" --entrypoint python {image} "$@"\n'
    )
    place.chmod(0o755)
    return place


def test_the_http_api_is_the_same(ground: Ground, tmp_path: Path) -> None:
    folder = write_model(
        tmp_path / "model",
        "def run() -> str:\n    return ''\n",
        'build: {python_version: "3.12"}\nrun: run.py:run\n',
    )
    ground.build(folder, "cog-test-http")
    program = as_python(ground, "cog-test-http", tmp_path / "python")
    files = [f"tests/server/test_{name}.py" for name in FILES]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *files],
        cwd=ROOT, env={**os.environ, "COG_TESTS_PYTHON": str(program)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    # Of a server that was killed the container stays: podman was killed with it.
    for name in ground.call("podman", "ps", "--all", "--quiet", "--filter", "ancestor=cog-test-http").split():
        ground.call("podman", "rm", "--force", name)
    assert done.returncode == 0, done.stdout[-6000:]
    assert " passed" in done.stdout.splitlines()[-1]
