"""How the source of a model is read that is being worked on."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.machinery import SourceFileLoader
from pathlib import Path
from typing import Any, Final

# Folders of installed packages, which may lie in the model's folder (.venv, .cog) and are large: those are not edited.
_INSTALLED: Final = ("/site-packages/", "/dist-packages/")


def read_anew(folder: Path) -> None:
    """From now on compile each source file below `folder` when it is imported, and leave no compiled form behind.

    Python knows a compiled file that is out of date by the source's size and time of change, in whole seconds: what was
    edited twice within one would run as it was.
    """
    root = folder.resolve()
    known = SourceFileLoader.path_stats

    def path_stats(loader: SourceFileLoader, path: str) -> Mapping[str, Any]:
        if not any(part in path for part in _INSTALLED) and root in Path(path).resolve().parents:
            raise OSError  # which to Python's own import means: compile it, and store nothing
        return known(loader, path)

    SourceFileLoader.path_stats = path_stats  # type: ignore[method-assign, assignment]
