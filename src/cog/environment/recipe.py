"""What an environment is made from, and the key that tells two of them apart."""

from __future__ import annotations

import hashlib
import json
import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cog.config.model import Config
from cog.environment import requirements, settings
from cog.environment.environment import running

LAYOUT: Final = 1  # of what we put into an environment; another number makes all of them anew
LENGTH: Final = 16  # characters of a key

# With another of these, uv would choose other packages.
_CHOOSING: Final = (
    "UV_DEFAULT_INDEX", "UV_INDEX_URL", "UV_INDEX", "UV_EXTRA_INDEX_URL", "UV_FIND_LINKS", "UV_NO_INDEX", "UV_INDEX_STRATEGY",
    "UV_CONSTRAINT", "UV_OVERRIDE", "UV_EXCLUDE", "UV_EXCLUDE_NEWER", "UV_PRERELEASE", "UV_RESOLUTION", "UV_TORCH_BACKEND",
)  # fmt: skip
# Names and passwords in addresses are left out: many are good for hours only, and choose nothing.
_CREDENTIALS: Final = re.compile(r"(?<=://)[^/@\s]*@")


@dataclass(frozen=True, slots=True)
class Recipe:
    """What an environment is made from.

    `python` is a version as cog.yaml has it. `requirements` is a path relative to `folder`, `packages` what
    stands in cog.yaml itself. `rebuilds` says that folders of this machine are among them.
    """

    folder: Path
    python: str
    requirements: str | None
    packages: tuple[str, ...]
    rebuilds: bool
    key: str

    @property
    def place(self) -> Path:
        """Where the environment lies."""
        return shelf(self.folder) / self.key


def shelf(folder: Path) -> Path:
    """Where the environments of the model in `folder` lie."""
    return folder / ".cog" / "environments"


def read(config: Config, folder: Path, environ: Mapping[str, str]) -> Recipe:
    """The recipe of the model in `folder`: reads its requirements, and nothing but files."""
    folder = folder.resolve()
    build = config.build
    python = build.python_version or running()
    found = requirements.sources(build, folder, environ)
    given = settings.variables(environ)
    made_from = {
        "layout": LAYOUT,
        "folder": str(
            folder
        ),  # a virtual environment holds absolute paths: in a folder that was moved it is broken
        "platform": [sys.platform, os.uname().machine],
        "python": python,
        "packages": build.python_packages,
        "sources": [[each.kind, str(each.path), each.stamp] for each in found],
        "settings": {name: _CREDENTIALS.sub("", given[name]) for name in _CHOOSING if given.get(name)},
    }
    digest = hashlib.sha256(json.dumps(made_from, sort_keys=True).encode()).hexdigest()
    return Recipe(
        folder=folder,
        python=python,
        requirements=build.python_requirements,
        packages=build.python_packages,
        rebuilds=any(each.kind == "folder" for each in found),
        key=digest[:LENGTH],
    )
