"""Put a machine-learning model into production.

This is what a model imports: the class it derives from, the types of its inputs and outputs, `Input(...)`,
metrics. It is quick to import and needs nothing but the standard library.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from cog.version import __version__

if TYPE_CHECKING:
    from cog.sdk.decorators import batch, concurrent, streaming
    from cog.sdk.deprecated import ExperimentalFeatureWarning, emit_metric
    from cog.sdk.exceptions import CancelationException
    from cog.sdk.field import FieldInfo, Input
    from cog.sdk.iterators import AsyncConcatenateIterator, ConcatenateIterator, Opaque
    from cog.sdk.model import BaseModel
    from cog.sdk.runner import BasePredictor, BaseRunner
    from cog.sdk.scope import current_batch, current_scope
    from cog.sdk.types import File, Path, Secret, URLFile, URLPath

__all__ = [
    "__version__",
    # the model
    "BaseRunner",
    "BasePredictor",
    "Input",
    "FieldInfo",
    "streaming",
    "concurrent",
    "batch",
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
    "current_batch",
    # deprecated
    "ExperimentalFeatureWarning",
    "emit_metric",
]


# Where each name lives. They are imported when they are asked for: the command line, whose modules are of this package
# too, has no use for them, and must answer quickly.
_PLACES: Final = {
    "decorators": ("batch", "concurrent", "streaming"),
    "exceptions": ("CancelationException",),
    "field": ("FieldInfo", "Input"),
    "iterators": ("AsyncConcatenateIterator", "ConcatenateIterator", "Opaque"),
    "model": ("BaseModel",),
    "runner": ("BasePredictor", "BaseRunner"),
    "scope": ("current_batch", "current_scope"),
    "types": ("File", "Path", "Secret", "URLFile", "URLPath"),
}
# [compat] Once `import cog` imported these too: models write `cog.types.Path`.
_MODULES: Final = ("coder", "errors", "exceptions", "input", "mode", "predictor", "suppress_output", "types")


def __getattr__(name: str) -> object:
    """Import what is asked for. Who asks for a deprecated name gets the note, each time."""
    import importlib

    for module, names in _PLACES.items():
        if name in names:
            found: object = getattr(importlib.import_module(f"cog.sdk.{module}"), name)
            globals()[name] = found
            return found
    if name in ("ExperimentalFeatureWarning", "emit_metric"):
        from cog.sdk import deprecated

        return deprecated.find(name)
    if name in _MODULES:
        return importlib.import_module(f"cog.{name}")
    raise AttributeError(f"module 'cog' has no attribute {name!r}")


def __dir__() -> list[str]:
    """Also what is not imported yet."""
    return sorted({*globals(), *__all__})
