"""From the source of a type annotation to its kind: by the rules that the model itself is read by.

The expression is made into the type that it stands for, and `cog.signature` says what that is. So what an input may
be is decided in one place only. What the source does not tell counts as `Any`.
"""

from __future__ import annotations

import ast
import collections.abc as abc
import os
import pathlib
import typing
from typing import Any, Final, NamedTuple

from cog.outline.literals import value
from cog.outline.names import Module, Scope, Unknown
from cog.sdk import types as sdk
from cog.sdk.iterators import Opaque
from cog.signature.annotations import Unsupported
from cog.signature.formats import FORMATTED
from cog.signature.inputs import input_kind
from cog.signature.kinds import Anything, Kind

_TYPING: Final[dict[str, Any]] = {
    "Any": Any,
    "Annotated": typing.Annotated,
    "Dict": dict,
    "FrozenSet": frozenset,
    "List": list,
    "Literal": typing.Literal,
    "Optional": typing.Optional,
    "Set": set,
    "Tuple": tuple,
    "Union": typing.Union,
}
_ABSTRACT: Final = (
    "Collection",
    "Iterable",
    "Mapping",
    "MutableMapping",
    "MutableSequence",
    "MutableSet",
    "Sequence",
)
_BUILTINS: Final = (str, int, float, bool, bytes, dict, list, tuple, set, frozenset, object)
_KNOWN: Final[dict[str, Any]] = {
    **{f"builtins.{each.__name__}": each for each in _BUILTINS},
    **{
        f"{module}.{name}": meant
        for name, meant in (*_TYPING.items(), *((name, getattr(abc, name)) for name in _ABSTRACT))
        for module in ("typing", "typing_extensions")
    },
    **{f"collections.abc.{name}": getattr(abc, name) for name in (*_ABSTRACT, "Set")},
    **{f"{each.__module__}.{each.__name__}": each for each in (*FORMATTED,) if isinstance(each, type)},
    **{f"pathlib.{name}": pathlib.PurePath for name in ("Path", "PurePath", "PosixPath", "PurePosixPath")},
    **{f"cog.{name}": getattr(sdk, name) for name in ("File", "Path", "Secret", "URLFile", "URLPath")},
    "cog.Opaque": Opaque,
    "os.PathLike": os.PathLike,
}
_ENUMS: Final = frozenset(
    {f"enum.{name}" for name in ("Enum", "IntEnum", "StrEnum")} | {"builtins.str", "builtins.int"}
)
_DEPTH: Final = 40


class Meaning(NamedTuple):
    """The kind of an annotation; `certain` is False when some of it is only guessed to be anything at all."""

    kind: Kind
    certain: bool


def meaning(node: ast.AST | None, module: Module, inner: Scope) -> Meaning:
    """The kind of an input with this annotation, which stands in the body of the class `inner`. Never raises."""
    reading = _Reading(module, inner)
    try:
        if node is None:
            raise Unknown
        kind = input_kind(reading.of(node))
    except (
        Unknown,
        Unsupported,
        TypeError,
        LookupError,
        RecursionError,
    ):  # or a type that the model itself will refuse
        return Meaning(Anything(), False)
    return Meaning(kind, reading.certain)


