"""Changes of single words in a file: everything else stays as it is, byte for byte."""

from __future__ import annotations

import ast
import contextlib
import os
import tempfile
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Final

_UNREADABLE: Final = (SyntaxError, ValueError, RecursionError, MemoryError)


@dataclass(frozen=True, slots=True)
class Edit:
    """Puts `new` in the place of `old`, which begins at byte `start` of the file."""

    start: int
    old: bytes
    new: bytes

    @property
    def end(self) -> int:
        """The byte behind what is replaced."""
        return self.start + len(self.old)


@dataclass(frozen=True, slots=True)
class Fix:
    """What can be done about a finding: `text` says it (`predict: becomes run:`), `edits` do it to the file at `path`."""

    text: str
    path: Path
    edits: tuple[Edit, ...]


def fitting(data: bytes, edits: Iterable[Edit]) -> bool:
    """True when every edit finds in `data` what it replaces, and none touches another."""
    ordered = sorted(edits, key=lambda edit: edit.start)
    apart = all(one.end <= other.start for one, other in pairwise(ordered))
    return apart and all(data[edit.start : edit.end] == edit.old for edit in ordered)


def edited(data: bytes, edits: Iterable[Edit]) -> bytes:
    """`data` with the edits, which have to be fitting."""
    for edit in sorted(edits, key=lambda edit: edit.start, reverse=True):
        data = data[: edit.start] + edit.new + data[edit.end :]
    return data


def mend(fixes: Sequence[Fix]) -> list[Fix]:
    """Carry out what can be carried out; gives what was. A fix that touches another is left for the next time.

    Each file is replaced as a whole, and keeps its mode. Python that could not be read any more is not written.

    Raises:
        OSError: a file cannot be written.
    """
    done: list[Fix] = []
    for path in dict.fromkeys(fix.path for fix in fixes):
        before = data = path.read_bytes()
        edits: list[Edit] = []
        taken: list[Fix] = []
        for fix in (each for each in fixes if each.path == path):
            together = [*edits, *(edit for edit in fix.edits if edit not in edits)]
            if fitting(before, together) and _readable(path, changed := edited(before, together)):
                edits, data = together, changed
                taken.append(fix)
        if data != before:
            _replace(path, data)
            done += taken
    return done


def _readable(path: Path, data: bytes) -> bool:
    if path.suffix != ".py":
        return True
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ast.parse(data)
    except _UNREADABLE:
        return False
    return True


def _replace(path: Path, data: bytes) -> None:
    """Write a file so that there is the old one or the new one at any moment. A link goes on to be one."""
    target = Path(os.path.realpath(path))
    mode = target.stat().st_mode & 0o7777
    descriptor, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, mode)
        os.replace(temporary, target)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
