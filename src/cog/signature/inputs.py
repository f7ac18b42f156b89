"""From the type annotation of an input to its kind."""

from __future__ import annotations

import collections.abc as abc
import dataclasses
import io
import typing

from cog.signature.annotations import MAPPINGS, Unsupported, coded, common, is_class, is_typed_dict, shown
from cog.signature.kinds import (
    Anything,
    Array,
    Boolean,
    Coded,
    Integer,
    Kind,
    Mapping,
    Null,
    Nullable,
    Number,
    Record,
    Text,
    Tuple,
    Union,
    Wrapped,
)
from cog.signature.records import Above, record

# What a set can hold of "anything".
_SINGLE: typing.Final = Union((Boolean(), Integer(), Number(), Text(), Null()))


def input_kind(annotation: object) -> Kind:
    """The kind of an input with this annotation.

    Raises:
        Unsupported: an input cannot have this type.
    """
    if annotation is None or annotation is type(None):
        raise Unsupported(f"the type None cannot be an input. {_advice(annotation)}")
    return _kind(annotation, ())


def _kind(annotation: object, above: Above) -> Kind:
    """The same for a part of one; `above` are the records that it is part of."""
    if annotation is None or annotation is type(None):
        return Null()
    same = common(annotation, lambda part: _kind(part, above))
    if isinstance(same, Array) and same.into in ("set", "frozenset"):
        return dataclasses.replace(same, items=_hashable(same.items, annotation))
    if same is not None:
        return same
    origin, args = typing.get_origin(annotation), typing.get_args(annotation)
    if (origin or annotation) in MAPPINGS:
        # [compat] Of an input that is a dict, what is said of the values is not checked.
        typed = bool(above) and len(args) == 2 and args[0] is str
        return Mapping(_kind(args[1], above) if typed else None)
    found = record(origin or annotation, above, _kind, sent=True) or coded(annotation)
    if found is None:
        raise Unsupported(f"the type {shown(annotation)} cannot be an input. {_advice(annotation)}")
    return found


def _hashable(kind: Kind, annotation: object) -> Kind:
    """The kind of the items of a set, in which there can be neither lists nor dicts."""
    match kind:
        case Anything():
            return _SINGLE
        case Array(items, into) if into != "list":
            return dataclasses.replace(kind, items=_hashable(items, annotation))
        case Tuple(items):
            return dataclasses.replace(kind, items=tuple(_hashable(item, annotation) for item in items))
        case Nullable(inner):
            return Nullable(_hashable(inner, annotation))
        case Union(members):
            return Union(tuple(_hashable(member, annotation) for member in members))
        case Record(python=type() as cls) if cls.__hash__ is not None:
            return kind
        case Array() | Mapping() | Record() | Coded() | Wrapped():
            raise Unsupported(
                f"the type {shown(annotation)} cannot be an input: what is in a set must have a hash, and lists, dicts and "
                "classes that can be changed have none. Write list[...] instead."
            )
        case _:
            return kind


def _advice(annotation: object) -> str:
    origin = typing.get_origin(annotation)
    target = origin if is_class(origin) else annotation
    if annotation is None or annotation is type(None):
        return "Write the type of the value, for example str."
    if is_class(target):
        if issubclass(target, (tuple, set, frozenset)) or target is abc.Iterator:
            return "Write list[...] instead."
        if issubclass(target, abc.Mapping) and not is_typed_dict(target):
            return "Write dict instead."
        if target is bytearray or issubclass(target, (typing.IO, io.IOBase)):
            return "Write bytes, or cog.Path: then the bytes come as a file."
    return (
        "Write str, int, float, bool, cog.Path, cog.Secret, list[...], dict, a dataclass or a cog.BaseModel; "
        f"or Annotated[{shown(annotation)}, Opaque] to get the JSON object as a dict; or register a cog.coder.Coder for it."
    )
