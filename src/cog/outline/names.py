"""What the names of a source file stand for, as far as its text alone decides that."""

from __future__ import annotations

import ast
import builtins
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final, TypeAlias

import cog

Function: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef
_SCOPES: Final = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)
_FUNCTIONS: Final = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
_BLOCKS: Final = (ast.If, ast.For, ast.AsyncFor, ast.While, ast.Try, ast.With, ast.AsyncWith, ast.Match)

# What `from ... import *` brings from these is known.
_OPEN: Final = frozenset({"cog", "typing"})
# What may bind names without writing them down.
_DYNAMIC: Final = frozenset({"exec", "eval", "globals", "locals", "vars", "setattr", "__import__"})
_MUTATORS: Final = frozenset({
    "append", "extend", "insert", "remove", "pop", "clear", "sort", "reverse", "update", "add", "discard",
    "setdefault", "popitem",
})  # fmt: skip
# Calls that leave their arguments as they are.
_HARMLESS: Final = frozenset({
    "Input", "list", "tuple", "set", "frozenset", "dict", "sorted", "len", "range", "min", "max", "sum", "str",
    "print", "enumerate", "zip", "repr", "any", "all", "isinstance",
})  # fmt: skip


class Unknown(Exception):
    """The source alone does not tell."""


@dataclass(frozen=True, slots=True)
class Binding:
    """One place that gives a name its meaning.

    `origin` is the full name of what is imported; `node` the definition, or the expression assigned. With neither it
    is anything. `sure`: it stands in no branch, loop or `try`.
    """

    line: int
    sure: bool
    origin: str | None = None
    node: ast.AST | None = None


@dataclass(frozen=True, slots=True)
class Scope:
    """The names bound in the body of a module or a class, each with all its bindings, in the order of the source;
    `stars` are the modules of `from ... import *`, with their lines."""

    bindings: dict[str, list[Binding]] = field(default_factory=dict)
    stars: list[tuple[str, int]] = field(default_factory=list)

    @classmethod
    def of(cls, body: Iterable[ast.stmt], until: float = math.inf) -> Scope:
        """The scope that these statements make, for one that stands in line `until` of it."""
        scope = cls()
        for statement in body:
            scope._gather(statement, sure=statement.lineno < until)
        return scope

    def last(self, name: str) -> Binding | None:
        """What `name` is in the end; None when it is not bound here.

        Raises:
            Unknown: that depends on how the code goes.
        """
        found = self.bindings.get(name)
        if not found:
            return None
        if not all(binding.sure for binding in found) or any(line > found[-1].line for _, line in self.stars):
            raise Unknown
        return found[-1]

    def _bind(self, name: str, binding: Binding) -> None:
        self.bindings.setdefault(name, []).append(binding)

    def _gather(self, node: ast.AST, *, sure: bool) -> None:
        line = getattr(node, "lineno", 0)
        match node:
            case ast.Import() | ast.ImportFrom():
                self._imported(node, sure=sure)
                return
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                self._bind(node.name, Binding(line, sure, node=node))
                return
            case ast.Lambda():
                return
            case ast.Assign(targets=targets, value=value) if any(isinstance(t, ast.Name) for t in targets):
                for target in targets:
                    if isinstance(target, ast.Name):
                        self._bind(target.id, Binding(line, sure, node=value))
                    else:
                        self._gather(target, sure=sure)
                self._gather(value, sure=sure)
                return
            case ast.AnnAssign(target=ast.Name(id=name), value=value):
                if value is not None:
                    self._bind(name, Binding(line, sure, node=value))
                return
            case _:
                self._other(node, line, sure=sure)

    def _other(self, node: ast.AST, line: int, *, sure: bool) -> None:
        alias: ast.AST | None = getattr(node, "value", None) if type(node).__name__ == "TypeAlias" else None
        if alias is not None:  # `type X = ...`, which this Python need not know
            name = getattr(getattr(node, "name", None), "id", "")
            self._bind(name, Binding(line, sure, node=alias))
            return
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            self._bind(node.id, Binding(line, sure))
        elif isinstance(node, (ast.ExceptHandler, ast.MatchAs, ast.MatchStar)) and node.name is not None:
            self._bind(node.name, Binding(line, False))
        for child in ast.iter_child_nodes(node):
            self._gather(child, sure=sure and not isinstance(node, _BLOCKS))

    def _imported(self, node: ast.Import | ast.ImportFrom, *, sure: bool) -> None:
        for alias in node.names:
            if isinstance(node, ast.Import):
                name, origin = (alias.asname or alias.name.partition(".")[0]), alias.name
                origin = origin if alias.asname else name
            else:
                source = "." * node.level + (node.module or "")
                name, origin = alias.asname or alias.name, f"{source}.{alias.name}"
                if name == "*":
                    self.stars.append((source, node.lineno))
                    continue
            self._bind(name, Binding(node.lineno, sure, origin=origin))


