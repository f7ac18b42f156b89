"""Output files are secured before the event that names them: copied into the prediction's folder, so that the
model's next line, or its next run, cannot change or delete what is not yet read.
"""

from __future__ import annotations

import errno
import io
import os
import shutil
from collections.abc import Callable
from typing import Final

from cog.errors import OutputError
from cog.signature.encode import encode

# Linux's FICLONE (linux/fs.h): the copy shares its blocks with the original where the file system can do that.
_FICLONE: Final = 0x40049409
_CHUNK: Final = 1024 * 1024
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})

# What a frame can carry; the server hands down its --max-output in bytes, so that what is over it stays here.
_FRAME: Final = 0xFFFF_FFFF
_GIVEN: Final = os.environ.get("COG_MAX_OUTPUT", "")
LARGEST: Final = min(int(_GIVEN) if _GIVEN.isascii() and _GIVEN.isdigit() else _FRAME, _FRAME)
# The marks, paths and names of an output's files travel in the head of its frame, which has a limit too.
_LARGEST_HEAD: Final = 16 * 1024 * 1024
_PER_FILE: Final = 128


class OutputEncoder:
    """Turns what the model returned into JSON text and a list of secured files `[mark, path, name]`."""

    def __init__(self, folder: str, *, largest: int = LARGEST) -> None:
        """`largest` is the most bytes of one payload."""
        self._folder = folder
        self._largest = largest
        self._count = 0
        self._head = 0
        self.files: list[list[str]] = []

    def encode(self, value: object) -> bytes:
        """JSON text of `value`; where a file stands in it, a mark that nothing else can contain.

        Raises:
            OutputError: the value cannot be expressed, is too large, or a file in it cannot be read.
        """
        self.files = []
        self._head = 0
        payload = encode(value, self._secure)
        if len(payload) > self._largest:
            raise OutputError(
                f"the output is {len(payload):,} bytes of JSON text, and --max-output allows "
                f"{self._largest:,} for all the output of one prediction. Return a file, return less, or "
                "allow more (4 GiB is the most for one value)."
            )
        return payload

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
        self._head += 2 * len(path) + 6 * len(name) + _PER_FILE
        if self._head > _LARGEST_HEAD:
            raise OutputError(
                f"the output names too many files: more than {len(self.files):,} in one value. Return an archive "
                "of them, or yield them one by one."
            )
        mark = f"{os.urandom(16).hex()}:{self._count}"
        self.files.append([mark, path, name])
        return mark

    def _target(self, name: str) -> str:
        _explained(name, self._make_folder)
        self._count += 1
        suffix = os.path.splitext(name)[1]
        safe = suffix if suffix[1:].isalnum() and len(suffix) < 32 else ""
        return os.path.join(self._folder, f"output-{self._count}{safe}")

    def _make_folder(self) -> None:
        if not os.path.isdir(self._folder):
            parent = os.path.dirname(self._folder)
            if not os.path.isdir(parent):
                raise NotADirectoryError(
                    errno.ENOTDIR, f"the server's folder for temporary files, {parent}, is gone"
                )
            os.mkdir(self._folder, mode=0o700)


def _explained(name: str, act: Callable[[], None]) -> None:
    try:
        act()
    except FileNotFoundError:
        raise OutputError(
            f"the output names the file {name}, which does not exist. It may have been removed before run() "
            "returned, or the path is relative to another working directory."
        ) from None
    except IsADirectoryError:
        raise OutputError(
            f"the output names {name}, which is a folder. Return files, for example an archive of it."
        ) from None
    except OSError as error:
        hint = ""
        if error.errno in _FULL:
            hint = ". Free some space, or let the server's TMPDIR name a folder on a larger disk"
        raise OutputError(
            f"the output file {name} cannot be kept: {error.strerror or error}{hint}"
        ) from error


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
