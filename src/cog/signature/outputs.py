"""From a return annotation to what the model returns."""

from __future__ import annotations

import collections.abc as abc
import io
import typing
from datetime import date, datetime, time
from decimal import Decimal
from enum import Enum
from typing import Final
from uuid import UUID

from cog.sdk.iterators import AsyncConcatenateIterator, ConcatenateIterator
from cog.signature.annotations import UNIONS, Unsupported, common, is_class, is_typed_dict, literal, shown
from cog.signature.facts import Result
from cog.signature.kinds import Anything, Array, File, Kind, Mapping, Null, Nullable, Text, Union
from cog.signature.records import record

CONCATENATING: Final = (ConcatenateIterator, AsyncConcatenateIterator)
SYNC: Final = (abc.Iterator, abc.Generator, ConcatenateIterator)
ASYNC: Final = (abc.AsyncIterator, abc.AsyncGenerator, AsyncConcatenateIterator)
YIELDING: Final = (*SYNC, *ASYNC)

# What the encoder writes as text, or as a list of anything.
_OUTPUTS: Final[dict[object, Kind]] = {
    **dict.fromkeys((bytes, datetime, date, time, Decimal, UUID), Text()),
    **dict.fromkeys((tuple, set, frozenset, range), Array(Anything())),
    object: Anything(),
}
_WRAPPERS: Final = ("Required", "NotRequired", "ReadOnly")


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
    origin, args = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in UNIONS:
        return _output_union(args, above)
    known = _container(origin or annotation, args, above)
    if known is not None:
        return known
    found = record(origin or annotation, above, output_kind)
    if found is not None:
        return found
    raise Unsupported(
        f"the type {shown(annotation)} cannot be an output. {_output_advice(origin or annotation)}"
        f"or Annotated[{shown(annotation)}, Opaque] for an object that is not described."
    )


def _output_union(members: tuple[object, ...], above: tuple[object, ...]) -> Kind:
    kinds = tuple(dict.fromkeys(output_kind(member, above) for member in members if member is not type(None)))
    kind = kinds[0] if len(kinds) == 1 else Union(kinds)
    return Nullable(kind) if type(None) in members else kind


def _container(origin: object, args: tuple[object, ...], above: tuple[object, ...]) -> Kind | None:
    if origin in _OUTPUTS:
        return _OUTPUTS[origin]
    if not is_class(origin):
        name = getattr(origin, "_name", None) or getattr(origin, "__name__", None)
        return output_kind(args[0], above) if name in _WRAPPERS else None
    if is_typed_dict(origin):
        return None
    if issubclass(origin, (tuple, set, frozenset)):
        return Array(Anything())
    if issubclass(origin, (io.IOBase, typing.IO)):
        return File("file")
    if issubclass(origin, abc.Mapping):
        return Mapping(output_kind(args[1], above) if len(args) == 2 else None)
    if origin in (abc.Sequence, abc.Iterable, abc.Collection, abc.Set):
        return Array(output_kind(args[0], above) if args else Anything())
    if issubclass(origin, Enum):
        return literal(tuple(member.value for member in origin))
    return None


def _output_advice(target: object) -> str:
    if target in YIELDING:
        return "An iterator can only be the whole output, not a part of it: write list[...], "
    if is_class(target) and target.__module__.partition(".")[0] == "PIL":
        return "Save the image to a file and return it: write cog.Path, "
    return "Write str, int, float, bool, cog.Path, list[...], dict, a cog.BaseModel or dataclass, "
