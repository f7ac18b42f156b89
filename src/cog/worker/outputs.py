"""Output files are secured before the event that names them: copied into the prediction's folder, so that the
model's next line, or its next run, cannot change or delete what is not yet read.
"""

from __future__ import annotations

import io
import os
import secrets
import shutil
from collections.abc import Callable
from typing import Final

from cog.errors import OutputError
from cog.signature.encode import encode

# Linux's FICLONE (linux/fs.h): the copy shares its blocks with the original where the file system can do that.
_FICLONE: Final = 0x40049409
_CHUNK: Final = 1024 * 1024


class OutputEncoder:
    """Turns what the model returned into JSON text and a list of secured files `[mark, path, name]`."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._count = 0
        self.files: list[list[str]] = []

    def encode(self, value: object) -> bytes:
        """JSON text of `value`; where a file stands in it, a mark that nothing else can contain.

        Raises:
            OutputError: the value cannot be expressed, or a file in it cannot be read.
        """
        self.files = []
        return encode(value, self._secure)

    def _secure(self, value: object) -> str:
        if isinstance(value, os.PathLike):
            source = os.fspath(value)
            source = os.fsdecode(source)
            name = os.path.basename(source)
            path = self._target(name)
            _explained(source, lambda: _copy(source, path))
        else:
            name, content = _contents(value)
            path = self._target(name)
            _explained(name, lambda: _save(content, path))
        mark = f"{secrets.token_hex(16)}:{self._count}"
        self.files.append([mark, path, name])
        return mark

    def _target(self, name: str) -> str:
        os.makedirs(self._folder, mode=0o700, exist_ok=True)
        self._count += 1
        suffix = os.path.splitext(name)[1]
        safe = suffix if suffix[1:].isalnum() and len(suffix) < 32 else ""
        return os.path.join(self._folder, f"output-{self._count}{safe}")


def _explained(name: str, act: Callable[[], None]) -> None:
    try:
        act()
    except FileNotFoundError as error:
        raise OutputError(
            f"the output names the file {name}, which does not exist. It may have been removed before run() "
            "returned, or the path is relative to another working directory."
        ) from error
    except IsADirectoryError as error:
        raise OutputError(
            f"the output names {name}, which is a folder. Return files, for example an archive of it."
        ) from error
    except OSError as error:
        raise OutputError(f"the output file {name} cannot be kept: {error.strerror or error}") from error


def _copy(source: str, target: str) -> None:
    if os.path.isdir(source):
        raise IsADirectoryError(source)
    if not _reflink(source, target):
        shutil.copyfile(source, target)


def _reflink(source: str, target: str) -> bool:
    try:
        import fcntl
    except ImportError:
        return False
    with open(source, "rb") as old, open(target, "wb") as new:
        try:
            fcntl.ioctl(new.fileno(), _FICLONE, old.fileno())
        except OSError:
            return False
    return True


def _contents(value: object) -> tuple[str, bytes]:
    if not isinstance(value, io.IOBase):
        raise OutputError(
            f"the output holds a {type(value).__name__}, which is neither a path nor an open file"
        )
    if value.closed:
        raise OutputError(
            "the output is a file object that is already closed. Return it open, or return its path."
        )
    if value.seekable():
        value.seek(0)
    content = value.read()
    name = getattr(value, "name", None)
    stem = os.path.basename(name) if isinstance(name, str) else ""
    if isinstance(content, str):
        return stem or "output.txt", content.encode("utf-8", "replace")
    return stem or "output.bin", bytes(content)


def _save(content: bytes, target: str) -> None:
    with open(target, "wb") as file:
        for start in range(0, len(content), _CHUNK):
            file.write(content[start : start + _CHUNK])
