"""From a file to its syntax tree, and what is told of a file that has none."""

from __future__ import annotations

import ast
import sys
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from cog.errors import OutlineError

# Why a file has no tree: it cannot be opened, is no Python, is no text (how older Pythons refuse a null byte), or is
# beyond this parser, whose bounds the model's Python need not share.
Obstacle: TypeAlias = OSError | SyntaxError | ValueError | RecursionError | MemoryError


@dataclass(frozen=True, slots=True)
class Code:
    """A file of Python: its bytes and its syntax tree, or what stood in the way of that."""

    data: bytes
    tree: ast.Module | None
    obstacle: Obstacle | None = None


def read(path: Path) -> Code:
    """The file at `path`, as far as it can be read. Nothing is run."""
    data = b""
    try:
        data = path.read_bytes()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # an odd escape in the model's texts: its own run shows that
            return Code(data, ast.parse(data))
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError) as error:
        return Code(data, None, error)


def parse(path: Path, shown: str, python: tuple[int, int] | None = None) -> ast.Module | None:
    """The syntax tree of a file, called `shown` in messages; None when it cannot be judged here.

    `python` is the version that the model runs with, None for this one: what one version refuses another may
    accept.

    Raises:
        OutlineError: the file cannot be read, or is no Python.
    """
    code = read(path)
    match code.obstacle:
        case OSError() as error:
            text = f"{path} cannot be read: {error.strerror}. Check the file and its permissions."
            raise OutlineError(text) from error
        case SyntaxError() as error:
            if python is None or python == sys.version_info[:2]:
                raise OutlineError(_wrong(error, shown)) from error
        case ValueError() as error:
            raise OutlineError(
                f"{shown} is no Python source: {error}. Name the file of the model."
            ) from error
        case _:
            pass
    return code.tree


def _wrong(error: SyntaxError, shown: str) -> str:
    """`run.py:3: SyntaxError: ...` with the line itself and a caret below the place."""
    where = f"{shown}:{error.lineno}" if error.lineno else shown
    text = f"{where}: {type(error).__name__}: {error.msg}."
    if error.text:
        line = error.text.rstrip("\r\n")
        lead = line[: max((error.offset or 1) - 1, 0)]
        blank = "".join("\t" if letter == "\t" else " " for letter in lead)
        text += f"\n    {line}\n    {blank}^"
    return f"{text}\nPython cannot read the model. Correct this line, or the one above it, and try again."
