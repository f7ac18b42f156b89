"""Holds the source to its budgets. Usage: budgets.py FOLDER...

Files up to 350 lines, functions up to 60 and nine of ten up to 25, nesting up to 4, every parameter and
result typed, no module that imports itself by way of others. Exit status 1, with a list, when one is broken.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Final, TypeAlias

FILE_LINES: Final = 350
FUNCTION_LINES: Final = 60
USUAL_LINES: Final = 25  # nine functions of ten
NESTING: Final = 4

Function: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef
SCOPES: Final = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)
BLOCKS: Final = (ast.If, ast.For, ast.AsyncFor, ast.While, ast.With, ast.AsyncWith, ast.Try, ast.Match)


@dataclass(frozen=True)
class Module:
    """One source file: `name` as it is imported, `package` what its relative imports start from."""

    path: Path
    name: str
    package: str
    lines: int
    tree: ast.Module

    @property
    def functions(self) -> list[Function]:
        """Every function and method, also those inside of others."""
        return [node for node in ast.walk(self.tree) if isinstance(node, Function)]


def read(folder: Path) -> Iterator[Module]:
    """The modules in `folder`, which is a package."""
    for path in sorted(folder.rglob("*.py")):
        parts = [folder.name, *path.relative_to(folder).with_suffix("").parts]
        package = parts[:-1]
        if parts[-1] == "__init__":
            parts = package
        text = path.read_text(encoding="utf-8")
        yield Module(
            path, ".".join(parts), ".".join(package), len(text.splitlines()), ast.parse(text, str(path))
        )


def length(function: Function) -> int:
    """Lines from `def` to the last one, both included."""
    return (function.end_lineno or function.lineno) - function.lineno + 1


def depth(node: ast.AST) -> int:
    """How many blocks deep the deepest statement in `node` stands; a function inside counts for itself."""
    deepest = 0
    for child in ast.iter_child_nodes(node):
        if isinstance(child, SCOPES):
            continue
        is_elif = isinstance(node, ast.If) and isinstance(child, ast.If) and node.orelse == [child]
        deepest = max(deepest, depth(child) + (isinstance(child, BLOCKS) and not is_elif))
    return deepest


def untyped(function: Function) -> list[str]:
    """The parameters without a type, and `return` when the result has none."""
    given = function.args
    named = [*given.posonlyargs, *given.args, *given.kwonlyargs, *filter(None, (given.vararg, given.kwarg))]
    missing = [each.arg for each in named if each.annotation is None and each.arg not in ("self", "cls")]
    return missing + (["return"] if function.returns is None else [])


def broken_by(module: Module) -> Iterator[str]:
    """What one file breaks."""
    if module.lines > FILE_LINES:
        yield f"{module.path}: {module.lines} lines, {FILE_LINES} are the budget: split it"
    for function in module.functions:
        where = f"{module.path}:{function.lineno}: {function.name}"
        if length(function) > FUNCTION_LINES:
            yield f"{where} has {length(function)} lines, {FUNCTION_LINES} are the budget"
        if depth(function) > NESTING:
            yield f"{where} is nested {depth(function)} deep, {NESTING} is the budget"
        if missing := untyped(function):
            yield f"{where} lacks a type for {', '.join(missing)}"


def usual_length(functions: Iterable[Function]) -> int:
    """The length that nine functions of ten stay within."""
    lengths = sorted(map(length, functions))
    return lengths[(len(lengths) * 9 - 1) // 10] if lengths else 0


def imported(module: Module) -> Iterator[str]:
    """The names that `module` imports when it is itself imported, modules or what is in them.

    An import inside a function counts too: it is what hides a cycle. One for the type checker does not.
    """
    skipped: set[ast.AST] = set()
    for node in ast.walk(module.tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING"):
            skipped.update(inner for statement in node.body for inner in ast.walk(statement))
        if node in skipped:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = module.package.rsplit(".", node.level - 1)[0] if node.level else ""
            source = ".".join(filter(None, (above, node.module)))
            yield source
            yield from (f"{source}.{alias.name}" for alias in node.names)


def cycle(modules: Iterable[Module]) -> list[str]:
    """One chain of modules that ends where it starts, or nothing."""
    graph = {module.name: set(imported(module)) for module in modules}
    # A package is imported before what is in it, so whoever takes a sibling needs no more of it.
    inside = {
        name: {each for each in names if each in graph and each != name and not name.startswith(f"{each}.")}
        for name, names in graph.items()
    }
    try:
        TopologicalSorter(inside).prepare()
    except CycleError as error:
        chain: list[str] = error.args[1]
        return chain[::-1]
    return []


def main(folders: list[str]) -> int:
    """Check every folder; return the exit status."""
    modules = [module for folder in folders for module in read(Path(folder))]
    if not modules:
        print(f"budgets: no Python files in {' '.join(folders) or 'nothing'}", file=sys.stderr)
        return 2
    functions = [function for module in modules for function in module.functions]
    broken = [row for module in modules for row in broken_by(module)]
    usual = usual_length(functions)
    if usual > USUAL_LINES:
        broken.append(f"nine functions of ten have up to {usual} lines, {USUAL_LINES} are the budget")
    if chain := cycle(modules):
        broken.append(f"import cycle: {' -> '.join(chain)}")
    for row in broken:
        print(row)
    print(
        f"{len(modules)} files, the longest {max(module.lines for module in modules)} lines; "
        f"{len(functions)} functions, nine of ten up to {usual} lines, "
        f"the longest {max(map(length, functions), default=0)}: {'over' if broken else 'within'} budget"
    )
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
