"""The tests of the HTTP API once more, with servers that run in containers: same tests, another fixture.

`COG_TESTS_IMAGE` is what `support.serving` looks at. What asks no server is left out, and what is marked `local_only`.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from containers.ground import Ground
from support.serving import write_model

pytestmark = [pytest.mark.slow, pytest.mark.containers, pytest.mark.timeout(900)]

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("server", "worker", "defects", "clients")
LEAST = 1500  # tests that ask a server, in all of them
# What models of these tests import.
PACKAGES = "numpy\npillow\npydantic\n"


def test_the_http_api_is_the_same(ground: Ground, tmp_path: Path) -> None:
    folder = write_model(
        tmp_path / "model",
        "def run() -> str:\n    return open('/proc/1/comm').read()\n",
        'build: {python_version: "3.12", python_requirements: requirements.txt}\nrun: run.py:run\n',
    )
    (folder / "requirements.txt").write_text(PACKAGES)
    ground.build(folder, "cog-test-http")
    settings = {name: value for name, value in ground.environ.items() if name.startswith("CONTAINERS_")}
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-n",
        "3",
        "--dist",
        "loadfile",
        "-p",
        "no:cacheprovider",
    ]
    done = subprocess.run(
        [*command, *(f"tests/{name}" for name in FOLDERS)],
        cwd=ROOT,
        env={**os.environ, **settings, "COG_TESTS_IMAGE": "cog-test-http"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-8000:]
    passed = re.search(r"(\d+) passed", done.stdout)
    assert passed is not None, done.stdout[-2000:]
    assert int(passed[1]) >= LEAST
