"""The server's private folder for the files of its predictions."""

from __future__ import annotations

import logging
import os
import shutil
import stat
import tempfile
import time
from types import TracebackType
from typing import Final

from cog.errors import SettingError
from cog.files import owned

_log = logging.getLogger("cog.files")

# Seconds. Between its two names a folder lives for moments; an older one is what a crash left there.
_NEW_FOR: Final = 3600.0


class RuntimeFolder:
    """One folder for one server, readable by its user only, gone with the server.

    Entering makes it and removes the folders of servers that died; they are recognised by a lock on the
    folder, which the system takes from a process at its end. Only real folders of the same user are touched.
    """

    def __init__(self, parent: str | None = None) -> None:
        """`parent` is the system's folder for temporary files unless given."""
        self._parent = parent
        self._path: str | None = None
        self._lock: int | None = None

    @property
    def path(self) -> str:
        """Where it is, as an absolute path."""
        if self._path is None:
            raise RuntimeError("the folder exists within `with` only")
        return self._path

    def __enter__(self) -> RuntimeFolder:
        """Make it.

        Raises:
            SettingError: no folder can be made there.
        """
        # TMPDIR first: Python goes elsewhere without a word when it cannot be used.
        parent = self._parent or os.environ.get("TMPDIR") or tempfile.gettempdir()
        parent = os.path.abspath(parent)
        try:
            self._path, self._lock = owned.make(parent)
        except OSError as error:
            raise unusable(parent, error) from error
        if self._lock is None:
            _log.warning(
                "%s cannot be locked, so it would stay behind if this server were killed", self._path
            )
        _remove_stale(parent)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.remove(self.path)
        if self._lock is not None:
            os.close(self._lock)
        self._path = self._lock = None

    def folder(self, number: int) -> str:
        """The name of one prediction's folder, which is not made."""
        return f"{self.path}/{number}"

    def remove(self, path: str) -> None:
        """Remove a folder and all that is in it, also what the model made read-only. A missing one is
        fine."""
        _remove(path)


def unusable(parent: str, error: OSError) -> SettingError:
    """The error for a folder in which the server cannot keep its temporary files."""
    return SettingError(
        f"{parent}, the folder for temporary files, cannot be used: {error.strerror or error}. The server keeps the "
        "files of its predictions there: let TMPDIR name a folder that exists, that this user may write to, and "
        "that has space"
    )


def _remove(path: str) -> None:
    shutil.rmtree(path, ignore_errors=True)
    if not os.path.lexists(path):
        return
    _open_up(path)
    for folder, subfolders, _ in os.walk(path):  # from the top, so that each is opened before it is listed
        for name in subfolders:
            _open_up(os.path.join(folder, name))
    shutil.rmtree(path, ignore_errors=True)
    if os.path.lexists(path):
        _log.warning("%s could not be removed whole; a program may still write to it", path)


def _open_up(folder: str) -> None:
    try:
        if not os.path.islink(folder):
            os.chmod(folder, 0o700)
    except OSError as error:
        _log.debug("%s: %s", folder, error)  # what this means for the removal is said when it is over


def _remove_stale(parent: str) -> None:
    try:
        names = [name for name in os.listdir(parent) if name.startswith((owned.NEW, owned.LIVE))]
    except OSError as error:
        _log.warning("%s cannot be searched for what dead servers left: %s", parent, error)
        return
    for name in names:
        path = os.path.join(parent, name)
        if not _may_be_stale(path, name):
            continue
        lock = owned.lock(path)
        if lock is not None:
            _log.info("removing %s, which a server that died left there", path)
            _remove(path)
            os.close(lock)


def _may_be_stale(path: str, name: str) -> bool:
    try:
        facts = os.lstat(path)
    except FileNotFoundError:
        return False
    if not stat.S_ISDIR(facts.st_mode) or facts.st_uid != os.geteuid():
        return False
    return name.startswith(owned.LIVE) or time.time() - facts.st_mtime > _NEW_FOR
