"""Whether what exists is written about: each route, each public name, each variable.

Flags, keys and options need no such check: their pages are made from them.
"""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from starlette.routing import Route

import cog
from cog.server import addresses
from cog.server.create import Create
from cog.server.replicate import Hosted
from cog.server.routes import Routes
from cog.server.trainings import Trainings
from cog.server.uploads import Uploads

SOURCE: Final = Path(cog.__file__).parent
# Set by one part of cog for another; nobody else does.
INTERNAL: Final = frozenset(("COG_WORKER_MARK",))
# Everybody's.
STANDARD: Final = frozenset(("COMP_WORDS", "HOME", "PATH", "SHELL"))
_OURS: Final = re.compile(r"COG_[A-Z0-9_]*[A-Z0-9]")
_PARAMETER: Final = re.compile(r"{\w+_id(:\w+)?}")
_ANY: Final = re.compile(r"[A-Z][A-Z0-9_]+")


def missing(root: Path) -> Iterator[str]:
    """What the documents of the project in `root` say nothing about."""
    pages = {path.name: path.read_text(encoding="utf-8") for path in sorted((root / "docs").glob("*.md"))}
    for name, found in (("http.md", routes()), ("sdk.md", names())):
        page = pages.get(name, "")
        for text in found:
            if not re.search(rf"`{re.escape(text)}[`(\[]", page):
                yield f"docs/{name} says nothing about `{text}`"
    # A row of the table of tests says nothing about what a variable means.
    everything = "\n".join(text for name, text in pages.items() if name != "compatibility.md")
    for variable in sorted(variables()):
        if f"`{variable}" not in everything:
            yield f"no page of docs says anything about the variable `{variable}`"


def routes() -> list[str]:
    """`METHOD /path` of each route that the server has."""
    # The table needs no more of these than their methods, so none is ever set up.
    parts = Create.__new__(Create), Routes.__new__(Routes), Trainings.__new__(Trainings)
    hosted = [*Hosted.__new__(Hosted).routes(), *Uploads.__new__(Uploads).routes()]
    table = addresses.routed(*parts, hosted=hosted).routes
    return [
        f"{method} {_PARAMETER.sub('{id}', route.path)}"
        for route in table
        if isinstance(route, Route)
        for method in sorted((route.methods or set()) - {"HEAD"})
    ]


def names() -> list[str]:
    """What a model can import from `cog`."""
    return [name for name in cog.__all__ if not name.startswith("__")]


@functools.cache
def variables() -> frozenset[str]:
    """The environment variables that the code reads or sets, as far as it names them in plain text."""
    found: set[str] = set()
    for path in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            found |= _named(node)
    return frozenset(found - INTERNAL - STANDARD)


def _named(node: ast.AST) -> set[str]:
    match node:
        case ast.Constant(value=str(text)) if _OURS.fullmatch(text):
            return {text}
        # environ["X"], environ.get("X"), os.getenv("X")
        case (
            ast.Subscript(value=place, slice=ast.Constant(value=str(text)))
            | ast.Call(
                func=ast.Attribute(value=place, attr="get" | "getenv"),
                args=[ast.Constant(value=str(text)), *_],
            )
        ) if "environ" in ast.unparse(place) or ast.unparse(place) == "os":
            return {text} if _ANY.fullmatch(text) else set()
        # "X" in environ
        case ast.Compare(
            left=ast.Constant(value=str(text)), ops=[ast.In() | ast.NotIn()], comparators=[place]
        ) if "environ" in ast.unparse(place):
            return {text} if _ANY.fullmatch(text) else set()
        case _:
            return set()
