"""The environment variables that uv is called with."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Final

from cog.environment import pip

# What would make uv work on another environment, Python or folder than the one it is called for.
_REDIRECTING: Final = (
    "VIRTUAL_ENV", "CONDA_PREFIX", "PYTHONHOME", "UV_PYTHON", "UV_SYSTEM_PYTHON", "UV_BREAK_SYSTEM_PACKAGES", "UV_PROJECT",
    "UV_PROJECT_ENVIRONMENT", "UV_WORKING_DIR", "UV_WORKING_DIRECTORY", "UV_TARGET", "UV_PREFIX", "UV_VENV_CLEAR",
    "UV_VENV_RELOCATABLE",
)  # fmt: skip

# pip's settings are made on many machines, and uv does not read them: pip's name, uv's, its other one.
_PIP: Final = (
    ("PIP_INDEX_URL", "UV_DEFAULT_INDEX", "UV_INDEX_URL"),
    ("PIP_EXTRA_INDEX_URL", "UV_INDEX", "UV_EXTRA_INDEX_URL"),
    ("PIP_FIND_LINKS", "UV_FIND_LINKS", ""),
    ("PIP_NO_INDEX", "UV_NO_INDEX", ""),
    ("PIP_TRUSTED_HOST", "UV_INSECURE_HOST", ""),
    ("PIP_CERT", "SSL_CERT_FILE", ""),
)
_YES: Final = ("y", "yes", "t", "true", "on", "1")


def variables(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment for uv: `environ` with pip's settings in uv's words, and without what leads it astray.

    A variable goes before pip's files.
    """
    kept = {name: value for name, value in environ.items() if name not in _REDIRECTING}
    told = {**pip.configured(environ), **{name: environ[name] for name, _, _ in _PIP if environ.get(name)}}
    for theirs, name, other in _PIP:
        if told.get(theirs) and not kept.get(name) and not kept.get(other):
            kept[name] = _translated(theirs, told[theirs])
    return kept


def _translated(name: str, value: str) -> str:
    """pip parts all its lists by blanks; uv only some, and it fails where pip passes over a folder that is not there. uv
    runs in another folder than this command."""
    if name == "PIP_NO_INDEX":
        return "true" if value.strip().lower() in _YES else "false"
    if name != "PIP_FIND_LINKS":
        return value
    paths = (each if "://" in each else os.path.abspath(os.path.expanduser(each)) for each in value.split())
    return ",".join(each for each in paths if "://" in each or os.path.exists(each))
