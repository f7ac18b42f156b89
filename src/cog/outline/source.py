"""From a file to its syntax tree, and what is told of a file that has none."""

from __future__ import annotations

import ast
import sys
import warnings
from pathlib import Path

from cog.errors import OutlineError


def parse(path: Path, shown: str, python: tuple[int, int] | None = None) -> ast.Module | None:
    """The syntax tree of a file, called `shown` in messages; None when it cannot be judged here.

    `python` is the version that the model runs with, None for this one: what one version refuses another may
    accept.

    Raises:
        OutlineError: the file cannot be read, or is no Python.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise OutlineError(
            f"{path} cannot be read: {error.strerror}. Check the file and its permissions."
        ) from error
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the model's own run shows them
            return ast.parse(content, filename=shown)
    except SyntaxError as error:
        if python is not None and python != sys.version_info[:2]:
            return None
        raise OutlineError(_wrong(error, shown)) from error
    except ValueError as error:  # how older Pythons refuse a null byte
        raise OutlineError(f"{shown} is no Python source: {error}. Name the file of the model.") from error
    except (RecursionError, MemoryError):  # a bound of this parser, which the model's Python need not share
        return None


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
