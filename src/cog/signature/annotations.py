"""From a type annotation to its kind, as far as inputs and outputs have it in common."""

from __future__ import annotations

import collections.abc as abc
import os
import pathlib
import types
import typing
from enum import Enum
from typing import Any, Final, TypeAlias

from cog.sdk import types as sdk
from cog.sdk.coder import Coder
from cog.sdk.iterators import Opaque
from cog.signature.choices import Scalar, is_scalar
from cog.signature.containers import Container
from cog.signature.formats import FORMATTED
from cog.signature.kinds import (
    Anything,
    Array,
    Boolean,
    Choice,
    Coded,
    File,
    Integer,
    Kind,
    Mapping,
    Nullable,
    Number,
    SecretText,
    Text,
    Tuple,
    Union,
)

KindOf: TypeAlias = abc.Callable[[object], Kind]

_SIMPLE: Final[dict[object, Kind]] = {
    str: Text(),
    int: Integer(),
    float: Number(),
    bool: Boolean(),
    Any: Anything(),
    object: Anything(),
    bytes: File("bytes"),
    os.PathLike: File("path"),
    sdk.File: File("file"),
    sdk.URLFile: File("file"),
    sdk.Secret: SecretText(),
    dict: Mapping(None),
    **FORMATTED,
}
_CONTAINERS: Final[dict[object, Container]] = {
    **dict.fromkeys((list, abc.Sequence, abc.MutableSequence, abc.Collection, abc.Iterable), "list"),
    **dict.fromkeys((set, abc.Set, abc.MutableSet), "set"),
    frozenset: "frozenset",
}
_WRAPPERS: Final = ("Required", "NotRequired", "ReadOnly")
MAPPINGS: Final = (dict, abc.Mapping, abc.MutableMapping)
UNIONS: Final = (typing.Union, types.UnionType)


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


def common(annotation: object, inner: KindOf) -> Kind | None:
    """What is the same for inputs and outputs; None for everything else. `inner` is for what it is made of.

    Raises:
        Unsupported: it is for neither.
    """
    try:
        simple = _SIMPLE.get(annotation)
    except TypeError:  # Literal of something that has no hash
        simple = None
    if simple is not None:
        return simple
    if is_class(annotation):
        return _class(annotation, inner)
    origin, args = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is os.PathLike:
        return File("path")
    if origin is typing.Literal:
        return literal(args)
    if origin is typing.Annotated:
        return _opaque(args[0]) if _says_opaque(args[1:]) else inner(args[0])
    if origin in UNIONS:
        return _union(args, inner)
    if getattr(origin, "_name", None) in _WRAPPERS or getattr(origin, "__name__", None) in _WRAPPERS:
        return inner(args[0])
    if isinstance(annotation, typing.TypeVar):
        return Anything()
    alias = getattr(annotation, "__supertype__", None) or getattr(annotation, "__value__", None)
    return (
        _several(annotation, origin, args, inner) if alias is None else inner(alias)
    )  # NewType, `type X = ...`


def _class(cls: type, inner: KindOf) -> Kind | None:
    if issubclass(cls, pathlib.PurePath):
        return File("path")
    if issubclass(cls, Enum):
        return literal(tuple(cls))
    if callable(getattr(cls, "get_secret_value", None)):  # pydantic's SecretStr
        return SecretText(python=cls)
    if issubclass(cls, tuple) and hasattr(cls, "_fields"):
        return _named_tuple(cls, inner)
    return _several(cls, cls, (), inner)


def _several(annotation: object, origin: object, args: tuple[Any, ...], inner: KindOf) -> Kind | None:
    """The kind of what JSON writes as an array."""
    if origin is tuple or annotation is typing.Tuple:  # noqa: UP006  they are two
        if annotation in (tuple, typing.Tuple):  # noqa: UP006
            return Array(Anything(), "tuple")
        if len(args) == 2 and args[1] is ...:
            return Array(inner(args[0]), "tuple")
        return Tuple(tuple(inner(item) for item in args if item != ()))  # tuple[()] before Python 3.11
    try:
        into = _CONTAINERS.get(origin)
    except TypeError:
        return None
    return None if into is None else Array(inner(args[0]) if args else Anything(), into)


def _named_tuple(cls: Any, inner: KindOf) -> Kind:
    hints = typing.get_type_hints(cls, include_extras=True)
    kinds = tuple(inner(hints.get(name, Any)) for name in cls._fields)
    return Tuple(kinds, len(kinds) - len(cls._field_defaults), python=cls)


def literal(values: tuple[object, ...]) -> Kind:
    """The kind of a value that is one of these, which may be members of an `Enum`: then JSON has their values."""
    listed = tuple(value for value in values if value is not None)
    plain = tuple(value.value if isinstance(value, Enum) else value for value in listed)
    if not listed or not all(map(is_scalar, plain)):
        raise Unsupported(
            "a Literal, or the values of an Enum, can be texts, numbers and booleans only (and None in a Literal). "
            "Give the members of the Enum such values."
        )
    members = listed if any(isinstance(value, Enum) for value in listed) else None
    kind = Choice(typing.cast("tuple[Scalar, ...]", plain), python=members)
    return Nullable(kind) if None in values else kind


def _union(members: tuple[object, ...], inner: KindOf) -> Kind:
    kinds = tuple(dict.fromkeys(inner(member) for member in members if member is not type(None)))
    kind = kinds[0] if len(kinds) == 1 else Union(kinds)
    return Nullable(kind) if type(None) in members and not isinstance(kind, Nullable) else kind


def coded(annotation: object) -> Kind | None:
    """The kind of a type that a registered `Coder` knows, for what has no rule of its own."""
    origin = typing.get_origin(annotation)
    target = origin if is_class(origin) else annotation
    coder = Coder.lookup(target) if is_class(target) else None
    return None if coder is None else Coded(shown(target), coder=coder)


def _says_opaque(metadata: tuple[object, ...]) -> bool:
    return any(mark is Opaque or isinstance(mark, Opaque) for mark in metadata)


def _opaque(annotation: object) -> Kind:
    if typing.get_origin(annotation) in UNIONS and type(None) in typing.get_args(annotation):
        others = [member for member in typing.get_args(annotation) if member is not type(None)]
        return Nullable(_opaque(others[0]) if len(others) == 1 else Mapping(None))
    if annotation is list or typing.get_origin(annotation) is list:
        return Array(Mapping(None))
    return Mapping(None)
