"""From the source of a type annotation to its kind: by the rules that the model itself is read by.

The expression is made into the type that it stands for, and `cog.signature` says what that is. So what an input may
be is decided in one place only. What the source does not tell counts as `Any`.
"""

from __future__ import annotations

import ast
import os
import pathlib
import typing
from typing import Any, Final, NamedTuple

from cog.outline.literals import value
from cog.outline.names import Module, Scope, Unknown
from cog.sdk import types as sdk
from cog.sdk.iterators import Opaque
from cog.signature.annotations import Unsupported, input_kind
from cog.signature.kinds import Anything, Kind

_TYPING: Final[dict[str, Any]] = {
    "Any": Any,
    "Annotated": typing.Annotated,
    "Dict": dict,
    "List": list,
    "Literal": typing.Literal,
    "Optional": typing.Optional,
    "Union": typing.Union,
}
_KNOWN: Final[dict[str, Any]] = {
    **{f"builtins.{each.__name__}": each for each in (str, int, float, bool, dict, list)},
    **{
        f"{module}.{name}": meant
        for name, meant in _TYPING.items()
        for module in ("typing", "typing_extensions")
    },
    **{f"pathlib.{name}": pathlib.PurePath for name in ("Path", "PurePath", "PosixPath", "PurePosixPath")},
    **{f"cog.{name}": getattr(sdk, name) for name in ("File", "Path", "Secret", "URLFile", "URLPath")},
    "cog.Opaque": Opaque,
    "os.PathLike": os.PathLike,
}
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
        raise Unknown

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
        made = tuple(self._part(part, depth) for part in parts)
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


def _expression(text: str) -> ast.AST:
    try:
        return ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise Unknown from error
