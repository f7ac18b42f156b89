"""The model's Python file, read but never run."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

from cog.doctor.edits import Edit
from cog.outline import source as sources

Function: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef
Definition: TypeAlias = ast.ClassDef | Function

_BOM: Final = b"\xef\xbb\xbf"
_LINE: Final = re.compile(rb"\r\n|\r|\n")
_FUNCTIONS: Final = (ast.FunctionDef, ast.AsyncFunctionDef)


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a file cannot be read as Python. `line` and `excerpt` may be unknown."""

    text: str
    line: int | None = None
    excerpt: str = ""


@dataclass(frozen=True, slots=True)
class Source:
    """A Python file. `tree` is None, and `fault` says why, when it cannot be read."""

    path: Path
    data: bytes
    tree: ast.Module | None
    fault: Fault | None = None

    @property
    def body(self) -> list[ast.stmt]:
        """The statements of the module."""
        return [] if self.tree is None else self.tree.body

    def walk(self) -> Iterator[ast.AST]:
        """Every node of the file."""
        return iter(()) if self.tree is None else ast.walk(self.tree)

    def offset(self, line: int, column: int) -> int:
        """The byte at which the place that `ast` calls `line` and `column` begins."""
        starts = [0, *(match.end() for match in _LINE.finditer(self.data))]
        first = len(_BOM) if line == 1 and self.data.startswith(_BOM) else 0
        return starts[line - 1] + first + column

    def start(self, node: ast.stmt | ast.expr | ast.alias) -> int:
        """The byte at which `node` begins."""
        return self.offset(node.lineno, node.col_offset)

    def end(self, node: ast.stmt | ast.expr | ast.alias) -> int:
        """The byte behind `node`."""
        return self.offset(node.end_lineno or node.lineno, node.end_col_offset or node.col_offset)

    def removal(self, start: int, end: int) -> Edit:
        """Takes these bytes out."""
        return Edit(start, self.data[start:end], b"")

    def word(self, node: ast.stmt | ast.expr | ast.alias, pattern: str, new: str) -> tuple[Edit, ...]:
        """Puts `new` in the place of the first group of `pattern`, which is looked for from the start of `node`; nothing if
        it is not there."""
        if not self.data:
            return ()
        match = re.compile(pattern.encode()).match(self.data, self.start(node))
        return () if match is None else (Edit(match.start(1), match[1], new.encode()),)

    def whole_lines(self, node: ast.stmt) -> tuple[int, int] | None:
        """The lines that a statement of the module has for itself; None when it shares one of them."""
        if not self.data or node not in self.body or len(self.body) < 2:
            return None
        begin, end = self.start(node), self.end(node)
        after = re.compile(rb"[ \t]*(#[^\r\n]*)?(\r\n|\r|\n|\Z)").match(self.data, end)
        alone = ast.parse(self.data[begin:end]).body  # what is about to go is really this statement
        if after is None or node.col_offset or [ast.dump(each) for each in alone] != [ast.dump(node)]:
            return None
        return begin, after.end()


def read(path: Path) -> Source:
    """The file at `path`. What keeps it from being read is told by `fault`."""
    code = sources.read(path)
    if code.obstacle is not None:
        return Source(path, code.data, None, _fault(code.obstacle))
    # Places are counted in UTF-8, so a file in anything else is read, but never changed.
    return Source(path, code.data if _is_utf8(code.data) else b"", code.tree)


def _is_utf8(data: bytes) -> bool:
    try:
        return tokenize.detect_encoding(io.BytesIO(data).readline)[0].startswith("utf-8")
    except SyntaxError:  # what this and the parser see differently is better left alone
        return False


def _fault(obstacle: sources.Obstacle) -> Fault:
    match obstacle:
        case OSError() as error:
            return Fault(f"it cannot be read: {error.strerror or error}")
        case SyntaxError() as error:
            return Fault(error.msg, error.lineno, (error.text or "").strip()[:120])
        case ValueError() as error:
            return Fault(str(error))
        case _:
            return Fault("it is nested too deep")


def statements(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """The statements that run when a body does, those inside of `if`, `try`, `with` and loops too."""
    for statement in body:
        yield statement
        if isinstance(statement, (*_FUNCTIONS, ast.ClassDef)):
            continue
        for field in ("body", "orelse", "finalbody"):
            yield from statements(getattr(statement, field, []))
        for branch in [*getattr(statement, "handlers", []), *getattr(statement, "cases", [])]:
            yield from statements(branch.body)


def imports(source: Source) -> dict[str, str]:
    """What each imported name stands for: `{"BaseModel": "pydantic.BaseModel", "np": "numpy"}`."""
    found: dict[str, str] = {}
    for node in source.walk():
        if isinstance(node, ast.Import):
            for alias in node.names:
                found[alias.asname or alias.name.partition(".")[0]] = (
                    alias.name if alias.asname else alias.name.partition(".")[0]
                )
        elif isinstance(node, ast.ImportFrom) and node.module is not None and not node.level:
            found.update({alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names})
    return found


def qualified(node: ast.expr, known: dict[str, str]) -> str:
    """`pydantic.BaseModel` for whatever name of it stands at `node`; empty when that cannot be told."""
    if isinstance(node, ast.Name):
        return known.get(node.id, "")
    if isinstance(node, ast.Attribute):
        outer = qualified(node.value, known)
        return f"{outer}.{node.attr}" if outer else ""
    return ""


def definitions(body: list[ast.stmt]) -> dict[str, Definition]:
    """The classes and functions of a module or class; the last of a name counts."""
    return {node.name: node for node in statements(body) if isinstance(node, (*_FUNCTIONS, ast.ClassDef))}


def bound(body: list[ast.stmt]) -> set[str]:
    """Every name that a module or class binds, by whatever means. `*` stands for a star import."""
    found: set[str] = set(definitions(body))
    for node in statements(body):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            found.update(alias.asname or alias.name.partition(".")[0] for alias in node.names)
        elif not isinstance(node, (*_FUNCTIONS, ast.ClassDef)):
            found.update(
                inner.id
                for inner in ast.walk(node)
                if isinstance(inner, ast.Name) and isinstance(inner.ctx, ast.Store)
            )
    return found
