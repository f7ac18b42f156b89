"""The types of inputs and outputs, at the place where they once stood; now they are in `cog` itself. [compat]"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cog.sdk.field import FieldInfo, Input
from cog.sdk.iterators import AsyncConcatenateIterator, ConcatenateIterator, Opaque
from cog.sdk.types import File, Path, Secret, URLFile, URLPath

if TYPE_CHECKING:
    from cog.sdk.deprecated import ExperimentalFeatureWarning as ExperimentalFeatureWarning

__all__ = [
    "AsyncConcatenateIterator",
    "ConcatenateIterator",
    "FieldInfo",
    "File",
    "Input",
    "Opaque",
    "Path",
    "Secret",
    "URLFile",
    "URLPath",
]


def __getattr__(name: str) -> object:
    """Who asks for the name that is deprecated gets the note; `import *` does not ask for it."""
    if name == "ExperimentalFeatureWarning":
        from cog.sdk import deprecated

        return deprecated.find(name)
    raise AttributeError(f"module 'cog.types' has no attribute {name!r}")
