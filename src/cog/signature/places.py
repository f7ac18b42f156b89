"""Where in a model's source a function and its parameters stand, for messages."""

from __future__ import annotations

import ast
import inspect
import os
import textwrap
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Places:
    """The file and the line of a function; `parameters` are the lines of those that are known."""

    file: str
    line: int
    parameters: dict[str, int] = field(default_factory=dict)

    def of(self, parameter: str | None = None) -> str:
        """`run.py:12`, the parameter's line when it is known and the function's otherwise."""
        line = self.line if parameter is None else self.parameters.get(parameter, self.line)
        return f"{self.file}:{line}" if line else self.file


def find(function: Callable[..., object]) -> Places:
    """The places of `function`, as far as its source can be had."""
    code = getattr(function, "__code__", None)
    if code is None:
        return Places(getattr(function, "__module__", None) or "the model", 0)
    file = _shown(code.co_filename)
    try:
        lines, start = inspect.getsourcelines(function)
        tree = ast.parse(textwrap.dedent("".join(lines)))
    except (OSError, TypeError, SyntaxError):  # made at run time, or a lambda in the middle of an expression
        return Places(file, code.co_firstlineno)
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            every = (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)
            extra = [arg for arg in (node.args.vararg, node.args.kwarg) if arg is not None]
            first = max(start, 1) - 1
            found = {arg.arg: first + arg.lineno for arg in (*every, *extra)}
            return Places(file, first + node.lineno, found)
    return Places(file, code.co_firstlineno)


def of_class(cls: type) -> str:
    """`run.py:12`, the first line of a class, or the name of its module when the source cannot be had."""
    try:
        _, line = inspect.getsourcelines(cls)
        return f"{_shown(inspect.getfile(cls))}:{line}"
    except (OSError, TypeError):
        return cls.__module__


def _shown(file: str) -> str:
    """The file as seen from the working directory, or its name alone when it lies elsewhere."""
    here = os.getcwd() + os.sep
    return file[len(here) :] if file.startswith(here) else os.path.basename(file)
