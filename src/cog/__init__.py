"""Put a machine-learning model into production.

This is what a model imports: the class it derives from, the types of its inputs and outputs, `Input(...)`,
metrics. It is quick to import and needs nothing but the standard library.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cog.sdk.decorators import concurrent, streaming
from cog.sdk.exceptions import CancelationException
from cog.sdk.field import FieldInfo, Input
from cog.sdk.iterators import AsyncConcatenateIterator, ConcatenateIterator, Opaque
from cog.sdk.model import BaseModel
from cog.sdk.runner import BasePredictor, BaseRunner
from cog.sdk.scope import current_scope
from cog.sdk.types import File, Path, Secret, URLFile, URLPath
from cog.version import __version__

if TYPE_CHECKING:
    from cog.sdk.deprecated import ExperimentalFeatureWarning, emit_metric

__all__ = [
    "__version__",
    # the model
    "BaseRunner",
    "BasePredictor",
    "Input",
    "FieldInfo",
    "streaming",
    "concurrent",
    "CancelationException",
    # types of inputs and outputs
    "BaseModel",
    "Opaque",
    "Path",
    "Secret",
    "File",
    "URLFile",
    "URLPath",
    "ConcatenateIterator",
    "AsyncConcatenateIterator",
    # the running prediction
    "current_scope",
    # deprecated
    "ExperimentalFeatureWarning",
    "emit_metric",
]


def __getattr__(name: str) -> object:
    """Deprecated names are looked up when they are asked for, so that only their users see the note."""
    if name in ("ExperimentalFeatureWarning", "emit_metric"):
        from cog.sdk import deprecated

        return deprecated.find(name)
    raise AttributeError(f"module 'cog' has no attribute {name!r}")
