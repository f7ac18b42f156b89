"""Cog's decorators on a function, with the arguments that are written out: `@concurrent(max=4)`."""

from __future__ import annotations

import ast
from collections.abc import Mapping

from cog.outline.names import Function, Module, Unknown

Marks = Mapping[str, Mapping[str, object]]


def read(function: Function, module: Module) -> Marks:
    """Each by its full name, such as `cog.concurrent`, with its keyword arguments: literals, or `...` for what only
    running it would tell."""
    found: dict[str, dict[str, object]] = {}
    for decorator in function.decorator_list:
        call = decorator if isinstance(decorator, ast.Call) else None
        try:
            name = module.origin(decorator if call is None else call.func)
        except Unknown:
            continue
        if name.startswith("cog."):
            found[name] = _literals(call)
    return found


def _literals(call: ast.Call | None) -> dict[str, object]:
    found: dict[str, object] = {}
    for keyword in [] if call is None else call.keywords:
        if keyword.arg is None:  # **arguments
            continue
        try:
            found[keyword.arg] = ast.literal_eval(keyword.value)
        except ValueError:  # what a name or a call gives is not known here
            found[keyword.arg] = ...
    return found
