"""The value of an expression, where its source alone decides it: literals, and constants of the file made of them."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable
from typing import Any, Final

from cog.outline.names import Module, Scope, Unknown

_DEPTH: Final = 40  # names and brackets within each other: more is no constant that a person wrote
_ITEMS: Final = 10_000
_BITS: Final = 16_384  # of the largest number: Python prints no longer one

_OPERATORS: Final[dict[type[ast.operator], Callable[[Any, Any], Any]]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Pow: operator.pow,
    ast.LShift: operator.lshift,
}
_CALLS: Final[dict[str, Callable[..., Any]]] = {
    "builtins.list": list,
    "builtins.tuple": tuple,
    "builtins.sorted": sorted,
    "builtins.range": range,
}


def value(node: ast.AST, module: Module, inner: Scope | None = None, depth: int = 0) -> Any:
    """What the expression is: plain Python values, and `...`. `inner` is the class body that it stands in.

    Raises:
        Unknown: the source does not tell, or it would take long to find out.
    """
    if depth > _DEPTH:
        raise Unknown
    return _Evaluation(module, inner, depth + 1).of(node)


class _Evaluation:
    def __init__(self, module: Module, inner: Scope | None, depth: int) -> None:
        self.module, self.inner, self.depth = module, inner, depth

    def of(self, node: ast.AST) -> Any:
        match node:
            case ast.Constant(value=found) if not isinstance(found, (bytes, complex)):
                return found
            case ast.Tuple() | ast.List() | ast.Set():
                return self._items(node)
            case ast.Dict(keys=keys, values=values):
                return {self._key(key): self._deeper(item) for key, item in zip(keys, values, strict=True)}
            case ast.Name(id=name):
                return self._named(name)
            case ast.UnaryOp(op=op, operand=operand):
                return self._unary(op, self._deeper(operand))
            case ast.BinOp(left=left, op=op, right=right):
                return self._binary(op, self._deeper(left), self._deeper(right))
            case ast.Subscript(value=container, slice=index):
                return self._taken(self._deeper(container), self._deeper(index))
            case ast.Call(func=func, args=args, keywords=[]):
                return self._called(func, args)
            case _:
                raise Unknown

    def _deeper(self, node: ast.AST) -> Any:
        return value(node, self.module, self.inner, self.depth)

    def _items(self, node: ast.Tuple | ast.List | ast.Set) -> Any:
        found: list[Any] = []
        for item in node.elts:
            if isinstance(item, ast.Starred):
                found += _list(self._deeper(item.value))
            else:
                found.append(self._deeper(item))
        return tuple(found) if isinstance(node, ast.Tuple) else found

    def _key(self, node: ast.AST | None) -> Any:
        key = Unknown if node is None else self._deeper(node)
        if not isinstance(key, (str, int, float)):
            raise Unknown
        return key

    def _named(self, name: str) -> Any:
        found = self.module.find(name, self.inner)
        if found.node is None or not isinstance(found.node, ast.expr):
            raise Unknown
        constant = self._deeper(found.node)
        if isinstance(constant, (list, dict)) and not self.module.changed.isdisjoint((name, f"{name}[]")):
            raise Unknown
        return constant

    def _unary(self, op: ast.unaryop, operand: Any) -> Any:
        if isinstance(op, ast.USub) and isinstance(operand, (int, float)):
            return -operand
        if isinstance(op, ast.Not):
            return not operand
        raise Unknown

    def _binary(self, op: ast.operator, left: Any, right: Any) -> Any:
        act = _OPERATORS.get(type(op))
        numbers = isinstance(left, (int, float)) and isinstance(right, (int, float))
        joined = (
            isinstance(op, ast.Add) and type(left) is type(right) and isinstance(left, (str, list, tuple))
        )
        if act is None or not (numbers or joined):
            raise Unknown
        if isinstance(op, (ast.Pow, ast.LShift)):
            size = abs(left).bit_length() if isinstance(left, int) else 1
            grown = size * abs(right) if isinstance(op, ast.Pow) else size + abs(right)
            if grown > _BITS:
                raise Unknown
        try:
            return act(left, right)
        except (ArithmeticError, ValueError, TypeError) as error:
            raise Unknown from error

    def _taken(self, container: Any, index: Any) -> Any:
        try:
            return container[index]
        except (LookupError, TypeError) as error:
            raise Unknown from error

    def _called(self, func: ast.expr, args: list[ast.expr]) -> Any:
        if isinstance(func, ast.Attribute) and func.attr in ("keys", "values") and not args:
            found = self._deeper(func.value)
            if isinstance(found, dict):
                return list(found if func.attr == "keys" else found.values())
            raise Unknown
        act = _CALLS.get(self.module.origin(func, self.inner))
        if act is None:
            raise Unknown
        given = [self._deeper(arg) for arg in args]
        try:
            made = act(*given)
            return made if isinstance(made, tuple) else _list(made)
        except (TypeError, ValueError) as error:
            raise Unknown from error


def _list(found: Any) -> list[Any]:
    """The items of a container."""
    if not isinstance(found, (list, tuple, dict, str, range)) or len(found) > _ITEMS:
        raise Unknown
    return list(found)
