"""Every seed and every input that once broke something; and, slowly, new ones."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from fuzz.run import CORPUS
from fuzz.targets import TARGETS

SECONDS = 30
FILES = sorted(path for path in CORPUS.glob("*/*") if path.is_file())


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}-{path.name}")
def test_what_is_known(path: Path) -> None:
    TARGETS[path.parent.name](path.read_bytes())


def test_every_target_has_seeds() -> None:
    assert {path.parent.name for path in FILES} == set(TARGETS)


@pytest.mark.slow
@pytest.mark.timeout(SECONDS + 90)
@pytest.mark.parametrize("target", TARGETS)
def test_what_nobody_has_thought_of(target: str) -> None:
    has_wheels = (
        sys.platform == "linux" and platform.machine() == "x86_64" and (3, 11) <= sys.version_info < (3, 14)
    )
    if find_spec("atheris") is None:
        (pytest.fail if os.environ.get("CI") and has_wheels else pytest.skip)(
            "no atheris here: make test-slow installs it"
        )
    before = set((CORPUS / target).iterdir())
    done = subprocess.run(
        [sys.executable, "-m", "fuzz.run", target, str(SECONDS)],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(("tests", "tests/files"))},
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        errors="replace",
        timeout=SECONDS + 60,
    )
    broken = [path.read_bytes() for path in set((CORPUS / target).iterdir()) - before]
    assert not broken, f"{broken}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    assert done.returncode == 0, done.stderr[-3000:]
