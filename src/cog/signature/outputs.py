"""From a return annotation to what the model returns."""

from __future__ import annotations

import collections.abc as abc
import io
import typing
from typing import Final

from cog.sdk.iterators import AsyncConcatenateIterator, ConcatenateIterator
from cog.signature.annotations import Unsupported, coded, common, is_class, is_typed_dict, shown
from cog.signature.facts import Result
from cog.signature.foreign import foreign_kind
from cog.signature.kinds import Anything, Array, File, Kind, Mapping, Null, Text
from cog.signature.records import record

CONCATENATING: Final = (ConcatenateIterator, AsyncConcatenateIterator)
SYNC: Final = (abc.Iterator, abc.Generator, ConcatenateIterator)
ASYNC: Final = (abc.AsyncIterator, abc.AsyncGenerator, AsyncConcatenateIterator)
YIELDING: Final = (*SYNC, *ASYNC)


def result(annotation: object) -> Result:
    """What a model with this return annotation returns.

    Raises:
        Unsupported: no output can be described by it.
    """
    origin = typing.get_origin(annotation) or annotation
    if origin not in YIELDING:
        return Result(output_kind(annotation))
    args = typing.get_args(annotation)
    if origin in CONCATENATING:
        if args and args[0] is not str:
            raise Unsupported(
                f"{shown(annotation)} joins text only. Write {origin.__name__}[str], or Iterator[...]."
            )
        return Result(Text(), iterator=True, concatenate=True)
    return Result(output_kind(args[0]) if args else Anything(), iterator=True)


def output_kind(annotation: object, above: tuple[object, ...] = ()) -> Kind:
    """The kind of an output, or of a part of one. `above` are the records that it is part of.

    Raises:
        Unsupported: an output cannot be described by this type.
    """
    if annotation is None or annotation is type(None):
        return Null()
    same = common(annotation, lambda item: output_kind(item, above))
    if same is not None:
        return same
    origin = typing.get_origin(annotation) or annotation
    args = typing.get_args(annotation)
    found = _container(origin, args, above) or record(origin, above, output_kind) or coded(annotation)
    if found is not None:
        return found
    raise Unsupported(
        f"the type {shown(annotation)} cannot be an output. {_output_advice(origin)}"
        f"or Annotated[{shown(annotation)}, Opaque] for an object that is not described."
    )


def _container(origin: object, args: tuple[object, ...], above: tuple[object, ...]) -> Kind | None:
    """What a model may return besides: it is written like a list, a dict or a file, whatever its class."""
    if not is_class(origin) or is_typed_dict(origin):
        return None
    if origin is range or issubclass(origin, (tuple, set, frozenset)):
        return Array(Anything())
    if issubclass(origin, (io.IOBase, typing.IO)):
        return File("file")
    if issubclass(origin, abc.Mapping):
        return Mapping(output_kind(args[1], above) if len(args) == 2 else None)
    return foreign_kind(origin)


def _output_advice(target: object) -> str:
    if target in YIELDING:
        return "An iterator can only be the whole output, not a part of it: write list[...], "
    return "Write str, int, float, bool, cog.Path, list[...], dict, a cog.BaseModel or dataclass, "
