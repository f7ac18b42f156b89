"""Finds the Python that a model asks for."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

from cog.environment import settings, uv
from cog.environment.environment import running
from cog.errors import EnvironmentFailed

_VERSION: Final = re.compile(r"([0-9]+)\.([0-9]+)\.([0-9]+)", re.ASCII)

_ANYWHERE: Final = Path("/")  # where no settings of a project change the answer

# A download of Python either begins at once or is not possible here; uv itself would wait for minutes.
_IMPATIENT: Final = {"UV_HTTP_TIMEOUT": "15", "UV_HTTP_RETRIES": "1"}


def find(version: str) -> Path | None:
    """An interpreter of this version (`3.12` or `3.12.1`) that is on this machine, None without one.

    First the one that runs cog, then what uv finds on PATH or has downloaded before, then pyenv's.

    Raises:
        EnvironmentFailed: there is no uv to ask.
    """
    if f"{running()}.{sys.version_info.micro}.".startswith(f"{version}."):
        return Path(sys.executable)
    arguments = ["python", "find", "--system", "--no-project", "--no-python-downloads", version]
    found = uv.call(arguments, _ANYWHERE, _searchable())
    if found.code == 0 and found.output:
        return Path(found.output)
    return max(pyenv(version), key=_patch, default=None)


def take(version: str, report: Callable[[str], None], held: Sequence[int] = ()) -> Path:
    """An interpreter of this version, downloaded by uv when this machine has none.

    Raises:
        EnvironmentFailed: there is none, and it cannot be downloaded.
    """
    # What is at hand comes before a download, pyenv's too: it takes no minutes and works without a network.
    if (found := find(version)) is not None:
        return found
    why = "downloads are switched off by UV_PYTHON_DOWNLOADS"
    if os.environ.get("UV_PYTHON_DOWNLOADS", "").lower() not in ("never", "manual", "false", "0"):
        report(f"downloading Python {version}")
        made = uv.call(
            ["python", "install", "--no-bin", version],
            _ANYWHERE,
            {**_IMPATIENT, **_searchable()},
            report,
            held,
        )
        found = find(version) if made.code == 0 else None
        if found is not None:
            return found
        why = f"uv could not download it:\n\n{made.message}\n"
    raise EnvironmentFailed(_missing(version, why))


def pyenv(version: str) -> Iterator[Path]:
    """The interpreters of this version that pyenv has installed, whether one of them is chosen at the moment or not."""
    root = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    with_dot = f"{version}."
    try:
        names = sorted(os.listdir(root / "versions"))
    except OSError:
        return
    for name in names:
        python = root / "versions" / name / "bin" / "python"
        if _VERSION.fullmatch(name) and f"{name}.".startswith(with_dot) and os.access(python, os.X_OK):
            yield python


def _patch(python: Path) -> int:
    match = _VERSION.fullmatch(python.parent.parent.name)
    return int(match[3]) if match is not None else -1


def _searchable() -> dict[str, str]:
    """Without pyenv's shims on PATH: they are there for every version and work only for those that are chosen."""
    environ = settings.variables(os.environ)
    shims = [str(Path(environ["PYENV_ROOT"]) / "shims")] if environ.get("PYENV_ROOT") else []
    path = [
        each
        for each in environ.get("PATH", "").split(os.pathsep)
        if each.rstrip("/") not in shims and not each.rstrip("/").endswith(".pyenv/shims")
    ]
    return {**environ, "PATH": os.pathsep.join(path)}


def _missing(version: str, why: str) -> str:
    minor = ".".join(version.split(".")[:2])
    exact = version if version.count(".") == 2 else minor
    return (
        f"There is no Python {version} on this machine, and {why}\n"
        f"Install it with `uv python install {exact}` or `pyenv install {exact}`, or change build.python_version in cog.yaml: "
        f"without it the model runs in Python {running()}, as cog does."
    )
