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
        folder = self.folder
        if folder is None:  # cog's own Python: it may be one of a virtual environment that is not activated
            if sys.prefix == sys.base_prefix:
                return dict(environ)
            folder = Path(sys.prefix)
        path = os.pathsep.join([str(folder / "bin"), *filter(None, [environ.get("PATH")])])
        kept = {name: value for name, value in environ.items() if name != "PYTHONHOME"}
        return {**kept, "PATH": path, "VIRTUAL_ENV": str(folder)}


def current() -> Environment:
    """The Python that runs cog."""
    return Environment(Path(sys.executable))


def running() -> str:
    """The version, major and minor, of the Python that runs cog."""
    return f"{sys.version_info.major}.{sys.version_info.minor}"
