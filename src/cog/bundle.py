"""The folder that a model's environment gets: `cog` with the SDK and the worker, and nothing but these."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Final

# Where names of the SDK once stood, or, for some, still do.
OLD_PLACES: Final = ("coder", "exceptions", "input", "mode", "predictor", "suppress_output", "types")
PARTS: Final = (
    "__init__.py",
    "py.typed",
    "version.py",
    "errors.py",
    "sdk",
    "signature",
    "worker",
    *(f"{name}.py" for name in OLD_PLACES),
)

# `python FOLDER` runs this file and puts FOLDER first on the module path, also under `python -I`.
_ENTRY: Final = '''"""Starts a worker."""

if __name__ == "__main__":
    from cog.worker.main import main

    main()
'''


def build(folder: Path) -> None:
    """Fill `folder` with what makes a worker of any Python 3.10 or later: `python FOLDER --data FD --control FD`."""
    install(folder)
    (folder / "__main__.py").write_text(_ENTRY)


def install(folder: Path, *, link: bool = True) -> None:
    """Put `cog`, as a model imports it, into `folder`.

    Links to the installed files, or copies where links cannot be made or are not wanted: what is installed into an
    environment over a link would be written into our own package.

    Raises:
        FileExistsError: there is a `cog` already.
    """
    package = Path(__file__).resolve().parent
    (folder / "cog").mkdir(parents=True)
    for part in PARTS:
        source, target = package / part, folder / "cog" / part
        try:
            if link:
                target.symlink_to(source)
                continue
        except OSError:
            pass  # no links here: copies do as well
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copyfile(source, target)
