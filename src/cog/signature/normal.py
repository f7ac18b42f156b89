"""One step from an object that JSON does not know towards one that it does."""

from __future__ import annotations

import base64
import dataclasses
import functools
import io
import os
from collections.abc import (
    AsyncIterator,
    Callable,
    Coroutine,
    Iterator,
    Mapping,
    Sequence,
    ValuesView,
)
from collections.abc import Set as AnySet
from enum import Enum
from typing import Final

from cog.sdk.coder import Coder
from cog.sdk.types import MASK, URLPath
from cog.signature.foreign import Unwritable, simpler_foreign
from cog.signature.formats import written
from cog.signature.scalars import ordered

_FILES: Final = (os.PathLike, io.IOBase)
_SEVERAL: Final = (AnySet, Sequence, ValuesView, Iterator)
_BYTES: Final = (bytes, bytearray, memoryview)


class Unknown(Exception):
    """The object is of no known kind; the text says so, and what to return instead, after the place."""


def simpler(value: object) -> object:
    """`value` in simpler terms; an `os.PathLike` or an `io.IOBase` is returned for a file, to be secured.

    The order is that of the contract: what a class says of itself comes first.

    Raises:
        Unknown: nothing can be made of it.
    """
    if callable(getattr(value, "get_secret_value", None)) and not isinstance(value, type):
        return MASK
    if isinstance(value, _FILES):
        return value.convert() if isinstance(value, URLPath) else value
    if isinstance(value, type):
        raise Unknown(_advice(value))
    dump = _dumper(value)
    if dump is not None:
        return dump()
    if dataclasses.is_dataclass(value):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    return _container(value)


def _dumper(value: object) -> Callable[[], object] | None:
    """What a class has to put its objects into simpler terms. A coder was written for the type: it is asked before a method
    that just happens to be called `dict`."""
    found: Callable[[], object] | None = _method(value, "model_dump") or _method(value, "dict")
    if (
        found is None
        or _method(value, "model_dump")
        or hasattr(value, "__fields__")
        or dataclasses.is_dataclass(value)
    ):
        return found
    return _coding(value) or found


def _method(value: object, name: str) -> Callable[[], object] | None:
    method = getattr(value, name, None)
    return method if callable(method) else None


def _coding(value: object) -> Callable[[], object] | None:
    coder = Coder.lookup(type(value))
    return None if coder is None else functools.partial(coder.encode, value)


def _container(value: object) -> object:
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, _BYTES):
        return "data:application/octet-stream;base64," + base64.b64encode(value).decode()
    opened = getattr(value, "file", None)
    if isinstance(opened, io.IOBase):  # tempfile.NamedTemporaryFile: a wrapper around the file
        return opened
    if isinstance(value, (set, frozenset)):
        return ordered(value)
    if isinstance(value, _SEVERAL):
        return list(value)
    return _scalar(value)


def _scalar(value: object) -> object:
    if isinstance(value, Enum):
        return value.value
    text = written(value)
    if text is not None:
        return text
    try:
        found = simpler_foreign(value)
    except Unwritable as error:
        raise Unknown(str(error)) from None
    if type(found) is not type(value):
        return found
    coding = _coding(value)
    if coding is None:
        raise Unknown(_advice(value))
    return coding()


def _advice(value: object) -> str:
    cls = value if isinstance(value, type) else type(value)
    name = f"{cls.__module__}.{cls.__qualname__}".removeprefix("builtins.")
    if isinstance(value, type):
        return f"is the class {name} itself, not an object of it. Return {value.__qualname__}(...)."
    if isinstance(value, Coroutine):
        return "is a coroutine that was not awaited. Write `await` before the call, in an `async def run()`."
    if isinstance(value, AsyncIterator):
        return "is an async generator. Yield its items from an `async def run()` instead of returning it."
    if callable(getattr(value, "tolist", None)):
        hint = "Return value.tolist() instead."
    elif callable(getattr(value, "save", None)):
        hint = "Save it to a file and return cog.Path(file)."
    else:
        hint = (
            "Return text, numbers, lists, dicts, a cog.Path to a file, or a cog.BaseModel or "
            "dataclass made of these."
        )
    return f"is an object of class {name} that cannot be turned into JSON. {hint}"
