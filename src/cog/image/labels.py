"""What an image says of itself: the labels that clients of Cog read."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from cog.config.document import Mapping as Keys
from cog.config.document import Node, Scalar, read
from cog.version import __version__

PREFIX: Final = "run.cog."
# Linux takes no longer word on a command line (MAX_ARG_STRLEN), and labels are given there.
LONGEST: Final = 128 * 1024 - 256
_PATIENCE: Final = 10.0  # seconds for git


@dataclass(frozen=True, slots=True)
class Description:
    """What the model in the image says: its OpenAPI document, and its packages as `pip freeze` writes them."""

    openapi_schema: Mapping[str, Any] | None
    pip_freeze: str | None = None


def make(configuration: Path, description: Description, version: str = __version__) -> dict[str, str]:
    """The labels of a model's image, by name; `version` is that of the cog in it."""
    document, _ = read(configuration.read_bytes())
    found = {
        f"{PREFIX}version": version,
        f"{PREFIX}config": _json(None if document is None else plain(document)),
        f"{PREFIX}has_init": "true",
    }
    if description.openapi_schema is not None:
        found[f"{PREFIX}openapi_schema"] = _json(description.openapi_schema)
    if description.pip_freeze is not None:
        found[f"{PREFIX}pip_freeze"] = description.pip_freeze
    return {**found, **_history(configuration.parent)}


def too_long(labels: Mapping[str, str]) -> list[str]:
    """The names of those that no engine could be told."""
    return [name for name, value in labels.items() if len(f"{name}={value}".encode()) > LONGEST]


def plain(node: Node) -> object:
    """A part of cog.yaml as JSON has it. A number with a point stays a text: 3.10 is a version, and not 3.1."""
    match node:
        case Scalar(text, kind):
            values: dict[str, object] = {"null": None, "bool": node.truth}
            return int(text) if kind == "int" else values.get(kind, text)
        case Keys(entries):
            return {key.text: plain(value) for key, value in entries}
        case _:
            return [plain(each) for each in node.items]


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _history(folder: Path) -> dict[str, str]:
    """The commit that the folder is at, and the tag that it has or comes after. Nothing where there is no git."""
    asked = {"revision": ("rev-parse", "HEAD"), "version": ("describe", "--tags", "--dirty")}
    found = {f"org.opencontainers.image.{name}": _git(folder, *words) for name, words in asked.items()}
    return {name: value for name, value in found.items() if value}


def _git(folder: Path, *words: str) -> str:
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *words], capture_output=True, text=True, timeout=_PATIENCE, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
