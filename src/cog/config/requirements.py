"""The lines of a requirements file that name archives of the project itself."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from cog.config.document import LINE, Problem
from cog.config.excerpt import excerpt

_FIELD: Final = "build.python_requirements"
_COMMENT: Final = re.compile(r"(^|\s)#.*")
# A name like `foo.zipper` is a package; what ends in one of these and goes on with a blank, `;`, `[` or nothing is a file.
_ARCHIVE: Final = re.compile(
    r"(\S*?\.(?:whl|zip|tar\.gz|tgz|tar\.bz2|tar\.xz))(?![^\s;\[])(.*)", re.IGNORECASE
)
# `-r other.txt`, `name @ address`, an address, and what stands in a variable are none of our business.
_OTHER: Final = re.compile(r"-|[\w.-]+(\[[^\]]*\])?\s*@|.*://|.*\$\{", re.ASCII)
# Relative to the file that it stands in.
_INCLUDE: Final = re.compile(r"(?:-r|--requirements?(?=[\s=]))[\s=]*(\S.*)")


def unusable(folder: Path, name: str) -> str:
    """What is wrong within the requirements file `name` of the project in `folder`, and in those that it includes. Files
    that are not there have nothing; that is told elsewhere."""
    told, seen, waiting = [], set(), [folder / name]
    while waiting:
        path = Path(os.path.normpath(waiting.pop(0)))
        if path in seen:
            continue
        seen.add(path)
        try:
            data = path.read_bytes()
        except (OSError, ValueError):  # the latter for what no name can be
            continue
        told.append(excerpt(path, data, archive_problems(data, folder)))
        waiting += (path.parent / included for included in _included(data))
    return "\n".join(filter(None, told))


def _included(data: bytes) -> Iterator[str]:
    for line in LINE.split(data.decode("utf-8-sig", "replace")):
        match = _INCLUDE.match(_COMMENT.sub("", line).strip())
        if match is not None and "://" not in match[1]:
            yield match[1].strip("\"'")


def archive_problems(data: bytes, folder: Path) -> Iterator[Problem]:
    """What is wrong with the archives that the requirements `data` of the project in `folder` name.

    Such a line is a path alone, relative to `folder` as pip and uv take it when they run there, and leads to a file within
    it: an image is made from nothing else.
    """
    for number, line in enumerate(LINE.split(data.decode("utf-8-sig", "replace")), start=1):
        text = _COMMENT.sub("", line).strip()
        match = None if _OTHER.match(text) else _ARCHIVE.fullmatch(text)
        if match is not None and (why := _fault(match[1], match[2], folder)) is not None:
            column = line.index(text) + 1
            yield Problem(number, column, f'invalid {_FIELD} "{text[:100]}": {why}', len(text))


def _fault(path: str, rest: str, folder: Path) -> str | None:
    if rest:
        return f"a file of the project takes no options or markers. Write {path[:100]} alone"
    root, place = os.path.realpath(folder), os.path.realpath(folder / path)
    if os.path.commonpath([root, place]) != root:
        return "it lies outside the folder of cog.yaml. Copy it into that folder"
    if not os.path.isfile(place):
        return f"there is no such file. Paths are relative to {folder}. Put it there or correct the name"
    return None
