"""What a requirements file leads to: further files, archives and folders of this machine, and packages that are ours."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal
from urllib.parse import unquote

from cog.config.model import Build

# The SDK in an environment is always that of the cog at work. coglet was the server of the reference.
OURS: Final = ("cog", "coglet")

_COMMENT: Final = re.compile(r"(^|\s)#.*")
_INCLUDE: Final = re.compile(r"(?:-[rc]|--requirements?(?=[\s=])|--constraints?(?=[\s=]))[\s=]*(\S.*)")
_EDITABLE: Final = re.compile(r"(?:-e|--editable(?=[\s=]))[\s=]*(\S.*)")
_NAMED: Final = re.compile(r"[A-Za-z0-9][\w.-]*\s*(?:\[[^\]]*\]\s*)?@\s*(\S.*)", re.ASCII)
_ARCHIVE: Final = re.compile(r"\.(?:whl|zip|tar\.gz|tgz|tar\.bz2|tar\.xz)$", re.IGNORECASE)
_OURS: Final = re.compile(
    rf"(?:{'|'.join(OURS)})\s*(?:$|[\[=<>!~;@(,])|.*#egg=(?:{'|'.join(OURS)})\b", re.IGNORECASE
)
_OUR_ARCHIVE: Final = re.compile(rf"(?:.*/)?(?:{'|'.join(OURS)})-[0-9][^/]*$", re.IGNORECASE)
_VARIABLE: Final = re.compile(r"\$\{([A-Z0-9_]+)\}")

# Up to here a file is known by its content, above by its size and time: a wheel of gigabytes is not read at each call.
_READ_UP_TO: Final = 1024 * 1024
_SOURCES: Final = (
    ".py", ".pyi", ".pyx", ".pxd", ".c", ".cc", ".cpp", ".cu", ".h", ".hpp", ".rs", ".toml", ".cfg", ".in", ".txt", ".md",
)  # fmt: skip
_PROJECT: Final = (
    "pyproject.toml",
    "setup.py",
    "setup.cfg",
)  # what decides about the packages of an editable one
_SKIPPED: Final = ("__pycache__", "node_modules", "build", "dist")


@dataclass(frozen=True, slots=True)
class Source:
    """A file or folder that decides what is installed. `stamp` changes when what is in it does."""

    kind: Literal["list", "archive", "folder", "editable"]
    path: Path
    stamp: str


def lines(text: str) -> Iterator[str]:
    """The requirements and options of a file, without comments; what a backslash continues is one line."""
    for line in text.replace("\\\r\n", " ").replace("\\\n", " ").splitlines():
        if stripped := _COMMENT.sub("", line).strip():
            yield stripped


def is_ours(line: str) -> bool:
    """Whether a line asks for a package that the command line brings itself."""
    bare = line.partition(" ;")[0].strip()
    return _OURS.match(bare) is not None or (
        _ARCHIVE.search(bare) is not None and _OUR_ARCHIVE.match(bare) is not None
    )


def declared(build: Build, folder: Path) -> list[str]:
    """Every line of the requirements, or every package, of cog.yaml. A file that is not there has none."""
    if build.python_requirements is None:
        return list(build.python_packages)
    return list(lines(_read(folder / build.python_requirements).decode("utf-8-sig", "replace")))


def sources(build: Build, folder: Path, environ: Mapping[str, str]) -> list[Source]:
    """Everything on this machine that the requirements of cog.yaml are made of, in a fixed order."""
    found: dict[Path, Source] = {}
    if build.python_requirements is not None:
        _follow(folder / build.python_requirements, folder, environ, found)
    for package in build.python_packages:
        _take(package, folder, folder, environ, found)
    return list(found.values())


def _follow(file: Path, folder: Path, environ: Mapping[str, str], found: dict[Path, Source]) -> None:
    """`file` and what it names. Other lists are relative to it, archives and folders to `folder`, where uv runs."""
    if file in found:
        return
    data = _read(file)
    found[file] = Source("list", file, hashlib.sha256(data).hexdigest())
    for line in lines(data.decode("utf-8-sig", "replace")):
        _take(line, file.parent, folder, environ, found)


def _take(
    line: str, beside: Path, folder: Path, environ: Mapping[str, str], found: dict[Path, Source]
) -> None:
    expanded = _VARIABLE.sub(lambda match: environ.get(match[1], match[0]), line)
    if (included := _INCLUDE.match(expanded)) is not None:
        if "://" not in included[1]:
            _follow(Path(os.path.normpath(beside / _path(included[1]))), folder, environ, found)
        return
    editable = _EDITABLE.match(expanded)
    named = _NAMED.match(expanded)
    text = editable[1] if editable is not None else named[1] if named is not None else expanded
    target = Path(os.path.normpath(folder / _path(text)))
    if target in found or is_ours(line):
        return
    if _looks_local(text) and target.is_dir():
        found[target] = Source("folder", target, _tree(target)) if editable is None else _linked(target)
    elif _looks_local(text) and target.is_file():
        found[target] = Source("archive", target, _content(target))


def _path(text: str) -> str:
    """The path in a requirement: without marker, extras, quotes and the `file:` of an address."""
    bare = text.partition(" ;")[0].strip().strip("\"'")
    if bare.startswith("file:"):
        bare = unquote(re.sub(r"^file:(//(localhost)?(?=/))?", "", bare).partition("#")[0])
    return os.path.expanduser(re.sub(r"\[[^\]]*\]$", "", bare))


def _looks_local(text: str) -> bool:
    bare = _path(text)
    return (
        "://" not in bare
        and not bare.startswith("-")
        and ("/" in bare or bare == "." or _ARCHIVE.search(bare) is not None)
    )


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError:
        return b""  # uv says it better than we could


def _content(file: Path) -> str:
    stat = file.stat()
    if stat.st_size > _READ_UP_TO:
        return f"{stat.st_size} {stat.st_mtime_ns}"
    return hashlib.sha256(_read(file)).hexdigest()


def _linked(folder: Path) -> Source:
    """A package that is used where it lies: only what decides about its dependencies counts."""
    stamps = [_content(folder / name) if (folder / name).is_file() else "" for name in _PROJECT]
    return Source("editable", folder, " ".join(stamps))


def _tree(folder: Path) -> str:
    """The names, sizes and times of the sources below `folder`. What is not source, such as outputs, does not count."""
    total = hashlib.sha256()
    for place, folders, files in os.walk(folder):
        folders[:] = sorted(each for each in folders if not each.startswith(".") and each not in _SKIPPED)
        for name in sorted(each for each in files if each.endswith(_SOURCES)):
            try:
                stat = os.stat(os.path.join(place, name))
            except OSError:
                continue  # gone meanwhile, or a link to nowhere
            total.update(
                f"{os.path.relpath(place, folder)}/{name} {stat.st_size} {stat.st_mtime_ns}\n".encode()
            )
    return total.hexdigest()
