"""Folders of one process: only its user can enter them, and a lock that the system takes from a process at its end
tells those of the dead. Imported by what has to start quickly."""

from __future__ import annotations

import fcntl
import os
from typing import Final

# A folder gets the second name once it is locked, so that one with this name and no lock belongs to a process that is
# dead.
NEW: Final = "cog-new-"
LIVE: Final = "cog-run-"


def make(parent: str) -> tuple[str, int | None]:
    """A new folder in `parent`, as an absolute path, and the descriptor that holds its lock; None where no lock can be had:
    nobody else can then take it either, so nobody thinks it dead.

    Raises:
        OSError: no folder can be made there.
    """
    while True:
        mark = os.urandom(6).hex()
        new = os.path.join(os.path.abspath(parent), NEW + mark)
        try:
            os.mkdir(new, 0o700)
        except FileExistsError:
            continue
        descriptor = lock(new)
        path = os.path.join(os.path.dirname(new), LIVE + mark)
        os.rename(new, path)
        return path, descriptor


def lock(path: str) -> int | None:
    """A descriptor that holds the lock on this folder, None when another process does or no lock can be had."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor
