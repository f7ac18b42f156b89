"""Problems of a text as a compiler shows them: the place, what is wrong, and the line itself with the place marked."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from cog.config.document import LINE, Problem

WIDTH: Final = 110  # of the part of a line that is shown


def excerpt(path: Path, data: bytes, problems: Iterable[Problem]) -> str:
    """The problems of the file `path`, which holds `data`, in the order of their places; empty without any."""
    lines = LINE.split(data.decode("utf-8-sig", "replace"))
    shown = []
    for problem in sorted(problems, key=lambda one: (one.line, one.column)):
        shown.append(f"{path}:{problem.line}:{problem.column}: {problem.text}")
        if problem.line <= len(lines) and lines[problem.line - 1].strip():
            shown += _marked(problem, lines[problem.line - 1])
    return "\n".join(shown)


def _marked(problem: Problem, line: str) -> tuple[str, str]:
    """The line with its number, and below it a mark under the place."""
    begin = max(0, problem.column - 1 - WIDTH // 2) if len(line) > WIDTH else 0
    # What moves the cursor would draw the mark elsewhere.
    part = "".join(letter if letter.isprintable() else " " for letter in line[begin : begin + WIDTH])
    before = part[: problem.column - 1 - begin]
    marked = part[len(before) : len(before) + problem.width]
    number = f"{problem.line:5}"
    mark = " " * _columns(before) + "^" * max(1, _columns(marked))
    return f"{number} | {part.rstrip()}", f"{' ' * len(number)} | {mark}"


def _columns(text: str) -> int:
    """How many columns a terminal takes for `text`."""
    wide = sum(unicodedata.east_asian_width(letter) in "WF" for letter in text)
    return len(text) + wide - sum(unicodedata.combining(letter) != 0 for letter in text)
