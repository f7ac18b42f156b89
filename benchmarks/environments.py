"""The virtual environment of each contestant: made by uv where it is not there, and kept in `.venv-bench`."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from benchmarks.works import Work
from cog.environment.settings import variables
from cog.environment.uv import binary

ROOT: Final = Path(__file__).resolve().parent.parent
FOLDER: Final = ROOT / ".venv-bench"


def environment(name: str, requirements: Sequence[str], work: Work | None = None) -> str:
    """The Python of an environment that has these packages, and those that the model of this work needs.

    Raises:
        SystemExit: uv cannot make it; it has said why.
    """
    needed = [*requirements, *(work.requirements if work is not None else ())]
    folder = FOLDER / (f"{name}-{work.name}" if work is not None and work.requirements else name)
    python, made = folder / "bin" / "python", folder / "made-of"
    recipe = _recipe(needed)
    if not made.exists() or made.read_text() != recipe:
        print(f"making an environment of {', '.join(needed)}", file=sys.stderr, flush=True)
        _uv("venv", "--quiet", "--clear", "--python", sys.executable, str(folder))
        _uv("pip", "install", "--quiet", "--python", str(python), *needed)
        made.write_text(recipe)
    return str(python)


def _recipe(needed: Sequence[str]) -> str:
    """What an environment was made of, as a text that changes when it has to be made anew."""
    project = (
        hashlib.sha256((ROOT / "pyproject.toml").read_bytes()).hexdigest() if str(ROOT) in needed else ""
    )
    return "\n".join((sys.version, project, *needed))


def _uv(*arguments: str) -> None:
    command = [binary(), *arguments]
    # Where several registries are set, a release may be taken from each of them, as pip does.
    environ = {"UV_INDEX_STRATEGY": "unsafe-best-match", **variables(os.environ)}
    ended = subprocess.run(command, env=environ, cwd=FOLDER.parent, check=False)
    if ended.returncode != 0:
        sys.exit(f"{' '.join(command)} ended with {ended.returncode}; its message is above")