class Module:
    """A source file. `changed` are the names of what is changed in place somewhere in it, `secretive` whether its
    names may come from where they are not written."""

    def __init__(self, tree: ast.Module) -> None:
        self.scope = Scope.of(tree.body)
        self.changed: set[str] = set()
        self._dynamic = False
        self._anywhere_dynamic = False
        self._look(tree, within=False)
        self._stars = {star for star, _ in self.scope.stars}

    @property
    def secretive(self) -> bool:
        """Whether a name that is not in the text may be there all the same."""
        return self._anywhere_dynamic or not self._stars <= _OPEN or "__getattr__" in self.scope.bindings

    def find(self, name: str, inner: Scope | None = None) -> Binding:
        """The one meaning of `name` in this module, or in the body of a class, `inner`.

        Raises:
            Unknown: it has several, or none that is written here.
        """
        local = inner.bindings.get(name) if inner is not None else None
        if local and (len(local) > 1 or not local[0].sure):
            raise Unknown
        found = local or self.scope.bindings.get(name)
        if self._dynamic or not self._stars <= _OPEN:
            raise Unknown
        if not found:
            return Binding(0, True, origin=self._outside(name))
        if any(binding != found[0] for binding in found) and (
            found[0].origin is None or any(binding.origin != found[0].origin for binding in found)
        ):
            raise Unknown
        if hasattr(builtins, name) or (found[0].origin is None and found[0].node is None):
            raise Unknown  # which of both meanings holds depends on the moment
        return found[0]

    def origin(self, node: ast.AST, inner: Scope | None = None) -> str:
        """The full name of what an expression such as `cog.Path` or `P` stands for: `cog.Path`.

        Raises:
            Unknown: it is not an import or a builtin.
        """
        if isinstance(node, ast.Attribute):
            return f"{self.origin(node.value, inner)}.{node.attr}"
        if not isinstance(node, ast.Name):
            raise Unknown
        found = self.find(node.id, inner).origin
        if found is None:
            raise Unknown
        return found

    def _outside(self, name: str) -> str:
        if "cog" in self._stars and name in cog.__all__:
            return f"cog.{name}"
        if "typing" in self._stars:
            import typing

            if name in typing.__all__:
                return f"typing.{name}"
        if not hasattr(builtins, name):
            raise Unknown
        return f"builtins.{name}"

    def _look(self, node: ast.AST, *, within: bool) -> None:
        """Note what is changed in place. `within` a function it happens later, if at all."""
        if isinstance(node, ast.Global):
            for name in node.names:
                self.scope.bindings.setdefault(name, []).append(Binding(node.lineno, False))
        self.changed.update(_changed(node, within=within))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in _DYNAMIC:
            self._anywhere_dynamic = True
            self._dynamic = self._dynamic or (not within and node.func.id != "setattr")
        for child in ast.iter_child_nodes(node):
            self._look(child, within=within or isinstance(node, _FUNCTIONS))


def _changed(node: ast.AST, *, within: bool) -> Iterator[str]:
    """The names of what a single expression or statement changes in place, or hands to somebody who may."""
    match node:
        case (
            ast.Attribute(value=ast.Name(id=name), ctx=ast.Store() | ast.Del())
            | ast.Subscript(value=ast.Name(id=name), ctx=ast.Store() | ast.Del())
            | ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr="__setattr__"))
            | ast.Call(func=ast.Name(id="setattr" | "delattr"), args=[ast.Name(id=name), *_])
        ):
            yield name
        case ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr=attr)) if attr in _MUTATORS:
            yield name
        case ast.Assign(value=ast.Name(id=name)):
            yield f"{name}[]"  # another name for it: matters only for what can be changed in place
        case _:
            pass
    if isinstance(node, ast.Call) and not within:
        func = node.func
        called = (
            func.id if isinstance(func, ast.Name) else func.attr if isinstance(func, ast.Attribute) else ""
        )
        if called not in _HARMLESS:
            values = [*node.args, *(keyword.value for keyword in node.keywords)]
            yield from (f"{value.id}[]" for value in values if isinstance(value, ast.Name))
