"""uv for the steps of a build: this machine's own where that runs in a container, else one that a stage of the build has."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from pathlib import Path

from cog.environment import uv


def lendable() -> Path | None:
    """The program of uv that is here, if a container can run it; nothing is downloaded for it then.

    Raises:
        EnvironmentFailed: there is no uv.
    """
    fits = sys.platform == "linux" and platform.machine() == "x86_64"
    return Path(uv.binary()).resolve() if fits else None


def lend(program: Path, folder: Path) -> None:
    """Put it into a context's `folder`."""
    folder.mkdir()
    try:
        os.link(program, folder / "uv")
    except OSError:  # another disk, or one that knows no links
        shutil.copy2(program, folder / "uv")