class _Reading:
    def __init__(self, module: Module, inner: Scope) -> None:
        self.module, self.inner = module, inner
        self.certain = True

    def of(self, node: ast.AST, depth: int = 0) -> Any:
        """The type itself; raises Unknown."""
        if depth > _DEPTH:
            raise Unknown
        match node:
            case ast.Constant(value=None):
                return None
            case ast.Constant(value=str(text)):
                return self.of(_expression(text), depth + 1)
            case ast.BinOp(left=left, op=ast.BitOr(), right=right):
                return self._known("typing.Union")[self._part(left, depth), self._part(right, depth)]
            case ast.Subscript(value=origin, slice=index):
                return self._subscribed(self.of(origin, depth + 1), index, depth)
            case ast.Name(id=name):
                return self._named(name, depth)
            case _:
                return self._known(self.module.origin(node, self.inner))

    def _part(self, node: ast.AST, depth: int) -> Any:
        """A type within another one: anything, when the source does not tell."""
        try:
            return self.of(node, depth + 1)
        except Unknown:
            self.certain = False
            return Any

    def _named(self, name: str, depth: int) -> Any:
        if name in self.inner.bindings:  # whether it is that one depends on when the annotation is evaluated
            raise Unknown
        found = self.module.find(name)
        if found.origin is not None:
            return self._known(found.origin)
        if isinstance(found.node, ast.expr):  # an alias
            return self.of(found.node, depth + 1)
        if isinstance(found.node, ast.ClassDef) and name not in self.module.changed:
            return self._enumerated(found.node)
        raise Unknown

    def _enumerated(self, node: ast.ClassDef) -> Any:
        """An `Enum` of this file as the values that stand in it."""
        bases = {self.module.origin(base, self.inner) for base in node.bases}
        if not bases <= _ENUMS or not any(base.startswith("enum.") for base in bases):
            raise Unknown
        if node.keywords or any(
            self.module.origin(each, self.inner) != "enum.unique" for each in node.decorator_list
        ):
            raise Unknown
        values: list[object] = []
        for each in node.body:
            match each:
                case ast.Assign(targets=[ast.Name(id=name)], value=assigned) if not name.startswith("_"):
                    values.append(value(assigned, self.module, self.inner))
                case ast.Expr(value=ast.Constant()) | ast.FunctionDef() if not _makes_values(each):
                    continue
                case _:
                    raise Unknown
        if not values or not all(type(each) in _taken(bases) for each in values):
            raise Unknown
        return typing.Literal[tuple(values)]

    def _known(self, origin: str) -> Any:
        if origin not in _KNOWN:
            raise Unknown
        return _KNOWN[origin]

    def _subscribed(self, origin: Any, index: ast.expr, depth: int) -> Any:
        parts = index.elts if isinstance(index, ast.Tuple) else [index]
        if origin is typing.Literal:
            return typing.Literal[tuple(value(part, self.module, self.inner) for part in parts)]
        if origin is typing.Annotated:
            return self._annotated(parts, depth)
        if origin is os.PathLike:
            return origin
        if origin is tuple and parts and isinstance(parts[-1], ast.Constant) and parts[-1].value is ...:
            return origin[self._part(parts[0], depth), ...]
        made = tuple(self._part(part, depth) for part in parts)
        if origin is tuple:
            return origin[made]
        return origin[made if len(made) > 1 else made[0]]

    def _annotated(self, parts: list[ast.expr], depth: int) -> Any:
        bare = self.of(parts[0], depth + 1)
        if not self.certain:  # the mark may mean one thing for a list and another for all else
            raise Unknown
        made = (bare, *(self._mark(part, depth) for part in parts[1:]))
        return self._known("typing.Annotated")[made]

    def _mark(self, node: ast.AST, depth: int) -> Any:
        """What stands behind the type in an Annotated. It may be the mark that changes what the type means."""
        if isinstance(node, ast.Constant):
            return node.value
        return self.of(node.func if isinstance(node, ast.Call) and not node.args else node, depth + 1)


def _taken(bases: set[str]) -> tuple[type, ...]:
    """The types of values that such an Enum leaves as they are."""
    if bases & {"builtins.str", "enum.StrEnum"}:
        return (str,)
    return (int,) if bases & {"builtins.int", "enum.IntEnum"} else (str, int, bool, float)


def _makes_values(node: ast.stmt) -> bool:
    """Whether a method of an Enum decides what its values are."""
    return isinstance(node, ast.FunctionDef) and node.name in (
        "__new__",
        "__init__",
        "_generate_next_value_",
        "_missing_",
    )


def _expression(text: str) -> ast.AST:
    try:
        return ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise Unknown from error
