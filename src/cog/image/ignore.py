"""What a .dockerignore keeps out of an image: patterns as Docker reads them (docs.docker.com, "Dockerignore files")."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

NAME: Final = ".dockerignore"
# Never in an image, whatever a .dockerignore says: what cog keeps for this machine, the history, compiled code of another
# Python, which would make the same source another layer each time.
ALWAYS: Final = (".cog", ".git", "**/__pycache__")

_SPECIAL: Final = re.compile(r"(\*\*/?|\*|\?|\\.|\[\^?\]?[^\]]*\])")


@dataclass(frozen=True, slots=True)
class Pattern:
    """One line. What matches is left out, or, with `keeps`, taken in again."""

    regex: re.Pattern[str]
    keeps: bool = False


class Ignored:
    """The patterns of a file, the last that matches a path or a folder that it lies in counts."""

    def __init__(self, lines: Iterable[str]) -> None:
        """`lines` are those of a .dockerignore; `ALWAYS` comes after them."""
        self._patterns = [*_patterns(lines), *_patterns(ALWAYS)]

    def __contains__(self, path: str) -> bool:
        """Whether `path`, relative and with slashes, is left out."""
        parts = path.split("/")
        places = ["/".join(parts[:count]) for count in range(1, len(parts) + 1)]
        out = False
        for pattern in self._patterns:
            if pattern.keeps == out and any(map(pattern.regex.fullmatch, places)):
                out = not pattern.keeps
        return out

    def prunes(self, folder: str) -> bool:
        """Whether nothing below `folder` is taken: it is left out, and no later pattern could take a part in again."""
        return folder in self and not any(pattern.keeps for pattern in self._patterns)


def _patterns(lines: Iterable[str]) -> list[Pattern]:
    found = []
    for line in lines:
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        keeps = text.startswith("!")
        text = posixpath.normpath(text[keeps:].strip()).lstrip("/")
        if text not in ("", "."):
            found.append(Pattern(_regex(text), keeps))
    return found


def _regex(pattern: str) -> re.Pattern[str]:
    """As Go's filepath.Match, and `**` for any number of folders. What is no pattern matches nothing."""
    words = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    written = ""
    for part in _SPECIAL.split(pattern):
        if part in words:
            written += words[part]
        elif part.startswith("[") and part.endswith("]") and len(part) > 1:
            written += _class(part)
        elif part.startswith("\\") and len(part) == 2:
            written += re.escape(part[1])
        else:
            written += re.escape(part)
    try:
        return re.compile(written, re.DOTALL)
    except re.error:
        return re.compile(r"(?!)")


def _class(part: str) -> str:
    """`[^a-z]`: `^` alone negates, and what Python takes for an operator is a letter."""
    negated = part.startswith("[^")
    inside = (
        part[2 if negated else 1 : -1]
        .replace("[", r"\[")
        .replace("&", r"\&")
        .replace("~", r"\~")
        .replace("|", r"\|")
    )
    return f"(?!/)[{'^' if negated else ''}{inside}]"
