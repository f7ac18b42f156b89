"""A Python, with what a model needs."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Environment:
    """Where a model runs. `folder` is the virtual environment, None for the Python that cog itself runs in."""

    python: Path
    folder: Path | None = None

    def variables(self, environ: Mapping[str, str]) -> dict[str, str]:
        """`environ` as it is with this environment activated."""
        if self.folder is None:
            return dict(environ)
        path = os.pathsep.join([str(self.folder / "bin"), *filter(None, [environ.get("PATH")])])
        kept = {name: value for name, value in environ.items() if name != "PYTHONHOME"}
        return {**kept, "PATH": path, "VIRTUAL_ENV": str(self.folder)}


def current() -> Environment:
    """The Python that runs cog."""
    return Environment(Path(sys.executable))
