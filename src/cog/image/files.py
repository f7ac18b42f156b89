"""The files of a model: which of them go into an image, and which of these are weights."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cog.errors import UsageError
from cog.image.ignore import NAME, Ignored

# A file of more bytes is taken for weights: code is not that large, and to send so much anew for each edit takes time.
LARGE: Final = 10_000_000
WEIGHTS: Final = "weights"


@dataclass(frozen=True, slots=True)
class Entry:
    """One file, folder or link. `path` is relative to the model's folder, with slashes; `target` is where a link leads."""

    path: str
    source: Path
    kind: str
    size: int = 0
    executable: bool = False
    changed: int = 0
    target: str = ""

    @property
    def is_weights(self) -> bool:
        """Whether it belongs into the layer of the weights."""
        below = self.path.startswith(f"{WEIGHTS}/") and not self.path.endswith(".py")
        return self.kind != "folder" and (below or self.size > LARGE)


def ignored(folder: Path) -> Ignored:
    """What the .dockerignore of `folder` leaves out.

    Raises:
        UsageError: it cannot be read.
    """
    try:
        text = (folder / NAME).read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        text = ""
    except (OSError, ValueError) as error:
        raise UsageError(
            f"{folder / NAME} cannot be read: {error}. Save it as UTF-8, and make it readable"
        ) from None
    return Ignored(text.splitlines())


def entries(folder: Path, leaving: Ignored) -> list[Entry]:
    """Everything of `folder` that goes into an image, sorted by path."""
    return sorted(_walk(folder, "", leaving), key=lambda entry: entry.path.split("/"))


def _walk(folder: Path, below: str, leaving: Ignored) -> Iterator[Entry]:
    with os.scandir(folder) as found:
        for each in found:
            path = f"{below}{each.name}"
            if each.is_dir(follow_symlinks=False):
                yield from _folder(Path(each.path), path, leaving)
            elif path not in leaving:
                yield from _single(path, each)


def _folder(folder: Path, path: str, leaving: Ignored) -> Iterator[Entry]:
    """What is taken of a folder. One that is left out is there only for what is taken in again of it."""
    if leaving.prunes(path):
        return
    inside = list(_walk(folder, f"{path}/", leaving))
    if inside or path not in leaving:
        yield Entry(path, folder, "folder")
    yield from inside


def _single(path: str, found: os.DirEntry[str]) -> Iterator[Entry]:
    """A file or a link. Sockets and the like are for this machine only."""
    if found.is_symlink():
        yield Entry(path, Path(found.path), "link", target=os.readlink(found.path))
        return
    about = found.stat(follow_symlinks=False)
    if stat.S_ISREG(about.st_mode):
        executable = bool(about.st_mode & stat.S_IXUSR)
        yield Entry(path, Path(found.path), "file", about.st_size, executable, about.st_mtime_ns)
