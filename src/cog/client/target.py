"""Where results go: the files that `-o` means, and how they come to be there, whole or not at all."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from cog.errors import UnsavedOutput, UsageError

_UNSAFE: Final = re.compile(r"[^\w.+@=-]+")
_LONGEST: Final = 60  # characters of a part of a name that the model chose


@dataclass(frozen=True, slots=True)
class Target:
    """A place for results: `stem`, then what tells several from each other, then `suffix` (None: what fits the content).

    `given` says that a person named the file; `chosen` that at least the folder was.
    """

    folder: Path
    stem: str
    suffix: str | None
    given: bool
    chosen: bool = True

    def path(self, parts: tuple[str | int, ...], suffix: str) -> Path:
        """The file for the part of the output at `parts`; `suffix`, with its dot, is what fits its content."""
        names = [_UNSAFE.sub("_", str(part))[:_LONGEST] for part in parts]
        return self.folder / (
            ".".join([self.stem, *names]) + (suffix if self.suffix is None else self.suffix)
        )

    def whole(self, suffix: str) -> Path:
        """The file for a result that is one text: a name that a person chose is taken as it is."""
        if self.given:
            return self.folder / (self.stem + (self.suffix or ""))
        return self.folder / (self.stem + suffix)


def locate(given: str | None, default: str = "output") -> Target:
    """What `-o` means: a file, a folder that is there, or (None) names that begin with `default` in this folder.

    An extension of digits alone, as in `v1.5`, belongs to the name.

    Raises:
        UsageError: the folder is not there, or nothing can be written into it.
    """
    if given is None:
        return Target(Path(), default, None, given=False, chosen=False)
    path = Path(given).expanduser()
    if given.endswith(os.sep) or path.is_dir():
        return Target(_writable(path, given), default, None, given=False)
    stem, suffix = os.path.splitext(path.name)
    if not suffix.strip(".") or suffix[1:].isdecimal():
        stem, suffix = path.name, ""
    return Target(_writable(path.parent, given), stem, suffix or None, given=True)


def _writable(folder: Path, given: str) -> Path:
    if not folder.is_dir():
        raise UsageError(f"-o {given}: there is no folder {folder}. Make it first: mkdir -p {folder}")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise UsageError(f"-o {given}: nothing can be written into {folder.absolute()}")
    return folder


@contextlib.contextmanager
def writing(path: Path) -> Iterator[BinaryIO]:
    """The file, to be written: it takes its place, and that of an older one, when the block ends well.

    A device or a pipe is written to as it is. New files are as the umask says, never executable.

    Raises:
        UnsavedOutput: it cannot be written.
    """
    try:
        real = Path(os.path.realpath(path))  # through a link, as `cp` does
        if real.exists() and not real.is_file() and not real.is_dir():
            with real.open("wb") as special:
                yield special
            return
        with _new(real) as (file, temporary):
            yield file
            file.close()
            os.replace(temporary, real)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise UnsavedOutput(f"{path} cannot be written: {error.strerror or error}.") from error


@contextlib.contextmanager
def _new(real: Path) -> Iterator[tuple[BinaryIO, Path]]:
    """A file beside `real` that nobody else has; it is removed unless it was moved away."""
    temporary = real.with_name(f".{real.name[:100]}.{secrets.token_hex(4)}.part")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file, temporary
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
