"""From the type annotation of an input to its kind, with all that inputs and outputs have in common."""

from __future__ import annotations

import collections.abc as abc
import os
import pathlib
import types
import typing
from enum import Enum
from typing import Any, Final

from cog.sdk import types as sdk
from cog.sdk.iterators import Opaque
from cog.signature.kinds import (
    Anything,
    Array,
    Boolean,
    Choice,
    File,
    Integer,
    Kind,
    Mapping,
    Nullable,
    Number,
    SecretText,
    Text,
    Union,
)

_SIMPLE: Final[dict[object, Kind]] = {
    str: Text(),
    int: Integer(),
    float: Number(),
    bool: Boolean(),
    Any: Anything(),
    os.PathLike: File("path"),
    sdk.File: File("file"),
    sdk.URLFile: File("file"),
    sdk.Secret: SecretText(),
    dict: Mapping(None),
    list: Array(Anything()),
}
UNIONS: Final = (typing.Union, types.UnionType)
_NATIVE: Final = (Text, Integer, Number, Boolean, Mapping, Choice)


class Unsupported(Exception):
    """No kind belongs to the annotation; the text says so, and what to write instead."""


def is_class(annotation: object) -> typing.TypeGuard[type]:
    """True for a class; Python 3.10 takes list[int] for one too."""
    return isinstance(annotation, type) and typing.get_origin(annotation) is None


def is_typed_dict(annotation: object) -> typing.TypeGuard[type]:
    """True for a TypedDict; the one of typing_extensions is another than typing's on older Pythons."""
    return is_class(annotation) and issubclass(annotation, dict) and hasattr(annotation, "__required_keys__")


def shown(annotation: object) -> str:
    """An annotation as a person would write it."""
    if is_class(annotation):
        return annotation.__qualname__
    return str(annotation).replace("typing.", "").replace("collections.abc.", "").replace("NoneType", "None")


def input_kind(annotation: object) -> Kind:
    """The kind of an input with this annotation.

    Raises:
        Unsupported: an input cannot have this type.
    """
    same = common(annotation, input_kind)
    if same is not None:
        return same
    origin = typing.get_origin(annotation)
    if origin is dict or is_typed_dict(annotation):
        return Mapping(None)  # [compat] what is said of the values is not checked
    if origin in UNIONS:
        return _input_union(annotation)
    raise Unsupported(f"the type {shown(annotation)} cannot be an input. {_advice(annotation, origin)}")


def common(annotation: object, inner: abc.Callable[[object], Kind]) -> Kind | None:
    """What is the same for inputs and outputs; None for everything else. `inner` is for the items of a
    list."""
    try:
        simple = _SIMPLE.get(annotation)
    except TypeError:  # Literal of something that has no hash
        simple = None
    if simple is not None:
        return simple
    if is_class(annotation) and issubclass(annotation, pathlib.PurePath):
        return File("path")
    origin, args = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is list:
        return Array(inner(args[0]) if args else Anything())
    if origin is os.PathLike:
        return File("path")
    if origin is typing.Literal:
        return literal(args)
    if origin is typing.Annotated:
        return _opaque(args[0]) if _says_opaque(args[1:]) else inner(args[0])
    alias = getattr(annotation, "__supertype__", None) or getattr(annotation, "__value__", None)
    return None if alias is None or is_class(annotation) else inner(alias)  # NewType, `type X = ...`


def literal(values: tuple[object, ...]) -> Kind:
    """The kind of a value that is one of these."""
    chosen = tuple(value for value in values if value is not None)
    if not chosen or not all(
        isinstance(value, (str, int)) and not isinstance(value, bool) for value in chosen
    ):
        raise Unsupported(
            "a Literal can list strings and integers (and None) only. Write bool for true and false."
        )
    kind = Choice(typing.cast("tuple[str | int, ...]", chosen))
    return Nullable(kind) if None in values else kind


def _says_opaque(metadata: tuple[object, ...]) -> bool:
    return any(mark is Opaque or isinstance(mark, Opaque) for mark in metadata)


def _opaque(annotation: object) -> Kind:
    if typing.get_origin(annotation) in UNIONS and type(None) in typing.get_args(annotation):
        others = [member for member in typing.get_args(annotation) if member is not type(None)]
        return Nullable(_opaque(others[0]) if len(others) == 1 else Mapping(None))
    if annotation is list or typing.get_origin(annotation) is list:
        return Array(Mapping(None))
    return Mapping(None)


def _input_union(annotation: object) -> Kind:
    members = typing.get_args(annotation)
    kinds = tuple(dict.fromkeys(input_kind(member) for member in members if member is not type(None)))
    if len(kinds) > 1:
        for kind in kinds:
            plain = kind.items if isinstance(kind, Array) else kind
            if not isinstance(plain, (*_NATIVE, Anything)):
                raise Unsupported(
                    f"the union {shown(annotation)} cannot be an input: beside each other there can "
                    "be str, int, float, "
                    "bool, dict, lists of these and None only. Write two inputs, each Optional."
                )
    kind = kinds[0] if len(kinds) == 1 else Union(kinds)
    return Nullable(kind) if type(None) in members else kind


def _advice(annotation: object, origin: object) -> str:
    target = origin if is_class(origin) else annotation
    if annotation is None or annotation is type(None):
        return "Write the type of the value, for example str."
    if is_class(target):
        if issubclass(target, (tuple, set, frozenset)) or target in (abc.Sequence, abc.Iterable):
            return "Write list[...] instead."
        if issubclass(target, Enum):
            return 'Write Literal["a", "b"], or str with Input(choices=["a", "b"]).'
        if issubclass(target, abc.Mapping):
            return "Write dict instead."
        if target in (bytes, bytearray) or issubclass(target, typing.IO) or target.__module__ == "io":
            return "Write cog.Path: the bytes come as a file."
    return (
        "Write str, int, float, bool, cog.Path, cog.Secret, dict, list[...] of these or Any, "
        f"or Annotated[{shown(annotation)}, Opaque] to get the JSON object as a dict."
    )


def innermost(kind: Kind) -> Kind:
    """The kind of the single values: what is inside a Nullable and inside lists."""
    while isinstance(kind, (Nullable, Array)):
        kind = kind.inner if isinstance(kind, Nullable) else kind.items
    return kind
